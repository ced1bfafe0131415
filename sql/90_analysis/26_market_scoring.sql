-- Scores of a backtest against the market: of the model, the market's middle, the Gaussian and a blend of model
-- and market; and the profit of buying every edge.

-- Log-odds of a probability from 0 to 1, cut where log losses are.
CREATE FUNCTION upc._log_odds(probability double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ln(
    least(0.9999, greatest(0.0001, _log_odds.probability))
    / (1 - least(0.9999, greatest(0.0001, _log_odds.probability)))
);
COMMENT ON FUNCTION upc._log_odds IS
    'log-odds of a probability from 0 to 1, which is cut to 0.0001 … 0.9999';


CREATE FUNCTION upc._loss(probability double precision, outcome boolean)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN -ln(least(0.9999, greatest(0.0001,
    CASE WHEN _loss.outcome THEN _loss.probability ELSE 1 - _loss.probability END
)));
COMMENT ON FUNCTION upc._loss IS
    'log loss of a probability from 0 to 1, which is cut to 0.0001 … 0.9999';


-- Weights of the model in the blend, by UTC day of the close and band of time to the close: of 0, 0.025, … 1 the
-- one with the least log loss on all days before, to which 10 · (weight - 0.5)² is added. So the first day has
-- one half.
CREATE FUNCTION upc._blend_weights(symbol text, backtest_id bigint)
RETURNS TABLE (day date, band smallint, weight double precision)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 100
BEGIN ATOMIC
    WITH answer AS (
        SELECT
            (a.closes_at AT TIME ZONE 'UTC')::date AS day,
            upc._market_band(a.ttc_seconds) AS band,
            upc._log_odds(a.volatility) AS model,
            upc._log_odds(a.market) AS market,
            CASE WHEN a.outcome THEN 1 ELSE -1 END AS sign
        FROM upc_data.market_answer AS a
        WHERE a.symbol = _blend_weights.symbol
          AND a.backtest_id = _blend_weights.backtest_id
          AND a.market IS NOT NULL
    ),
    lost AS MATERIALIZED (
        SELECT
            a.day, a.band, k,
            sum(ln(1 + exp(-a.sign * (a.market + (a.model - a.market) * k / 40)))) AS loss
        FROM answer AS a
        CROSS JOIN generate_series(0, 40) AS k
        GROUP BY a.day, a.band, k
    ),
    before AS (
        SELECT
            l.day, l.band, l.k,
            coalesce(
                sum(l.loss) OVER (
                    PARTITION BY l.band, l.k ORDER BY l.day
                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                ),
                0
            ) + 10 * (l.k / 40.0::double precision - 0.5) ^ 2 AS loss
        FROM lost AS l
    )
    SELECT DISTINCT ON (b.day, b.band) b.day, b.band, b.k / 40.0::double precision
    FROM before AS b
    ORDER BY b.day, b.band, b.loss, abs(b.k - 20), b.k;
END;
COMMENT ON FUNCTION upc._blend_weights IS
    'the weights of the model in a backtest''s blend with the market, by day and band, fitted on the days before';


CREATE FUNCTION upc._blend_answers(symbol text, backtest_id bigint)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    UPDATE upc_data.market_answer AS a
    SET blend = 1 / (1 + exp(-(
        upc._log_odds(a.market)
        + w.weight * (upc._log_odds(a.volatility) - upc._log_odds(a.market))
    )))
    FROM upc._blend_weights(_blend_answers.symbol, _blend_answers.backtest_id) AS w
    WHERE a.symbol = _blend_answers.symbol
      AND a.backtest_id = _blend_answers.backtest_id
      AND a.market IS NOT NULL
      AND w.day = (a.closes_at AT TIME ZONE 'UTC')::date
      AND w.band = upc._market_band(a.ttc_seconds);
END
$fn$;
COMMENT ON FUNCTION upc._blend_answers IS
    'mixes the answers of model and market, with weights of the days before';


CREATE FUNCTION upc._sum_answers(symbol text, backtest_id bigint)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET work_mem = '64MB'
AS $fn$
BEGIN
    INSERT INTO upc_data.backtest_score (
        symbol, backtest_id, model, dimension, part, day, bin, questions, outcomes, probability,
        squared_probability, squared_error, log_loss
    )
    SELECT
        _sum_answers.symbol, _sum_answers.backtest_id, p.model, d.dimension, d.part,
        (a.closes_at AT TIME ZONE 'UTC')::date,
        CASE WHEN d.dimension = 'odds' THEN 0
            ELSE greatest(0, least(19, floor(20 * p.probability)))
        END::smallint,
        count(*),
        sum(a.outcome::integer),
        sum(p.probability),
        sum(p.probability ^ 2),
        sum((p.probability - a.outcome::integer) ^ 2),
        sum(upc._loss(p.probability, a.outcome))
    FROM upc_data.market_answer AS a
    CROSS JOIN LATERAL (
        VALUES
            ('volatility:linear', a.volatility), ('market', a.market), ('blend', a.blend),
            ('gaussian', a.gaussian)
    ) AS p (model, probability)
    CROSS JOIN LATERAL (
        VALUES
            ('all', 0::smallint),
            ('minutes', upc._market_band(a.ttc_seconds)),
            ('hour', extract(hour FROM a.closes_at AT TIME ZONE 'UTC')::smallint),
            ('odds', upc._odds_bin(p.probability)::smallint)
    ) AS d (dimension, part)
    WHERE a.symbol = _sum_answers.symbol
      AND a.backtest_id = _sum_answers.backtest_id
      AND a.market IS NOT NULL
      AND d.part IS NOT NULL
    GROUP BY 3, 4, 5, 6, 7;
END
$fn$;
COMMENT ON FUNCTION upc._sum_answers IS
    'sums up the answers of a backtest against the market as those of others are';


-- Edges from which on contracts are bought, cents.
CREATE FUNCTION upc._bought_edges()
RETURNS double precision[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '{0, 1, 2, 3, 5, 10}'::double precision[];
COMMENT ON FUNCTION upc._bought_edges IS
    'the edges that a backtest against the market buys above, cents per contract';


CREATE FUNCTION upc._sum_profits(symbol text, backtest_id bigint)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET work_mem = '64MB'
AS $fn$
BEGIN
    INSERT INTO upc_data.backtest_profit (
        symbol, backtest_id, model, min_edge, day, contracts, wins, cost, edge, profit
    )
    SELECT
        _sum_profits.symbol, _sum_profits.backtest_id, p.model, x.min_edge,
        (a.closes_at AT TIME ZONE 'UTC')::date,
        count(*),
        count(*) FILTER (WHERE s.is_won),
        sum(s.later_cost),
        sum(s.probability - s.cost),
        sum(CASE WHEN s.is_won THEN 100 ELSE 0 END - s.later_cost)
    FROM upc_data.market_answer AS a
    CROSS JOIN LATERAL (
        VALUES
            ('volatility:linear', a.volatility), ('blend', a.blend), ('gaussian', a.gaussian)
    ) AS p (model, probability)
    CROSS JOIN LATERAL (
        VALUES
            (100 * p.probability, a.yes_cost, a.later_yes_cost, a.outcome),
            (100 - 100 * p.probability, a.no_cost, a.later_no_cost, NOT a.outcome)
    ) AS s (probability, cost, later_cost, is_won)
    JOIN unnest(upc._bought_edges()) AS x (min_edge) ON s.probability - s.cost > x.min_edge
    WHERE a.symbol = _sum_profits.symbol
      AND a.backtest_id = _sum_profits.backtest_id
      AND s.later_cost IS NOT NULL
    GROUP BY p.model, x.min_edge, 5;
END
$fn$;
COMMENT ON FUNCTION upc._sum_profits IS
    'sums up what buying every edge of a backtest against the market would have brought, by day';


-- Score a backtest against the market whose steps are done, and complete it; the quotes that were stored for it
-- alone are deleted.
--
-- Returns the number of quotes that were answered, and of those that were scored: with bid and ask.
-- Errors: UP022 no such backtest of the market, one whose training is not done, or no answers.
--
-- Example:
--   SELECT count(score_market(b.symbol, b.backtest_id)) = 0
--   FROM backtest_list AS b WHERE b.symbol = 'ETH' AND b.kind = 'market';
CREATE FUNCTION upc.score_market(
    symbol text,
    backtest_id bigint,
    OUT answered bigint,
    OUT scored bigint
)
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_test upc_data.backtest;
    v_quotes_of bigint := upc._quotes_of(symbol, backtest_id);
    v_month timestamptz;
BEGIN
    PERFORM upc._backtest_plan(symbol, backtest_id);
    SELECT b.* INTO v_test FROM upc_data.backtest AS b
    WHERE b.symbol = score_market.symbol AND b.backtest_id = score_market.backtest_id
    FOR UPDATE;
    IF v_test.kind <> 'market' OR v_test.completed_at IS NOT NULL OR EXISTS (
        SELECT FROM upc._backtest_plan(score_market.symbol, score_market.backtest_id) AS p
        WHERE p.step <> ALL (v_test.steps_done)
    ) THEN
        PERFORM upc._refuse_backtest(
            format('backtest %s cannot be scored against the market', backtest_id),
            'It is of another kind, complete already, or not trained yet.',
            'Run all of its steps first: upc.run_backtest_step.'
        );
    END IF;
    FOR v_month IN
        SELECT m FROM generate_series(v_test.test_from, v_test.test_to, interval '31 days') AS m
    LOOP
        PERFORM upc._answer_quotes(
            v_test, v_quotes_of, v_month, least(v_month + interval '31 days', v_test.test_to)
        );
    END LOOP;
    PERFORM upc._blend_answers(symbol, backtest_id);
    PERFORM upc._sum_answers(symbol, backtest_id);
    PERFORM upc._sum_profits(symbol, backtest_id);
    SELECT count(*), count(a.market)
    INTO answered, scored
    FROM upc_data.market_answer AS a
    WHERE a.symbol = score_market.symbol AND a.backtest_id = score_market.backtest_id;
    IF scored = 0 THEN
        PERFORM upc._refuse_backtest(
            format('none of the quotes of %s could be scored', symbol),
            'A quote needs bid and ask, candles up to its instant, and a price: beside it, or once 12 settlements are known.',
            'Load the candles of that time: pyupc candles load FILE.'
        );
    END IF;
    IF v_quotes_of <> 0 THEN
        DELETE FROM upc_data.market_observation AS o
        WHERE o.symbol = score_market.symbol AND o.backtest_id = v_quotes_of;
        DELETE FROM upc_data.observed_event AS e
        WHERE e.symbol = score_market.symbol AND e.backtest_id = v_quotes_of;
    END IF;
    UPDATE upc_data.backtest AS b
    SET completed_at = clock_timestamp()
    WHERE b.symbol = score_market.symbol AND b.backtest_id = score_market.backtest_id;
END
$fn$;
COMMENT ON FUNCTION upc.score_market IS
    'scores a backtest against the market, and completes it; returns how many quotes were answered and scored';


-- Profit of buying every edge of a backtest against the market, a row per model and edge, with 95 % intervals.
--
-- resamples, seed: as in backtest_scores.
-- Returns min_edge: edges above it were bought, of every quote that had one; cents per contract. contracts: bought;
-- wins: those that paid. cost, edge and profit: means per contract, cents; edge is what was expected of it, profit
-- what it brought, after fees. profit_low, profit_high: of resampled days, NULL without resamples.
-- Errors: UP002 symbol, UP022 no such backtest, resamples or seed.
--
-- Example:
--   SELECT count(*) = 0 FROM backtest_profits('BTC', 1);
CREATE FUNCTION upc.backtest_profits(
    symbol text,
    backtest_id bigint,
    resamples integer DEFAULT 1000,
    seed bigint DEFAULT 1
)
RETURNS TABLE (
    model text,
    min_edge double precision,
    contracts bigint,
    wins bigint,
    cost double precision,
    edge double precision,
    profit double precision,
    profit_low double precision,
    profit_high double precision
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET work_mem = '64MB'
SET max_parallel_workers_per_gather = 0
AS $fn$
DECLARE
    v_models text[] := '{volatility:linear, blend, gaussian}'::text[];
    v_edges double precision[] := upc._bought_edges();
    v_daily double precision[];
BEGIN
    PERFORM upc.require_backtest(symbol, backtest_id);
    PERFORM upc._require_resampling('all', resamples, seed);
    SELECT array_agg(d.sums ORDER BY d.day)
    INTO v_daily
    FROM (
        SELECT
            s.day,
            array_agg(
                ARRAY[coalesce(p.contracts, 0), coalesce(p.profit, 0)]::double precision[]
                ORDER BY m.place, x.place
            ) AS sums
        FROM (
            SELECT DISTINCT c.day
            FROM upc_data.backtest_score AS c
            WHERE c.symbol = backtest_profits.symbol
              AND c.backtest_id = backtest_profits.backtest_id
              AND c.dimension = 'all'
        ) AS s
        CROSS JOIN unnest(v_models) WITH ORDINALITY AS m (model, place)
        CROSS JOIN unnest(v_edges) WITH ORDINALITY AS x (min_edge, place)
        LEFT JOIN upc_data.backtest_profit AS p
            ON p.symbol = backtest_profits.symbol
            AND p.backtest_id = backtest_profits.backtest_id
            AND p.day = s.day AND p.model = m.model AND p.min_edge = x.min_edge
        GROUP BY s.day
    ) AS d;

    RETURN QUERY
    WITH spread AS (
        SELECT
            r.block,
            percentile_cont(ARRAY[0.025, 0.975])
                WITHIN GROUP (ORDER BY r.sums[2] / nullif(round(r.sums[1]), 0)) AS profit
        FROM upc._resampled_sums(v_daily, resamples, seed) AS r
        GROUP BY r.block
    )
    SELECT
        p.model, p.min_edge, sum(p.contracts)::bigint, sum(p.wins)::bigint,
        sum(p.cost) / sum(p.contracts), sum(p.edge) / sum(p.contracts),
        sum(p.profit) / sum(p.contracts), min(d.profit[1]), min(d.profit[2])
    FROM upc_data.backtest_profit AS p
    LEFT JOIN spread AS d
        ON d.block = (array_position(v_models, p.model) - 1) * cardinality(v_edges)
            + array_position(v_edges, p.min_edge)
    WHERE p.symbol = backtest_profits.symbol AND p.backtest_id = backtest_profits.backtest_id
    GROUP BY p.model, p.min_edge
    ORDER BY array_position(v_models, p.model), p.min_edge;
END
$fn$;
COMMENT ON FUNCTION upc.backtest_profits IS
    'the profit of buying every edge of a backtest against the market, with 95 % intervals';

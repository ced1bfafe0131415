-- Strikes: what the tick asks every second.

-- The probability of every strike around a price.
--
-- price: USD, above zero. momentum: basis points; NULL asks the baseline. ttc_seconds: whole
-- seconds to the close; NULL means to the next full hour. step: USD between strikes; NULL means the
-- symbol's own. levels: strikes below and above the one nearest to the price, 0 to 500.
-- method: nearest, the cell of the grid; linear, between the cells. model: momentum, the fingerprint
-- of the bucket; baseline, that of all minutes; shrunk, the bucket's as far as it is backed, the
-- baseline's beyond; volatility, fingerprints of moves in units of their forecast. settlement: close,
-- the last price decides; average, the mean of 60 values of the last minute does. volatility:
-- standard deviation of the move in the time left in percent; NULL means the forecast at the newest
-- candle. observed: USD, the mean of the last minute so far; NULL means what the price log says.
-- Returns one row per strike, ascending; probabilities in percent. prob_low and prob_high are the
-- 95 % interval of prob_above for as many independent minutes as stand behind it, NULL where
-- imported.
-- Errors: UP001 price or observed, UP002 symbol, UP003 step, UP004 levels, UP005 method, UP006 no
-- fingerprint, UP007 momentum, UP008 ttc_seconds, UP018 model, UP019 settlement, UP020 no forecast,
-- UP021 nothing observed.
--
-- Example:
--   SELECT strike, direction FROM compute_strikes(97250, 7, ttc_seconds => 900, levels => 1);
CREATE FUNCTION upc.compute_strikes(
    price double precision,
    momentum double precision DEFAULT NULL,
    symbol text DEFAULT 'BTC',
    ttc_seconds integer DEFAULT NULL,
    step double precision DEFAULT NULL,
    levels integer DEFAULT 10,
    method text DEFAULT 'nearest',
    model text DEFAULT 'momentum',
    settlement text DEFAULT 'close',
    volatility double precision DEFAULT NULL,
    observed double precision DEFAULT NULL
)
RETURNS TABLE (
    strike double precision,
    buffer double precision,
    move_percent double precision,
    direction text,
    prob_beyond double precision,
    prob_within double precision,
    positive_prob double precision,
    negative_prob double precision,
    prob_above double precision,
    sample_size bigint,
    fingerprint text,
    prob_low double precision,
    prob_high double precision,
    deviation double precision
)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 21
AS $fn$
DECLARE
    v_curve record;
    v_step double precision;
    v_nearest double precision;
    v_lowest integer;
    v_k integer;
    -- The interval as 41_intervals.sql has it, with what does not change taken out: a function a
    -- strike would be too dear.
    v_independent double precision;
    v_overlapping double precision;
    v_scale double precision;
    v_spread double precision;
    v_reach double precision;
BEGIN
    IF NOT coalesce(levels BETWEEN 0 AND 500, false) THEN
        RAISE EXCEPTION 'levels must be from 0 to 500, got %', coalesce(levels::text, 'NULL')
            USING
                ERRCODE = 'UP004',
                DETAIL = 'It is the number of strikes below and above the one nearest to the price.',
                HINT = 'Leave it out for 10.';
    END IF;
    IF NOT coalesce(step > 0 AND step < 'Infinity', true) THEN
        RAISE EXCEPTION 'step must be a positive number, got %', step
            USING
                ERRCODE = 'UP003',
                DETAIL = 'It is the distance between two strikes in quote currency.',
                HINT = 'Pass NULL for the symbol''s own step.';
    END IF;

    IF NOT upc.is_question(
        price, momentum, ttc_seconds, method, model, settlement, volatility, observed
    ) THEN
        PERFORM upc.refuse_question(
            price, momentum, symbol, ttc_seconds, method, model, settlement, volatility, observed
        );
    END IF;
    IF method <> 'nearest' OR model <> 'momentum' OR settlement <> 'close' THEN
        v_step := step;
        IF v_step IS NULL THEN
            SELECT s.strike_step INTO v_step
            FROM upc_data.symbol AS s
            WHERE s.symbol = compute_strikes.symbol;
        END IF;
        v_nearest := round(price / v_step);
        RETURN QUERY
        SELECT
            r.strike,
            abs(price - r.strike),
            100 * abs(price - r.strike) / price,
            CASE WHEN r.strike > price THEN 'above' ELSE 'below' END,
            CASE WHEN r.strike > price THEN r.positive_prob ELSE r.negative_prob END,
            CASE WHEN r.strike > price THEN 100 - r.positive_prob ELSE r.prob_above END,
            r.positive_prob,
            r.negative_prob,
            r.prob_above,
            r.sample_size,
            r.fingerprint,
            r.prob_low,
            r.prob_high,
            r.deviation
        FROM upc.read_strikes(
            price,
            ARRAY(
                SELECT (v_nearest + k) * v_step
                FROM generate_series(greatest(-levels, 1 - v_nearest)::integer, levels) AS k
                ORDER BY k
            ),
            momentum, symbol, ttc_seconds, method, model, settlement, volatility, observed
        ) AS r;
        RETURN;
    END IF;

    SELECT a.positive, a.negative, a.sample_size, a.fingerprint, a.move_edges, a.strike_step,
        a.effective_size, a.weighted_size
    INTO v_curve
    FROM upc.fingerprint_answer(symbol, momentum, ttc_seconds) AS a;
    IF NOT FOUND THEN
        PERFORM upc.refuse_question(
            price, momentum, symbol, ttc_seconds, method, model, settlement
        );
    END IF;

    v_step := coalesce(step, v_curve.strike_step);
    v_nearest := round(price / v_step);
    -- Strikes at or below zero are left out.
    v_lowest := greatest(-levels, 1 - v_nearest);
    sample_size := v_curve.sample_size;
    fingerprint := v_curve.fingerprint;

    v_independent := 3.841458820694124::double precision / v_curve.weighted_size;
    v_overlapping := 3.841458820694124::double precision / v_curve.effective_size - v_independent;
    v_scale := 0.02::double precision / (1 + v_independent + v_overlapping);

    FOR v_level IN v_lowest..levels LOOP
        strike := (v_nearest + v_level) * v_step;
        buffer := abs(price - strike);
        move_percent := 100 * buffer / price;
        v_k := 1 + width_bucket(move_percent, v_curve.move_edges);
        positive_prob := v_curve.positive[v_k];
        negative_prob := v_curve.negative[v_k];
        IF strike > price THEN
            direction := 'above';
            prob_beyond := positive_prob;
            prob_within := 100 - positive_prob;
            prob_above := positive_prob;
        ELSE
            direction := 'below';
            prob_beyond := negative_prob;
            prob_within := 100 - negative_prob;
            prob_above := prob_within;
        END IF;
        v_spread := v_independent + v_overlapping
            * (1 - (v_scale * (prob_above - 50)) ^ 2) ^ 0.16666666666666666::double precision;
        v_reach := 50 * v_spread
            + sqrt(v_spread * (prob_above * (100 - prob_above) + 2500 * v_spread));
        prob_low := prob_above * prob_above / (prob_above + v_reach);
        prob_high := 100 - (100 - prob_above) * (100 - prob_above) / (100 - prob_above + v_reach);
        RETURN NEXT;
    END LOOP;
END
$fn$;
COMMENT ON FUNCTION upc.compute_strikes IS
    'the probability of every strike around a price, in percent: one row per strike, ascending';

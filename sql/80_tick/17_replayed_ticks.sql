-- Replay of the tick log: the engine is asked again what a tick asked, and should give the same numbers.

CREATE TYPE upc._known_forecast AS (
    known_at timestamptz,
    variances double precision[]
);
COMMENT ON TYPE upc._known_forecast IS
    'variances of upc._forecast_variances, and the close that they were made at';


-- The instant from which on a tick was answered by the curves that answer now.
--
-- Whoever read while they were published had the ones before: a minute is left to the commit.
-- is_standardised: of the model volatility, whose fit counts, too. is_pooled: answered by the pool.
CREATE FUNCTION upc._answers_since(symbol text, is_standardised boolean, is_pooled boolean)
RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
RETURN interval '1 minute' + (
    SELECT greatest(
        (
            SELECT max(r.refreshed_at) FROM upc_data.curve_refresh AS r
            WHERE r.symbol = _answers_since.symbol OR is_pooled AND r.symbol = '*'
        ),
        (
            SELECT max(i.imported_at) FROM upc_data.fingerprint_import AS i
            WHERE i.symbol = _answers_since.symbol AND NOT is_standardised
        ),
        (
            SELECT max(f.completed_at) FROM upc_data.volatility_fit AS f
            WHERE f.symbol = _answers_since.symbol AND is_standardised
        )
    )
);
COMMENT ON FUNCTION upc._answers_since IS
    'the instant from which on a tick was answered by the curves and the fit that answer now';


-- Why a logged tick cannot be compared, NULL where it can; what depends on its forecast aside.
--
-- answers_since: of its model. logged_since: the beginning of the day of the oldest price in the log.
CREATE FUNCTION upc._replay_obstacle(
    tick analytics.logged_tick,
    answers_since timestamptz,
    logged_since timestamptz
)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN (tick).prob_above IS NULL THEN 'halted: no probability was logged'
    WHEN (tick).feed = 'simulated' THEN 'its price was made up'
    WHEN (tick).closes_at IS NULL OR (tick).model IS NULL OR (tick).settlement IS NULL
        THEN 'logged before its close and its model were'
    WHEN NOT (tick).model = ANY (upc._models()) THEN 'its model is retired'
    WHEN NOT coalesce((tick).ticked_at >= answers_since, false)
        THEN 'curves or forecast were refreshed since'
    WHEN (tick).feed <> 'replay'
        AND NOT coalesce((tick).market_at >= logged_since + interval '31 minutes', false)
        THEN 'its prices are no longer in the log'
END;
COMMENT ON FUNCTION upc._replay_obstacle IS
    'why a logged tick cannot be compared with what would be answered now; NULL where it can, its forecast aside';


-- The forecast that a tick stood on, found by the volatility that it logged. Candles reach the table some
-- seconds late: it may be that of a close of up to five minutes before.
--
-- known: forecasts of closes that were tried before, which are added to.
CREATE FUNCTION upc._replay_forecast(
    tick analytics.logged_tick,
    INOUT known upc._known_forecast[],
    OUT variances double precision[]
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_newest timestamptz := upc._newest_close((tick).symbol, (tick).market_at);
    v_forecast upc._known_forecast;
BEGIN
    FOR v_minute IN 0..5 LOOP
        v_forecast := NULL;
        SELECT k.* INTO v_forecast
        FROM unnest(known) AS k
        WHERE k.known_at = v_newest - make_interval(mins => v_minute);
        IF NOT FOUND THEN
            v_forecast.known_at := v_newest - make_interval(mins => v_minute);
            v_forecast.variances := upc._forecast_variances((tick).symbol, v_forecast.known_at);
            -- Later ticks have later closes.
            known := (v_forecast || known)[1:7];
        END IF;
        IF abs(
            100 * sqrt(upc.variance_until(v_forecast.variances, (tick).ttc_seconds))
            - (tick).volatility
        ) <= 1e-12 * (tick).volatility THEN
            variances := v_forecast.variances;
            RETURN;
        END IF;
    END LOOP;
END
$fn$;
COMMENT ON FUNCTION upc._replay_forecast IS
    'the variances that a tick stood on, found by the volatility that it logged; NULL where candles have changed since';


-- What a tick had seen of the last minute, less its basis; NULL where the log no longer has it.
CREATE FUNCTION upc._replay_average(tick analytics.logged_tick)
RETURNS double precision
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_question upc._question;
BEGIN
    v_question.symbol := (tick).symbol;
    v_question.at := (tick).market_at;
    v_question.source := (tick).source;
    v_question.basis := (tick).basis;
    RETURN upc._feed_average(
        v_question, (tick).feed, (tick).closes_at - interval '1 minute', NULL
    );
END
$fn$;
COMMENT ON FUNCTION upc._replay_average IS
    'the mean price in USD that a logged tick had seen of the last minute, less its basis; NULL where it is no longer in the log';


-- The largest difference between what was logged and what is answered now, percentage points.
CREATE FUNCTION upc._replay_difference(
    tick analytics.logged_tick,
    ttc_seconds integer,
    observed double precision,
    variances double precision[]
)
RETURNS double precision
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    RETURN (
        SELECT coalesce(
            max(coalesce(abs(l.prob_above - s.prob_above), 'Infinity')), 'Infinity'
        )
        FROM (
            SELECT c.prob_above, row_number() OVER () AS place
            FROM upc.compute_strikes(
                upc._less_basis((tick).price, (tick).basis), (tick).momentum, (tick).symbol,
                _replay_difference.ttc_seconds,
                method => (tick).method, model => (tick).model, settlement => (tick).settlement,
                observed => _replay_difference.observed, strikes => (tick).strikes,
                variances => _replay_difference.variances
            ) AS c
        ) AS s
        FULL JOIN unnest((tick).prob_above) WITH ORDINALITY AS l (prob_above, place) USING (place)
    );
END
$fn$;
COMMENT ON FUNCTION upc._replay_difference IS
    'the largest difference between the probabilities of a logged tick and those of its question asked again, percentage points';


-- Logged ticks, asked again: momentum, time to the close and probabilities should be what they were.
--
-- since, until: instants from the one up to but not including the other.
-- Each is asked with its own price and basis, momentum, strikes, model, method, settlement and forecast. What was seen of the last
-- minute comes from the prices in the log.
-- Returns one row per tick, by time: obstacle, why it cannot be compared, NULL where it was; and the differences
-- from what was logged, now less then: momentum in basis points, ttc_seconds, and the largest one of the
-- probabilities in percentage points, unsigned. is_different: any of them is more than 1e-9; numbers are
-- logged with all of their digits. Where one number is missing the difference is infinite.
-- Errors: UP002 symbol.
--
-- Example:
--   SELECT count(*) FILTER (WHERE is_different) FROM replayed_ticks('BTC', now() - interval '1 hour');
CREATE FUNCTION upc.replayed_ticks(
    symbol text,
    since timestamptz DEFAULT '-infinity',
    until timestamptz DEFAULT 'infinity'
)
RETURNS TABLE (
    tick_id bigint,
    ticked_at timestamptz,
    model text,
    obstacle text,
    momentum_difference double precision,
    ttc_difference integer,
    probability_difference double precision,
    is_different boolean
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_tick analytics.logged_tick;
    v_logged_since timestamptz;
    v_forecast record;
    v_known upc._known_forecast[] := '{}'::upc._known_forecast[];
    v_variances double precision[];
    v_observed double precision;
    v_momentum double precision;
    v_ttc integer;
BEGIN
    PERFORM upc.require_symbol(symbol);
    SELECT date_trunc('day', min(p.received_at), 'UTC') INTO v_logged_since
    FROM upc_data.price AS p WHERE p.symbol = replayed_ticks.symbol;
    FOR v_tick IN
        SELECT t.* FROM analytics.logged_tick AS t
        WHERE t.symbol = replayed_ticks.symbol AND t.ticked_at >= since AND t.ticked_at < until
        ORDER BY t.ticked_at, t.tick_id
    LOOP
        tick_id := v_tick.tick_id;
        ticked_at := v_tick.ticked_at;
        model := v_tick.model;
        v_variances := NULL;
        v_observed := NULL;
        momentum_difference := NULL;
        ttc_difference := NULL;
        probability_difference := NULL;
        is_different := NULL;
        obstacle := upc._replay_obstacle(
            v_tick,
            upc._answers_since(symbol, model = 'volatility', v_tick.fingerprint LIKE 'pooled%'),
            v_logged_since
        );
        IF obstacle IS NULL AND model = 'volatility' THEN
            v_forecast := upc._replay_forecast(v_tick, v_known);
            v_known := v_forecast.known;
            v_variances := v_forecast.variances;
            IF v_variances IS NULL THEN
                obstacle := 'its forecast came from other candles than are stored now';
            END IF;
        END IF;
        v_ttc := floor(extract(epoch FROM v_tick.closes_at - v_tick.market_at));
        IF obstacle IS NULL AND v_tick.settlement = 'average' AND v_ttc < 60 THEN
            v_observed := upc._replay_average(v_tick);
            IF v_observed IS NULL THEN
                obstacle := 'its last minute is no longer in the price log';
            END IF;
        END IF;
        IF obstacle IS NULL THEN
            v_momentum := (upc.momentum(symbol, v_tick.market_at, v_tick.price)).momentum;
            IF v_momentum IS NOT NULL OR v_tick.momentum IS NOT NULL THEN
                momentum_difference := coalesce(v_momentum - v_tick.momentum, 'Infinity');
            END IF;
            ttc_difference := v_ttc - v_tick.ttc_seconds;
            probability_difference := upc._replay_difference(v_tick, v_ttc, v_observed, v_variances);
            is_different := coalesce(abs(momentum_difference) > 1e-9, false)
                OR ttc_difference <> 0 OR probability_difference > 1e-9;
        END IF;
        RETURN NEXT;
    END LOOP;
END
$fn$;
COMMENT ON FUNCTION upc.replayed_ticks IS
    'logged ticks, asked again: whether momentum, time to the close and probabilities are what they were, and why some cannot be compared';


-- Replay of a symbol's logged ticks as JSON: how many there are, were compared and differ, the first ten
-- that do, and how many could not be compared, by the reason.
--
-- Arguments: those of replayed_ticks.
-- Errors: UP002 symbol.
--
-- Example:
--   SELECT replay_document('BTC', '2024-01-01 00:00+00', '2024-01-02 00:00+00');
CREATE FUNCTION upc.replay_document(
    symbol text,
    since timestamptz DEFAULT '-infinity',
    until timestamptz DEFAULT 'infinity'
)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    WITH tick AS MATERIALIZED (
        SELECT r.*
        FROM upc.replayed_ticks(
            replay_document.symbol, replay_document.since, replay_document.until
        ) AS r
    )
    SELECT json_build_object(
        'symbol', replay_document.symbol,
        'logged', (SELECT count(*) FROM tick),
        'compared', (SELECT count(*) FROM tick AS t WHERE t.obstacle IS NULL),
        'differences', (SELECT count(*) FROM tick AS t WHERE t.is_different),
        'first_differences', (
            SELECT coalesce(json_agg(json_build_object(
                'tick_id', d.tick_id,
                'ticked_at', upc._iso_utc(d.ticked_at),
                'model', d.model,
                'momentum_difference', nullif(d.momentum_difference, 'Infinity'),
                'ttc_difference', d.ttc_difference,
                'probability_difference', nullif(d.probability_difference, 'Infinity')
            ) ORDER BY d.ticked_at, d.tick_id), '[]')
            FROM (
                SELECT t.* FROM tick AS t WHERE t.is_different
                ORDER BY t.ticked_at, t.tick_id LIMIT 10
            ) AS d
        ),
        'not_compared', (
            SELECT coalesce(json_object_agg(o.obstacle, o.ticks ORDER BY o.obstacle), '{}')
            FROM (
                SELECT t.obstacle, count(*) AS ticks FROM tick AS t
                WHERE t.obstacle IS NOT NULL GROUP BY t.obstacle
            ) AS o
        )
    )::text;
END;
COMMENT ON FUNCTION upc.replay_document IS
    'the replay of a symbol''s logged ticks as JSON: how many were compared, differ, or could not be compared';

-- Status: what runs, how fresh what it depends on is, and how much of the time it did.

CREATE TYPE upc.symbol_status AS (
    symbol text,
    light text,
    problems text[],
    is_expected boolean,
    feed text,
    holder text,
    lease_state text,
    ticked_at timestamptz,
    tick_age_seconds double precision,
    price_state text,
    price_age_seconds double precision,
    quote_state text,
    quote_age_seconds double precision,
    event_ticker text,
    candle_at timestamptz,
    candle_age_seconds double precision,
    fingerprint_origin text,
    fingerprint_through date,
    is_momentum_known boolean,
    open_trades integer,
    minute_done bigint,
    minute_missed bigint,
    minute_availability double precision,
    hour_done bigint,
    hour_missed bigint,
    hour_availability double precision,
    day_done bigint,
    day_missed bigint,
    day_availability double precision,
    day_answered double precision,
    price_source text,
    basis_bps double precision,
    basis_settlements integer
);
COMMENT ON TYPE upc.symbol_status IS
    'what stands behind the ticks of a symbol: ages in seconds, availability in percent, the basis that the last tick allowed for';


-- Problems of a symbol, worst first. One makes its light red if there is no probability to be had, else
-- yellow.
CREATE FUNCTION upc._status_problems(status upc.symbol_status, every interval, holder_problem text)
RETURNS TABLE (is_red boolean, problem text)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT p.is_red, p.problem
    FROM upc.fingerprint_problem(status.symbol) AS f
    CROSS JOIN LATERAL (
        VALUES
            (
                1, true, status.lease_state = 'none',
                'nothing ticks it'
            ),
            (
                2, true, status.lease_state = 'expired',
                format('%s has stopped ticking without a word', status.holder)
            ),
            (
                3, true,
                status.lease_state = 'held'
                AND coalesce(
                    make_interval(secs => status.tick_age_seconds)
                        > greatest(interval '3 s', 3 * _status_problems.every),
                    true
                ),
                coalesce(
                    'the last tick is ' || round(status.tick_age_seconds::numeric, 1) || ' s old',
                    'there is no tick'
                )
            ),
            (
                4, status.price_state = 'halted', status.price_state <> 'fresh',
                'the price is ' || status.price_state || coalesce(
                    ', ' || round(status.price_age_seconds::numeric, 1) || ' s old', ''
                )
            ),
            (
                5, true, status.price_state IS NULL,
                'there is no price'
            ),
            (
                6, false, status.quote_state <> 'fresh',
                format(
                    'the quotes are %s, %s s old',
                    status.quote_state, round(status.quote_age_seconds::numeric, 1)
                )
            ),
            (
                7, false, NOT status.is_momentum_known,
                'momentum is not known: the baseline answers'
            ),
            (
                8, false,
                status.feed NOT IN ('replay', 'simulated')
                AND coalesce(status.candle_age_seconds > 300, true),
                coalesce(
                    'the newest candle closed '
                    || upc._span_text(make_interval(secs => 60 * round(status.candle_age_seconds / 60)))
                    || ' ago',
                    'there are no candles'
                )
            ),
            (
                9, true, status.fingerprint_origin IS NULL AND f.problem IS NULL,
                'no fingerprint answers'
            ),
            (
                9, f.is_red, f.problem IS NOT NULL,
                f.problem
            ),
            (
                10, false,
                status.fingerprint_origin = 'built'
                AND status.feed NOT IN ('replay', 'simulated')
                AND status.fingerprint_through
                    < ((status.candle_at - interval '1 day') AT TIME ZONE 'UTC')::date,
                format('the fingerprints count candles to %s only', status.fingerprint_through)
            ),
            (
                11, false, _status_problems.holder_problem IS NOT NULL,
                _status_problems.holder_problem
            ),
            (
                12, false, status.minute_missed > 3 AND status.minute_availability < 95,
                format(
                    '%s of %s ticks of the last minute were missed',
                    status.minute_missed, status.minute_done + status.minute_missed
                )
            )
    ) AS p (place, is_red, is_so, problem)
    WHERE p.is_so
    ORDER BY NOT p.is_red, p.place;
END;
COMMENT ON FUNCTION upc._status_problems IS
    'problems of a symbol, worst first; is_red: there is no probability to be had';


CREATE FUNCTION upc._add_quote_status(status upc.symbol_status, at timestamptz)
RETURNS upc.symbol_status
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
AS $fn$
BEGIN
    SELECT e.event_ticker, extract(epoch FROM at - e.read_at)
    INTO status.event_ticker, status.quote_age_seconds
    FROM upc.current_event(status.symbol, at) AS e;
    IF status.event_ticker IS NULL THEN
        -- Quotes that were read within the last week, or that a trade is held of, are wanted still.
        SELECT extract(epoch FROM at - max(e.read_at))
        INTO status.quote_age_seconds
        FROM upc_data.market_event AS e
        WHERE e.symbol = status.symbol
          AND (
              e.closes_at > at - interval '7 days'
              OR EXISTS (
                  SELECT FROM upc_data.trade AS t
                  WHERE t.symbol = status.symbol AND t.ended_at IS NULL
              )
          );
    END IF;
    IF status.quote_age_seconds IS NOT NULL THEN
        status.quote_state := upc.freshness(make_interval(secs => status.quote_age_seconds));
    END IF;
    RETURN status;
END
$fn$;
COMMENT ON FUNCTION upc._add_quote_status IS
    'a symbol''s status with the age and state of its quotes';


CREATE FUNCTION upc._add_market_status(status upc.symbol_status, at timestamptz)
RETURNS upc.symbol_status
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
AS $fn$
DECLARE
    v_price record := upc._logged_price(status.symbol, at, nullif(status.feed, 'database'));
BEGIN
    IF v_price.priced_at IS NOT NULL THEN
        status.price_age_seconds := extract(epoch FROM at - v_price.priced_at);
        status.price_state := upc._logged_state(
            status.symbol, coalesce(status.feed, 'database'), at, v_price.priced_at,
            v_price.same_since, v_price.newest_at
        );
    END IF;
    RETURN upc._add_quote_status(status, at);
END
$fn$;
COMMENT ON FUNCTION upc._add_market_status IS
    'a symbol''s status with the age and state of its live price and of its quotes';


CREATE FUNCTION upc._add_stored_status(status upc.symbol_status, at timestamptz)
RETURNS upc.symbol_status
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
AS $fn$
BEGIN
    SELECT max(c.opened_at) + interval '1 minute'
    INTO status.candle_at
    FROM upc_data.candle AS c
    WHERE c.symbol = status.symbol;
    status.candle_age_seconds := extract(epoch FROM at - status.candle_at);
    SELECT CASE g.curve_symbol WHEN status.symbol THEN g.curve_origin ELSE 'pooled' END
    INTO status.fingerprint_origin
    FROM upc.fingerprint_grid AS g
    WHERE g.symbol = status.symbol AND g.bucket = upc._baseline();
    SELECT max(d.day)
    INTO status.fingerprint_through
    FROM upc_data.counted_day AS d
    WHERE d.symbol = status.symbol;
    SELECT count(*) INTO status.open_trades
    FROM upc_data.trade AS t
    WHERE t.symbol = status.symbol AND t.ended_at IS NULL;
    RETURN status;
END
$fn$;
COMMENT ON FUNCTION upc._add_stored_status IS
    'a symbol''s status with its newest candle, its fingerprints and its open trades';


CREATE FUNCTION upc._add_availability(status upc.symbol_status, at timestamptz)
RETURNS upc.symbol_status
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_window record;
BEGIN
    v_window := upc.availability(status.symbol, interval '1 minute', at);
    status.minute_done := v_window.done;
    status.minute_missed := v_window.missed;
    status.minute_availability := v_window.available;
    v_window := upc.availability(status.symbol, interval '1 hour', at);
    status.hour_done := v_window.done;
    status.hour_missed := v_window.missed;
    status.hour_availability := v_window.available;
    v_window := upc.availability(status.symbol, interval '1 day', at);
    status.day_done := v_window.done;
    status.day_missed := v_window.missed;
    status.day_availability := v_window.available;
    status.day_answered := 100.0 * v_window.answered
        / nullif(v_window.done + v_window.missed, 0);
    RETURN status;
END
$fn$;
COMMENT ON FUNCTION upc._add_availability IS
    'a symbol''s status with the ticks of the last minute, hour and day';


-- Problems of Kalshi's that ticks cannot help: it has paused trading, or has a word for a market that nobody
-- knows, or does not come up with a result.
CREATE FUNCTION upc._market_problems(symbol text, at timestamptz)
RETURNS text[]
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_pause record := upc._symbol_pause(symbol, at);
    v_paused text;
    v_unknown text;
BEGIN
    IF v_pause.is_paused THEN
        v_paused := format(
            'Kalshi has paused trading%s%s',
            ', until ' || to_char(
                v_pause.resumes_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC or later"'
            ),
            upc._held_text(symbol)
        );
    END IF;
    SELECT format(
        '%s has markets with the status "%s", which is not known: they are taken as paused',
        e.event_ticker, e.unknown_status
    )
    INTO v_unknown
    FROM upc_data.market_event AS e
    WHERE e.symbol = _market_problems.symbol
      AND e.closes_at > at
      AND e.unknown_status IS NOT NULL
    ORDER BY e.closes_at, e.event_ticker
    LIMIT 1;
    RETURN array_remove(
        ARRAY[
            v_paused, v_unknown, upc._missing_result(symbol, at), upc._lost_market(symbol)
        ],
        NULL
    );
END
$fn$;
COMMENT ON FUNCTION upc._market_problems IS
    'problems of a symbol that are of Kalshi''s making: a pause, a status that is not known, a result that has not come, a market that is gone';


CREATE FUNCTION upc._status_of(symbol text, at timestamptz)
RETURNS upc.symbol_status
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
AS $fn$
DECLARE
    v upc.symbol_status;
    v_lease upc_data.tick_lease;
    v_tick record;
    v_every interval;
    v_market text[];
BEGIN
    v.symbol := symbol;
    SELECT l.* INTO v_lease FROM upc_data.tick_lease AS l WHERE l.symbol = _status_of.symbol;
    v.holder := v_lease.holder;
    v.lease_state := CASE
        WHEN v_lease.holder IS NULL THEN 'none'
        WHEN v_lease.expires_at <= at THEN 'expired'
        ELSE 'held'
    END;
    SELECT
        t.ticked_at, t.feed, t.momentum, t.state, t.source, 10000 * t.basis AS basis_bps,
        t.basis_settlements
    INTO v_tick
    FROM upc_data.tick AS t
    JOIN upc_data.document AS d ON d.symbol = t.symbol AND d.tick_id = t.tick_id
    WHERE t.symbol = _status_of.symbol;
    v.feed := coalesce(v_lease.feed, v_tick.feed);
    v.ticked_at := v_tick.ticked_at;
    -- On a clock that has been put back the last tick is no less old for being ahead.
    v.tick_age_seconds := abs(extract(epoch FROM at - v.ticked_at));
    v.is_momentum_known := v_tick.momentum IS NOT NULL;
    v.price_source := v_tick.source;
    v.basis_bps := v_tick.basis_bps;
    v.basis_settlements := v_tick.basis_settlements;
    IF coalesce(v.feed NOT IN ('replay', 'simulated'), true) THEN
        v := upc._add_market_status(v, at);
    ELSE
        v.price_state := coalesce(v_tick.state, 'fresh');
        IF v.feed = 'simulated' AND upc.has_simulated_market() THEN
            v := upc._add_quote_status(v, at);
        END IF;
    END IF;
    v := upc._add_stored_status(v, at);
    v := upc._add_availability(v, at);
    v.is_expected := v.lease_state <> 'none' OR coalesce(v.hour_done > 0, false);

    SELECT k.every INTO v_every FROM upc_data.tick_count AS k WHERE k.symbol = _status_of.symbol;
    SELECT
        coalesce(array_agg(p.problem), '{}'),
        CASE
            WHEN bool_or(p.is_red) THEN 'red'
            WHEN count(*) > 0 THEN 'yellow'
            ELSE 'green'
        END
    INTO v.problems, v.light
    FROM upc._status_problems(v, coalesce(v_lease.every, v_every), v_lease.problem) AS p;
    v_market := upc._market_problems(symbol, at);
    IF v_market <> '{}' THEN
        v.problems := v.problems || v_market;
        v.light := CASE v.light WHEN 'green' THEN 'yellow' ELSE v.light END;
    END IF;
    RETURN v;
END
$fn$;
COMMENT ON FUNCTION upc._status_of IS
    'the state of a symbol, with its problems and its light';


-- The state of the symbols that are ticked, of all that are registered, or of one.
--
-- symbol: NULL takes all. at: the clock.
-- Returns one row per symbol. light: green if everything that its ticks depend on is well; yellow if
-- something fails or ages and they answer all the same; red if there is no probability to be had.
-- is_expected: a process ticks it or has died without giving it back, or it had live ticks in the
-- last hour. Availability is of live feeds, in percent of the ticks that were due; NULL without any.
-- Errors: UP002 symbol.
--
-- Example:
--   SELECT symbol, light, problems FROM status();
CREATE FUNCTION upc.status(
    symbol text DEFAULT NULL,
    at timestamptz DEFAULT clock_timestamp()
)
RETURNS SETOF upc.symbol_status
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED ROWS 10
AS $fn$
DECLARE
    v_symbol text;
BEGIN
    IF symbol IS NOT NULL THEN
        PERFORM upc.require_symbol(symbol);
    END IF;
    FOR v_symbol IN
        SELECT s.symbol
        FROM upc_data.symbol AS s
        WHERE s.symbol = coalesce(status.symbol, s.symbol)
        ORDER BY s.symbol
    LOOP
        RETURN NEXT upc._status_of(v_symbol, at);
    END LOOP;
END
$fn$;
COMMENT ON FUNCTION upc.status IS
    'the state of symbols: what ticks them, how fresh what they depend on is, and how many ticks were done and missed';

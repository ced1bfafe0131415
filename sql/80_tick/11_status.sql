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
    day_answered double precision
);
COMMENT ON TYPE upc.symbol_status IS
    'what stands behind the ticks of a symbol: ages in seconds, availability in percent';


-- What is the matter with a symbol, worst first. A problem makes its light red if there is no
-- probability to be had, else yellow.
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
    'what is the matter with a symbol, worst first, and whether it leaves no probability';


-- The state of the symbols that are ticked, of all that are registered, or of one.
--
-- Returns one row a symbol. light: green if everything that its ticks depend on is well; yellow if
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
    v upc.symbol_status;
    v_symbol text;
    v_lease upc_data.tick_lease;
    v_tick record;
    v_every interval;
    v_window record;
    v_is_live boolean;
    v_same_since timestamptz;
    v_newest_at timestamptz;
    v_priced_at timestamptz;
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
        v := NULL;
        v.symbol := v_symbol;

        SELECT l.* INTO v_lease FROM upc_data.tick_lease AS l WHERE l.symbol = v_symbol;
        v.holder := v_lease.holder;
        v.lease_state := CASE
            WHEN v_lease.holder IS NULL THEN 'none'
            WHEN v_lease.expires_at <= at THEN 'expired'
            ELSE 'held'
        END;
        SELECT t.ticked_at, t.feed, t.momentum, t.state
        INTO v_tick
        FROM upc_data.tick AS t
        JOIN upc_data.document AS d ON d.symbol = t.symbol AND d.tick_id = t.tick_id
        WHERE t.symbol = v_symbol;
        v.feed := coalesce(v_lease.feed, v_tick.feed);
        v.ticked_at := v_tick.ticked_at;
        -- On a clock that has been put back the last tick is no less old for being ahead.
        v.tick_age_seconds := abs(extract(epoch FROM at - v.ticked_at));
        v.is_momentum_known := v_tick.momentum IS NOT NULL;
        v_is_live := coalesce(v.feed NOT IN ('replay', 'simulated'), true);

        IF v_is_live THEN
            SELECT p.priced_at, p.same_since, p.newest_at
            INTO v_priced_at, v_same_since, v_newest_at
            FROM upc._logged_price(v_symbol, at, nullif(v.feed, 'database')) AS p;
            IF v_priced_at IS NOT NULL THEN
                v.price_age_seconds := extract(epoch FROM at - v_priced_at);
                v.price_state := upc._logged_state(
                    v_symbol, coalesce(v.feed, 'database'), at, v_priced_at, v_same_since,
                    v_newest_at
                );
            END IF;
            SELECT e.event_ticker, extract(epoch FROM at - e.read_at)
            INTO v.event_ticker, v.quote_age_seconds
            FROM upc.current_event(v_symbol, at) AS e;
            IF v.event_ticker IS NULL THEN
                -- Whoever has read quotes within the last week, or holds a trade, wants them still.
                SELECT extract(epoch FROM at - max(e.read_at))
                INTO v.quote_age_seconds
                FROM upc_data.market_event AS e
                WHERE e.symbol = v_symbol
                  AND (
                      e.closes_at > at - interval '7 days'
                      OR EXISTS (
                          SELECT FROM upc_data.trade AS t
                          WHERE t.symbol = v_symbol AND t.ended_at IS NULL
                      )
                  );
            END IF;
            IF v.quote_age_seconds IS NOT NULL THEN
                v.quote_state := upc.freshness(make_interval(secs => v.quote_age_seconds));
            END IF;
        ELSE
            v.price_state := coalesce(v_tick.state, 'fresh');
        END IF;

        SELECT max(c.opened_at) + interval '1 minute'
        INTO v.candle_at
        FROM upc_data.candle AS c
        WHERE c.symbol = v_symbol;
        v.candle_age_seconds := extract(epoch FROM at - v.candle_at);
        IF upc._unpopulated_views() = '{}' THEN
            SELECT CASE g.curve_symbol WHEN v_symbol THEN g.curve_origin ELSE 'pooled' END
            INTO v.fingerprint_origin
            FROM upc.fingerprint_grid AS g
            WHERE g.symbol = v_symbol AND g.bucket = upc._baseline();
        END IF;
        SELECT max(d.day)
        INTO v.fingerprint_through
        FROM upc_data.counted_day AS d
        WHERE d.symbol = v_symbol;
        SELECT count(*) INTO v.open_trades
        FROM upc_data.trade AS t
        WHERE t.symbol = v_symbol AND t.ended_at IS NULL;

        SELECT a.* INTO v_window FROM upc.availability(v_symbol, interval '1 minute', at) AS a;
        v.minute_done := v_window.done;
        v.minute_missed := v_window.missed;
        v.minute_availability := v_window.available;
        SELECT a.* INTO v_window FROM upc.availability(v_symbol, interval '1 hour', at) AS a;
        v.hour_done := v_window.done;
        v.hour_missed := v_window.missed;
        v.hour_availability := v_window.available;
        SELECT a.* INTO v_window FROM upc.availability(v_symbol, interval '1 day', at) AS a;
        v.day_done := v_window.done;
        v.day_missed := v_window.missed;
        v.day_availability := v_window.available;
        v.day_answered := 100.0 * v_window.answered / nullif(v_window.done + v_window.missed, 0);
        v.is_expected := v.lease_state <> 'none' OR coalesce(v.hour_done > 0, false);

        SELECT k.every INTO v_every FROM upc_data.tick_count AS k WHERE k.symbol = v_symbol;
        SELECT
            coalesce(array_agg(p.problem), '{}'),
            CASE
                WHEN bool_or(p.is_red) THEN 'red'
                WHEN count(*) > 0 THEN 'yellow'
                ELSE 'green'
            END
        INTO v.problems, v.light
        FROM upc._status_problems(
            v, coalesce(v_lease.every, v_every), v_lease.problem
        ) AS p;
        RETURN NEXT v;
    END LOOP;
END
$fn$;
COMMENT ON FUNCTION upc.status IS
    'the state of symbols: what ticks them, how fresh what they depend on is, and how many ticks were done and missed';

-- Candles: their bounds, and notes of those that have changed. What writes candles notes the days that
-- have to be counted again, in the transaction that writes them; the build consumes the notes.

-- True if five numbers can be a candle: finite, prices above zero, the open and the close not
-- outside of low and high. NULL where one of them is.
--
-- Example:
--   SELECT NOT upc.is_candle(open => 9, high => 10, low => 8, close => 7, volume => 1);
CREATE FUNCTION upc.is_candle(
    open double precision,
    high double precision,
    low double precision,
    close double precision,
    volume double precision
)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- NaN sorts above infinity, so these bounds refuse both.
RETURN is_candle.low > 0
    AND is_candle.high < 'Infinity'
    AND is_candle.open >= is_candle.low AND is_candle.open <= is_candle.high
    AND is_candle.close >= is_candle.low AND is_candle.close <= is_candle.high
    AND is_candle.volume >= 0 AND is_candle.volume < 'Infinity';
COMMENT ON FUNCTION upc.is_candle IS
    'true if five numbers can be a candle; NULL where one of them is';


-- Stored candles that cannot be, oldest first. None is stored any more; they date from before that was
-- checked. A load of the right file replaces them; a DELETE of them, with note_candle_changes, makes gaps
-- that `pyupc candles backfill` fills.
--
-- Errors: UP002 symbol.
--
-- Example:
--   SELECT count(*) = 0 FROM upc.impossible_candles('BTC');
CREATE FUNCTION upc.impossible_candles(symbol text)
RETURNS SETOF upc_data.candle
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    PERFORM upc.require_symbol(impossible_candles.symbol);
    RETURN QUERY
    SELECT c.*
    FROM upc_data.candle AS c
    WHERE c.symbol = impossible_candles.symbol
      AND NOT upc.is_candle(c.open, c.high, c.low, c.close, c.volume)
    ORDER BY c.opened_at;
END
$fn$;
COMMENT ON FUNCTION upc.impossible_candles IS
    'the stored candles of a symbol that cannot be, oldest first';


-- Note the UTC days whose counts are out of date since candles of a symbol in some half hours have
-- changed, and the days that fits may have seen. Half hours are few, and no day begins within one.
CREATE FUNCTION upc._note_half_hours(symbol text, half_hours timestamptz[])
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $fn$
BEGIN
    -- A candle is part of the windows of the day 60 minutes before it and of the day 30 minutes
    -- after it.
    INSERT INTO upc_data.candle_change (symbol, day)
    SELECT DISTINCT _note_half_hours.symbol, ((h.half_hour + shift) AT TIME ZONE 'UTC')::date
    FROM unnest(half_hours) AS h (half_hour)
    CROSS JOIN (VALUES (interval '-60 minutes'), (interval '30 minutes')) AS s (shift);

    -- Its volume is part of the forecasts of a whole week after it.
    INSERT INTO upc_data.volatility_change (symbol, day)
    SELECT DISTINCT _note_half_hours.symbol, ((h.half_hour + shift) AT TIME ZONE 'UTC')::date
    FROM unnest(half_hours) AS h (half_hour)
    CROSS JOIN (
        SELECT interval '-60 minutes'
        UNION ALL
        SELECT make_interval(hours => 24 * d) FROM generate_series(0, 7) AS d
    ) AS s (shift);

    -- A note, not a mark on the fit: nobody waits for a build, and a build that cannot see this
    -- candle yet leaves the note for the next one.
    INSERT INTO upc_data.fit_change (symbol, day)
    SELECT DISTINCT _note_half_hours.symbol, (h.half_hour AT TIME ZONE 'UTC')::date
    FROM unnest(half_hours) AS h (half_hour);
END
$fn$;
COMMENT ON FUNCTION upc._note_half_hours IS
    'notes the UTC days whose counts are out of date since candles in some half hours have changed, and the days that fits may have seen';


-- Forget the forecast of a symbol if it was made from candles that have changed. One that is being
-- written is not waited for.
--
-- newest: opening of the newest changed candle that it may have seen. known_at: of the forecast that
-- was looked at; of another one it is not known which candles it has seen.
CREATE FUNCTION upc._forget_forecast(symbol text, newest timestamptz, known_at timestamptz)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    DELETE FROM upc_data.volatility_state AS s
    WHERE s.symbol IN (
        SELECT k.symbol
        FROM upc_data.volatility_state AS k
        WHERE k.symbol = _forget_forecast.symbol
          AND (
              newest >= k.known_at - interval '168 hours'
              OR k.known_at IS DISTINCT FROM _forget_forecast.known_at
          )
        FOR UPDATE SKIP LOCKED
    );
END
$fn$;
COMMENT ON FUNCTION upc._forget_forecast IS
    'forgets the forecast of a symbol if it was made from candles that have changed';


-- Note that candles of a symbol have changed: for whoever inserts, updates or deletes candles with
-- SQL of their own. pyupc's own functions do it themselves.
--
-- since, until: opening times of the first changed candle and after the last one; NULL or endless: as
-- far as there are candles, or days that were counted.
-- Returns the number of UTC days that the next build has to look at for it: those from 60 minutes
-- before the first candle to 30 minutes after the last one.
-- Errors: UP002 symbol; 22023 where until is before since.
--
-- Example:
--   SELECT note_candle_changes('BTC', '2026-01-01 12:00+00', '2026-01-01 13:00+00');
CREATE FUNCTION upc.note_candle_changes(
    symbol text,
    since timestamptz DEFAULT NULL,
    until timestamptz DEFAULT NULL
)
RETURNS integer
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_first timestamptz;
    v_end timestamptz;
    v_half_hours timestamptz[];
    v_known_at timestamptz;
BEGIN
    PERFORM upc.require_symbol(symbol);
    IF until < since THEN
        RAISE EXCEPTION 'until % is before since %', until, since
            USING
                ERRCODE = 'invalid_parameter_value',
                DETAIL = 'The changed candles are those opened at since or later, and before until.',
                HINT = 'Exchange the two.';
    END IF;

    -- Beyond these there is nothing to count, and nothing to take back.
    SELECT
        greatest(note_candle_changes.since, least(c.first_at, d.first_day)),
        least(note_candle_changes.until, greatest(c.last_at + interval '1 minute', d.last_day))
    INTO v_first, v_end
    FROM (
        SELECT min(k.opened_at) AS first_at, max(k.opened_at) AS last_at
        FROM upc_data.candle AS k
        WHERE k.symbol = note_candle_changes.symbol
    ) AS c
    CROSS JOIN (
        SELECT
            min(k.day)::timestamp AT TIME ZONE 'UTC' AS first_day,
            (max(k.day) + 1)::timestamp AT TIME ZONE 'UTC' AS last_day
        FROM upc_data.counted_day AS k
        WHERE k.symbol = note_candle_changes.symbol
    ) AS d
    WHERE c.first_at IS NOT NULL OR d.first_day IS NOT NULL;
    IF (v_first < v_end) IS NOT TRUE THEN
        RETURN 0;
    END IF;

    v_half_hours := ARRAY(
        SELECT h
        FROM generate_series(
            date_bin('30 minutes', v_first, '2000-01-01 00:00:00+00'),
            v_end - interval '1 microsecond',
            interval '30 minutes'
        ) AS h
    );
    PERFORM upc._note_half_hours(symbol, v_half_hours);

    SELECT s.known_at INTO v_known_at
    FROM upc_data.volatility_state AS s
    WHERE s.symbol = note_candle_changes.symbol;
    IF v_first < v_known_at THEN
        PERFORM upc._forget_forecast(
            symbol, least(v_end, v_known_at) - interval '1 microsecond', v_known_at
        );
    END IF;
    RETURN (
        SELECT count(DISTINCT ((h + shift) AT TIME ZONE 'UTC')::date)
        FROM unnest(v_half_hours) AS h
        CROSS JOIN (VALUES (interval '-60 minutes'), (interval '30 minutes')) AS s (shift)
    );
END
$fn$;
COMMENT ON FUNCTION upc.note_candle_changes IS
    'notes that candles of a symbol have changed, so that the next build counts their days again; returns the number of UTC days';


-- UTC days of a symbol that have candles and were never counted, or were counted and have no candle any
-- more: somebody wrote candles and did not note it. A probe of an index for each day.
CREATE FUNCTION upc._uncounted_days(symbol text)
RETURNS SETOF date
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_first timestamptz;
    v_last timestamptz;
BEGIN
    SELECT min(c.opened_at), max(c.opened_at)
    INTO v_first, v_last
    FROM upc_data.candle AS c
    WHERE c.symbol = _uncounted_days.symbol;

    RETURN QUERY
    SELECT coalesce(c.day, d.day)
    FROM (
        SELECT (m.midnight AT TIME ZONE 'UTC')::date AS day
        FROM generate_series(
            date_bin('1 day', v_first, '2000-01-01 00:00:00+00'), v_last, interval '24 hours'
        ) AS m (midnight)
        -- Most days have the first minute, which is found in half the time.
        WHERE EXISTS (
            SELECT FROM upc_data.candle AS o
            WHERE o.symbol = _uncounted_days.symbol AND o.opened_at = m.midnight
        ) OR EXISTS (
            SELECT FROM upc_data.candle AS o
            WHERE o.symbol = _uncounted_days.symbol
              AND o.opened_at > m.midnight
              AND o.opened_at < m.midnight + interval '24 hours'
        )
    ) AS c
    FULL JOIN (
        SELECT k.day FROM upc_data.counted_day AS k WHERE k.symbol = _uncounted_days.symbol
    ) AS d ON d.day = c.day
    WHERE c.day IS NULL OR d.day IS NULL;
END
$fn$;
COMMENT ON FUNCTION upc._uncounted_days IS
    'the UTC days of a symbol that have candles and were never counted, or were counted and have no candle any more';


-- Note the UTC days that have candles and were never counted, or were counted and have no candle any
-- more, unless they are noted: the first step of a build, so that it finds what somebody wrote and did
-- not note.
--
-- Returns the number of such days.
-- Errors: none.
--
-- Example:
--   SELECT note_uncounted_days('BTC') >= 0;
CREATE FUNCTION upc.note_uncounted_days(symbol text)
RETURNS integer
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_half_hours timestamptz[] := ARRAY(
        SELECT u.day::timestamp AT TIME ZONE 'UTC' + k * interval '30 minutes'
        FROM upc._uncounted_days(symbol) AS u (day)
        CROSS JOIN generate_series(0, 47) AS k
        WHERE NOT EXISTS (
            SELECT FROM upc_data.candle_change AS n
            WHERE n.symbol = note_uncounted_days.symbol AND n.day = u.day
        )
    );
BEGIN
    IF v_half_hours <> '{}' THEN
        PERFORM upc._note_half_hours(symbol, v_half_hours);
    END IF;
    RETURN cardinality(v_half_hours) / 48;
END
$fn$;
COMMENT ON FUNCTION upc.note_uncounted_days IS
    'notes the UTC days of a symbol that have candles and were never counted, or the reverse; returns their number';

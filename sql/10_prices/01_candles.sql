-- Candles: their bounds, and the triggers that note the days that have to be counted again.

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
-- checked. A load of the right file replaces them; a DELETE of them makes gaps that
-- `pyupc candles backfill` fills.
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


CREATE FUNCTION upc._note_changed_days(symbols text[], half_hours timestamptz[])
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $fn$
BEGIN
    -- A candle is part of the windows of the day 60 minutes before it and of the day 30 minutes
    -- after it. Half hours are few, and no day begins within one.
    INSERT INTO upc_data.candle_change (symbol, day)
    SELECT DISTINCT h.symbol, ((h.half_hour + shift) AT TIME ZONE 'UTC')::date
    FROM unnest(symbols, half_hours) AS h (symbol, half_hour)
    CROSS JOIN (VALUES (interval '-60 minutes'), (interval '30 minutes')) AS s (shift);

    -- Its range is part of the forecasts of a whole day after it.
    INSERT INTO upc_data.volatility_change (symbol, day)
    SELECT DISTINCT h.symbol, ((h.half_hour + shift) AT TIME ZONE 'UTC')::date
    FROM unnest(symbols, half_hours) AS h (symbol, half_hour)
    CROSS JOIN (
        VALUES (interval '-60 minutes'), (interval '0 minutes'), (interval '24 hours')
    ) AS s (shift);

    -- A note, not a mark on the fit: nobody waits for a build, and a build that cannot see this
    -- candle yet leaves the note for the next one.
    INSERT INTO upc_data.fit_change (symbol, day)
    SELECT DISTINCT h.symbol, (h.half_hour AT TIME ZONE 'UTC')::date
    FROM unnest(symbols, half_hours) AS h (symbol, half_hour);
END
$fn$;
COMMENT ON FUNCTION upc._note_changed_days IS
    'notes the UTC days whose counts are out of date since candles in some half hours have changed, and the days that fits may have seen';


CREATE FUNCTION upc._candle_changed()
RETURNS trigger
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $fn$
BEGIN
    PERFORM upc._note_changed_days(array_agg(h.symbol), array_agg(h.half_hour))
    FROM (
        SELECT DISTINCT
            c.symbol,
            date_bin('30 minutes', c.opened_at, '2000-01-01 00:00:00+00') AS half_hour
        FROM changed AS c
    ) AS h
    HAVING count(*) > 0;

    -- A forecast that saw it is computed again. One that is being written is not waited for.
    DELETE FROM upc_data.volatility_state AS s
    WHERE s.symbol IN (
        SELECT k.symbol
        FROM upc_data.volatility_state AS k
        WHERE EXISTS (
            SELECT
            FROM changed AS c
            WHERE c.symbol = k.symbol
              AND c.opened_at < k.known_at
              AND c.opened_at >= k.known_at - interval '1440 minutes'
        )
        FOR UPDATE SKIP LOCKED
    );
    RETURN NULL;
END
$fn$;
COMMENT ON FUNCTION upc._candle_changed IS
    'trigger: notes the UTC days whose counts a statement on upc_data.candle has made out of date, and forgets forecasts made from what it changed';

CREATE TRIGGER candle_inserted
AFTER INSERT ON upc_data.candle
REFERENCING NEW TABLE AS changed
FOR EACH STATEMENT EXECUTE FUNCTION upc._candle_changed();

CREATE TRIGGER candle_deleted
AFTER DELETE ON upc_data.candle
REFERENCING OLD TABLE AS changed
FOR EACH STATEMENT EXECUTE FUNCTION upc._candle_changed();

-- An update may move a candle from one minute to another, so both its sides count.
CREATE TRIGGER candle_updated_from
AFTER UPDATE ON upc_data.candle
REFERENCING OLD TABLE AS changed
FOR EACH STATEMENT EXECUTE FUNCTION upc._candle_changed();

CREATE TRIGGER candle_updated_to
AFTER UPDATE ON upc_data.candle
REFERENCING NEW TABLE AS changed
FOR EACH STATEMENT EXECUTE FUNCTION upc._candle_changed();


CREATE FUNCTION upc._candle_truncated()
RETURNS trigger
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $fn$
BEGIN
    INSERT INTO upc_data.candle_change (symbol, day)
    SELECT d.symbol, d.day FROM upc_data.counted_day AS d;
    INSERT INTO upc_data.volatility_change (symbol, day)
    SELECT d.symbol, d.day FROM upc_data.volatility_day AS d;
    INSERT INTO upc_data.fit_change (symbol, day)
    SELECT f.symbol, f.fitted_until - 1 FROM upc_data.volatility_fit AS f;
    DELETE FROM upc_data.volatility_state;
    RETURN NULL;
END
$fn$;
COMMENT ON FUNCTION upc._candle_truncated IS
    'trigger: notes every counted day when upc_data.candle is emptied by TRUNCATE';

CREATE TRIGGER candle_truncated
BEFORE TRUNCATE ON upc_data.candle
FOR EACH STATEMENT EXECUTE FUNCTION upc._candle_truncated();

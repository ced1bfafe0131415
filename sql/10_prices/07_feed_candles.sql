-- Candles of closed minutes that a feed writes, and the locks of those who feed.

-- Store candles of one minute, oldest first; those that are stored already are replaced if they
-- differ. All or none.
--
-- opened_at: opening minutes, each once. open, high, low, close: USD. volume: units of the symbol.
-- Returns the number of new or different ones.
-- Errors: UP002 symbol; 23502 and 23514 where upc_data.candle refuses a candle.
--
-- Example:
--   SELECT record_candles('BTC', '{2026-01-01 12:00+00}', '{9}', '{10}', '{8}', '{9}', '{1}') = 1;
CREATE FUNCTION upc.record_candles(
    symbol text,
    opened_at timestamptz[],
    open double precision[],
    high double precision[],
    low double precision[],
    close double precision[],
    volume double precision[]
)
RETURNS integer
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_known_at timestamptz;
    v_half_hours timestamptz[];
    v_newest timestamptz;
    v_count integer;
BEGIN
    PERFORM upc.require_symbol(symbol);
    SELECT s.known_at INTO v_known_at
    FROM upc_data.volatility_state AS s
    WHERE s.symbol = record_candles.symbol;

    WITH stored AS (
        INSERT INTO upc_data.candle AS c (symbol, opened_at, open, high, low, close, volume)
        SELECT
            record_candles.symbol, n.opened_at, n.open, n.high, n.low, n.close,
            -- An exchange's -0 is stored with the bits of 0.
            n.volume + 0
        FROM unnest(
            record_candles.opened_at, record_candles.open, record_candles.high,
            record_candles.low, record_candles.close, record_candles.volume
        ) AS n (opened_at, open, high, low, close, volume)
        -- Two writers that take the rows in one order cannot block each other in a circle.
        ORDER BY n.opened_at
        -- Equal candles are not written again: each write makes a day's counts out of date.
        ON CONFLICT ON CONSTRAINT candle_symbol_opened_at_pkey DO UPDATE
        SET open = excluded.open,
            high = excluded.high,
            low = excluded.low,
            close = excluded.close,
            volume = excluded.volume
        WHERE (c.open, c.high, c.low, c.close, c.volume) IS DISTINCT FROM
            (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume)
        RETURNING c.opened_at
    )
    SELECT
        array_agg(DISTINCT date_bin('30 minutes', s.opened_at, '2000-01-01 00:00:00+00')),
        max(s.opened_at) FILTER (WHERE s.opened_at < v_known_at),
        count(*)
    INTO v_half_hours, v_newest, v_count
    FROM stored AS s;

    IF v_count > 0 THEN
        PERFORM upc._note_half_hours(symbol, v_half_hours);
        PERFORM upc._forget_forecast(symbol, v_newest, v_known_at);
    END IF;
    RETURN v_count;
END
$fn$;
COMMENT ON FUNCTION upc.record_candles IS
    'stores candles of one minute that are new or differ, notes their days, and returns their number';


-- Key of the advisory lock that the feed of a symbol from an exchange holds.
--
-- Example:
--   SELECT upc.feed_lock_key('BTC', 'coinbase') <> upc.feed_lock_key('ETH', 'coinbase');
CREATE FUNCTION upc.feed_lock_key(symbol text, exchange text)
RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN hashtextextended(
    'pyupc feed of ' || feed_lock_key.symbol || ' from ' || feed_lock_key.exchange, 0
);
COMMENT ON FUNCTION upc.feed_lock_key IS
    'the key of the advisory lock that the feed of a symbol from an exchange holds';


-- Key of the advisory lock that one feed of a symbol holds, the one that stores its candles.
--
-- Example:
--   SELECT pg_try_advisory_xact_lock(upc.candle_lock_key('BTC'));
CREATE FUNCTION upc.candle_lock_key(symbol text)
RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN hashtextextended('pyupc feed of candles of ' || candle_lock_key.symbol, 0);
COMMENT ON FUNCTION upc.candle_lock_key IS
    'the key of the advisory lock that the one feed of a symbol holds that stores its candles';


-- True while a process feeds a symbol from an exchange: its lock is held.
--
-- Example:
--   SELECT NOT upc.is_fed('BTC', 'coinbase');
CREATE FUNCTION upc.is_fed(symbol text, exchange text)
RETURNS boolean
LANGUAGE sql STABLE PARALLEL RESTRICTED
RETURN EXISTS (
    SELECT
    FROM pg_catalog.pg_locks AS l
    JOIN pg_catalog.pg_database AS d ON d.oid = l.database
    WHERE l.locktype = 'advisory'
      AND l.granted
      AND d.datname = current_database()
      AND l.objsubid = 1
      AND l.classid::bigint << 32 | l.objid::bigint
          = upc.feed_lock_key(is_fed.symbol, is_fed.exchange)
);
COMMENT ON FUNCTION upc.is_fed IS
    'true while a process feeds a symbol from an exchange: its lock is held';

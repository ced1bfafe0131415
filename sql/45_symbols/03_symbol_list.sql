-- The list of symbols: what each has, and who works for it.

CREATE FUNCTION upc._held_advisory_keys()
RETURNS bigint[]
LANGUAGE sql VOLATILE PARALLEL RESTRICTED
RETURN ARRAY(
    SELECT l.classid::bigint << 32 | l.objid::bigint
    FROM pg_catalog.pg_locks AS l
    JOIN pg_catalog.pg_database AS d ON d.oid = l.database
    WHERE l.locktype = 'advisory'
      AND l.granted
      AND d.datname = current_database()
      AND l.objsubid = 1
);
COMMENT ON FUNCTION upc._held_advisory_keys IS
    'the keys of all advisory locks of one number that are held in this database';


-- Exchanges that a symbol is fed from, of those that its candles or prices came from lately.
CREATE FUNCTION upc._fed_from(symbol text, held bigint[], at timestamptz)
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_exchange text;
BEGIN
    SELECT p.exchange
    INTO v_exchange
    FROM upc_data.price AS p
    WHERE p.symbol = _fed_from.symbol
      AND p.received_at > _fed_from.at - interval '1 minute'
      AND upc.feed_lock_key(p.symbol, p.exchange) = ANY (held)
    ORDER BY p.received_at DESC
    LIMIT 1;
    IF FOUND THEN
        RETURN v_exchange;
    END IF;
    RETURN CASE WHEN upc.candle_lock_key(symbol) = ANY (held) THEN 'a feed without prices' END;
END
$fn$;
COMMENT ON FUNCTION upc._fed_from IS
    'exchange that a symbol is being fed from, NULL where none is; held: keys of the advisory locks that are held';


-- The symbols with what is stored of each and who works for it, in the order of their names.
--
-- symbols: only these; NULL all, those that are being retired among them.
-- Returns one row per symbol. step: USD. exchange_pair: the pair that is read. first_candle and
-- last_candle: opening times. has_fingerprints: has curves of its own, built or imported. has_views:
-- has named views in analytics. ticked_by: holder of the right to tick it, if it is in force.
-- fed_from: exchange whose feed stores its candles or logged a price in the last minute.
-- is_retiring: registered no more, and rows of it are left.
-- Errors: UP002 for one of `symbols` that is neither registered nor being retired.
--
-- Example:
--   SELECT step FROM symbol_list('{BTC}');
CREATE FUNCTION upc.symbol_list(symbols text[] DEFAULT NULL)
RETURNS TABLE (
    symbol text,
    step double precision,
    exchange_pair text,
    kalshi_series text[],
    first_candle timestamptz,
    last_candle timestamptz,
    has_fingerprints boolean,
    has_views boolean,
    ticked_by text,
    fed_from text,
    is_retiring boolean
)
LANGUAGE plpgsql VOLATILE PARALLEL RESTRICTED
AS $fn$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_held bigint[] := upc._held_advisory_keys();
BEGIN
    PERFORM upc.require_symbol(n.name)
    FROM unnest(symbols) AS n (name)
    WHERE NOT EXISTS (SELECT FROM upc_data.retirement AS r WHERE r.symbol = n.name);

    RETURN QUERY
    SELECT
        s.symbol,
        s.strike_step,
        s.pair,
        s.kalshi_series,
        (SELECT min(c.opened_at) FROM upc_data.candle AS c WHERE c.symbol = s.symbol),
        (SELECT max(c.opened_at) FROM upc_data.candle AS c WHERE c.symbol = s.symbol),
        EXISTS (SELECT FROM upc.fingerprint_curve AS f WHERE f.symbol = s.symbol),
        s.has_views,
        (
            SELECT l.holder FROM upc_data.tick_lease AS l
            WHERE l.symbol = s.symbol AND l.expires_at > v_now
        ),
        upc._fed_from(s.symbol, v_held, v_now),
        s.is_retiring
    FROM (
        SELECT
            k.symbol,
            k.strike_step,
            coalesce(k.exchange_pair, k.symbol || '/USD') AS pair,
            (
                SELECT array_agg(r.series ORDER BY r.series)
                FROM upc_data.series AS r
                WHERE r.symbol = k.symbol
            ) AS kalshi_series,
            k.has_views,
            false AS is_retiring
        FROM upc_data.symbol AS k

        UNION ALL

        SELECT r.symbol, NULL, NULL, NULL, false, true FROM upc_data.retirement AS r
    ) AS s
    WHERE symbol_list.symbols IS NULL OR s.symbol = ANY (symbol_list.symbols)
    ORDER BY s.symbol;
END
$fn$;
COMMENT ON FUNCTION upc.symbol_list IS
    'the symbols with what is stored of each and who works for it';

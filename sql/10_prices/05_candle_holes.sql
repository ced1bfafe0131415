-- Holes: minutes of which an exchange is known to have no candle.

-- Let one session at a time change the known holes of a symbol at an exchange, until the
-- transaction ends.
CREATE FUNCTION upc._lock_candle_holes(symbol text, exchange text)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET lock_timeout = 0
AS $fn$
BEGIN
    PERFORM pg_advisory_xact_lock(
        hashtextextended(
            format('upc_data.candle_hole %s %s', _lock_candle_holes.symbol, exchange), 0
        )
    );
END
$fn$;
COMMENT ON FUNCTION upc._lock_candle_holes IS
    'lets one session at a time change the known holes of a symbol at an exchange';


-- Record that an exchange has no candles from `opened_from` up to `opened_until`. Holes that touch or
-- overlap become one.
--
-- Errors: UP002 symbol.
--
-- Example:
--   SELECT upc.record_candle_hole(
--     'BTC', 'coinbase', '2023-03-24 12:40+00', '2023-03-24 14:00+00');
CREATE FUNCTION upc.record_candle_hole(
    symbol text,
    exchange text,
    opened_from timestamptz,
    opened_until timestamptz
)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $fn$
DECLARE
    v_from timestamptz;
    v_until timestamptz;
BEGIN
    PERFORM upc.require_symbol(record_candle_hole.symbol);
    PERFORM upc._lock_candle_holes(record_candle_hole.symbol, record_candle_hole.exchange);

    WITH touched AS (
        DELETE FROM upc_data.candle_hole AS h
        WHERE h.symbol = record_candle_hole.symbol
            AND h.exchange = record_candle_hole.exchange
            AND h.opened_from <= record_candle_hole.opened_until
            AND h.opened_until >= record_candle_hole.opened_from
        RETURNING h.opened_from, h.opened_until
    )
    SELECT
        least(record_candle_hole.opened_from, min(touched.opened_from)),
        greatest(record_candle_hole.opened_until, max(touched.opened_until))
    INTO v_from, v_until
    FROM touched;

    INSERT INTO upc_data.candle_hole (symbol, exchange, opened_from, opened_until)
    VALUES (record_candle_hole.symbol, record_candle_hole.exchange, v_from, v_until);
END
$fn$;
COMMENT ON FUNCTION upc.record_candle_hole IS
    'records that an exchange has no candles in a span of time';


-- Forget the known holes of an exchange from `opened_from` up to `opened_until`. A hole that reaches
-- beyond keeps its part outside.
--
-- Errors: UP002 symbol.
--
-- Example:
--   SELECT upc.forget_candle_holes(
--     'BTC', 'coinbase', '2023-03-24 12:40+00', '2023-03-24 14:00+00');
CREATE FUNCTION upc.forget_candle_holes(
    symbol text,
    exchange text,
    opened_from timestamptz,
    opened_until timestamptz
)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $fn$
DECLARE
    v_hole record;
BEGIN
    PERFORM upc.require_symbol(forget_candle_holes.symbol);
    PERFORM upc._lock_candle_holes(forget_candle_holes.symbol, forget_candle_holes.exchange);

    FOR v_hole IN
        DELETE FROM upc_data.candle_hole AS h
        WHERE h.symbol = forget_candle_holes.symbol
            AND h.exchange = forget_candle_holes.exchange
            AND h.opened_from < forget_candle_holes.opened_until
            AND h.opened_until > forget_candle_holes.opened_from
        RETURNING h.opened_from, h.opened_until
    LOOP
        INSERT INTO upc_data.candle_hole (symbol, exchange, opened_from, opened_until)
        SELECT
            forget_candle_holes.symbol,
            forget_candle_holes.exchange,
            rest.opened_from,
            rest.opened_until
        FROM (
            VALUES
                (v_hole.opened_from, forget_candle_holes.opened_from),
                (forget_candle_holes.opened_until, v_hole.opened_until)
        ) AS rest (opened_from, opened_until)
        WHERE rest.opened_from < rest.opened_until;
    END LOOP;
END
$fn$;
COMMENT ON FUNCTION upc.forget_candle_holes IS
    'forgets the known holes of an exchange in a span of time';

-- Refusals that several functions share: the errors of arguments that cannot be.

CREATE FUNCTION upc._some_symbols()
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_most integer := 10;
    v_count bigint := (SELECT count(*) FROM upc_data.symbol AS s);
BEGIN
    RETURN coalesce(
        (
            SELECT string_agg(s.symbol, ', ' ORDER BY s.symbol)
            FROM (
                SELECT k.symbol FROM upc_data.symbol AS k ORDER BY k.symbol LIMIT v_most
            ) AS s
        ) || CASE WHEN v_count > v_most THEN format(' and %s more', v_count - v_most) ELSE '' END,
        'none'
    );
END
$fn$;
COMMENT ON FUNCTION upc._some_symbols IS
    'the registered symbols as a text for hints: ten at most, and how many more there are';


-- Refuse a symbol that is not registered: the guard in front of everything that takes one.
--
-- Errors: UP002 symbol.
--
-- Example:
--   SELECT upc.require_symbol('BTC');
CREATE FUNCTION upc.require_symbol(symbol text)
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    IF EXISTS (SELECT FROM upc_data.symbol AS s WHERE s.symbol = require_symbol.symbol) THEN
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM upc_data.retirement AS r WHERE r.symbol = require_symbol.symbol) THEN
        RAISE EXCEPTION 'symbol % is being retired', quote_literal(require_symbol.symbol)
            USING
                ERRCODE = 'UP002',
                DETAIL = 'It is registered no more, and its rows are being removed.',
                HINT = format(
                    'Finish with "pyupc symbols retire %s --yes", then "pyupc symbols add" can '
                    'register it again.',
                    require_symbol.symbol
                );
    END IF;
    RAISE EXCEPTION 'unknown symbol %', coalesce(quote_literal(require_symbol.symbol), 'NULL')
        USING
            ERRCODE = 'UP002',
            DETAIL = 'Symbols are upper case and registered in upc_data.symbol.',
            HINT = format(
                'Registered: %s. "pyupc symbols add" registers another.', upc._some_symbols()
            );
END
$fn$;
COMMENT ON FUNCTION upc.require_symbol IS
    'raises UP002 unless the symbol is registered';


-- Refuse a price that is not finite, or not above zero. hint: the way out, for the caller.
CREATE FUNCTION upc._refuse_price(price double precision, hint text)
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    RAISE EXCEPTION 'price must be a positive number, got %', coalesce(price::text, 'NULL')
        USING
            ERRCODE = 'UP001',
            DETAIL = 'A price is in quote currency per unit, finite and above zero.',
            HINT = hint;
END
$fn$;
COMMENT ON FUNCTION upc._refuse_price IS
    'raises UP001: a price that is not finite, or not above zero';

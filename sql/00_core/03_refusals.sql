-- Refusals that several functions share: the errors of arguments that cannot be.

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
    RAISE EXCEPTION 'unknown symbol %', coalesce(quote_literal(require_symbol.symbol), 'NULL')
        USING
            ERRCODE = 'UP002',
            DETAIL = 'Symbols are upper case and registered in upc_data.symbol.',
            HINT = 'Registered: ' || coalesce(
                (SELECT string_agg(s.symbol, ', ' ORDER BY s.symbol) FROM upc_data.symbol AS s),
                'none'
            ) || '.';
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

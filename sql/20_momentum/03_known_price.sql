-- The newest price of the log with all that goes with it.

-- The price of a symbol by the log, with its momentum, its state and its exchange.
-- Errors: UP011 no price.
CREATE FUNCTION upc._known_price(
    symbol text,
    at timestamptz,
    OUT price double precision,
    OUT momentum double precision,
    OUT price_state text,
    OUT source text
)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
AS $fn$
DECLARE
    v_logged record;
BEGIN
    v_logged := upc._logged_price(symbol, at);
    IF v_logged.price IS NULL THEN
        RAISE EXCEPTION 'the price log has no price of %', symbol
            USING
                ERRCODE = 'UP011',
                DETAIL = 'Without a price in the arguments the newest one of the log is taken.',
                HINT = format('Pass a price, or start the feed: pyupc feed --symbol %s', symbol);
    END IF;
    price := v_logged.price;
    source := v_logged.source;
    momentum := (upc.momentum(symbol, at, price)).momentum;
    price_state := upc._logged_state(
        symbol, 'database', at, v_logged.priced_at, v_logged.same_since, v_logged.newest_at
    );
END
$fn$;
COMMENT ON FUNCTION upc._known_price IS
    'the newest logged price of a symbol by an instant in USD, its momentum in basis points, its state and its exchange; raises UP011 without one';

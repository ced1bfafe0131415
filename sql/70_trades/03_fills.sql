-- Fills: the ledger of what was bought and sold, and what cannot be.

CREATE FUNCTION upc._refuse_trade(reason text, detail text, hint text)
RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
BEGIN
    RAISE EXCEPTION '%', reason USING ERRCODE = 'UP015', DETAIL = detail, HINT = hint;
END
$fn$;
COMMENT ON FUNCTION upc._refuse_trade IS 'raises UP015: a trade that cannot be';


-- Makers pay where the series has maker fees.
CREATE FUNCTION upc._dollars_fee(
    symbol text,
    event_ticker text,
    price numeric,
    contracts numeric,
    is_sale boolean DEFAULT false,
    is_maker boolean DEFAULT false
)
RETURNS numeric
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_fees upc._fee_terms := upc._fees_of_event(symbol, event_ticker);
BEGIN
    IF is_maker AND EXISTS (
        SELECT FROM upc_data.market_event AS e
        JOIN upc_data.series AS s ON s.symbol = e.symbol AND s.series = e.series_ticker
        WHERE e.symbol = _dollars_fee.symbol
          AND e.event_ticker = _dollars_fee.event_ticker
          AND s.fee_type = 'quadratic'
    ) THEN
        v_fees.multiplier := 0;
    END IF;
    RETURN upc._fill_fee(price, contracts, is_maker, is_sale, v_fees);
END
$fn$;
COMMENT ON FUNCTION upc._dollars_fee IS
    'what Kalshi takes of a fill of contracts of an event, in USD';


CREATE FUNCTION upc._check_fill_fee(fee numeric, is_maker boolean)
RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
BEGIN
    IF NOT coalesce(fee >= 0 AND fee < 1e12, true) THEN
        PERFORM upc._refuse_trade(
            format('fee must not be below zero, got %s', fee),
            'It is what was charged for all contracts of the fill, in USD.',
            'Leave it out to have it computed.'
        );
    END IF;
    IF is_maker IS NULL THEN
        PERFORM upc._refuse_trade(
            -- Not a constant: the call would fail where the body is checked.
            format('is_maker must be true or false, got %s', coalesce(is_maker::text, 'NULL')),
            'A maker''s order rested in the book before it was filled.',
            'Leave it out for a taker.'
        );
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._check_fill_fee IS
    'raises UP015 for a fee below zero or that is no number; NULL is one to be computed';


-- Put a fill into the ledger. The caller holds the lock of the trade's row.
CREATE FUNCTION upc._record_fill(
    symbol text,
    trade_id bigint,
    kind text,
    price numeric,
    count numeric,
    is_maker boolean,
    fee numeric,
    is_fee_charged boolean,
    at timestamptz,
    note text DEFAULT NULL
)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_last integer;
BEGIN
    SELECT max(f.fill)
    INTO v_last
    FROM upc_data.fill AS f
    WHERE f.symbol = _record_fill.symbol AND f.trade_id = _record_fill.trade_id;

    INSERT INTO upc_data.fill (
        symbol, trade_id, fill, kind, price, count, is_maker, fee, is_fee_charged, filled_at,
        note
    )
    VALUES (
        symbol, trade_id, coalesce(v_last, 0) + 1, kind, price, count, is_maker, fee,
        is_fee_charged, at, note
    );
END
$fn$;
COMMENT ON FUNCTION upc._record_fill IS
    'puts a purchase, sale, settlement or correction of some contracts of a trade into the ledger';

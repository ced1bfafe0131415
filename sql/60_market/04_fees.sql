-- Fees: what Kalshi takes of a fill, exact, by its documentation of fee rounding.

-- Terms by which the fees of a symbol are worked out. Another formula of fees, or another number that
-- it needs, has its place in this file and nowhere else.
CREATE TYPE upc._fee_terms AS (
    multiplier numeric,
    account_precision numeric
);
COMMENT ON TYPE upc._fee_terms IS
    'terms of fees: the multiplier of the series, and what the account''s balance is a multiple of, USD';


-- series: NULL is the first one of the symbol that is above a strike. Where there is none the multiplier is 1.
CREATE FUNCTION upc._fees_of(symbol text, series text)
RETURNS upc._fee_terms
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_multiplier numeric;
BEGIN
    SELECT s.fee_multiplier
    INTO v_multiplier
    FROM upc_data.series AS s
    WHERE s.symbol = _fees_of.symbol
      AND CASE
          WHEN _fees_of.series IS NULL THEN s.kind = 'above'
          ELSE s.series = _fees_of.series
      END
    ORDER BY s.series
    LIMIT 1;
    RETURN (coalesce(v_multiplier, 1), upc.setting('account_precision')::numeric)::upc._fee_terms;
END
$fn$;
COMMENT ON FUNCTION upc._fees_of IS
    'terms of the fees of a series: its multiplier, and the setting upc.account_precision';


CREATE FUNCTION upc._fees_of_event(symbol text, event_ticker text)
RETURNS upc._fee_terms
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    RETURN upc._fees_of(
        symbol,
        (
            SELECT e.series_ticker
            FROM upc_data.market_event AS e
            WHERE e.symbol = _fees_of_event.symbol
              AND e.event_ticker = _fees_of_event.event_ticker
        )
    );
END
$fn$;
COMMENT ON FUNCTION upc._fees_of_event IS
    'terms of the fees of an event: those of its series, or as _fees_of has them where it is not known';


CREATE FUNCTION upc._refuse_fee(price numeric, count numeric, fees upc._fee_terms)
RETURNS numeric
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
BEGIN
    RAISE EXCEPTION 'no fee of % contracts at % with multiplier % and account precision %',
        count, price, fees.multiplier, coalesce(fees.account_precision::text, 'NULL')
        USING
            ERRCODE = 'UP026',
            DETAIL = 'A price is from 0 to 1 USD, a count and a multiplier are not negative, and an account''s precision is above 0 and at most 1 USD.',
            HINT = 'The precision is 0.0001 for direct members and 0.01 for others: SET upc.account_precision = ''0.01''.';
END
$fn$;
COMMENT ON FUNCTION upc._refuse_fee IS 'raises UP026: a fee of what cannot be traded';


-- The fee of the model, before it is brought to what an account can hold.
CREATE FUNCTION upc._model_fee(price numeric, count numeric, is_maker boolean, fees upc._fee_terms)
RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ceil(
    10000 * CASE WHEN _model_fee.is_maker THEN 0.0175 ELSE 0.07 END
    * (_model_fee.fees).multiplier
    * _model_fee.count * _model_fee.price * (1 - _model_fee.price)
) * 0.0001;
COMMENT ON FUNCTION upc._model_fee IS
    'multiplier · 0.07 (maker: 0.0175) · count · P · (1 − P) USD, rounded up to 0.0001';


-- Cost of a purchase, in USD.
CREATE FUNCTION upc._amount_paid(price numeric, count numeric, is_maker boolean, fees upc._fee_terms)
RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ceil(
    (
        _amount_paid.price * _amount_paid.count
        + upc._model_fee(
            _amount_paid.price, _amount_paid.count, _amount_paid.is_maker, _amount_paid.fees
        )
    ) / (_amount_paid.fees).account_precision
) * (_amount_paid.fees).account_precision;
COMMENT ON FUNCTION upc._amount_paid IS
    'price and fee of a purchase in USD, rounded up to what the account''s balance is a multiple of';


-- Proceeds of a sale, in USD.
CREATE FUNCTION upc._amount_received(
    price numeric,
    count numeric,
    is_maker boolean,
    fees upc._fee_terms
)
RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN floor(
    (
        _amount_received.price * _amount_received.count
        - upc._model_fee(
            _amount_received.price, _amount_received.count, _amount_received.is_maker,
            _amount_received.fees
        )
    ) / (_amount_received.fees).account_precision
) * (_amount_received.fees).account_precision;
COMMENT ON FUNCTION upc._amount_received IS
    'price less fee of a sale in USD, rounded down to what the account''s balance is a multiple of';


CREATE FUNCTION upc._fill_fee(
    price numeric,
    count numeric,
    is_maker boolean,
    is_sale boolean,
    fees upc._fee_terms
)
RETURNS numeric
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
BEGIN
    IF NOT (
        price BETWEEN 0 AND 1
        AND count >= 0 AND count < 'infinity'
        AND fees.multiplier >= 0 AND fees.multiplier < 'infinity'
        AND fees.account_precision > 0 AND fees.account_precision <= 1
    ) THEN
        RETURN upc._refuse_fee(price, count, fees);
    END IF;
    IF is_sale THEN
        RETURN price * count - upc._amount_received(price, count, is_maker, fees);
    END IF;
    RETURN upc._amount_paid(price, count, is_maker, fees) - price * count;
END
$fn$;
COMMENT ON FUNCTION upc._fill_fee IS
    'fee of one fill in USD, its rounding in it; raises UP026 for what cannot be traded';


-- Fee that Kalshi takes of one fill, in USD.
--
-- price: USD per contract. count: contracts. is_maker: the order rested; ask with it only where the
-- series has maker fees. multiplier: of the series. account_precision: what the account's balance is
-- a multiple of, USD: 0.0001 for direct members, 0.01 for others; NULL takes the setting
-- upc.account_precision (0.01). is_sale: the contracts are sold.
-- Returns the fee of the model (multiplier · 0.07, of a maker 0.0175, · count · P · (1 − P), rounded
-- up to 0.0001) and what rounding adds to it: what is paid is rounded up to the account's precision,
-- what is received down. NULL of a NULL price, count, multiplier or side.
-- Errors: UP026 what cannot be traded.
--
-- Example: SELECT trade_fee(0.97, 10) = 0.03;
CREATE FUNCTION upc.trade_fee(
    price numeric,
    count numeric DEFAULT 1,
    is_maker boolean DEFAULT false,
    multiplier numeric DEFAULT 1,
    account_precision numeric DEFAULT NULL,
    is_sale boolean DEFAULT false
)
RETURNS numeric
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    RETURN upc._fill_fee(
        price, count, is_maker, is_sale,
        (multiplier, coalesce(account_precision, upc.setting('account_precision')::numeric))
    );
END
$fn$;
COMMENT ON FUNCTION upc.trade_fee IS
    'fee that Kalshi takes of one fill of some contracts at a price in USD, in USD, rounded as the account''s balance is';


-- Fees that Kalshi takes of the fills of one order, in USD.
--
-- prices, counts: of the fills, in their order. are_makers: true where the order rested; NULL means that
-- none of it did. multiplier, account_precision, is_sale: as in trade_fee.
-- Returns one row per fill: the fee of the model; what rounding adds to it; the rounding of the
-- order that was not given back before this fill's rebate; the rebate; the fee, which is model fee
-- and rounding less the rebate. Once more than a cent of rounding has added up, whole cents of it
-- are given back, but never more than the fill's own fee: what it cannot bear waits for the next.
-- Errors: UP026 what cannot be traded, or lists of different lengths.
--
-- Example:
--   SELECT array_agg(fee ORDER BY fill) = '{0.010097, 0.000097, 0.000097}'
--   FROM order_fees('{0.3301, 0.3301, 0.3301}', '{0.03, 0.03, 0.03}', account_precision => 0.01);
CREATE FUNCTION upc.order_fees(
    prices numeric[],
    counts numeric[],
    are_makers boolean[] DEFAULT NULL,
    multiplier numeric DEFAULT 1,
    account_precision numeric DEFAULT NULL,
    is_sale boolean DEFAULT false
)
RETURNS TABLE (
    fill integer,
    model_fee numeric,
    rounding numeric,
    accumulated numeric,
    rebate numeric,
    fee numeric
)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 5
AS $fn$
DECLARE
    v_fees upc._fee_terms := (
        multiplier, coalesce(account_precision, upc.setting('account_precision')::numeric)
    );
BEGIN
    IF cardinality(prices) <> cardinality(counts)
        OR cardinality(prices) <> cardinality(are_makers)
    THEN
        RAISE EXCEPTION '% prices, % counts and % makers',
            cardinality(prices), cardinality(counts), cardinality(are_makers)
            USING
                ERRCODE = 'UP026',
                DETAIL = 'Every fill of an order has a price and a count.',
                HINT = 'Pass lists of the same length.';
    END IF;

    accumulated := 0;
    rebate := 0;
    fill := 0;
    WHILE fill < cardinality(prices) LOOP
        fill := fill + 1;
        fee := upc._fill_fee(
            prices[fill], counts[fill], coalesce(are_makers[fill], false), is_sale, v_fees
        );
        model_fee := upc._model_fee(
            prices[fill], counts[fill], coalesce(are_makers[fill], false), v_fees
        );
        rounding := fee - model_fee;
        accumulated := accumulated - rebate + rounding;
        rebate := greatest(0, 0.01 * least(ceil(100 * accumulated) - 1, floor(100 * fee)));
        fee := fee - rebate;
        RETURN NEXT;
    END LOOP;
END
$fn$;
COMMENT ON FUNCTION upc.order_fees IS
    'fees that Kalshi takes of the fills of one order in USD, with the rounding that it gives back';

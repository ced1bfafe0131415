-- Edges: where an ask becomes one. A contracts pay on average, less its ask and its fee.

CREATE TYPE upc._edge_terms AS (
    contracts numeric,
    fees upc._fee_terms
);
COMMENT ON TYPE upc._edge_terms IS
    'order that an edge is for: how many contracts it has, and the terms of its fees';


-- The order that the edges of a symbol are for: of so many contracts as the setting
-- upc.edge_contracts has (10).
-- Errors: 22023 for a setting that makes no sense.
CREATE FUNCTION upc._symbol_order(symbol text)
RETURNS upc._edge_terms
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_contracts numeric := upc.setting('edge_contracts')::numeric;
    v_fees upc._fee_terms := (
        SELECT upc._fees_of(s) FROM upc_data.symbol AS s WHERE s.symbol = _symbol_order.symbol
    );
BEGIN
    IF NOT (
        v_contracts > 0 AND v_contracts < 'infinity'
        AND v_fees.account_precision > 0 AND v_fees.account_precision <= 1
    ) THEN
        RAISE EXCEPTION 'a setting of the edges makes no sense: edge_contracts %, account_precision %',
            v_contracts, v_fees.account_precision
            USING
                ERRCODE = 'invalid_parameter_value',
                DETAIL = 'An order has more than no contracts; a balance is a multiple of more than 0 and at most 1 USD.',
                HINT = 'They are the settings upc.edge_contracts and upc.account_precision.';
    END IF;
    RETURN (v_contracts, v_fees);
END
$fn$;
COMMENT ON FUNCTION upc._symbol_order IS
    'the order that the edges of a symbol are for';


-- Cost of one contract in an order of some, in cents: its part of the price of all, fee and rounding
-- in it.
CREATE FUNCTION upc._contract_cost(ask numeric, terms upc._edge_terms)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
    100 * upc._amount_paid(
        _contract_cost.ask, (_contract_cost.terms).contracts, false, (_contract_cost.terms).fees
    )
)::double precision / (_contract_cost.terms).contracts::double precision;
COMMENT ON FUNCTION upc._contract_cost IS
    'cost of a contract at an ask in USD in an order of some, with its part of the taker fee, in cents';


-- A probability in percent is what a contract pays on average in cents; 100 or 0 is what it paid.
CREATE FUNCTION upc._edge(probability double precision, cost double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN _edge.probability - _edge.cost;
COMMENT ON FUNCTION upc._edge IS
    'edge of a contract in cents: its probability in percent, less its cost in cents as _contract_cost has it';

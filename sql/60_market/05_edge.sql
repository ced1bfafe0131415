-- Edges: where an ask becomes one. What a contract pays on average, less its ask and its fee.

-- What an edge is for: an order of so many contracts, the setting upc.edge_contracts (10), and the fees
-- that the symbol has.
-- Errors: 22023 for a setting that makes no sense.
CREATE FUNCTION upc._edge_terms(symbol text, OUT contracts numeric, OUT fees upc._fee_terms)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    contracts := upc.setting('edge_contracts')::numeric;
    fees := upc._symbol_fees(symbol);
    IF NOT (
        contracts > 0 AND contracts < 'infinity'
        AND fees.account_precision > 0 AND fees.account_precision <= 1
    ) THEN
        RAISE EXCEPTION 'a setting of the edges makes no sense: edge_contracts %, account_precision %',
            contracts, fees.account_precision
            USING
                ERRCODE = 'invalid_parameter_value',
                DETAIL = 'An order has more than no contracts; a balance is a multiple of more than 0 and at most 1 USD.',
                HINT = 'They are the settings upc.edge_contracts and upc.account_precision.';
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._edge_terms IS
    'order that the edges of a symbol are for: how many contracts it has, and the terms of its fees';


-- What one contract costs in an order of some, in cents: its part of what is paid for all, fee and
-- rounding in it.
CREATE FUNCTION upc._contract_cost(ask numeric, contracts numeric, fees upc._fee_terms)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
    100 * upc._amount_paid(
        _contract_cost.ask, _contract_cost.contracts, false, _contract_cost.fees
    )
)::double precision / _contract_cost.contracts::double precision;
COMMENT ON FUNCTION upc._contract_cost IS
    'cost of a contract at an ask in USD in an order of some, with its part of the taker fee, in cents';


-- A probability in percent is what a contract pays on average in cents; 100 or 0 is what it paid.
CREATE FUNCTION upc._edge(probability double precision, cost double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN _edge.probability - _edge.cost;
COMMENT ON FUNCTION upc._edge IS
    'edge of a contract in cents: its probability in percent, less its cost in cents as _contract_cost has it';

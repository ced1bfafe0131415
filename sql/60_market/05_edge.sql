-- Edges: what a contract pays on average, less its ask and its fee.

-- What one contract costs in an order of some, in cents: its part of what is paid for all, fee and
-- rounding in it. An edge is a probability in percent less this.
CREATE FUNCTION upc._contract_cost(
    ask numeric,
    contracts numeric,
    multiplier numeric,
    account_precision numeric
)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
    100 * upc._amount_paid(
        _contract_cost.ask, _contract_cost.contracts, false, _contract_cost.multiplier,
        _contract_cost.account_precision
    )
)::double precision / _contract_cost.contracts::double precision;
COMMENT ON FUNCTION upc._contract_cost IS
    'what a contract at an ask in USD costs in an order of some, with its part of the taker fee, in cents';


-- Settings that an edge is for: how many contracts an order has, upc.edge_contracts (10), and what the
-- account's balance is a multiple of, upc.account_precision (0.01 USD).
-- Errors: 22023 for one that makes no sense.
CREATE FUNCTION upc._edge_settings(OUT contracts numeric, OUT account_precision numeric)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    contracts := upc.setting('edge_contracts')::numeric;
    account_precision := upc.setting('account_precision')::numeric;
    IF NOT (
        contracts > 0 AND contracts < 'infinity'
        AND account_precision > 0 AND account_precision <= 1
    ) THEN
        RAISE EXCEPTION 'a setting of the edges makes no sense: edge_contracts %, account_precision %',
            contracts, account_precision
            USING
                ERRCODE = 'invalid_parameter_value',
                DETAIL = 'An order has more than no contracts; a balance is a multiple of more than 0 and at most 1 USD.',
                HINT = 'They are the settings upc.edge_contracts and upc.account_precision.';
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._edge_settings IS
    'the settings that edges are for: how many contracts an order has, and what the account''s balance is a multiple of, USD';

-- Edges: where an ask becomes one. A contracts pay on average, less its ask and its fee.

-- The whole numbers are those of the same order in units of 0.0001 USD, NULL where one of them is not
-- whole: most orders are, and whole numbers are worked out several times as quickly.
CREATE TYPE upc._edge_terms AS (
    contracts numeric,
    fees upc._fee_terms,
    whole_contracts bigint,
    whole_fee bigint,
    whole_precision bigint
);
COMMENT ON TYPE upc._edge_terms IS
    'order that an edge is for: how many contracts it has, and the terms of its fees; the same in whole units of 0.0001 USD, where it is whole';


-- The order that the edges of a series are for: of so many contracts as the setting
-- upc.edge_contracts has (10). series: NULL is the symbol's series above strikes.
-- Errors: 22023 for a setting that makes no sense.
CREATE FUNCTION upc._symbol_order(symbol text, series text DEFAULT NULL)
RETURNS upc._edge_terms
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v upc._edge_terms;
    v_makes_sense boolean;
BEGIN
    SELECT
        o.contracts,
        o.fees,
        CASE WHEN o.is_whole THEN o.contracts END,
        CASE WHEN o.is_whole THEN 700 * (o.fees).multiplier * o.contracts END,
        CASE WHEN o.is_whole THEN 10000 * (o.fees).account_precision END,
        o.contracts > 0 AND o.contracts < 'infinity'
            AND (o.fees).account_precision > 0 AND (o.fees).account_precision <= 1
    INTO v.contracts, v.fees, v.whole_contracts, v.whole_fee, v.whole_precision, v_makes_sense
    FROM (
        SELECT
            n.contracts,
            n.fees,
            n.contracts % 1 = 0 AND n.contracts <= 1000000
                AND 100 * (n.fees).multiplier % 1 = 0 AND (n.fees).multiplier <= 100
                AND 10000 * (n.fees).account_precision % 1 = 0 AS is_whole
        FROM (
            SELECT
                upc.setting('edge_contracts')::numeric AS contracts,
                upc._fees_of(_symbol_order.symbol, _symbol_order.series) AS fees
            OFFSET 0
        ) AS n
        OFFSET 0
    ) AS o;
    IF NOT v_makes_sense THEN
        RAISE EXCEPTION 'a setting of the edges makes no sense: edge_contracts %, account_precision %',
            v.contracts, (v.fees).account_precision
            USING
                ERRCODE = 'invalid_parameter_value',
                DETAIL = 'An order has more than no contracts; a balance is a multiple of more than 0 and at most 1 USD.',
                HINT = 'They are the settings upc.edge_contracts and upc.account_precision.';
    END IF;
    RETURN v;
END
$fn$;
COMMENT ON FUNCTION upc._symbol_order IS
    'the order that the edges of a series of a symbol are for';


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


CREATE FUNCTION upc._whole_ask(ask numeric)
RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN scale(_whole_ask.ask) <= 4 THEN (10000 * _whole_ask.ask)::bigint END;
COMMENT ON FUNCTION upc._whole_ask IS
    'an ask in units of 0.0001 USD; NULL where it is not whole';


CREATE FUNCTION upc._whole_cents(ask numeric, whole bigint)
RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN _whole_cents.whole IS NULL THEN ceil(100 * _whole_cents.ask)::integer
    ELSE ((_whole_cents.whole + 99) / 100)::integer
END;
COMMENT ON FUNCTION upc._whole_cents IS
    'an ask in cents, rounded up; whole as _whole_ask has it';


CREATE FUNCTION upc._exact_contract_cost(ask numeric, terms upc._edge_terms)
RETURNS double precision
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
BEGIN
    RETURN upc._contract_cost(ask, terms);
END
$fn$;
COMMENT ON FUNCTION upc._exact_contract_cost IS
    '_contract_cost, not as a part of the expression around it, which would be set up even where it is not needed';


-- The price of an order at a whole ask, with its fee, in units of 0.0001 USD. fee and precision: as in
-- _edge_terms.
--
-- The fee of the model, 0.07 · multiplier · contracts · P · (1 - P), is brought up to a whole unit, and
-- what is paid to a multiple of the account's precision, as in upc._amount_paid.
CREATE FUNCTION upc._whole_paid(whole bigint, contracts bigint, fee bigint, precision_units bigint)
RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
    _whole_paid.whole * _whole_paid.contracts
    + (
        _whole_paid.fee * (_whole_paid.whole * (10000 - _whole_paid.whole)) + 99999999
    ) / 100000000
    + _whole_paid.precision_units - 1
) / _whole_paid.precision_units * _whole_paid.precision_units;
COMMENT ON FUNCTION upc._whole_paid IS
    'what is paid for an order at a whole ask, with its fee, in units of 0.0001 USD; NULL where one of them is not whole';


-- The cost of _contract_cost, in whole numbers where ask and order are whole: a tick asks for it once
-- per strike and side. whole: the ask as _whole_ask has it.
CREATE FUNCTION upc._quick_contract_cost(ask numeric, whole bigint, terms upc._edge_terms)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN _quick_contract_cost.ask IS NULL THEN NULL
    WHEN _quick_contract_cost.whole IS NULL
        OR (_quick_contract_cost.terms).whole_contracts IS NULL
    THEN upc._exact_contract_cost(_quick_contract_cost.ask, _quick_contract_cost.terms)
    ELSE upc._whole_paid(
        _quick_contract_cost.whole, (_quick_contract_cost.terms).whole_contracts,
        (_quick_contract_cost.terms).whole_fee, (_quick_contract_cost.terms).whole_precision
    )::double precision / 100 / (_quick_contract_cost.terms).whole_contracts::double precision
END;
COMMENT ON FUNCTION upc._quick_contract_cost IS
    'cost of a contract as _contract_cost has it, in whole numbers where it can be';


-- A probability in percent is what a contract pays on average in cents; 100 or 0 is what it paid.
CREATE FUNCTION upc._edge(probability double precision, cost double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN _edge.probability - _edge.cost;
COMMENT ON FUNCTION upc._edge IS
    'edge of a contract in cents: its probability in percent, less its cost in cents as _contract_cost has it';

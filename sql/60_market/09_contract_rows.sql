-- Rows of the contract table: the open contracts of one event, each with its probability, its quotes and
-- its edges.

-- One more column: here and in the query of _event_contracts.
CREATE TYPE upc._contract_row AS (
    series text,
    kind text,
    event_ticker text,
    closes_at timestamptz,
    ttc_seconds integer,
    ticker text,
    lower numeric,
    upper numeric,
    state text,
    probability double precision,
    prob_low double precision,
    prob_high double precision,
    yes_bid numeric,
    yes_ask numeric,
    no_bid numeric,
    no_ask numeric,
    yes_bid_size numeric,
    yes_ask_size numeric,
    no_bid_size numeric,
    no_ask_size numeric,
    yes_fee double precision,
    no_fee double precision,
    yes_edge double precision,
    no_edge double precision,
    yes_edge_low double precision,
    no_edge_low double precision,
    edge_reason text,
    model text
);
COMMENT ON TYPE upc._contract_row IS 'a row of the contract table, with the columns of upc.contract_table';


-- An event of the contract table, with what all of its rows share.
CREATE TYPE upc._contract_event AS (
    series text,
    kind text,
    event_ticker text,
    closes_at timestamptz,
    model text,
    is_paused boolean,
    is_quoted boolean,
    price_stale boolean,
    quotes_stale boolean,
    rules_unclear boolean,
    last_minute boolean,
    edge_order upc._edge_terms
);
COMMENT ON TYPE upc._contract_event IS
    'an event of the contract table with what is the same for all of its contracts: what is shown, why there is no edge, and the order that edges are for';


CREATE FUNCTION upc._exact_contract_fee(ask numeric, terms upc._edge_terms)
RETURNS double precision
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
BEGIN
    RETURN (
        100 * upc._amount_paid(ask, terms.contracts, false, terms.fees) - 100 * ask * terms.contracts
    )::double precision / terms.contracts::double precision;
END
$fn$;
COMMENT ON FUNCTION upc._exact_contract_fee IS
    'the part of the taker fee, rounding in it, that one contract bears in an order of some at an ask in USD, in cents';


-- paid: for all of the order, as _whole_paid has it; contracts: of the order. The formula of
-- _quick_contract_cost.
CREATE FUNCTION upc._paid_cost(
    ask numeric,
    paid bigint,
    contracts bigint,
    terms upc._edge_terms
)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN _paid_cost.ask IS NULL THEN NULL
    WHEN _paid_cost.paid IS NULL THEN upc._exact_contract_cost(_paid_cost.ask, _paid_cost.terms)
    ELSE _paid_cost.paid::double precision / 100 / _paid_cost.contracts::double precision
END;
COMMENT ON FUNCTION upc._paid_cost IS
    'cost of one contract in cents, fee in it, from what is paid for all of the order';


CREATE FUNCTION upc._paid_fee(
    ask numeric,
    whole bigint,
    paid bigint,
    contracts bigint,
    terms upc._edge_terms
)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN _paid_fee.ask IS NULL THEN NULL
    WHEN _paid_fee.paid IS NULL THEN upc._exact_contract_fee(_paid_fee.ask, _paid_fee.terms)
    ELSE (_paid_fee.paid - _paid_fee.whole * _paid_fee.contracts)::double precision
        / 100 / _paid_fee.contracts::double precision
END;
COMMENT ON FUNCTION upc._paid_fee IS
    'fee of one contract in cents, from what is paid for all of the order; whole: the ask as _whole_ask has it';


-- The state of a contract by the status of its market, as Kalshi words it.
CREATE FUNCTION upc._contract_state(status text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN _contract_state.status = 'active' THEN 'active'
    WHEN _contract_state.status IN (
        'initialized', 'closed', 'determined', 'disputed', 'amended', 'finalized'
    ) THEN _contract_state.status
    -- Statuses yet unknown will come: a contract is not traded in them.
    ELSE 'paused'
END;
COMMENT ON FUNCTION upc._contract_state IS
    'the state of a contract by the status of its market: paused for any that is not known to be traded';


-- Contracts of an event that are open, or may be again: from those that have bounds but are not yet open
-- to those that are closed but not determined. Quotes are left out where they are not to be shown. is_paused:
-- the exchange does not trade the event, so that what is not closed is paused.
--
-- place: numbers them, in no order. It is part of the query that calls it.
CREATE FUNCTION upc._open_contracts(
    symbol text,
    event_ticker text,
    is_quoted boolean,
    is_paused boolean
)
RETURNS TABLE (
    place bigint,
    ticker text,
    lower numeric,
    upper numeric,
    lower_bound double precision,
    upper_bound double precision,
    state text,
    yes_bid numeric,
    yes_ask numeric,
    no_bid numeric,
    no_ask numeric,
    yes_bid_size numeric,
    yes_ask_size numeric,
    no_bid_size numeric,
    no_ask_size numeric
)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 100
BEGIN ATOMIC
    SELECT
        row_number() OVER (),
        q.ticker,
        q.lower,
        q.upper,
        q.lower::double precision,
        q.upper::double precision,
        CASE WHEN _open_contracts.is_paused AND q.state <> 'closed' THEN 'paused' ELSE q.state END,
        CASE WHEN q.is_shown THEN nullif(q.yes_bid, 0) END,
        CASE WHEN q.is_shown THEN upc._offered(q.yes_ask, q.no_bid) END,
        CASE WHEN q.is_shown THEN nullif(q.no_bid, 0) END,
        CASE WHEN q.is_shown THEN upc._offered(q.no_ask, q.yes_bid) END,
        q.yes_bid_size,
        q.yes_ask_size,
        q.no_bid_size,
        q.no_ask_size
    FROM (
        SELECT
            m.*,
            upc._contract_state(m.status) AS state,
            _open_contracts.is_quoted AND coalesce(m.status = 'active', false) AS is_shown
        FROM upc_data.market_quote AS m
        WHERE m.symbol = _open_contracts.symbol
          AND m.event_ticker = _open_contracts.event_ticker
          AND (
              m.status = 'active'
              OR coalesce(m.status, '') NOT IN (
                  'determined', 'disputed', 'amended', 'finalized', 'settled', 'left_out'
              )
              AND (
                  coalesce(m.status, '') <> 'initialized'
                  OR m.lower IS NOT NULL
                  OR m.upper IS NOT NULL
              )
          )
        OFFSET 0
    ) AS q;
END;
COMMENT ON FUNCTION upc._open_contracts IS
    'the contracts of an event that are open, or may be again, with what is offered, exact, USD per contract';


-- Rows of the contract table of one event, by their bounds.
--
-- question: with nothing left out but the bounds. reading: as _bounds_reading has it for the question; NULL
-- where no probability is to be shown.
CREATE FUNCTION upc._event_contracts(
    question upc._question,
    reading upc._reading,
    event upc._contract_event
)
RETURNS SETOF upc._contract_row
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100
-- An event with few contracts seems to be worth a plan of its own, which takes longer than all the rest.
SET plan_cache_mode = force_generic_plan
AS $fn$
DECLARE
    -- As values of their own they are several times as cheap to come by.
    v_order upc._edge_terms := event.edge_order;
    v_contracts bigint := v_order.whole_contracts;
    v_fee bigint := v_order.whole_fee;
    v_precision bigint := v_order.whole_precision;
BEGIN
    RETURN QUERY
    WITH quote AS MATERIALIZED (
        SELECT
            o.*,
            upc._whole_ask(o.yes_ask) AS whole_yes,
            upc._whole_ask(o.no_ask) AS whole_no
        FROM upc._open_contracts(
            question.symbol, event.event_ticker, event.is_quoted, event.is_paused
        ) AS o
    ),
    probability AS (
        SELECT b.places[r.place] AS place, r.probability, r.prob_low, r.prob_high
        FROM (
            SELECT
                array_agg(k.place) AS places,
                array_agg(k.lower_bound) AS lowers,
                array_agg(k.upper_bound) AS uppers
            FROM quote AS k
        ) AS b
        CROSS JOIN LATERAL upc._bounds_probabilities(
            reading, question.method = 'linear', question.price, b.lowers, b.uppers
        ) AS r
        OFFSET 0
    ),
    answered AS (
        SELECT
            q.*,
            p.probability,
            p.prob_low,
            p.prob_high,
            upc._whole_paid(q.whole_yes, v_contracts, v_fee, v_precision) AS yes_paid,
            upc._whole_paid(q.whole_no, v_contracts, v_fee, v_precision) AS no_paid,
            upc.edge_reason(
                closed => q.state = 'closed',
                paused => q.state <> 'active',
                price_stale => event.price_stale,
                quotes_stale => event.quotes_stale,
                awaiting_strike => q.lower IS NULL AND q.upper IS NULL,
                rules_unclear => event.rules_unclear,
                no_model => p.probability IS NULL,
                last_minute => event.last_minute,
                no_offer => q.yes_ask IS NULL AND q.no_ask IS NULL
            ) AS edge_reason
        FROM quote AS q
        JOIN probability AS p ON p.place = q.place
        OFFSET 0
    ),
    priced AS (
        SELECT
            a.*,
            upc._paid_cost(a.yes_ask, a.yes_paid, v_contracts, v_order) AS yes_cost,
            upc._paid_cost(a.no_ask, a.no_paid, v_contracts, v_order) AS no_cost
        FROM answered AS a
        OFFSET 0
    )
    SELECT
        event.series, event.kind, event.event_ticker, event.closes_at, question.ttc_seconds,
        c.ticker, c.lower, c.upper, c.state, c.probability, c.prob_low, c.prob_high,
        c.yes_bid, c.yes_ask, c.no_bid, c.no_ask,
        CASE WHEN c.yes_bid IS NOT NULL THEN c.yes_bid_size END,
        CASE WHEN c.yes_ask IS NOT NULL THEN c.yes_ask_size END,
        CASE WHEN c.no_bid IS NOT NULL THEN c.no_bid_size END,
        CASE WHEN c.no_ask IS NOT NULL THEN c.no_ask_size END,
        upc._paid_fee(c.yes_ask, c.whole_yes, c.yes_paid, v_contracts, v_order),
        upc._paid_fee(c.no_ask, c.whole_no, c.no_paid, v_contracts, v_order),
        CASE WHEN c.edge_reason IS NULL THEN upc._edge(c.probability, c.yes_cost) END,
        CASE WHEN c.edge_reason IS NULL THEN upc._edge(100 - c.probability, c.no_cost) END,
        CASE WHEN c.edge_reason IS NULL THEN upc._edge(c.prob_low, c.yes_cost) END,
        CASE WHEN c.edge_reason IS NULL THEN upc._edge(100 - c.prob_high, c.no_cost) END,
        c.edge_reason,
        event.model
    FROM priced AS c
    ORDER BY c.lower_bound NULLS FIRST, c.upper_bound NULLS LAST, c.ticker;
END
$fn$;
COMMENT ON FUNCTION upc._event_contracts IS
    'rows of the contract table of one event, for a question with nothing left out';

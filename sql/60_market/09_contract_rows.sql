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
    model text,
    volume numeric
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
-- to those that are closed but not determined. By their bounds. Quotes are left out where they are not to be
-- shown. is_paused: the exchange does not trade the event, so that what is not closed is paused. It is part of
-- the query that calls it.
CREATE FUNCTION upc._open_contracts(
    symbol text,
    event_ticker text,
    is_quoted boolean,
    is_paused boolean
)
RETURNS TABLE (
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
    no_ask_size numeric,
    volume numeric
)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 100
BEGIN ATOMIC
    SELECT
        q.ticker,
        q.lower,
        q.upper,
        q.lower_bound,
        q.upper_bound,
        CASE WHEN _open_contracts.is_paused AND q.state <> 'closed' THEN 'paused' ELSE q.state END,
        CASE WHEN q.is_shown THEN nullif(q.yes_bid, 0) END,
        CASE WHEN q.is_shown THEN upc._offered(q.yes_ask, q.no_bid) END,
        CASE WHEN q.is_shown THEN nullif(q.no_bid, 0) END,
        CASE WHEN q.is_shown THEN upc._offered(q.no_ask, q.yes_bid) END,
        q.yes_bid_size,
        q.yes_ask_size,
        q.no_bid_size,
        q.no_ask_size,
        CASE WHEN q.is_shown THEN q.volume END
    FROM (
        SELECT
            m.*,
            m.lower::double precision AS lower_bound,
            m.upper::double precision AS upper_bound,
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
        ORDER BY
            m.lower::double precision NULLS FIRST, m.upper::double precision NULLS LAST, m.ticker
        OFFSET 0
    ) AS q;
END;
COMMENT ON FUNCTION upc._open_contracts IS
    'the contracts of an event that are open, or may be again, by their bounds, with what is offered, exact, USD per contract';


-- A contract as _open_contracts has it, with its probability.
CREATE TYPE upc._read_contract AS (
    ticker text,
    lower numeric,
    upper numeric,
    state text,
    yes_bid numeric,
    yes_ask numeric,
    no_bid numeric,
    no_ask numeric,
    yes_bid_size numeric,
    yes_ask_size numeric,
    no_bid_size numeric,
    no_ask_size numeric,
    volume numeric,
    probability double precision,
    reach double precision
);
COMMENT ON TYPE upc._read_contract IS
    'an open contract with its quotes, its probability in percent, and how far the interval of that reaches';


-- The open contracts of an event with their probabilities, by their bounds.
--
-- symbol to is_paused: as in _open_contracts. price, is_linear: of the question. The others: of the
-- reading, NULL where no probability is to be shown. All are values of their own, since they are asked for
-- with every contract. It is part of the query that calls it, in steps, each of which is worked out once.
-- The order is that of the innermost step.
CREATE FUNCTION upc._read_contracts(
    symbol text,
    event_ticker text,
    is_quoted boolean,
    is_paused boolean,
    price double precision,
    is_linear boolean,
    thresholds double precision[],
    edges double precision[],
    positive double precision[],
    negative double precision[],
    unit double precision,
    slope double precision,
    shift double precision,
    decided double precision,
    effective_size double precision,
    weighted_size double precision,
    positive_drift double precision[],
    negative_drift double precision[]
)
RETURNS SETOF upc._read_contract
LANGUAGE sql STABLE PARALLEL SAFE ROWS 100
BEGIN ATOMIC
    SELECT
        s.ticker, s.lower, s.upper, s.state, s.yes_bid, s.yes_ask, s.no_bid, s.no_ask,
        s.yes_bid_size, s.yes_ask_size, s.no_bid_size, s.no_ask_size, s.volume, s.probability,
        upc._interval_reach(s.probability, s.spread)
    FROM (
        SELECT
            p.*,
            upc._interval_spread(
                p.probability, _read_contracts.effective_size, _read_contracts.weighted_size
            ) + upc._bounds_drift(
                _read_contracts.positive_drift, _read_contracts.negative_drift,
                _read_contracts.thresholds, p.lower_place, p.lower_move, p.upper_place, p.upper_move,
                _read_contracts.is_linear
            ) AS spread
        FROM (
            SELECT
                a.*,
                upc._between(a.lower_bound, a.upper_bound, a.above_lower, a.above_upper)
                    AS probability
            FROM (
                SELECT
                    k.*,
                    upc._above(
                        _read_contracts.decided, _read_contracts.thresholds,
                        _read_contracts.positive, _read_contracts.negative,
                        _read_contracts.is_linear, k.lower_bound, k.lower_move, k.lower_place
                    ) AS above_lower,
                    upc._above(
                        _read_contracts.decided, _read_contracts.thresholds,
                        _read_contracts.positive, _read_contracts.negative,
                        _read_contracts.is_linear, k.upper_bound, k.upper_move, k.upper_place
                    ) AS above_upper
                FROM (
                    SELECT
                        m.*,
                        upc._threshold_index(
                            _read_contracts.thresholds, _read_contracts.edges, abs(m.lower_move),
                            _read_contracts.is_linear
                        ) AS lower_place,
                        upc._threshold_index(
                            _read_contracts.thresholds, _read_contracts.edges, abs(m.upper_move),
                            _read_contracts.is_linear
                        ) AS upper_place
                    FROM (
                        SELECT
                            o.*,
                            upc._bound_move(
                                _read_contracts.slope, _read_contracts.shift, _read_contracts.unit,
                                _read_contracts.price, o.lower_bound
                            ) AS lower_move,
                            upc._bound_move(
                                _read_contracts.slope, _read_contracts.shift, _read_contracts.unit,
                                _read_contracts.price, o.upper_bound
                            ) AS upper_move
                        FROM upc._open_contracts(
                            _read_contracts.symbol, _read_contracts.event_ticker,
                            _read_contracts.is_quoted, _read_contracts.is_paused
                        ) AS o
                        OFFSET 0
                    ) AS m
                    OFFSET 0
                ) AS k
                OFFSET 0
            ) AS a
            OFFSET 0
        ) AS p
        OFFSET 0
    ) AS s;
END;
COMMENT ON FUNCTION upc._read_contracts IS
    'the open contracts of an event by their bounds, with their quotes and probabilities';


CREATE TYPE upc._priced_contract AS (
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
    volume numeric
);
COMMENT ON TYPE upc._priced_contract IS
    'an open contract with what upc.contract_table has of it alone, and not of its event';


-- The open contracts of an event with all that is known of each, by their bounds: the one query for the table
-- and the document.
--
-- symbol to negative_drift: as in _read_contracts. edge_order, contracts, fee, precision_units: the order of the
-- event and its whole numbers. price_stale to last_minute: of the event.
CREATE FUNCTION upc._priced_contracts(
    symbol text,
    event_ticker text,
    is_quoted boolean,
    is_paused boolean,
    price double precision,
    is_linear boolean,
    thresholds double precision[],
    edges double precision[],
    positive double precision[],
    negative double precision[],
    unit double precision,
    slope double precision,
    shift double precision,
    decided double precision,
    effective_size double precision,
    weighted_size double precision,
    positive_drift double precision[],
    negative_drift double precision[],
    edge_order upc._edge_terms,
    contracts bigint,
    fee bigint,
    precision_units bigint,
    price_stale boolean,
    quotes_stale boolean,
    rules_unclear boolean,
    last_minute boolean
)
RETURNS SETOF upc._priced_contract
LANGUAGE sql STABLE PARALLEL SAFE ROWS 100
BEGIN ATOMIC
    SELECT
        c.ticker, c.lower, c.upper, c.state, c.probability, c.prob_low, c.prob_high,
        c.yes_bid, c.yes_ask, c.no_bid, c.no_ask,
        CASE WHEN c.yes_bid IS NOT NULL THEN c.yes_bid_size END,
        CASE WHEN c.yes_ask IS NOT NULL THEN c.yes_ask_size END,
        CASE WHEN c.no_bid IS NOT NULL THEN c.no_bid_size END,
        CASE WHEN c.no_ask IS NOT NULL THEN c.no_ask_size END,
        upc._paid_fee(c.yes_ask, c.whole_yes, c.yes_paid, contracts, edge_order),
        upc._paid_fee(c.no_ask, c.whole_no, c.no_paid, contracts, edge_order),
        CASE WHEN c.edge_reason IS NULL THEN upc._edge(c.probability, c.yes_cost) END,
        CASE WHEN c.edge_reason IS NULL THEN upc._edge(100 - c.probability, c.no_cost) END,
        CASE WHEN c.edge_reason IS NULL THEN upc._edge(c.prob_low, c.yes_cost) END,
        CASE WHEN c.edge_reason IS NULL THEN upc._edge(100 - c.prob_high, c.no_cost) END,
        c.edge_reason,
        c.volume
    FROM (
        SELECT
            r.*,
            upc._reached_low(r.probability, r.reach, decided) AS prob_low,
            upc._reached_high(r.probability, r.reach, decided) AS prob_high,
            upc._paid_cost(r.yes_ask, r.yes_paid, contracts, edge_order) AS yes_cost,
            upc._paid_cost(r.no_ask, r.no_paid, contracts, edge_order) AS no_cost,
            upc.edge_reason(
                closed => r.state = 'closed',
                paused => r.state <> 'active',
                price_stale => _priced_contracts.price_stale,
                quotes_stale => _priced_contracts.quotes_stale,
                awaiting_strike => r.lower IS NULL AND r.upper IS NULL,
                rules_unclear => _priced_contracts.rules_unclear,
                no_model => r.probability IS NULL,
                last_minute => _priced_contracts.last_minute,
                no_offer => r.yes_ask IS NULL AND r.no_ask IS NULL
            ) AS edge_reason
        FROM (
            SELECT
                w.*,
                upc._whole_paid(w.whole_yes, contracts, fee, precision_units) AS yes_paid,
                upc._whole_paid(w.whole_no, contracts, fee, precision_units) AS no_paid
            FROM (
                SELECT
                    q.*,
                    upc._whole_ask(q.yes_ask) AS whole_yes,
                    upc._whole_ask(q.no_ask) AS whole_no
                FROM upc._read_contracts(
                    symbol, event_ticker, is_quoted, is_paused, price, is_linear, thresholds, edges,
                    positive, negative, unit, slope, shift, decided, effective_size, weighted_size,
                    positive_drift, negative_drift
                ) AS q
                OFFSET 0
            ) AS w
            OFFSET 0
        ) AS r
        OFFSET 0
    ) AS c;
END;
COMMENT ON FUNCTION upc._priced_contracts IS
    'the open contracts of an event by their bounds, with probability, fees and edges';


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
    v_is_linear boolean := question.method = 'linear';
    v_thresholds double precision[] := reading.thresholds;
    v_edges double precision[] := reading.edges;
    v_positive double precision[] := reading.positive;
    v_negative double precision[] := reading.negative;
    v_positive_drift double precision[] := reading.positive_drift;
    v_negative_drift double precision[] := reading.negative_drift;
    v_order upc._edge_terms := event.edge_order;
BEGIN
    RETURN QUERY
    SELECT
        event.series, event.kind, event.event_ticker, event.closes_at, question.ttc_seconds,
        c.ticker, c.lower, c.upper, c.state, c.probability, c.prob_low, c.prob_high,
        c.yes_bid, c.yes_ask, c.no_bid, c.no_ask,
        c.yes_bid_size, c.yes_ask_size, c.no_bid_size, c.no_ask_size,
        c.yes_fee, c.no_fee, c.yes_edge, c.no_edge, c.yes_edge_low, c.no_edge_low,
        c.edge_reason, event.model, c.volume
    FROM upc._priced_contracts(
        question.symbol, event.event_ticker, event.is_quoted, event.is_paused, question.price,
        v_is_linear, v_thresholds, v_edges, v_positive, v_negative, reading.unit,
        reading.slope, reading.shift, reading.decided, reading.effective_size, reading.weighted_size,
        v_positive_drift, v_negative_drift,
        v_order, v_order.whole_contracts, v_order.whole_fee, v_order.whole_precision,
        event.price_stale, event.quotes_stale, event.rules_unclear, event.last_minute
    ) AS c;
END
$fn$;
COMMENT ON FUNCTION upc._event_contracts IS
    'rows of the contract table of one event, for a question with nothing left out';

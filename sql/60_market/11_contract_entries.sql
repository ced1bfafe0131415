-- Entries of the contract table as they stand in the document contracts: JSON, the shown ones alone.

-- Keys of a contract in the document contracts, in their order: the columns of contract_table. The list
-- between the marks is JSON, since the API reads it too, which describes its answers without a database.
--
-- kind: as in document_keys. type: number, integer, text or reason (one of edge_reasons), with "or null"
-- where it may be null.
CREATE FUNCTION upc._contract_keys()
RETURNS TABLE (name text, kind text, type text, meaning text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 29
AS $fn$
    SELECT d.name, d.kind, d.type, d.meaning
    FROM json_array_elements($keys$
[
{"name": "series", "kind": "plain", "type": "text", "meaning": "KXBTCD, KXBTC15M, …"},
{"name": "kind", "kind": "plain", "type": "text", "meaning": "above, range or updown"},
{"name": "event_ticker", "kind": "plain", "type": "text", "meaning": "of the event"},
{"name": "closes_at", "kind": "plain", "type": "text", "meaning": "an instant"},
{"name": "ttc_seconds", "kind": "plain", "type": "integer", "meaning": "seconds to the close"},
{"name": "ticker", "kind": "plain", "type": "text", "meaning": "of the market"},
{"name": "lower", "kind": "plain", "type": "number or null", "meaning": "USD, exact: yes pays if lower <= value < upper"},
{"name": "upper", "kind": "plain", "type": "number or null", "meaning": "USD, exact"},
{"name": "state", "kind": "plain", "type": "text", "meaning": "initialized, active, paused or closed"},
{"name": "probability", "kind": "probability", "type": "number or null", "meaning": "that yes pays, percent"},
{"name": "prob_low", "kind": "probability", "type": "number or null", "meaning": "lower end of its 95 % interval"},
{"name": "prob_high", "kind": "probability", "type": "number or null", "meaning": "its upper end"},
{"name": "yes_bid", "kind": "quote", "type": "number or null", "meaning": "USD per contract, exact"},
{"name": "yes_ask", "kind": "quote", "type": "number or null", "meaning": "USD per contract, exact"},
{"name": "no_bid", "kind": "quote", "type": "number or null", "meaning": "USD per contract, exact"},
{"name": "no_ask", "kind": "quote", "type": "number or null", "meaning": "USD per contract, exact"},
{"name": "yes_bid_size", "kind": "quote", "type": "number or null", "meaning": "contracts"},
{"name": "yes_ask_size", "kind": "quote", "type": "number or null", "meaning": "contracts"},
{"name": "no_bid_size", "kind": "quote", "type": "number or null", "meaning": "contracts"},
{"name": "no_ask_size", "kind": "quote", "type": "number or null", "meaning": "contracts"},
{"name": "yes_fee", "kind": "quote", "type": "number or null", "meaning": "taker fee of an order at the ask, cents per contract"},
{"name": "no_fee", "kind": "quote", "type": "number or null", "meaning": "taker fee of an order at the ask, cents per contract"},
{"name": "yes_edge", "kind": "difference", "type": "number or null", "meaning": "cents per contract, after the fee"},
{"name": "no_edge", "kind": "difference", "type": "number or null", "meaning": "cents per contract, after the fee"},
{"name": "yes_edge_low", "kind": "difference", "type": "number or null", "meaning": "the same by prob_low"},
{"name": "no_edge_low", "kind": "difference", "type": "number or null", "meaning": "the same by prob_high"},
{"name": "edge_reason", "kind": "edge_reason", "type": "reason or null", "meaning": "why neither side has an edge"},
{"name": "model", "kind": "plain", "type": "text or null", "meaning": "that answered; volatility_60m where nothing is counted beyond an hour, null where none does"},
{"name": "volume", "kind": "quote", "type": "number or null", "meaning": "contracts traded so far"}
]
    $keys$::json) WITH ORDINALITY AS e (key, place)
    CROSS JOIN LATERAL json_to_record(e.key) AS d (name text, kind text, type text, meaning text)
    ORDER BY e.place
$fn$;
COMMENT ON FUNCTION upc._contract_keys IS
    'the keys of a contract in the document contracts, with their kinds, types and meanings';


CREATE TYPE upc._contract_list AS (
    entries text,
    shown_count integer,
    open_count integer,
    best text[],
    best_orders double precision[]
);
COMMENT ON TYPE upc._contract_list IS
    'the list of the document contracts as JSON, how many contracts are in it, how many are open, and of each event, in turn, the best entry to buy yes of and that to buy no of, with what they are compared by';


-- True for a contract that is in the document: one with a quote, or that is not as good as decided.
CREATE FUNCTION upc._is_contract_shown(
    probability double precision,
    yes_bid numeric,
    yes_ask numeric,
    no_bid numeric,
    no_ask numeric
)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN _is_contract_shown.yes_ask IS NOT NULL
    OR _is_contract_shown.no_ask IS NOT NULL
    OR _is_contract_shown.yes_bid IS NOT NULL
    OR _is_contract_shown.no_bid IS NOT NULL
    OR coalesce(_is_contract_shown.probability BETWEEN 0.5 AND 99.5, false);
COMMENT ON FUNCTION upc._is_contract_shown IS
    'true for a contract with a quote, or with a probability from 0.5 to 99.5 percent';


-- The text between two values of an entry: the value before it where that is null, and the key of the next.
CREATE FUNCTION upc._next_key(is_null boolean, key text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN _next_key.is_null THEN 'null' || _next_key.key ELSE _next_key.key END;
COMMENT ON FUNCTION upc._next_key IS
    'what stands in JSON before the next value: null for the one before it where there is none, and the key';


-- What contracts are compared by as bets on one side, the greatest being the best: the low end of the edge, then
-- the edge, both in hundredths of a cent as they stand in the document, then the place, all in one number, which
-- is compared at once. NULL without an edge.
CREATE FUNCTION upc._bet_order(edge_low double precision, edge double precision, place bigint)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- The factor is that of _hundredths.
RETURN (
    65536 * round(100.00000000000004::double precision * _bet_order.edge_low)
    + round(100.00000000000004::double precision * _bet_order.edge)
) * 65536 - _bet_order.place;
COMMENT ON FUNCTION upc._bet_order IS
    'what contracts are compared by as bets on one side, the greatest being the best: low end of the edge, edge, and place among up to 65,535; NULL without an edge';


-- The order without the place: the same for bets on which nothing but their place differs.
CREATE FUNCTION upc._bet_worth(bet_order double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ceil(_bet_worth.bet_order / 65536);
COMMENT ON FUNCTION upc._bet_worth IS
    'the part of a _bet_order that does not come of the place: above 0 where the low end of the edge is, or is 0 and the edge is above it';


CREATE FUNCTION upc._bet_entry(entries text[], bet_order double precision)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN _bet_entry.entries[
    (65536 * upc._bet_worth(_bet_entry.bet_order) - _bet_entry.bet_order)::integer
];
COMMENT ON FUNCTION upc._bet_entry IS
    'the entry in a list whose place a _bet_order has; NULL without one';


-- Entries of one event, separated by commas; NULL where none is shown. Arguments as in _event_contracts.
--
-- Written out key by key: a function that makes JSON of a row looks up the type of every column of every
-- row, which takes three times as long.
CREATE FUNCTION upc._event_entries(
    question upc._question,
    reading upc._reading,
    event upc._contract_event
)
RETURNS upc._contract_list
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET plan_cache_mode = force_generic_plan
AS $fn$
DECLARE
    v upc._contract_list;
    v_is_linear boolean := question.method = 'linear';
    v_thresholds double precision[] := reading.thresholds;
    v_edges double precision[] := reading.edges;
    v_positive double precision[] := reading.positive;
    v_negative double precision[] := reading.negative;
    v_positive_drift double precision[] := reading.positive_drift;
    v_negative_drift double precision[] := reading.negative_drift;
    v_order upc._edge_terms := event.edge_order;
    v_head text := concat(
        '{"series":', to_json(event.series),
        ',"kind":', to_json(event.kind),
        ',"event_ticker":', to_json(event.event_ticker),
        ',"closes_at":"', upc._iso_utc(event.closes_at),
        '","ttc_seconds":', question.ttc_seconds,
        ',"ticker":'
    );
    v_tail text := concat(',"model":', coalesce(to_json(event.model)::text, 'null'), ',"volume":');
BEGIN
    SELECT
        string_agg(e.entry, ','), count(e.entry), count(*),
        ARRAY[
            upc._bet_entry(array_agg(e.entry), max(e.yes_order)),
            upc._bet_entry(array_agg(e.entry), max(e.no_order))
        ],
        ARRAY[max(e.yes_order), max(e.no_order)]
    INTO v.entries, v.shown_count, v.open_count, v.best, v.best_orders
    FROM (
        SELECT
            upc._bet_order(c.yes_edge_low, c.yes_edge, c.place) AS yes_order,
            upc._bet_order(c.no_edge_low, c.no_edge, c.place) AS no_order,
            CASE
                WHEN upc._is_contract_shown(
                    c.probability, c.yes_bid, c.yes_ask, c.no_bid, c.no_ask
                )
                THEN concat(
                    v_head, to_json(c.ticker), ',"lower":',
                    c.lower, upc._next_key(c.lower IS NULL, ',"upper":'),
                    c.upper, upc._next_key(c.upper IS NULL, ',"state":"'),
                    c.state, '","probability":',
                    upc._hundredths(c.probability), upc._next_key(c.probability IS NULL, ',"prob_low":'),
                    upc._hundredths(c.prob_low), upc._next_key(c.prob_low IS NULL, ',"prob_high":'),
                    upc._hundredths(c.prob_high), upc._next_key(c.prob_high IS NULL, ',"yes_bid":'),
                    c.yes_bid, upc._next_key(c.yes_bid IS NULL, ',"yes_ask":'),
                    c.yes_ask, upc._next_key(c.yes_ask IS NULL, ',"no_bid":'),
                    c.no_bid, upc._next_key(c.no_bid IS NULL, ',"no_ask":'),
                    c.no_ask, upc._next_key(c.no_ask IS NULL, ',"yes_bid_size":'),
                    c.yes_bid_size, upc._next_key(c.yes_bid_size IS NULL, ',"yes_ask_size":'),
                    c.yes_ask_size, upc._next_key(c.yes_ask_size IS NULL, ',"no_bid_size":'),
                    c.no_bid_size, upc._next_key(c.no_bid_size IS NULL, ',"no_ask_size":'),
                    c.no_ask_size, upc._next_key(c.no_ask_size IS NULL, ',"yes_fee":'),
                    c.yes_fee, upc._next_key(c.yes_fee IS NULL, ',"no_fee":'),
                    c.no_fee, upc._next_key(c.no_fee IS NULL, ',"yes_edge":'),
                    upc._hundredths(c.yes_edge), upc._next_key(c.yes_edge IS NULL, ',"no_edge":'),
                    upc._hundredths(c.no_edge), upc._next_key(c.no_edge IS NULL, ',"yes_edge_low":'),
                    upc._hundredths(c.yes_edge_low), upc._next_key(c.yes_edge_low IS NULL, ',"no_edge_low":'),
                    upc._hundredths(c.no_edge_low), upc._next_key(c.no_edge_low IS NULL, ',"edge_reason":'),
                    coalesce('"' || c.edge_reason || '"', 'null'), v_tail,
                    c.volume, upc._next_key(c.volume IS NULL, '}')
                )
            END AS entry
        FROM (
            SELECT p.*, row_number() OVER () AS place
            FROM upc._priced_contracts(
                question.symbol, event.event_ticker, event.is_quoted, event.is_paused, question.price,
                v_is_linear, v_thresholds, v_edges, v_positive, v_negative, reading.unit,
                reading.slope, reading.shift, reading.decided, reading.effective_size, reading.weighted_size,
                v_positive_drift, v_negative_drift,
                v_order, v_order.whole_contracts, v_order.whole_fee, v_order.whole_precision,
                event.price_stale, event.quotes_stale, event.rules_unclear, event.last_minute
            ) AS p
            OFFSET 0
        ) AS c
        OFFSET 0
    ) AS e;
    RETURN v;
END
$fn$;
COMMENT ON FUNCTION upc._event_entries IS
    'the entries of one event in the document contracts, as JSON without the brackets of their list';


-- Entries of the document contracts: what _contract_rows has for the same question, in its order.
CREATE FUNCTION upc._contract_entries(question upc._question, price_state text)
RETURNS upc._contract_list
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v upc._contract_list := (NULL, 0, 0, '{}', '{}');
    v_open record;
    v_each upc._contract_list;
BEGIN
    FOR v_open IN
        SELECT a.* FROM upc._asked_events(question, price_state) AS a
    LOOP
        v_each := upc._event_entries(v_open.question, v_open.reading, v_open.event);
        v.entries := nullif(concat_ws(',', v.entries, v_each.entries), '');
        v.shown_count := v.shown_count + v_each.shown_count;
        v.open_count := v.open_count + v_each.open_count;
        v.best := v.best || v_each.best;
        v.best_orders := v.best_orders || v_each.best_orders;
    END LOOP;
    RETURN v;
END
$fn$;
COMMENT ON FUNCTION upc._contract_entries IS
    'the list of the document contracts as JSON without its brackets, for a question with nothing left out, with its counts and the best of each event';

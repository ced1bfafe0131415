-- Reasons why there is no edge: one closed list, the stronger ones first.

-- Every reason that there may be instead of an edge. Where several hold the first of them is given.
--
-- Returns the reasons, the stronger ones first:
-- closed: the market is not traded any more. paused: it is not traded now. price_stale: the price is
-- stale or halted. source_left_out: the price is not one that the contract is settled by.
-- quotes_stale: the quotes are stale or halted. awaiting_strike: the strike is not known yet.
-- rules_unclear: it is not clear what the contract is settled by. no_model: nothing gives a
-- probability. last_minute: part of the average that decides has not been seen. no_offer: there is no
-- market, or nobody offers either side.
-- Errors: none.
--
-- Example:
--   SELECT cardinality(edge_reasons()) = 10;
CREATE FUNCTION upc.edge_reasons()
RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY[
    'closed', 'paused', 'price_stale', 'source_left_out', 'quotes_stale', 'awaiting_strike',
    'rules_unclear', 'no_model', 'last_minute', 'no_offer'
];
COMMENT ON FUNCTION upc.edge_reasons IS
    'every reason that there may be instead of an edge, the one that is given first where several hold';


-- The reason why a contract has no edge.
--
-- closed to no_offer: true where the reason of that name holds; NULL is false.
-- Returns one of edge_reasons(); NULL where the contract has an edge.
-- Errors: none.
--
-- Example:
--   SELECT edge_reason(paused => true, no_offer => true) = 'paused';
CREATE FUNCTION upc.edge_reason(
    closed boolean DEFAULT false,
    paused boolean DEFAULT false,
    price_stale boolean DEFAULT false,
    source_left_out boolean DEFAULT false,
    quotes_stale boolean DEFAULT false,
    awaiting_strike boolean DEFAULT false,
    rules_unclear boolean DEFAULT false,
    no_model boolean DEFAULT false,
    last_minute boolean DEFAULT false,
    no_offer boolean DEFAULT false
)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN edge_reason.closed THEN 'closed'
    WHEN edge_reason.paused THEN 'paused'
    WHEN edge_reason.price_stale THEN 'price_stale'
    WHEN edge_reason.source_left_out THEN 'source_left_out'
    WHEN edge_reason.quotes_stale THEN 'quotes_stale'
    WHEN edge_reason.awaiting_strike THEN 'awaiting_strike'
    WHEN edge_reason.rules_unclear THEN 'rules_unclear'
    WHEN edge_reason.no_model THEN 'no_model'
    WHEN edge_reason.last_minute THEN 'last_minute'
    WHEN edge_reason.no_offer THEN 'no_offer'
END;
COMMENT ON FUNCTION upc.edge_reason IS
    'the first reason that holds why a contract has no edge; NULL where it has one';


CREATE FUNCTION upc._trading_state(status text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- Statuses yet unknown will come: a contract is not traded in them.
RETURN CASE
    WHEN _trading_state.status = 'active' THEN 'active'
    WHEN _trading_state.status IN (
        'closed', 'determined', 'disputed', 'amended', 'finalized', 'settled'
    ) THEN 'closed'
    WHEN _trading_state.status IS NOT NULL THEN 'paused'
END;
COMMENT ON FUNCTION upc._trading_state IS
    'active, paused or closed by the status of a market as Kalshi words it; NULL of NULL';


CREATE FUNCTION upc._is_unseen(ttc_seconds integer, settlement text)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- Nothing answers by an average whose part so far has not been seen.
RETURN _is_unseen.ttc_seconds < 60 AND _is_unseen.settlement IS DISTINCT FROM 'average';
COMMENT ON FUNCTION upc._is_unseen IS
    'whether a probability is of the last minute without the part of it that has passed, which has decided already in part';

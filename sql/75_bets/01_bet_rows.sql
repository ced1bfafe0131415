-- Bets: what could be bought, a contract and a side, with what it costs and what it is worth.

-- Keys of a bet in the document contracts, in their order: the columns of best_bets. The list between the
-- marks is JSON, since the API reads it too, which describes its answers without a database.
--
-- kind: as in document_keys. type: number, integer, text or side (yes or no), with "or null" where it may be
-- null.
CREATE FUNCTION upc._bet_keys()
RETURNS TABLE (name text, kind text, type text, meaning text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 26
AS $fn$
    SELECT d.name, d.kind, d.type, d.meaning
    FROM json_array_elements($keys$
[
{"name": "rank", "kind": "plain", "type": "integer or null", "meaning": "1 is the best; null of what is not worth its price"},
{"name": "side", "kind": "plain", "type": "side", "meaning": "to be bought"},
{"name": "contract", "kind": "plain", "type": "text", "meaning": "when yes pays, in words"},
{"name": "series", "kind": "plain", "type": "text", "meaning": "KXBTCD, KXBTC15M, …"},
{"name": "kind", "kind": "plain", "type": "text", "meaning": "above, range or updown"},
{"name": "event_ticker", "kind": "plain", "type": "text", "meaning": "of the event"},
{"name": "closes_at", "kind": "plain", "type": "text", "meaning": "an instant"},
{"name": "ttc_seconds", "kind": "plain", "type": "integer", "meaning": "seconds to the close"},
{"name": "ticker", "kind": "plain", "type": "text", "meaning": "of the market"},
{"name": "lower", "kind": "plain", "type": "number or null", "meaning": "USD, exact: yes pays if lower <= value < upper"},
{"name": "upper", "kind": "plain", "type": "number or null", "meaning": "USD, exact"},
{"name": "probability", "kind": "probability", "type": "number", "meaning": "that the side pays, percent"},
{"name": "prob_low", "kind": "probability", "type": "number", "meaning": "lower end of its 95 % interval"},
{"name": "prob_high", "kind": "probability", "type": "number", "meaning": "its upper end"},
{"name": "ask", "kind": "quote", "type": "number", "meaning": "of the side, USD per contract, exact"},
{"name": "offered", "kind": "quote", "type": "number or null", "meaning": "contracts at the ask"},
{"name": "fee", "kind": "quote", "type": "number", "meaning": "taker fee of an order at the ask, cents per contract"},
{"name": "edge", "kind": "difference", "type": "number", "meaning": "cents per contract, after the fee"},
{"name": "edge_low", "kind": "difference", "type": "number", "meaning": "the same by prob_low"},
{"name": "edge_high", "kind": "difference", "type": "number", "meaning": "the same by prob_high"},
{"name": "volume", "kind": "quote", "type": "number or null", "meaning": "contracts traded so far"},
{"name": "count", "kind": "difference", "type": "integer or null", "meaning": "how many to buy, by the bankroll and its limits; null without a bankroll"},
{"name": "cost", "kind": "difference", "type": "number or null", "meaning": "of so many, fees in it, USD"},
{"name": "limited_by", "kind": "plain", "type": "text or null", "meaning": "offered, event or day, where it would be more without"},
{"name": "news", "kind": "plain", "type": "text or null", "meaning": "scheduled before it closes"},
{"name": "command", "kind": "plain", "type": "text or null", "meaning": "records it once it is bought"}
]
    $keys$::json) WITH ORDINALITY AS e (key, place)
    CROSS JOIN LATERAL json_to_record(e.key) AS d (name text, kind text, type text, meaning text)
    ORDER BY e.place
$fn$;
COMMENT ON FUNCTION upc._bet_keys IS
    'the keys of a bet in the document contracts, with their kinds, types and meanings';


-- Keys of the documents contracts and bets that are about bets, by kind.
CREATE FUNCTION upc._bet_document_keys()
RETURNS TABLE (document text, kind text, keys text[])
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 60
BEGIN ATOMIC
    SELECT d, k.kind, ARRAY[k.name]
    FROM unnest('{contracts,bets}'::text[]) AS d
    CROSS JOIN (
        VALUES ('suggest_bets', 'plain'), ('bets', 'recommendations'), ('best_of_rest', 'difference')
    ) AS k (name, kind)
    UNION ALL
    SELECT d, b.kind, ARRAY[p || b.name]
    FROM upc._bet_keys() AS b
    CROSS JOIN unnest('{contracts,bets}'::text[]) AS d
    CROSS JOIN unnest('{bets[].,best_of_rest.}'::text[]) AS p
    UNION ALL
    VALUES
        ('bets', 'instant', '{timestamp}'::text[]),
        ('bets', 'plain', '{current_price,model,bankroll,count}');
END;
COMMENT ON FUNCTION upc._bet_document_keys IS
    'the keys of the documents contracts and bets that are about bets, by kind';


-- One more column: here, in _bet_keys, in _bet_of and in best_bets.
CREATE TYPE upc._bet AS (
    rank integer,
    side text,
    contract text,
    series text,
    kind text,
    event_ticker text,
    closes_at text,
    ttc_seconds integer,
    ticker text,
    lower numeric,
    upper numeric,
    probability numeric,
    prob_low numeric,
    prob_high numeric,
    ask numeric,
    offered numeric,
    fee numeric,
    edge numeric,
    edge_low numeric,
    edge_high numeric,
    volume numeric,
    count integer,
    cost numeric,
    limited_by text,
    news text,
    command text
);
COMMENT ON TYPE upc._bet IS 'a bet as it stands in the document contracts';


-- When yes pays, in words: $63,000 or above, $86,000 to $86,100, below $53,200.
CREATE FUNCTION upc._contract_text(lower numeric, upper numeric)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
-- What has a lower bound alone is written as the open end of ranges.
RETURN upc._bounds_text('range', _contract_text.lower, _contract_text.upper);
COMMENT ON FUNCTION upc._contract_text IS
    'when yes pays, in words: $63,000 or above, $86,000 to $86,100 or below $53,200';


-- Bet on a side of a contract, by its entry in the document contracts: with the numbers that stand there, so
-- that whoever has the document has all that the bet follows from. Without rank, size and news.
CREATE FUNCTION upc._bet_of(entry text, side text)
RETURNS upc._bet
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v upc._bet;
    v_is_yes boolean := side = 'yes';
    c record;
BEGIN
    SELECT r.*
    INTO c
    FROM json_to_record(entry::json) AS r (
        series text, kind text, event_ticker text, closes_at text, ttc_seconds integer, ticker text,
        lower numeric, upper numeric, probability numeric, prob_low numeric, prob_high numeric,
        yes_ask numeric, no_ask numeric, yes_ask_size numeric, no_ask_size numeric,
        yes_fee numeric, no_fee numeric, yes_edge numeric, no_edge numeric,
        yes_edge_low numeric, no_edge_low numeric, volume numeric
    );
    v.side := side;
    v.contract := upc._contract_text(c.lower, c.upper);
    v.series := c.series;
    v.kind := c.kind;
    v.event_ticker := c.event_ticker;
    v.closes_at := c.closes_at;
    v.ttc_seconds := c.ttc_seconds;
    v.ticker := c.ticker;
    v.lower := c.lower;
    v.upper := c.upper;
    v.volume := c.volume;
    IF v_is_yes THEN
        v.probability := c.probability;
        v.prob_low := c.prob_low;
        v.prob_high := c.prob_high;
        v.ask := c.yes_ask;
        v.offered := c.yes_ask_size;
        v.fee := c.yes_fee;
        v.edge := c.yes_edge;
        v.edge_low := c.yes_edge_low;
    ELSE
        v.probability := 100 - c.probability;
        v.prob_low := 100 - c.prob_high;
        v.prob_high := 100 - c.prob_low;
        v.ask := c.no_ask;
        v.offered := c.no_ask_size;
        v.fee := c.no_fee;
        v.edge := c.no_edge;
        v.edge_low := c.no_edge_low;
    END IF;
    v.edge_high := round(v.prob_high - 100 * v.ask - v.fee, 2);
    RETURN v;
END
$fn$;
COMMENT ON FUNCTION upc._bet_of IS
    'a bet on a side of a contract by its entry in the document contracts, without rank, size and news';

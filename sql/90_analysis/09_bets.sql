-- Bets for readers: those of the last tick, as rows and as JSON.

-- The newest document of the contracts as it may be traded on now: without bets from stale on.
--
-- Errors: UP002 symbol, UP023 nothing has ticked it.
CREATE FUNCTION upc._bets_of_tick(
    symbol text,
    at timestamptz,
    OUT document json,
    OUT state text,
    OUT bets json,
    OUT best_of_rest json
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    SELECT t.state
    INTO state
    FROM upc._last_tick(symbol, at) AS t;
    SELECT d.contracts::json
    INTO document
    FROM upc_data.document AS d
    WHERE d.symbol = _bets_of_tick.symbol;
    IF upc._is_shown('recommendations', state) THEN
        bets := document -> 'bets';
        -- The JSON null is none.
        best_of_rest := (document ->> 'best_of_rest')::json;
    END IF;
    bets := coalesce(bets, '[]');
END
$fn$;
COMMENT ON FUNCTION upc._bets_of_tick IS
    'the bets of the last tick of a symbol as JSON, with the document that they stand in and its state as of now';


-- What is worth buying, the best first: of the contracts of the last tick, by the low end of their edge. Of one
-- event there is one bet on yes and one on no at most, since its strikes are one bet.
--
-- most: how many. at: the clock.
-- Returns one row per bet: none where no low end is above 0, nor of a price or of quotes that are stale, of a
-- market that is paused, or without an offer; none at all while the rule suggest_bets is off. What is not known
-- is NULL.
--   rank                 1 is the best
--   side                 yes or no, to be bought
--   contract             when yes pays, in words
--   series, kind, event_ticker, closes_at, ttc_seconds, ticker, lower, upper  as in contract_table
--   probability, prob_low, prob_high  that the side pays and its interval, percent
--   ask, offered         USD per contract of the side, and how many are offered at that
--   fee                  cents per contract: the taker fee of an order of upc.edge_contracts (10)
--   edge, edge_low, edge_high  cents per contract: what it pays on average, less ask and fee, and the same at
--                        the ends of the interval
--   volume               contracts traded so far
--   count, cost          contracts to buy, and what they cost with fees, USD: NULL without upc.bankroll. A share
--                        of Kelly's size (upc.kelly_share, kelly_count of prob_low), never more than is offered,
--                        nor than upc.event_exposure and upc.day_exposure leave beside open trades and better bets
--   limited_by           offered, event or day, where it would be more without
--   news                 titles in upc_data.scheduled_news before the close
--   command              the line that records it once it is bought
-- Errors: UP002 symbol, UP023 nothing has ticked it.
--
-- Example:
--   SELECT count(*) <= 3 FROM best_bets('BTC', most => 3);
CREATE FUNCTION upc.best_bets(
    symbol text DEFAULT 'BTC',
    most integer DEFAULT 3,
    at timestamptz DEFAULT clock_timestamp()
)
RETURNS TABLE (
    rank integer,
    side text,
    contract text,
    series text,
    kind text,
    event_ticker text,
    closes_at timestamptz,
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
)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 3
AS $fn$
BEGIN
    RETURN QUERY
    SELECT
        r.rank, r.side, r.contract, r.series, r.kind, r.event_ticker, r.closes_at::timestamptz,
        r.ttc_seconds, r.ticker, r.lower, r.upper, r.probability, r.prob_low, r.prob_high, r.ask,
        r.offered, r.fee, r.edge, r.edge_low, r.edge_high, r.volume, r.count, r.cost, r.limited_by,
        r.news, r.command
    FROM upc._bets_of_tick(symbol, at) AS b
    CROSS JOIN LATERAL json_populate_recordset(NULL::upc._bet, b.bets) AS r
    WHERE r.rank <= most
    ORDER BY r.rank;
END
$fn$;
COMMENT ON FUNCTION upc.best_bets IS
    'what is worth buying of the contracts of the last tick, the best first, with its size by the bankroll';


-- The bets of the last tick as JSON.
--
-- most: how many of them; count is how many there are. best_of_rest is the best of what is not worth its price,
-- for where there is no bet. bankroll is null where there is none.
-- Errors: UP002 symbol, UP023 nothing has ticked it.
--
-- Example:
--   SELECT bets_document('BTC');
CREATE FUNCTION upc.bets_document(
    symbol text,
    most integer DEFAULT 3,
    at timestamptz DEFAULT clock_timestamp()
)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT json_build_object(
        'symbol', bets_document.symbol,
        'timestamp', b.document -> 'timestamp',
        'current_price', b.document -> 'current_price',
        'model', b.document -> 'model',
        'state', b.state,
        'feed', b.document -> 'feed',
        'market_at', b.document -> 'market_at',
        'valid_until', b.document -> 'valid_until',
        'tick_id', b.document -> 'tick_id',
        'suggest_bets', b.document -> 'suggest_bets',
        'bankroll', nullif(upc.setting('bankroll')::numeric, 0),
        'count', json_array_length(b.bets),
        'bets', (
            SELECT coalesce(json_agg(e.bet ORDER BY e.place), '[]')
            FROM json_array_elements(b.bets) WITH ORDINALITY AS e (bet, place)
            WHERE e.place <= bets_document.most
        ),
        'best_of_rest', b.best_of_rest
    )::text
    FROM upc._bets_of_tick(bets_document.symbol, bets_document.at) AS b;
END;
COMMENT ON FUNCTION upc.bets_document IS
    'what is worth buying of the contracts of the last tick as JSON, the best first, with the best of the rest';

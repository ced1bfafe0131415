-- Paper trades: every suggestion is bought at its ask, in a ledger of its own, and settled by the result of its
-- market. No money and no order is behind them.

-- Contracts of a bet that are bought on paper: its size by the bankroll, else an order of upc.edge_contracts, which
-- its fee and edge are of, and never more than is offered.
CREATE FUNCTION upc._paper_count(count integer, offered numeric)
RETURNS numeric
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(
    _paper_count.count::numeric,
    floor(least(_paper_count.offered, upc.setting('edge_contracts')::numeric))
);
COMMENT ON FUNCTION upc._paper_count IS
    'how many contracts of a bet are bought on paper, by its size where it has one';


-- Buy on paper what is suggested now: each event and side once.
--
-- at: the clock. The fee is that of one order of taker's fills at the ask.
-- Returns the rows of upc_data.paper_trade that are new; none where nothing has ticked the symbol, and of what
-- is stale, as best_bets.
-- Errors: UP002 symbol.
--
-- Example:
--   SELECT count(*) = 0 FROM buy_paper('ETH');
CREATE FUNCTION upc.buy_paper(symbol text, at timestamptz DEFAULT clock_timestamp())
RETURNS SETOF upc_data.paper_trade
LANGUAGE plpgsql VOLATILE ROWS 2
AS $fn$
BEGIN
    PERFORM upc.require_symbol(symbol);
    IF NOT EXISTS (SELECT FROM upc_data.document AS d WHERE d.symbol = buy_paper.symbol) THEN
        RETURN;
    END IF;
    RETURN QUERY
    INSERT INTO upc_data.paper_trade AS p (
        symbol, event_ticker, side, series, kind, ticker, contract, closes_at, bought_at,
        probability, prob_low, prob_high, ask, count, fee, edge, edge_low
    )
    SELECT
        buy_paper.symbol, b.event_ticker, b.side, b.series, b.kind, b.ticker, b.contract, b.closes_at,
        buy_paper.at, b.probability, b.prob_low, b.prob_high, b.ask, c.count,
        upc._dollars_fee(buy_paper.symbol, b.event_ticker, b.ask, c.count),
        b.edge, b.edge_low
    FROM upc.best_bets(buy_paper.symbol, most => 1000, at => buy_paper.at) AS b
    CROSS JOIN LATERAL (SELECT upc._paper_count(b.count, b.offered) AS count) AS c
    WHERE c.count > 0 AND b.closes_at > buy_paper.at
    ORDER BY b.rank
    ON CONFLICT ON CONSTRAINT paper_trade_pkey DO NOTHING
    RETURNING p.*;
END
$fn$;
COMMENT ON FUNCTION upc.buy_paper IS
    'buys on paper what is suggested now, each event and side once; returns what is new';


-- Settle paper trades whose market has a result, and correct those whose result was amended.
--
-- at: the clock. A result that is disputed is none.
-- Returns the rows of upc_data.paper_trade that changed.
-- Errors: UP002 symbol.
--
-- Example:
--   SELECT count(*) = 0 FROM settle_paper('ETH');
CREATE FUNCTION upc.settle_paper(symbol text, at timestamptz DEFAULT clock_timestamp())
RETURNS SETOF upc_data.paper_trade
LANGUAGE plpgsql VOLATILE ROWS 2
AS $fn$
BEGIN
    PERFORM upc.require_symbol(symbol);
    RETURN QUERY
    UPDATE upc_data.paper_trade AS p
    SET
        result = r.result,
        payout = r.payout,
        is_final = r.is_final,
        settled_at = coalesce(p.settled_at, settle_paper.at)
    FROM (
        SELECT
            t.event_ticker, t.side, q.result,
            upc._payout(t.side, q.result, q.settlement_value) AS payout,
            coalesce(q.status IN ('finalized', 'settled'), false) AS is_final
        FROM upc_data.paper_trade AS t
        JOIN upc_data.market_quote AS q
            ON q.symbol = t.symbol AND q.event_ticker = t.event_ticker AND q.ticker = t.ticker
        WHERE t.symbol = settle_paper.symbol
          AND t.is_final IS NOT TRUE
          AND q.status IS DISTINCT FROM 'disputed'
          AND (
              t.closes_at <= settle_paper.at
              OR q.status IN ('determined', 'amended', 'finalized', 'settled')
          )
    ) AS r
    WHERE p.symbol = settle_paper.symbol
      AND p.event_ticker = r.event_ticker
      AND p.side = r.side
      AND p.is_final IS NOT TRUE
      AND r.payout IS NOT NULL
      AND (p.result, p.payout, p.is_final) IS DISTINCT FROM (r.result, r.payout, r.is_final)
    RETURNING p.*;
END
$fn$;
COMMENT ON FUNCTION upc.settle_paper IS
    'settles paper trades by the results of their markets, and corrects those whose result was amended; returns what changed';

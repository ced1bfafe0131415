-- What paper trades have earned.

-- Paper trades, the newest first.
--
-- symbol: NULL is all of them. since, until: bought from then on, and before.
-- Returns a row per trade: cost is what was paid with the fee, USD; profit what was paid out less that, NULL until
-- there is a result; the other columns as in upc_data.paper_trade.
-- Errors: UP002 symbol.
--
-- Example:
--   SELECT count(*) = 0 FROM paper_trades('ETH');
CREATE FUNCTION upc.paper_trades(
    symbol text DEFAULT NULL,
    since timestamptz DEFAULT '-infinity',
    until timestamptz DEFAULT 'infinity'
)
RETURNS TABLE (
    trade_symbol text,
    bought_at timestamptz,
    closes_at timestamptz,
    side text,
    contract text,
    ticker text,
    event_ticker text,
    kind text,
    probability numeric,
    prob_low numeric,
    prob_high numeric,
    ask numeric,
    count numeric,
    fee numeric,
    cost numeric,
    edge numeric,
    edge_low numeric,
    result text,
    is_final boolean,
    payout numeric,
    profit numeric
)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100
AS $fn$
BEGIN
    IF symbol IS NOT NULL THEN
        PERFORM upc.require_symbol(symbol);
    END IF;
    RETURN QUERY
    SELECT
        p.symbol, p.bought_at, p.closes_at, p.side, p.contract, p.ticker, p.event_ticker, p.kind,
        p.probability, p.prob_low, p.prob_high, p.ask, p.count, p.fee, p.count * p.ask + p.fee, p.edge,
        p.edge_low, p.result, p.is_final, p.payout, p.count * (p.payout - p.ask) - p.fee
    FROM upc_data.paper_trade AS p
    WHERE (paper_trades.symbol IS NULL OR p.symbol = paper_trades.symbol)
      AND p.bought_at >= paper_trades.since
      AND p.bought_at < paper_trades.until
    ORDER BY p.bought_at DESC, p.symbol, p.event_ticker, p.side;
END
$fn$;
COMMENT ON FUNCTION upc.paper_trades IS
    'contracts that were bought on paper, the newest first, with cost and profit in USD';


-- What paper trades have come to, by symbol.
--
-- symbol: NULL is all of them. since, until: bought from then on, and before.
-- Returns a row per symbol that has some. bought, settled: numbers of trades. won: settled ones that were paid more
-- than their ask. hit_rate, said: the share of settled trades that paid a dollar, and the mean probability
-- that they were bought at, percent. expected: what the edges of the settled ones come to, USD. staked,
-- profit: cost and profit of the settled ones, USD; return_percent: profit in percent of staked. NULL of none.
-- Errors: UP002 symbol.
--
-- Example:
--   SELECT count(*) = 0 FROM paper_summary('ETH');
CREATE FUNCTION upc.paper_summary(
    symbol text DEFAULT NULL,
    since timestamptz DEFAULT '-infinity',
    until timestamptz DEFAULT 'infinity'
)
RETURNS TABLE (
    trade_symbol text,
    bought bigint,
    settled bigint,
    won bigint,
    hit_rate numeric,
    said numeric,
    expected numeric,
    staked numeric,
    profit numeric,
    return_percent numeric
)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10
AS $fn$
BEGIN
    RETURN QUERY
    SELECT
        t.trade_symbol,
        count(*),
        count(t.payout),
        count(*) FILTER (WHERE t.payout > t.ask),
        -- A scalar result pays a part.
        round(100 * avg(t.payout), 2),
        round(avg(t.probability) FILTER (WHERE t.payout IS NOT NULL), 2),
        round(sum(t.edge * t.count / 100) FILTER (WHERE t.payout IS NOT NULL), 4),
        sum(t.cost) FILTER (WHERE t.payout IS NOT NULL),
        sum(t.profit),
        round(100 * sum(t.profit) / sum(t.cost) FILTER (WHERE t.payout IS NOT NULL), 2)
    FROM upc.paper_trades(paper_summary.symbol, paper_summary.since, paper_summary.until) AS t
    GROUP BY t.trade_symbol
    ORDER BY t.trade_symbol;
END
$fn$;
COMMENT ON FUNCTION upc.paper_summary IS
    'what paper trades have come to, by symbol: hit rate beside what was said, and profit in USD';


-- What was said of paper trades beside what came, in tenths of their probability.
--
-- symbol: NULL is all of them. since, until: bought from then on, and before.
-- Returns a row for each tenth with settled trades: low, high its ends, said the mean probability and came the
-- share that was paid, percent, with the 95 % interval of that after Wilson; each trade is taken to be
-- independent of the others.
-- Errors: UP002 symbol.
--
-- Example:
--   SELECT count(*) = 0 FROM paper_calibration('ETH');
CREATE FUNCTION upc.paper_calibration(
    symbol text DEFAULT NULL,
    since timestamptz DEFAULT '-infinity',
    until timestamptz DEFAULT 'infinity'
)
RETURNS TABLE (
    low integer,
    high integer,
    trades bigint,
    said double precision,
    came double precision,
    came_low double precision,
    came_high double precision
)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10
AS $fn$
BEGIN
    RETURN QUERY
    SELECT
        10 * b.tenth, 10 * b.tenth + 10, b.trades, b.said, b.came,
        upc._interval_low(b.came, 3.841458820694124::double precision / b.trades),
        upc._interval_high(b.came, 3.841458820694124::double precision / b.trades)
    FROM (
        SELECT
            least(9, floor(t.probability / 10))::integer AS tenth,
            count(*) AS trades,
            avg(t.probability)::double precision AS said,
            100 * avg(t.payout)::double precision AS came
        FROM upc.paper_trades(
            paper_calibration.symbol, paper_calibration.since, paper_calibration.until
        ) AS t
        WHERE t.payout IS NOT NULL
        GROUP BY 1
    ) AS b
    ORDER BY b.tenth;
END
$fn$;
COMMENT ON FUNCTION upc.paper_calibration IS
    'what was said of paper trades beside what came, in tenths of their probability, percent';

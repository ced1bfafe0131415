-- The basis: by how much prices lie above what Kalshi settles on.

-- The basis of a symbol's prices, a row per source: the average of the last minute before a close over the
-- value that the events of that close settled on.
--
-- at: what had settled a minute before it, in the day before it, is known.
-- Returns source: of logged prices, the exchange; candles, by the average of the minute that a candle knows.
-- settlements: of the last 12 with a price in at least 30 seconds of their minute, or with its candle. mean_bp and
-- spread_bp: mean and standard deviation of their basis, basis points; NULL below 12.
-- No function corrects a price by it: it says which source is near enough to what settles.
-- Errors: UP002 symbol.
--
-- Example:
--   SELECT count(*) = 0 FROM basis('ETH', '2001-01-01 00:00+00');
CREATE FUNCTION upc.basis(symbol text, at timestamptz DEFAULT clock_timestamp())
RETURNS TABLE (
    source text,
    settlements integer,
    mean_bp double precision,
    spread_bp double precision
)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 2
AS $fn$
BEGIN
    PERFORM upc.require_symbol(symbol);
    RETURN QUERY
    WITH settled AS MATERIALIZED (
        -- More than 12: a source may have had gaps.
        SELECT s.closes_at, s.value FROM upc._settlements(basis.symbol, 0, basis.at, 96) AS s
    ),
    average AS (
        SELECT s.closes_at, s.value, 'candles' AS source, upc._minute_average(c) AS price
        FROM settled AS s
        JOIN upc_data.candle AS c
            ON c.symbol = basis.symbol AND c.opened_at = s.closes_at - interval '1 minute'
        UNION ALL
        SELECT s.closes_at, s.value, p.exchange, avg(p.price)
        FROM settled AS s
        JOIN upc_data.price AS p
            ON p.symbol = basis.symbol
            AND p.received_at >= s.closes_at - interval '1 minute'
            AND p.received_at < s.closes_at
        GROUP BY s.closes_at, s.value, p.exchange
        HAVING count(DISTINCT date_trunc('second', p.received_at)) >= 30
    ),
    numbered AS (
        SELECT
            a.source,
            10000 * (a.price / a.value - 1) AS basis,
            row_number() OVER (PARTITION BY a.source ORDER BY a.closes_at DESC) AS place
        FROM average AS a
    )
    SELECT
        n.source,
        count(*)::integer,
        CASE WHEN count(*) = 12 THEN avg(n.basis) END,
        CASE WHEN count(*) = 12 THEN stddev_samp(n.basis) END
    FROM numbered AS n
    WHERE n.place <= 12
    GROUP BY n.source
    ORDER BY n.source;
END
$fn$;
COMMENT ON FUNCTION upc.basis IS
    'by how much a symbol''s prices lie above what the last 12 events settled on, basis points, a row per source';

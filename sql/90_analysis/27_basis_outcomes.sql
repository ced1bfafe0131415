-- What the basis was worth: settlements of a span, and contracts that it would have decided otherwise.

-- Settlements of a span by source: its basis, the one that was known by the close, and the contracts that it
-- decides: by the average of the last minute as it came in, by that less the known basis, and by Kalshi.
--
-- known: a share; NULL below 12 settlements. contracts to changed: of those with a result; 0 where known is NULL.
CREATE FUNCTION upc._basis_closes(symbol text, since timestamptz, until timestamptz)
RETURNS TABLE (
    source text,
    closes_at timestamptz,
    basis double precision,
    known double precision,
    contracts bigint,
    wrong bigint,
    wrong_corrected bigint,
    changed bigint
)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1000
BEGIN ATOMIC
    SELECT
        b.source, b.closes_at, b.basis, k.basis, c.contracts, c.wrong, c.wrong_corrected, c.changed
    FROM upc_data.settlement_basis AS b
    CROSS JOIN LATERAL upc._known_basis(b.symbol, b.source, b.closes_at) AS k
    CROSS JOIN LATERAL (
        SELECT
            count(*) AS contracts,
            count(*) FILTER (WHERE o.is_yes <> o.is_raw) AS wrong,
            count(*) FILTER (WHERE o.is_yes <> o.is_corrected) AS wrong_corrected,
            count(*) FILTER (WHERE o.is_raw <> o.is_corrected) AS changed
        FROM (
            SELECT
                q.result = 'yes' AS is_yes,
                coalesce(p.raw >= q.lower, true) AND coalesce(p.raw < q.upper, true) AS is_raw,
                coalesce(p.corrected >= q.lower, true) AND coalesce(p.corrected < q.upper, true)
                    AS is_corrected
            FROM upc_data.market_event AS e
            JOIN upc_data.market_quote AS q
                ON q.symbol = e.symbol
                AND q.event_ticker = e.event_ticker
                AND q.result IN ('yes', 'no')
            CROSS JOIN LATERAL (
                SELECT
                    (e.expiration_value::double precision * (1 + b.basis))::numeric AS raw,
                    (e.expiration_value::double precision * (1 + b.basis) / (1 + k.basis))::numeric
                        AS corrected
            ) AS p
            WHERE e.symbol = b.symbol
              AND e.closes_at = b.closes_at
              AND e.expiration_value > 0
              AND k.basis IS NOT NULL
              AND (q.lower IS NOT NULL OR q.upper IS NOT NULL)
        ) AS o
    ) AS c
    WHERE b.symbol = _basis_closes.symbol
      AND b.closes_at >= _basis_closes.since
      AND b.closes_at < _basis_closes.until;
END;
COMMENT ON FUNCTION upc._basis_closes IS
    'settlements of a span with the basis of each source, the one that was known by the close, and the contracts that these would have decided otherwise';


-- The basis of a symbol's prices over a span of closes, a row per source, and what allowing for it was worth.
--
-- since, until: closes from the one up to but not including the other.
-- Returns basis points: mean_bp and spread_bp, mean and standard deviation of settlements less left_out, which are
-- far from the rest as in basis; drift_bp, the mean of the last 12 less that of the first 12, NULL below 24.
-- corrected: settlements by whose close 12 others were known. Of these error_bp and corrected_error_bp: the root mean
-- square of the last minute's distance from the value, as it came in and less the basis known by the close;
-- contracts with a result; how many of them the last minute says otherwise (wrong), and less the basis
-- (wrong_corrected); and of how many the two do not say the same (changed).
-- Errors: UP002 symbol.
--
-- Example:
--   SELECT count(*) = 0 FROM basis_outcomes('BTC', '2001-01-01 00:00+00', '2001-01-02 00:00+00');
CREATE FUNCTION upc.basis_outcomes(
    symbol text,
    since timestamptz DEFAULT '-infinity',
    until timestamptz DEFAULT 'infinity'
)
RETURNS TABLE (
    source text,
    settlements bigint,
    left_out bigint,
    mean_bp double precision,
    spread_bp double precision,
    drift_bp double precision,
    corrected bigint,
    error_bp double precision,
    corrected_error_bp double precision,
    contracts bigint,
    wrong bigint,
    wrong_corrected bigint,
    changed bigint
)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 2
AS $fn$
BEGIN
    PERFORM upc.require_symbol(symbol);
    RETURN QUERY
    SELECT
        s.source, s.settlements, s.settlements - m.count, 10000 * m.mean, 10000 * m.spread,
        CASE WHEN cardinality(s.shares) >= 24 THEN
            10000 * (
                (upc._steady_mean(s.shares[cardinality(s.shares) - 11:])).mean
                - (upc._steady_mean(s.shares[:12])).mean
            )
        END,
        s.corrected, s.error_bp, s.corrected_error_bp, s.contracts, s.wrong, s.wrong_corrected,
        s.changed
    FROM (
        SELECT
            c.source,
            count(*) AS settlements,
            array_agg(c.basis ORDER BY c.closes_at) FILTER (WHERE abs(c.basis) <= 0.01) AS shares,
            count(c.known) AS corrected,
            10000 * sqrt(avg(c.basis ^ 2) FILTER (WHERE c.known IS NOT NULL)) AS error_bp,
            10000 * sqrt(avg(((1 + c.basis) / (1 + c.known) - 1) ^ 2)) AS corrected_error_bp,
            sum(c.contracts)::bigint AS contracts,
            sum(c.wrong)::bigint AS wrong,
            sum(c.wrong_corrected)::bigint AS wrong_corrected,
            sum(c.changed)::bigint AS changed
        FROM upc._basis_closes(basis_outcomes.symbol, since, until) AS c
        GROUP BY c.source
    ) AS s
    CROSS JOIN LATERAL upc._steady_mean(s.shares) AS m
    ORDER BY s.source;
END
$fn$;
COMMENT ON FUNCTION upc.basis_outcomes IS
    'by how much the prices of each source lay above what settled over a span of closes, and what allowing for it was worth';

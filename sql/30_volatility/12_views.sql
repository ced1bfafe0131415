-- The named fingerprints of standardised moves, beside those of plain moves.

CREATE VIEW upc.volatility_catalogue AS
SELECT
    upc._volatility_name(s.symbol, b.bucket) AS fingerprint,
    s.symbol,
    b.bucket::smallint AS bucket
FROM upc_data.symbol AS s
CROSS JOIN (SELECT generate_series(-30, 30) UNION ALL SELECT upc._baseline()) AS b (bucket);
COMMENT ON VIEW upc.volatility_catalogue IS
    'every fingerprint of standardised moves that the registered symbols call for, there or not';
COMMENT ON COLUMN upc.volatility_catalogue.fingerprint IS 'name; also of its view in analytics, where its symbol has them';
COMMENT ON COLUMN upc.volatility_catalogue.symbol IS 'symbol';
COMMENT ON COLUMN upc.volatility_catalogue.bucket IS
    'momentum bucket, basis points; 99 is the baseline';


-- The query of a named fingerprint of standardised moves, as text.
CREATE FUNCTION upc._volatility_view_query(symbol text, bucket integer)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN format(
    $sql$
    SELECT
        lpad(m::text, 2, '0') || 'm TTC' AS time_to_close,
        m AS minutes_to_close,
        %1$s
    FROM generate_series(1, 60) AS m
    LEFT JOIN upc.volatility_curve AS c
        ON c.symbol = %2$L AND c.bucket = %3$s AND c.minutes = m
    $sql$,
    (
        SELECT string_agg(
            format(
                'round(c.positive[%1$s]::numeric, 2)::numeric(5, 2) AS pos_%2$s, '
                'round(c.negative[%1$s]::numeric, 2)::numeric(5, 2) AS neg_%2$s',
                t.k,
                replace(to_char(t.threshold, 'FM90.000'), '.', '_')
            ),
            ', ' ORDER BY t.k
        )
        FROM unnest(upc.volatility_thresholds()) WITH ORDINALITY AS t (threshold, k)
    ),
    _volatility_view_query.symbol,
    _volatility_view_query.bucket
);
COMMENT ON FUNCTION upc._volatility_view_query IS
    'the query, as text, of the named view of a fingerprint of standardised moves';

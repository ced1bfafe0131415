-- Lists: the fingerprints one by one, and the state of each symbol's build.

CREATE VIEW upc.fingerprint_catalogue AS
SELECT
    upc.fingerprint_name(f.symbol, f.bucket) AS fingerprint,
    f.symbol,
    f.bucket::smallint AS bucket
FROM (
    SELECT s.symbol, b.bucket
    FROM upc_data.symbol AS s
    CROSS JOIN (SELECT generate_series(-30, 30) UNION ALL SELECT upc._baseline()) AS b (bucket)
    UNION ALL
    SELECT '*', upc._baseline()
    UNION
    SELECT i.symbol, i.bucket
    FROM upc_data.imported_fingerprint AS i
) AS f (symbol, bucket);
COMMENT ON VIEW upc.fingerprint_catalogue IS
    'every fingerprint that the registered symbols call for, there or not: 62 a symbol, imported buckets beyond those, and the pool';
COMMENT ON COLUMN upc.fingerprint_catalogue.fingerprint IS 'name; also of its view in analytics, where its symbol has them';
COMMENT ON COLUMN upc.fingerprint_catalogue.symbol IS 'symbol; * is the pool of all symbols';
COMMENT ON COLUMN upc.fingerprint_catalogue.bucket IS
    'momentum bucket, basis points; 99 is the baseline';


CREATE VIEW upc.fingerprint_state AS
SELECT
    s.symbol,
    coalesce(b.completed_at IS NOT NULL, false) AS is_complete,
    (
        SELECT count(*) FROM upc_data.counted_day AS d WHERE d.symbol = s.symbol
    ) AS days_counted,
    (
        SELECT count(DISTINCT n.day) FROM upc_data.candle_change AS n WHERE n.symbol = s.symbol
    ) AS days_pending,
    (
        SELECT coalesce(sum(h.pairs), 0)::bigint
        FROM upc_data.fingerprint_histogram AS h
        WHERE h.symbol = s.symbol AND h.bucket = upc._baseline()
    ) AS pairs,
    b.started_at,
    b.completed_at,
    upc._is_counted_by_others(s.symbol) AS is_outdated
FROM upc_data.symbol AS s
LEFT JOIN upc_data.fingerprint_build AS b USING (symbol);
COMMENT ON VIEW upc.fingerprint_state IS
    'the state of each symbol''s build';
COMMENT ON COLUMN upc.fingerprint_state.symbol IS 'symbol';
COMMENT ON COLUMN upc.fingerprint_state.is_complete IS
    'true where the last build was completed; a symbol without a complete build has no curves in the next refresh';
COMMENT ON COLUMN upc.fingerprint_state.days_counted IS 'UTC days in the histogram';
COMMENT ON COLUMN upc.fingerprint_state.days_pending IS
    'UTC days whose candles changed since they were counted';
COMMENT ON COLUMN upc.fingerprint_state.pairs IS 'pairs of closes in the histogram, unweighted';
COMMENT ON COLUMN upc.fingerprint_state.started_at IS 'when the last build began';
COMMENT ON COLUMN upc.fingerprint_state.completed_at IS
    'when the last build was completed; NULL while it is not';
COMMENT ON COLUMN upc.fingerprint_state.is_outdated IS
    'true where the histogram was counted by other formulas or constants than today''s: the next build counts all again';


CREATE VIEW upc.fingerprint_list AS
SELECT
    f.fingerprint,
    f.symbol,
    f.bucket,
    c.origin,
    coalesce(s.is_in_use, false) AS is_in_use,
    coalesce(c.minutes, 0) AS minutes,
    c.smallest_sample,
    c.largest_sample,
    s.made_at
FROM upc.fingerprint_catalogue AS f
LEFT JOIN (
    SELECT
        k.symbol,
        k.origin,
        k.bucket,
        count(*) AS minutes,
        min(k.sample_size)::bigint AS smallest_sample,
        max(k.sample_size)::bigint AS largest_sample
    FROM upc.fingerprint_curve AS k
    GROUP BY k.symbol, k.origin, k.bucket
) AS c USING (symbol, bucket)
LEFT JOIN upc.fingerprint_set AS s USING (symbol, origin);
COMMENT ON VIEW upc.fingerprint_list IS
    'every fingerprint of the catalogue, once for each origin that it has numbers of, with how much stands behind it';
COMMENT ON COLUMN upc.fingerprint_list.fingerprint IS 'name; also of its view in analytics, where its symbol has them';
COMMENT ON COLUMN upc.fingerprint_list.symbol IS 'symbol; * is the pool of all symbols';
COMMENT ON COLUMN upc.fingerprint_list.bucket IS
    'momentum bucket, basis points; 99 is the baseline';
COMMENT ON COLUMN upc.fingerprint_list.origin IS
    'built from candles, or imported; NULL where there is no curve';
COMMENT ON COLUMN upc.fingerprint_list.is_in_use IS 'true where compute_strikes answers from it';
COMMENT ON COLUMN upc.fingerprint_list.minutes IS 'how many distances in minutes have a curve';
COMMENT ON COLUMN upc.fingerprint_list.smallest_sample IS
    'starting minutes behind the distance that has the fewest, unweighted; NULL where imported';
COMMENT ON COLUMN upc.fingerprint_list.largest_sample IS
    'starting minutes behind the distance that has the most, unweighted; NULL where imported';
COMMENT ON COLUMN upc.fingerprint_list.made_at IS
    'when the last build of the symbol was completed, or the set imported; NULL where there is no curve';

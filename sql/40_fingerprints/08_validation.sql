-- Validation: every cell of a staged set beside the curves that compute_strikes answers from.

-- Compare the staged set, cell by cell, with the curves of a symbol and an origin.
--
-- thresholds: percent, ascending, one for each element of the staged arrays.
-- Returns one row per staged fingerprint, and one with bucket NULL for all: compared, the cells that
-- both have; differing, those of them whose numbers are not equal; missing, staged cells that the
-- database lacks; largest and mean, the absolute difference over the cells compared in percentage
-- points, NULL where there is none.
-- Errors: UP002 symbol, UP012 origin, UP013 no fingerprints of that origin.
--
-- Example:
--   SELECT begin_fingerprint_import('BTC');
--   INSERT INTO staged_fingerprint VALUES (99, '{">= +0.05%", "<= -0.05%"}', '{15}');
--   INSERT INTO staged_curve VALUES (99, 15, '{14.96}', '{14.59}');
--   SELECT missing FROM validate_fingerprints('BTC', 'built', '{0.05}');
CREATE FUNCTION upc.validate_fingerprints(symbol text, origin text, thresholds numeric[])
RETURNS TABLE (
    bucket smallint,
    compared bigint,
    differing bigint,
    missing bigint,
    largest double precision,
    mean double precision
)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
AS $fn$
DECLARE
    v_places integer[];
BEGIN
    PERFORM upc._require_set(symbol, origin);

    -- Place of each threshold in the database; NULL if it is missing.
    SELECT array_agg(array_position(f.thresholds, t.threshold::double precision) ORDER BY t.place)
    INTO v_places
    FROM unnest(validate_fingerprints.thresholds) WITH ORDINALITY AS t (threshold, place)
    JOIN upc.fingerprint_set AS f
        ON f.symbol = validate_fingerprints.symbol AND f.origin = validate_fingerprints.origin;

    RETURN QUERY
    SELECT
        d.bucket,
        count(d.difference),
        count(*) FILTER (WHERE d.difference <> 0),
        count(*) FILTER (WHERE d.difference IS NULL),
        max(d.difference),
        avg(d.difference)
    FROM (
        SELECT s.bucket, abs(e.expected - e.found) AS difference
        FROM pg_temp.staged_curve AS s
        LEFT JOIN upc.fingerprint_curve AS c
            ON c.symbol = validate_fingerprints.symbol
            AND c.origin = validate_fingerprints.origin
            AND c.bucket = s.bucket
            AND c.minutes = s.minutes
        CROSS JOIN LATERAL (
            SELECT p.expected, c.positive[p.place]
            FROM unnest(s.positive::double precision[], v_places) AS p (expected, place)
            UNION ALL
            SELECT n.expected, c.negative[n.place]
            FROM unnest(s.negative::double precision[], v_places) AS n (expected, place)
        ) AS e (expected, found)
    ) AS d
    GROUP BY GROUPING SETS ((d.bucket), ())
    ORDER BY d.bucket NULLS LAST;
END
$fn$;
COMMENT ON FUNCTION upc.validate_fingerprints IS
    'compares the staged set, cell by cell, with the curves of a symbol and an origin';

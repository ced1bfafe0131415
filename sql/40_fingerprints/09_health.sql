-- Health of the fingerprints: is what was counted published, and counted as it would be today?

CREATE FUNCTION upc._unpopulated_views()
RETURNS text[]
LANGUAGE sql STABLE PARALLEL SAFE
-- By name: to look for all that there are would be to read the whole catalogue.
RETURN ARRAY(
    SELECT 'upc.' || c.relname
    FROM pg_catalog.pg_class AS c
    WHERE c.oid IN (
        'upc.fingerprint_curve'::regclass,
        'upc.fingerprint_grid'::regclass,
        'upc.volatility_curve'::regclass
    )
        AND NOT c.relispopulated
    ORDER BY c.relname
);
COMMENT ON FUNCTION upc._unpopulated_views IS
    'the indexed views that cannot be read, as a restore that was not completed leaves them';


-- The problem of a symbol's fingerprints: not published, or counted by other formulas than today's.
--
-- Returns problem, in words, NULL where there is none, and is_red, true where nothing answers. A restore
-- that was not completed leaves indexed views that cannot be read, or that lack what the tables behind
-- them hold.
-- Errors: none.
--
-- Example:
--   SELECT f.problem IS NULL AS is_well FROM fingerprint_problem('BTC') AS f;
CREATE FUNCTION upc.fingerprint_problem(symbol text, OUT is_red boolean, OUT problem text)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_views text[] := upc._unpopulated_views();
    v_unpublished text;
BEGIN
    IF v_views <> '{}' THEN
        is_red := true;
        problem := format('nothing answers: %s not populated', array_to_string(v_views, ', '));
        RETURN;
    END IF;

    v_unpublished := CASE
        WHEN EXISTS (
            SELECT FROM upc_data.fingerprint_build AS b
            WHERE b.symbol = fingerprint_problem.symbol AND b.completed_at IS NOT NULL
        ) AND EXISTS (
            SELECT FROM upc_data.fingerprint_histogram AS h
            WHERE h.symbol = fingerprint_problem.symbol
        ) AND NOT EXISTS (
            SELECT FROM upc.fingerprint_curve AS c
            WHERE c.symbol = fingerprint_problem.symbol AND c.origin = 'built'
        ) OR EXISTS (
            SELECT FROM upc_data.imported_curve AS i
            WHERE i.symbol = fingerprint_problem.symbol
        ) AND NOT EXISTS (
            SELECT FROM upc.fingerprint_curve AS c
            WHERE c.symbol = fingerprint_problem.symbol AND c.origin = 'imported'
        ) THEN 'upc.fingerprint_curve'
        WHEN EXISTS (
            SELECT FROM upc_data.volatility_fit AS f
            WHERE f.symbol = fingerprint_problem.symbol AND f.completed_at IS NOT NULL
        ) AND EXISTS (
            SELECT FROM upc_data.volatility_histogram AS h
            WHERE h.symbol = fingerprint_problem.symbol
        ) AND NOT EXISTS (
            SELECT FROM upc.volatility_curve AS c WHERE c.symbol = fingerprint_problem.symbol
        ) THEN 'upc.volatility_curve'
        WHEN EXISTS (
            SELECT FROM upc.fingerprint_curve AS c WHERE c.symbol = fingerprint_problem.symbol
        ) AND NOT EXISTS (
            SELECT FROM upc.fingerprint_grid AS g
            WHERE g.symbol = fingerprint_problem.symbol AND g.curve_symbol = g.symbol
        ) THEN 'upc.fingerprint_grid'
    END;
    IF v_unpublished IS NOT NULL THEN
        is_red := NOT EXISTS (
            SELECT FROM upc.fingerprint_grid AS g WHERE g.symbol = fingerprint_problem.symbol
        );
        problem := format('%s lacks what is stored of its fingerprints', v_unpublished);
    ELSIF upc._is_counted_by_others(symbol) OR EXISTS (
        SELECT FROM upc_data.volatility_fit AS f
        WHERE f.symbol = fingerprint_problem.symbol AND f.counted_by <> upc.volatility_hash()
    ) THEN
        is_red := false;
        problem := 'its fingerprints were counted by other formulas than those of today';
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc.fingerprint_problem IS
    'the problem of a symbol''s fingerprints: not published, or counted by other formulas than today''s; NULL where there is none';

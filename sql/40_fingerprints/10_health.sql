-- Health of the fingerprints: is what was counted published, and counted as it would be today?

-- The part of a symbol's fingerprints that lacks what is stored, as a restore that was not completed
-- leaves it, or an upgrade from before there were such curves.
--
-- Returns the name of a view, or 'the pool'; NULL where all is published. refresh_fingerprints(symbol)
-- and refresh_pool() publish it.
-- Errors: none.
--
-- Example:
--   SELECT unpublished_part('BTC') IS NULL;
CREATE FUNCTION upc.unpublished_part(symbol text)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE
    WHEN EXISTS (
        SELECT FROM upc_data.fingerprint_build AS b
        WHERE b.symbol = unpublished_part.symbol AND b.completed_at IS NOT NULL
    ) AND EXISTS (
        SELECT FROM upc_data.fingerprint_histogram AS h
        WHERE h.symbol = unpublished_part.symbol
    ) AND NOT EXISTS (
        SELECT FROM upc.fingerprint_curve AS c
        WHERE c.symbol = unpublished_part.symbol AND c.origin = 'built'
    ) OR EXISTS (
        SELECT FROM upc_data.imported_curve AS i
        WHERE i.symbol = unpublished_part.symbol
    ) AND NOT EXISTS (
        SELECT FROM upc.fingerprint_curve AS c
        WHERE c.symbol = unpublished_part.symbol AND c.origin = 'imported'
    ) THEN 'upc.fingerprint_curve'
    WHEN EXISTS (
        SELECT FROM upc_data.volatility_fit AS f
        JOIN upc_data.volatility_histogram AS h
            ON h.symbol = f.symbol AND h.generation = f.used_generation
        WHERE f.symbol = unpublished_part.symbol
    ) AND NOT EXISTS (
        SELECT FROM upc.volatility_curve AS c WHERE c.symbol = unpublished_part.symbol
    ) THEN 'upc.volatility_curve'
    WHEN EXISTS (
        SELECT FROM upc_data.volatility_fit AS f
        JOIN upc_data.horizon_day AS d ON d.symbol = f.symbol AND d.generation = f.used_generation
        WHERE f.symbol = unpublished_part.symbol
    ) AND NOT EXISTS (
        SELECT FROM upc.horizon_curve AS c WHERE c.symbol = unpublished_part.symbol
    ) THEN 'upc.horizon_curve'
    WHEN EXISTS (
        SELECT FROM upc.fingerprint_curve AS c WHERE c.symbol = unpublished_part.symbol
    ) AND NOT EXISTS (
        SELECT FROM upc.fingerprint_grid AS g
        WHERE g.symbol = unpublished_part.symbol AND g.curve_symbol = g.symbol
    ) OR NOT EXISTS (
        SELECT FROM upc.fingerprint_grid AS g WHERE g.symbol = unpublished_part.symbol
    ) AND EXISTS (
        SELECT FROM upc.fingerprint_curve AS c
        WHERE c.symbol = '*' AND c.origin = 'built' AND c.bucket = upc._baseline()
    ) THEN 'upc.fingerprint_grid'
    WHEN NOT EXISTS (
        SELECT FROM upc.fingerprint_grid AS g WHERE g.symbol = unpublished_part.symbol
    ) AND EXISTS (
        SELECT FROM upc_data.fingerprint_build AS b
        WHERE b.completed_at IS NOT NULL AND EXISTS (
            SELECT FROM upc_data.fingerprint_histogram AS h WHERE h.symbol = b.symbol
        )
    ) THEN 'the pool'
END;
COMMENT ON FUNCTION upc.unpublished_part IS
    'the part of a symbol''s fingerprints that lacks what is stored: the name of a view, or the pool; NULL where all is published';


-- The problem of a symbol's fingerprints: not published, or counted or made by other formulas than
-- today's.
--
-- Returns problem, in words, NULL where there is none; is_red, true where nothing answers; and is_warning,
-- true where what was counted is right and its curves alone are of other formulas. A restore that was
-- not completed leaves curves that lack what is counted. Curves that were made by other formulas go on
-- answering; a build, or refresh_fingerprints, makes them anew.
-- Errors: none.
--
-- Example:
--   SELECT f.problem IS NULL AS is_well FROM fingerprint_problem('BTC') AS f;
CREATE FUNCTION upc.fingerprint_problem(
    symbol text,
    OUT is_red boolean,
    OUT problem text,
    OUT is_warning boolean
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_unpublished text := upc.unpublished_part(symbol);
BEGIN
    IF v_unpublished IS NOT NULL THEN
        is_red := NOT EXISTS (
            SELECT FROM upc.fingerprint_grid AS g
            JOIN upc.fingerprint_curve AS c
                ON c.symbol = g.curve_symbol AND c.origin = g.curve_origin
                AND c.bucket = g.curve_bucket
            WHERE g.symbol = fingerprint_problem.symbol
        );
        is_warning := false;
        problem := format('%s lacks what is stored of its fingerprints', v_unpublished);
    ELSIF upc._is_counted_by_others(symbol) OR EXISTS (
        SELECT FROM upc_data.volatility_fit AS f
        WHERE f.symbol = fingerprint_problem.symbol AND f.counted_by <> upc.volatility_hash()
    ) THEN
        is_red := false;
        is_warning := false;
        problem := 'its fingerprints were counted by other formulas than those of today';
    ELSIF upc.has_outdated_curves(symbol) THEN
        is_red := false;
        is_warning := true;
        problem := 'its curves were made by other formulas than those of today, and go on answering';
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc.fingerprint_problem IS
    'the problem of a symbol''s fingerprints: not published, or counted or made by other formulas than today''s; NULL where there is none';

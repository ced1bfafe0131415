-- Objects of the engine. An upgrade drops the schemas upc and analytics only after it has found that
-- everything in them, and everything that depends on them, is recorded.

-- Every object in the schemas upc and analytics, or depending on one that is, without the internal
-- parts of such an object (row types, rules of views, indexes of constraints, TOAST).
--
-- Returns a row per object. is_new: created by the transaction that asks.
--
-- Example:
--   SELECT count(*) > 100 FROM upc.engine_object_candidates();
CREATE FUNCTION upc.engine_object_candidates(OUT identity text, OUT is_new boolean)
RETURNS SETOF record
LANGUAGE sql
VOLATILE
PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH RECURSIVE part (classid, objid, objsubid) AS (
        SELECT 'pg_namespace'::regclass::oid, n.oid, 0
        FROM pg_namespace AS n
        WHERE n.nspname IN ('upc', 'analytics')

        UNION

        SELECT next.classid, next.objid, next.objsubid
        FROM part
        CROSS JOIN LATERAL (
            SELECT d.classid, d.objid, d.objsubid
            FROM pg_depend AS d
            WHERE d.refclassid = part.classid
                AND d.refobjid = part.objid
                AND part.objsubid IN (0, d.refobjsubid)

            UNION ALL

            SELECT d.refclassid, d.refobjid, d.refobjsubid
            FROM pg_depend AS d
            WHERE d.classid = part.classid
                AND d.objid = part.objid
                AND d.deptype = 'i'
        ) AS next
    ),
    origin AS (
        SELECT
            part.classid,
            part.objid,
            part.objsubid,
            bool_or(d.deptype = 'i') AS is_internal,
            -- Transaction ids after this transaction's own, modulo 2^32.
            min((d.xmin::text::bigint - pg_current_xact_id()::text::bigint) & 4294967295) AS ahead
        FROM part
        JOIN pg_depend AS d ON d.classid = part.classid AND d.objid = part.objid
        GROUP BY part.classid, part.objid, part.objsubid
    )
    SELECT
        object.type || ' ' || object.identity,
        -- A visible row of a transaction still in progress is this transaction's, or one of its
        -- subtransactions', whose ids follow closely.
        coalesce(
            CASE WHEN origin.ahead < 1000000 THEN
                pg_xact_status(
                    (pg_current_xact_id()::text::bigint + origin.ahead)::text::xid8
                ) = 'in progress'
            END,
            false
        )
    FROM origin
    CROSS JOIN LATERAL
        pg_identify_object(origin.classid, origin.objid, origin.objsubid) AS object
    WHERE NOT origin.is_internal
        AND object.identity IS NOT NULL
        AND object.schema IS DISTINCT FROM 'pg_toast';
END;

COMMENT ON FUNCTION upc.engine_object_candidates IS
    'Every object in the schemas upc and analytics, or depending on one that is';


-- Record what this transaction has created in the schemas upc and analytics, or on top of them,
-- as the engine's own, forget what no longer exists, and grant the rights on it. Code that creates
-- views at run time calls it in the same transaction: an upgrade refuses to drop what is not
-- recorded, and a reader could not read it.
--
-- Example:
--   SELECT upc.record_engine_objects();
CREATE FUNCTION upc.record_engine_objects()
RETURNS void
LANGUAGE plpgsql
VOLATILE
PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $fn$
DECLARE
    v_existing text[];
    v_created text[];
BEGIN
    SELECT
        array_agg(DISTINCT candidate.identity),
        array_agg(DISTINCT candidate.identity) FILTER (WHERE candidate.is_new)
    INTO v_existing, v_created
    FROM upc.engine_object_candidates() AS candidate;

    DELETE FROM upc_data.engine_object AS recorded
    WHERE recorded.identity <> ALL (v_existing);

    INSERT INTO upc_data.engine_object (identity)
    SELECT created.identity
    FROM unnest(v_created) AS created (identity)
    ON CONFLICT (identity) DO NOTHING;

    PERFORM upc.grant_rights();
END;
$fn$;

COMMENT ON FUNCTION upc.record_engine_objects IS
    'Record what this transaction has created in upc and analytics as the engine''s own, and grant the rights on it';

-- Granting: the rights of upc_reader and upc_operator on every object of ours. The roles themselves:
-- 99_rights.sql.

-- Privileges of upc_operator on tables beside SELECT. Rows that are locked want UPDATE.
--
-- Returns a row per table of upc_data that it may write to.
--
-- Example:
--   SELECT 'INSERT' = ANY (w.privileges) FROM upc.operator_writes() AS w WHERE w.name = 'price';
CREATE FUNCTION upc.operator_writes(OUT name text, OUT privileges text[])
RETURNS SETOF record
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    VALUES
        ('announcement', '{INSERT,UPDATE,DELETE}'::text[]),
        ('announcement_cursor', '{INSERT,UPDATE}'),
        ('candle', '{INSERT,UPDATE}'),
        ('candle_change', '{INSERT,DELETE}'),
        ('candle_hole', '{INSERT,DELETE}'),
        ('condition', '{INSERT,UPDATE,DELETE}'),
        ('contract_log', '{INSERT}'),
        ('counted_day', '{INSERT,UPDATE,DELETE}'),
        ('curve_refresh', '{INSERT,UPDATE,DELETE}'),
        ('document', '{INSERT,UPDATE}'),
        ('exchange_status', '{INSERT,UPDATE,DELETE}'),
        ('fill', '{INSERT}'),
        ('fingerprint_build', '{INSERT,UPDATE}'),
        ('fingerprint_curve', '{INSERT,UPDATE,DELETE}'),
        ('fingerprint_grid', '{INSERT,UPDATE,DELETE}'),
        ('fingerprint_histogram', '{INSERT,UPDATE,DELETE}'),
        ('fit_change', '{INSERT,DELETE}'),
        ('horizon_curve', '{INSERT,UPDATE,DELETE}'),
        ('horizon_day', '{INSERT,UPDATE,DELETE}'),
        ('id_counter', '{INSERT,UPDATE}'),
        ('live_answer', '{INSERT,DELETE}'),
        ('log_progress', '{INSERT,UPDATE}'),
        ('market_event', '{INSERT,UPDATE}'),
        ('market_quote', '{INSERT,UPDATE,DELETE}'),
        ('minute_variance', '{INSERT}'),
        ('paper_trade', '{INSERT,UPDATE}'),
        ('price', '{INSERT,UPDATE,DELETE}'),
        ('recalibration', '{INSERT,DELETE}'),
        ('scheduled_news', '{INSERT,UPDATE,DELETE}'),
        ('second_source', '{INSERT}'),
        ('series', '{UPDATE}'),
        ('settlement_basis', '{INSERT}'),
        ('tick', '{INSERT,UPDATE,DELETE}'),
        ('tick_count', '{INSERT,UPDATE}'),
        ('tick_lease', '{INSERT,UPDATE,DELETE}'),
        ('tick_minute', '{INSERT,UPDATE,DELETE}'),
        ('trade', '{INSERT,UPDATE}'),
        ('volatility_change', '{INSERT,DELETE}'),
        ('volatility_curve', '{INSERT,UPDATE,DELETE}'),
        ('volatility_day', '{INSERT,UPDATE,DELETE}'),
        ('volatility_drift', '{INSERT,UPDATE,DELETE}'),
        ('volatility_fit', '{INSERT,UPDATE,DELETE}'),
        ('volatility_histogram', '{INSERT,UPDATE,DELETE}'),
        ('volatility_month', '{INSERT,UPDATE,DELETE}'),
        ('volatility_state', '{INSERT,UPDATE,DELETE}'),
        ('write_probe', '{INSERT,UPDATE}');
END;
COMMENT ON FUNCTION upc.operator_writes IS
    'the privileges of upc_operator on the tables of upc_data beside reading them';


-- Our schemas, and the relations and routines in them, whose rights are the current user's to give,
-- with the rights that there are; in upc and analytics only what is recorded as the engine's own.
-- trait: kind of the relation or volatility of the routine, as in the catalogues.
CREATE FUNCTION upc._granted_objects(
    OUT kind text,
    OUT oid oid,
    OUT schema text,
    OUT name text,
    OUT trait "char",
    OUT acl aclitem[],
    OUT identity text
)
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH object (kind, classid, oid, schema, name, trait, owner, acl) AS (
        SELECT
            'SCHEMA', 'pg_namespace'::regclass, n.oid, NULL, n.nspname, NULL::"char", n.nspowner,
            coalesce(n.nspacl, acldefault('n', n.nspowner))
        FROM pg_namespace AS n
        WHERE n.nspname IN ('upc_data', 'upc', 'analytics')

        UNION ALL

        SELECT
            CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
            'pg_class'::regclass, c.oid, n.nspname, c.relname, c.relkind, c.relowner,
            coalesce(
                c.relacl,
                acldefault(CASE c.relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END, c.relowner)
            )
        FROM pg_class AS c
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname IN ('upc_data', 'upc', 'analytics')
            AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')

        UNION ALL

        SELECT
            'ROUTINE', 'pg_proc'::regclass, p.oid, n.nspname, p.proname, p.provolatile, p.proowner,
            coalesce(p.proacl, acldefault('f', p.proowner))
        FROM pg_proc AS p
        JOIN pg_namespace AS n ON n.oid = p.pronamespace
        WHERE n.nspname IN ('upc_data', 'upc', 'analytics')
    )
    SELECT o.kind, o.oid, o.schema, o.name, o.trait, o.acl, d.identity
    FROM object AS o
    CROSS JOIN LATERAL pg_identify_object(o.classid, o.oid, 0) AS d
    WHERE pg_has_role(o.owner, 'USAGE')
        AND (
            o.schema IS NULL
            OR o.schema = 'upc_data'
            OR EXISTS (
                SELECT FROM upc_data.engine_object AS recorded
                WHERE recorded.identity = d.type || ' ' || d.identity
            )
        );
END;
COMMENT ON FUNCTION upc._granted_objects IS
    'our schemas, relations and routines whose rights are the current user''s to give, with the rights that there are';


-- Rights on our schemas, tables, views and functions that are not as they should be: those that the
-- two roles lack, and those that PUBLIC or the reader have beyond theirs. The operator may have more.
CREATE FUNCTION upc._rights_to_change(
    reader text,
    operator text,
    OUT is_grant boolean,
    OUT privilege text,
    OUT kind text,
    OUT object text,
    OUT grantee text
)
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH role (oid, name) AS (
        SELECT r.oid, r.rolname::text
        FROM pg_roles AS r
        WHERE r.rolname IN (_rights_to_change.reader, _rights_to_change.operator)

        UNION ALL

        SELECT 0, 'public'
    ),
    ours AS MATERIALIZED (
        SELECT o.* FROM upc._granted_objects() AS o
    ),
    wanted AS (
        SELECT o.kind, o.identity, r.name AS grantee, w.privilege
        FROM ours AS o
        JOIN role AS r ON r.oid <> 0
        CROSS JOIN LATERAL (
            SELECT 'USAGE' AS privilege WHERE o.kind = 'SCHEMA'

            UNION ALL

            SELECT 'SELECT' AS privilege WHERE o.kind = 'TABLE'

            UNION ALL

            SELECT 'EXECUTE' AS privilege
            WHERE o.kind = 'ROUTINE'
                AND (o.trait <> 'v' OR r.name = _rights_to_change.operator)

            UNION ALL

            SELECT unnest(t.privileges) AS privilege
            FROM upc.operator_writes() AS t
            WHERE r.name = _rights_to_change.operator
                AND o.kind = 'TABLE' AND o.schema = 'upc_data' AND o.name = t.name

            UNION ALL

            -- Lets a role refresh that is not the owner.
            SELECT 'MAINTAIN' AS privilege
            WHERE r.name = _rights_to_change.operator
                AND o.kind = 'TABLE' AND o.trait = 'm'
                AND current_setting('server_version_num')::integer >= 170000
        ) AS w
    ),
    held AS (
        SELECT o.kind, o.identity, r.name AS grantee, e.privilege_type AS privilege
        FROM ours AS o
        CROSS JOIN LATERAL aclexplode(o.acl) AS e
        JOIN role AS r ON r.oid = e.grantee

        UNION

        SELECT o.kind, o.identity, r.name, format('%s (%I)', e.privilege_type, a.attname)
        FROM ours AS o
        JOIN pg_attribute AS a ON a.attrelid = o.oid AND a.attacl IS NOT NULL
        CROSS JOIN LATERAL aclexplode(a.attacl) AS e
        JOIN role AS r ON r.oid = e.grantee
        WHERE o.kind = 'TABLE'
    )
    SELECT w.privilege IS NOT NULL, c.privilege, c.kind, c.identity, c.grantee
    FROM wanted AS w
    FULL JOIN held AS h USING (kind, identity, grantee, privilege)
    CROSS JOIN LATERAL (VALUES (kind, identity, grantee, privilege))
        AS c (kind, identity, grantee, privilege)
    WHERE w.privilege IS NULL AND c.grantee <> _rights_to_change.operator
        OR h.privilege IS NULL;
END;
COMMENT ON FUNCTION upc._rights_to_change IS
    'the rights on our objects that the two roles lack, and those that PUBLIC or the reader have beyond theirs';


-- Grant the two roles their rights on our schemas, tables, views and functions, as far as the roles
-- exist, and take from PUBLIC what it has on them. Where all is as it should be, nothing is written.
--
-- reader, operator: names of the roles.
-- Returns the number of rights that were granted or revoked.
--
-- Example:
--   SELECT upc.grant_rights() = 0 AS is_complete;
CREATE FUNCTION upc.grant_rights(
    reader text DEFAULT 'upc_reader',
    operator text DEFAULT 'upc_operator'
)
RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $fn$
DECLARE
    v_change record;
    v_count integer := 0;
BEGIN
    FOR v_change IN
        SELECT
            CASE WHEN o.is_grant THEN 'GRANT' ELSE 'REVOKE' END AS verb,
            CASE WHEN o.is_grant THEN 'TO' ELSE 'FROM' END AS preposition,
            o.privileges,
            o.kind,
            o.grantee,
            string_agg(o.object, ', ' ORDER BY o.object) AS objects,
            sum(o.size) AS size
        FROM (
            SELECT
                r.is_grant,
                r.kind,
                r.object,
                r.grantee,
                string_agg(r.privilege, ', ' ORDER BY r.privilege) AS privileges,
                count(*) AS size
            FROM upc._rights_to_change(grant_rights.reader, grant_rights.operator) AS r
            GROUP BY r.is_grant, r.kind, r.object, r.grantee
        ) AS o
        GROUP BY o.is_grant, o.privileges, o.kind, o.grantee
        ORDER BY o.is_grant, o.kind, o.privileges, o.grantee
    LOOP
        EXECUTE format(
            '%s %s ON %s %s %s %I',
            v_change.verb,
            v_change.privileges,
            v_change.kind,
            v_change.objects,
            v_change.preposition,
            v_change.grantee
        );
        v_count := v_count + v_change.size;
    END LOOP;
    RETURN v_count;
END
$fn$;
COMMENT ON FUNCTION upc.grant_rights IS
    'grants upc_reader and upc_operator their rights on our objects and takes from PUBLIC what it has on them; returns the number of changes';

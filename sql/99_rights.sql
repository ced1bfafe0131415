-- Rights: two roles without login, of the whole server, for readers and for ticks, feeds and trades.
-- Their rights on each object are granted in 00_core/01_granting.sql; a rebuild drops those on
-- functions and views, and grants them again.
--
--   upc_reader    reads everything and changes nothing.
--   upc_operator  reads everything, writes what ticks, feeds, trades and builds write, and calls
--                 every function.
--
-- upc_operator has all rights of its own instead of being a member of upc_reader: a membership
-- would hold for all databases of the server and want an administrator of upc_reader to be made,
-- while rights on our objects are their owner's to give, and each database's own.

-- Create a role without login unless there is one of that name, which is kept as it is. Without the
-- right to create roles it warns and goes on.
CREATE FUNCTION upc._create_role(name text)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $fn$
BEGIN
    IF EXISTS (SELECT FROM pg_roles AS r WHERE r.rolname = _create_role.name) THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE ROLE %I NOLOGIN', _create_role.name);
EXCEPTION
    -- Roles are the server's: the upgrade of another database may have created it meanwhile.
    WHEN duplicate_object OR unique_violation THEN
        NULL;
    WHEN insufficient_privilege THEN
        RAISE WARNING 'there is no role "%", and "%" may not create it', _create_role.name, current_user
            USING HINT = format(
                'As who may: CREATE ROLE %I NOLOGIN; then run "pyupc db upgrade" again.',
                _create_role.name
            );
END
$fn$;
COMMENT ON FUNCTION upc._create_role IS
    'creates a role without login unless there is one of that name; warns if the current user may not';


-- Take from PUBLIC what lets everybody write to the database outside of our schemas: TEMPORARY and
-- CREATE on the database, CREATE on the schema public and, for which it takes a superuser, the
-- functions that create or write large objects. The rights taken are noted in the comment on upc_data,
-- so that the downgrade that ends with nothing of ours can give them back.
--
-- Example:
--   SELECT upc.revoke_public_rights();
CREATE FUNCTION upc.revoke_public_rights()
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $fn$
DECLARE
    v_schema record;
    v_right record;
    v_taken text[];
BEGIN
    SELECT n.nspowner AS owner, obj_description(n.oid, 'pg_namespace') AS comment
    INTO STRICT v_schema
    FROM pg_namespace AS n
    WHERE n.nspname = 'upc_data';
    v_taken := string_to_array(
        substring(v_schema.comment FROM '[.] Taken from PUBLIC: (.*) [[]pyupc data[]]$'), '; '
    );

    FOR v_right IN
        SELECT
            e.privilege_type AS privilege,
            o.place,
            format(o.note, e.privilege_type) AS note
        FROM (
            SELECT
                format('DATABASE %I', d.datname), '%s ON DATABASE', d.datdba,
                coalesce(d.datacl, acldefault('d', d.datdba)), '{TEMPORARY,CREATE}'::text[]
            FROM pg_database AS d
            WHERE d.datname = current_database()

            UNION ALL

            SELECT
                'SCHEMA public', '%s ON SCHEMA public', n.nspowner,
                coalesce(n.nspacl, acldefault('n', n.nspowner)), '{CREATE}'
            FROM pg_namespace AS n
            WHERE n.nspname = 'public'

            UNION ALL

            SELECT
                'FUNCTION ' || p.oid::regprocedure, p.proname, p.proowner,
                coalesce(p.proacl, acldefault('f', p.proowner)), '{EXECUTE}'
            FROM pg_proc AS p
            WHERE p.pronamespace = 'pg_catalog'::regnamespace
                AND p.proname IN (
                    'lo_creat', 'lo_create', 'lo_from_bytea', 'lo_import', 'lo_put',
                    'lo_truncate', 'lo_truncate64', 'lo_unlink', 'lowrite'
                )
        ) AS o (place, note, owner, acl, privileges)
        CROSS JOIN LATERAL aclexplode(o.acl) AS e
        WHERE e.grantee = 0
            AND e.privilege_type = ANY (o.privileges)
            AND pg_has_role(o.owner, 'USAGE')
    LOOP
        EXECUTE format('REVOKE %s ON %s FROM PUBLIC', v_right.privilege, v_right.place);
        v_taken := array_append(v_taken, v_right.note);
    END LOOP;

    IF FOUND AND pg_has_role(v_schema.owner, 'USAGE') THEN
        EXECUTE format(
            'COMMENT ON SCHEMA upc_data IS %L',
            regexp_replace(v_schema.comment, '([.] Taken from PUBLIC: .*)? [[]pyupc data[]]$', '')
                || '. Taken from PUBLIC: '
                || (
                    SELECT string_agg(DISTINCT taken.note, '; ' ORDER BY taken.note)
                    FROM unnest(v_taken) AS taken (note)
                )
                || ' [pyupc data]'
        );
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc.revoke_public_rights IS
    'takes from PUBLIC what lets everybody write to the database outside of our schemas, as far as the current user may';


-- Create the two roles, take from PUBLIC what is not for everybody, and grant the roles their
-- rights. Every upgrade ends with it; a user without all of its privileges does a part of it.
--
-- reader, operator: names of the roles.
--
-- Example:
--   SELECT upc.set_up_rights();
CREATE FUNCTION upc.set_up_rights(
    reader text DEFAULT 'upc_reader',
    operator text DEFAULT 'upc_operator'
)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $fn$
DECLARE
    v_is_owner boolean := (
        SELECT pg_has_role(d.datdba, 'USAGE')
        FROM pg_database AS d
        WHERE d.datname = current_database()
    );
    v_role text;
BEGIN
    PERFORM upc._create_role(set_up_rights.reader);
    PERFORM upc._create_role(set_up_rights.operator);
    PERFORM upc.revoke_public_rights();

    IF NOT v_is_owner AND has_database_privilege('public', current_database(), 'TEMPORARY') THEN
        RAISE WARNING 'everybody may create temporary tables: "%" does not own the database', current_user
            USING HINT = format(
                'As its owner: REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC.', current_database()
            );
    END IF;
    -- "pyupc candles load" copies its lines into a temporary table, and a refresh makes one in the
    -- name of the view's owner.
    FOR v_role IN
        SELECT r.rolname
        FROM pg_roles AS r
        WHERE v_is_owner
            AND (
                r.rolname = set_up_rights.operator
                OR r.oid IN (
                    SELECT c.relowner
                    FROM pg_class AS c
                    WHERE c.relnamespace = 'upc'::regnamespace AND c.relkind = 'm'
                )
            )
            AND NOT has_database_privilege(r.oid, current_database(), 'TEMPORARY')
    LOOP
        EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO %I', current_database(), v_role);
    END LOOP;

    PERFORM upc.grant_rights(set_up_rights.reader, set_up_rights.operator);
END
$fn$;
COMMENT ON FUNCTION upc.set_up_rights IS
    'creates upc_reader and upc_operator, takes from PUBLIC what is not for everybody and grants the roles their rights';

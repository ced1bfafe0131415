"""Rights of a member of upc_reader: it reads, and can do nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pyupc.database.connect import connect
from pyupc.database.migrate import upgrade
from pyupc.errors import PyupcError
from tests.support.engine import (
    Connection,
    build,
    drop_role,
    open_db,
    put,
    scalar,
    walk,
)

DENIED = "42501"

# Reasons why a view cannot be written to by any role: it joins, or it is materialized.
NO_TABLE = {"55000", "42809", "0A000"}

PASSWORD = "sesame"


@dataclass
class Place:
    """A database that is ticked, its owner, and a user who is a member of upc_reader alone."""

    owner: Connection
    reader: Connection
    name: str
    """Of the user."""

    def spelled(self, statement: str) -> bytes:
        words = {
            "me": self.name,
            "database": self.reader.info.dbname,
            "owner": self.owner.info.user,
            "owner_pid": self.owner.info.backend_pid,
        }
        return statement.format(**words).encode()

    def attempt(self, statement: str) -> str | None:
        """The SQLSTATE of its failure; None if it succeeds."""
        try:
            self.reader.execute(self.spelled(statement))
        except psycopg.Error as error:
            return error.sqlstate or type(error).__name__
        return None


@pytest.fixture(scope="module")
def place(module_dsn: str, name_prefix: str) -> Iterator[Place]:
    name = f"{name_prefix}_reader"
    # The session may not write; the first step of an attacker is to change that.
    dsn = make_conninfo(
        module_dsn, user=name, password=PASSWORD, options="-c default_transaction_read_only=on"
    )
    with open_db(module_dsn) as owner:
        upgrade(module_dsn)
        put(owner, "BTC", walk(150, "2024-01-01T10:00", 300))
        build(owner)
        owner.execute("SELECT upc.record_price('BTC', 'coinbase', 97000)")
        owner.execute("SELECT FROM upc.tick('BTC', 'coinbase', holder => 'another')")
        identifier = sql.Identifier(name)
        owner.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}; GRANT upc_reader TO {}").format(
                identifier, sql.Literal(PASSWORD), identifier
            )
        )
        try:
            try:
                reader = connect(dsn)
            except PyupcError:
                pytest.skip("the server lets no other role in")
            with reader:
                reader.execute("SET default_transaction_read_only = off")
                yield Place(owner, reader, name)
        finally:
            drop_role(owner, name)


# Catalogues of objects and rights, by their contents: a GRANT that does nothing writes a row again.
# Other tests change the server's other databases and roles, and vacuum changes statistics.
CATALOGUES = {
    "classes": "(SELECT oid, relname, relnamespace, relowner, relacl, relfilenode, relkind,"
    " relpersistence, relhastriggers, relhasrules, relrowsecurity, reloptions FROM pg_class)",
    "functions": "(SELECT * FROM pg_proc WHERE proname ~ '^lo' OR pronamespace::regnamespace::text"
    " IN ('upc', 'upc_data', 'public'))",
    "namespaces": "pg_namespace",
    "triggers": "pg_trigger",
    "policies": "pg_policy",
    "extensions": "pg_extension",
    "default privileges": "pg_default_acl",
    "statistics": "pg_statistic_ext",
    "event triggers": "pg_event_trigger",
    "publications": "pg_publication",
    "large objects": "pg_largeobject_metadata",
    "database": "(SELECT datname, datdba, datacl FROM pg_database"
    " WHERE datname = current_database())",
    "settings": "(SELECT * FROM pg_db_role_setting"
    " WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " OR setrole IN (to_regrole('upc_reader'), to_regrole('upc_operator')))",
    "roles": "(SELECT * FROM pg_authid"
    " WHERE rolname IN ('upc_reader', 'upc_operator', 'upc_intruder', '{me}', current_user))",
    "memberships": "(SELECT * FROM pg_auth_members WHERE member IN (to_regrole('{me}'),"
    " to_regrole('upc_reader'), to_regrole('upc_operator'), to_regrole(current_user)))",
}
# By the places of their rows, as the rows of our own tables and indexed views: whatever is written
# moves them.
STORED = ("pg_attribute", "pg_description", "pg_rewrite", "pg_type")
RELATIONS = """
    SELECT c.oid::regclass::text
    FROM pg_class AS c
    WHERE c.relnamespace IN ('upc_data'::regnamespace, 'upc'::regnamespace)
        AND c.relkind IN ('r', 'm')
"""
SEQUENCES = """
    SELECT string_agg(s::text, ',' ORDER BY s.sequencename)
    FROM pg_sequences AS s
    WHERE s.schemaname = 'upc_data'
"""


def fingerprint(place: Place) -> dict[str, Any]:
    """Everything in the database that there is to change."""
    relations = [name for (name,) in place.owner.execute(RELATIONS).fetchall()]
    queries = [
        f"SELECT '{name}', sum(hashtextextended(concat(t.ctid, t.xmin), 0)) FROM {name} AS t"
        for name in (*relations, *STORED)
    ]
    queries += [
        f"SELECT '{name}', sum(hashtextextended(t::text, 0)) FROM {source} AS t"
        for name, source in CATALOGUES.items()
    ]
    rows = place.owner.execute(place.spelled(" UNION ALL ".join(queries))).fetchall()
    return {**{name: digest for name, digest in rows}, "sequences": scalar(place.owner, SEQUENCES)}


@pytest.fixture(scope="module")
def as_it_was(place: Place) -> dict[str, Any]:
    return fingerprint(place)


@pytest.fixture
def untouched(place: Place, as_it_was: dict[str, Any]) -> Iterator[Place]:
    yield place
    assert fingerprint(place) == as_it_was


# Attempts of a reader that must fail

LOCKS = (
    "ROW SHARE",
    "ROW EXCLUSIVE",
    "SHARE UPDATE EXCLUSIVE",
    "SHARE",
    "SHARE ROW EXCLUSIVE",
    "EXCLUSIVE",
    "ACCESS EXCLUSIVE",
)

# On each table, with a column of it.
ON_TABLES = (
    "INSERT INTO {table} DEFAULT VALUES",
    "UPDATE {table} SET {column} = {column}",
    "DELETE FROM {table}",
    "TRUNCATE {table}",
    "TRUNCATE {table} RESTART IDENTITY CASCADE",
    "MERGE INTO {table} USING (SELECT 1) AS s ON true WHEN MATCHED THEN DELETE",
    "MERGE INTO {table} USING (SELECT 1) AS s ON false WHEN NOT MATCHED THEN INSERT DEFAULT VALUES",
    "WITH gone AS (DELETE FROM {table} RETURNING 1) SELECT FROM gone",
    "WITH new AS (INSERT INTO {table} DEFAULT VALUES RETURNING 1) SELECT FROM new",
    "EXPLAIN ANALYZE DELETE FROM {table}",
    "SELECT FROM {table} FOR UPDATE",
    "SELECT FROM {table} FOR NO KEY UPDATE",
    "SELECT FROM {table} FOR SHARE",
    "SELECT FROM {table} FOR KEY SHARE",
    "SELECT FROM {table} FOR UPDATE SKIP LOCKED",
    "COPY {table} FROM STDIN",
    "COPY {table} FROM '/dev/null'",
    "COPY {table} FROM PROGRAM 'true'",
    "COPY {table} TO '/tmp/upc_intruder'",
    "ALTER TABLE {table} ADD COLUMN intruder integer",
    "ALTER TABLE {table} DROP COLUMN {column}",
    "ALTER TABLE {table} OWNER TO CURRENT_USER",
    "ALTER TABLE {table} DISABLE TRIGGER ALL",
    "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE {table} RENAME TO intruder",
    "ALTER TABLE {table} SET SCHEMA public",
    "ALTER TABLE {table} SET UNLOGGED",
    "ALTER TABLE {table} SET (autovacuum_enabled = off)",
    "DROP TABLE {table} CASCADE",
    "COMMENT ON TABLE {table} IS 'mine'",
    "COMMENT ON COLUMN {table}.{column} IS 'mine'",
    "CREATE INDEX ON {table} ({column})",
    "CREATE TRIGGER intruder BEFORE INSERT ON {table}"
    " FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "CREATE RULE intruder AS ON INSERT TO {table} DO INSTEAD NOTHING",
    "CREATE POLICY intruder ON {table}",
    "CREATE STATISTICS public.intruder ON ctid, {column} FROM {table}",
    "REINDEX TABLE {table}",
    "CLUSTER {table}",
    *(f"DO $$ BEGIN LOCK TABLE {{table}} IN {mode} MODE; END $$" for mode in LOCKS),
)

TABLES = """
    SELECT c.oid::regclass::text AS table, min(quote_ident(a.attname)) AS column
    FROM pg_class AS c
    JOIN pg_attribute AS a ON a.attrelid = c.oid
    WHERE c.relnamespace = 'upc_data'::regnamespace
        AND c.relkind IN ('r', 'p')
        AND a.attnum > 0 AND NOT a.attisdropped AND a.attidentity = '' AND a.attgenerated = ''
    GROUP BY c.oid
    ORDER BY 1
"""

# On each view, materialized or not.
ON_VIEWS = (
    "INSERT INTO {view} DEFAULT VALUES",
    "DELETE FROM {view}",
    "TRUNCATE {view}",
    "SELECT FROM {view} FOR UPDATE",
    "DO $$ BEGIN LOCK TABLE {view} IN ACCESS EXCLUSIVE MODE; END $$",
    "DROP {kind} {view} CASCADE",
    "COMMENT ON {kind} {view} IS 'mine'",
    "ALTER {kind} {view} OWNER TO CURRENT_USER",
    "ALTER {kind} {view} RENAME TO intruder",
    "REFRESH MATERIALIZED VIEW {view}",
    "REFRESH MATERIALIZED VIEW CONCURRENTLY {view}",
)

VIEWS = """
    SELECT
        c.oid::regclass::text AS view,
        CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'MATERIALIZED VIEW' END AS kind
    FROM pg_class AS c
    WHERE c.relnamespace IN ('upc'::regnamespace, 'analytics'::regnamespace)
        AND c.relkind IN ('v', 'm')
    ORDER BY 1
"""

# On each function, whatever it does; and a call of those that may write.
ON_FUNCTIONS = (
    "DROP FUNCTION {function} CASCADE",
    "ALTER FUNCTION {function} OWNER TO CURRENT_USER",
    "ALTER FUNCTION {function} SECURITY DEFINER",
    "ALTER FUNCTION {function} SET search_path = public",
    "COMMENT ON FUNCTION {function} IS 'mine'",
)

FUNCTIONS = """
    SELECT
        p.oid::regprocedure::text AS function,
        p.provolatile = 'v' AS is_volatile,
        'SELECT ' || p.oid::regproc || '(' || coalesce((
            SELECT string_agg('NULL::' || format_type(t.oid, NULL), ', ' ORDER BY t.place)
            FROM unnest(p.proargtypes) WITH ORDINALITY AS t (oid, place)
        ), '') || ')' AS call
    FROM pg_proc AS p
    WHERE p.pronamespace IN ('upc'::regnamespace, 'analytics'::regnamespace)
    ORDER BY 1
"""

LARGE_OBJECTS = (
    "lo_create(0)",
    "lo_creat(-1)",
    "lo_from_bytea(0, 'mine')",
    "lo_import('/etc/passwd')",
    "lo_import('/etc/passwd', 4711)",
    "lo_export(1, '/tmp/upc_intruder')",
    "lo_put(1, 0, 'mine')",
    "lo_truncate(0, 0)",
    "lo_truncate64(0, 0)",
    "lo_unlink(1)",
    "lowrite(0, 'mine')",
)

ON_ANYTHING = (
    *(f"SELECT {call}" for call in LARGE_OBJECTS),
    # New objects
    "CREATE TABLE public.intruder ()",
    "CREATE TABLE upc_data.intruder ()",
    "CREATE TABLE upc.intruder ()",
    "CREATE TABLE analytics.intruder ()",
    "CREATE UNLOGGED TABLE public.intruder ()",
    "CREATE TABLE public.intruder AS SELECT 1 AS one",
    "CREATE TABLE public.intruder (LIKE upc_data.candle INCLUDING ALL)",
    "CREATE TEMPORARY TABLE intruder ()",
    "CREATE TEMPORARY TABLE intruder AS TABLE upc_data.symbol",
    "CREATE TEMPORARY VIEW intruder AS SELECT 1 AS one",
    "CREATE TEMPORARY SEQUENCE intruder",
    "CREATE FUNCTION pg_temp.intruder() RETURNS integer RETURN 1",
    "SELECT 1 AS one INTO public.intruder",
    "SELECT 1 AS one INTO TEMPORARY intruder",
    "CREATE VIEW public.intruder AS SELECT 1 AS one",
    "CREATE OR REPLACE VIEW upc.fingerprint_set AS SELECT 1 AS one",
    "CREATE VIEW analytics.intruder AS SELECT 1 AS one",
    "CREATE MATERIALIZED VIEW public.intruder AS SELECT 1 AS one",
    "CREATE FUNCTION public.intruder() RETURNS integer RETURN 1",
    "CREATE FUNCTION upc.intruder() RETURNS integer RETURN 1",
    "CREATE PROCEDURE public.intruder() LANGUAGE sql AS ''",
    "CREATE AGGREGATE public.intruder(integer) (SFUNC = int4pl, STYPE = integer)",
    "CREATE OPERATOR public.@@@ (FUNCTION = int4pl, LEFTARG = integer, RIGHTARG = integer)",
    "CREATE SEQUENCE public.intruder",
    "CREATE TYPE public.intruder AS ENUM ()",
    "CREATE DOMAIN public.intruder AS integer",
    'CREATE COLLATION public.intruder FROM "C"',
    "CREATE SCHEMA intruder",
    "CREATE SCHEMA AUTHORIZATION CURRENT_USER",
    "CREATE DATABASE upc_intruder",
    "CREATE ROLE upc_intruder",
    "CREATE USER upc_intruder SUPERUSER",
    "CREATE LANGUAGE intruder HANDLER plpgsql_call_handler",
    "CREATE EVENT TRIGGER intruder ON ddl_command_start EXECUTE FUNCTION upc.intruder()",
    "CREATE PUBLICATION intruder",
    "CREATE FOREIGN DATA WRAPPER intruder",
    "CREATE TABLESPACE intruder LOCATION '/tmp'",
    # Objects that there are
    "ALTER SCHEMA upc_data RENAME TO intruder",
    "ALTER SCHEMA upc OWNER TO CURRENT_USER",
    "ALTER SCHEMA public OWNER TO CURRENT_USER",
    "DROP SCHEMA upc CASCADE",
    "DROP SCHEMA analytics CASCADE",
    "DROP SCHEMA upc_data CASCADE",
    "DROP SCHEMA public CASCADE",
    "DROP DATABASE postgres",
    "DROP EXTENSION plpgsql CASCADE",
    "DROP OWNED BY {owner} CASCADE",
    "REASSIGN OWNED BY {owner} TO CURRENT_USER",
    "COMMENT ON SCHEMA upc IS 'mine'",
    "COMMENT ON DATABASE \"{database}\" IS 'mine'",
    "COMMENT ON ROLE upc_reader IS 'mine'",
    "ALTER SEQUENCE upc_data.trade_trade_id_seq RESTART",
    "SELECT nextval('upc_data.trade_trade_id_seq')",
    "SELECT setval('upc_data.trade_trade_id_seq', 4711)",
    "SELECT last_value FROM upc_data.trade_trade_id_seq",
    "DO $$ BEGIN DELETE FROM upc_data.tick; END $$",
    "PREPARE intruder AS DELETE FROM upc_data.tick; EXECUTE intruder",
    # Rights
    "GRANT upc_operator TO CURRENT_USER",
    "GRANT upc_reader TO {owner}",
    "GRANT {owner} TO CURRENT_USER",
    "GRANT pg_write_all_data TO CURRENT_USER",
    "GRANT pg_execute_server_program TO CURRENT_USER",
    "GRANT EXECUTE ON FUNCTION upc.prove_write() TO PUBLIC",
    "REVOKE upc_operator FROM upc_operator",
    "SET ROLE upc_operator",
    "SET ROLE {owner}",
    "SET ROLE pg_write_all_data",
    "SET SESSION AUTHORIZATION {owner}",
    "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT ALL ON TABLES TO upc_reader",
    "ALTER DEFAULT PRIVILEGES FOR ROLE upc_operator GRANT ALL ON TABLES TO upc_reader",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "ALTER ROLE CURRENT_USER CREATEROLE",
    "ALTER ROLE upc_operator LOGIN PASSWORD 'mine'",
    "ALTER ROLE {owner} PASSWORD 'mine'",
    "ALTER ROLE upc_reader SET default_transaction_read_only = off",
    'ALTER ROLE upc_reader IN DATABASE "{database}" SET search_path = public',
    "DROP ROLE upc_operator",
    # The server
    "ALTER SYSTEM SET fsync = off",
    'ALTER DATABASE "{database}" SET search_path = public',
    'ALTER DATABASE "{database}" SET default_transaction_read_only = on',
    'ALTER DATABASE "{database}" RENAME TO upc_intruder',
    'ALTER DATABASE "{database}" OWNER TO CURRENT_USER',
    "SET session_replication_role = replica",
    "SET log_statement = 'none'",
    "LOAD '/tmp/intruder'",
    "CHECKPOINT",
    "COPY (SELECT 1) TO PROGRAM 'cat > /tmp/upc_intruder'",
    "COPY (SELECT 1) TO '/tmp/upc_intruder'",
    "SELECT pg_read_file('postgresql.conf')",
    "SELECT pg_read_binary_file('postgresql.conf')",
    "SELECT pg_ls_dir('.')",
    "SELECT pg_stat_file('postgresql.conf')",
    "SELECT pg_reload_conf()",
    "SELECT pg_rotate_logfile()",
    "SELECT pg_switch_wal()",
    "SELECT pg_create_restore_point('intruder')",
    "SELECT pg_create_physical_replication_slot('intruder')",
    "SELECT pg_stat_reset()",
    "SELECT pg_terminate_backend({owner_pid})",
    "SELECT pg_cancel_backend({owner_pid})",
    "SELECT pg_promote()",
    "SELECT pg_import_system_collations('public')",
    "SELECT rolpassword FROM pg_authid",
    "SELECT passwd FROM pg_shadow",
    "SELECT stxdndistinct FROM pg_statistic_ext_data",
    "UPDATE pg_proc SET proname = 'intruder'",
    "DELETE FROM pg_class",
)


def test_tables_are_not_to_be_changed(untouched: Place) -> None:
    tables = untouched.owner.execute(TABLES).fetchall()
    assert len(tables) > 20
    attempts = [
        each.format(table=table, column=column) for table, column in tables for each in ON_TABLES
    ]
    assert {each: untouched.attempt(each) for each in attempts} == dict.fromkeys(attempts, DENIED)


def test_views_are_not_to_be_changed(untouched: Place) -> None:
    views = untouched.owner.execute(VIEWS).fetchall()
    assert len(views) > 125
    for view, kind in views:
        for each in ON_VIEWS:
            statement = each.format(view=view, kind=kind)
            assert untouched.attempt(statement) in {DENIED, *NO_TABLE}, statement


@pytest.mark.parametrize("how", ["", "CONCURRENTLY"])
def test_nothing_is_refreshed(untouched: Place, how: str) -> None:
    assert untouched.attempt(f"REFRESH MATERIALIZED VIEW {how} upc.pooled_curve") == DENIED


def test_functions_are_not_to_be_changed_and_none_that_writes_is_called(untouched: Place) -> None:
    functions = untouched.owner.execute(FUNCTIONS).fetchall()
    calls = [call for _, is_volatile, call in functions if is_volatile]
    assert len(calls) > 50
    attempts = [each.format(function=name) for name, *_ in functions for each in ON_FUNCTIONS]
    attempts += calls
    assert {each: untouched.attempt(each) for each in attempts} == dict.fromkeys(attempts, DENIED)


def test_no_extension_is_created(untouched: Place) -> None:
    query = "SELECT format('CREATE EXTENSION %I CASCADE', e.name) FROM pg_available_extensions AS e"
    attempts = [
        statement
        for (statement,) in untouched.owner.execute(f"{query} WHERE e.installed_version IS NULL")
    ]
    assert {each: untouched.attempt(each) for each in attempts} == dict.fromkeys(attempts, DENIED)


@pytest.mark.parametrize("statement", ON_ANYTHING)
def test_nothing_else_is_to_be_changed(untouched: Place, statement: str) -> None:
    assert untouched.attempt(statement) == DENIED


@pytest.mark.parametrize(
    "statement",
    [
        "GRANT ALL ON upc_data.tick TO CURRENT_USER",
        "GRANT SELECT ON ALL TABLES IN SCHEMA upc_data TO PUBLIC",
        "REVOKE SELECT ON upc_data.tick FROM upc_operator",
        'GRANT TEMPORARY ON DATABASE "{database}" TO CURRENT_USER',
        "GRANT CREATE ON SCHEMA upc TO upc_reader",
        "GRANT CREATE ON SCHEMA public TO upc_reader",
        "VACUUM upc_data.tick",
        "ANALYZE upc_data.tick",
        "RESET ROLE",
        "SET SESSION AUTHORIZATION DEFAULT",
    ],
)
def test_what_only_warns_changes_nothing(untouched: Place, statement: str) -> None:
    """PostgreSQL refuses some statements by doing nothing."""
    assert untouched.attempt(statement) is None
    assert untouched.attempt("DELETE FROM upc_data.tick") == DENIED


# Rights of a reader

QUERIES = (
    "SELECT * FROM compute_strikes(97000, 7)",
    "SELECT * FROM compute_strikes(97000, method => 'linear', model => 'baseline')",
    "SELECT * FROM upc.probability(97000, 97250)",
    "SELECT * FROM upc.strike_table(97000, 7, 'BTC')",
    "SELECT * FROM upc.momentum('BTC')",
    "SELECT * FROM upc.status()",
    "SELECT upc.status_document()",
    "SELECT * FROM upc.calibration('BTC')",
    "SELECT * FROM upc.edge_outcomes('BTC')",
    "SELECT document FROM upc_data.document",
    "LISTEN upc_tick",
    "UNLISTEN upc_tick",
    "DO $$ BEGIN LOCK TABLE upc_data.tick IN ACCESS SHARE MODE; END $$",
)


@pytest.mark.parametrize("statement", QUERIES)
def test_a_reader_reads(untouched: Place, statement: str) -> None:
    assert untouched.attempt(statement) is None


READABLE = """
    SELECT c.oid::regclass::text
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname IN ('upc_data', 'upc', 'analytics') AND c.relkind IN ('r', 'p', 'v', 'm')
    ORDER BY 1
"""


def test_everything_is_readable(untouched: Place) -> None:
    names = [name for (name,) in untouched.owner.execute(READABLE).fetchall()]
    assert {name: untouched.attempt(f"SELECT * FROM {name} LIMIT 3") for name in names} == (
        dict.fromkeys(names)
    )

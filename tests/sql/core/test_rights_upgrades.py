"""Upgrades and rights: what they grant, keep, take from everybody and give back."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pyupc.database.connect import connect
from pyupc.database.migrate import downgrade, upgrade
from tests.support.engine import (
    Connection,
    drop_role,
    open_db,
    scalar,
    wait_until_blocked,
)
from tests.support.imported import coded, import_set

OUTDATED = f"Made from another text [pyupc 0001 {'0' * 64}]"


def rebuilt(dsn: str) -> None:
    """An upgrade to functions of another text."""
    with open_db(dsn) as conn:
        for schema in ("upc", "analytics"):
            conn.execute(f"COMMENT ON SCHEMA {schema} IS '{OUTDATED}'".encode())
    upgrade(dsn)


# Rights that stay as they are

INCOMPLETE = {
    "what the reader may not read": """
        SELECT c.oid::regclass::text
        FROM pg_class AS c
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        CROSS JOIN (VALUES ('upc_reader'), ('upc_operator')) AS r (name)
        WHERE n.nspname IN ('upc_data', 'upc', 'analytics')
            AND c.relkind IN ('r', 'p', 'v', 'm')
            AND NOT has_table_privilege(r.name, c.oid, 'SELECT')
    """,
    "what the reader may do beyond reading": """
        SELECT c.oid::regclass::text
        FROM pg_class AS c
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname IN ('upc_data', 'upc', 'analytics')
            AND c.relkind IN ('r', 'p', 'v', 'm')
            AND (
                has_table_privilege(
                    'upc_reader', c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER'
                )
                OR has_any_column_privilege('upc_reader', c.oid, 'INSERT, UPDATE, REFERENCES')
            )
    """,
    "functions that the reader can call and may not, or may and cannot": """
        SELECT p.oid::regprocedure::text
        FROM pg_proc AS p
        WHERE p.pronamespace IN ('upc'::regnamespace, 'analytics'::regnamespace)
            AND has_function_privilege('upc_reader', p.oid, 'EXECUTE') <> (p.provolatile <> 'v')
    """,
    "functions that the operator cannot call": """
        SELECT p.oid::regprocedure::text
        FROM pg_proc AS p
        WHERE p.pronamespace IN ('upc'::regnamespace, 'analytics'::regnamespace)
            AND NOT has_function_privilege('upc_operator', p.oid, 'EXECUTE')
    """,
    "what everybody may do": """
        SELECT p.oid::regprocedure::text
        FROM pg_proc AS p
        WHERE p.pronamespace IN ('upc'::regnamespace, 'analytics'::regnamespace)
            AND has_function_privilege('public', p.oid, 'EXECUTE')
        UNION ALL
        SELECT c.oid::regclass::text
        FROM pg_class AS c
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname IN ('upc_data', 'upc', 'analytics')
            AND c.relkind IN ('r', 'p', 'v', 'm')
            AND has_table_privilege('public', c.oid, 'SELECT, INSERT, UPDATE, DELETE')
        UNION ALL
        SELECT n.nspname
        FROM pg_namespace AS n
        WHERE n.nspname IN ('upc_data', 'upc', 'analytics')
            AND has_schema_privilege('public', n.oid, 'USAGE, CREATE')
        UNION ALL
        SELECT d.datname
        FROM pg_database AS d
        WHERE d.datname = current_database()
            AND has_database_privilege('public', d.oid, 'TEMPORARY, CREATE')
        UNION ALL
        SELECT 'public' WHERE has_schema_privilege('public', 'public', 'CREATE')
    """,
}


def assert_complete(conn: Connection) -> None:
    for what, query in INCOMPLETE.items():
        assert conn.execute(query.encode()).fetchall() == [], what
    assert scalar(conn, "SELECT upc.grant_rights()") == 0


def test_rights_survive_whatever_makes_objects(fresh_db: str) -> None:
    """A rebuild, a third symbol, and an import of fingerprints that brings views of its own."""
    with open_db(fresh_db) as conn:
        upgrade(fresh_db)
        functions = "SELECT min(p.oid) FROM pg_proc AS p WHERE p.pronamespace = 'upc'::regnamespace"
        before = scalar(conn, functions)
        rebuilt(fresh_db)
        assert scalar(conn, functions) != before
        assert_complete(conn)

        views = "SELECT count(*) FROM pg_views WHERE schemaname = 'analytics'"
        before = scalar(conn, views)
        conn.execute("SELECT upc.add_symbol('SOL', 5, views => true)")
        assert scalar(conn, views) > before
        assert_complete(conn)

        before = scalar(conn, views)
        import_set(conn, coded([-31, 31], [1, 20], ["0.05", "0.3"]))
        assert scalar(conn, views) == before + 2
        assert_complete(conn)


def test_changed_rights_are_put_right(fresh_db: str) -> None:
    with open_db(fresh_db) as conn:
        upgrade(fresh_db)
        conn.execute(
            """
            GRANT DELETE ON upc_data.tick TO upc_reader;
            GRANT UPDATE (price) ON upc_data.price TO PUBLIC;
            GRANT EXECUTE ON FUNCTION upc.prove_write() TO upc_reader;
            GRANT ALL ON SCHEMA upc TO PUBLIC;
            GRANT TRUNCATE ON upc_data.tick TO upc_operator;
            REVOKE SELECT ON upc.fingerprint_grid FROM upc_reader;
            """
        )
        # USAGE and CREATE are two.
        assert scalar(conn, "SELECT upc.grant_rights()") == 6
        assert_complete(conn)
        # An operator may be given more.
        query = "SELECT has_table_privilege('upc_operator', 'upc_data.tick', 'TRUNCATE')"
        assert scalar(conn, query) is True


def test_what_is_not_ours_is_left_alone(fresh_db: str) -> None:
    with open_db(fresh_db) as conn:
        conn.execute("CREATE TABLE analytics.my_notes (note text)")
        conn.execute("CREATE VIEW public.mine AS SELECT 1 AS one")
        conn.execute("GRANT INSERT ON analytics.my_notes TO PUBLIC")
        conn.execute("SELECT upc.add_symbol('SOL', 5)")
        upgrade(fresh_db)
        for name in ("analytics.my_notes", "public.mine"):
            query = "SELECT has_table_privilege('upc_reader', %s, 'SELECT')"
            assert scalar(conn, query, name) is False
        query = "SELECT has_table_privilege('public', 'analytics.my_notes', 'INSERT')"
        assert scalar(conn, query) is True


def test_default_privileges_of_an_administrator(fresh_db: str, name_prefix: str) -> None:
    """They stop nothing, they are there after a rebuild, and the reader gets no more by them."""
    role = f"{name_prefix}_dashboard"
    with open_db(fresh_db) as conn:
        conn.execute(f"CREATE ROLE {role}".encode())
        try:
            for statement in (
                f"IN SCHEMA upc GRANT SELECT ON TABLES TO {role} WITH GRANT OPTION",
                f"IN SCHEMA upc_data GRANT SELECT ON TABLES TO {role}",
                "GRANT ALL ON TABLES TO PUBLIC",
                "IN SCHEMA upc, analytics GRANT ALL ON TABLES TO upc_reader",
                "IN SCHEMA upc GRANT EXECUTE ON FUNCTIONS TO upc_reader",
                "REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC",
            ):
                conn.execute(f"ALTER DEFAULT PRIVILEGES {statement}".encode())
            defaults = "SELECT d.defaclacl::text FROM pg_default_acl AS d ORDER BY 1"
            before = conn.execute(defaults).fetchall()

            rebuilt(fresh_db)
            assert_complete(conn)
            assert conn.execute(defaults).fetchall() == before
            query = "SELECT has_table_privilege(%s, 'upc.fingerprint_set', %s)"
            assert scalar(conn, query, role, "SELECT WITH GRANT OPTION") is True
            downgrade(fresh_db, "base")
        finally:
            drop_role(conn, role)


# Users who upgrade


LARGE_OBJECT_RIGHT = "SELECT has_function_privilege('public', 'lo_create(oid)', 'EXECUTE')"
TEMPORARY_RIGHT = "SELECT has_database_privilege('public', current_database(), 'TEMPORARY')"


@pytest.fixture
def owned(empty_db: str) -> Iterator[str]:
    """A DSN of a database's owner who is no superuser and may create no roles."""
    role = f"upc_test_{secrets.token_hex(4)}"
    database = sql.Identifier(str(conninfo_to_dict(empty_db)["dbname"]))
    identifier = sql.Identifier(role)
    with open_db(empty_db) as conn:
        conn.execute(sql.SQL("CREATE ROLE {}").format(identifier))
        conn.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(database, identifier))
    yield make_conninfo(empty_db, options=f"-c role={role}")
    with open_db(empty_db) as conn:
        conn.execute(sql.SQL("ALTER DATABASE {} OWNER TO CURRENT_USER").format(database))
        drop_role(conn, role)


def test_the_owner_of_a_database_upgrades_it(owned: str, empty_db: str, template: str) -> None:
    """`template` has made the roles, which belong to the whole server."""
    upgrade(owned)
    with connect(owned) as conn:
        assert_complete(conn)
        # It takes a superuser for these.
        assert scalar(conn, LARGE_OBJECT_RIGHT) is True
        assert_goes_on_without_roles(conn)
        with open_db(empty_db) as superuser:
            assert_grants_what_there_is(conn, superuser)
    downgrade(owned, "base")
    with connect(owned) as conn:
        assert scalar(conn, TEMPORARY_RIGHT) is True


def test_an_owner_of_the_schemas_alone_goes_on_refreshing(empty_db: str) -> None:
    """Also once a superuser has run an upgrade, which takes TEMPORARY from everybody."""
    role = f"upc_test_{secrets.token_hex(4)}"
    identifier = sql.Identifier(role)
    with open_db(empty_db) as conn:
        database = sql.Identifier(conn.info.dbname)
        conn.execute(sql.SQL("CREATE ROLE {}").format(identifier))
        conn.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(database, identifier))
        try:
            upgrade(make_conninfo(empty_db, options=f"-c role={role}"))
            assert scalar(conn, TEMPORARY_RIGHT) is True
            upgrade(empty_db)
            assert_complete(conn)
            conn.execute(sql.SQL("SET ROLE {}").format(identifier))
            conn.execute("SELECT upc.refresh_fingerprints()")
            conn.execute("RESET ROLE")
        finally:
            drop_role(conn, role)


def assert_goes_on_without_roles(conn: Connection) -> None:
    """Under other names: the server's other databases need those that are there."""
    names = [f"upc_test_{secrets.token_hex(4)}" for _ in range(2)]
    warnings: list[tuple[str | None, str]] = []

    def hear(diagnostic: psycopg.errors.Diagnostic) -> None:
        warnings.append((diagnostic.severity_nonlocalized, diagnostic.message_hint or ""))

    conn.add_notice_handler(hear)
    conn.execute("SELECT upc.set_up_rights(%s, %s)", names)
    conn.remove_notice_handler(hear)
    assert [severity for severity, _ in warnings] == ["WARNING", "WARNING"]
    for name, (_, hint) in zip(names, warnings, strict=True):
        assert f"CREATE ROLE {name}" in hint
    query = "SELECT count(*) FROM pg_roles WHERE rolname = ANY (%s)"
    assert scalar(conn, query, names) == 0
    assert_complete(conn)


def assert_grants_what_there_is(conn: Connection, superuser: Connection) -> None:
    """One role is there, and not as an upgrade would have made it; the other is missing."""
    reader, missing = (f"upc_test_{secrets.token_hex(4)}" for _ in range(2))
    superuser.execute(f"CREATE ROLE {reader} NOLOGIN CONNECTION LIMIT 7".encode())
    try:
        conn.execute("SELECT upc.set_up_rights(%s, %s)", (reader, missing))
        query = """
            SELECT
                has_table_privilege(r.oid, 'upc_data.tick', 'SELECT'),
                has_function_privilege(r.oid, 'upc.prove_write()', 'EXECUTE'),
                r.rolconnlimit
            FROM pg_roles AS r
            WHERE r.rolname = %s
        """
        assert conn.execute(query, (reader,)).fetchall() == [(True, False, 7)]
    finally:
        drop_role(superuser, reader)


def test_roles_are_created_without_login_and_once(fresh_db: str) -> None:
    """In a transaction that never commits."""
    reader, operator = (f"upc_test_{secrets.token_hex(4)}" for _ in range(2))
    with open_db(fresh_db, autocommit=False) as conn:
        for _ in range(2):
            conn.execute("SELECT upc.set_up_rights(%s, %s)", (reader, operator))
        query = (
            "SELECT count(*), bool_or(rolcanlogin OR rolsuper OR rolcreaterole OR rolcreatedb)"
            " FROM pg_roles WHERE rolname IN (%s, %s)"
        )
        assert conn.execute(query, (reader, operator)).fetchall() == [(2, False)]
        query = "SELECT count(*) FROM upc._rights_to_change(%s, %s)"
        assert scalar(conn, query, reader, operator) == 0
        query = "SELECT pg_has_role(%s, %s, 'MEMBER')"
        assert scalar(conn, query, operator, reader) is False
        conn.rollback()


@pytest.mark.parametrize("is_committed", [True, False])
def test_two_upgrades_create_a_role_at_once(fresh_db: str, is_committed: bool) -> None:
    role = f"upc_test_{secrets.token_hex(4)}"
    create = "SELECT upc._create_role(%s)"
    with (
        open_db(fresh_db) as own,
        open_db(fresh_db, autocommit=False) as first,
        open_db(fresh_db) as second,
        ThreadPoolExecutor() as threads,
    ):
        first.execute(create, (role,))
        waiting = threads.submit(second.execute, create, (role,))
        wait_until_blocked(own, second, waiting)
        first.commit() if is_committed else first.rollback()
        waiting.result()
        assert scalar(own, "SELECT count(*) FROM pg_roles WHERE rolname = %s", role) == 1
        drop_role(own, role)


# Rights that an upgrade takes from PUBLIC, and that a downgrade gives back

TAKEN = """
    SELECT p.proname::text
    FROM pg_proc AS p
    WHERE p.pronamespace = 'pg_catalog'::regnamespace
        AND p.proname IN (
            'lo_creat', 'lo_create', 'lo_from_bytea', 'lo_put', 'lo_truncate', 'lo_truncate64',
            'lo_unlink', 'lowrite'
        )
        AND has_function_privilege('public', p.oid, 'EXECUTE')
    ORDER BY 1
"""


def test_what_was_taken_from_everybody_is_given_back(empty_db: str) -> None:
    """And nothing that another had taken before."""
    with open_db(empty_db) as conn:
        # Rights of a database from before PostgreSQL 15.
        conn.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
        conn.execute("REVOKE EXECUTE ON FUNCTION lo_create(oid) FROM PUBLIC")
        before = conn.execute(TAKEN).fetchall()
        assert len(before) == 7
        upgrade(empty_db)
        assert conn.execute(TAKEN).fetchall() == []
        assert_complete(conn)
        downgrade(empty_db, "base")
        assert conn.execute(TAKEN).fetchall() == before
        assert scalar(conn, TEMPORARY_RIGHT) is True
        assert scalar(conn, "SELECT has_schema_privilege('public', 'public', 'CREATE')") is True
        query = """
            SELECT count(*)
            FROM pg_shdepend AS s
            JOIN pg_database AS d ON d.oid IN (s.dbid, s.objid) AND d.datname = current_database()
            WHERE s.refobjid IN (to_regrole('upc_reader'), to_regrole('upc_operator'))
        """
        assert scalar(conn, query) == 0


def test_a_note_of_what_was_taken_gives_nothing_else(fresh_db: str) -> None:
    """The owner of the schema can write it; a superuser may be the one to downgrade."""
    with open_db(fresh_db) as conn:
        database = sql.Identifier(conn.info.dbname)
        conn.execute(sql.SQL("REVOKE TEMPORARY ON DATABASE {} FROM PUBLIC").format(database))
        conn.execute(
            "COMMENT ON SCHEMA upc_data IS 'Tables. Taken from PUBLIC: lo_import; pg_read_file;"
            " EXECUTE ON FUNCTION lo_import(text); lo_put; SUPERUSER [pyupc data]'"
        )
        downgrade(fresh_db, "base")
        assert conn.execute(TAKEN).fetchall() == [("lo_put",)]
        assert scalar(conn, TEMPORARY_RIGHT) is False
        query = "SELECT has_function_privilege('public', 'lo_import(text)', 'EXECUTE')"
        assert scalar(conn, query) is False

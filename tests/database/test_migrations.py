"""Upgrades and downgrades on a real server: what they do, refuse and leave alone."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import scalar_row

from pyupc import embedded
from pyupc.database import schema
from pyupc.database.connect import connect
from pyupc.database.lock_retries import Patience
from pyupc.database.migrate import current, downgrade, upgrade
from pyupc.errors import PyupcError, SchemaOutOfDate, UsageProblem

ROOT = Path(__file__).parents[2]

IMPATIENT = Patience(lock_timeout=0.1, attempts=2, first_pause=0.05)

OTHER_TEXT = f"Made from another text [pyupc 0001 {'0' * 64}]"

OBJECTS = """
    SELECT d.classid::text || ' ' || d.objid
    FROM pg_depend AS d
    JOIN pg_namespace AS n ON n.oid = d.refobjid AND d.refclassid = 'pg_namespace'::regclass
    WHERE n.nspname IN ('upc', 'analytics', 'upc_data')
    ORDER BY 1
"""


def column(dsn: str, query: str) -> list[Any]:
    with connect(dsn) as conn, conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(query).fetchall()


def run(dsn: str, *statements: str) -> None:
    """All in one transaction."""
    with connect(dsn, autocommit=False) as conn:
        for statement in statements:
            conn.execute(statement)


def make_outdated(dsn: str) -> None:
    """Mark the functions as built from another text, so that the next upgrade rebuilds them."""
    run(
        dsn,
        f"COMMENT ON SCHEMA upc IS '{OTHER_TEXT}'",
        f"COMMENT ON SCHEMA analytics IS '{OTHER_TEXT}'",
    )


def stored_search_path(dsn: str) -> str | None:
    """search_path of the database itself; connections in this test set their own."""
    query = """
        SELECT split_part(setting, '=', 2)
        FROM pg_db_role_setting AS s
        JOIN pg_database AS d ON d.oid = s.setdatabase AND d.datname = current_database()
        CROSS JOIN unnest(s.setconfig) AS setting
        WHERE s.setrole = 0 AND setting LIKE 'search_path=%'
    """
    found = column(dsn, query)
    return found[0] if found else None


def database_name(dsn: str) -> str:
    """Quoted for SQL."""
    return sql.Identifier(str(conninfo_to_dict(dsn)["dbname"])).as_string()


def dump(dsn: str) -> list[str]:
    """The database as SQL, without the lines that are random.

    Debian's 15.20 numbers the versions of columns, in an option of each.
    """
    try:
        program: str | None = str(embedded.program("pg_dump"))
    except PyupcError:
        program = shutil.which("pg_dump")
    if program is None:
        pytest.skip("no pg_dump")
    command = [program, "--dbname", dsn]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    random = ("restrict", "pg_attver")
    return [line for line in done.stdout.splitlines() if not any(word in line for word in random)]


def environment(dsn: str) -> dict[str, str]:
    return {**os.environ, "PYUPC_DSN": dsn, "PYTHONPATH": str(ROOT)}


def alembic(dsn: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "alembic", "-c", "migrations/alembic.ini", *arguments]
    return subprocess.run(
        command,
        cwd=ROOT,
        env=environment(dsn),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# Upgrades


def test_head_is_the_newest_migration() -> None:
    script = ScriptDirectory.from_config(Config(schema.migrations_folder() / "alembic.ini"))
    assert script.get_heads() == [schema.HEAD]


def test_up_base_up_gives_the_same_database(empty_db: str) -> None:
    empty = dump(empty_db)

    upgrade(empty_db)
    fresh = dump(empty_db)
    assert current(empty_db) == schema.HEAD

    downgrade(empty_db, "base")
    assert dump(empty_db) == empty
    assert current(empty_db) is None

    upgrade(empty_db)
    assert dump(empty_db) == fresh


def test_one_revision_after_another_gives_the_fresh_database(empty_db: str, fresh_db: str) -> None:
    script = ScriptDirectory.from_config(Config(schema.migrations_folder() / "alembic.ini"))
    for revision in reversed([step.revision for step in script.walk_revisions()]):
        upgrade(empty_db, revision)
        assert current(empty_db) == revision
    assert dump(empty_db) == dump(fresh_db)


def test_an_upgrade_without_news_drops_nothing(fresh_db: str) -> None:
    before = column(fresh_db, OBJECTS)
    upgrade(fresh_db)
    assert column(fresh_db, OBJECTS) == before


def test_another_text_is_rebuilt_and_tables_stay(fresh_db: str) -> None:
    functions = "SELECT oid FROM pg_proc WHERE pronamespace = 'upc'::regnamespace"
    before, as_it_was = column(fresh_db, functions), dump(fresh_db)
    make_outdated(fresh_db)
    run(fresh_db, "UPDATE upc_data.symbol SET strike_step = 100 WHERE symbol = 'BTC'")

    upgrade(fresh_db)

    assert not set(before) & set(column(fresh_db, functions))
    query = "SELECT strike_step FROM upc_data.symbol WHERE symbol = 'BTC'"
    assert column(fresh_db, query) == [100]
    run(fresh_db, "UPDATE upc_data.symbol SET strike_step = 250 WHERE symbol = 'BTC'")
    assert sorted(dump(fresh_db)) == sorted(as_it_was)


def test_every_object_is_recorded(fresh_db: str) -> None:
    recorded = column(fresh_db, "SELECT identity FROM upc_data.engine_object ORDER BY 1")
    existing = column(
        fresh_db, "SELECT DISTINCT identity FROM upc.engine_object_candidates() ORDER BY 1"
    )
    assert recorded == sorted(existing)
    assert "function upc.record_engine_objects()" in recorded


@pytest.mark.slow
def test_ten_upgrades_at_once_succeed(empty_db: str) -> None:
    command = [sys.executable, "-m", "pyupc", "db", "upgrade"]
    processes = [
        subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(empty_db),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(10)
    ]
    errors = [process.communicate(timeout=90)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 10, errors
    with connect(empty_db) as conn:
        schema.check(conn)


# Objects of others


@pytest.mark.parametrize("name", ["upc_data", "upc", "analytics"])
def test_a_foreign_schema_is_refused(empty_db: str, name: str) -> None:
    run(
        empty_db,
        f"CREATE SCHEMA {name}",
        f"CREATE TABLE {name}.btc_fingerprint (pos double precision)",
        f"INSERT INTO {name}.btc_fingerprint VALUES (50)",
    )
    before = dump(empty_db)

    with pytest.raises(PyupcError) as refusal:
        upgrade(empty_db)

    assert refusal.value.exit_code == 1
    assert name in refusal.value.message
    assert refusal.value.hint
    assert dump(empty_db) == before
    assert stored_search_path(empty_db) is None


TRIGGER_FUNCTION = """
    CREATE FUNCTION upc.ours() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'
"""


def create_ours(dsn: str, *statements: str) -> None:
    """Objects of the engine: recorded by the transaction that creates them."""
    run(dsn, *statements, "SELECT upc.record_engine_objects()")


# Object of the engine, a user's object made from it, and the name in the refusal.
STRANGERS = {
    "view": (
        "CREATE VIEW upc.ours AS SELECT 1 AS one",
        ["CREATE VIEW public.mine AS SELECT * FROM upc.ours"],
        "view public.mine",
    ),
    "view on a view": (
        "CREATE VIEW upc.ours AS SELECT 1 AS one",
        [
            "CREATE VIEW public.inner_one AS SELECT * FROM upc.ours",
            "CREATE VIEW public.outer_one AS SELECT * FROM public.inner_one",
        ],
        "view public.outer_one",
    ),
    "materialized view": (
        "CREATE MATERIALIZED VIEW analytics.ours AS SELECT 1 AS one",
        ["CREATE MATERIALIZED VIEW public.mine AS SELECT * FROM analytics.ours"],
        "materialized view public.mine",
    ),
    "function": (
        "CREATE FUNCTION upc.ours() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        [
            """CREATE FUNCTION public.mine() RETURNS integer LANGUAGE sql
            BEGIN ATOMIC SELECT upc.ours(); END"""
        ],
        "function public.mine()",
    ),
    "function with our row type": (
        "CREATE VIEW upc.ours AS SELECT 1 AS one",
        ["CREATE FUNCTION public.mine(upc.ours) RETURNS integer LANGUAGE sql AS 'SELECT 1'"],
        "function public.mine(upc.ours)",
    ),
    "column of our type": (
        "CREATE TYPE upc.ours AS ENUM ('one')",
        ["CREATE TABLE public.mine (id integer, kind upc.ours)"],
        "table column public.mine.kind",
    ),
    "column default": (
        "CREATE FUNCTION upc.ours() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        ["CREATE TABLE public.mine (id integer DEFAULT upc.ours())"],
        "public.mine.id",
    ),
    "check constraint": (
        "CREATE FUNCTION upc.ours(integer) RETURNS boolean LANGUAGE sql AS 'SELECT true'",
        ["CREATE TABLE public.mine (id integer CONSTRAINT my_check CHECK (upc.ours(id)))"],
        "my_check",
    ),
    "policy": (
        "CREATE FUNCTION upc.ours() RETURNS boolean LANGUAGE sql AS 'SELECT true'",
        [
            "CREATE TABLE public.mine (id integer)",
            "CREATE POLICY my_policy ON public.mine USING (upc.ours())",
        ],
        "policy my_policy",
    ),
    "trigger on a table of ours": (
        TRIGGER_FUNCTION,
        [
            """CREATE TRIGGER my_trigger BEFORE INSERT ON upc_data.symbol
            FOR EACH ROW EXECUTE FUNCTION upc.ours()"""
        ],
        "trigger my_trigger",
    ),
    "index on a view of ours": (
        "CREATE MATERIALIZED VIEW upc.ours AS SELECT 1 AS one",
        ["CREATE INDEX my_index ON upc.ours (one)"],
        "index upc.my_index",
    ),
    "table inside analytics": (
        "CREATE VIEW upc.ours AS SELECT 1 AS one",
        ["CREATE TABLE analytics.my_notes (id serial PRIMARY KEY, note text)"],
        "table analytics.my_notes",
    ),
    "function inside upc": (
        "CREATE FUNCTION upc.ours() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        ["CREATE FUNCTION upc.ours(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1'"],
        "function upc.ours(integer)",
    ),
    "type inside analytics": (
        "CREATE VIEW upc.ours AS SELECT 1 AS one",
        ["CREATE TYPE analytics.mood AS ENUM ('bull', 'bear')"],
        "type analytics.mood",
    ),
}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=[pytest.mark.slow] if place >= 4 else [])
        for place, case in enumerate(STRANGERS)
    ],
)
def test_objects_of_a_user_are_named_and_kept(fresh_db: str, case: str) -> None:
    ours, theirs, name = STRANGERS[case]
    create_ours(fresh_db, ours)
    run(fresh_db, *theirs)
    # A later record, of another transaction, does not take over what was there.
    create_ours(fresh_db, "CREATE VIEW analytics.later AS SELECT 1 AS one")
    make_outdated(fresh_db)
    before = dump(fresh_db)

    for change, revision in ((upgrade, "head"), (downgrade, "base")):
        with pytest.raises(PyupcError) as refusal:
            change(fresh_db, revision)
        assert refusal.value.exit_code == 1
        assert name in refusal.value.message
        assert refusal.value.hint
    assert dump(fresh_db) == before


def test_objects_made_at_run_time_are_ours_once_recorded(fresh_db: str) -> None:
    with connect(fresh_db, autocommit=False) as conn:
        # A block with an EXCEPTION clause is a subtransaction with an id of its own.
        conn.execute(
            """
            DO $do$
            BEGIN
                CREATE VIEW analytics.sol_baseline AS SELECT 1 AS one;
            EXCEPTION WHEN duplicate_table THEN
                NULL;
            END;
            $do$
            """
        )
        conn.execute("SELECT upc.record_engine_objects()")
    make_outdated(fresh_db)
    upgrade(fresh_db)
    assert column(fresh_db, "SELECT to_regclass('analytics.sol_baseline')") == [None]


def test_a_trigger_of_ours_is_no_obstacle(fresh_db: str) -> None:
    create_ours(
        fresh_db,
        TRIGGER_FUNCTION,
        """CREATE TRIGGER our_trigger BEFORE INSERT ON upc_data.symbol
        FOR EACH ROW EXECUTE FUNCTION upc.ours()""",
    )
    make_outdated(fresh_db)
    upgrade(fresh_db)
    assert column(fresh_db, "SELECT tgname FROM pg_trigger WHERE tgname = 'our_trigger'") == []


def test_a_view_on_our_tables_survives_an_upgrade_and_stops_a_downgrade(fresh_db: str) -> None:
    run(fresh_db, "CREATE VIEW public.mine AS SELECT symbol FROM upc_data.symbol")
    make_outdated(fresh_db)
    upgrade(fresh_db)
    assert column(fresh_db, "SELECT symbol FROM public.mine ORDER BY 1")[:1] == ["BTC"]

    with pytest.raises(PyupcError) as refusal:
        downgrade(fresh_db, "base")
    assert refusal.value.exit_code == 1
    assert "mine" in refusal.value.message
    assert current(fresh_db) == schema.HEAD


def test_a_table_among_ours_stops_the_downgrade_to_base(fresh_db: str) -> None:
    run(fresh_db, "CREATE TABLE upc_data.my_notes (note text)")
    before = dump(fresh_db)
    with pytest.raises(PyupcError) as refusal:
        downgrade(fresh_db, "base")
    assert "upc_data.my_notes" in refusal.value.message
    assert dump(fresh_db) == before


# Locks


@pytest.mark.slow
def test_an_open_reader_makes_the_upgrade_fail_and_it_succeeds_later(fresh_db: str) -> None:
    create_ours(fresh_db, "CREATE VIEW upc.ours AS SELECT 1 AS one")
    make_outdated(fresh_db)
    before = column(fresh_db, OBJECTS)
    with connect(fresh_db, autocommit=False, application_name="patient reader") as reader:
        reader.execute("SELECT one FROM upc.ours")

        with pytest.raises(PyupcError) as refusal:
            upgrade(fresh_db, patience=IMPATIENT)

        assert refusal.value.exit_code == 1
        assert str(reader.info.backend_pid) in refusal.value.message
        assert "patient reader" in refusal.value.message
        assert column(fresh_db, OBJECTS) == before
        assert reader.execute("SELECT one FROM upc.ours").fetchone() == (1,)

    upgrade(fresh_db, patience=IMPATIENT)
    with connect(fresh_db) as conn:
        schema.check(conn)


def test_without_news_an_open_reader_is_no_obstacle(fresh_db: str) -> None:
    with connect(fresh_db, autocommit=False) as reader:
        reader.execute("SELECT upc.record_engine_objects()")
        reader.execute("SELECT * FROM upc_data.symbol")
        upgrade(fresh_db, patience=IMPATIENT)


# Revisions


@pytest.fixture
def newer(fresh_db: str) -> str:
    run(fresh_db, "UPDATE upc_data.alembic_version SET version_num = '9999'")
    return fresh_db


def test_a_newer_database_is_refused(newer: str) -> None:
    before = dump(newer)
    with pytest.raises(SchemaOutOfDate) as refusal:
        upgrade(newer)
    assert "pip install" in (refusal.value.hint or "")
    with pytest.raises(SchemaOutOfDate):
        downgrade(newer, "base")
    with connect(newer) as conn, pytest.raises(SchemaOutOfDate) as refusal:
        schema.check(conn)
    assert "pip install" in (refusal.value.hint or "")
    assert dump(newer) == before


def test_check_of_an_older_database(fresh_db: str) -> None:
    run(fresh_db, "UPDATE upc_data.alembic_version SET version_num = '0000'")
    with connect(fresh_db) as conn, pytest.raises(SchemaOutOfDate) as refusal:
        schema.check(conn)
    assert "pyupc db upgrade" in (refusal.value.hint or "")


@pytest.mark.parametrize("autocommit", [True, False])
def test_check_of_an_empty_database_leaves_the_connection_usable(
    empty_db: str, autocommit: bool
) -> None:
    with connect(empty_db, autocommit=autocommit) as conn:
        with pytest.raises(SchemaOutOfDate) as refusal:
            schema.check(conn)
        assert "pyupc db upgrade" in (refusal.value.hint or "")
        assert conn.execute("SELECT 1").fetchone() == (1,)


def test_check_of_another_text(fresh_db: str) -> None:
    make_outdated(fresh_db)
    with connect(fresh_db) as conn:
        schema.check(conn, code=False)
        with pytest.raises(SchemaOutOfDate) as refusal:
            schema.check(conn)
    assert "pyupc db upgrade" in (refusal.value.hint or "")


def test_check_of_tables_without_functions(fresh_db: str) -> None:
    run(fresh_db, "DROP SCHEMA upc, analytics CASCADE")
    with connect(fresh_db) as conn, pytest.raises(SchemaOutOfDate):
        schema.check(conn, code=False)
    upgrade(fresh_db)
    with connect(fresh_db) as conn:
        schema.check(conn)


@pytest.mark.parametrize("revision", ["nonsense", "-99"])
def test_an_unknown_revision_is_a_matter_of_usage(fresh_db: str, revision: str) -> None:
    with pytest.raises(UsageProblem):
        downgrade(fresh_db, revision)


def test_a_downgrade_that_drops_data_is_refused_on_request(fresh_db: str) -> None:
    run(fresh_db, "SELECT upc.add_symbol('SOL', 5)")
    with pytest.raises(PyupcError) as refusal:
        downgrade(fresh_db, "base", keep_data=True)
    assert "upc_data.symbol" in refusal.value.message
    assert current(fresh_db) == schema.HEAD
    downgrade(fresh_db, "base")
    assert current(fresh_db) is None


# search_path


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, '"$user", public, upc, analytics'),
        ("app, public", "app, public, upc, analytics"),
        ('"My App"', '"My App", upc, analytics'),
        ("upc, public", "upc, public, analytics"),
        ("app_upc", "app_upc, upc, analytics"),
    ],
)
def test_the_search_path_of_a_database(empty_db: str, before: str | None, after: str) -> None:
    if before is not None:
        run(empty_db, f"ALTER DATABASE {database_name(empty_db)} SET search_path = {before}")

    upgrade(empty_db)
    assert stored_search_path(empty_db) == after
    upgrade(empty_db)
    assert stored_search_path(empty_db) == after

    downgrade(empty_db, "base")
    assert stored_search_path(empty_db) == (before and before.removeprefix("upc, "))


@pytest.fixture
def owner(server_dsn: str, empty_db: str) -> Iterator[str]:
    """A role that may create schemas in the database without owning it."""
    role = f"upc_test_{secrets.token_hex(4)}"
    grant = f"GRANT CREATE ON DATABASE {database_name(empty_db)} TO {role}"
    run(empty_db, f"CREATE ROLE {role}", grant)
    yield role
    run(empty_db, f"DROP OWNED BY {role} CASCADE")
    run(server_dsn, f"DROP ROLE {role}")


def test_a_role_that_may_not_set_the_search_path_goes_on(
    empty_db: str, owner: str, caplog: pytest.LogCaptureFixture
) -> None:
    dsn = make_conninfo(empty_db, options=f"-c role={owner}")
    upgrade(dsn)
    assert [record.levelname for record in caplog.records if "search_path" in record.name] == [
        "WARNING"
    ]
    assert stored_search_path(empty_db) is None
    with connect(dsn) as conn:
        schema.check(conn)
    make_outdated(dsn)
    upgrade(dsn)
    downgrade(dsn, "base")
    assert current(dsn) is None


def test_a_role_that_may_create_nothing_is_refused(empty_db: str, owner: str) -> None:
    run(empty_db, f"REVOKE CREATE ON DATABASE {database_name(empty_db)} FROM {owner}")
    with pytest.raises(PyupcError) as refusal:
        upgrade(make_conninfo(empty_db, options=f"-c role={owner}"))
    assert refusal.value.exit_code == 1
    assert isinstance(refusal.value.__cause__, psycopg.errors.InsufficientPrivilege)


# Alembic's own command line


@pytest.mark.slow
def test_plain_alembic_does_the_same(empty_db: str, fresh_db: str) -> None:
    done = alembic(empty_db, "upgrade", "head")
    assert done.returncode == 0, done.stderr
    assert dump(empty_db) == dump(fresh_db)

    assert alembic(empty_db, "current").stdout.split()[0] == schema.HEAD

    make_outdated(empty_db)
    run(empty_db, "CREATE VIEW analytics.mine AS SELECT 1 AS one")
    done = alembic(empty_db, "upgrade", "head")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_offline_sql_builds_the_same_database(empty_db: str, fresh_db: str) -> None:
    empty = dump(empty_db)
    up = alembic(empty_db, "upgrade", "head", "--sql")
    assert up.returncode == 0, up.stderr
    down = alembic(empty_db, "downgrade", f"{schema.HEAD}:base", "--sql")
    assert down.returncode == 0, down.stderr

    with connect(empty_db) as conn:
        conn.execute(up.stdout)
        schema.check(conn)
    assert dump(empty_db) == dump(fresh_db)

    run(empty_db, "CREATE VIEW analytics.mine AS SELECT 1 AS one")
    with connect(empty_db) as conn, pytest.raises(psycopg.errors.DependentObjectsStillExist):
        conn.execute(down.stdout)

    run(empty_db, "DROP VIEW analytics.mine")
    with connect(empty_db) as conn:
        conn.execute(down.stdout)
    assert dump(empty_db) == empty

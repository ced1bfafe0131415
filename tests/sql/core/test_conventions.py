"""Conventions of every object of the engine: comments, checked bodies, examples that run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from psycopg.conninfo import make_conninfo

from pyupc.database.connect import SEARCH_PATH
from pyupc.database.schema import sql_files
from tests.support.backtesting import questions, store
from tests.support.databases import STRICT
from tests.support.engine import Connection, build, open_db, put, scalar, walk

UNCOMMENTED = {
    "functions": """
        SELECT p.oid::regprocedure::text FROM pg_proc AS p
        WHERE p.pronamespace = 'upc'::regnamespace
            AND obj_description(p.oid, 'pg_proc') IS NULL
    """,
    "views, indexes and tables": """
        SELECT c.oid::regclass::text FROM pg_class AS c
        WHERE obj_description(c.oid, 'pg_class') IS NULL
            AND (
                c.relnamespace IN ('upc'::regnamespace, 'analytics'::regnamespace)
                AND c.relkind IN ('v', 'm', 'i', 'r', 'S')
                OR c.relnamespace = 'upc_data'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
                OR c.relnamespace = 'upc_data'::regnamespace
                    AND c.relkind = 'i'
                    AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = c.oid)
            )
    """,
    "columns": """
        SELECT c.oid::regclass || '.' || a.attname
        FROM pg_class AS c
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relnamespace IN ('upc'::regnamespace, 'upc_data'::regnamespace)
            AND c.relkind IN ('r', 'p', 'v', 'm')
            AND col_description(c.oid, a.attnum) IS NULL
    """,
    "schemas": """
        SELECT n.nspname FROM pg_namespace AS n
        WHERE n.nspname IN ('upc', 'upc_data', 'analytics')
            AND obj_description(n.oid, 'pg_namespace') IS NULL
    """,
}

MISSHAPEN = {
    "a name for two functions": """
        SELECT proname FROM pg_proc WHERE pronamespace = 'upc'::regnamespace
        GROUP BY proname HAVING count(*) > 1
    """,
    "a growing table whose key does not begin with symbol": """
        SELECT c.oid::regclass::text
        FROM pg_class AS c
        LEFT JOIN pg_index AS i ON i.indrelid = c.oid AND i.indisprimary
        LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
        WHERE c.relnamespace = 'upc_data'::regnamespace
            AND c.relkind = 'r'
            AND c.relname NOT IN (
                'alembic_version', 'engine_object', 'exchange_status', 'rule', 'scheduled_news',
                'write_probe'
            )
            AND a.attname IS DISTINCT FROM 'symbol'
    """,
    "a time without time zone": """
        SELECT c.oid::regclass || '.' || a.attname
        FROM pg_class AS c
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
        WHERE c.relnamespace IN ('upc'::regnamespace, 'upc_data'::regnamespace)
            AND a.atttypid IN ('timestamp'::regtype, 'time'::regtype, 'timetz'::regtype)
    """,
    "a constraint whose name does not say what it is": """
        SELECT conname FROM pg_constraint
        WHERE connamespace = 'upc_data'::regnamespace
            AND conrelid <> 'upc_data.alembic_version'::regclass
            AND contype IN ('p', 'u', 'f', 'c')
            AND conname !~ '_(pkey|key|fkey|check)$'
    """,
}


@dataclass(frozen=True)
class Example:
    where: str
    function: str
    query: str


def examples() -> Iterator[Example]:
    """Queries behind `-- Example:`, on its line or on the lines indented below it."""
    for file in sql_files():
        text = file.read_text(encoding="utf-8")
        pattern = r"^-- Example:(.*)\n((?:--   .*\n)*)(?:--.*\n)*CREATE FUNCTION upc\.(\w+)"
        for match in re.finditer(pattern, text, re.MULTILINE):
            lines = [match[1], *match[2].splitlines()]
            query = " ".join(line.removeprefix("--").strip() for line in lines).strip()
            yield Example(file.name, match[3], query)


def public_functions() -> Iterator[str]:
    """Names without the underscore of internal ones."""
    for file in sql_files():
        yield from re.findall(
            r"^CREATE FUNCTION upc\.([a-z]\w+)", file.read_text(encoding="utf-8"), re.MULTILINE
        )


EXAMPLES = list(examples())

# Of a load without a line nothing is rejected.
WITHOUT_ROWS = {"rejected_candle_lines"}


@pytest.mark.parametrize("query", UNCOMMENTED.values(), ids=UNCOMMENTED.keys())
def test_everything_has_a_comment(db: Connection, query: str) -> None:
    assert db.execute(query.encode()).fetchall() == []


@pytest.mark.parametrize("query", MISSHAPEN.values(), ids=MISSHAPEN.keys())
def test_nothing_is_misshapen(db: Connection, query: str) -> None:
    assert db.execute(query.encode()).fetchall() == []


@pytest.fixture(scope="module")
def filled(module_dsn: str) -> str:
    """Candles at the instants that the examples speak of, fingerprints, a backtest, and a tick."""
    dsn = make_conninfo(module_dsn, options=f"{STRICT} -c search_path={SEARCH_PATH}")
    with open_db(dsn) as connection:
        put(connection, "BTC", walk(130, "2023-03-24T10:00", 300).without(0.05, seed=1))
        put(connection, "BTC", walk(131, "2024-01-01T10:00", 300))
        build(connection)
        store(connection, questions(1, 3))
        connection.execute("SELECT FROM upc.tick('BTC', 'simulated')")
    return dsn


def test_no_example_is_overlooked() -> None:
    written = sum(
        len(re.findall("^-- Example:", file.read_text(encoding="utf-8"), re.MULTILINE))
        for file in sql_files()
    )
    assert len(EXAMPLES) == written
    assert {example.function for example in EXAMPLES} >= set(public_functions())


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.function)
def test_examples_run(filled: str, example: Example) -> None:
    """The last statement of each has an answer; a comparison is true."""
    assert example.function in example.query
    with open_db(filled, autocommit=False) as connection:
        cursor = connection.execute(example.query.encode())
        while cursor.nextset():
            pass
        rows = cursor.fetchall()
        columns = cursor.description or []
        connection.rollback()
    assert (rows != []) is (example.function not in WITHOUT_ROWS)
    if [column.type_code for column in columns] == [16]:
        assert rows == [(True,)]


def test_bodies(fresh_db: str) -> None:
    """plpgsql_check follows every statement without running it."""
    with open_db(fresh_db, autocommit=False) as connection:
        query = "SELECT count(*) FROM pg_available_extensions WHERE name = 'plpgsql_check'"
        if scalar(connection, query) == 0:
            pytest.skip("the server does not have the extension plpgsql_check")
        connection.execute("CREATE SCHEMA checks")
        connection.execute("CREATE EXTENSION plpgsql_check SCHEMA checks")
        # Some functions work on the temporary tables that these make.
        connection.execute("SELECT upc.begin_candle_load('BTC')")
        connection.execute("SELECT upc.begin_fingerprint_import('BTC')")
        problems = connection.execute(
            """
            SELECT p.oid::regprocedure::text, found.level, found.lineno, found.message
            FROM pg_proc AS p
            JOIN pg_language AS l ON l.oid = p.prolang AND l.lanname = 'plpgsql'
            LEFT JOIN pg_trigger AS t ON t.tgfoid = p.oid
            CROSS JOIN LATERAL checks.plpgsql_check_function_tb(
                p.oid,
                coalesce(t.tgrelid, 0),
                extra_warnings => true,
                oldtable => t.tgoldtable,
                newtable => t.tgnewtable
            ) AS found
            WHERE p.pronamespace = 'upc'::regnamespace
            """
        ).fetchall()
        connection.rollback()
    assert problems == []

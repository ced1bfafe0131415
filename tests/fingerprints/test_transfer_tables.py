"""`--from-dsn`: the predecessor's tables give the same set as its files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.support.legacy_files import (
    BASELINE,
    BUCKETS,
    as_floats,
    contents,
    document,
    done,
    dump,
    execute,
    file_name,
    make_tables,
    numbers,
    refused,
    run,
    shifted,
    stored,
    titles,
    write,
)
from tests.support.market import rows

VICTIM = file_name(1).removesuffix(".csv")
NEGATIVE = file_name(-1).removesuffix(".csv")


# Imported tables


def test_the_tables_are_the_files(fresh: str, theirs: str, legacy: Path, tmp_path: Path) -> None:
    found = document("import", "--from-dsn", theirs, "--schema", "analytics", "--symbol", "BTC")
    assert (found["fingerprints"], found["is_changed"]) == (len(BUCKETS), True)
    assert found["cells"] == len(numbers(legacy))
    assert stored(fresh) == as_floats(numbers(legacy))

    before = dump(fresh)
    assert document("import", legacy)["is_changed"] is False
    assert document("import", "--from-dsn", theirs)["is_changed"] is False
    assert dump(fresh) == before
    for source in ([str(legacy)], ["--from-dsn", theirs]):
        total = document("validate", *source)["total"]
        assert (total["compared"], total["differing"], total["missing"]) == (found["cells"], 0, 0)
    done("export", tmp_path / "out")
    assert contents(tmp_path / "out") == contents(legacy)


@pytest.mark.parametrize(
    "kind", ["numeric", "numeric(12, 8)", "real", "double precision", "text", "varchar(9)"]
)
def test_columns_of_any_type(fresh: str, their_database: str, legacy: Path, kind: str) -> None:
    make_tables(their_database, legacy, schema="typed", kind=kind)
    try:
        done("import", "--from-dsn", their_database, "--schema", "typed", "--strict")
    finally:
        execute(their_database, "DROP SCHEMA typed CASCADE")
    assert document("import", legacy)["is_changed"] is False


# Settings that a server, a database or a role may have.
SETTINGS = [
    "-c extra_float_digits=-15",
    "-c client_encoding=SQL_ASCII",
    "-c default_transaction_isolation=serializable -c DateStyle=SQL,DMY -c lc_numeric=C",
    "-c search_path=nowhere -c bytea_output=escape -c standard_conforming_strings=off",
]


@pytest.mark.parametrize("options", ["", *SETTINGS])
def test_numbers_of_any_size_and_any_minutes(
    fresh: str, their_database: str, tmp_path: Path, options: str
) -> None:
    def spell(bucket: int, minutes: int, direction: str, place: int) -> str:
        return ["100.0", "51.800000000000004", "0.0001", "3e-05", "0.0"][place]

    folder = write(
        tmp_path / "in",
        buckets=(-31, 0, 99),
        header=titles(["0.00", "0.05", "1.7", "12.50", "100.00"]),
        minutes=(0, 7, 60, 90, 1440),
        spell=spell,
    )
    make_tables(their_database, folder, schema="Odd name", kind="double precision")
    try:
        dsn = make_conninfo(their_database, options=options)
        done("import", "--from-dsn", dsn, "--schema", "Odd name")
    finally:
        execute(their_database, 'DROP SCHEMA "Odd name" CASCADE')
    assert stored(fresh) == as_floats(numbers(folder))
    done("export", tmp_path / "out")
    assert contents(tmp_path / "out") == contents(folder)


def test_every_minute_of_a_day(fresh: str, their_database: str, tmp_path: Path) -> None:
    folder = write(
        tmp_path / "in", buckets=[BASELINE], header=titles(["0.50"]), minutes=range(1441)
    )
    make_tables(their_database, folder, schema="days")
    try:
        found = document("import", "--from-dsn", their_database, "--schema", "days")
    finally:
        execute(their_database, "DROP SCHEMA days CASCADE")
    assert found["minutes"] == 1441
    assert document("import", folder)["is_changed"] is False


def test_views_in_the_place_of_tables(fresh: str, theirs: str, legacy: Path) -> None:
    execute(
        theirs,
        "CREATE SCHEMA hidden",
        f'ALTER TABLE analytics."{NEGATIVE}" SET SCHEMA hidden',
        f"ALTER TABLE analytics.{VICTIM} SET SCHEMA hidden",
        f'CREATE MATERIALIZED VIEW analytics."{NEGATIVE}" AS TABLE hidden."{NEGATIVE}"',
        # The numbers are only there for who reads as of one moment and cannot write.
        f"""
        CREATE VIEW analytics.{VICTIM} AS
        SELECT * FROM hidden.{VICTIM}
        WHERE current_setting('transaction_read_only') = 'on'
          AND current_setting('transaction_isolation') IN ('repeatable read', 'serializable')
        """,
        "CREATE TABLE analytics.notes (note text)",
        "CREATE TABLE analytics.fingerprint_notes (note text)",
        "CREATE SEQUENCE analytics.btc_fingerprint_directional_seq",
    )
    try:
        done("import", "--from-dsn", theirs)
        assert document("import", legacy)["is_changed"] is False
    finally:
        execute(theirs, "DROP SCHEMA hidden CASCADE")
    assert stored(fresh) == as_floats(numbers(legacy))


def test_a_database_without_an_encoding(
    fresh: str, server_dsn: str, name_prefix: str, legacy: Path
) -> None:
    name = f"{name_prefix}_ascii"
    execute(
        server_dsn,
        f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'",
    )
    try:
        theirs = make_conninfo(server_dsn, dbname=name)
        make_tables(make_conninfo(theirs, client_encoding="utf8"), legacy)
        done("import", "--from-dsn", theirs)
    finally:
        execute(server_dsn, f"DROP DATABASE {name} WITH (FORCE)")
    assert document("import", legacy)["is_changed"] is False


def test_one_symbol_of_two(fresh: str, theirs: str, legacy: Path, tmp_path: Path) -> None:
    eth = write(tmp_path / "eth", symbol="ETH", spell=shifted)
    make_tables(theirs, eth)
    for command in ("import", "validate"):
        refused(run(command, "--from-dsn", theirs), 2, "BTC", "ETH")
    assert document("import", "--from-dsn", theirs, "--symbol", "eth")["symbol"] == "ETH"
    assert stored(fresh) == {}
    done("import", "--from-dsn", theirs, "--symbol", "BTC")
    assert stored(fresh) == as_floats(numbers(legacy))
    assert stored(fresh, "ETH") == as_floats(numbers(eth))


def test_a_password_is_never_shown(fresh: str, theirs: str, legacy: Path) -> None:
    known = conninfo_to_dict(theirs)
    password = str(known.get("password") or "hunter2")
    dsn = make_conninfo(theirs, password=password)
    for options in ([], ["--json"]):
        for command in ("import", "validate"):
            result = run(command, "--from-dsn", dsn, *options)
            assert result.exit_code == 0, result.stderr
            assert password not in result.output
    assert password not in json.dumps(dump(fresh))
    ((source,),) = rows(fresh, "SELECT source FROM upc_data.fingerprint_import")
    assert str(known["dbname"]) in source
    assert "analytics" in source
    missing = make_conninfo(dsn, dbname="upc_test_nothing")
    refused(run("import", "--from-dsn", missing), 3, "upc_test_nothing")
    assert password not in run("import", "--from-dsn", missing).output


def test_ours_and_theirs_may_be_the_same_database(fresh: str, legacy: Path) -> None:
    make_tables(fresh, legacy, schema="old")
    done("import", "--from-dsn", fresh, "--schema", "old")
    assert stored(fresh) == as_floats(numbers(legacy))
    # The named views of a set with fewer thresholds than they show.
    refused(run("import", "--from-dsn", fresh, "--symbol", "BTC"), 1, "column pos_0_15")

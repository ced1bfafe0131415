"""Default set: the built one if there is one, else the imported one."""

from __future__ import annotations

import pytest

from tests.support.engine import Connection, build, open_db
from tests.support.imported import all_views, import_set, use
from tests.support.two_sets import (
    SETS,
    answers,
    assert_in_use,
    build_and_import,
    fill,
    strikes,
)


@pytest.fixture(scope="module")
def filled(module_dsn: str) -> str:
    """Candles of both symbols; nothing is built and nothing imported."""
    with open_db(module_dsn) as connection:
        fill(connection)
    return module_dsn


@pytest.fixture
def conn(conn: Connection, filled: str) -> Connection:
    return conn


def test_importing_beside_a_built_set_changes_no_answer(conn: Connection) -> None:
    build(conn)
    before = strikes(conn), answers(conn), all_views(conn)
    assert import_set(conn, SETS["BTC"]).in_use == "built"
    *unchanged, views = strikes(conn), answers(conn), all_views(conn)
    assert unchanged == list(before[:2])
    assert {name: views[name] for name in before[2]} == before[2]
    assert_in_use(conn, "built")


def test_an_imported_set_answers_where_nothing_is_built(conn: Connection) -> None:
    assert import_set(conn, SETS["BTC"]).in_use == "imported"
    assert_in_use(conn, "imported")
    build(conn, "ETH")
    assert_in_use(conn, "imported", "built")


@pytest.mark.parametrize(
    ("chosen", "answering"),
    [(None, "built"), ("imported", "imported")],
    ids=["by default", "imported chosen"],
)
def test_a_build_completed_later(conn: Connection, chosen: str | None, answering: str) -> None:
    import_set(conn, SETS["BTC"])
    if chosen is not None:
        assert use(conn, chosen, ["BTC"]) == ["BTC"]
    build(conn)
    assert_in_use(conn, answering)
    use(conn, "built")
    assert_in_use(conn, "built")


def test_a_build_under_way_leaves_the_imported_set_to_answer(conn: Connection) -> None:
    build_and_import(conn)
    conn.execute("SELECT upc.begin_build('BTC')")
    # A refresh now finds the build incomplete.
    conn.execute("SELECT upc.refresh_fingerprints()")
    assert_in_use(conn, "imported", "built")
    conn.execute("SELECT upc.complete_build('BTC')")
    conn.execute("SELECT upc.refresh_fingerprints()")
    assert_in_use(conn, "built", "built")


def test_a_set_that_goes_leaves_the_other_one(conn: Connection) -> None:
    build_and_import(conn)
    use(conn, "imported")
    conn.execute("DELETE FROM upc_data.fingerprint_import WHERE symbol = 'BTC'")
    conn.execute("SELECT upc.refresh_fingerprints()")
    assert_in_use(conn, "built", "imported")


def test_without_symbols_all_that_have_such_a_set(conn: Connection) -> None:
    for symbol in SETS:
        build(conn, symbol)
    import_set(conn, SETS["ETH"], "ETH")
    assert use(conn, "imported") == ["ETH"]
    assert_in_use(conn, "built", "imported")
    assert use(conn, "built") == ["BTC", "ETH"]
    assert_in_use(conn, "built", "built")

"""Registering a symbol: what is refused, and two at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from tests.support.engine import Connection, open_db, scalar, wait_until_blocked

LONGEST = "A2345678901234567890123456"

NO_NAMES = (
    None,
    "",
    " ",
    "sol",
    "Sol",
    " SOL",
    "SOL ",
    "SOL\n",
    "S-L",
    "S_L",
    "S.L",
    "*",
    "SOL*",
    "SÖL",
    "\uff33\uff2f\uff2c",
    "A'B",
    'A"B',
    "A;B",
    "A/B",
    "../A",
    "%s",
    "POOLED",
    LONGEST + "7",
    "A" * 63,
    "A" * 64,
    "A" * 10_000,
)

NO_STEPS = (
    *(None, 0.0, -0.0, -1.0, float("nan"), float("inf"), float("-inf")),
    # Prices divided by them are no numbers of strikes.
    *(5e-324, 9.99e-13, 1.01e12, 1e308),
)

NO_PAIRS = ("", " ", "SOL", "SOL/", "/USD", "SOL/USD/EUR", "SOL / USD")

NO_SERIES: tuple[list[Any], ...] = (
    [None],
    [""],
    [" "],
    ["kxsold"],
    ["KX SOLD"],
    ["KXSOLD", None],
    ["KXSOLD", "KXSOLD"],
    ["KXSOLD,KXSOL15M"],
    ["KXS\u00d6LD"],
    ["K" * 65],
    [["KXSOLD"], ["KXSOL15M"]],
)


def registered(conn: Connection) -> list[tuple[Any, ...]]:
    return conn.execute(
        "SELECT s.symbol, s.strike_step, s.exchange_pair, l.kalshi_series FROM upc_data.symbol AS s"
        " JOIN upc.symbol_list() AS l USING (symbol) ORDER BY 1"
    ).fetchall()


def refused(conn: Connection, query: str, *parameters: Any) -> psycopg.Error:
    """The error of a call that leaves the transaction as it was."""
    before = registered(conn)
    with pytest.raises(psycopg.Error) as caught, conn.transaction():
        conn.execute(query, parameters)
    assert registered(conn) == before
    assert caught.value.diag.message_detail
    assert caught.value.diag.message_hint
    return caught.value


@pytest.mark.parametrize("name", NO_NAMES)
def test_what_is_no_name(conn: Connection, name: str | None) -> None:
    assert refused(conn, "SELECT upc.add_symbol(%s, 1)", name).sqlstate == "UP002"


@pytest.mark.parametrize("name", ["A", "0", "1INCH", "1000PEPE", LONGEST])
def test_what_is_a_name(conn: Connection, name: str) -> None:
    conn.execute("SELECT upc.add_symbol(%s, 0.5)", (name,))
    assert (name, 0.5, None, None) in registered(conn)
    # No name that is derived from it is cut: 63 bytes are the most.
    longest = scalar(
        conn,
        "SELECT max(octet_length(upc.fingerprint_name(%s, b))) FROM generate_series(-30, 99) AS b",
        name,
    )
    assert longest <= 63


def test_a_lower_case_name_is_spelled_in_the_hint(conn: Connection) -> None:
    hint = refused(conn, "SELECT upc.add_symbol(' sol ', 1)").diag.message_hint
    assert hint is not None
    assert "SOL" in hint


@pytest.mark.parametrize("step", NO_STEPS)
def test_what_is_no_step(conn: Connection, step: float | None) -> None:
    assert refused(conn, "SELECT upc.add_symbol('SOL', %s)", step).sqlstate == "UP003"


@pytest.mark.parametrize("pair", NO_PAIRS)
def test_what_is_no_pair(conn: Connection, pair: str) -> None:
    query = "SELECT upc.add_symbol('SOL', 1, exchange_pair => %s)"
    assert refused(conn, query, pair).sqlstate == "22023"


@pytest.mark.parametrize("series", NO_SERIES)
def test_what_is_no_list_of_series(conn: Connection, series: list[Any]) -> None:
    query = "SELECT upc.add_symbol('SOL', 1, kalshi_series => %s)"
    assert refused(conn, query, series).sqlstate == "22023"


def test_what_is_taken(conn: Connection) -> None:
    assert refused(conn, "SELECT upc.add_symbol('BTC', 1)").sqlstate == "UP030"
    query = "SELECT upc.add_symbol('SOL', 1, kalshi_series => %s)"
    assert refused(conn, query, ["KXSOLD", "KXETHD"]).sqlstate == "UP030"


def test_what_is_stored(conn: Connection) -> None:
    conn.execute("SELECT upc.add_symbol('SOL', 2, 'SOL/USDT:USDT', '{KXSOLD,KXSOL15M}')")
    conn.execute("SELECT upc.add_symbol('ADA', 0.01, kalshi_series => '{}')")
    assert registered(conn)[0] == ("ADA", 0.01, None, None)
    assert registered(conn)[-1] == ("SOL", 2.0, "SOL/USDT:USDT", ["KXSOL15M", "KXSOLD"])


@pytest.mark.parametrize("other", ["SOL", "LOS"])
def test_two_at_once(own: Connection, fresh_db: str, other: str) -> None:
    """One succeeds; the other waits for it and is refused: for the name, or for the series."""
    query = "SELECT upc.add_symbol(%s, 1, kalshi_series => '{KXSOLD}')"
    with (
        open_db(fresh_db, autocommit=False) as first,
        open_db(fresh_db) as second,
        ThreadPoolExecutor(1) as pool,
    ):
        first.execute(query, ("SOL",))
        late = pool.submit(second.execute, query, (other,))
        wait_until_blocked(own, second, late)
        # Readers do not wait, nor does what a feed or a tick writes.
        assert scalar(own, "SELECT count(*) FROM upc_data.symbol") == 2
        own.execute("SELECT upc.record_price('BTC', 'kraken', 90000, now(), now())")
        first.commit()
        with pytest.raises(psycopg.Error) as caught:
            late.result()
        assert caught.value.sqlstate == "UP030"
    assert [symbol for symbol, *_ in registered(own)] == ["BTC", "ETH", "SOL"]


def test_the_other_one_that_gave_up_is_in_nobodys_way(own: Connection, fresh_db: str) -> None:
    with (
        open_db(fresh_db, autocommit=False) as first,
        ThreadPoolExecutor(1) as pool,
        open_db(fresh_db) as second,
    ):
        first.execute("SELECT upc.add_symbol('SOL', 1)")
        late = pool.submit(second.execute, "SELECT upc.add_symbol('SOL', 2)")
        wait_until_blocked(own, second, late)
        first.rollback()
        late.result()
    assert ("SOL", 2.0, None, ["KXSOL15M", "KXSOLD", "KXSOLE"]) in registered(own)


def test_an_unknown_symbol_is_told_of_the_command(conn: Connection) -> None:
    """It stays readable with many symbols: some are named, and how many more there are."""
    few = refused(conn, "SELECT upc.require_symbol('DOGE')")
    assert few.sqlstate == "UP002"
    hint = few.diag.message_hint or ""
    assert "BTC, ETH." in hint
    assert "pyupc symbols add" in hint
    conn.execute("SELECT upc.add_symbol('X' || i, 1) FROM generate_series(1, 998) AS i")
    hint = refused(conn, "SELECT upc.require_symbol('DOGE')").diag.message_hint or ""
    assert "990 more" in hint
    assert "pyupc symbols add" in hint
    assert len(hint) < 200


def test_an_event_finds_its_symbol_by_any_of_its_series(conn: Connection) -> None:
    conn.execute("SELECT upc.add_symbol('SOL', 2, kalshi_series => '{KXSOLD,KXSOL15M}')")
    query = "SELECT (upc._event_series(NULL, %s)).symbol"
    assert scalar(conn, query, "KXSOLD") == scalar(conn, query, "KXSOL15M") == "SOL"
    assert refused(conn, query, "KXSOL").sqlstate == "UP002"

"""`pyupc symbols`: what it registers, what it refuses, what it prints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pyupc.cli import main
from tests.support.engine import Connection, open_db


@pytest.fixture
def conn(fresh_db: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    monkeypatch.setenv("PYUPC_DSN", fresh_db)
    with open_db(fresh_db) as connection:
        yield connection


def pyupc(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, ["symbols", *arguments], input=stdin)


def registered(conn: Connection) -> dict[str, tuple[Any, ...]]:
    rows = conn.execute(
        "SELECT s.symbol, s.strike_step, s.exchange_pair, l.kalshi_series FROM upc_data.symbol AS s"
        " JOIN upc.symbol_list() AS l USING (symbol)"
        " WHERE symbol NOT IN ('BTC', 'ETH')"
    )
    return {symbol: tuple(row) for symbol, *row in rows}


def test_one_symbol(conn: Connection) -> None:
    done = pyupc(
        "add", "XRP", "--step", "0.02", "--pair", "XRP/USDT", "--series", "KXXRPD", "--json"
    )
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout) == [
        {
            "symbol": "XRP",
            "step": 0.02,
            "pair": "XRP/USDT",
            "series": ["KXXRPD"],
            "has_views": False,
        }
    ]
    assert registered(conn) == {"XRP": (0.02, "XRP/USDT", ["KXXRPD"])}


def test_several_in_common(conn: Connection) -> None:
    assert pyupc("add", "ADA", "DOT", "--step", "0.5").exit_code == 0
    assert registered(conn) == {"ADA": (0.5, None, None), "DOT": (0.5, None, None)}


def test_a_thousand(conn: Connection) -> None:
    names = [f"S{number}" for number in range(1000)]
    done = pyupc("add", *names, "--step", "1")
    assert done.exit_code == 0, done.stderr
    assert len(registered(conn)) == 1000
    # Still a line that can be read.
    assert len(done.stdout) < 200


SHEET = """symbol, step, series,views,pair
ADA,0.01,KXADAD KXADA,no,ADA/USDT

DOT,,,,
"""


@pytest.mark.parametrize("where", ["stdin", "file"])
def test_a_file(conn: Connection, tmp_path: Path, where: str) -> None:
    path = tmp_path / "symbols.csv"
    path.write_bytes(b"\xef\xbb\xbf" + SHEET.replace("\n", "\r\n").encode())
    source = ["--file", "-"] if where == "stdin" else ["--file", str(path)]
    done = pyupc("add", *source, "--step", "0.2", stdin=SHEET)
    assert done.exit_code == 0, done.stderr
    assert registered(conn) == {
        "ADA": (0.01, "ADA/USDT", ["KXADA", "KXADAD"]),
        "DOT": (0.2, None, None),
    }


@pytest.mark.parametrize(
    "sheet",
    [
        "",
        "symbol,step\n",
        "ADA,0.01\n",
        "symbol,price\nADA,1\n",
        "symbol,symbol\nADA,1\n",
        "symbol,step\nADA,abc\n",
        "symbol,step\nADA,0\n",
        "symbol,step\nADA,nan\n",
        "symbol,step\nADA\n",
        "symbol,step\nADA,1,2\n",
        "symbol\nADA\n",
        "symbol,step\nADA,1\nADA,2\n",
        "symbol,step\nADA,1\nada,2\n",
        "symbol,step\nADA,1\nBTC,2\n",
        "symbol,step\nADA,1\n,2\n",
        "symbol,step,views\nADA,1,perhaps\n",
        'symbol,step\nADA,"1\n',
        "symbol,step,series\nADA,1,KXA\nDOT,1,KXA\n",
    ],
)
def test_a_bad_line_registers_nothing(conn: Connection, sheet: str) -> None:
    done = pyupc("add", "--file", "-", stdin=sheet)
    assert done.exit_code == 1
    assert done.stderr.startswith("pyupc: ")
    assert registered(conn) == {}


def test_bytes_that_are_no_text(conn: Connection, tmp_path: Path) -> None:
    path = tmp_path / "symbols.csv"
    path.write_bytes(b"symbol,step\nAD\xff\xfe,1\n")
    assert pyupc("add", "--file", str(path)).exit_code == 1
    assert pyupc("add", "--file", str(tmp_path / "none.csv")).exit_code == 1
    assert registered(conn) == {}


def test_with_views(conn: Connection) -> None:
    assert pyupc("add", "SOL", "--step", "2", "--views").exit_code == 0
    sheet = "symbol,views\nADA,yes\nDOT,no\n"
    assert pyupc("add", "--file", "-", "--step", "1", stdin=sheet).exit_code == 0
    query = "SELECT split_part(viewname, '_', 1), count(*) FROM pg_views"
    found: dict[str, int] = dict(
        conn.execute(f"{query} WHERE schemaname = 'analytics' GROUP BY 1".encode()).fetchall()
    )
    # A baseline and 61 buckets, of plain moves and of standardised ones.
    assert (found["sol"], found["ada"], found.get("dot")) == (124, 124, None)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["SOL"],
        ["--step", "1"],
        ["SOL", "--step", "two"],
        ["SOL", "ADA", "--step", "1", "--pair", "SOL/USD"],
        ["SOL", "ADA", "--step", "1", "--series", "KXSOLD"],
        ["SOL", "--file", "-"],
        ["--file", "-", "--series", "KXSOLD"],
    ],
)
def test_arguments_that_do_not_fit(conn: Connection, arguments: list[str]) -> None:
    assert pyupc("add", *arguments, stdin="symbol,step\nADA,1\n").exit_code == 2
    assert registered(conn) == {}


@pytest.mark.parametrize("name", ["sol", "", " ", "*", "A'B", 'A"B', "A" * 64, "BTC", "POOLED"])
def test_names_that_are_none(conn: Connection, name: str) -> None:
    assert pyupc("add", "SOL", name, "--step", "1").exit_code == 1
    assert registered(conn) == {}


@pytest.mark.parametrize("step", ["0", "nan", "inf", "-inf", "-1"])
def test_steps_that_are_none(conn: Connection, step: str) -> None:
    assert pyupc("add", "SOL", "--step", step).exit_code == 1
    assert registered(conn) == {}


def test_a_name_given_twice(conn: Connection) -> None:
    assert pyupc("add", "SOL", "SOL", "--step", "1").exit_code == 1
    assert registered(conn) == {}


def listed(*arguments: str) -> dict[str, dict[str, Any]]:
    done = pyupc("list", "--json", *arguments)
    assert done.exit_code == 0, done.stderr
    return {row["symbol"]: row for row in json.loads(done.stdout)}


def test_the_list(conn: Connection) -> None:
    assert pyupc("add", "SOL", "--step", "2").exit_code == 0
    conn.execute(
        "SELECT upc.record_candles('SOL', '{2026-01-01 12:00+00, 2026-01-03 13:00+00}',"
        " '{9,9}', '{10,10}', '{8,8}', '{9,9}', '{1,1}')"
    )
    found = listed()
    assert list(found) == ["BTC", "ETH", "SOL"]
    assert found["SOL"] == {
        "symbol": "SOL",
        "step": 2.0,
        "pair": "SOL/USD",
        "series": ["KXSOL15M", "KXSOLD", "KXSOLE"],
        "first_candle": "2026-01-01T12:00:00Z",
        "last_candle": "2026-01-03T13:00:00Z",
        "has_fingerprints": False,
        "has_views": False,
        "ticked_by": None,
        "fed_from": None,
        "is_retiring": False,
    }
    assert found["BTC"]["has_views"]
    assert found["BTC"]["series"] == ["KXBTC", "KXBTC15M", "KXBTCD"]
    assert list(listed("--symbol", "eth")) == ["ETH"]
    assert pyupc("list").stdout.splitlines()[-1].startswith("SOL")
    assert pyupc("list", "--symbol", "DOGE").exit_code == 1


def test_who_works_for_it(conn: Connection, fresh_db: str) -> None:
    conn.execute("SELECT upc._renew_lease('BTC', 'desk:1', interval '1 minute')")
    with open_db(fresh_db) as feed:
        feed.execute("SELECT pg_advisory_lock(upc.feed_lock_key('ETH', 'kraken'))")
        conn.execute(
            "SELECT upc.record_price('ETH', 'kraken', 3000, now(), now()),"
            " upc.record_price('BTC', 'kraken', 90000, now(), now())"
        )
        found = listed()
        assert (found["BTC"]["ticked_by"], found["BTC"]["fed_from"]) == ("desk:1", None)
        assert (found["ETH"]["ticked_by"], found["ETH"]["fed_from"]) == (None, "kraken")
    assert listed()["ETH"]["fed_from"] is None

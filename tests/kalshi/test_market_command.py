"""`pyupc market`: saved events as people have them, and everything that may be wrong with them."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pyupc.cli import main
from pyupc.database.connect import connect
from tests.support.kalshi_server import Listed, market
from tests.support.times_of_day import next_hour

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
EVENT = "KXBTCD-26JUN0113"

Document = dict[str, Any]
Rows = list[tuple[Any, ...]]


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["market", *map(str, arguments)])


def files(*arguments: str | Path) -> list[Document]:
    result = run("load", "--json", *arguments)
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert set(document) == {"files"}
    loaded: list[Document] = document["files"]
    return loaded


def answer(ticker: str = EVENT, closes_at: datetime = NOON + timedelta(hours=1)) -> Document:
    """Today's answer of Kalshi."""
    series = ticker.partition("-")[0]
    markets = [market(ticker, strike, closes_at) for strike in (97_500, 97_750)]
    listed = Listed(ticker, NOON, closes_at, markets, series=series)
    return {"event": {**listed.document(), "markets": markets}}


def rows(dsn: str, query: str, *parameters: Any) -> Rows:
    with connect(dsn) as conn:
        return conn.execute(query.encode(), parameters or None).fetchall()


def stored(dsn: str) -> list[Rows]:
    return [rows(dsn, f"TABLE upc_data.{name}") for name in ("market_event", "market_quote")]


@pytest.fixture
def shared(shared_database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A database that has no events, before and after."""
    monkeypatch.setenv("PYUPC_DSN", shared_database)
    yield shared_database
    with connect(shared_database) as conn:
        conn.execute("TRUNCATE upc_data.market_event CASCADE")


@pytest.fixture
def fresh(fresh_db: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PYUPC_DSN", fresh_db)
    return fresh_db


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write(what: Any, name: str = "event.json") -> Path:
        path = tmp_path / name
        path.write_bytes(what if isinstance(what, bytes) else json.dumps(what).encode())
        return path

    return write


# Loaded answers


def test_an_answer_of_today(shared: str, write: Any) -> None:
    path = write(answer())
    before = datetime.now(UTC)
    assert files(path) == [
        {
            "file": str(path),
            "symbol": "BTC",
            "event": EVENT,
            "closes_at": "2026-06-01T13:00:00Z",
            "markets": 2,
            "is_stored": True,
            "left_out": [],
        }
    ]
    [(read_at,)] = rows(shared, "SELECT read_at FROM upc_data.market_event")
    assert before <= read_at <= datetime.now(UTC)
    query = "SELECT ticker, lower, yes_ask, volume FROM upc_data.market_quote ORDER BY 1"
    assert rows(shared, query) == [
        (f"{EVENT}-T97499.99", 97_500, Decimal("0.56"), 1000),
        (f"{EVENT}-T97749.99", 97_750, Decimal("0.56"), 1000),
    ]


def test_the_summary_is_on_stdout(shared: str, write: Any) -> None:
    newer = {"cloud_timestamp": "2026-06-01T12:30:00Z", "data": answer()}
    older = {**newer, "cloud_timestamp": "2026-06-01T12:29:00Z"}
    result = run("load", write(newer), write(older, "older.json"))
    assert (result.exit_code, result.stderr) == (0, "")
    first, second = result.stdout.splitlines()
    assert first.endswith(f"event.json: BTC {EVENT}, 2 markets, closes 2026-06-01T13:00:00Z")
    assert f"older.json: BTC {EVENT}, skipped" in second
    [(read_at,)] = rows(shared, "SELECT read_at FROM upc_data.market_event")
    assert read_at == NOON + timedelta(minutes=30)


def test_the_series_says_whose_it_is_unless_the_caller_does(shared: str, write: Any) -> None:
    ether = write(answer("KXETHD-26JUN0113"), "ether.json")
    assert [each["symbol"] for each in files(write(answer()), ether)] == ["BTC", "ETH"]
    other = write(answer("OTHER-1"), "other.json")
    assert str(other) in refused(run("load", other, "--symbol", " eth "))
    assert [each["symbol"] for each in files(ether, "--symbol", " eth ")] == ["ETH"]


def test_a_byte_order_mark_is_no_harm(shared: str, write: Any) -> None:
    data = b"\xef\xbb\xbf" + json.dumps(answer()).encode() + b"\r\n"
    assert files(write(data))[0]["markets"] == 2


def test_times_without_an_offset_are_utc(
    fresh: str, write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c TimeZone=Asia/Kolkata -c DateStyle=SQL,DMY")
    document = answer()
    for each in document["event"]["markets"]:
        each["close_time"] = "2026-06-01 13:00:00"
    path = write({"cloud_timestamp": "2026-06-01T12:30:00", "data": document})
    assert files(path)[0]["closes_at"] == "2026-06-01T13:00:00Z"
    soon = next_hour()
    files(write(answer("KXBTCD-SOON", closes_at=soon)))
    [shown, _] = json.loads(run("show", "--json").stdout)
    assert shown["closes_at"] == f"{soon:%Y-%m-%dT%H:%M:%SZ}"
    monkeypatch.delenv("PGOPTIONS")
    query = "SELECT read_at FROM upc_data.market_event WHERE event_ticker = %s"
    assert rows(fresh, query, EVENT) == [(NOON + timedelta(minutes=30),)]


def test_every_digit_of_a_file_is_kept(shared: str, write: Any) -> None:
    text = json.dumps(answer()).replace("97499.99", "97499.990000000")
    text = text.replace('"0.5600"', '"0.0150"', 1)
    files(write(text.encode()))
    query = "SELECT lower::text, yes_ask::text FROM upc_data.market_quote ORDER BY ticker"
    assert rows(shared, query)[0] == ("97500.000000000", "0.0150")


# Refused answers


def refused(result: Result, code: int = 1) -> str:
    assert result.exit_code == code, result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    message, hint = result.stderr.splitlines()
    assert message.startswith("pyupc: ")
    assert hint.startswith("hint: ")
    return message


GOOD = json.dumps(answer()).encode()


def changed(**fields: Any) -> Document:
    document = answer()
    document["event"]["markets"][1].update(fields)
    return document


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"\n",
        GOOD[:-1],
        GOOD[: len(GOOD) // 2],
        GOOD + GOOD,
        GOOD + b"\0",
        GOOD.replace(b"Bitcoin", b"Bit\0coin"),
        GOOD.replace(b"Bitcoin", b"Bit\\u0000coin"),
        GOOD.replace(b"Bitcoin", b"Bit\\ud800coin"),
        GOOD.replace(b"Bitcoin", b"Bit\xffcoin"),
        GOOD.decode().encode("utf-16"),
        GOOD.replace(b"97499.99", b"NaN"),
        GOOD.replace(b"97499.99", b"1e400000"),
        GOOD.replace(b'"', b"'"),
        b"<html><body>Not found</body></html>",
        b"[" * 100_000,
        bytes(range(256)),
        b"{}",
        b"[]",
        b"null",
        b"7",
        b'"event"',
        b'{"error": {"code": "not_found"}}',
        b'{"event": {"event_ticker": "KXBTCD-1"}}',
        b'{"event": 7, "markets": []}',
        b'{"event": {"event_ticker": "KXBTCD-1", "markets": []}}',
        answer("UNKNOWN-1"),
        changed(yes_ask_dollars="1.01"),
        changed(yes_ask_dollars={}),
        changed(volume_fp="many"),
        changed(floor_strike=[97_500]),
        changed(close_time=5),
        changed(close_time="infinity"),
        {"cloud_timestamp": "yesterday evening", "data": answer()},
        {"cloud_timestamp": ["2026"], "data": answer()},
    ],
    ids=lambda wrong: repr(wrong)[:30],
)
def test_a_file_that_is_no_event(shared: str, write: Any, wrong: Any) -> None:
    """The message names the file, and nothing of any file is loaded."""
    path = write(wrong, "wrong.json")
    message = refused(run("load", write(answer()), path, write(answer(), "last.json")))
    assert message.startswith(f"pyupc: {path}: ")
    assert len(message) < 300
    assert stored(shared) == [[], []]


def test_the_line_of_a_mistake_is_named(shared: str, write: Any) -> None:
    lines = json.dumps(answer(), indent=1).splitlines()
    lines[4] = lines[4].replace(":", "=")
    assert refused(run("load", write("\n".join(lines).encode()))).endswith("in line 5")


def test_a_file_that_is_far_too_large(shared: str, tmp_path: Path) -> None:
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.truncate((64 << 20) + 1)
    assert str(path) in refused(run("load", path))


def test_a_missing_file_and_a_folder(shared: str, write: Any, tmp_path: Path) -> None:
    for path in (tmp_path / "missing.json", tmp_path):
        assert str(path) in refused(run("load", write(answer()), path))
    assert stored(shared) == [[], []]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_an_unreadable_file(shared: str, write: Any) -> None:
    path = write(answer())
    path.chmod(stat.S_IWUSR)
    refused(run("load", path))


def test_a_name_does_not_steer_the_terminal(shared: str, write: Any) -> None:
    path = write(answer(), "a\x1b[31mb.json")
    assert "\x1b" not in run("load", path).stdout
    assert "\x1b" not in run("load", write(b"", "c\x1bd.json")).stderr


def test_unknown_symbols(shared: str, write: Any) -> None:
    path = write(answer())
    assert str(path) in refused(run("load", path, "--symbol", "XYZ"))
    refused(run("show", "--symbol", "XYZ"))


def test_usage(shared: str, write: Any) -> None:
    path = write(answer())
    refused(run("load"), 2)
    refused(run("load", path, "--symbol", "BTC", "--symbol", "ETH"), 2)
    refused(run("load", path, "--nonsense"), 2)


def test_an_old_schema_exits_with_4(fresh: str, write: Any) -> None:
    with connect(fresh) as conn:
        conn.execute("UPDATE upc_data.alembic_version SET version_num = '0000'")
    refused(run("load", write(answer())), 4)
    refused(run("show"), 4)


def test_an_unreachable_server_exits_with_3(
    write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYUPC_DSN", f"host={tmp_path}")
    refused(run("load", write(answer())), 3)


def test_help_has_examples() -> None:
    for arguments in ([], ["load"], ["show"]):
        result = run(*arguments, "--help")
        assert result.exit_code == 0
        assert "Examples:" in result.stdout


# Shown markets


def test_the_events_that_close_next_are_shown(shared: str, write: Any) -> None:
    closes_at = next_hour()
    now = datetime.now(UTC)
    read_at = now - timedelta(seconds=20)
    files(write({"cloud_timestamp": read_at.isoformat(), "data": answer(closes_at=closes_at)}))
    result = run("show", "--json")
    assert result.exit_code == 0, result.stderr
    bitcoin, ether = json.loads(result.stdout)
    assert 20 <= bitcoin.pop("age_seconds") < 29
    assert bitcoin == {
        "symbol": "BTC",
        "event": EVENT,
        "title": f"Bitcoin price at {closes_at:%H:%M}?",
        "status": "active",
        "state": "warn",
        "closes_at": f"{closes_at:%Y-%m-%dT%H:%M:%SZ}",
        "markets": 2,
        "step": 250.0,
    }
    assert (ether["symbol"], ether["event"], ether["state"]) == ("ETH", None, None)
    result = run("show", "--symbol", "btc")
    head, row = result.stdout.splitlines()
    assert head.split()[0] == "symbol"
    assert row.split()[:7] == [
        *["BTC", EVENT, "active", "warn", f"{closes_at:%H:%M:%SZ}", "2", "250"]
    ]


def test_nothing_to_show(shared: str) -> None:
    result = run("show")
    assert result.exit_code == 0
    assert [line.split()[:2] for line in result.stdout.splitlines()[1:]] == [
        ["BTC", "-"],
        ["ETH", "-"],
    ]


# A real event of 2025, and what the predecessor made of it

AT = "2025-07-26 18:00:21+00"
PRICE = 118_082.01
SAME = ("strike", "buffer", "buffer_pct", "yes_ask", "no_ask", "ticker", "active_side")


@pytest.fixture
def real(fresh: str, shared_data: Path) -> str:
    fingerprints = shared_data / "legacy" / "btc"
    arguments = ["fingerprints", "import", str(fingerprints), "--symbol", "BTC"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.stderr
    [loaded] = files(shared_data / "kalshi" / "event_snapshot_2025.json")
    assert loaded["markets"] == 75
    assert loaded["closes_at"] == "2025-07-26T19:00:00Z"
    return fresh


def expected_rows(shared_data: Path) -> list[Document]:
    text = (shared_data / "json" / "btc_strike_table.json").read_text()
    table: list[Document] = json.loads(text)["strikes"]
    assert len(table) == 21
    # Without an offer the predecessor wrote a dollar, and derived differences from it.
    for row in table:
        for side in ("yes", "no"):
            if row[f"{side}_ask"] == 100:
                row[f"{side}_ask"] = row[f"{side}_diff"] = None
    return table


def test_the_snapshot_of_2025(real: str, shared_data: Path) -> None:
    """Every market of it, number by number, from the JSON alone."""
    text = (shared_data / "kalshi" / "event_snapshot_2025.json").read_text()
    snapshot = json.loads(text, parse_float=Decimal)
    names = ("yes_bid", "yes_ask", "no_bid", "no_ask")
    expected = {
        each["ticker"]: (
            each["floor_strike"] + Decimal("0.01"),
            each["status"],
            *(
                # 0 and 100 are how an empty side of a book is written.
                None
                if name.endswith("ask") and each[name] in (0, 100)
                else Decimal(each[name]) / 100
                for name in names
            ),
            each["volume"],
        )
        for each in snapshot["data"]["markets"]
    }
    markets = snapshot["data"]["markets"]
    assert all(each["no_bid"] == 0 for each in markets if each["yes_ask"] == 100)
    assert all(each["yes_bid"] == 0 for each in markets if each["no_ask"] == 100)
    assert sum(row[3] is None for row in expected.values()) == 48
    query = f"SELECT ticker, lower, status, {', '.join(names)}, volume FROM upc_data.market_quote"
    assert {ticker: tuple(rest) for ticker, *rest in rows(real, query)} == expected
    [(read_at, title)] = rows(real, "SELECT read_at, title FROM upc_data.market_event")
    assert read_at == datetime.fromisoformat(snapshot["cloud_timestamp"])
    assert title == snapshot["data"]["event"]["title"]


def test_the_strike_table_of_2025(real: str, shared_data: Path) -> None:
    found = rows(
        real,
        "SELECT strike::integer, round(buffer::numeric, 2)::float8,"
        " round(buffer_pct::numeric, 2)::float8, yes_ask, no_ask, ticker, active_side"
        f" FROM upc.strike_table({PRICE}, at => '{AT}')",
    )
    table = expected_rows(shared_data)
    assert found == [tuple(each[name] for name in SAME) for each in table]


def test_the_document_of_2025(real: str, shared_data: Path) -> None:
    rows(real, f"SELECT upc.record_price('BTC', 'coinbase', {PRICE}, '{AT}', '{AT}')")
    [(text,)] = rows(real, f"SELECT strike_table FROM upc.tick('BTC', 'database', at => '{AT}')")
    document = json.loads(text, parse_float=Decimal)
    before = json.loads((shared_data / "json" / "btc_strike_table.json").read_text())
    for name in ("broker", "event_ticker", "market_title", "strike_tier", "market_status"):
        assert document[name] == before[name]
    assert float(document["current_price"]) == before["current_price"]
    assert document["ttc"] == 3579
    found = json.loads(text)["strikes"]
    table = expected_rows(shared_data)
    for name in (*SAME, "volume"):
        assert [each[name] for each in found] == [each[name] for each in table]
    for each in document["strikes"]:
        p = each["probability"]
        yes, no = (p, 100 - p) if each["strike"] <= PRICE else (100 - p, p)
        for diff, pays, ask in (("yes_diff", yes, "yes_ask"), ("no_diff", no, "no_ask")):
            assert each[diff] == (None if each[ask] is None else pays - each[ask])
    assert sum(each["yes_ask"] is None for each in document["strikes"]) == 9
    # By the same rule the predecessor's differences follow from its probabilities.
    for each in table:
        p = each["probability"]
        yes, no = (p, 100 - p) if each["strike"] <= PRICE else (100 - p, p)
        for diff, pays, ask in (("yes_diff", yes, "yes_ask"), ("no_diff", no, "no_ask")):
            assert each[diff] == (None if each[ask] is None else pytest.approx(pays - each[ask]))

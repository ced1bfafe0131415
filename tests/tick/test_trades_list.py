"""`pyupc trades list`: what is held and what it is worth, for programs and for people."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from pyupc.cli import main
from pyupc.database.connect import connect
from tests.support.kalshi_server import market
from tests.support.market import on_terminal
from tests.support.times_of_day import next_hour

HEAD = [
    "id",
    "ticker",
    "side",
    "status",
    "stop",
    "lower",
    "upper",
    "count",
    "bought",
    "prob",
    "buffer",
    "price",
    "profit",
    "closes",
]


def output(dsn: str, *arguments: str) -> str:
    result = CliRunner().invoke(main, ["trades", *arguments], env={"PYUPC_DSN": dsn})
    assert result.exit_code == 0, result.stderr
    return result.stdout


def listed(dsn: str, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(output(dsn, "list", *arguments, "--json"))
    return found


@pytest.fixture
def dsn(btc_market: str) -> str:
    """Events of two symbols that close at the full hour; BTC is at 97,600, ETH is not known."""
    closes_at = next_hour()
    with connect(btc_market) as conn:
        for name, series, strike in (("B", "KXBTCD", 97_500), ("E", "KXETHD", 3_500)):
            markets = [
                market(name, strike, closes_at, yes_ask_dollars="0.86", no_ask_dollars="0.16")
            ]
            event = {"event_ticker": name, "series_ticker": series, "markets": markets}
            conn.execute("SELECT upc.load_market(%s::jsonb)", (json.dumps({"event": event}),))
        conn.execute("SELECT upc.record_price('BTC', 'by hand', 97600)")
    buy(btc_market, "B-T97499.99", "yes", "0.85", "10")
    buy(btc_market, "E-T3499.99", "no", "0.10", "2.5")
    buy(btc_market, "B-T97499.99", "no", "0.20", "100")
    return btc_market


def buy(dsn: str, ticker: str, side: str, price: str, count: str) -> None:
    output(dsn, "open", "--ticker", ticker, "--side", side, "--price", price, "--count", count)


def stop(dsn: str, number: int) -> None:
    with connect(dsn) as conn:
        conn.execute(
            "UPDATE upc_data.trade SET status = 'stopped', stopped_at = clock_timestamp(),"
            " stop_reason = 'probability', stop_numbers = '{}' WHERE trade_id = %s",
            (number,),
        )


def test_what_is_held_is_worth(dsn: str) -> None:
    first, ether, third = listed(dsn)
    assert [each["trade_id"] for each in (first, ether, third)] == [1, 2, 3]

    assert (first["symbol_price"], first["buffer"]) == (97_600, 100)
    # One dollar less what the other side asks.
    assert (first["close_price"], first["pnl"]) == (0.84, pytest.approx(-0.10))
    # A fee of 9 cents to buy, and of 10 to sell.
    assert first["pnl_after_fees"] == pytest.approx(-0.29)
    assert first["pnl_per_contract_after_fees"] == pytest.approx(-0.029)

    assert (third["close_price"], third["pnl"]) == (0.14, pytest.approx(-6))
    # 0.07 · 100 · 0.2 · 0.8 = 1.12, and 0.07 · 100 · 0.14 · 0.86 = 0.8428.
    assert third["pnl_after_fees"] == pytest.approx(-6 - 1.12 - 0.85)
    assert third["buffer"] == -100
    assert first["probability"] > 50
    assert first["probability"] + third["probability"] == pytest.approx(100)

    assert ether["close_price"] == 0.14
    unknown = ("symbol_price", "probability", "buffer", "stop_reason", "ended_at", "result")
    assert {ether[name] for name in unknown} == {None}


def test_the_probability_is_that_of_the_ticks_default(dsn: str) -> None:
    """Read linearly, and by the momentum where no volatility can be forecast."""
    closes_at = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    event = {"event_ticker": "L", "series_ticker": "KXBTCD"}
    markets = [market("L", 97_525, closes_at)]
    with connect(dsn) as conn:
        document = json.dumps({"event": {**event, "markets": markets}})
        conn.execute("SELECT upc.load_market(%s::jsonb)", (document,))
        buy(dsn, "L-T97524.99", "yes", "0.5", "1")
        # A few seconds make hardly any difference.
        rows = conn.execute(
            "SELECT o.prob_above FROM (VALUES (1, 'linear'), (2, 'nearest')) AS m (place, method)"
            " CROSS JOIN LATERAL upc.probability("
            "     97600, 97525, NULL, 'BTC', 3590, m.method, 'momentum', 'average'"
            " ) AS o"
            " ORDER BY m.place"
        ).fetchall()
    [linear, nearest] = [row[0] for row in rows]
    assert listed(dsn)[-1]["probability"] == pytest.approx(linear, abs=0.1)
    assert abs(linear - nearest) > 0.2


def test_beyond_an_hour_momentum_has_no_answer(dsn: str) -> None:
    closes_at = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=3)
    event = {"event_ticker": "L", "series_ticker": "KXBTCD"}
    with connect(dsn) as conn:
        document = json.dumps({"event": {**event, "markets": [market("L", 97_525, closes_at)]}})
        conn.execute("SELECT upc.load_market(%s::jsonb)", (document,))
    buy(dsn, "L-T97524.99", "yes", "0.5", "1")
    last = listed(dsn)[-1]
    assert (last["probability"], last["buffer"]) == (None, 75)


def test_a_range(dsn: str) -> None:
    """Its bounds are where the sentence and the table are read, since its ticker has none."""
    closes_at = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=50)
    event = {"event_ticker": "R", "series_ticker": "KXBTC"}
    its = {"strike_type": "between", "floor_strike": 97_500, "cap_strike": 97_749.99}
    markets = [{**market("R", 97_500, closes_at), **its, "ticker": "R-B97625"}]
    with connect(dsn) as conn:
        document = json.dumps({"event": {**event, "markets": markets}})
        conn.execute("SELECT upc.load_market(%s::jsonb)", (document,))
    arguments = ("--ticker", "R-B97625", "--side", "no", "--price", "0.5", "--count", "2")
    assert "no R-B97625 (from 97,500 to 97,750) bought at 0.50" in output(dsn, "open", *arguments)
    last = listed(dsn)[-1]
    assert (last["kind"], last["strike"], last["lower"], last["upper"], last["buffer"]) == (
        *("range", None, 97_500, 97_750),
        # The price is 100 inside, which is bad for a no.
        -100,
    )
    line = output(dsn, "list").splitlines()[-1]
    assert line.split()[:7] == ["4", "R-B97625", "no", "open", "-", "97,500", "97,750"]


def test_which_are_shown(dsn: str) -> None:
    def numbers(*arguments: str) -> list[int]:
        return [each["trade_id"] for each in listed(dsn, *arguments)]

    output(dsn, "close", "1", "--price", "0.5")
    assert numbers() == [2, 3]
    assert numbers("--all") == [1, 2, 3]
    assert numbers("--symbol", "btc") == [3]
    assert numbers("--symbol", "ETH", "--symbol", "BTC", "--all") == [1, 2, 3]
    [first, *_] = listed(dsn, "--all")
    assert (first["status"], first["close_price"]) == ("closed", 0.5)
    assert first["pnl_after_fees"] == pytest.approx(10 * (0.5 - 0.85) - 0.09 - 0.18)


def test_a_table_for_people(dsn: str) -> None:
    stop(dsn, 3)
    with connect(dsn) as conn:
        conn.execute(
            "UPDATE upc_data.market_quote SET result = 'no', status = 'finalized'"
            " WHERE symbol = 'ETH'"
        )
        conn.execute("SELECT upc._settle_trades('ETH', clock_timestamp() + interval '1 hour')")
    text = output(dsn, "list", "--all")
    head, first, ether, third = text.splitlines()
    assert head.split() == HEAD
    assert first.split()[:7] == ["1", "B-T97499.99", "yes", "open", "-", "97,500", "-"]
    assert first.split()[7:9] == ["10", "0.85"]
    assert first.split()[10:13] == ["100.00", "0.84", "-0.29"]
    # Bought for 25 cents and a fee of two.
    assert ether.split()[:8] == ["2", "E-T3499.99", "no", "settled", "no", "-", "3,500", "-"]
    assert ether.split()[8:14] == ["2.5", "0.10", "-", "-", "1.00", "2.23"]
    assert third.split()[3:9] == ["stopped", "probability", "97,500", "-", "100", "0.20"]
    assert third.split()[10:13] == ["-100.00", "0.14", "-7.97"]
    assert "\x1b" not in text
    assert len({len(line) for line in text.splitlines()}) == 1


def test_nothing_to_show(dsn: str) -> None:
    with connect(dsn) as conn:
        conn.execute("DELETE FROM upc_data.trade")
    for arguments in (["list"], ["list", "--all"]):
        result = CliRunner().invoke(main, ["trades", *arguments], env={"PYUPC_DSN": dsn})
        assert (result.exit_code, result.stdout) == (0, "")
        assert len(result.stderr.splitlines()) == 1
    assert listed(dsn) == []
    assert output(dsn, "list", "--csv").startswith("trade_id,symbol,")


def test_a_symbol_that_is_none(dsn: str) -> None:
    arguments = ["trades", "list", "--symbol", "XYZ"]
    result = CliRunner().invoke(main, arguments, env={"PYUPC_DSN": dsn})
    assert (result.exit_code, result.stdout) == (1, "")


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (200, HEAD),
        (80, ["id", "ticker", "side", "status", "prob", "price", "profit"]),
        (40, ["id", "side", "status", "prob", "profit"]),
    ],
)
def test_a_terminal_has_colours_and_what_fits(
    dsn: str, width: int, columns: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    stop(dsn, 3)
    code, shown = on_terminal(dsn, width, 30, "trades", "list")
    assert code == 0
    lines = [line for line in re.sub(r"\x1b\[[\d;]*m", "", shown).splitlines() if line.strip()]
    assert lines[0].split() == columns
    assert max(map(len, lines)) <= width
    assert [line.split()[0] for line in lines[2:]] == ["1", "2", "3"]
    # Red for a loss, green for a profit, and what is stopped stands out.
    painted = [line for line in shown.splitlines() if re.search(r"-0\.29|0\.05|-7\.97", line)]
    assert re.search(r"\x1b\[31m\s*-0\.29", painted[0])
    assert re.search(r"\x1b\[32m\s*0\.05", painted[1])
    assert "\x1b[1;33m" in painted[2]


@pytest.mark.parametrize(("term", "no_color"), [("dumb", ""), ("xterm-256color", "1")])
def test_a_terminal_may_do_without_colours(
    dsn: str, term: str, no_color: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    code, shown = on_terminal(dsn, 200, 30, "trades", "list", term=term)
    assert code == 0
    assert "97499.99" in shown
    assert not re.search(r"\x1b\[3[1-7]", shown)

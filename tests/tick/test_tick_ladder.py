"""Output of `pyupc tick`: the ladder on a terminal, and its log."""

from __future__ import annotations

import io
import json
import logging
import re
from pathlib import Path

import pytest
from rich.console import Console

from pyupc.errors import PyupcError
from pyupc.tick.ladder import Ladder
from pyupc.tick.log_lines import Report
from pyupc.tick.statements import Tick
from tests.support.market import DOCUMENTS, on_terminal, pyupc, rows

NUMBER = re.compile(r"[\d,]+(?:\.\d+)?")


@pytest.fixture(scope="module")
def market(module_market: str) -> str:
    return module_market


@pytest.fixture(scope="module")
def ticks(market: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tick]:
    folder = tmp_path_factory.mktemp("live")
    command = ("tick", "--once", "--from", "2026-03-05T12:00:20Z", "--out", folder)
    assert pyupc(market, *command).returncode == 0
    result = {}
    for symbol in ("BTC", "ETH"):
        texts = {name: (folder / f"{symbol.lower()}_{name}.json").read_text() for name in DOCUMENTS}
        live = json.loads(texts["live_probabilities"])
        result[symbol] = Tick(
            tick_id=1,
            state=live["state"],
            price=live["current_price"],
            momentum=None,
            fingerprint=live["fingerprint"],
            live_probabilities=texts["live_probabilities"],
            strike_table=texts["strike_table"],
            watchlist=texts["watchlist"],
            active_trades="{}",
            contracts="{}",
        )
    return result


def drawn(ticks: dict[str, Tick], width: int, height: int, *, is_live: bool = True) -> list[str]:
    """The lines of the last screen."""
    console = Console(
        file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None
    )
    with Ladder("replay", is_live=is_live, console=console) as ladder:
        ladder.show(ticks, "status")
    assert isinstance(console.file, io.StringIO)
    screen = console.file.getvalue().partition("\x1b[?1049l")[0]
    text = re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]", "", screen)
    return text.splitlines()


def test_it_shows_every_strike_and_says_that_it_is_a_replay(ticks: dict[str, Tick]) -> None:
    lines = drawn({"BTC": ticks["BTC"]}, 80, 50, is_live=False)
    assert "BTC · REPLAY" in lines[0]
    live = json.loads(ticks["BTC"].live_probabilities)
    assert f"{live['current_price']:,.2f}" in lines[1]
    assert "59:40" in lines[1]
    cells = [NUMBER.findall(line) for line in lines[4:-1]]
    strikes = [row for row in cells if len(row) == 4]
    # Descending, and above the price the probability to get beyond it.
    expected = [
        [
            f"{row['strike']:,}",
            f"{row['move_percent']:.2f}",
            f"{row['positive_prob'] if row['direction'] == 'above' else row['prob_within']:.2f}",
            f"{row['prob_within']:.2f}",
        ]
        for row in reversed(live["probabilities"])
    ]
    assert strikes == expected
    above = sum(row["direction"] == "above" for row in live["probabilities"])
    assert cells[above] == [f"{live['current_price']:,.2f}"]


@pytest.mark.parametrize(
    ("width", "height"), [(200, 60), (90, 20), (80, 24), (44, 30), (20, 5), (5, 2), (1, 1)]
)
def test_it_fits_the_terminal(ticks: dict[str, Tick], width: int, height: int) -> None:
    lines = drawn(ticks, width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    if height >= 20:
        # The price is in the middle, with as many strikes as there is room for.
        price = f"{ticks['BTC'].price:,.2f}"
        assert sum(price in line for line in lines) == 2


def test_unknown_probabilities_are_no_numbers(
    market: str, tmp_path: Path, ticks: dict[str, Tick]
) -> None:
    options = ("--once", "--from", "2026-03-07T00:00Z", "--symbol", "BTC", "--out", tmp_path)
    assert pyupc(market, "tick", *options).returncode == 0
    # The screen shows what the tick returns; the file has no rows from halted on.
    [(text,)] = rows(
        market, "SELECT live_probabilities::text FROM upc_data.document WHERE symbol = 'BTC'"
    )
    halted = ticks["BTC"]._replace(state="halted", live_probabilities=text)
    cells = [line.split() for line in drawn({"BTC": halted}, 80, 50, is_live=False)]
    assert sum(line[-3:-1] == ["-", "-"] for line in cells) == 21


def test_on_a_terminal_it_draws_and_ends_as_elsewhere(market: str, tmp_path: Path) -> None:
    options = ("--count", "3", "--interval", "0.1", "--out", tmp_path)
    code, output = on_terminal(market, 100, 30, "tick", "--feed", "simulated", *options)
    assert code == 0
    assert output.count("SIMULATED") >= 6
    # The whole screen is taken once and given back; in between nothing is cleared.
    assert output.count("\x1b[?1049h") == output.count("\x1b[?1049l") == 1
    drawing = output.partition("\x1b[?1049h")[2].partition("SIMULATED")[2]
    assert "\x1b[2J" not in drawing.partition("\x1b[?1049l")[0]


# The log.


def test_changes_are_logged_once(
    ticks: dict[str, Tick], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("pyupc"), "propagate", True)
    caplog.set_level(logging.INFO, "pyupc.tick")
    clock = [0.0]
    report = Report(lambda: clock[0], "replay")
    fresh = ticks["BTC"]
    broken = PyupcError("broken")

    def lines() -> int:
        number = len(caplog.records)
        caplog.clear()
        return number

    for _ in range(3):
        report.ticked("BTC", fresh)
    assert lines() == 1
    report.ticked("BTC", fresh._replace(state="warn"))
    assert lines() == 1
    for _ in range(3):
        report.failed({"BTC": broken})
    assert lines() == 1
    report.failed({"BTC": PyupcError("broken in another way")})
    assert lines() == 1
    report.ticked("BTC", fresh)
    assert lines() == 1
    for _ in range(3):
        report.files("no space", 1)
    assert lines() == 1
    for _ in range(3):
        report.files(None, 1)
    assert lines() == 1
    for _ in range(3):
        report.lost(broken)
    assert lines() == 1
    clock[0] = 59
    report.back()
    report.back()
    assert lines() == 1
    report.round(0)
    assert lines() == 0
    for clock[0] in (60, 61, 119, 120, 121):
        report.round(7)
    assert lines() == 2
    assert report.ticks == 5

"""Messages of `pyupc tick` where another model or settlement answers than the requested one."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from pyupc.database.connect import connect
from pyupc.tick.log_lines import Report
from tests.support.market import pyupc, read, rows
from tests.support.ticking import FROM, REPLAY

ASKED = ("volatility", "average")


@pytest.fixture
def report(caplog: pytest.LogCaptureFixture) -> Report:
    caplog.set_level(logging.INFO, "pyupc.tick")
    return Report(lambda: 0.0, "replay")


def new_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    assert all(record.levelno == logging.WARNING for record in caplog.records)
    messages = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return messages


def test_the_requested_models_log_nothing(report: Report, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        report.answered("BTC", ASKED, ASKED)
        report.answered("ETH", ASKED, (None, None))
    assert new_lines(caplog) == []


def test_once_when_it_begins_and_once_when_it_ends(
    report: Report, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        report.answered("BTC", ASKED, ("momentum", "average"))
        report.answered("ETH", ASKED, ASKED)
    [line] = new_lines(caplog)
    assert line.startswith("BTC: ")
    assert "momentum" in line
    assert "close" not in line
    for _ in range(3):
        report.answered("BTC", ASKED, ASKED)
    [line] = new_lines(caplog)
    assert line.startswith("BTC: ")
    # The next replacement is logged again.
    report.answered("BTC", ASKED, ("momentum", "average"))
    assert len(new_lines(caplog)) == 1


def test_when_it_changes(report: Report, caplog: pytest.LogCaptureFixture) -> None:
    for used, words in (
        (("volatility", "close"), ["using settlement close"]),
        (("momentum", "close"), ["using model momentum", "using settlement close"]),
        (("momentum", "average"), ["using model momentum"]),
    ):
        report.answered("BTC", ASKED, used)
        [line] = new_lines(caplog)
        assert all(word in line for word in words)
        assert line.count("using") == len(words)


@pytest.fixture(scope="module")
def market(module_btc_market: str) -> str:
    """Without the candles of the minutes before the replay's beginning."""
    with connect(module_btc_market) as conn:
        conn.execute(
            "DELETE FROM upc_data.candle WHERE opened_at < %s::timestamptz - interval "
            "'80 seconds' AND opened_at > %s::timestamptz - interval '5 minutes'",
            (FROM, FROM),
        )
    return module_btc_market


@pytest.mark.parametrize("model", ["volatility", "baseline"])
def test_a_run(market: str, tmp_path: Path, model: str) -> None:
    options = ("--model", model, "--method", "linear", "--settlement", "average")
    result = pyupc(market, *REPLAY, "--from", FROM, "--count", "2", "--out", tmp_path, *options)
    assert result.returncode == 0
    used = "momentum" if model == "volatility" else model
    warnings = [line for line in result.stderr.splitlines() if "using model momentum" in line]
    assert len(warnings) == (used != model)
    live = read(tmp_path, "BTC", "live_probabilities")
    assert [live[name] for name in ("model", "method", "settlement")] == [used, "linear", "average"]
    stored = rows(
        market,
        "SELECT model, method, settlement FROM upc_data.tick ORDER BY tick_id DESC LIMIT 2",
    )
    assert stored == [(used, "linear", "average")] * 2

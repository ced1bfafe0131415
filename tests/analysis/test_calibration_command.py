"""`pyupc calibration`: tables for people, rows for programs, a figure, and nothing yet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pyupc.cli import main
from pyupc.database.connect import connect
from tests.support.databases import Databases
from tests.support.logged_ticks import CLOSE, STRIKE, log_tick, put_candle, put_event
from tests.support.market import on_terminal
from tests.support.settlements import put_minute, settle

Row = dict[str, Any]

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def filled(databases: Databases) -> Iterator[str]:
    """Ticks of four closes of BTC, one of which is not known, and of one of ETH."""
    with databases.clone("empty") as dsn:
        with connect(dsn) as conn:
            for number, result in enumerate(("yes", "no", "yes", None)):
                closes_at = CLOSE + timedelta(hours=number)
                put_event(conn, f"E{number}", {STRIKE: result}, closes_at=closes_at)
                for ttc in (90, 600):
                    log_tick(
                        conn,
                        prob_above=[80],
                        closes_at=closes_at,
                        event=f"E{number}",
                        ttc=ttc,
                        yes_ask=[Decimal("0.70")],
                        no_ask=[Decimal("0.31")],
                    )
            put_candle(conn, STRIKE - 1, symbol="ETH")
            log_tick(conn, prob_above=[12.5], symbol="ETH", settlement="average")
        yield dsn


def run(dsn: str, *arguments: str) -> Result:
    result = CliRunner().invoke(main, ["calibration", *arguments], env={"PYUPC_DSN": dsn})
    assert "Traceback" not in result.output
    return result


def output(dsn: str, *arguments: str) -> str:
    result = run(dsn, *arguments)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def read(dsn: str, *arguments: str) -> list[Row]:
    found: list[Row] = json.loads(output(dsn, *arguments, "--json"))
    return found


def cells(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


# Tables.


def test_the_reliability_table(filled: str) -> None:
    result = run(filled)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    # Two of three came true: (2 · 0.04 + 0.64) / 3, -(2 · ln 0.8 + ln 0.2) / 3.
    assert lines[0] == (
        "BTC, momentum:nearest, settled by the close: 6 questions of 3 events,"
        " Brier score 0.2400, log loss 0.6852, calibration error 13.33 points"
    )
    # Wilson's interval of 2 out of 3.
    assert ["80-85", "6", "3", "80.00", "66.67", "20.77", "93.85"] in cells(result.stdout)
    assert ["1-2", "3", "3", "0.2400", "0.6852", "13.33"] in cells(result.stdout)
    assert ["10-15", "3", "3", "0.2400", "0.6852", "13.33"] in cells(result.stdout)
    [ether] = [line for line in lines if line.startswith("ETH")]
    assert ether.startswith("ETH, momentum:nearest, settled by the average: 1 question of 1 event,")
    assert result.stderr == "left out: 1 close without a known outcome\n"


def test_the_edge_table(filled: str) -> None:
    found = cells(output(filled, "--edges"))
    # 70 cents and a fee of 1.5, twice paid and once not; 31 and 1.5 for the other side.
    yes = ["6", "3", "+8.50", "-4.83", "-", "-", "66.7", "%"]
    no = ["6", "3", "-12.50", "+0.83", "-", "-", "33.3", "%"]
    assert ["yes", "5", "to", "10", *yes] in found
    assert ["yes", "all", "above", "0", *yes] in found
    assert ["no", "-20", "to", "-10", *no] in found
    assert ["no", "all", "others", *no] in found
    assert not any(line[:1] == ["ETH,"] for line in found)


def test_a_wide_table_on_a_terminal(filled: str) -> None:
    code, output = on_terminal(filled, 100, 40, "calibration", "--symbol", "BTC")
    assert code == 0
    assert "calibration error 13.33 points" in output


# Rows.


def test_rows_for_programs(filled: str) -> None:
    rows = read(filled)
    everything = [row for row in rows if row["minutes_from"] is None and row["bin"] is None]
    assert [(row["symbol"], row["questions"]) for row in everything] == [("BTC", 6), ("ETH", 1)]
    [cell] = [row for row in rows if row["bin"] == 16 and row["minutes_from"] == 1]
    assert (cell["minutes_to"], cell["prob_from"], cell["prob_to"]) == (2, 80, 85)
    assert cell["observed_frequency"] == pytest.approx(200 / 3)
    lines = output(filled, "--nl").splitlines()
    assert [json.loads(line) for line in lines] == rows
    of_csv = list(csv.DictReader(io.StringIO(output(filled, "--csv"))))
    assert [row["brier_score"] for row in of_csv] == [str(row["brier_score"]) for row in rows]
    edges = read(filled, "--edges")
    assert {row["side"] for row in edges} == {"yes", "no"}
    assert {row["mean_edge"] for row in edges} == {8.5, -12.5}


def test_symbols(filled: str) -> None:
    assert {row["symbol"] for row in read(filled, "--symbol", "eth")} == {"ETH"}
    rows = read(filled, "--symbol", "ETH", "--symbol", "BTC")
    assert list(dict.fromkeys(row["symbol"] for row in rows)) == ["ETH", "BTC"]


def test_a_span(filled: str) -> None:
    def questions(*span: str) -> int:
        rows = read(filled, "--symbol", "BTC", *span)
        return sum(r["questions"] for r in rows if r["minutes_from"] is None and r["bin"] is None)

    assert questions("--since", "2026-06-01T15:00") == 4
    assert questions("--until", "2026-06-01T14:55Z") == 1
    assert questions("--since", "2026-06-01T16:50+01:00", "--until", "2026-06-01T16:00Z") == 2


# Nothing yet.


def test_nothing_yet(fresh_db: str) -> None:
    result = run(fresh_db)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == (
        "no contract of a live tick has a known outcome yet; 0 closes without a known outcome\n"
    )
    with connect(fresh_db) as conn:
        for number in range(2):
            log_tick(conn, closes_at=CLOSE + timedelta(hours=number))
    assert run(fresh_db).stderr.endswith("; 2 closes without a known outcome\n")
    with connect(fresh_db) as conn:
        put_candle(conn, STRIKE)
    assert run(fresh_db, "--edges").stderr == (
        "no live tick with an ask has a known outcome yet; 1 close without a known outcome\n"
    )
    assert read(fresh_db, "--symbol", "ETH") == []
    [head] = output(fresh_db, "--symbol", "ETH", "--csv").splitlines()
    assert head.startswith("symbol,model,method,settlement,minutes_from,")


# Refusals.


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--symbol", "XYZ"), 1),
        (("--since", "yesterday"), 2),
        (("--since", "2026-06-02", "--until", "2026-06-01"), 2),
        (("--plot", "figure.pdf"), 2),
        (("--plot", "figure.png", "--edges"), 2),
    ],
)
def test_refusals(filled: str, arguments: tuple[str, ...], code: int) -> None:
    result = run(filled, *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    message, hint = result.stderr.splitlines()
    assert message.startswith("pyupc: ")
    assert hint.startswith("hint: ")


# The figure.


def test_the_figure(filled: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib, of the extra plots, is not installed")
    file = tmp_path / "reliability.png"
    assert output(filled, "--plot", str(file)).startswith("BTC, momentum")
    assert file.read_bytes().startswith(PNG)
    file = tmp_path / "reliability.SVG"
    assert json.loads(output(filled, "--plot", str(file), "--json")) == read(filled)
    assert "</svg>" in file.read_text(encoding="utf-8")
    assert {each.name for each in tmp_path.iterdir()} == {"reliability.png", "reliability.SVG"}


def test_the_series_of_the_figure(filled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib, of the extra plots, is not installed")
    from pyupc.analysis.calibration import diagram

    drawn: list[Any] = []
    monkeypatch.setattr(diagram, "reliability_figure", lambda series, title: drawn.append(series))
    monkeypatch.setattr(diagram, "save", lambda figure, path: None)
    diagram.draw(read(filled), Path("figure.png"))
    [[bitcoin, ether]] = drawn
    assert (bitcoin.label, ether.label) == (
        "BTC momentum:nearest",
        "ETH momentum:nearest, average",
    )
    [point] = bitcoin.points
    assert (point.probability, point.observed) == pytest.approx((80, 200 / 3))
    assert point.count == 6
    assert point.low < point.observed < point.high


def test_no_figure_of_nothing(fresh_db: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib, of the extra plots, is not installed")
    result = run(fresh_db, "--plot", str(tmp_path / "reliability.png"))
    assert result.exit_code == 1
    assert list(tmp_path.iterdir()) == []
    result = run(fresh_db, "--plot", str(tmp_path / "nowhere" / "reliability.png"))
    assert result.exit_code == 1


def test_the_basis(databases: Databases) -> None:
    """A line per source; of settlements alone."""
    with databases.clone("empty") as dsn:
        assert "no settlement" in run(dsn, "--basis").stderr
        with connect(dsn) as conn:
            for hour in range(13):
                put_minute(conn, CLOSE + timedelta(hours=hour), [100_070.0] * 60)
                settle(conn, CLOSE + timedelta(hours=hour), 100_000)
        [row] = json.loads(output(dsn, "--basis", "--json"))
        assert (row["symbol"], row["source"], row["settlements"]) == ("BTC", "one", 13)
        assert row["mean_bp"] == pytest.approx(7, abs=1e-6)
        head, line = output(dsn, "--basis").splitlines()[-2:]
        assert head.split()[:2] == ["source", "settlements"]
        assert line.split() == [
            *("one", "13", "0", "+7.00", "0.00", "-", "7.00", "0.00", "1", "0", "0", "0"),
        ]
        assert run(dsn, "--basis", "--edges").exit_code == 2

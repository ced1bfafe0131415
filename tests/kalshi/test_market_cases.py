"""Cases that people met elsewhere, through the command line."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pyupc.cli import main
from pyupc.database.connect import connect


@pytest.fixture
def cases(shared_data: Path) -> Path:
    folder = shared_data.parent / "cases"
    if not folder.is_dir():
        pytest.skip("no folder of cases")
    return folder


@pytest.fixture
def dsn(fresh_db: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PYUPC_DSN", fresh_db)
    return fresh_db


def pyupc(*arguments: str) -> str:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def strikes(dsn: str) -> list[Any]:
    with connect(dsn) as conn:
        query = "SELECT lower, upper FROM upc_data.market_quote ORDER BY lower"
        return conn.execute(query).fetchall()


def test_strikes_of_xrp(cases: Path, dsn: str) -> None:
    pyupc("symbols", "add", "XRP", "--step", "0.02")
    shown = pyupc("market", "load", str(cases / "13-xrp-strike" / "xrp.json"))
    assert "XRP KXXRPD-30JAN0115, 2 markets, closes" in shown
    assert strikes(dsn) == [(Decimal("2.40"), None), (Decimal("2.42"), None)]


def test_strikes_of_doge(cases: Path, dsn: str, tmp_path: Path) -> None:
    pyupc("symbols", "add", "DOGE", "--step", "0.002")
    path = cases / "15-doge-custom" / "doge.json"
    assert "DOGE KXDOGED-30JAN0115, 2 markets, closes" in pyupc("market", "load", str(path))
    assert strikes(dsn) == [(Decimal("0.405"), None), (Decimal("0.41"), None)]
    # Where ticker and sub title do not agree, the market is named.
    document = json.loads(path.read_text())
    document["markets"][0]["yes_sub_title"] = "$0.41 or above"
    other = tmp_path / "other.json"
    other.write_text(json.dumps(document))
    first, second = pyupc("market", "load", str(other)).splitlines()
    assert "1 market, 1 left out" in first
    assert second.startswith("  left out: KXDOGED-30JAN0115-T0.4049999: ")
    assert strikes(dsn) == [(Decimal("0.41"), None)]

"""`pyupc backtest --replay-ticks` after a run of `pyupc tick`."""

from __future__ import annotations

import json
from pathlib import Path

from pyupc.database.connect import connect
from tests.support.market import pyupc
from tests.support.ticking import FROM, REPLAY

ASKED = ("backtest", "--replay-ticks", "--symbol", "BTC")


def test_after_a_run(module_btc_market: str, tmp_path: Path) -> None:
    nothing = pyupc(module_btc_market, *ASKED)
    assert (nothing.returncode, nothing.stdout.splitlines()[0]) == (
        1,
        "BTC: 0 of 0 logged ticks compared, 0 differences",
    )
    assert "--since" in nothing.stderr
    options = ("--model", "momentum", "--count", "3", "--out", tmp_path)
    assert pyupc(module_btc_market, *REPLAY, "--from", FROM, *options).returncode == 0
    # Curves that are as new as the ticks: it is not known which ones answered.
    with connect(module_btc_market) as conn:
        conn.execute("UPDATE upc_data.curve_refresh SET refreshed_at = now()")
    assert pyupc(module_btc_market, *ASKED).returncode == 1
    with connect(module_btc_market) as conn:
        conn.execute("UPDATE upc_data.curve_refresh SET refreshed_at = '2024-01-01'")
    result = pyupc(module_btc_market, *ASKED, "--since", "2024-01-01", "--json")
    assert (result.returncode, result.stderr) == (0, "")
    [found] = json.loads(result.stdout)
    assert (found["logged"], found["compared"], found["differences"]) == (3, 3, 0)

    with connect(module_btc_market) as conn:
        conn.execute(
            "UPDATE upc_data.tick SET prob_above[1] = prob_above[1] - 0.25 WHERE tick_id = 2"
        )
    result = pyupc(module_btc_market, *ASKED)
    assert result.returncode == 1
    lines = result.stdout.splitlines()
    assert lines[0] == "BTC: 3 of 3 logged ticks compared, 1 differences"
    assert lines[1].startswith("  tick 2 at ")
    assert "probabilities by up to 0.25 points" in lines[1]

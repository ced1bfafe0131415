"""`pyupc strikes`."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from psycopg.rows import dict_row

from pyupc.database.connect import connect
from tests.support.market import SYMBOLS, UNTIL, fill, on_terminal, pyupc, rows

COLUMNS = [
    "strike",
    "buffer",
    "move_percent",
    "direction",
    "prob_beyond",
    "prob_within",
    "positive_prob",
    "negative_prob",
    "prob_above",
    "sample_size",
    "fingerprint",
    "prob_low",
    "prob_high",
    "deviation",
]


@pytest.fixture(scope="module")
def market(module_market: str) -> str:
    return module_market


def printed(dsn: str, *arguments: str) -> list[dict[str, Any]]:
    result = pyupc(dsn, "strikes", *arguments, "--json")
    assert result.returncode == 0
    documents: list[dict[str, Any]] = json.loads(result.stdout)
    return documents


def computed(dsn: str, arguments: str, *parameters: object) -> list[dict[str, Any]]:
    """Rows with the command's defaults for a contract that Kalshi settles."""
    query = (
        f"SELECT * FROM upc.compute_strikes({arguments}, model => 'volatility', "
        "method => 'linear', settlement => 'average')"
    )
    with connect(dsn) as conn, conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query.encode(), parameters).fetchall()


def test_json_has_the_rows_in_full(market: str) -> None:
    documents = printed(market, "97250.3", "-7", "--ttc", "900")
    assert documents == computed(market, "97250.3, -7, ttc_seconds => 900")
    assert len(documents) == 21
    assert list(documents[0]) == COLUMNS
    assert {row["fingerprint"] for row in documents} == {"btc_volatility_momentum_-07"}


def test_the_options_reach_the_function(market: str) -> None:
    options = ("--symbol", "eth", "--ttc", "61", "--step", "5", "--levels", "2")
    documents = printed(market, "3120.5", "4", *options)
    assert [row["strike"] for row in documents] == [3110, 3115, 3120, 3125, 3130]
    assert documents == computed(
        market, "3120.5, 4, 'ETH', ttc_seconds => 61, step => 5, levels => 2"
    )


def test_without_momentum_the_baseline_answers(market: str) -> None:
    documents = printed(market, "1e5", "--ttc", "900")
    assert documents == computed(market, "100000, ttc_seconds => 900")
    assert {row["fingerprint"] for row in documents} == {"btc_volatility_baseline"}


def test_without_a_price_the_last_close_and_its_momentum_answer(market: str) -> None:
    documents = printed(market, "--ttc", "900", "--levels", "1")
    assert [row["symbol"] for row in documents] == ["BTC"] * 3 + ["ETH"] * 3
    for symbol, found in zip(SYMBOLS, (documents[:3], documents[3:]), strict=True):
        query = (
            "SELECT close FROM upc_data.candle WHERE symbol = %s ORDER BY opened_at DESC LIMIT 31"
        )
        closes = [row[0] for row in rows(market, query, symbol)]
        weights = {1: 0.30, 2: 0.25, 3: 0.20, 4: 0.15, 15: 0.05, 30: 0.05}
        momentum = sum(
            10_000 * weight * (closes[0] - closes[k]) / closes[k] for k, weight in weights.items()
        )
        instant = rows(market, "SELECT %s::timestamptz", UNTIL)[0][0]
        expected = computed(
            market, "%s, %s, %s, 900, levels => 1", closes[0], found[0]["momentum"], symbol
        )
        given = {"symbol": symbol, "price": closes[0], "priced_at": instant.isoformat()}
        for row, answer in zip(found, expected, strict=True):
            assert row.pop("momentum") == pytest.approx(momentum, abs=1e-9)
            assert row == {**given, **answer}


def test_a_pipe_gets_aligned_text(market: str) -> None:
    result = pyupc(market, "strikes", "97250", "-7", "--ttc", "900", "--levels", "1")
    assert result.returncode == 0
    assert result.stderr == ""
    heading, *lines = result.stdout.splitlines()
    assert heading.split() == COLUMNS
    assert [line.split()[0] for line in lines] == ["97000", "97250", "97500"]
    assert len({len(line) for line in (heading, *lines)}) == 1
    first = computed(market, "97250, -7, ttc_seconds => 900, levels => 1")[0]
    assert lines[0].split()[4] == f"{first['prob_beyond']:.2f}"


@pytest.mark.parametrize(("width", "columns"), [(150, 12), (80, 6), (60, 4), (30, 2), (5, 0)])
def test_a_terminal_gets_what_fits(market: str, width: int, columns: int) -> None:
    code, output = on_terminal(market, width, 24, "strikes", "97250", "--levels", "1")
    assert code == 0
    lines = [line.split() for line in re.sub(r"\x1b\[[0-9;]*m", "", output).splitlines()]
    found = [line for line in lines if line and line[0] in ("97000", "97250", "97500")]
    assert [len(line) for line in found] == [columns] * 3 * bool(columns)


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        (1, ["-5"]),
        (1, ["nan"]),
        (1, ["97250", "nan"]),
        (1, ["97250", "--symbol", "DOGE"]),
        (1, ["--symbol", "DOGE"]),
        (1, ["97250", "--step", "0"]),
        (1, ["97250", "--levels", "501"]),
        (2, ["97250", "--method", "guess"]),
        (2, ["97250", "--model", "gaussian"]),
        (2, ["97250", "--settlement", "open"]),
        (1, ["97250", "--ttc", "-1"]),
        (1, ["97250", "--ttc", "99999999999"]),
        (2, ["97250", "--symbol", "BTC", "--symbol", "ETH"]),
        (2, ["97250", "7", "8"]),
        (2, ["many"]),
        (2, ["97250", "--ttl", "7"]),
    ],
)
def test_refusals(market: str, code: int, arguments: list[str]) -> None:
    result = pyupc(market, "strikes", *arguments)
    assert (result.returncode, result.stdout) == (code, "")
    assert 1 <= len(result.stderr.splitlines()) <= 2


def test_without_candles(fresh_db: str) -> None:
    assert pyupc(fresh_db, "strikes").returncode == 1
    assert pyupc(fresh_db, "strikes", "97250").returncode == 1
    fill(fresh_db, ("ETH",))
    assert pyupc(fresh_db, "strikes", "--symbol", "BTC").returncode == 1
    assert {row["symbol"] for row in printed(fresh_db)} == {"ETH"}
    # A symbol without history of its own is answered by the pool.
    assert {row["fingerprint"] for row in printed(fresh_db, "97250")} == {
        "pooled_fingerprint_directional_baseline"
    }


def test_another_schema_is_exit_code_4(empty_db: str) -> None:
    assert pyupc(empty_db, "strikes", "97250").returncode == 4

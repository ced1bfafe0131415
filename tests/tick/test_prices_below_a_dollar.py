"""Symbols that cost less than a dollar: strikes, buffers and prices with all of their digits."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest

from pyupc.database.connect import connect
from tests.support.databases import Databases
from tests.support.market import UNTIL, pyupc, read

# Each with the decimals that four digits of its price take.
STEPS = {"DOGE": ("0.002", 4), "SHIB": ("0.00000003", 8)}


@pytest.fixture(scope="module")
def cheap(databases: Databases) -> Iterator[str]:
    # The pool of the others answers for them.
    with databases.clone("market") as dsn:
        with connect(dsn) as conn:
            for symbol, (step, _) in STEPS.items():
                conn.execute("SELECT upc.add_symbol(%s, %s)", [symbol, float(step)])
                conn.execute(
                    "INSERT INTO upc_data.candle SELECT * FROM upc.simulated_candles(%s, %s, %s)",
                    [symbol, "2026-03-05", UNTIL],
                )
        yield dsn


def exact(number: float) -> Decimal:
    return Decimal(repr(number))


@pytest.mark.parametrize("symbol", STEPS)
def test_documents_of_a_tick(cheap: str, tmp_path: Path, symbol: str) -> None:
    step, decimals = STEPS[symbol]
    options = ("--feed", "replay", "--symbol", symbol, "--once", "--legacy", "--out", tmp_path)
    result = pyupc(cheap, "tick", *options)
    assert result.returncode == 0
    live = read(tmp_path, symbol, "live_probabilities")
    price = live["current_price"]
    assert 0.1 < price / (400 * float(step)) < 10
    for row in read(tmp_path, symbol, "strike_table")["strikes"] + live["probabilities"]:
        strike = exact(row["strike"])
        assert strike % Decimal(step) == 0
        distance = abs(exact(price) - strike)
        unit = Decimal(1).scaleb(-decimals)
        assert exact(row["buffer"]) == distance.quantize(unit, ROUND_HALF_UP)
    assert live["strikes"] == [row["strike"] for row in live["probabilities"]]
    base = (exact(price) / Decimal(step)).to_integral_value() * Decimal(step)
    assert exact(live["base_strike"]) == base
    assert f"{symbol} fresh at {price:.{decimals}f} (" in result.stderr


@pytest.mark.parametrize("symbol", STEPS)
def test_strikes_on_the_command_line(cheap: str, symbol: str) -> None:
    step, decimals = STEPS[symbol]
    price = str(401 * Decimal(step) + Decimal(1).scaleb(-decimals))
    result = pyupc(cheap, "strikes", price, "--symbol", symbol, "--legacy")
    assert result.returncode == 0
    header, *lines = [line.split() for line in result.stdout.splitlines()]
    rows = [dict(zip(header, line, strict=True)) for line in lines]
    assert len(rows) == 21
    for row in rows:
        assert Decimal(row["strike"]) % Decimal(step) == 0
        assert Decimal(row["buffer"]) == abs(Decimal(price) - Decimal(row["strike"]))
    [document] = json.loads(
        pyupc(cheap, "strikes", price, "--symbol", symbol, "--legacy", "--json").stdout
    )[:1]
    assert re.fullmatch(r"[\d.]+(e-\d+)?", repr(document["strike"]))
    assert exact(document["strike"]) == (391 * Decimal(step)).normalize()


def test_simulated_prices_and_candles_agree(cheap: str) -> None:
    with connect(cheap) as conn:
        for symbol, (_, decimals) in STEPS.items():
            query = """
                SELECT c.open, upc.simulated_price(%(symbol)s, c.opened_at)
                FROM upc.simulated_candles(%(symbol)s, '2026-03-02', '2026-03-02 01:00') AS c
            """
            found = conn.execute(query, {"symbol": symbol}).fetchall()
            assert len({price for price, _ in found}) > 3
            for candle, price in found:
                assert candle == price
                assert -int(exact(price).as_tuple().exponent) <= decimals + 1

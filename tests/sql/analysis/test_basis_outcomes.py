"""Settlements of a span, and the contracts that the last minute decides otherwise, by hand."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np
import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.support.contracts import market, markets_of
from tests.support.engine import Connection, instant
from tests.support.readings import Row, table
from tests.support.settlements import MINUTE, put_minute, settle, steady

START = instant("2026-05-01T00:00")
HOUR = timedelta(hours=1)
VALUE = 100_000.0


def outcomes(conn: Connection, *span: datetime) -> dict[str, Row]:
    marks = ", %s" * len(span)
    found = table(conn, f"SELECT * FROM upc.basis_outcomes('BTC'{marks})", *span)
    return {row.pop("source"): row for row in found}


def close(conn: Connection, closes_at: datetime, value: Decimal, strikes: range) -> None:
    """An event that has settled, with contracts above strikes, a range around it, and one void."""
    event = f"KXBTCD-{closes_at:%d%H%M}"
    ending: Row = {
        "status": "finalized",
        "close_time": closes_at.isoformat(),
        "expiration_value": str(value),
    }
    above = [
        market(
            f"T{strike}",
            event,
            strike_type="greater_or_equal",
            floor_strike=strike,
            result="yes" if value >= strike else "no",
            **ending,
        )
        for strike in strikes
    ]
    document = markets_of("KXBTCD", *above, event=event)
    conn.execute("SELECT upc.load_market(%s, read_at => %s)", (Jsonb(document), closes_at + MINUTE))


def test_what_allowing_for_it_was_worth(conn: Connection) -> None:
    dice = np.random.default_rng(4)
    bps = 7 + 0.05 * np.arange(30) + dice.normal(0, 0.8, 30)
    bps[20] = 60
    strikes = range(99_800, 100_201, 10)
    shares: list[float] = []
    errors, corrected = [], []
    counts = dict.fromkeys(("contracts", "wrong", "wrong_corrected", "changed"), 0)
    for hour, bp in enumerate(bps):
        closes_at = START + hour * HOUR
        value = Decimal(100_000) + Decimal(int(dice.integers(-9000, 9000))) / 100
        price = float(value) * (1 + float(bp) / 10_000)
        put_minute(conn, closes_at, [price] * 60)
        close(conn, closes_at, value, strikes)
        # Those of the day before: the one of 24 hours ago has been forgotten.
        known = steady(shares[-23:])[0] if len(shares) >= 12 else None
        shares.append(price / float(value) - 1)
        if known is None:
            continue
        errors.append(price / float(value) - 1)
        corrected.append(price / (1 + known) / float(value) - 1)
        for strike in strikes:
            is_yes = value >= strike
            is_raw, is_corrected = price >= strike, price / (1 + known) >= strike
            counts["contracts"] += 1
            counts["wrong"] += is_raw != is_yes
            counts["wrong_corrected"] += is_corrected != is_yes
            counts["changed"] += is_raw != is_corrected
    [(source, row)] = outcomes(conn).items()
    assert source == "one"
    assert {name: row[name] for name in counts} == counts
    assert counts["wrong"] > 4 * counts["wrong_corrected"] > 0
    assert (row["settlements"], row["left_out"], row["corrected"]) == (30, 1, 18)
    kept = np.delete(np.array(shares), 20) * 10_000
    expected = {
        "mean_bp": kept.mean(),
        "spread_bp": kept.std(ddof=1),
        "drift_bp": 10_000 * (steady(shares[-12:])[0] - steady(shares[:12])[0]),
        "error_bp": 10_000 * np.sqrt(np.mean(np.square(errors))),
        "corrected_error_bp": 10_000 * np.sqrt(np.mean(np.square(corrected))),
    }
    for name, number in expected.items():
        assert row[name] == pytest.approx(number, abs=1e-6), name
    # Closes from the one up to but not including the other.
    part = outcomes(conn, START + 13 * HOUR, START + 15 * HOUR)["one"]
    assert (part["settlements"], part["corrected"], part["drift_bp"]) == (2, 2, None)


def test_below_twelve_nothing_is_corrected(conn: Connection) -> None:
    for hour in range(3):
        for source, bp in (("one", 1), ("two", -2)):
            put_minute(conn, START + hour * HOUR, [VALUE * (1 + bp / 10_000)] * 60, source)
        settle(conn, START + hour * HOUR, VALUE)
    found = outcomes(conn)
    assert found.keys() == {"one", "two"}
    for source, bp in (("one", 1), ("two", -2)):
        assert found[source]["mean_bp"] == pytest.approx(bp, abs=1e-6)
        assert found[source]["corrected"] == found[source]["contracts"] == 0
        assert found[source]["error_bp"] is found[source]["corrected_error_bp"] is None


def test_nothing_and_an_unknown_symbol(conn: Connection) -> None:
    assert outcomes(conn) == {}
    with pytest.raises(psycopg.Error) as caught:
        conn.execute("SELECT * FROM upc.basis_outcomes('XYZ')")
    assert caught.value.sqlstate == "UP002"

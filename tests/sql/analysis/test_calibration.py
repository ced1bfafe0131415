"""Live probabilities and edges beside their outcomes, against results, candles and numpy."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import psycopg
import pytest
from psycopg.types.json import Jsonb
from scipy.stats import binomtest

from tests.support.engine import Connection, scalar
from tests.support.logged_ticks import (
    CLOSE,
    STRIKE,
    judged,
    log_tick,
    outcomes,
    put_candle,
    put_event,
)
from tests.support.trading import (
    ETH_EVENT,
    EVENT,
    NOW,
    event_document,
    prepare,
    seconds,
    table,
    taker_fee,
)
from tests.support.trading import put_price as price
from tests.support.trading import tick as real_tick

Row = dict[str, Any]

HOUR = timedelta(hours=1)
BANDS = [(0, 1), (1, 2), (2, 5), (5, 10), (10, 15), (15, 30), (30, 60)]
EDGES = [-math.inf, -20, -10, -5, -2, 0, 2, 5, 10, 20, math.inf]


@pytest.fixture
def conn(db: Connection) -> Connection:
    return db


def calibration(
    conn: Connection, symbol: str = "BTC", *span: datetime, every_tick: bool = True
) -> list[Row]:
    """Of every tick; those of one a minute are in tests/sql/tick/test_thinning.py."""
    holes = "".join(", %s" for _ in span)
    query = f"SELECT * FROM upc.calibration(%s{holes}, every_tick => %s)"
    return table(conn, query, (symbol, *span, every_tick))


def edge_outcomes(
    conn: Connection, symbol: str = "BTC", *span: datetime, every_tick: bool = True
) -> list[Row]:
    holes = "".join(", %s" for _ in span)
    query = f"SELECT * FROM upc.edge_outcomes(%s{holes}, every_tick => %s)"
    return table(conn, query, (symbol, *span, every_tick))


def total(rows: list[Row]) -> Row:
    [row] = [row for row in rows if row["minutes_from"] is None and row["bin"] is None]
    return row


# Outcomes.


def test_results_are_the_markets_own(conn: Connection) -> None:
    """Ticks that were made, an event that was read, and results that came in later."""
    prepare(conn)
    price(conn, STRIKE + 10)
    row = real_tick(conn)
    assert judged(conn) == []
    # The market's result counts, not the candle.
    put_candle(conn, STRIKE - 5000)
    document = event_document()
    for market in document["event"]["markets"]:
        market["result"] = "yes" if float(market["floor_strike"]) < STRIKE - 300 else "no"
    conn.execute(
        "SELECT upc.load_market(%s, read_at => %s)", (Jsonb(document), CLOSE + seconds(60))
    )
    rows = judged(conn)
    # Of 21 strikes nine have a market.
    assert [(each["strike"], each["outcome"]) for each in rows] == [
        (STRIKE + 250 * k, k <= -2) for k in range(-4, 5)
    ]
    strikes = table(conn, "SELECT * FROM upc_data.tick WHERE tick_id = %s", (row["tick_id"],))[0]
    answered = dict(zip(strikes["strikes"], strikes["prob_above"], strict=True))
    for each in rows:
        assert each["prob_above"] == answered[each["strike"]]
        assert (each["tick_id"], each["ticked_at"]) == (row["tick_id"], NOW)
        assert (each["closes_at"], each["ttc_seconds"]) == (CLOSE, 1200)
        assert (each["event_ticker"], each["symbol"]) == (EVENT, "BTC")
        assert (each["yes_ask"], each["no_ask"]) == (Decimal("0.6"), Decimal("0.42"))
        assert (each["model"], each["method"], each["settlement"]) == (
            *("momentum", "nearest"),
            "close",
        )


@pytest.mark.parametrize("result", [None, "", "scalar", "void"])
def test_an_unknown_result_is_no_row(conn: Connection, result: str | None) -> None:
    put_event(conn, "E", {STRIKE: result, STRIKE + 250: "no"})
    put_candle(conn, STRIKE)
    log_tick(conn, [STRIKE, STRIKE + 250, STRIKE + 500], [60, 40, 20], event="E")
    assert outcomes(conn) == {STRIKE + 250: False}


def test_a_result_before_the_close_is_no_row(conn: Connection) -> None:
    later = datetime.now(UTC) + timedelta(minutes=30)
    put_event(conn, "E", {STRIKE: "yes"}, closes_at=later)
    log_tick(conn, event="E", closes_at=later)
    assert judged(conn) == []
    assert calibration(conn) == []


def test_the_close_is_the_events_own(conn: Connection) -> None:
    """Ticks from before it was logged, too, and those that saw an earlier plan."""
    put_event(conn, "E", {STRIKE: "yes"})
    log_tick(conn, event="E", closes_at=None)
    log_tick(conn, event="E", closes_at=CLOSE - seconds(300))
    assert [row["closes_at"] for row in judged(conn)] == [CLOSE, CLOSE]


def test_without_an_event_the_last_candle_decides(conn: Connection) -> None:
    put_candle(conn, STRIKE, opens=STRIKE - 100, low=STRIKE - 300, high=STRIKE + 100)
    strikes = [STRIKE - 0.01, STRIKE, STRIKE + 0.01]
    log_tick(conn, strikes, [60, 50, 40])
    assert outcomes(conn) == {strikes[0]: True, strikes[1]: True, strikes[2]: False}
    assert {row["event_ticker"] for row in judged(conn)} == {None}


def test_the_average_of_the_last_minute(conn: Connection) -> None:
    # In floating point it would be a little less than it is.
    assert 1.11 * (0.09 + 0.01) / 2 - 0.05 * 0.05 - 0.06 * 0.05 < 0.05
    put_candle(conn, 0.05, opens=0.05, high=0.09, low=0.01)
    log_tick(conn, [0.04, 0.05, 0.06], [60, 50, 40], settlement="average")
    assert outcomes(conn) == {0.04: True, 0.05: True, 0.06: False}


def test_candles_of_other_minutes_tell_nothing(conn: Connection) -> None:
    for minutes in (-1, 1):
        put_candle(conn, STRIKE, closes_at=CLOSE + timedelta(minutes=minutes))
    put_candle(conn, STRIKE, symbol="ETH")
    log_tick(conn)
    assert judged(conn) == []
    log_tick(conn, closes_at=None)
    put_candle(conn, STRIKE)
    # The close of the first of these contracts was logged, that of the second is not known.
    assert len(judged(conn)) == 1


def test_halted_ticks_are_no_rows(conn: Connection) -> None:
    put_candle(conn, STRIKE)
    log_tick(conn, prob_above=None)
    assert judged(conn) == []


@pytest.mark.parametrize("feed", ["replay", "simulated"])
def test_live_feeds_alone_count(conn: Connection, feed: str) -> None:
    put_candle(conn, STRIKE)
    log_tick(conn, feed=feed)
    assert judged(conn) == []
    assert calibration(conn) == []
    log_tick(conn, feed="coinbase", ttc=60)
    log_tick(conn, feed="database", ttc=61)
    assert len(judged(conn)) == 2


def test_symbols_do_not_mix(conn: Connection) -> None:
    """The same event, strike and close, and another outcome."""
    for symbol, result, close in (("BTC", "yes", STRIKE), ("ETH", "no", STRIKE - 1)):
        put_event(conn, "E", {STRIKE: result}, symbol=symbol)
        put_candle(conn, close, symbol=symbol)
        log_tick(conn, symbol=symbol, event="E", ttc=60)
        log_tick(conn, symbol=symbol, ttc=120)
    # Known of the other symbol alone.
    put_event(conn, ETH_EVENT, {STRIKE: "no"}, symbol="ETH")
    log_tick(conn, event=ETH_EVENT)
    assert [row["outcome"] for row in judged(conn)] == [True, True]
    assert [row["outcome"] for row in judged(conn, "ETH")] == [False, False]
    assert total(calibration(conn))["observed_frequency"] == 100
    assert total(calibration(conn, "ETH"))["observed_frequency"] == 0
    rows = table(conn, "SELECT symbol, sum(questions) FROM analytics.calibration GROUP BY 1")
    assert {row["symbol"]: row["sum"] for row in rows} == {"BTC": 2, "ETH": 2}


def test_closes_without_a_known_outcome(conn: Connection) -> None:
    def unjudged(symbol: str = "BTC", *span: datetime) -> list[tuple[datetime, str | None]]:
        holes = "".join(", %s" for _ in span)
        query = f"SELECT * FROM upc.unjudged_closes(%s{holes})"
        return [
            (row["closes_at"], row["event_ticker"]) for row in table(conn, query, (symbol, *span))
        ]

    assert unjudged() == []
    put_event(conn, "KNOWN", {STRIKE: "yes", STRIKE + 1: None})
    put_event(conn, "UNKNOWN", {STRIKE: None}, closes_at=CLOSE + HOUR)
    put_event(conn, "UNSEEN", {STRIKE: None}, closes_at=CLOSE + HOUR)
    put_event(conn, "REPLAYED", {STRIKE: None}, closes_at=CLOSE)
    put_candle(conn, STRIKE, closes_at=CLOSE + 3 * HOUR)
    log_tick(conn, event="KNOWN")
    log_tick(conn, event="REPLAYED", feed="replay")
    log_tick(conn, event="UNKNOWN", closes_at=CLOSE + HOUR)
    log_tick(conn, event="UNKNOWN", closes_at=CLOSE + HOUR, ttc=5)
    log_tick(conn, closes_at=CLOSE + 2 * HOUR)
    log_tick(conn, closes_at=CLOSE + 3 * HOUR)
    log_tick(conn, closes_at=CLOSE + 4 * HOUR, prob_above=None)
    # It closes an hour or more from now, also in the eyes of one who asks at the next full hour.
    coming = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + 2 * HOUR
    log_tick(conn, closes_at=coming, ttc=60)
    assert unjudged() == [(CLOSE + HOUR, "UNKNOWN"), (CLOSE + 2 * HOUR, None)]
    assert unjudged("BTC", CLOSE + HOUR) == [(CLOSE + 2 * HOUR, None)]
    assert unjudged("BTC", CLOSE, CLOSE + HOUR) == [(CLOSE + HOUR, "UNKNOWN")]
    assert unjudged("ETH") == []


# Scores.


def test_a_score_by_hand(conn: Connection) -> None:
    put_candle(conn, STRIKE + 1)
    log_tick(conn, [STRIKE, STRIKE + 250], [80, 30], ttc=59)
    log_tick(conn, [STRIKE], [100], ttc=60)
    rows = calibration(conn)
    cells = {(row["minutes_from"], row["bin"]): row for row in rows}
    assert set(cells) == {
        *((None, None), (0, None), (1, None)),
        *((None, 6), (None, 16), (None, 19), (0, 6), (0, 16), (1, 19)),
    }
    everything = cells[None, None]
    assert (everything["questions"], everything["events"]) == (3, 1)
    assert everything["mean_probability"] == pytest.approx(70)
    assert everything["observed_frequency"] == pytest.approx(200 / 3)
    assert everything["brier_score"] == pytest.approx((0.04 + 0.09 + 0) / 3)
    assert everything["log_loss"] == pytest.approx(
        -(math.log(0.8) + math.log(0.7) + math.log(0.9999)) / 3
    )
    # 20, 30 and 0 points beside the truth.
    assert everything["calibration_error"] == pytest.approx(50 / 3)
    assert cells[0, None]["calibration_error"] == pytest.approx(25)
    assert cells[0, 16]["calibration_error"] == pytest.approx(20)
    assert (cells[0, 16]["prob_from"], cells[0, 16]["prob_to"]) == (80, 85)
    assert cells[1, 19]["minutes_to"] == 2


@pytest.mark.parametrize("wrong", [0.0, 100.0])
def test_certain_and_wrong_is_clipped(conn: Connection, wrong: float) -> None:
    put_candle(conn, STRIKE if wrong == 0 else STRIKE - 1)
    log_tick(conn, prob_above=[wrong])
    row = total(calibration(conn))
    assert (row["brier_score"], row["calibration_error"]) == (1, 100)
    assert row["log_loss"] == pytest.approx(-math.log(0.0001))


@pytest.mark.parametrize(
    ("ttc", "band"),
    [
        (0, 0), (59, 0), (60, 1), (119, 1), (120, 2), (299, 2), (300, 3), (599, 3), (600, 4),
        (899, 4), (900, 5), (1799, 5), (1800, 6), (3599, 6), (3600, 6),
    ],
)  # fmt: skip
def test_bands_of_time(conn: Connection, ttc: int, band: int) -> None:
    put_candle(conn, STRIKE)
    log_tick(conn, ttc=ttc)
    rows = table(conn, "SELECT minutes_from, minutes_to FROM analytics.calibration")
    assert [(row["minutes_from"], row["minutes_to"]) for row in rows] == [BANDS[band]]


def test_a_span_of_ticks(conn: Connection) -> None:
    put_candle(conn, STRIKE)
    for ttc in (300, 200, 100):
        log_tick(conn, ttc=ttc)
    rows = calibration(conn, "BTC", CLOSE - seconds(200), CLOSE - seconds(100))
    assert total(rows)["questions"] == 1
    assert total(calibration(conn, "BTC", CLOSE - seconds(200)))["questions"] == 2


@pytest.mark.parametrize("function", ["calibration", "edge_outcomes"])
def test_unknown_symbols_are_refused(conn: Connection, function: str) -> None:
    with pytest.raises(psycopg.Error) as caught:
        conn.execute(f"SELECT * FROM upc.{function}('XYZ')".encode())
    assert caught.value.sqlstate == "UP002"


# Edges.


def bought(conn: Connection, side: str) -> list[Row]:
    rows = edge_outcomes(conn)
    return [row for row in rows if row["side"] == side and _band(row) != (None, None)]


def _band(row: Row) -> tuple[int | None, int | None]:
    return row["edge_from"], row["edge_to"]


def test_an_edge_by_hand(conn: Connection) -> None:
    put_candle(conn, STRIKE)
    log_tick(conn, prob_above=[62], yes_ask=[Decimal("0.56")], no_ask=[Decimal("0.45")])
    # Ten at 0.56 cost 5.60 and 0.1725, which is 5.78 paid; ten at 0.45 cost 4.50 and 0.1733: 4.68.
    [yes] = bought(conn, "yes")
    assert (_band(yes), yes["is_promised"], yes["contracts"], yes["events"]) == (
        (2, 5),
        True,
        1,
        1,
    )
    assert yes["mean_edge"] == pytest.approx(62 - 57.8)
    assert yes["mean_profit"] == pytest.approx(100 - 57.8)
    assert yes["win_share"] == 100
    assert yes["profit_low"] is yes["profit_high"] is None
    [no] = bought(conn, "no")
    assert (_band(no), no["is_promised"]) == ((-10, -5), False)
    assert no["mean_edge"] == pytest.approx(38 - 46.8)
    assert no["mean_profit"] == pytest.approx(-46.8)
    assert no["win_share"] == 0


def test_fees_are_those_of_the_series(conn: Connection) -> None:
    conn.execute("UPDATE upc_data.series SET fee_multiplier = 2.5 WHERE symbol = 'BTC'")
    put_candle(conn, STRIKE)
    # Ten: 1.234 and 2.5 · 0.7 · 0.1234 · 0.8766, which is 0.1894, are 1.43 paid.
    log_tick(conn, prob_above=[62], yes_ask=[Decimal("0.1234")])
    [yes] = bought(conn, "yes")
    assert yes["mean_profit"] == pytest.approx(100 - 14.3)
    assert bought(conn, "no") == []


def test_no_edge_is_no_promise(conn: Connection) -> None:
    put_candle(conn, STRIKE)
    # Ten cost 3.80 and 0.165: 3.97 paid.
    log_tick(conn, prob_above=[39.7], yes_ask=[Decimal("0.38")])
    [yes] = bought(conn, "yes")
    assert (yes["mean_edge"], yes["is_promised"], _band(yes)) == (0, False, (-2, 0))


def test_without_asks_there_is_no_edge(conn: Connection) -> None:
    put_candle(conn, STRIKE)
    log_tick(conn)
    log_tick(conn, yes_ask=[None], no_ask=[None], ttc=60)
    assert edge_outcomes(conn) == []
    assert len(judged(conn)) == 2


def test_the_promise_is_the_strike_tables(conn: Connection) -> None:
    """Edges of a tick that was made, summed."""
    prepare(conn)
    price(conn, STRIKE + 10)
    row = real_tick(conn)
    edges = table(
        conn,
        "SELECT yes_edge, no_edge FROM upc.strike_table(%s, %s, 'BTC', %s)"
        " WHERE yes_edge IS NOT NULL",
        (row["price"], row["momentum"], NOW),
    )
    assert len(edges) == 9
    conn.execute("UPDATE upc_data.market_quote SET result = 'no'")
    for side in ("yes", "no"):
        promised = [row for row in bought(conn, side) if row["is_promised"]]
        sum_of_all = sum(row["mean_edge"] * row["contracts"] for row in bought(conn, side))
        assert sum_of_all == pytest.approx(sum(edge[f"{side}_edge"] for edge in edges))
        assert sum(row["contracts"] for row in promised) == sum(
            edge[f"{side}_edge"] > 0 for edge in edges
        )


# Everything at once, against numpy.


class Made:
    """Three weeks' worth of contracts with hundreds of ticks, and what the log holds of them."""

    def __init__(self, conn: Connection, seed: int, multiplier: str) -> None:
        dice = np.random.default_rng(seed)
        self.questions: list[Row] = []
        self.multiplier = Decimal(multiplier)
        conn.execute("UPDATE upc_data.series SET fee_multiplier = %s", (self.multiplier,))
        for number in range(30):
            closes_at = CLOSE + number * HOUR
            has_event = number % 3 != 0
            strikes = STRIKE + 250 * np.arange(-3, 4)
            ending = STRIKE + 400 * dice.standard_normal()
            if has_event:
                results = {s: "yes" if ending >= s else "no" for s in strikes.tolist()}
                put_event(conn, f"E{number}", results, closes_at=closes_at)
            else:
                put_candle(conn, round(ending, 2), closes_at=closes_at)
            for _ in range(int(dice.integers(1, 12))):
                self._tick(conn, dice, strikes, round(ending, 2), closes_at, number, has_event)

    def _tick(
        self,
        conn: Connection,
        dice: np.random.Generator,
        strikes: Any,
        ending: float,
        closes_at: datetime,
        number: int,
        has_event: bool,
    ) -> None:
        ttc = int(dice.integers(0, 3601))
        model = "momentum" if dice.random() < 0.7 else "volatility"
        # Whole bins as well as the numbers between.
        p = np.clip(50 + (STRIKE - strikes) / 15 + dice.normal(0, 10, 7), 0, 100)
        p = np.where(dice.random(7) < 0.2, 5 * np.round(p / 5), p)
        asks: dict[str, list[Decimal | None]] = {"yes": [], "no": []}
        for side, sign in (("yes", 1), ("no", -1)):
            fair = p if sign == 1 else 100 - p
            for each in fair.tolist():
                cents = min(max(each + dice.normal(0, 12), 0.1), 99.9)
                exact = Decimal(round(cents)) if dice.random() < 0.7 else Decimal(f"{cents:.2f}")
                is_known = has_event and dice.random() < 0.9 and exact > 0
                asks[side].append(min(exact, Decimal(100)) / 100 if is_known else None)
        log_tick(
            conn,
            strikes,
            p,
            ttc=ttc,
            closes_at=closes_at,
            event=f"E{number}" if has_event else None,
            model=model,
            yes_ask=asks["yes"] if has_event else None,
            no_ask=asks["no"] if has_event else None,
        )
        for place, strike in enumerate(strikes):
            self.questions.append(
                {
                    "model": model,
                    "close": number,
                    "ttc": ttc,
                    "p": float(p[place]),
                    "y": float(ending >= strike),
                    "yes": asks["yes"][place],
                    "no": asks["no"][place],
                }
            )

    def contracts(self) -> Iterator[Row]:
        for each in self.questions:
            for side in ("yes", "no"):
                ask = each[side]
                # A dollar in an old log is an empty side of the book.
                if ask is None or ask == 1:
                    continue
                cost = float(100 * ask + 10 * taker_fee(ask, Decimal(10), self.multiplier))
                p, won = each["p"], each["y"]
                if side == "no":
                    p, won = 100 - p, 1 - won
                yield {
                    **each,
                    "side": side,
                    "edge": p - cost,
                    "profit": 100 * won - cost,
                    "won": won,
                }


def grouped(rows: Iterator[Row] | list[Row], *names: str) -> dict[tuple[Any, ...], list[Row]]:
    groups = defaultdict(list)
    for row in rows:
        groups[tuple(row[name] for name in names)].append(row)
    return groups


def column(rows: list[Row], name: str) -> Any:
    return np.array([row[name] for row in rows])


def weights(rows: list[Row]) -> Any:
    return np.array([len(each) for each in grouped(rows, "close").values()])


def calibration_of(rows: list[Row]) -> Row:
    p, y = column(rows, "p") / 100, column(rows, "y")
    bins = np.minimum(19, (column(rows, "p") // 5).astype(int))
    error = sum(
        abs(p[bins == bin].sum() - y[bins == bin].sum()) for bin in np.unique(bins).tolist()
    )
    clipped = np.clip(np.where(y == 1, p, 1 - p), 0.0001, 0.9999)
    return {
        "questions": len(rows),
        "events": len(weights(rows)),
        "mean_probability": 100 * p.mean(),
        "observed_frequency": 100 * y.mean(),
        "calibration_error": 100 * error / len(rows),
        "brier_score": ((p - y) ** 2).mean(),
        "log_loss": -np.log(clipped).mean(),
    }


def near(expected: Row) -> Any:
    return pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("seed", "multiplier"), [(1, "1"), (2, "0.5")])
def test_against_numpy(conn: Connection, seed: int, multiplier: str) -> None:
    made = Made(conn, seed, multiplier)
    rows = [
        {
            **row,
            "bin": min(19, int(row["p"] // 5)),
            "band": next(k for k in range(7) if row["ttc"] < 60 * BANDS[k][1] or k == 6),
        }
        for row in made.questions
    ]
    expected = {}
    for names in (("model",), ("model", "band"), ("model", "bin"), ("model", "band", "bin")):
        for group, members in grouped(rows, *names).items():
            key = dict(zip(names, group, strict=True))
            band = key.get("band")
            expected[key["model"], band, key.get("bin")] = members
    found = calibration(conn)
    for row in found:
        band = None if row["minutes_to"] is None else BANDS.index(
            (row["minutes_from"], row["minutes_to"])
        )  # fmt: skip
        members = expected.pop((row["model"], band, row["bin"]))
        wanted = calibration_of(members)
        assert {name: row[name] for name in wanted} == near(wanted)
    assert not expected
    view = table(conn, "SELECT * FROM analytics.calibration WHERE symbol = 'BTC'")
    rows = calibration(conn, every_tick=False)
    cells = [row for row in rows if None not in (row["minutes_from"], row["bin"])]
    assert [{name: row[name] for name in row if name != "symbol"} for row in view] == [
        {name: row[name] for name in row if name != "calibration_error"} for row in cells
    ]


def test_intervals_count_events_and_not_ticks(conn: Connection) -> None:
    """A hundred ticks of one event prove no more than one; Wilson's interval comes from scipy."""
    for number in range(8):
        put_candle(conn, STRIKE if number < 6 else STRIKE - 1, closes_at=CLOSE + number * HOUR)
        for ttc in range(100):
            log_tick(conn, closes_at=CLOSE + number * HOUR, ttc=ttc)
    row = total(calibration(conn))
    expected = binomtest(6, 8).proportion_ci(0.95, "wilson")
    assert (row["questions"], row["events"]) == (800, 8)
    assert row["frequency_low"] == pytest.approx(100 * expected.low)
    assert row["frequency_high"] == pytest.approx(100 * expected.high)


@pytest.mark.parametrize("won", [0, 5])
def test_intervals_at_the_ends(conn: Connection, won: int) -> None:
    for number in range(5):
        put_candle(conn, STRIKE if won else STRIKE - 1, closes_at=CLOSE + number * HOUR)
        log_tick(conn, closes_at=CLOSE + number * HOUR)
    row = total(calibration(conn))
    expected = binomtest(won, 5).proportion_ci(0.95, "wilson")
    assert row["frequency_low"] == pytest.approx(100 * expected.low, abs=1e-9)
    assert row["frequency_high"] == pytest.approx(100 * expected.high, abs=1e-9)


def test_an_event_with_nearly_all_ticks_counts_as_one(conn: Connection) -> None:
    for number in range(10):
        put_candle(conn, STRIKE, closes_at=CLOSE + number * HOUR)
        for ttc in range(1000 if number == 0 else 1):
            log_tick(conn, closes_at=CLOSE + number * HOUR, ttc=ttc)
    row = total(calibration(conn))
    # Kish: (Σn)² / Σn².
    independent = 1009**2 / (1000**2 + 9)
    low = independent / (independent + 1.959963984540054**2)
    assert row["frequency_low"] == pytest.approx(100 * low)
    assert row["events"] == 10


@pytest.mark.parametrize(("seed", "multiplier"), [(3, "1"), (4, "0.5")])
def test_edges_against_numpy(conn: Connection, seed: int, multiplier: str) -> None:
    made = Made(conn, seed, multiplier)
    contracts = [
        {
            **row,
            "promised": row["edge"] > 0,
            "band": next(k for k in range(10) if EDGES[k] < row["edge"] <= EDGES[k + 1]),
        }
        for row in made.contracts()
    ]
    expected: dict[tuple[Any, ...], list[Row]] = dict(grouped(contracts, "model", "side", "band"))
    expected |= grouped(contracts, "model", "side", "promised")
    found = edge_outcomes(conn)
    assert len(found) == len(
        {(row["model"], row["side"], row["is_promised"], *_band(row)) for row in found}
    )
    tested = 0
    for row in found:
        if _band(row) == (None, None):
            members = grouped(contracts, "model", "side", "promised")[
                row["model"], row["side"], row["is_promised"]
            ]
        else:
            low = -math.inf if row["edge_from"] is None else row["edge_from"]
            members = grouped(contracts, "model", "side", "band")[
                row["model"], row["side"], EDGES.index(low)
            ]
            high = math.inf if row["edge_to"] is None else row["edge_to"]
            assert EDGES.index(high) == EDGES.index(low) + 1
            assert row["is_promised"] is (low >= 0)
        profit, count = column(members, "profit"), len(members)
        wanted = {
            "contracts": count,
            "events": len(weights(members)),
            "mean_edge": column(members, "edge").mean(),
            "mean_profit": profit.mean(),
            "win_share": 100 * column(members, "won").mean(),
        }
        assert {name: row[name] for name in wanted} == near(wanted)
        events = [column(each, "profit") for each in grouped(members, "close").values()]
        if len(events) < 10:
            assert row["profit_low"] is row["profit_high"] is None
            continue
        # Clustered by event, as for a ratio of sums.
        off = np.array([each.sum() - profit.mean() * len(each) for each in events])
        half = 1.959963984540054 * math.sqrt(len(off) * off.var(ddof=1)) / count
        assert off.mean() == pytest.approx(0, abs=1e-6)
        assert row["profit_low"] == pytest.approx(profit.mean() - half, abs=1e-6)
        assert row["profit_high"] == pytest.approx(profit.mean() + half, abs=1e-6)
        tested += 1
    assert tested > 5
    view = table(conn, "SELECT * FROM analytics.edge_outcome WHERE symbol = 'BTC'")
    rows = edge_outcomes(conn, every_tick=False)
    bands = [row for row in rows if _band(row) != (None, None)]
    assert [{name: row[name] for name in row if name != "symbol"} for row in view] == bands


# Cost


def test_a_span_is_looked_up_by_its_index(conn: Connection) -> None:
    for ttc in range(1000):
        log_tick(conn, closes_at=CLOSE + ttc * HOUR, ttc=ttc)
    conn.execute("ANALYZE upc_data.tick")
    plan = "\n".join(
        row[0]
        for row in conn.execute(
            "EXPLAIN SELECT count(*) FROM upc.judged_strikes('BTC', %s, %s)",
            (CLOSE, CLOSE + HOUR),
        )
    )
    assert "tick_default_symbol_ticked_at_idx" in plan
    assert "tick_minute_default_symbol_ticked_at_idx" in plan
    assert "Function Scan on judged_strikes" not in plan
    assert scalar(conn, "SELECT count(*) FROM upc.judged_strikes('BTC')") == 0

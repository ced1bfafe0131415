"""`pyupc backtest --against market`: every answer, score and profit computed once more in numpy."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from click.testing import CliRunner, Result
from scipy.special import ndtr

from pyupc.cli import main
from tests.support.databases import Databases
from tests.support.engine import Candles, build, open_db, put
from tests.support.market_quotes import EPOCH, Quote, hourly_ranges, settlement, write
from tests.support.volatile_candles import volatile_candles

Connection = psycopg.Connection[tuple[Any, ...]]

SINCE = "2026-05-01"
DAYS = 6
TRAINED = datetime(2026, 5, 4, tzinfo=UTC)
CUT = datetime(2026, 5, 5, tzinfo=UTC)
BASIS = 0.0005
CLIP = 1e-4
BANDS = (3, 7, 15, 30, 60)
EDGES = (0, 1, 2, 3, 5, 10)


@dataclass(frozen=True)
class Scene:
    """A database whose curves were built on the first days, with candles of all days."""

    dsn: str
    candles: Candles
    quotes: list[Quote]


@pytest.fixture(scope="module")
def scene(databases: Databases) -> Iterator[Scene]:
    candles = volatile_candles(7, SINCE, DAYS * 1440)
    end = int((TRAINED - EPOCH).total_seconds()) // 60
    # A build fits on the days before the newest one: here that is a day of one candle, which no
    # other is near enough to be counted with.
    is_built = (candles.minutes < end) | (candles.minutes == end + 720)
    quotes = hourly_ranges(candles, CUT + timedelta(hours=1), 40, 3, basis=BASIS)
    with databases.clone("empty") as dsn:
        with open_db(dsn) as conn:
            put(conn, "BTC", candles.where(is_built))
            build(conn)
            put(conn, "BTC", candles.where(~is_built))
        yield Scene(dsn, candles, quotes)


def backtest(dsn: str, *arguments: str | Path) -> Result:
    return CliRunner().invoke(
        main,
        ["backtest", "--against", "market", "--train-to", "2026-05-04", *map(str, arguments)],
        env={"PYUPC_DSN": dsn},
    )


def run(dsn: str, *arguments: str | Path) -> dict[str, Any]:
    result = backtest(dsn, "--json", *arguments)
    assert result.exit_code == 0, result.stderr
    [report] = json.loads(result.stdout)["backtests"]
    return dict(report)


@pytest.fixture(scope="module")
def report(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return run(
        scene.dsn, "--quotes", write(tmp_path_factory.mktemp("q") / "q.csv.gz", scene.quotes)
    )


@dataclass(frozen=True)
class Answer:
    closes_at: datetime
    ticker: str
    observed_at: datetime
    ttc_seconds: int
    price: float
    volatility: float
    gaussian: float
    market: float | None
    blend: float | None
    costs: tuple[float | None, ...]
    outcome: bool


def answers(dsn: str, backtest_id: int) -> list[Answer]:
    with open_db(dsn) as conn:
        rows = conn.execute(
            "SELECT closes_at, ticker, observed_at, ttc_seconds, price, volatility, gaussian,"
            " market, blend, ARRAY[yes_cost, no_cost, later_yes_cost, later_no_cost], outcome"
            " FROM upc_data.market_answer WHERE backtest_id = %s ORDER BY 1, 2, 3",
            [backtest_id],
        ).fetchall()
    found = []
    for row in rows:
        values: list[Any] = [tuple(each) if isinstance(each, list) else each for each in row]
        found.append(Answer(*values))
    return found


@pytest.fixture(scope="module")
def answered(scene: Scene, report: dict[str, Any]) -> list[Answer]:
    return answers(scene.dsn, report["backtest_id"])


def asked(quotes: list[Quote]) -> list[Quote]:
    """One of a contract and minute, up to a minute before the close; nothing else is left out."""
    first: dict[tuple[str, int], Quote] = {}
    for quote in sorted(quotes, key=lambda each: each.observed_at):
        seconds = (quote.closes_at - quote.observed_at).total_seconds()
        if 60 <= seconds <= 3600:
            first.setdefault((quote.ticker, math.ceil(seconds / 60)), quote)
    return sorted(first.values(), key=lambda q: (q.closes_at, q.ticker, q.observed_at))


def cost(ask: Decimal) -> float:
    """Cents per contract of ten, with the taker's fee."""
    fee = (Decimal("0.07") * 10 * ask * (1 - ask)).quantize(Decimal("0.0001"), ROUND_CEILING)
    return float((10 * ask + fee).quantize(Decimal("0.01"), ROUND_CEILING) * 100) / 10


def test_all_quotes_up_to_a_minute_before_the_close_are_answered(
    scene: Scene, answered: list[Answer]
) -> None:
    wanted = asked(scene.quotes)
    assert len(wanted) == 40 * 8 * 11
    assert [(a.ticker, a.observed_at, a.outcome) for a in answered] == [
        (q.ticker, q.observed_at, q.outcome) for q in wanted
    ]
    for quote, answer in zip(wanted, answered, strict=True):
        assert answer.price == float(quote.price or 0)
        assert answer.ttc_seconds == (quote.closes_at - quote.observed_at).total_seconds()
        middle = (
            None
            if not quote.yes_bid or quote.yes_ask is None
            else float((quote.yes_bid + quote.yes_ask) / 2)
        )
        assert answer.market == pytest.approx(middle, abs=1e-15)
        yes = cost(quote.yes_ask) if quote.yes_ask else None
        no = cost(1 - quote.yes_bid) if quote.yes_bid else None
        assert answer.costs == pytest.approx((yes, no, yes, no), abs=1e-9)


def test_the_model_is_the_live_one_at_that_instant(scene: Scene, answered: list[Answer]) -> None:
    """Curves were built on the days before; the forecast is of the candles closed by then."""
    checked = 0
    quotes = {(q.ticker, q.observed_at): q for q in scene.quotes}
    chosen = sorted({a.observed_at for a in answered})[::11]
    known: dict[datetime, Any] = {}
    with open_db(scene.dsn) as conn:
        for answer in (a for a in answered if a.observed_at in chosen):
            quote = quotes[answer.ticker, answer.observed_at]
            if answer.observed_at not in known:
                known[answer.observed_at] = conn.execute(
                    """
                    SELECT
                        (
                            SELECT array_agg(
                                (upc.volatility('BTC', v.at, 60 * t) / 100) ^ 2 ORDER BY t
                            )
                            FROM generate_series(1, 60) AS t
                        ),
                        (upc.momentum('BTC', v.at)).momentum
                    FROM (SELECT date_trunc('minute', %s::timestamptz)) AS v (at)
                    """,
                    [answer.observed_at],
                ).fetchone()
            row = conn.execute(
                """
                SELECT b.probability
                FROM upc.probability_between(
                    %(price)s, %(lower)s, %(upper)s, %(momentum)s, 'BTC', %(ttc)s, 'linear',
                    'volatility', 'average', variances => %(variances)s::float8[]
                ) AS b
                """,
                {
                    "variances": known[answer.observed_at][0],
                    "momentum": known[answer.observed_at][1],
                    "price": answer.price,
                    "lower": None if quote.lower is None else float(quote.lower),
                    "upper": None if quote.upper is None else float(quote.upper),
                    "ttc": answer.ttc_seconds,
                },
            ).fetchone()
            assert row is not None
            assert 100 * answer.volatility == pytest.approx(row[0], abs=1e-7)
            checked += 0 < answer.volatility < 1
    assert checked > 100


def test_the_gaussian_is_of_the_moves_of_the_last_day(scene: Scene, answered: list[Answer]) -> None:
    moves = np.diff(np.log(scene.candles.closes)) ** 2
    quotes = {(q.ticker, q.observed_at): q for q in scene.quotes}
    for answer in answered[::17]:
        quote = quotes[answer.ticker, answer.observed_at]
        known = int((answer.observed_at - EPOCH).total_seconds()) // 60
        last = int(np.searchsorted(scene.candles.minutes, known - 1))
        ages = np.arange(1440)[::-1]
        weights = 2.0 ** (-ages / 60)
        squared = float(np.average(moves[last - 1440 : last], weights=weights))
        left = answer.ttc_seconds - 60 + 61 * 121 / 360
        deviation = math.sqrt(squared * left / 60)
        below = [
            edge
            if bound is None
            else float(ndtr(math.log(float(bound) / answer.price) / deviation))
            for bound, edge in ((quote.lower, 0.0), (quote.upper, 1.0))
        ]
        assert answer.gaussian == pytest.approx(below[1] - below[0], abs=3e-7)


def losses(probabilities: Any, outcomes: Any) -> Any:
    clipped = np.clip(probabilities, CLIP, 1 - CLIP)
    return -np.log(np.where(outcomes, clipped, 1 - clipped))


def log_odds(probabilities: Any) -> Any:
    clipped = np.clip(probabilities, CLIP, 1 - CLIP)
    return np.log(clipped / (1 - clipped))


def band(answer: Answer) -> int:
    return next(end for end in BANDS if answer.ttc_seconds <= 60 * end)


def test_blend_of_the_days_before(answered: list[Answer]) -> None:
    scored = [a for a in answered if a.market is not None]
    days = sorted({a.closes_at.date() for a in scored})
    assert len(days) == 2
    weights = np.arange(41) / 40
    seen = set()
    for end in BANDS:
        total = 10 * (weights - 0.5) ** 2
        for day in days:
            here = [a for a in scored if band(a) == end and a.closes_at.date() == day]
            weight = weights[np.lexsort((abs(weights - 0.5), total))[0]]
            seen.add(float(weight))
            model = log_odds(np.array([a.volatility for a in here]))
            market = log_odds(np.array([a.market for a in here]))
            blend = 1 / (1 + np.exp(-(market + weight * (model - market))))
            assert [a.blend for a in here] == pytest.approx(blend.tolist(), abs=1e-12)
            outcomes = np.array([a.outcome for a in here])
            every = market + weights[:, None] * (model - market)
            total = total + np.log1p(np.exp(np.where(outcomes, -every, every))).sum(axis=1)
    assert len(seen) > 2, "the weights of the second day are not all one half"
    assert all(a.blend is None for a in answered if a.market is None)


def test_scores(report: dict[str, Any], answered: list[Answer]) -> None:
    scored = [a for a in answered if a.market is not None]
    outcomes = np.array([a.outcome for a in scored])
    columns = {
        "volatility:linear": np.array([a.volatility for a in scored]),
        "market": np.array([a.market for a in scored]),
        "blend": np.array([a.blend for a in scored]),
        "gaussian": np.array([a.gaussian for a in scored]),
    }
    parts = {
        "all": np.zeros(len(scored), dtype=int),
        "minutes": np.array([band(a) for a in scored]),
        "hour": np.array([a.closes_at.hour for a in scored]),
    }
    assert report["scores"].keys() == parts.keys()
    assert report["kind"] == "market"
    assert report["questions"] == len(scored)
    for dimension, part in parts.items():
        rows = report["scores"][dimension]
        assert len(rows) == 4 * len(set(part.tolist()))
        for row in rows:
            here = part == row["part"]
            answer, came = columns[row["model"]][here], outcomes[here]
            assert row["questions"] == here.sum()
            assert row["brier"] == pytest.approx(np.mean((answer - came) ** 2), abs=1e-12)
            assert row["log_loss"] == pytest.approx(losses(answer, came).mean(), abs=1e-12)
    for row in report["scores"]["all"]:
        assert row["log_loss_low"] < row["log_loss"] < row["log_loss_high"]


def test_profit_of_buying_every_edge(report: dict[str, Any], answered: list[Answer]) -> None:
    rows = {(row["model"], row["min_edge"]): row for row in report["profits"]}
    counted = 0
    for model in ("volatility:linear", "blend", "gaussian"):
        for least in EDGES:
            bought = []
            for answer in answered:
                chance = getattr(answer, model.partition(":")[0])
                if chance is None:
                    continue
                yes_cost, no_cost, later_yes, later_no = answer.costs
                for side, price, later, is_won in (
                    (100 * chance, yes_cost, later_yes, answer.outcome),
                    (100 - 100 * chance, no_cost, later_no, not answer.outcome),
                ):
                    if price is not None and later is not None and side - price > least:
                        bought.append((later, side - price, 100 * is_won - later, is_won))
            assert ((model, least) in rows) == bool(bought)
            if not bought:
                continue
            row = rows[model, least]
            counted += 1
            assert row["contracts"] == len(bought)
            assert row["wins"] == sum(each[3] for each in bought)
            for place, name in enumerate(("cost", "edge", "profit")):
                mean = np.mean([each[place] for each in bought])
                assert row[name] == pytest.approx(mean, abs=1e-9)
            assert row["profit_low"] <= row["profit"] <= row["profit_high"]
    assert counted > 10


def test_the_quotes_of_a_backtest_go_when_it_is_complete(scene: Scene, report: Any) -> None:
    with open_db(scene.dsn) as conn:
        for table in ("market_observation", "observed_event"):
            query = f"SELECT count(*) FROM upc_data.{table}"
            assert conn.execute(query.encode()).fetchall() == [(0,)]


def test_nothing_after_an_instant_changes_its_answer(
    scene: Scene, answered: list[Answer], databases: Databases, tmp_path: Path
) -> None:
    """All candles from a minute on are scrambled; what was asked before it stays as it was."""
    cut = CUT + timedelta(hours=20, minutes=30)
    with databases.clone_of(scene.dsn) as dsn:
        with open_db(dsn) as conn:
            conn.execute(
                "UPDATE upc_data.candle SET open = open * 2, high = high * 3, close = close * 2"
                " WHERE opened_at >= %s",
                [cut],
            )
        found = run(dsn, "--quotes", write(tmp_path / "q.csv", scene.quotes))
        scrambled = answers(dsn, found["backtest_id"])
    before = [a for a in answered if a.observed_at < cut + timedelta(minutes=1)]
    assert 1000 < len(before) < len(answered)
    for old, new in zip(answered, scrambled, strict=True):
        if old.observed_at < cut + timedelta(minutes=1):
            assert (new.volatility, new.gaussian) == (old.volatility, old.gaussian)


@pytest.mark.parametrize("prices", ["basis", "candles"])
def test_prices_of_candles(scene: Scene, prices: str, tmp_path: Path) -> None:
    """With the basis taken out they are those of the market again; before 12 settlements none."""
    found = run(scene.dsn, "--prices", prices, "--quotes", write(tmp_path / "q.csv", scene.quotes))
    closes = dict(zip(scene.candles.minutes.tolist(), scene.candles.closes.tolist(), strict=True))
    settled = sorted({(q.closes_at, q.value) for q in scene.quotes})
    given = answers(scene.dsn, found["backtest_id"])
    assert found["prices"] == prices
    first = min(a.observed_at for a in given)
    for answer in given:
        known = int((answer.observed_at - EPOCH).total_seconds()) // 60
        close = closes[known - 1]
        if prices == "candles":
            assert answer.price == close
            continue
        last = [s for s in settled if s[0] <= answer.observed_at - timedelta(minutes=1)][-12:]
        assert len(last) == 12
        ratios = []
        for closes_at, value in last:
            minute = int((closes_at - EPOCH).total_seconds()) // 60
            ratios.append(settlement(scene.candles, minute) / float(value or 0))
        assert answer.price == pytest.approx(close / np.mean(ratios), rel=1e-12)
        assert np.mean(ratios) - 1 == pytest.approx(BASIS, abs=1e-6)
    assert first >= (settled[11][0] if prices == "basis" else CUT)


def test_shown_and_listed_again(scene: Scene, report: dict[str, Any]) -> None:
    shown = CliRunner().invoke(
        main,
        ["backtest", "--show", str(report["backtest_id"]), "--json"],
        env={"PYUPC_DSN": scene.dsn},
    )
    assert json.loads(shown.stdout)["backtests"] == [report]
    text = CliRunner().invoke(
        main, ["backtest", "--show", str(report["backtest_id"])], env={"PYUPC_DSN": scene.dsn}
    )
    assert text.exit_code == 0, text.stderr
    for words in ("market", "blend", "edges above", "to 3 min", "to 60 min"):
        assert words in text.stdout


def test_the_page_has_the_profits(scene: Scene, report: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    result = CliRunner().invoke(
        main,
        ["backtest", "--show", str(report["backtest_id"]), "--out", str(tmp_path / "report")],
        env={"PYUPC_DSN": scene.dsn},
    )
    assert result.exit_code == 0, result.stderr
    page = (tmp_path / "report" / "report.html").read_text()
    assert "Profit of buying every edge" in page
    assert page.count("<td>blend</td>") + page.count('<td class="left">blend</td>') > 0


def test_deleted_with_all_it_has(scene: Scene, databases: Databases, report: Any) -> None:
    with databases.clone_of(scene.dsn) as dsn, open_db(dsn) as conn:
        conn.execute("SELECT upc.delete_backtest('BTC', %s)", [report["backtest_id"]])
        for table in ("backtest", "market_answer", "backtest_profit", "backtest_score"):
            query = f"SELECT count(*) FROM upc_data.{table} WHERE backtest_id = %s"
            found = conn.execute(query.encode(), [report["backtest_id"]]).fetchall()
            assert found == [(0,)]


# Files


@pytest.fixture(scope="module")
def some(scene: Scene) -> list[Quote]:
    """Quotes of two hours: enough to be scored."""
    return scene.quotes[: 2 * 99]


@pytest.fixture(scope="module")
def plain(
    scene: Scene, some: list[Quote], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    return run(scene.dsn, "--quotes", write(tmp_path_factory.mktemp("plain") / "q.csv", some))


def refused(dsn: str, *arguments: str | Path, code: int = 1) -> str:
    result = backtest(dsn, *arguments)
    assert result.exit_code == code, result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return result.stderr


def numbers_left(dsn: str) -> int:
    """Backtests that are not complete, and quotes that nobody needs."""
    with open_db(dsn) as conn:
        [(left,)] = conn.execute(
            "SELECT (SELECT count(*) FROM upc_data.backtest WHERE completed_at IS NULL)"
            " + (SELECT count(*) FROM upc_data.market_observation)"
            " + (SELECT count(*) FROM upc_data.observed_event)"
        ).fetchall()
    return int(left)


def test_order_and_repetition_change_nothing(
    scene: Scene, some: list[Quote], plain: dict[str, Any], tmp_path: Path
) -> None:
    mixed = [some[k] for k in np.random.default_rng(1).permutation(len(some))]
    again = run(scene.dsn, "--quotes", write(tmp_path / "mixed.csv", [*mixed, *some[:50]]))
    assert again["scores"] == plain["scores"]
    assert again["profits"] == plain["profits"]
    halves = [write(tmp_path / f"{k}.csv", some[k::2]) for k in (0, 1)]
    result = backtest(scene.dsn, "--json", "--quotes", halves[0], "--quotes", halves[1])
    [found] = json.loads(result.stdout)["backtests"]
    assert found["scores"] == plain["scores"]


def test_facts_and_prices_in_files_of_their_own(
    scene: Scene, some: list[Quote], plain: dict[str, Any], tmp_path: Path
) -> None:
    """As recorders write them: quotes, captures with prices, and settlements."""
    lines = ["captured_at,event_ticker,ticker,strike_type,floor_strike,cap_strike,yes_bid,yes_ask"]
    captures = {"captured_at,event_ticker,close_time,coinbase_price": None}
    settled = {"event_ticker,expiration_value": None}
    for q in some:
        kind = "less" if q.lower is None else "greater" if q.upper is None else "between"
        floor = "" if q.lower is None else q.lower
        if kind == "greater":
            floor = Decimal(floor) - Decimal("0.01")
        cap = "" if q.upper is None else q.upper - (Decimal("0.01") if q.lower else 0)
        at = f"{q.observed_at:%Y-%m-%dT%H:%M:%S}"
        lines.append(f"{at}.000,{q.event},{q.ticker},{kind},{floor},{cap},{q.yes_bid},{q.yes_ask}")
        captures[f"{at}.000900+00:00,{q.event},{q.closes_at.isoformat()},{q.price}"] = None
        settled[f"{q.event},{q.value}"] = None
    paths: list[str | Path] = []
    for name, rows in (("quotes", lines), ("captures", [*captures]), ("settled", [*settled])):
        path = tmp_path / f"{name}.csv"
        path.write_text("\r\n".join(rows))
        paths += ["--quotes", path]
    apart = run(scene.dsn, *paths)
    assert apart["scores"] == plain["scores"]
    assert apart["profits"] == plain["profits"]


def test_seconds_of_updown(scene: Scene, some: list[Quote], tmp_path: Path) -> None:
    """Instants in milliseconds, a price to beat, results without values, candles of one second."""
    closes = CUT + timedelta(hours=9, minutes=15)
    start = int((closes - timedelta(minutes=10) - EPOCH).total_seconds())
    place = int(np.searchsorted(scene.candles.minutes, start // 60))
    price = float(scene.candles.closes[place])
    ticker = "KXBTC15M-26MAY050515-15"
    quotes = ["market_ticker,exchange_ts_ms,yes_bid,yes_ask"]
    quotes += [f"{ticker},{1000 * (start + k)},0.5,0.52" for k in range(0, 300)]
    seconds = ["second_utc,open,high,low,close,trades"]
    seconds += [
        f"{datetime.fromtimestamp(start + k, UTC):%Y-%m-%dT%H:%M:%SZ},1,1,1,{price + k},1"
        for k in range(-3, 300)
    ]
    markets = [
        "market_ticker,close_time,floor_strike,result,status",
        f"{ticker},{closes:%Y-%m-%dT%H:%M:%SZ},{price - 0.000001:.6f},yes,finalized",
    ]
    paths: list[str | Path] = []
    for name, rows in (("quotes", quotes), ("seconds", seconds), ("markets", markets)):
        path = tmp_path / f"{name}.csv"
        path.write_text("\n".join(rows) + "\n")
        paths += ["--quotes", path]
    found = run(scene.dsn, "--symbol", "BTC", *paths)
    given = answers(scene.dsn, found["backtest_id"])
    # The first of each minute; the price is that of the second that was over by then.
    assert [(a.ttc_seconds, a.price) for a in given] == [
        (600 - 60 * k, price + 60 * k - 1) for k in range(5)
    ]
    assert all(a.outcome and a.market == pytest.approx(0.51) for a in given)
    assert {a.volatility > 0.4 for a in given} == {True}
    assert "name one: --symbol BTC" in refused(scene.dsn, *paths)


def test_left_out_and_named(
    scene: Scene, some: list[Quote], plain: dict[str, Any], tmp_path: Path
) -> None:
    changes: dict[str, dict[str, Any]] = {
        "crossed quotes": {"yes_bid": Decimal("0.6"), "yes_ask": Decimal("0.5")},
        "a price that nobody trades at": {"yes_bid": None, "yes_ask": Decimal(0)},
        "no settlement": {"value": None},
        "no result of yes or no": {"value": None, "result": "void"},
        "a result that its value contradicts": {"result": "yes", "value": Decimal(1)},
        "bounds that cross": {"lower": Decimal(9), "upper": Decimal(9)},
        "no bounds": {"lower": None, "upper": None},
        "no close": {"closes_at": None},
        "quotes after the close": {"closes_at": CUT},
    }
    bad = [
        some[5].but(event=f"KXBTC-{k}", ticker=f"KXBTC-{k}-B1", **change)
        for k, change in enumerate(changes.values())
    ]
    path = write(tmp_path / "q.csv", [*some, *bad])
    result = backtest(scene.dsn, "--json", "--quotes", path)
    assert result.exit_code == 0, result.stderr
    for k, reason in enumerate(changes):
        assert f"left out 1 quotes, {reason}: KXBTC-{k}-B1" in result.stderr
    [found] = json.loads(result.stdout)["backtests"]
    assert found["scores"] == plain["scores"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("2026-05-05T00:10:00Z,E,T,2026-05-05T01:00:00Z,1,2,nan,0.5,1,,1", "yes_bid is no number"),
        ("2026-05-05T00:10:00Z,E,T,2026-05-05T01:00:00Z,1,2,0.4,1.5,1,,1", "from 0 to 1 USD"),
        ("2026-05-05T00:10:00Z,E,T,2026-05-05T01:00:00Z,1,2,0.4,-0.5,1,,1", "yes_ask is no number"),
        ("2026-05-05T00:10:00Z,E,T,2026-05-05T01:00:00Z,1,2,0.4,0.5,1,,0", "price is not above"),
        ("2026-02-30T00:10:00Z,E,T,2026-05-05T01:00:00Z,1,2,0.4,0.5,1,,1", "is no instant"),
        ("2026-05-05T00:10:00Z,E,T,2026-05-05T01:00:00Z,1,2,0.4", "7 fields"),
        ("2026-05-05T00:10:00Z,E,,2026-05-05T01:00:00Z,1,2,0.4,0.5,1,,1", "ticker is empty"),
        ('2026-05-05T00:10:00Z,"E', ""),
    ],
)
def test_a_bad_line_is_named(
    scene: Scene, some: list[Quote], tmp_path: Path, line: str, words: str
) -> None:
    path = write(tmp_path / "q.csv", some)
    path.write_text(f"{path.read_text()}{line}\n")
    said = refused(scene.dsn, "--quotes", path)
    assert f"q.csv:{len(some) + 2}" in said
    assert words in said
    assert numbers_left(scene.dsn) == 0


def test_files_that_are_none(scene: Scene, some: list[Quote], tmp_path: Path) -> None:
    good = write(tmp_path / "q.csv.gz", some)
    half = tmp_path / "half.csv.gz"
    half.write_bytes(good.read_bytes()[:900])
    other = tmp_path / "candles.csv"
    other.write_text("timestamp,open,high,low,close,volume\n2026-01-01,1,1,1,1,1\n")
    empty = tmp_path / "empty.csv"
    empty.write_bytes(b"")
    facts = tmp_path / "facts.csv"
    facts.write_text("event,value\nKXBTC-X,1\n")
    foreign = tmp_path / "foreign.csv"
    foreign.write_text("observed_at,ticker,yes_bid,yes_ask\n2026-01-01,KXNFL-1-X,0.4,0.5\n")
    for path in (half, other, empty, facts, foreign, tmp_path / "nothing.csv", tmp_path):
        refused(scene.dsn, "--quotes", path)
    assert numbers_left(scene.dsn) == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("--against", "market", "--kind", "range"),
        ("--against", "market", "--ttc", "5"),
        ("--quotes", "q.csv"),
        ("--prices", "basis"),
        ("--against", "market", "--show", "1"),
        ("--against", "weather"),
    ],
)
def test_options_that_do_not_go_together(scene: Scene, arguments: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, ["backtest", *arguments], env={"PYUPC_DSN": scene.dsn})
    assert result.exit_code == 2, result.output


def test_nothing_to_test_against(scene: Scene, databases: Databases) -> None:
    assert "pyupc market history" in refused(scene.dsn)
    assert "pyupc market history" in refused(scene.dsn, "--symbol", "ETH")
    assert numbers_left(scene.dsn) == 0

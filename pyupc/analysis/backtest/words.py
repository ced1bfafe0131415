"""The verdict as a sentence, and the names and numbers of the tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from pyupc.analysis.backtest.scores import Report, Row

DIMENSION_NAMES = {
    "all": "Overall",
    "minutes": "By time to the close",
    "distance": "By distance of the strike from the price",
    "hour": "By hour of the close, UTC",
    "regime": "By regime of volatility",
}

# The question of each kind of contract, and which contracts there are of it.
QUESTIONS = {
    "above": "Will the price be at or above a strike when the contract closes?",
    "range": "Will the price be in a range when the contract closes?",
    "updown": "Will the price, when the quarter of an hour ends, not be below the average of the "
    "minute before it began?",
    "market": "Will the contract pay, asked at the instants at which its quotes were recorded?",
}


def contracts(kind: str, levels: int, step: float) -> str:
    """`10 below and above the one nearest to the price, every 250 USD`."""
    match kind:
        case "updown":
            return "one, with the price to beat"
        case "market":
            return "all of which bid and ask were recorded"
        case "range":
            return (
                f"{levels} below and above the one with the price in it, {step:,.10g} USD wide, and"
                " the two open ends"
            )
        case _:
            return f"{levels} below and above the one nearest to the price, every {step:,.10g} USD"


_REGIMES = {1: "calm", 2: "quiet", 3: "lively", 4: "wild"}

_DAY = timedelta(days=1)

# Of fewer, drawn anew, intervals are far too narrow: of a single one they have no width at all.
FEW_DAYS = 10


def headline(report: Report) -> str:
    """The verdict against the opponents in one line, whatever it is."""
    return f"{verdict(report)}: {reason(report)}"


def verdict(report: Report) -> str:
    overall = report.verdict_on(None)
    if not overall:
        return f"{report.models[0]} had no opponent"
    best = overall[0]["model"]
    days = report.settings["days"]
    if days < FEW_DAYS:
        return f"{best} comes first, but {days} {'day is' if days == 1 else 'days are'} too few"
    beaten = sum(row["difference_high"] < 0 for row in overall)
    if beaten < len(overall):
        words = f"beats {beaten} of {len(overall)} opponents" if beaten else "beats none of them"
        return f"{best} comes first, but {words} beyond chance"
    return f"{best} beats {'its opponent' if beaten == 1 else f'all {beaten} opponents'}"


def reason(report: Report) -> str:
    """The numbers of the verdict."""
    overall = report.verdict_on(None)
    if not overall:
        [row] = report.scores["all"]
        return f"its log loss is {loss(row['log_loss'])} ({interval(row, 'log_loss')})"
    return f"its log loss of {loss(overall[0]['log_loss'])} is {_leads(overall)}"


def _leads(overall: Sequence[Row]) -> str:
    """Over the strongest opponent, and over the formula that everybody knows."""
    shown = [overall[0], *(row for row in overall[1:] if row["opponent"] == "gaussian")]
    leads = [
        f"{small(-row['difference'])} ({small(-row['difference_high'])} to "
        f"{small(-row['difference_low'])}) below the one of {row['opponent']}"
        for row in shown
    ]
    if len(overall) > 1:
        leads[0] += ", the next best"
    return ", and ".join(leads)


def coverage(report: Report) -> str:
    """Share of the intervals that held in the test span; empty where nothing was counted in it."""
    parts = [
        f"{row['coverage']:.1f} % of {row['cells']:,} cells of {row['moves']} moves,"
        f" at a mean width of {row['mean_width']:.1f} points"
        for row in report.coverage
    ]
    if not parts:
        return ""
    return (
        f"95 % intervals of the training span hold the share of the test span in"
        f" {' and '.join(parts)}"
    )


def odds(report: Report) -> str:
    """The sentence about the tenths of the best model; empty where they were not kept."""
    rows = report.odds_of(report.best)
    if not rows:
        return ""
    inside = sum(holds(row) for row in rows)
    return (
        f"Between 0.2 and 99.8 %, by tenths of the log-odds, what {report.best} said lies inside"
        f" the 95 % interval of what came true in {inside} of {len(rows)}"
    )


def holds(row: Row) -> bool:
    """True if the prediction lies inside the interval of what came true."""
    return bool(row["observed_low"] <= row["probability"] <= row["observed_high"])


ODDS_HEAD = ("percent", "questions", "said", "came true", "95 %", "inside")


def odds_cells(row: Row) -> tuple[str, ...]:
    """Cells of a tenth of the log-odds, under ODDS_HEAD; percent."""
    return (
        f"{points(row['prob_from'])} to {points(row['prob_to'])}",
        f"{row['questions']:,}",
        points(row["probability"]),
        points(row["observed"]),
        interval(row, "observed", points),
        "yes" if holds(row) else "no",
    )


PROFIT_HEAD = ("edges above", "model", "contracts", "won", "cost", "edge", "profit", "95 %")


def profit_cells(row: Row) -> tuple[str, ...]:
    """Cells of what buying every edge brought, under PROFIT_HEAD; cents per contract."""
    return (
        f"{row['min_edge']:g} c",
        row["model"],
        f"{row['contracts']:,}",
        f"{row['wins']:,}",
        points(row["cost"]),
        points(row["edge"]),
        points(row["profit"]),
        interval(row, "profit", points),
    )


def part_name(dimension: str, part: int, step: float, *, is_band: bool = False) -> str:
    """`is_band`: minutes are the end of a band of times."""
    match dimension:
        case "minutes" if is_band:
            return f"to {part} min"
        case "minutes":
            return f"{part} min"
        case "distance":
            return f"{part * step:,.10g} away" if part else "nearest"
        case "hour":
            return f"{part:02d}:00"
        case "regime":
            return f"{part} {_REGIMES.get(part, '')}".strip()
        case _:
            return "all"


def loss(value: float | None) -> str:
    """A log loss or a Brier score."""
    return "" if value is None else f"{value:.5f}"


def small(value: float | None) -> str:
    """Difference of two of them."""
    # Without the sign of a number that is rounded to nothing.
    return "" if value is None else f"{round(value, 5) + 0.0:.5f}"


def points(value: float | None) -> str:
    """Percent, or percentage points."""
    return "" if value is None else f"{value:.2f}"


def interval(row: Row, name: str, number: Callable[[float | None], str] = loss) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return "" if low is None else f"{number(low)} to {number(high)}"


def lead_cells(lead: Row | None) -> tuple[str, str]:
    """Cells of the difference between a model's log loss and that of the best other one."""
    if lead is None:
        return "", ""
    sign = "+" if lead["difference"] > 0 else ""
    return f"{sign}{small(lead['difference'])}", interval(lead, "difference", small)


def span(since: datetime, until: datetime) -> str:
    """Days where both are full days, of which the last one is named; else instants."""
    if since.time() == until.time() == datetime.min.time():
        return f"{since:%Y-%m-%d} to {until - _DAY:%Y-%m-%d}"
    return f"{since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M}"

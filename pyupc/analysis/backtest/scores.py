"""Read what a backtest found: its settings, scores, reliability and verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.rows import dict_row

from pyupc.analysis.backtest.steps import Connection
from pyupc.errors import PyupcError

Row = dict[str, Any]

DIMENSIONS = ("all", "minutes", "distance", "hour", "regime")

# Those of a backtest against the market.
MARKET_DIMENSIONS = ("all", "minutes", "hour")

# Draws of the days. Bounds of many parts need not be as exact as those of all questions.
RESAMPLES: Mapping[str, int] = {
    "all": 1000,
    "minutes": 1000,
    "distance": 200,
    "hour": 200,
    "regime": 1000,
}


@dataclass(frozen=True)
class Report:
    """A row of upc.backtest_list, and what the functions of the report answered about it.

    `scores` has the dimensions that were asked for; `verdict` is empty for a single model,
    `coverage` where no moves were counted, `odds` of a backtest that was run before it was kept,
    `profits` but for those against the market.
    """

    settings: Row
    scores: Mapping[str, Sequence[Row]]
    reliability: Sequence[Row]
    odds: Sequence[Row]
    verdict: Sequence[Row]
    coverage: Sequence[Row]
    profits: Sequence[Row] = ()

    @property
    def models(self) -> list[str]:
        """In the order in which they were asked for."""
        return list(self.settings["models"])

    @property
    def symbol(self) -> str:
        return str(self.settings["symbol"])

    def overall(self, model: str) -> Row:
        return next(row for row in self.scores["all"] if row["model"] == model)

    def odds_of(self, model: str) -> list[Row]:
        return [row for row in self.odds if row["model"] == model]

    @property
    def best(self) -> str:
        """The model with the lowest log loss."""
        return str(min(self.scores["all"], key=lambda row: row["log_loss"])["model"])

    def verdict_on(self, minutes: int | None) -> list[Row]:
        """The best model against each opponent, the strongest first."""
        return [row for row in self.verdict if row["minutes"] == minutes]

    def lead(self, model: str) -> Row | None:
        """Of its log loss over that of the best other model: difference and interval."""
        overall = self.verdict_on(None)
        if not overall:
            return None
        if model == overall[0]["model"]:
            return {name: overall[0][name] for name in _DIFFERENCE}
        row = next(row for row in overall if row["opponent"] == model)
        low, high = row["difference_low"], row["difference_high"]
        return dict(zip(_DIFFERENCE, (-row["difference"], -high, -low), strict=True))


_DIFFERENCE = ("difference", "difference_low", "difference_high")


def read(
    conn: Connection,
    symbol: str,
    backtest_id: int,
    dimensions: Sequence[str] = DIMENSIONS,
    *,
    has_bounds: bool = True,
) -> Report:
    """The report; UP022 if the backtest is not complete.

    Without `has_bounds` parts have no intervals, which take most of the time.
    """
    with conn.cursor(row_factory=dict_row) as cursor:

        def rows(query: str, *parameters: Any) -> list[Row]:
            return cursor.execute(query.encode(), [symbol, backtest_id, *parameters]).fetchall()

        cursor.execute("SELECT upc.require_backtest(%s, %s)", [symbol, backtest_id])
        [settings] = rows(
            "SELECT l.* FROM upc.backtest_list AS l WHERE l.symbol = %s AND l.backtest_id = %s"
        )
        is_market = settings["kind"] == "market"
        scores = {
            each: rows(
                "SELECT s.* FROM upc.backtest_scores(%s, %s, %s, %s) AS s",
                each,
                RESAMPLES[each] if has_bounds or each == "all" else 0,
            )
            for each in dimensions
            if not is_market or each in MARKET_DIMENSIONS
        }
        return Report(
            settings,
            scores,
            rows("SELECT r.* FROM upc.backtest_reliability(%s, %s) AS r"),
            rows("SELECT o.* FROM upc.backtest_odds(%s, %s) AS o"),
            rows("SELECT v.* FROM upc.backtest_verdict(%s, %s) AS v"),
            [] if is_market else rows("SELECT c.* FROM upc.backtest_coverage(%s, %s) AS c"),
            rows("SELECT p.* FROM upc.backtest_profits(%s, %s) AS p") if is_market else [],
        )


def compared(conn: Connection, symbol: str, numbers: tuple[int, int]) -> list[Row]:
    """Rows of upc.backtest_comparison, each with symbol and numbers; UP022 if they differ."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            """
            SELECT %(symbol)s AS symbol, %(one)s AS backtest_id, %(other)s AS other_id, c.*
            FROM upc.backtest_comparison(%(symbol)s, %(one)s, %(other)s) AS c
            """,
            {"symbol": symbol, "one": numbers[0], "other": numbers[1]},
        ).fetchall()


def symbol_of(conn: Connection, backtest_id: int) -> str:
    """Symbol of a backtest."""
    row = conn.execute(
        "SELECT b.symbol FROM upc_data.backtest AS b WHERE b.backtest_id = %s", [backtest_id]
    ).fetchone()
    if row is None:
        raise PyupcError(
            f"there is no backtest {backtest_id}", "see which there are: pyupc backtest --list"
        )
    return str(row[0])


def backtests(conn: Connection, symbols: Sequence[str]) -> list[Row]:
    """All backtests of the symbols (none: of all), complete or not, the newest first."""
    for symbol in symbols:
        conn.execute("SELECT upc.require_symbol(%s)", [symbol])
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            """
            SELECT l.* FROM upc.backtest_list AS l
            WHERE %(all)s OR l.symbol = ANY (%(symbols)s)
            ORDER BY l.backtest_id DESC
            """,
            {"all": not symbols, "symbols": list(symbols)},
        ).fetchall()

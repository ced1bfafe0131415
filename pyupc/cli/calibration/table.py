"""Tables of calibration and edges: a summary line, and the tables below it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import click

from pyupc.cli.common.columns import print_columns
from pyupc.runtime.printable import printable

Row = dict[str, Any]

_UNKNOWN = "-"


def print_scores(rows: Sequence[Row]) -> None:
    for number, (name, own) in enumerate(_groups(rows)):
        if number:
            click.echo()
        [total] = [row for row in own if row["minutes_from"] is None and row["bin"] is None]
        click.echo(
            f"{name}: {_count(total['questions'], 'question')} of"
            f" {_count(total['events'], 'event')}, Brier score {total['brier_score']:.4f},"
            f" log loss {total['log_loss']:.4f},"
            f" calibration error {total['calibration_error']:.2f} points"
        )
        click.echo()
        print_columns(
            ("predicted %", "questions", "events", "mean", "came true", "95 % from", "to"),
            [
                (
                    f"{row['prob_from']}-{row['prob_to']}",
                    f"{row['questions']:,}",
                    f"{row['events']:,}",
                    *(
                        f"{row[column]:.2f}"
                        for column in (
                            *("mean_probability", "observed_frequency"),
                            *("frequency_low", "frequency_high"),
                        )
                    ),
                )
                for row in own
                if row["minutes_from"] is None and row["bin"] is not None
            ],
            left=1,
        )
        click.echo()
        print_columns(
            ("minutes", "questions", "events", "Brier", "log loss", "error"),
            [
                (
                    f"{row['minutes_from']}-{row['minutes_to']}",
                    f"{row['questions']:,}",
                    f"{row['events']:,}",
                    f"{row['brier_score']:.4f}",
                    f"{row['log_loss']:.4f}",
                    f"{row['calibration_error']:.2f}",
                )
                for row in own
                if row["minutes_from"] is not None and row["bin"] is None
            ],
            left=1,
        )


def print_edges(rows: Sequence[Row]) -> None:
    for number, (name, own) in enumerate(_groups(rows)):
        if number:
            click.echo()
        click.echo(f"{name}: cents per contract, after the taker's fee")
        click.echo()
        print_columns(
            ("side", "edge", "contracts", "events", "promised", "paid", "95 % from", "to", "won"),
            [
                (
                    row["side"],
                    _band(row),
                    f"{row['contracts']:,}",
                    f"{row['events']:,}",
                    *(
                        _cents(row[column])
                        for column in ("mean_edge", "mean_profit", "profit_low", "profit_high")
                    ),
                    f"{row['win_share']:.1f} %",
                )
                for row in own
            ],
            left=2,
        )


def print_basis(rows: Sequence[Row]) -> None:
    """Print a line per source; bp are basis points."""
    for number, (symbol, own) in enumerate(groupby(rows, lambda row: str(row["symbol"]))):
        if number:
            click.echo()
        click.echo(f"{printable(symbol)}: last minutes above what settled, basis points")
        click.echo()
        print_columns(
            (
                *("source", "settlements", "left out", "mean", "spread", "drift"),
                *("error", "corrected", "contracts", "wrong", "corrected", "changed"),
            ),
            [
                (
                    printable(row["source"]),
                    f"{row['settlements']:,}",
                    f"{row['left_out']:,}",
                    _cents(row["mean_bp"]),
                    _size(row["spread_bp"]),
                    _cents(row["drift_bp"]),
                    _size(row["error_bp"]),
                    _size(row["corrected_error_bp"]),
                    *(
                        f"{row[column]:,}"
                        for column in ("contracts", "wrong", "wrong_corrected", "changed")
                    ),
                )
                for row in own
            ],
            left=1,
        )


def _groups(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    for _, own in groupby(
        rows, lambda row: (row["symbol"], row["model"], row["method"], row["settlement"])
    ):
        members = list(own)
        yield _name(members[0]), members


def _name(row: Row) -> str:
    return printable(
        f"{row['symbol']}, {row['model']}:{row['method']}, settled by the {row['settlement']}"
    )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _band(row: Row) -> str:
    """Band of edges: above the first bound, up to the second."""
    match row["edge_from"], row["edge_to"]:
        case None, None:
            return "all above 0" if row["is_promised"] else "all others"
        case None, high:
            return f"up to {high}"
        case low, None:
            return f"above {low}"
        case low, high:
            return f"{low} to {high}"
    raise AssertionError(row)


def _cents(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:+.2f}"


def _size(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:.2f}"

"""`pyupc strikes`: the rows of compute_strikes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import click
import psycopg
from psycopg.rows import dict_row

from pyupc.cli import strike_models
from pyupc.cli.options import (
    Kinds,
    NegativeNumbers,
    asked,
    examples,
    legacy,
    method,
    model,
    settlement,
    symbols,
)
from pyupc.cli.output import Output, output_options, print_rows
from pyupc.errors import PyupcError, UsageProblem

Row = dict[str, Any]

DEFAULT_SYMBOL = "BTC"
WITHOUT_CANDLES_HINT = "name a price, or load candles first: pyupc candles load FILE --symbol {}"

# At the end of time a replay shows the last close, and says since when it is known.
_LAST_CLOSE = """
    SELECT p.price, p.priced_at, m.momentum
    FROM upc.replay_price(symbol => %(symbol)s::text, at => 'infinity') AS p
    CROSS JOIN LATERAL upc.momentum(symbol => %(symbol)s::text, at => p.priced_at) AS m
"""

_STRIKES = """
    SELECT s.*, q.stand_in
    FROM upc.complete_question(
        symbol => %(symbol)s::text,
        ttc_seconds => %(ttc)s::integer,
        method => %(method)s::text,
        model => %(model)s::text,
        settlement => %(settlement)s::text
    ) AS q
    CROSS JOIN LATERAL upc.compute_strikes(
        price => %(price)s::double precision,
        momentum => %(momentum)s::double precision,
        symbol => %(symbol)s::text,
        ttc_seconds => q.used_ttc_seconds,
        step => %(step)s::double precision,
        levels => %(levels)s::integer,
        method => q.used_method,
        model => q.used_model,
        settlement => q.used_settlement,
        observed => q.observed
    ) AS s
"""

_DECIMALS = {
    "buffer": 2,
    "move_percent": 3,
    "prob_beyond": 2,
    "prob_within": 2,
    "positive_prob": 2,
    "negative_prob": 2,
    "prob_above": 2,
    "prob_low": 2,
    "prob_high": 2,
    "deviation": 4,
}

_NAMES = (
    "strike",
    "buffer",
    "move_percent",
    "direction",
    "prob_beyond",
    "prob_within",
    "positive_prob",
    "negative_prob",
    "prob_above",
    "prob_low",
    "prob_high",
    "sample_size",
)

# As compute_strikes returns them.
_RETURNED = (*_NAMES[:9], "sample_size", "fingerprint", "prob_low", "prob_high", "deviation")

# What fits from a width of the terminal on; all that differs between rows, or the essence of it.
_COLUMNS: tuple[tuple[int, tuple[str, ...]], ...] = (
    (124, _NAMES),
    (74, ("strike", "move_percent", "prob_within", "prob_above", "prob_low", "prob_high")),
    (50, ("strike", "move_percent", "prob_within", "prob_above")),
    (0, ("strike", "prob_above")),
)


@dataclass(frozen=True)
class Basis:
    """What the strikes are computed from; `priced_at` is None if the price was given."""

    symbol: str
    price: float
    momentum: float | None
    priced_at: datetime | None = None

    def document(self) -> Row:
        """What a row must say that the caller has not: nothing if the price was given."""
        if self.priced_at is None:
            return {}
        return {**vars(self), "priced_at": self.priced_at.isoformat()}


@click.command(
    cls=NegativeNumbers,
    epilog=examples(
        "pyupc strikes 97250 7",
        "pyupc strikes 97250 -7 --ttc 900 --levels 3",
        "pyupc strikes 3120.5 --symbol ETH --json",
        "pyupc strikes 97250 --ttc 900 --model shrunk --settlement close",
        "pyupc strikes 97250 7 --legacy",
        "pyupc strikes --all-models --ttc 900",
        "pyupc strikes --csv > strikes.csv",
        "pyupc strikes   # at the last stored close of every symbol",
    ),
)
@click.argument("price", type=float, required=False)
@click.argument("momentum", type=float, required=False)
@symbols
@click.option(
    "--ttc", type=int, metavar="SECONDS", help="To the close. Default: to the next full hour."
)
@click.option("--step", type=float, metavar="USD", help="Between strikes. Default: the symbol's.")
@click.option(
    "--levels", type=int, default=10, show_default=True, help="Strikes below and above the nearest."
)
@method
@model
@settlement
@legacy
@click.option("--all-models", is_flag=True, help="All models side by side.")
@output_options
def command(
    price: float | None,
    momentum: float | None,
    symbols: tuple[str, ...],
    ttc: int | None,
    step: float | None,
    levels: int,
    method: str | None,
    model: str | None,
    settlement: str | None,
    legacy: bool,
    all_models: bool,
    output: Output,
) -> None:
    """Print the probability of every strike around PRICE, in percent.

    MOMENTUM is in basis points; without it the baseline answers. Without PRICE it is the last
    stored close of the symbol, with its momentum. Where the default model or settlement cannot
    answer, momentum and the close stand in, and stderr says so. prob_low and prob_high are the 95 %
    interval of prob_above for as many independent minutes as stand behind it. The model volatility
    forecasts as of the newest stored candle.
    """
    if price is not None and len(symbols) > 1:
        raise UsageProblem("a price belongs to one symbol", "name one --symbol, or no price")

    kinds = asked(legacy, Kinds(model, method, settlement))

    from pyupc.database import schema
    from pyupc.database.connect import connect

    options = {"ttc": ttc, "step": step, "levels": levels, **kinds._asdict()}
    with connect(application_name="pyupc strikes") as conn:
        schema.check(conn)
        if price is not None:
            bases = [Basis(symbols[0] if symbols else DEFAULT_SYMBOL, price, momentum)]
        else:
            bases = _last_closes(conn, symbols)
        answers = [(basis, _answer(conn, basis, options, all_models)) for basis in bases]

    for basis in bases:
        _tell(basis)
    rows = [{**basis.document(), **row} for basis, found in answers for row in found]
    if output.is_json:
        click.echo(json.dumps(rows, indent=1))
    else:
        names = strike_models.COLUMNS if all_models else _RETURNED
        columns = (*bases[0].document(), *names)
        print_rows(rows, output, human=lambda: _print(answers), columns=columns)


def _answer(
    conn: psycopg.Connection[Any], basis: Basis, options: Row, all_models: bool
) -> list[Row]:
    stand_ins: list[str | None] = []

    def ask(model: str | None) -> list[Row]:
        rows, stand_in = _strikes(conn, basis, {**options, "model": model})
        stand_ins.append(stand_in)
        return rows

    found = strike_models.side_by_side(ask) if all_models else ask(options["model"])
    for stand_in in {*stand_ins} - {None}:
        click.echo(f"{basis.symbol}: {stand_in}, which cannot be told right now", err=True)
    return found


def _last_closes(conn: psycopg.Connection[Any], symbols: tuple[str, ...]) -> list[Basis]:
    """Of the symbols named all must have candles; of all that are registered, one must."""
    names = symbols or _registered(conn)
    bases = [basis for name in names if (basis := _last_close(conn, name)) is not None]
    missing = [name for name in names if name not in {basis.symbol for basis in bases}]
    if missing and (symbols or not bases):
        raise PyupcError(
            f"there is no candle of {', '.join(missing)}", WITHOUT_CANDLES_HINT.format(missing[0])
        )
    for name in missing:
        click.echo(f"{name}: no candle", err=True)
    if not bases:
        raise PyupcError("no symbol is registered", "add one to upc_data.symbol")
    return bases


def _registered(conn: psycopg.Connection[Any]) -> tuple[str, ...]:
    rows = conn.execute("SELECT s.symbol FROM upc_data.symbol AS s ORDER BY s.symbol")
    return tuple(row[0] for row in rows)


def _last_close(conn: psycopg.Connection[Any], symbol: str) -> Basis | None:
    row = conn.execute(_LAST_CLOSE, {"symbol": symbol}).fetchone()
    if row is None or row[0] is None:
        return None
    price, priced_at, momentum = row
    return Basis(symbol, price, momentum, priced_at)


def _strikes(
    conn: psycopg.Connection[Any], basis: Basis, options: Row
) -> tuple[list[Row], str | None]:
    """The rows, and what stands in for a default that cannot be answered."""
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_STRIKES, {**vars(basis), **options}).fetchall()
    stand_ins = {row.pop("stand_in") for row in rows}
    return rows, next(iter(stand_ins), None)


def _tell(basis: Basis) -> None:
    if basis.priced_at is not None:
        momentum = "unknown" if basis.momentum is None else f"{basis.momentum:.2f} bp"
        instant = f"{basis.priced_at:%Y-%m-%d %H:%M:%SZ}"
        click.echo(
            f"{basis.symbol}: price {basis.price:.2f} of {instant}, momentum {momentum}", err=True
        )


def _print(answers: Sequence[tuple[Basis, list[Row]]]) -> None:
    if sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown"):
        for basis, rows in answers:
            _print_rich(f"{basis.symbol} {basis.price:,.2f}", rows)
        return
    for number, (_, rows) in enumerate(answers):
        if number:
            click.echo()
        lines = [list(rows[0]) if rows else [], *(_cells(row) for row in rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for line in lines:
            cells = [cell.rjust(width) for cell, width in zip(line, widths, strict=True)]
            click.echo("  ".join(cells))


def _print_rich(title: str, rows: list[Row]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False)
    if rows and "prob_low" in rows[0]:
        shown = next(names for width, names in _COLUMNS if console.width >= width)
    else:
        shown = strike_models.COLUMNS
    for name in shown:
        table.add_column(name.replace("_", " "), justify="right")
    for row in rows:
        cells = _cells({name: row[name] for name in shown})
        table.add_row(*cells, style="bold" if row["direction"] == "above" else "")
    if rows and "fingerprint" in rows[0]:
        table.caption = rows[0]["fingerprint"]
    console.print(table)


def _cells(row: Row) -> list[str]:
    return [_cell(name, value) for name, value in row.items()]


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name in strike_models.COLUMNS and name not in strike_models.COMMON:
        return f"{value:.2f}"
    if name in _DECIMALS:
        return f"{value:.{_DECIMALS[name]}f}"
    return f"{value:.10g}" if isinstance(value, float) else str(value)

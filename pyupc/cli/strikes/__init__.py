"""`pyupc strikes`: the rows of compute_strikes."""

from __future__ import annotations

import json
from typing import Any

import click
import psycopg

from pyupc.cli.common.options import (
    Kinds,
    NegativeNumbers,
    chosen_kinds,
    examples,
    legacy,
    method,
    model,
    settlement,
    symbols,
)
from pyupc.cli.common.output import Output, output_options, print_rows
from pyupc.cli.strikes import models
from pyupc.cli.strikes.lookup import COLUMNS, Basis, Row, last_closes, strikes
from pyupc.cli.strikes.table import print_strikes
from pyupc.errors import UsageProblem
from pyupc.price_text import price_text

DEFAULT_SYMBOL = "BTC"


@click.command(
    cls=NegativeNumbers,
    epilog=examples(
        "pyupc strikes 97250 7",
        "pyupc strikes 97250 -7 --ttc 900 --levels 3",
        "pyupc strikes 3120.5 --symbol ETH --json",
        "pyupc strikes 97250 --ttc 900 --model momentum --settlement close",
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
    "--ttc", type=int, metavar="SECONDS", help="Time to the close. Default: to the next full hour."
)
@click.option(
    "--step", type=float, metavar="USD", help="Distance between strikes. Default: the symbol's."
)
@click.option(
    "--levels", type=int, default=10, show_default=True, help="Strikes on each side of the nearest."
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
    """Print the probability in percent of strikes around PRICE.

    MOMENTUM is in basis points; without it the baseline is used. PRICE and momentum default to
    those of the symbol's last stored close. If the default model or settlement has no answer, model
    momentum or settlement close is used, and stderr reports it. prob_low and prob_high are the 95 %
    interval of prob_above, for the number of independent minutes in the sample. The model
    volatility forecasts from the newest stored candle.
    """
    if price is not None and len(symbols) > 1:
        raise UsageProblem("a price is of one symbol", "give one --symbol, or no price")

    kinds = chosen_kinds(legacy, Kinds(model, method, settlement))

    from pyupc.database import schema
    from pyupc.database.connect import connect

    options = {"ttc": ttc, "step": step, "levels": levels, **kinds._asdict()}
    with connect(application_name="pyupc strikes") as conn:
        schema.check(conn)
        if price is not None:
            bases = [Basis(symbols[0] if symbols else DEFAULT_SYMBOL, price, momentum)]
        else:
            bases = last_closes(conn, symbols)
        answers = [(basis, _answer(conn, basis, options, all_models)) for basis in bases]

    for basis in bases:
        _print_basis(basis)
    rows = [{**basis.document(), **row} for basis, found in answers for row in found]
    if output.is_json:
        click.echo(json.dumps(rows, indent=1))
    else:
        names = models.COLUMNS if all_models else COLUMNS
        columns = (*bases[0].document(), *names)
        print_rows(rows, output, human=lambda: print_strikes(answers), columns=columns)


def _answer(
    conn: psycopg.Connection[Any], basis: Basis, options: Row, all_models: bool
) -> list[Row]:
    stand_ins: list[str | None] = []

    def ask(model: str | None) -> list[Row]:
        rows, stand_in = strikes(conn, basis, {**options, "model": model})
        stand_ins.append(stand_in)
        return rows

    found = models.side_by_side(ask) if all_models else ask(options["model"])
    for stand_in in {*stand_ins} - {None}:
        click.echo(f"{basis.symbol}: {stand_in}", err=True)
    return found


def _print_basis(basis: Basis) -> None:
    """Print a stored price, with its time and momentum, to stderr."""
    if basis.priced_at is not None:
        momentum = "unknown" if basis.momentum is None else f"{basis.momentum:.2f} bp"
        instant = f"{basis.priced_at:%Y-%m-%d %H:%M:%SZ}"
        price = price_text(basis.price)
        click.echo(f"{basis.symbol}: price {price} of {instant}, momentum {momentum}", err=True)

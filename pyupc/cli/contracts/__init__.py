"""`pyupc contracts`: the rows of contract_table."""

from __future__ import annotations

import math

import click

from pyupc.cli.common.options import (
    Kinds,
    chosen_kinds,
    examples,
    legacy,
    method,
    model,
    settlement,
    symbols,
)
from pyupc.cli.common.output import Output, output_options, print_rows
from pyupc.cli.common.simulated import say_if_simulated
from pyupc.cli.contracts.lookup import COLUMNS, Choice, contracts
from pyupc.cli.contracts.table import print_contracts
from pyupc.errors import UsageProblem


def _finite(ctx: click.Context, parameter: click.Parameter, cents: float | None) -> float | None:
    if cents is not None and not math.isfinite(cents):
        raise click.BadParameter(f"{cents} is not finite", ctx, parameter)
    return cents


@click.command(
    epilog=examples(
        "pyupc contracts",
        "pyupc contracts BTC --price 97250",
        "pyupc contracts BTC --price 97250 --min-edge 2",
        "pyupc contracts --series KXBTCD --series KXBTC15M --json",
        "pyupc contracts BTC --price 97250 --legacy --all --csv > contracts.csv",
    )
)
@click.argument("names", nargs=-1, metavar="[SYMBOL]…")
@symbols
@click.option(
    "--series",
    multiple=True,
    metavar="SERIES",
    help="KXBTCD, KXBTC15M, …; repeatable. Default: every series that is followed.",
)
@click.option(
    "--min-edge",
    type=float,
    callback=_finite,
    metavar="CENTS",
    help="Only contracts with a side whose edge is at least that many cents.",
)
@click.option(
    "--price", type=float, metavar="USD", help="Price of one symbol. Default: the price log's."
)
@click.option("--all", "has_all", is_flag=True, help="Also those without quotes that are decided.")
@method
@model
@settlement
@legacy
@output_options
def command(
    names: tuple[str, ...],
    symbols: tuple[str, ...],
    series: tuple[str, ...],
    min_edge: float | None,
    price: float | None,
    has_all: bool,
    method: str | None,
    model: str | None,
    settlement: str | None,
    legacy: bool,
    output: Output,
) -> None:
    """Print open contracts with their probability, quotes and edges.

    A contract pays a dollar if the value that settles it is at least `lower` and below `upper`.
    Probabilities are in percent, prices in dollars, fees and edges in cents per contract for an
    order of edge_contracts. Where there is no edge, `edge_reason` gives the reason.

    Left out are contracts without any quote whose probability is below 0.5 or above 99.5; --all
    prints them, too. Price and momentum are those of the price log. With --price the baseline
    answers instead of the momentum bucket.
    """
    chosen = tuple(dict.fromkeys((*(name.strip().upper() for name in names), *symbols)))
    if price is not None and len(chosen) != 1:
        raise UsageProblem("a price is of one symbol", "name one symbol, or leave --price out")
    kinds = chosen_kinds(legacy, Kinds(model, method, settlement))
    choice = Choice(
        tuple(dict.fromkeys(name.strip().upper() for name in series)), min_edge, has_all
    )

    from pyupc.database import schema
    from pyupc.database.connect import connect

    with connect(application_name="pyupc contracts") as conn:
        schema.check(conn)
        say_if_simulated(conn)
        rows = contracts(conn, chosen, choice, {"price": price, **kinds._asdict()})
    print_rows(rows, output, human=lambda: print_contracts(rows), columns=COLUMNS)

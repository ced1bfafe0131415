"""`pyupc bets`: the rows of best_bets."""

from __future__ import annotations

import click

from pyupc.cli.bets.lookup import COLUMNS, bets
from pyupc.cli.bets.table import print_bets
from pyupc.cli.common.options import examples, symbols
from pyupc.cli.common.output import Output, output_options, print_rows
from pyupc.cli.common.simulated import say_if_simulated


@click.command(
    epilog=examples(
        "pyupc bets",
        "pyupc bets BTC --most 10",
        "pyupc bets BTC --json | jq -r '.[0].command'",
    )
)
@click.argument("names", nargs=-1, metavar="[SYMBOL]…")
@symbols
@click.option(
    "--most", type=click.IntRange(1, 1000), default=3, show_default=True, help="How many of each."
)
@output_options
def command(names: tuple[str, ...], symbols: tuple[str, ...], most: int, output: Output) -> None:
    """Print what is worth buying, the best first.

    Of the contracts of the last tick those are worth buying whose edge is above 0 at the end of its
    interval that is worse for the side. Of one event there is one bet on yes and one on no at most.
    Probabilities are in percent, asks in dollars, fees and edges in cents per contract.

    `count` is how many to buy: `pyupc config set bankroll 1000` tells what from. `command` records
    the trade once it is made; pyupc places no orders. Nothing is printed of a tick that is stale.
    """
    chosen = tuple(dict.fromkeys((*(name.strip().upper() for name in names), *symbols)))

    from pyupc.database import schema
    from pyupc.database.connect import connect

    with connect(application_name="pyupc bets") as conn:
        schema.check(conn)
        say_if_simulated(conn)
        found = bets(conn, chosen, most)
    rows = [row for each in found for row in each.rows]
    print_rows(rows, output, human=lambda: print_bets(found), columns=COLUMNS)

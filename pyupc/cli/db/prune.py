"""`pyupc db prune`: delete expired rows."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from pyupc.cli.common.options import examples
from pyupc.cli.common.output import Output, output_options, print_rows

if TYPE_CHECKING:
    from pyupc.database.prune import Deleted


@click.command(epilog=examples("pyupc db prune", "pyupc db prune --batch 1000 --json"))
@click.option(
    "--batch",
    type=click.IntRange(1, 1_000_000),
    default=5000,
    show_default=True,
    metavar="N",
    help="Rows deleted at a time, at most, per symbol and table.",
)
@output_options
def prune(batch: int, output: Output) -> None:
    """Delete expired rows, and thin out the log of ticks.

    A running `pyupc tick` does a part of it every minute; this command does all of it. The rules
    keep_prices (45 days), keep_every_tick (2 days), keep_ticks (90 days: one tick a minute, and
    announcements), keep_contracts (30 days: the log of contracts) and keep_events (30 days) set the
    age; 'infinity' keeps everything:
    pyupc config set keep_ticks '1 year'.
    """
    from pyupc.database import schema
    from pyupc.database.connect import connect
    from pyupc.database.prune import prune as delete_old
    from pyupc.runtime.progress import working

    with connect(application_name="pyupc db prune") as conn:
        schema.check(conn)
        with working("deleting expired rows") as show_progress:
            deleted = delete_old(conn, batch, lambda done: show_progress(_sentence(done)))
    if output.is_json:
        import json

        click.echo(json.dumps(asdict(deleted)))
    else:
        print_rows([asdict(deleted)], output, human=lambda: click.echo(_sentence(deleted)))


def _sentence(deleted: Deleted) -> str:
    return (
        f"{deleted.prices:,} prices, {deleted.ticks:,} ticks, {deleted.announcements:,} "
        f"announcements, {deleted.events:,} events and {deleted.contracts:,} rows of contracts "
        "deleted, "
        f"{deleted.thinned:,} ticks thinned out"
    )

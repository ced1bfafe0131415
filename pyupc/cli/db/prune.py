"""`pyupc db prune`."""

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
    help="How many rows at most of a symbol and table are deleted at a time.",
)
@output_options
def prune(batch: int, output: Output) -> None:
    """Delete prices, ticks and announcements that are older than they are kept.

    A running `pyupc tick` does this by itself, a batch a minute; here it is done until nothing is
    left. The rules keep_prices (30 days) and keep_ticks (90 days, announcements too) say how long;
    'infinity' keeps all: pyupc config set keep_ticks '1 year'.
    """
    from pyupc.database import schema
    from pyupc.database.connect import connect
    from pyupc.database.prune import prune as delete_old
    from pyupc.runtime.progress import working

    with connect(application_name="pyupc db prune") as conn:
        schema.check(conn)
        with working("deleting what is older than it is kept") as tell:
            deleted = delete_old(conn, batch, lambda done: tell(_sentence(done)))
    if output.is_json:
        import json

        click.echo(json.dumps(asdict(deleted)))
    else:
        print_rows([asdict(deleted)], output, human=lambda: click.echo(_sentence(deleted)))


def _sentence(deleted: Deleted) -> str:
    return (
        f"{deleted.prices:,} prices, {deleted.ticks:,} ticks and "
        f"{deleted.announcements:,} announcements deleted"
    )

"""`pyupc candles`: the price history."""

from __future__ import annotations

import click

from pyupc.cli.candles.backfill import backfill
from pyupc.cli.candles.gaps import gaps
from pyupc.cli.candles.load import load
from pyupc.cli.common.options import examples


@click.group(epilog=examples("pyupc candles load --help", "pyupc candles gaps"))
def command() -> None:
    """Bring the price history, candles of one minute, into the database."""


for each in (backfill, gaps, load):
    command.add_command(each)

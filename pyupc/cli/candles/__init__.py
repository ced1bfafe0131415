"""`pyupc candles`: the price history."""

from __future__ import annotations

import click

from pyupc.cli.candles.backfill import backfill
from pyupc.cli.candles.gaps import gaps
from pyupc.cli.candles.load import load
from pyupc.cli.common.options import examples


@click.group(epilog=examples("pyupc candles load --help", "pyupc candles gaps"))
def command() -> None:
    """Load, fetch and check one-minute candles, the price history."""


for each in (backfill, gaps, load):
    command.add_command(each)

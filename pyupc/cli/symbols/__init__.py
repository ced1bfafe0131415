"""`pyupc symbols`: register, list and retire symbols."""

from __future__ import annotations

import click

from pyupc.cli.common.options import examples
from pyupc.cli.symbols.add import add
from pyupc.cli.symbols.list import list_
from pyupc.cli.symbols.retire import retire


@click.group(epilog=examples("pyupc symbols list", "pyupc symbols add SOL --step 2"))
def command() -> None:
    """Register, list and retire symbols.

    Feeds and ticks of all symbols take up a new one, and drop one that is retired, by themselves.
    """


for each in (add, list_, retire):
    command.add_command(each)

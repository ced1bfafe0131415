"""`pyupc fingerprints`: build, list, show and move them."""

from __future__ import annotations

import click

from pyupc.cli.common.options import examples
from pyupc.cli.fingerprints.build import build
from pyupc.cli.fingerprints.catalogue import list_, show
from pyupc.cli.fingerprints.transfer import export, import_, use
from pyupc.cli.fingerprints.validate import validate


@click.group(epilog=examples("pyupc fingerprints build", "pyupc fingerprints list --symbol BTC"))
def command() -> None:
    """Build, list, show and move fingerprints.

    A fingerprint holds how far prices moved, and how often.
    """


for each in (import_, export, validate, use, build, list_, show):
    command.add_command(each)

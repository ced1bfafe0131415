"""What the commands that read fingerprints share: where from, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pyupc.cli.common.options import one_symbol
from pyupc.errors import UsageProblem
from pyupc.runtime.printable import printable
from pyupc.runtime.progress import counting

if TYPE_CHECKING:
    from pyupc.fingerprints.transfer.fingerprint import FingerprintSet, Problem
    from pyupc.fingerprints.transfer.store import Connection

_SHOWN = 20

# Whether it can be read is found out by reading it.
FOLDER = click.Path(readable=False, path_type=Path)


def source(function: Callable[..., None]) -> Callable[..., None]:
    """The arguments of a command that reads a set: a folder, or tables on a server."""
    for option in (
        click.option("--schema", default="analytics", show_default=True, help="Of the tables."),
        click.option(
            "--from-dsn",
            metavar="DSN",
            help="Read the predecessor's tables there instead of files; nothing is written there.",
        ),
        one_symbol("BTC, ETH, …; may be left out: names of files and tables say it."),
        click.argument("folder", metavar="DIR", required=False, type=FOLDER),
    ):
        function = option(function)
    return function


def connected() -> Connection:
    """A connection to a database whose schema is this program's."""
    from pyupc.database import schema
    from pyupc.database.connect import connect

    conn = connect(application_name="pyupc fingerprints")
    try:
        schema.check(conn)
    except BaseException:
        conn.close()
        raise
    return conn


def read(
    folder: Path | None, symbol: str | None, from_dsn: str | None = None, schema: str = "analytics"
) -> FingerprintSet:
    """The set in a folder or on a server; what is wrong with it is said, the first lines of it."""
    from pyupc.fingerprints.transfer.fingerprint import Refused

    if (folder is None) == (from_dsn is None):
        raise UsageProblem("name a folder, or a server with --from-dsn", "see --help")
    try:
        with counting("reading", "fingerprints") as on_file:
            if folder is not None:
                from pyupc.fingerprints.transfer.folder import read_folder

                return read_folder(folder, symbol, on_file)
            from pyupc.fingerprints.transfer.tables import read_tables

            assert from_dsn is not None
            return read_tables(from_dsn, schema, symbol, on_file)
    except Refused as refused:
        if len(refused.problems) > 1:
            say(refused.problems)
        raise


def say(problems: Sequence[Problem], *, mark: str = "") -> None:
    """The first of them, a line each."""
    for problem in problems[:_SHOWN]:
        click.echo(printable(f"{mark}{problem}"), err=True)
    if len(problems) > _SHOWN:
        click.echo(f"… and {len(problems) - _SHOWN:,} more", err=True)

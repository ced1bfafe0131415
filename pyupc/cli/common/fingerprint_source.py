"""Source of fingerprints, a folder or a server: options, reading, report of problems."""

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

# Reading the folder reports whether it is readable.
FOLDER = click.Path(readable=False, path_type=Path)


def source(function: Callable[..., None]) -> Callable[..., None]:
    """Add the arguments of a command that reads a set: a folder, or tables on a server."""
    for option in (
        click.option(
            "--schema", default="analytics", show_default=True, help="Schema of the tables."
        ),
        click.option(
            "--from-dsn",
            metavar="DSN",
            help="Read the predecessor's tables on this server instead of files, without writing.",
        ),
        one_symbol("BTC, ETH, … Optional: names of files and tables contain it."),
        click.argument("folder", metavar="DIR", required=False, type=FOLDER),
    ):
        function = option(function)
    return function


def connected() -> Connection:
    """Open a connection, and check that the database's schema is up to date."""
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
    """Read the set in a folder or on a server; print the first problems if it is refused."""
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
            print_problems(refused.problems)
        raise


def print_problems(problems: Sequence[Problem], *, mark: str = "") -> None:
    """Print the first ones to stderr, one per line."""
    for problem in problems[:_SHOWN]:
        click.echo(printable(f"{mark}{problem}"), err=True)
    if len(problems) > _SHOWN:
        click.echo(f"… and {len(problems) - _SHOWN:,} more", err=True)

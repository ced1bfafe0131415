"""`pyupc market`: Kalshi's events with their markets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pyupc.cli.common.columns import print_columns
from pyupc.cli.common.options import examples, one_symbol, symbols
from pyupc.cli.common.output import Output, output_options, print_rows
from pyupc.runtime.printable import printable

if TYPE_CHECKING:
    from pyupc.kalshi.load import Loaded
    from pyupc.kalshi.show import Current


@click.group(epilog=examples("pyupc market load --help", "pyupc market show"))
def command() -> None:
    """Bring Kalshi's events into the database from files, and show what is stored."""


@command.command(
    epilog=examples(
        "pyupc market load event.json",
        "pyupc market load event.json --symbol BTC --json",
    )
)
@click.argument("files", nargs=-1, required=True, metavar="FILE…", type=click.Path(path_type=Path))
@one_symbol("The symbol of all files: BTC, ETH, …; may be left out if their series tell it.")
@output_options
def load(files: tuple[Path, ...], symbol: str | None, output: Output) -> None:
    """Load events with their markets from JSON: all files or, if anything is wrong, none.

    A file is an answer of Kalshi's GET /events/{event_ticker}, of today or of years when prices
    were whole cents, or a snapshot that has the event and its markets under "data" and says in
    "cloud_timestamp" when it was read; without that it is taken as read now.

    It has to hold all markets of the event: what it does not hold is deleted. If a newer reading of
    the event is stored, it stays.
    """
    from pyupc.database import schema
    from pyupc.database.connect import connect
    from pyupc.kalshi.load import load as load_files

    with connect(application_name="pyupc market") as conn:
        schema.check(conn)
        loaded = load_files(conn, files, symbol)
    rows = [each.as_json() for each in loaded]
    if output.is_json:
        click.echo(json.dumps({"files": rows}))
    else:
        print_rows(rows, output, human=lambda: _print_loaded(loaded))


@command.command(
    epilog=examples(
        "pyupc market show",
        "pyupc market show --symbol BTC --json",
        "pyupc market show -t",
    )
)
@symbols
@output_options
def show(symbols: tuple[str, ...], output: Output) -> None:
    """Show the event of every symbol that closes next, within the hour, and how old its quotes are.

    A state is that of the quotes: fresh, warn, stale or halted. Without an event there is none.
    """
    from pyupc.database import schema
    from pyupc.database.connect import connect
    from pyupc.kalshi.show import Current, current_events

    with connect(application_name="pyupc market") as conn:
        schema.check(conn)
        events = current_events(conn, symbols)
    rows = [each.as_json() for each in events]
    columns = [field.name for field in fields(Current)]
    print_rows(rows, output, human=lambda: _print_events(events), columns=columns)


def _print_loaded(loaded: Sequence[Loaded]) -> None:
    for each in loaded:
        click.echo(printable(_sentence(each)))


def _print_events(events: Sequence[Current]) -> None:
    head = ("symbol", "event", "status", "state", "closes", "markets", "step", "age")
    print_columns(head, [_cells(each) for each in events], left=4)


def _sentence(loaded: Loaded) -> str:
    from pyupc.runtime.text import as_text

    name = click.format_filename(loaded.file)
    event = f"{name}: {loaded.symbol} {loaded.event}"
    if not loaded.is_stored:
        return f"{event}, left out: a newer reading is stored"
    count = f"{loaded.markets:,} market{'' if loaded.markets == 1 else 's'}"
    return f"{event}, {count}, closes {as_text(loaded.closes_at)}"


def _cells(current: Current) -> tuple[str, ...]:
    if current.event is None or current.closes_at is None or current.age_seconds is None:
        return (current.symbol, *["-"] * 7)
    return (
        current.symbol,
        printable(current.event),
        printable(current.status or "-"),
        current.state or "-",
        f"{current.closes_at.astimezone(UTC):%H:%M:%SZ}",
        str(current.markets),
        "-" if current.step is None else f"{current.step:g}",
        f"{current.age_seconds:,.1f} s",
    )

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
    """Load and show Kalshi's events with their markets."""


@command.command(
    epilog=examples(
        "pyupc market load event.json",
        "pyupc market load event.json --symbol BTC --json",
    )
)
@click.argument("files", nargs=-1, required=True, metavar="FILE…", type=click.Path(path_type=Path))
@one_symbol("Symbol that all files have to be of: BTC, ETH, … Default: from their series.")
@output_options
def load(files: tuple[Path, ...], symbol: str | None, output: Output) -> None:
    """Load events with their markets from JSON files: all files or none.

    A file is a response of Kalshi's GET /events/{event_ticker}, also of the years when prices were
    whole cents, or a snapshot with the event and its markets under "data" and the time of reading
    in "cloud_timestamp" (default: now). It has to hold all markets of the event: stored markets
    that it lacks are deleted. A response of GET /markets or GET /markets/{ticker} may hold some.

    The symbol has to have the series of the event. If a newer reading of the event is stored, that
    one stays. A market that cannot be read, or whose sub title names another bound, is left out
    and named.
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
    """Show each symbol's next event, and the age of its quotes.

    Only events that close within the hour are shown. The state is that of the quotes: fresh, warn,
    stale or halted; without an event it is empty.
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
        for market in each.left_out:
            click.echo(printable(f"  left out: {market}"))


def _print_events(events: Sequence[Current]) -> None:
    head = ("symbol", "event", "status", "state", "closes", "markets", "step", "age")
    print_columns(head, [_cells(each) for each in events], left=4)


def _sentence(loaded: Loaded) -> str:
    from pyupc.runtime.text import as_text

    name = click.format_filename(loaded.file)
    event = f"{name}: {loaded.symbol} {loaded.event}"
    if not loaded.is_stored:
        return f"{event}, skipped: a newer reading is stored"
    count = f"{loaded.markets:,} market{'' if loaded.markets == 1 else 's'}"
    left_out = f", {len(loaded.left_out):,} left out" if loaded.left_out else ""
    return f"{event}, {count}{left_out}, closes {as_text(loaded.closes_at)}"


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

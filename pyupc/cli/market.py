"""`pyupc market`: Kalshi's events with their markets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pyupc.cli.common.columns import print_columns
from pyupc.cli.common.options import examples, one_symbol, symbols
from pyupc.cli.common.output import Output, output_options, print_rows
from pyupc.cli.common.simulated import say_if_simulated
from pyupc.cli.common.span import bounds, refuse_reversed
from pyupc.errors import UsageProblem
from pyupc.runtime.printable import printable

if TYPE_CHECKING:
    from pyupc.kalshi.load import Loaded
    from pyupc.kalshi.show import Current

HISTORY_MINUTES = (1, 2, 3, 5, 10, 15, 30, 45, 60)


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
        say_if_simulated(conn)
        loaded = load_files(conn, files, symbol)
    rows = [each.as_json() for each in loaded]
    if output.is_json:
        click.echo(json.dumps({"files": rows}))
    else:
        print_rows(rows, output, human=lambda: _print_loaded(loaded))


@command.command(
    epilog=examples(
        "pyupc market history --help",
        "# pyupc market history --series KXBTCD --since 2025-01-01",
        "# pyupc market history --series KXBTC15M --since 2026-07-01 --ttc 5 --ttc 10",
    )
)
@click.option(
    "--series",
    multiple=True,
    required=True,
    metavar="SERIES",
    callback=lambda _ctx, _parameter, names: tuple(dict.fromkeys(each.upper() for each in names)),
    help="Kalshi's series, e.g. KXBTCD; repeatable.",
)
@bounds("needed", "now")
@click.option(
    "--ttc",
    "minutes",
    type=click.IntRange(1, 60),
    multiple=True,
    default=HISTORY_MINUTES,
    show_default=True,
    metavar="MINUTES",
    help="Minutes before the close whose quotes are kept; repeatable.",
)
@click.option(
    "--rate",
    type=click.FloatRange(0.01, 20),
    default=2.0,
    show_default=True,
    metavar="N",
    help="Requests a second at the most.",
)
@output_options
def history(
    series: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
    minutes: tuple[int, ...],
    rate: float,
    output: Output,
) -> None:
    """Read settled events of Kalshi's past with their bids and asks, for backtests.

    Of each market in which something was traded the quotes at some minutes before the close are
    stored, with the asks of the minute after each, and what it settled on. pyupc backtest
    --against market asks about them. An event that is stored as a whole is not read again: after
    an error, or Ctrl-C, the same command goes on. There are many requests: see the progress.
    """
    from pyupc.analysis.market.history import Job, run
    from pyupc.database import schema
    from pyupc.database.connect import connect
    from pyupc.runtime.progress import progress

    if since is None:
        raise UsageProblem("--since is missing", "name the first day: --since 2025-01-01")
    refuse_reversed(since, until)
    job = Job(series, since, until or datetime.now(UTC), tuple(sorted(set(minutes))), rate)
    with connect(application_name="pyupc market") as conn:
        schema.check(conn)
        say_if_simulated(conn)
        with progress("listing markets", "events") as shown:
            found = run(conn, job, shown)
    rows = [each.as_json() for each in found]
    print_rows(rows, output, human=lambda: _print_history(rows))


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
        say_if_simulated(conn)
        events = current_events(conn, symbols)
    rows = [each.as_json() for each in events]
    columns = [field.name for field in fields(Current)]
    print_rows(rows, output, human=lambda: _print_events(events), columns=columns)


def _print_history(rows: Sequence[dict[str, Any]]) -> None:
    for row in rows:
        click.echo(
            f"{row['series']}: {row['quotes']:,} quotes of {row['events']:,} events with"
            f" {row['markets']:,} markets; {row['known_events']:,} events were stored before"
        )
        for reason, count in row["left_out"].items():
            click.echo(printable(f"  left out: {count:,} quotes, {reason}"))


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

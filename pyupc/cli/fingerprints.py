"""`pyupc fingerprints`: build, list and show them; the commands that move them come along."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import click

from pyupc.cli import fingerprint_transfer, fingerprint_validation
from pyupc.cli.columns import print_columns
from pyupc.cli.options import examples, symbols
from pyupc.cli.output import Output, Row, output_options, print_rows
from pyupc.fingerprints.transfer.names import BASELINE

if TYPE_CHECKING:
    from pyupc.fingerprints.build import Build
    from pyupc.fingerprints.catalogue import Table

# Of the 60 thresholds, those that fit on a line.
_SHOWN = ("0_00", "0_05", "0_10", "0_25", "0_50", "1_00", "2_00")
# Of those of standardised moves, in standard deviations.
_SHOWN_STANDARDISED = ("0_000", "0_150", "0_525", "1_050", "1_500", "2_025", "3_000")


@click.group(epilog=examples("pyupc fingerprints build", "pyupc fingerprints list --symbol BTC"))
def command() -> None:
    """Build, list, show and move the fingerprints: how far prices moved from where they were."""


for transfer in (
    fingerprint_transfer.import_,
    fingerprint_transfer.export,
    fingerprint_validation.validate,
    fingerprint_transfer.use,
):
    command.add_command(transfer)


@command.command(
    epilog=examples(
        "pyupc fingerprints build",
        "pyupc fingerprints build --symbol BTC",
        "pyupc fingerprints build --rebuild --json",
    )
)
@symbols
@click.option("--rebuild", is_flag=True, help="Forget all counts and count the whole history.")
@output_options
def build(symbols: tuple[str, ...], rebuild: bool, output: Output) -> None:
    """Count what is new or corrected in the candles and publish the fingerprints.

    Two connections count half a year at a time and commit it. A build that was interrupted is
    taken up where it was. Readers see the old fingerprints until the new ones are complete.
    """
    from pyupc.database import schema
    from pyupc.database.connect import connect, resolve_dsn
    from pyupc.fingerprints.build import build as build_fingerprints
    from pyupc.fingerprints.build import build_progress

    dsn = resolve_dsn()
    with connect(dsn) as conn:
        schema.check(conn)
    try:
        with build_progress() as progress:
            done = build_fingerprints(dsn, symbols, progress, is_reset=rebuild)
    except KeyboardInterrupt:
        click.echo("what was counted is kept: the next build goes on from there", err=True)
        raise
    document = asdict(done)
    if output.is_json:
        click.echo(json.dumps(document))
    else:
        print_rows(document["results"], output, human=lambda: _print_results(done))


def _print_results(done: Build) -> None:
    for result in done.results:
        click.echo(
            f"{result.symbol}: {result.days:,} days counted; {result.fingerprints} fingerprints"
            f" from {result.pairs_in_all:,} pairs in {result.days_in_all:,} days"
        )
    click.echo(f"{done.fingerprints} fingerprints in all; {done.seconds:.1f} s")


@command.command(
    name="list",
    epilog=examples(
        "pyupc fingerprints list",
        "pyupc fingerprints list --symbol BTC --json",
        "pyupc fingerprints list --nl",
    ),
)
@symbols
@output_options
def list_(symbols: tuple[str, ...], output: Output) -> None:
    """List the fingerprints, with what stands behind them, and the state of the builds.

    --nl, --csv and -t have a row a fingerprint, without the builds.
    """
    from pyupc.database import schema
    from pyupc.database.connect import connect
    from pyupc.fingerprints import catalogue

    with connect() as conn:
        schema.check(conn)
        states = catalogue.states(conn, symbols)
        found = catalogue.fingerprints(conn, symbols)
    if output.is_json:
        click.echo(json.dumps({"builds": states, "fingerprints": found}, default=_plain))
    else:
        print_rows(found, output, human=lambda: _print_list(found, states))


def _print_list(found: Sequence[Row], states: Sequence[Row]) -> None:
    rows = [
        (
            each["fingerprint"],
            each["symbol"],
            "baseline" if each["bucket"] == BASELINE else f"{each['bucket']}",
            each["origin"] or "",
            "yes" if each["is_in_use"] else "",
            f"{each['minutes']}",
            _count(each["smallest_sample"]),
            _count(each["largest_sample"]),
            _minute(each["made_at"]),
        )
        for each in found
    ]
    head = (
        *("fingerprint", "symbol", "bucket", "origin", "in use"),
        *("minutes", "smallest", "largest", "made at"),
    )
    print_columns(head, rows, left=2)
    click.echo()
    for state in states:
        click.echo(_state(state))


@command.command(
    epilog=examples(
        "pyupc fingerprints show btc_fingerprint_directional_baseline",
        "pyupc fingerprints show btc_fingerprint_directional_momentum_007 --ttc 15",
        "pyupc fingerprints show btc_fingerprint_directional_momentum_-27 --csv",
        "pyupc fingerprints show btc_volatility_baseline --ttc 15",
    )
)
@click.argument("name")
@click.option("--ttc", type=click.IntRange(1, 60), metavar="MINUTES", help="One row only.")
@output_options
def show(name: str, ttc: int | None, output: Output) -> None:
    """Show a fingerprint: the chance in percent of a move of at least +θ % and -θ %.

    One of standardised moves, as btc_volatility_momentum_007, tells the chance of moves of so many
    standard deviations of their forecast.

    A terminal has room for some of the 60 thresholds; --json, --nl, --csv and -t print them all.
    """
    from pyupc.database import schema
    from pyupc.database.connect import connect
    from pyupc.fingerprints import catalogue

    with connect() as conn:
        schema.check(conn)
        table = catalogue.table(conn, name, ttc)
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    if output.is_json:
        click.echo(json.dumps({"fingerprint": name, "rows": rows}, default=_plain))
    else:
        print_rows(rows, output, human=lambda: _print_selection(table))


def _print_selection(table: Table) -> None:
    shown = _SHOWN_STANDARDISED if "pos_0_000" in table.columns else _SHOWN
    wanted = [f"{side}_{threshold}" for threshold in shown for side in ("pos", "neg")]
    places = [table.columns.index(column) for column in wanted]
    head = [f"{'+' if c.startswith('pos') else '-'}{c[4:].replace('_', '.')}" for c in wanted]
    rows = [
        (row[0], *("" if row[place] is None else f"{row[place]}" for place in places))
        for row in table.rows
    ]
    print_columns(("", *head), rows, left=1)


def _state(state: Row) -> str:
    if state["is_complete"]:
        words = f"complete since {_minute(state['completed_at'])}"
    elif state["started_at"] is not None:
        words = f"begun {_minute(state['started_at'])}, not complete"
    else:
        words = "never built"
    return (
        f"{state['symbol']}: {words}; {state['days_counted']:,} days counted,"
        f" {state['days_pending']:,} pending"
    )


def _count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def _minute(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M%z}"


def _plain(value: object) -> float | str:
    """What JSON has no type for."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(type(value).__name__)

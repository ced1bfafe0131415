"""`pyupc fingerprints list` and `show`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import click

from pyupc.cli.common.columns import print_columns
from pyupc.cli.common.options import examples, symbols
from pyupc.cli.common.output import Output, Row, output_options, print_rows
from pyupc.fingerprints.transfer.names import BASELINE

if TYPE_CHECKING:
    from pyupc.fingerprints.catalogue import Table

# Thresholds that fit on a line, of 60: in percent.
_SHOWN = ("0_00", "0_05", "0_10", "0_25", "0_50", "1_00", "2_00")
# The same of standardised moves, in standard deviations.
_SHOWN_STANDARDISED = ("0_000", "0_150", "0_525", "1_050", "1_500", "2_025", "3_000")


@click.command(
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
    """List fingerprints, and the state of the builds.

    --nl, --csv and -t print one row per fingerprint, without the builds.
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


@click.command(
    epilog=examples(
        "pyupc fingerprints show btc_fingerprint_directional_baseline",
        "pyupc fingerprints show btc_fingerprint_directional_momentum_007 --ttc 15",
        "pyupc fingerprints show btc_fingerprint_directional_momentum_-27 --csv",
        "pyupc fingerprints show btc_volatility_baseline --ttc 15",
    )
)
@click.argument("name")
@click.option("--ttc", type=click.IntRange(1, 60), metavar="MINUTES", help="Show only this row.")
@output_options
def show(name: str, ttc: int | None, output: Output) -> None:
    """Show the probabilities in a fingerprint, in percent.

    They are those of moves of at least +θ % and -θ %. For fingerprints of standardised moves
    (btc_volatility_momentum_007) the thresholds are in standard deviations of the forecast.

    Only some of the 60 thresholds fit on a terminal; --json, --nl, --csv and -t print all of them.
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
        words = f"started {_minute(state['started_at'])}, not complete"
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
    """Convert values that JSON has no type for."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(type(value).__name__)

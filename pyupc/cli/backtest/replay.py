"""`pyupc backtest --replay-ticks`: logged ticks asked again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from pyupc.cli.common.output import Output, print_rows
from pyupc.errors import PyupcError

if TYPE_CHECKING:
    from pyupc.analysis.backtest.steps import Connection

Row = dict[str, Any]


def refuse_replay_mixtures(ctx: click.Context, actions: Sequence[str]) -> None:
    """Refuse --since and --until without --replay-ticks."""
    for name in ("since", "until"):
        if ctx.params[name] is not None and "--replay-ticks" not in actions:
            raise click.UsageError(f"--{name} goes with --replay-ticks", ctx)


def replay_ticks(
    conn: Connection,
    symbols: Sequence[str],
    since: datetime | None,
    until: datetime | None,
    output: Output,
) -> None:
    """Print what the replay of each symbol found; exit 1 with differences or nothing to compare."""
    from pyupc.runtime.progress import working

    with working("asking logged ticks again"):
        found = [_replayed(conn, symbol, since, until) for symbol in symbols or _all(conn)]
    print_rows(found, output, human=lambda: _print(found))
    if not any(row["compared"] for row in found):
        raise PyupcError(
            "there is no logged tick to compare",
            "ticks that the present curves answered are compared: choose another --since",
        )
    if any(row["differences"] for row in found):
        raise SystemExit(1)


def _all(conn: Connection) -> list[str]:
    rows = conn.execute("SELECT s.symbol FROM upc_data.symbol AS s ORDER BY s.symbol")
    return [str(symbol) for (symbol,) in rows]


def _replayed(conn: Connection, symbol: str, since: datetime | None, until: datetime | None) -> Row:
    row = conn.execute(
        "SELECT upc.replay_document(%s, coalesce(%s, '-infinity'::timestamptz),"
        " coalesce(%s, 'infinity'::timestamptz))",
        [symbol, since, until],
    ).fetchone()
    assert row is not None
    return dict(json.loads(row[0]))


def _print(found: Sequence[Row]) -> None:
    for row in found:
        click.echo(
            f"{row['symbol']}: {row['compared']:,} of {row['logged']:,} logged ticks compared,"
            f" {row['differences']:,} differences"
        )
        for reason, count in row["not_compared"].items():
            click.echo(f"  {count:,} not compared: {reason}")
        for each in row["first_differences"]:
            click.echo(
                f"  tick {each['tick_id']} at {each['ticked_at']}, {each['model']}: momentum off by"
                f" {_number(each['momentum_difference'], 'bp')}, time to the close by"
                f" {each['ttc_difference']} s, probabilities by up to"
                f" {_number(each['probability_difference'], 'points')}"
            )


def _number(difference: float | None, unit: str) -> str:
    """None is a number that is missing on one side, or on both."""
    return "?" if difference is None else f"{difference:.3g} {unit}"

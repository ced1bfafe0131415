"""`pyupc status`: health of all that ticks depend on, for people and for health checks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pyupc.cli.common.columns import aligned
from pyupc.cli.common.options import examples, symbols
from pyupc.cli.common.output import Output, output_options, print_rows
from pyupc.runtime.printable import printable

if TYPE_CHECKING:
    from pyupc.health.status.ask import Status

_UNKNOWN = "-"
_HEAD = (
    *("symbol", "light", "feed", "tick", "price", "basis", "quotes", "candle", "trades"),
    *("minute", "hour", "day", "problems"),
)
_LEFT = ("symbol", "light", "feed", "problems")


@click.command(
    epilog=examples(
        "pyupc status || echo 'call somebody'",
        "pyupc status --symbol BTC --out live --json || echo 'call somebody'",
        "pyupc status --nl || echo 'call somebody'",
    )
)
@symbols
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Check the files there, too: one that is too old is neither green nor fresh.",
)
@output_options
def command(symbols: tuple[str, ...], out: Path | None, output: Output) -> None:
    """Show the health of everything that ticks depend on.

    Green: all is well. Yellow: ticks work, but something they depend on fails or is getting old.
    Red: no tick, or no probability. A test row is really written to the database first. Exit codes:
    0 green, 1 yellow or red, 3 no database, 4 schema out of date.

    Without --symbol it covers the symbols that should tick: those that a process ticks, or ticked
    within the last hour. The basis is what the last tick took off its price. Availability is the
    percentage of due ticks, for live feeds only.
    """
    from pyupc.health.status.ask import ask

    status = ask(symbols)
    if out is not None:
        from pyupc.health.status.folder import look, look_at_documents

        status = status.after(*look(out)).after(*look_at_documents(out, status.rules))
    if output.is_json:
        click.echo(json.dumps(status.as_json()))
    else:
        if output.format is not None and not status.is_green:
            click.echo(_headline(status), err=True)
        print_rows(status.symbols, output, human=lambda: _print(status))
    raise SystemExit(0 if status.is_green else 1)


def _headline(status: Status) -> str:
    problems = "; ".join(status.problems)
    return printable(f"{status.state}: {problems}" if problems else status.state)


def _print(status: Status) -> None:
    click.echo(_headline(status))
    if status.symbols:
        rows = [_HEAD, *(_cells(row) for row in status.symbols)]
        for line in aligned(rows, [name in _LEFT for name in _HEAD]):
            click.echo(line)


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        printable(row["symbol"]),
        row["light"],
        printable(row["feed"] or _UNKNOWN),
        _age(row["tick_age_seconds"]),
        _with_age(row["price_state"], row["price_age_seconds"]),
        _points(row["basis_bps"]),
        _with_age(row["quote_state"], row["quote_age_seconds"]),
        _age(row["candle_age_seconds"]),
        str(row["open_trades"]),
        *(_percent(row[f"{window}_availability"]) for window in ("minute", "hour", "day")),
        printable("; ".join(row["problems"]) or _UNKNOWN),
    )


def _age(seconds: float | None) -> str:
    if seconds is None:
        return _UNKNOWN
    return f"{seconds:,.1f} s" if abs(seconds) < 600 else f"{seconds / 60:,.0f} min"


def _with_age(state: str | None, seconds: float | None) -> str:
    if state is None:
        return _UNKNOWN
    return state if seconds is None else f"{state} {_age(seconds)}"


def _points(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:+.1f} bp"


def _percent(value: float | None) -> str:
    # Round down: 100 means every tick.
    return _UNKNOWN if value is None else f"{int(value * 100) / 100:.2f} %"

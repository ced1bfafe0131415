"""`pyupc bench`: measure pyupc on this machine, beside what else could be done."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pyupc.cli.columns import print_columns
from pyupc.cli.options import examples
from pyupc.cli.output import Output, output_options, print_rows

if TYPE_CHECKING:
    from pyupc.bench.figures import Row

# As in pyupc.bench.run, which the help need not load.
NAMES = ("build", "disk", "day", "strikes", "griddata", "tick", "market", "process", "symbols")


@click.command(
    epilog=examples(
        "pyupc bench --quick",
        "pyupc bench --only strikes --only griddata --years 1",
        "pyupc bench --quick --candles btc_1m_2022_2024.csv.gz --json",
    )
)
@click.option("--quick", is_flag=True, help="Two months and few rounds: seconds, not minutes.")
@click.option(
    "--years",
    type=click.FloatRange(0.1, 20),
    metavar="N",
    help="Years of simulated BTC candles.  [default: 5]",
)
@click.option(
    "--candles",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="BTC candles from a file instead.",
)
@click.option(
    "--only",
    type=click.Choice(NAMES),
    multiple=True,
    metavar="NAME",
    help=f"One of {', '.join(NAMES)}; repeatable. Default: all.",
)
@output_options
def command(
    quick: bool, years: float | None, candles: Path | None, only: tuple[str, ...], output: Output
) -> None:
    """Measure pyupc, in one run and side by side with the alternatives.

    It works in a database of its own, pyupc_bench, on the server that PYUPC_DSN names, and drops
    it at the end. A ratio is the figure divided by the one that it is compared with. Needs the
    extra `bench`.
    """
    from pyupc.bench.run import end_of_history, run
    from pyupc.bench.scratch import Plan
    from pyupc.database.connect import resolve_dsn

    if candles is not None and years is not None:
        raise click.UsageError("--candles and --years exclude each other")
    days = round(365.25 * years) if years else 60 if quick else 1826
    plan = Plan("", days, quick, candles, end_of_history(days))
    rows = list(run(resolve_dsn(), plan, only, lambda line: click.echo(line, err=True)))
    print_rows([row.as_json() for row in rows], output, human=lambda: _print(rows))


def _print(rows: Sequence[Row]) -> None:
    notes = list(dict.fromkeys(row.note for row in rows if row.note))
    head = ("what", "note", "figure", "compared with", "its figure", "ratio")
    print_columns(head, [_cells(row, notes) for row in rows], left=2)
    click.echo()
    for number, note in enumerate(notes, 1):
        click.echo(f"[{number}] {note}")


def _cells(row: Row, notes: list[str]) -> tuple[str, ...]:
    return (
        row.what,
        f"[{1 + notes.index(row.note)}]" if row.note else "",
        _figure(row.value, row.unit),
        row.against or "",
        "" if row.other is None else _figure(row.other, row.unit),
        "" if row.ratio is None else f"{row.ratio:.3g}",
    )


def _figure(value: float, unit: str) -> str:
    return f"{value:,.0f} {unit}" if value >= 1000 else f"{value:.3g} {unit}"

"""`pyupc bench`: measure pyupc on this machine, side by side with the alternatives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from pyupc.cli.bench.options import candles_option, only_option
from pyupc.cli.bench.scale import command as scale_command
from pyupc.cli.common.options import examples
from pyupc.cli.common.output import Output, output_options, print_as_they_come
from pyupc.errors import PyupcError

if TYPE_CHECKING:
    from pyupc.bench.figures import Row

# Repeated from pyupc.bench.run, so that --help does not load it.
_COLUMNS = ("name", "what", "value", "unit", "against", "other", "ratio", "note", "details")
NAMES = (
    *("build", "disk", "day", "strikes", "griddata", "tick", "market", "contracts", "process"),
    "symbols",
)


@click.group(
    invoke_without_command=True,
    epilog=examples(
        "pyupc bench --quick",
        "pyupc bench --only strikes --only griddata --years 1",
        "pyupc bench --quick --candles btc_1m_2022_2024.csv.gz --json",
    ),
)
@click.option("--quick", is_flag=True, help="Two months and few rounds: takes seconds.")
@click.option(
    "--years",
    type=click.FloatRange(0.1, 20),
    metavar="N",
    help="Years of simulated BTC candles.  [default: 5]",
)
@candles_option
@only_option(NAMES)
@output_options
@click.pass_context
def command(
    ctx: click.Context,
    /,
    quick: bool,
    years: float | None,
    candles: Path | None,
    only: tuple[str, ...],
    output: Output,
) -> None:
    """Measure pyupc side by side with the alternatives.

    Works in a database of its own, pyupc_bench, on the server that PYUPC_DSN names, and drops it at
    the end. A ratio is the figure divided by the one it is compared with. Each part is printed when
    it ends. A part that fails is printed as a row with its SQLSTATE, the others go on, and the exit
    code is 1. Needs the extra `bench`.
    """
    if ctx.invoked_subcommand is not None:
        _refuse_options(ctx)
        return

    from pyupc.bench.run import end_of_history, run
    from pyupc.bench.scratch import Plan
    from pyupc.database.connect import resolve_dsn

    if candles is not None and years is not None:
        raise click.UsageError("--candles and --years exclude each other")
    days = round(365.25 * years) if years else 60 if quick else 1826
    plan = Plan("", days, quick, candles, end_of_history(days))
    lines = _Lines()
    has_failed = False

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal has_failed
        for row in run(resolve_dsn(), plan, only, lambda line: click.echo(line, err=True)):
            has_failed |= row.has_failed
            lines.row = row
            yield row.as_json()

    print_as_they_come(rows(), output, human=lambda _: lines.show(), columns=_COLUMNS)
    if output.format is None:
        lines.end()
    if has_failed:
        raise SystemExit(PyupcError.exit_code)


command.add_command(scale_command)


def _refuse_options(ctx: click.Context) -> None:
    """Options of this command, typed in front of the name of another."""
    typed = [
        each.opts[-1]
        for each in ctx.command.params
        if each.name and ctx.get_parameter_source(each.name) == ParameterSource.COMMANDLINE
    ]
    if typed:
        raise click.UsageError(f"{typed[0]} is not for {ctx.invoked_subcommand}", ctx)


class _Lines:
    """Prints each row as a line at once, and the notes at the end."""

    row: Row

    def __init__(self) -> None:
        self._notes: list[str] = []
        self._has_head = False

    def show(self) -> None:
        if not self._has_head:
            self._has_head = True
            self._print("what", "note", "figure", "compared with", "its figure", "ratio")
        row = self.row
        if row.note and row.note not in self._notes:
            self._notes.append(row.note)
        self._print(
            row.what,
            f"[{1 + self._notes.index(row.note)}]" if row.note else "",
            str(row.details["sqlstate"] or "") if row.value is None else _figure(row.value, row),
            row.against or "",
            "" if row.other is None else _figure(row.other, row),
            "" if row.ratio is None else f"{row.ratio:.3g}",
        )
        if row.value is None:
            click.echo(f"  {row.note}")
            if row.details["hint"]:
                click.echo(f"  hint: {row.details['hint']}")

    def end(self) -> None:
        click.echo()
        for number, note in enumerate(self._notes, 1):
            click.echo(f"[{number}] {note}")

    def _print(self, *cells: str) -> None:
        what, note, figure, against, other, ratio = cells
        line = f"{what:<58}  {note:<4}  {figure:>10}  {against:>46}  {other:>10}  {ratio:>8}"
        click.echo(line.rstrip())


def _figure(value: float, row: Row) -> str:
    return f"{value:,.0f} {row.unit}" if value >= 1000 else f"{value:.3g} {row.unit}"

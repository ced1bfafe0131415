"""`pyupc bench scale`: what grows with the number of symbols."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pyupc.cli.bench.options import candles_option, only_option
from pyupc.cli.common.columns import aligned
from pyupc.cli.common.options import examples
from pyupc.cli.common.output import Output, output_options, print_as_they_come
from pyupc.errors import PyupcError

if TYPE_CHECKING:
    from pyupc.bench.scale.figures import Figure

# Repeated from pyupc.bench.scale.run, so that --help does not load it.
NAMES = ("register", "refresh", "hour", "ticks", "upgrade", "disk", "catalogue", "dump")

_COLUMNS = (
    *("symbols", "name", "what", "value", "unit", "against", "other", "ratio", "note", "details"),
)

_FEWEST, _MOST = 2, 10_000


def _counts(ctx: click.Context, parameter: click.Parameter, value: str) -> tuple[int, ...]:
    """Numbers separated by commas, each once; in ascending order."""
    counts: list[int] = []
    for each in value.split(","):
        word = each.strip()
        if not (word.isascii() and word.isdecimal()):
            raise click.BadParameter(f"{word!r} is no number of symbols", ctx, parameter)
        # The length first: int() refuses thousands of digits.
        if len(word) > 9 or not _FEWEST <= int(word) <= _MOST:
            raise click.BadParameter(
                f"{word[:12]} is not from {_FEWEST} to {_MOST:,}", ctx, parameter
            )
        if int(word) in counts:
            raise click.BadParameter(f"{word} is given twice", ctx, parameter)
        counts.append(int(word))
    return tuple(sorted(counts))


@click.command(
    name="scale",
    epilog=examples(
        "pyupc bench scale --symbols 2,3 --days 5 --rounds 1 --only refresh --only catalogue",
        "# pyupc bench scale --seconds 300   # takes an hour, and 40 GB of disk",
        "# pyupc bench scale --symbols 2,100 --only upgrade --json",
    ),
)
@click.option(
    "--symbols",
    "counts",
    callback=_counts,
    default="2,10,100,1000",
    show_default=True,
    metavar="N,…",
    help=f"Numbers of symbols, from {_FEWEST} to {_MOST:,}.",
)
@click.option(
    "--days",
    type=click.IntRange(2, 3660),
    metavar="N",
    help="Days of simulated candles of each.  [default: 63]",
)
@candles_option
@click.option(
    "--seconds",
    type=click.IntRange(1, 3600),
    default=20,
    show_default=True,
    metavar="N",
    help="Time that ticks run at 1 Hz.",
)
@click.option(
    "--rounds",
    type=click.IntRange(1, 100),
    default=3,
    show_default=True,
    metavar="N",
    help="Repetitions of a refresh, of one more day and of an upgrade.",
)
@only_option(NAMES)
@output_options
def command(
    counts: tuple[int, ...],
    days: int | None,
    candles: Path | None,
    seconds: int,
    rounds: int,
    only: tuple[str, ...],
    output: Output,
) -> None:
    """Measure what grows with the number of symbols.

    A symbol's candles are counted; then its rows are copied under other names, up to each number of
    symbols, and everything is measured. Times are those of the server's processes on a CPU, unless
    it says otherwise, and a ratio is the figure divided by the one with the fewest symbols.

    Works in a database of its own, pyupc_bench, as `pyupc bench` does, on a server that runs on
    Linux. Disk and memory are checked first: a thousand symbols take about 40 GB. A part that fails
    is printed with its SQLSTATE, the others go on, and the exit code is 1.
    """
    from pyupc.bench.scale.run import DAYS, Settings, run
    from pyupc.database.connect import resolve_dsn

    if candles is not None and days is not None:
        raise click.UsageError("--candles and --days exclude each other")
    settings = Settings(counts, days or DAYS, candles, seconds, rounds, only)
    found: list[Figure] = []

    def rows() -> Iterator[dict[str, Any]]:
        for figure in run(resolve_dsn(), settings, lambda line: click.echo(line, err=True)):
            found.append(figure)
            yield figure.as_json()

    try:
        print_as_they_come(rows(), output, human=lambda _: None, columns=_COLUMNS)
    finally:
        # After an interruption, too: the rows until then.
        if output.format is None and found:
            _print(found)
    if any(figure.has_failed for figure in found):
        raise SystemExit(PyupcError.exit_code)


def _print(figures: list[Figure]) -> None:
    """A line per measurement, a column per number of symbols; the notes below."""
    counts = sorted({figure.symbols for figure in figures})
    lines: dict[str, dict[int, str]] = {}
    notes: list[str] = []
    for figure in figures:
        words = f"{figure.what}, {figure.unit}" if figure.unit else figure.what
        lines.setdefault(words, {})[figure.symbols] = _cell(figure)
        if figure.value is None:
            notes.append(f"{figure.symbols:,} symbols: {figure.what}: {figure.note}")
            if figure.details["hint"]:
                notes.append(f"  hint: {figure.details['hint']}")
    head = ["", *(f"{count:,} symbols" for count in counts)]
    cells = [[words, *(own.get(count, "") for count in counts)] for words, own in lines.items()]
    for line in aligned([head, *cells], [True, *(False for _ in counts)]):
        click.echo(line)
    for note in notes:
        click.echo(note)


def _cell(figure: Figure) -> str:
    if figure.value is None:
        return str(figure.details["sqlstate"] or "failed")
    value = figure.value
    if value >= 1000 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"

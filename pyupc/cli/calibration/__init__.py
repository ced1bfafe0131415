"""`pyupc calibration`: how often live probabilities came true, and what edges paid."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from pyupc.cli.common.options import examples, symbols
from pyupc.cli.common.output import Output, output_options, print_rows
from pyupc.cli.common.simulated import say_if_simulated
from pyupc.cli.common.span import bounds, refuse_reversed
from pyupc.errors import PyupcError, UsageProblem
from pyupc.runtime.printable import printable

Row = dict[str, Any]


def _figure(ctx: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Refuse other kinds of files before anything is computed."""
    if path is not None and path.suffix.lower() not in (".png", ".svg"):
        raise click.BadParameter("name a .png or a .svg file", ctx, parameter)
    return path


@click.command(
    epilog=examples(
        "pyupc calibration",
        "pyupc calibration --symbol BTC --since 2026-01-01 --json",
        "pyupc calibration --edges --csv > edges.csv",
        "# pyupc calibration --plot reliability.svg   # once contracts have closed",
    )
)
@symbols
@bounds("the first tick that is kept", "now")
@click.option("--edges", is_flag=True, help="Compare edges with what they paid after fees.")
@click.option(
    "--basis",
    is_flag=True,
    help="Compare last minutes with what Kalshi settled on, by exchange.",
)
@click.option(
    "--every-tick",
    is_flag=True,
    help="Count every tick that is kept, not one a minute: the last two days outweigh the others.",
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=_figure,
    metavar="FILE",
    help="Draw a reliability diagram: a .png or .svg file. Needs the extra `plots`.",
)
@output_options
def command(
    symbols: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
    edges: bool,
    basis: bool,
    every_tick: bool,
    plot: Path | None,
    output: Output,
) -> None:
    """Compare the probabilities of live ticks with the outcomes.

    Every strike of a live feed's first tick of each minute is one question. Once the contract has
    closed, its market's result is the outcome; without an event, the candle of the last minute.
    Replayed and simulated prices do not count, but in the demo's database, where the market is
    simulated, too. Ticks of one event share their outcome, so the number of events is the real
    sample size, and the 95 % intervals are by event.

    Probabilities are of closing at or above the strike, in percent. A row without minutes covers
    all times to the close, a row without bin all probabilities. With --edges each row is one
    contract bought at its ask every minute, in cents; a row without bounds covers all edges
    above zero, or all others.

    With --basis each row is a source of prices, and --since and --until are of closes. Its basis is
    the average of the last minute over the settlement value, in basis points; error is how far the
    average was off, as it came in and less the basis that was known by the close; wrong is how many
    contracts it decides otherwise than Kalshi did, and changed those of which the two differ.
    """
    refuse_reversed(since, until)
    if edges and plot is not None:
        raise UsageProblem("--plot draws probabilities, not edges", "leave --edges out")
    if basis and (edges or every_tick or plot is not None):
        raise UsageProblem(
            "--basis is of settlements, not of ticks", "leave --edges, --every-tick and --plot out"
        )
    if plot is not None:
        _prepare(plot)

    from pyupc.analysis.calibration.read import Reader
    from pyupc.candles.load import registered_symbols
    from pyupc.database import schema
    from pyupc.database.connect import connect
    from pyupc.runtime.progress import working

    rows: list[Row] = []
    unjudged = 0
    with connect(application_name="pyupc calibration") as conn:
        schema.check(conn)
        say_if_simulated(conn)
        reader = Reader(conn, since, until, every_tick=every_tick)
        read = reader.basis if basis else reader.edges if edges else reader.scores
        with working("looking up outcomes") as show_progress:
            for symbol in symbols or registered_symbols(conn):
                show_progress(f"{printable(symbol)}: looking up outcomes")
                rows += read(symbol)
                if not basis:
                    unjudged += reader.unjudged(symbol)
    show = _show_basis if basis else _show_edges if edges else _show_scores
    print_rows(rows, output, human=lambda: show(rows, unjudged), columns=reader.columns)
    if plot is not None:
        _draw(rows, plot)


def _prepare(plot: Path) -> None:
    from pyupc.runtime.packages import require

    require(("matplotlib",), "plots", "drawing")
    if not plot.parent.is_dir():
        raise PyupcError(f"no such folder: {plot.parent}", "create it first")


def _draw(rows: list[Row], plot: Path) -> None:
    if not rows:
        raise PyupcError(
            f"no outcome to draw: {plot} was not written", "try again when a contract has closed"
        )
    from pyupc.analysis.calibration.diagram import draw

    draw(rows, plot)


def _show_scores(rows: list[Row], unjudged: int) -> None:
    from pyupc.cli.calibration.table import print_scores

    print_scores(rows)
    _print_unjudged(unjudged, None if rows else "no contract of a live tick has a known outcome")


def _show_edges(rows: list[Row], unjudged: int) -> None:
    from pyupc.cli.calibration.table import print_edges

    print_edges(rows)
    _print_unjudged(unjudged, None if rows else "no live tick with an ask has a known outcome")


def _show_basis(rows: list[Row], _: int) -> None:
    from pyupc.cli.calibration.table import print_basis

    print_basis(rows)
    if not rows:
        click.echo("no settlement beside a last minute of prices is known yet", err=True)


def _print_unjudged(unjudged: int, nothing: str | None) -> None:
    """Print to stderr how many closes the table leaves out."""
    closes = f"{unjudged:,} close{'' if unjudged == 1 else 's'} without a known outcome"
    if nothing is not None:
        click.echo(f"{nothing} yet; {closes}", err=True)
    elif unjudged:
        click.echo(f"left out: {closes}", err=True)

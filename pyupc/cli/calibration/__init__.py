"""`pyupc calibration`: whether live probabilities come true, and what edges paid."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from pyupc.cli.common.options import examples, symbols
from pyupc.cli.common.output import Output, output_options, print_rows
from pyupc.cli.common.span import bounds, refuse_reversed
from pyupc.errors import PyupcError, UsageProblem
from pyupc.runtime.printable import printable

Row = dict[str, Any]


def _figure(ctx: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Before anything is computed."""
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
@click.option("--edges", is_flag=True, help="What edges promised, and what they paid after fees.")
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=_figure,
    metavar="FILE",
    help="Draw a reliability diagram, too: a .png or .svg. Needs the extra `plots`.",
)
@output_options
def command(
    symbols: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
    edges: bool,
    plot: Path | None,
    output: Output,
) -> None:
    """Compare what live ticks said with what happened.

    Every strike of every tick of a live feed is a question. Its answer, once the contract has
    closed, is the result of its market, or without an event what the candle of the last minute
    says. Replayed and simulated prices do not count. Ticks of one event share their outcome, so
    that it is the number of events that says how much is known; the 95 % intervals go by events.

    Probabilities are of closing at or above the strike, in percent. Rows without minutes are of all
    times to the close together, rows without bin of all probabilities. With --edges, rows are of
    one contract bought at its ask with every tick, in cents; rows without bounds are of all edges
    above zero, or of all others.
    """
    refuse_reversed(since, until)
    if edges and plot is not None:
        raise UsageProblem("--plot draws probabilities, not edges", "leave --edges out")
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
        reader = Reader(conn, since, until)
        read = reader.edges if edges else reader.scores
        with working("looking up outcomes") as tell:
            for symbol in symbols or registered_symbols(conn):
                tell(f"{printable(symbol)}: looking up outcomes")
                rows += read(symbol)
                unjudged += reader.unjudged(symbol)
    show = _show_edges if edges else _show_scores
    print_rows(rows, output, human=lambda: show(rows, unjudged), columns=reader.columns)
    if plot is not None:
        _draw(rows, plot)


def _prepare(plot: Path) -> None:
    from pyupc.runtime.packages import require

    require(("matplotlib",), "plots", "drawing")
    if not plot.parent.is_dir():
        raise PyupcError(f"there is no folder {plot.parent}", "create it first")


def _draw(rows: list[Row], plot: Path) -> None:
    if not rows:
        raise PyupcError(
            f"nothing to draw: {plot} was not written", "contracts have to close first"
        )
    from pyupc.analysis.calibration.diagram import draw

    draw(rows, plot)


def _show_scores(rows: list[Row], unjudged: int) -> None:
    from pyupc.cli.calibration.table import print_scores

    print_scores(rows)
    _tell(unjudged, None if rows else "no contract of a live tick has closed with a known outcome")


def _show_edges(rows: list[Row], unjudged: int) -> None:
    from pyupc.cli.calibration.table import print_edges

    print_edges(rows)
    _tell(unjudged, None if rows else "no live tick with an ask has met its outcome")


def _tell(unjudged: int, nothing: str | None) -> None:
    """On stderr: what the table does not show."""
    closes = f"{unjudged:,} close{'' if unjudged == 1 else 's'} without a known outcome"
    if nothing is not None:
        click.echo(f"{nothing} yet; {closes}", err=True)
    elif unjudged:
        click.echo(f"left out: {closes}", err=True)

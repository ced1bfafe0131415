"""`pyupc backtest`: train the models on one span of candles, score them on a later one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from pyupc.cli.backtest.market import (
    OF_THE_MARKET,
    market_options,
    refuse_market_mixtures,
    run_market,
)
from pyupc.cli.backtest.options import OF_A_RUN, run_options
from pyupc.cli.backtest.replay import refuse_replay_mixtures
from pyupc.cli.backtest.replay import replay_ticks as asked_again
from pyupc.cli.common.options import examples, symbols
from pyupc.cli.common.output import Output, output_options, plain, print_rows
from pyupc.cli.common.span import bounds, refuse_reversed

if TYPE_CHECKING:
    from pyupc.analysis.backtest.run import Settings
    from pyupc.analysis.backtest.scores import Report
    from pyupc.analysis.backtest.steps import Connection

# Names on the command line, and in the tables.
DIMENSIONS = {
    "all": "all",
    "ttc": "minutes",
    "distance": "distance",
    "hour": "hour",
    "regime": "regime",
}


@click.command(
    epilog=examples(
        "pyupc backtest --symbol BTC --ttc 15 --model baseline --model gaussian",
        "pyupc backtest --symbol BTC --ttc 5 --ttc 60 --levels 3 --out report",
        "pyupc backtest --kind updown --ttc 5 --settlement average --model gaussian",
        "pyupc backtest --list",
        "pyupc backtest --show 1 --by hour",
        "pyupc backtest --show 1 --json",
        "# pyupc backtest --compare 1 2 --model volatility:linear",
        "pyupc backtest --delete 1",
        "# pyupc backtest --replay-ticks --symbol BTC --since 2026-01-31T12:00Z",
        "# pyupc backtest --against market --quotes quotes.csv.gz --quotes settled.csv",
        "# pyupc backtest --train-to 2024-01-01 --test-to 2024-07-01   # every symbol with candles",
    )
)
@symbols
@run_options
@market_options
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write report.html and its two figures as PNG and SVG; with several symbols, a folder"
    " each. Needs the extra `plots`.",
)
@click.option(
    "--by",
    type=click.Choice(list(DIMENSIONS)),
    help="Divide the scores of --nl, --csv, -t and the second table by this.",
)
@click.option("--list", "is_list", is_flag=True, help="List the backtests that are stored.")
@click.option("--show", type=int, metavar="ID", help="Report a stored backtest again.")
@click.option(
    "--compare",
    type=int,
    nargs=2,
    metavar="ID ID",
    help="Set two stored backtests that asked the same questions beside each other, by --model or"
    " every model of both.",
)
@click.option(
    "--replay-ticks",
    is_flag=True,
    help="Ask logged ticks again, and compare momentum, time to the close and probabilities with"
    " what was logged. Exit code 1 where any differ.",
)
@bounds("the oldest tick; goes with --replay-ticks", "now; goes with --replay-ticks")
@click.option("--delete", type=int, metavar="ID", help="Delete a stored backtest.")
@output_options
@click.pass_context
def command(
    ctx: click.Context,
    /,
    symbols: tuple[str, ...],
    against: str | None,
    quotes: tuple[Path, ...],
    prices: str,
    out: Path | None,
    by: str | None,
    is_list: bool,
    show: int | None,
    compare: tuple[int, int] | None,
    replay_ticks: bool,
    since: datetime | None,
    until: datetime | None,
    delete: int | None,
    output: Output,
    **given: Any,
) -> None:
    """Test the models on candles after those of the training.

    For every close in the test span, every time to the close and every contract of the --kind, each
    model gives the probability that it pays; training sees nothing of the test span. Scores are
    stored with all settings: --list, --show.

    The models are ranked by log loss; its intervals come from resampling whole days, and the last
    line shows which model beats which others. --json prints all scores, divided in all ways.
    Without --symbol every symbol with candles is tested.

    --against market asks about contracts that quotes were recorded of, at those instants. It scores
    the model volatility beside the middle of bid and ask, a blend of both and the Gaussian, and
    shows what buying every edge would have brought.
    """
    _refuse_mixtures(
        ctx,
        {
            "--list": is_list,
            "--show": show is not None,
            "--compare": compare is not None,
            "--replay-ticks": replay_ticks,
            "--delete": delete is not None,
        },
    )
    refuse_reversed(since, until)
    refuse_market_mixtures(ctx, against)
    if out is not None:
        from pyupc.analysis.plots.files import prepare_folder
        from pyupc.runtime.packages import require

        require(("matplotlib",), "plots", "drawing")
        prepare_folder(out)

    from pyupc.database import schema
    from pyupc.database.connect import connect, resolve_dsn

    dsn = resolve_dsn()
    with connect(dsn, application_name="pyupc backtest") as conn:
        schema.check(conn)
        if is_list:
            _list(conn, symbols, output)
        elif delete is not None:
            _delete(conn, delete, output)
        elif replay_ticks:
            asked_again(conn, symbols, since, until, output)
        elif compare is not None:
            is_chosen = ctx.get_parameter_source("models") == ParameterSource.COMMANDLINE
            _compare(conn, compare, given["models"] if is_chosen else (), output)
        else:
            from pyupc.analysis.backtest.scores import symbol_of

            if show is None and against is not None:
                found = run_market(dsn, symbols, quotes, prices, given)
            elif show is None:
                from pyupc.analysis.backtest.run import Settings

                found = _run(dsn, symbols, Settings(**given))
            else:
                found = [(symbol_of(conn, show), show)]
            is_whole = output.is_json or out is not None
            # The table of parts shows no intervals.
            has_bounds = is_whole or output.format is not None
            reports = _read(conn, found, by, is_whole=is_whole, has_bounds=has_bounds)
            _report(reports, by, output, out)


def _refuse_mixtures(ctx: click.Context, actions: Mapping[str, bool]) -> None:
    chosen = [name for name, is_given in actions.items() if is_given]
    refuse_replay_mixtures(ctx, chosen)
    if not chosen:
        return
    if len(chosen) > 1:
        raise click.UsageError(f"{chosen[0]} and {chosen[1]} exclude each other", ctx)
    [action] = chosen
    refused = _refused_beside(action)
    for parameter in ctx.command.params:
        name = parameter.name or ""
        if name in refused and ctx.get_parameter_source(name) == ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{parameter.opts[0]} does not go with {action}", ctx)


def _refused_beside(action: str) -> set[str]:
    """Arguments that make no sense beside an option that runs no backtest."""
    refused = {*OF_A_RUN, *OF_THE_MARKET}
    if action not in ("--list", "--replay-ticks"):
        refused.add("symbols")
    if action != "--show":
        refused |= {"out", "by"}
    if action == "--compare":
        refused.remove("models")
    return refused


def _run(dsn: str, symbols: Sequence[str], settings: Settings) -> list[tuple[str, int]]:
    from pyupc.analysis.backtest.run import run
    from pyupc.runtime.progress import progress

    try:
        with progress("beginning", "days", has_end=True) as shown:
            return run(dsn, symbols, settings, shown)
    except KeyboardInterrupt:
        click.echo("unfinished backtests are deleted", err=True)
        raise


def _read(
    conn: Connection,
    found: Sequence[tuple[str, int]],
    by: str | None,
    *,
    is_whole: bool,
    has_bounds: bool,
) -> list[Report]:
    from pyupc.analysis.backtest.scores import DIMENSIONS as EVERY
    from pyupc.analysis.backtest.scores import read
    from pyupc.runtime.progress import working

    wanted = EVERY if is_whole else tuple(dict.fromkeys(("all", DIMENSIONS[by or "ttc"])))
    with working("resampling the days"):
        return [
            read(conn, symbol, backtest_id, wanted, has_bounds=has_bounds)
            for symbol, backtest_id in found
        ]


def _report(reports: Sequence[Report], by: str | None, output: Output, out: Path | None) -> None:
    import json

    from pyupc.cli.backtest.report import document, print_reports, score_rows

    if out is not None:
        from pyupc.analysis.backtest.files import write

        for report in reports:
            write(report, out if len(reports) == 1 else out / report.symbol.lower())
    if output.is_json:
        click.echo(json.dumps(plain(document(reports))))
        return
    print_rows(
        score_rows(reports, DIMENSIONS[by or "all"]),
        output,
        human=lambda: print_reports(reports, DIMENSIONS[by or "ttc"]),
    )


def _list(conn: Connection, symbols: Sequence[str], output: Output) -> None:
    from pyupc.analysis.backtest.scores import backtests
    from pyupc.cli.backtest.report import print_list

    found = backtests(conn, symbols)
    print_rows(found, output, human=lambda: print_list(found))


def _compare(
    conn: Connection, numbers: tuple[int, int], models: Sequence[str], output: Output
) -> None:
    from pyupc.analysis.backtest.scores import compared, symbol_of
    from pyupc.cli.backtest.report import print_comparison
    from pyupc.errors import PyupcError
    from pyupc.runtime.progress import working

    symbol, _ = (symbol_of(conn, number) for number in numbers)
    with working("resampling the days"):
        rows = compared(conn, symbol, numbers)
    known = {row["model"] for row in rows}
    for model in models:
        if model not in known:
            raise PyupcError(
                f"the backtests do not both have the model {model}",
                f"those of both: {', '.join(sorted(known)) or 'none'}",
            )
    chosen = [row for row in rows if not models or row["model"] in models]
    print_rows(chosen, output, human=lambda: print_comparison(chosen))


def _delete(conn: Connection, backtest_id: int, output: Output) -> None:
    from pyupc.analysis.backtest.scores import symbol_of

    symbol = symbol_of(conn, backtest_id)
    conn.execute("SELECT upc.delete_backtest(%s, %s)", [symbol, backtest_id])
    print_rows(
        [{"symbol": symbol, "backtest_id": backtest_id}],
        output,
        human=lambda: click.echo(f"backtest {backtest_id} of {symbol} deleted"),
    )

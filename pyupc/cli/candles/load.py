"""`pyupc candles load`: candles of one minute from files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pyupc.cli.common.options import examples, one_symbol
from pyupc.cli.common.output import Output, output_options, print_rows
from pyupc.errors import PyupcError, UsageProblem

if TYPE_CHECKING:
    from pyupc.candles.load import Connection, Outcome, Summary


def _columns(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[str, ...] | None:
    if value is None:
        return None
    from pyupc.candles.columns.header import parse_columns

    try:
        return parse_columns(value)
    except ValueError as problem:
        raise click.BadParameter(
            f"{problem}: name time, open, high, low, close and volume once each, and - for others"
        ) from None


@click.command(
    epilog=examples(
        "pyupc candles load btc_1m_2022_2024.csv.gz --symbol BTC",
        "pyupc candles load 2024-*.csv --symbol ETH --skip-bad",
        "pyupc candles load BTCUSDT-1m-2025-01.zip --symbol BTC --json",
        "pyupc candles load eth.csv --symbol ETH --columns time,open,high,low,close,volume,-",
    )
)
@click.argument("files", nargs=-1, required=True, metavar="FILE…", type=click.Path(path_type=Path))
@one_symbol("Symbol of all files: BTC, ETH, … Optional if only one is registered.")
@click.option("--skip-bad", is_flag=True, help="Leave bad lines out and load the others.")
@click.option(
    "--columns",
    metavar="LIST",
    callback=_columns,
    help="Columns in order, for files without a header: time,open,high,low,close,volume; - skips"
    " one.",
)
@output_options
def load(
    files: tuple[Path, ...],
    symbol: str | None,
    skip_bad: bool,
    columns: tuple[str, ...] | None,
    output: Output,
) -> None:
    """Load one-minute candles from files of exchanges and collections.

    CSV separated by commas, semicolons (also with decimal commas), tabs or bars; plain, gzip,
    bzip2, xz, zip with one file in it, or zstd (Python 3.14). The header names time, open, high,
    low, close and volume (in units of the symbol) in any order, by the usual names: Open time,
    unix, Volume BTC. Other columns are ignored. Minutes of NaN or blanks are gaps.

    Without a header (Binance, Kraken) the columns are recognised by their numbers if only one
    reading is possible; otherwise pass --columns. A header that the numbers contradict is refused.

    A time is the opening minute: ISO 8601, UTC unless it has an offset, or seconds, ms, us or ns
    since 1970. Each line is one candle: low <= open, close <= high.

    Stored candles are replaced if they differ; loading a file twice changes nothing. If a line is
    bad, its number is reported and nothing is loaded from any file. Lines with different values for
    one minute are all bad.

    A gap is a pair of neighbouring stored candles more than a minute apart, counted from the
    stored candle before the first one in the file to the stored candle after the last one.
    """
    from pyupc.candles.files import size_of
    from pyupc.candles.load import load as load_files
    from pyupc.candles.progress import watching
    from pyupc.database import schema
    from pyupc.database.connect import connect

    sizes = [size_of(file) for file in files]
    with connect() as conn:
        schema.check(conn)
        symbol = symbol or _only_symbol(conn)
        with watching(sum(sizes)) as watcher:
            summary = load_files(conn, symbol, files, watcher, skip_bad=skip_bad, columns=columns)
    document = summary.as_json()
    if output.is_json:
        click.echo(json.dumps(document))
    else:
        print_rows(document["files"], output, human=lambda: click.echo(_as_text(summary)))


def _only_symbol(conn: Connection) -> str:
    from pyupc.candles.load import registered_symbols
    from pyupc.symbols.names import ADD, some

    registered = registered_symbols(conn)
    if not registered:
        raise PyupcError("no symbol is registered", ADD)
    if len(registered) > 1:
        raise UsageProblem(
            "no symbol given, and several are registered",
            f"add --symbol with one of {some(registered)}",
        )
    return registered[0]


def _as_text(summary: Summary) -> str:
    outcomes = [(click.format_filename(path), outcome) for path, outcome in summary.files]
    if len(outcomes) > 1:
        outcomes.append(("all", summary.total))
    return "\n".join(f"{name}: {_sentence(outcome)}" for name, outcome in outcomes)


def _sentence(outcome: Outcome) -> str:
    from pyupc.runtime.text import as_text, count_of

    counts = ", ".join(
        f"{getattr(outcome, name):,} {name}" for name in ("new", "changed", "unchanged", "rejected")
    )
    if outcome.first is None:
        return counts
    gaps = count_of(outcome.gaps, "gap")
    if outcome.gaps:
        gaps += f" ({count_of(outcome.missing_minutes, 'minute')} missing)"
    return f"{counts}; {as_text(outcome.first)} to {as_text(outcome.last)}, {gaps}"

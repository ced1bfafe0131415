"""`pyupc compare`: compute_strikes beside the predecessor's calculation."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pyupc.cli.common.columns import print_columns
from pyupc.cli.common.fingerprint_source import read
from pyupc.cli.common.options import examples, json_output, one_symbol
from pyupc.errors import PyupcError
from pyupc.runtime.printable import printable
from pyupc.runtime.progress import counting

if TYPE_CHECKING:
    from pyupc.bench.compare.run import Comparison

DEFAULT_SYMBOL = "BTC"

_WORDS = {
    "compute_strikes": "compute_strikes",
    "nearest_one_by_one": "griddata, nearest, one call per strike and direction",
    "nearest_at_once": "griddata, nearest, all strikes in two calls",
    "linear_at_once": "griddata, linear, all strikes in two calls",
}


@click.command(
    epilog=examples(
        "pyupc compare --samples 20",
        "pyupc compare --samples 20 --symbol BTC --json",
        "# pyupc compare symbol_fingerprints/ --samples 1000   # these files, not the set in use",
    )
)
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option(
    "--samples",
    "count",
    type=click.IntRange(1, 100_000),
    default=1000,
    show_default=True,
    metavar="N",
    help="Random prices, times to the close and momenta; 21 strikes each.",
)
@one_symbol("BTC, ETH, … Default: from the names of the files in DIR, else BTC.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the random samples.")
@json_output
def command(folder: Path | None, count: int, symbol: str | None, seed: int, as_json: bool) -> None:
    """Compare compute_strikes with the predecessor's calculation.

    Values and times are compared.

    The predecessor uses scipy's griddata, nearest and linear, over CSV files read with pandas.
    Without DIR the files are the set in use, exported with every digit to a temporary folder. Both
    compute the same 21 strikes of every sample in both directions.

    Exits with 1 if a value of griddata's nearest differs. Values in the middle between two cells do
    not count: there compute_strikes takes the shorter time and the smaller move, scipy the first
    one in its tree. Differences are in percentage points. Needs the extra `compare`.
    """
    from pyupc.runtime.packages import require

    require(("pandas", "scipy"), "compare", "the predecessor's calculation")

    from pyupc.bench.compare.run import Source, run
    from pyupc.database import schema
    from pyupc.database.connect import connect

    with connect(application_name="pyupc compare") as conn:
        schema.check(conn)
        source = None
        if folder is not None:
            found = read(folder, symbol)
            symbol = found.symbol
            source = Source(folder, [each.bucket for each in found.fingerprints])
        done = run(
            conn,
            symbol or DEFAULT_SYMBOL,
            source,
            count=count,
            seed=seed,
            progress=counting("comparing", "samples"),
        )
    if as_json:
        click.echo(json.dumps(done.as_json()))
    else:
        _print(done)
    _refuse_mismatches(done)


def _refuse_mismatches(done: Comparison) -> None:
    nearest = done.differences.nearest
    if not nearest.differing:
        return
    folder = shlex.quote(done.folder) if done.folder else "DIR"
    raise PyupcError(
        f"{nearest.differing:,} of {nearest.compared:,} values differ from griddata's nearest",
        "list the cells that differ:"
        f" pyupc fingerprints validate {folder} --symbol {done.symbol} --against {done.origin}",
    )


def _print(done: Comparison) -> None:
    found = done.differences
    files = printable(done.folder) if done.folder else "the same set, exported"
    click.echo(f"{done.symbol}: compute_strikes uses {done.origin} fingerprints")
    click.echo(f"files: {files}; {done.fingerprints} fingerprints")
    click.echo(f"{done.samples:,} samples, {found.values:,} values")
    if found.other_fingerprint:
        click.echo(f"{found.other_fingerprint:,} samples used another fingerprint")
    click.echo()
    _print_differences(done)
    click.echo()
    _print_times(done)


def _print_differences(done: Comparison) -> None:
    nearest, linear = done.differences.nearest, done.differences.linear
    head = ("difference in points from", "compared", "differ", "mean", "p99", "largest")
    differing = f"{nearest.differing:,}"
    print_columns(
        head,
        [
            ("nearest", f"{nearest.compared:,}", differing, "", "", _points(nearest.largest)),
            (
                "linear",
                f"{linear.compared:,}",
                "",
                _points(linear.mean),
                _points(linear.p99),
                _points(linear.largest),
            ),
        ],
        left=1,
    )
    click.echo(
        f"nearest: {nearest.ties:,} values in the middle between two cells are left out;"
        f" {nearest.ties_differing:,} of them differ"
    )
    click.echo(f"linear: {linear.outside:,} values outside the grid have no value to compare with")


def _print_times(done: Comparison) -> None:
    print_columns(
        ("21 strikes, both directions", "samples", "p50 ms", "compute_strikes", "ratio"),
        [
            (
                _WORDS[each.name],
                f"{each.rounds:,}",
                _milliseconds(each.p50_ms),
                _milliseconds(each.beside_ms),
                f"{each.ratio:,.3g}",
            )
            for each in done.times
        ],
        left=1,
    )


def _milliseconds(value: float) -> str:
    return f"{value:,.3f}" if value < 10 else f"{value:,.1f}"


def _points(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"

"""`pyupc fingerprints validate`: compare every cell of a source with the database."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pyupc.cli.common.columns import print_columns
from pyupc.cli.common.fingerprint_source import connected, read, source
from pyupc.cli.common.options import examples
from pyupc.cli.common.output import Output, output_options, print_rows
from pyupc.errors import PyupcError
from pyupc.runtime.progress import working

if TYPE_CHECKING:
    from pyupc.fingerprints.transfer.fingerprint import FingerprintSet
    from pyupc.fingerprints.transfer.store import Comparison


@click.command(
    epilog=examples(
        "pyupc fingerprints validate symbol_fingerprints/ --symbol BTC",
        "pyupc fingerprints validate symbol_fingerprints/ --symbol BTC --against built --json",
        "pyupc fingerprints validate symbol_fingerprints/ --symbol BTC --csv > differences.csv",
        "# pyupc fingerprints validate --from-dsn 'host=old dbname=trading' --symbol BTC",
    )
)
@source
@click.option(
    "--against",
    type=click.Choice(["imported", "built"]),
    default="imported",
    show_default=True,
    help="Set to compare with.",
)
@output_options
def validate(
    folder: Path | None,
    symbol: str | None,
    from_dsn: str | None,
    schema: str,
    against: str,
    output: Output,
) -> None:
    """Compare every cell of the files with the database.

    The database's cells are those that compute_strikes reads. Exits with 1 if a number differs or
    is missing in the database. Fingerprints built from candles cover other years than the
    predecessor's: --against built shows the differences, and exits with 0. Differences are in
    percentage points.
    """
    from pyupc.fingerprints.transfer import store

    with connected() as conn:
        found = read(folder, symbol, from_dsn, schema)
        with working("comparing"):
            *comparisons, total = store.validate_set(conn, found, against)
        files = {fingerprint.bucket for fingerprint in found.fingerprints}
        others = [b for b in store.buckets(conn, found.symbol, against) if b not in files]
    _print_comparison(found, against, comparisons, total, others, output)
    if against == "imported" and not total.is_equal:
        raise PyupcError(
            f"{total.differing:,} of {total.compared:,} cells differ,"
            f" {total.missing:,} are missing in the database",
            "import the files again",
        )


def _print_comparison(
    found: FingerprintSet,
    against: str,
    comparisons: list[Comparison],
    total: Comparison,
    others: list[int],
    output: Output,
) -> None:
    from pyupc.fingerprints.transfer.names import stem

    named = [(stem(found.symbol, row.bucket or 0), row) for row in comparisons]
    only_there = [stem(found.symbol, bucket) for bucket in others]
    rows = [{"fingerprint": name, **_numbers(row)} for name, row in named]
    if output.is_json:
        document = {
            "symbol": found.symbol,
            "against": against,
            "fingerprints": rows,
            "total": _numbers(total),
            "only_in_database": only_there,
        }
        click.echo(json.dumps(document))
    else:
        lines = [*named, ("all", total)]
        print_rows(rows, output, human=lambda: _print_table(lines, only_there))


def _print_table(lines: list[tuple[str, Comparison]], only_there: list[str]) -> None:
    head = ("fingerprint", "compared", "differ", "missing", "largest", "mean")
    print_columns(
        head,
        [
            (
                name,
                f"{row.compared:,}",
                f"{row.differing:,}",
                f"{row.missing:,}",
                _points(row.largest),
                _points(row.mean),
            )
            for name, row in lines
        ],
        left=1,
    )
    if only_there:
        click.echo(f"in the database only: {', '.join(only_there)}")


def _numbers(row: Comparison) -> dict[str, Any]:
    numbers = asdict(row)
    del numbers["bucket"]
    return numbers


def _points(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"

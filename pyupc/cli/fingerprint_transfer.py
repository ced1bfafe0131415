"""`pyupc fingerprints import`, `export`, `validate` and `use`: moving fingerprints in and out."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pyupc.cli.columns import print_columns
from pyupc.cli.options import examples, json_output, one_symbol, symbols
from pyupc.cli.report import printable
from pyupc.cli.transfer_progress import counting, working
from pyupc.errors import PyupcError, UsageProblem

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyupc.transfer.fingerprint import FingerprintSet, Problem
    from pyupc.transfer.store import Comparison, Connection

_SHOWN = 20

# Whether it can be read is found out by reading it.
_FOLDER = click.Path(readable=False, path_type=Path)
_folder = click.argument("folder", metavar="DIR", required=False, type=_FOLDER)


def _source(function: Callable[..., None]) -> Callable[..., None]:
    """The arguments of a command that reads a set: a folder, or tables on a server."""
    for option in (
        click.option("--schema", default="analytics", show_default=True, help="Of the tables."),
        click.option(
            "--from-dsn",
            metavar="DSN",
            help="Read the predecessor's tables there instead of files; nothing is written there.",
        ),
        one_symbol("BTC, ETH, …; may be left out: names of files and tables say it."),
        _folder,
    ):
        function = option(function)
    return function


@click.command(
    name="import",
    epilog=examples(
        "pyupc fingerprints import symbol_fingerprints/ --symbol BTC",
        "pyupc fingerprints import symbol_fingerprints/ --symbol BTC --strict --json",
        "# pyupc fingerprints import --from-dsn 'host=old dbname=trading' --schema analytics",
    ),
)
@_source
@click.option("--strict", is_flag=True, help="Refuse what is only warned of.")
@json_output
def import_(
    folder: Path | None,
    symbol: str | None,
    from_dsn: str | None,
    schema: str,
    strict: bool,
    as_json: bool,
) -> None:
    """Bring the predecessor's fingerprints in: all of a folder or, if anything is wrong, none.

    A file is a table of percentages: a row a minute to the close (7m TTC), two columns a
    threshold (>= +0.05%, <= -0.05%), in any order; one file a momentum bucket, and the baseline.
    Every digit is kept, so that export gives the same bytes back. An imported set replaces the
    one imported before; importing the same one again changes nothing.

    Fingerprints built from candles stay beside it, and go on answering until
    "pyupc fingerprints use imported".
    """
    from pyupc.transfer import store
    from pyupc.transfer.fingerprint import Refused

    began = time.monotonic()
    with _connected() as conn:
        found = _read(folder, symbol, from_dsn, schema)
        _say(found.warnings, mark="warning: ")
        if strict and found.warnings:
            raise Refused(found.warnings, "mend the source, or import it without --strict")
        with working("storing and publishing"):
            done = store.import_set(conn, found)
    if as_json:
        document = {
            "symbol": found.symbol,
            "source": found.source,
            "fingerprints": len(found.fingerprints),
            "minutes": found.minutes,
            "thresholds": len(found.thresholds),
            "cells": found.cells,
            **asdict(done),
            "warnings": len(found.warnings),
            "seconds": round(time.monotonic() - began, 3),
        }
        click.echo(json.dumps(document))
        return
    click.echo(
        f"{found.symbol}: {len(found.fingerprints)} fingerprints of {found.minutes} minutes and"
        f" {len(found.thresholds)} thresholds, {found.cells:,} cells, {_became(done)};"
        f" {time.monotonic() - began:.1f} s"
    )
    if done.in_use == "imported":
        click.echo("compute_strikes answers from them")
    else:
        click.echo(
            "those built from candles go on answering, until:"
            f" pyupc fingerprints use imported --symbol {found.symbol}"
        )


@click.command(
    epilog=examples(
        "pyupc fingerprints validate symbol_fingerprints/ --symbol BTC",
        "pyupc fingerprints validate symbol_fingerprints/ --symbol BTC --against built --json",
        "# pyupc fingerprints validate --from-dsn 'host=old dbname=trading' --symbol BTC",
    )
)
@_source
@click.option(
    "--against",
    type=click.Choice(["imported", "built"]),
    default="imported",
    show_default=True,
    help="What to compare with.",
)
@json_output
def validate(
    folder: Path | None,
    symbol: str | None,
    from_dsn: str | None,
    schema: str,
    against: str,
    as_json: bool,
) -> None:
    """Compare every cell of the files with the curves that compute_strikes reads.

    Exits with 1 if a number differs or is missing in the database. Those built from candles come
    from other years than the predecessor's: --against built reports how far they are apart, and
    exits with 0. Differences are in percentage points.
    """
    from pyupc.transfer import store

    with _connected() as conn:
        found = _read(folder, symbol, from_dsn, schema)
        with working("comparing"):
            *each, total = store.validate_set(conn, found, against)
        files = {fingerprint.bucket for fingerprint in found.fingerprints}
        others = [b for b in store.buckets(conn, found.symbol, against) if b not in files]
    _print_comparison(found, against, each, total, others, as_json=as_json)
    if against == "imported" and not total.is_equal:
        raise PyupcError(
            f"{total.differing:,} of {total.compared:,} cells differ,"
            f" {total.missing:,} are missing in the database",
            "import the files again",
        )


@click.command(
    epilog=examples(
        "pyupc fingerprints export exported/ --symbol BTC",
        "pyupc fingerprints export built/ --symbol BTC --origin built --json",
    )
)
@click.argument("folder", metavar="DIR", type=_FOLDER)
@one_symbol("BTC, ETH, …; may be left out if only one has imported fingerprints.")
@click.option(
    "--origin",
    type=click.Choice(["imported", "built"]),
    help="Which set. Default: the imported one if there is one.",
)
@click.option("--force", is_flag=True, help="Replace files that hold something else.")
@json_output
def export(
    folder: Path, symbol: str | None, origin: str | None, force: bool, as_json: bool
) -> None:
    """Write fingerprints as the predecessor's CSV files: all of them or, on any error, none.

    Imported ones come out as they came in, byte for byte; those built from candles are rounded to
    two decimals. A file that is there already with the same contents stays as it is.
    """
    from pyupc.transfer import store
    from pyupc.transfer.folder import write_folder

    with _connected() as conn, store.snapshot(conn):
        symbol = symbol or _only_imported(conn)
        there = store.origins(conn, symbol)
        chosen = origin or ("imported" if "imported" in there else "built")
        if chosen not in there:
            raise PyupcError(
                f"{symbol} has no {origin + ' ' if origin else ''}fingerprints",
                'see "pyupc fingerprints list"',
            )
        read = store.imported_set if chosen == "imported" else store.built_set
        fingerprints = read(conn, symbol)
    with counting("writing") as on_file:
        written = write_folder(folder, symbol, fingerprints, on_file, is_forced=force)
    if as_json:
        document = {
            "symbol": symbol,
            "origin": chosen,
            "folder": str(folder),
            "fingerprints": len(fingerprints),
            "written": written,
        }
        click.echo(json.dumps(document))
        return
    same = len(fingerprints) - written
    click.echo(
        f"{symbol}: {len(fingerprints)} {chosen} fingerprints in"
        f" {printable(click.format_filename(folder))}"
        + (f", {same} of them there already" if same else "")
    )


@click.command(
    epilog=examples(
        "pyupc fingerprints use built --symbol BTC", "pyupc fingerprints use imported --symbol BTC"
    )
)
@click.argument("origin", type=click.Choice(["built", "imported"]))
@symbols
@json_output
def use(origin: str, symbols: tuple[str, ...], as_json: bool) -> None:
    """Choose which fingerprints compute_strikes answers from: those built, or those imported.

    All buckets change at once, and the named views with them; a running tick answers from them
    at its next second. Without --symbol it is done for every symbol that has such fingerprints.
    """
    from pyupc.transfer import store

    with _connected() as conn:
        chosen = store.use(conn, origin, symbols)
    if as_json:
        click.echo(json.dumps({"origin": origin, "symbols": chosen}))
    else:
        click.echo(f"{', '.join(chosen)}: compute_strikes answers from {origin} fingerprints")


def _connected() -> Connection:
    from pyupc.database import schema
    from pyupc.database.connect import connect

    conn = connect(application_name="pyupc fingerprints")
    try:
        schema.check(conn)
    except BaseException:
        conn.close()
        raise
    return conn


def _read(
    folder: Path | None, symbol: str | None, from_dsn: str | None, schema: str
) -> FingerprintSet:
    from pyupc.transfer.fingerprint import Refused

    if (folder is None) == (from_dsn is None):
        raise UsageProblem("name a folder, or a server with --from-dsn", "see --help")
    try:
        with counting("reading") as on_file:
            if folder is not None:
                from pyupc.transfer.folder import read_folder

                return read_folder(folder, symbol, on_file)
            from pyupc.transfer.tables import read_tables

            assert from_dsn is not None
            return read_tables(from_dsn, schema, symbol, on_file)
    except Refused as refused:
        if len(refused.problems) > 1:
            _say(refused.problems)
        raise


def _say(problems: Sequence[Problem], *, mark: str = "") -> None:
    """The first of them, a line each."""
    for problem in problems[:_SHOWN]:
        click.echo(printable(f"{mark}{problem}"), err=True)
    if len(problems) > _SHOWN:
        click.echo(f"… and {len(problems) - _SHOWN:,} more", err=True)


def _only_imported(conn: Connection) -> str:
    rows = conn.execute(
        "SELECT i.symbol FROM upc_data.fingerprint_import AS i ORDER BY 1"
    ).fetchall()
    if len(rows) != 1:
        raise UsageProblem("which symbol?", "add --symbol, for example --symbol BTC")
    return str(rows[0][0])


def _became(done: Any) -> str:
    if not done.is_changed:
        return "there already"
    if done.replaced:
        return f"imported in place of the {done.replaced} imported before"
    return "imported"


def _print_comparison(
    found: FingerprintSet,
    against: str,
    each: list[Comparison],
    total: Comparison,
    others: list[int],
    *,
    as_json: bool,
) -> None:
    from pyupc.transfer.names import stem

    named = [(stem(found.symbol, row.bucket or 0), row) for row in each]
    only_there = [stem(found.symbol, bucket) for bucket in others]
    if as_json:
        rows = [{"fingerprint": name, **_numbers(row)} for name, row in named]
        document = {
            "symbol": found.symbol,
            "against": against,
            "fingerprints": rows,
            "total": _numbers(total),
            "only_in_database": only_there,
        }
        click.echo(json.dumps(document))
        return
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
            for name, row in [*named, ("all", total)]
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

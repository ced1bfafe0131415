"""`pyupc fingerprints import`, `export` and `use`: moving fingerprints in and out."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pyupc.cli.common.fingerprint_source import FOLDER, connected, read, say, source
from pyupc.cli.common.options import examples, json_output, one_symbol, symbols
from pyupc.errors import PyupcError, UsageProblem
from pyupc.runtime.printable import printable
from pyupc.runtime.progress import counting, working

if TYPE_CHECKING:
    from pyupc.fingerprints.transfer.store import Connection


@click.command(
    name="import",
    epilog=examples(
        "pyupc fingerprints import symbol_fingerprints/ --symbol BTC",
        "pyupc fingerprints import symbol_fingerprints/ --symbol BTC --strict --json",
        "# pyupc fingerprints import --from-dsn 'host=old dbname=trading' --schema analytics",
    ),
)
@source
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
    from pyupc.fingerprints.transfer import store
    from pyupc.fingerprints.transfer.fingerprint import Refused

    began = time.monotonic()
    with connected() as conn:
        found = read(folder, symbol, from_dsn, schema)
        say(found.warnings, mark="warning: ")
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
        "pyupc fingerprints export exported/ --symbol BTC",
        "pyupc fingerprints export built/ --symbol BTC --origin built --json",
    )
)
@click.argument("folder", metavar="DIR", type=FOLDER)
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
    from pyupc.fingerprints.transfer import store
    from pyupc.fingerprints.transfer.folder import write_folder

    with connected() as conn, store.snapshot(conn):
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
    with counting("writing", "fingerprints") as on_file:
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
    from pyupc.fingerprints.transfer import store

    with connected() as conn:
        chosen = store.use(conn, origin, symbols)
    if as_json:
        click.echo(json.dumps({"origin": origin, "symbols": chosen}))
    else:
        click.echo(f"{', '.join(chosen)}: compute_strikes answers from {origin} fingerprints")


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

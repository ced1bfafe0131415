"""`pyupc fingerprints import`, `export` and `use`: moving fingerprints in and out."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pyupc.cli.common.fingerprint_source import FOLDER, connected, print_problems, read, source
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
@click.option("--strict", is_flag=True, help="Treat warnings as errors.")
@json_output
def import_(
    folder: Path | None,
    symbol: str | None,
    from_dsn: str | None,
    schema: str,
    strict: bool,
    as_json: bool,
) -> None:
    """Import the predecessor's fingerprints: all of a folder, or none.

    A file is a table of percentages: one row per minute to the close (7m TTC), two columns per
    threshold (>= +0.05%, <= -0.05%), in any order. There is one file per momentum bucket, and the
    baseline. Every digit is stored, so that export writes the same bytes. An imported set replaces
    the one before; importing the same set again changes nothing.

    Fingerprints built from candles stay, and remain in use until "pyupc fingerprints use imported".
    """
    from pyupc.fingerprints.transfer import store
    from pyupc.fingerprints.transfer.fingerprint import Refused

    began = time.monotonic()
    with connected() as conn:
        found = read(folder, symbol, from_dsn, schema)
        print_problems(found.warnings, mark="warning: ")
        if strict and found.warnings:
            raise Refused(found.warnings, "fix the source, or import it without --strict")
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
        f" {len(found.thresholds)} thresholds, {found.cells:,} cells, {_outcome(done)};"
        f" {time.monotonic() - began:.1f} s"
    )
    if done.in_use == "imported":
        click.echo("they are in use")
    else:
        click.echo(
            "those built from candles stay in use; to use the imported ones:"
            f" pyupc fingerprints use imported --symbol {found.symbol}"
        )


@click.command(
    epilog=examples(
        "pyupc fingerprints export exported/ --symbol BTC",
        "pyupc fingerprints export built/ --symbol BTC --origin built --json",
    )
)
@click.argument("folder", metavar="DIR", type=FOLDER)
@one_symbol("BTC, ETH, … Optional if only one has imported fingerprints.")
@click.option(
    "--origin",
    type=click.Choice(["imported", "built"]),
    help="Set to export. Default: imported if there is one, else built.",
)
@click.option("--force", is_flag=True, help="Replace files with other contents.")
@json_output
def export(
    folder: Path, symbol: str | None, origin: str | None, force: bool, as_json: bool
) -> None:
    """Export fingerprints as the predecessor's CSV files.

    All files are written, or none. Imported fingerprints are written byte for byte as they were
    read; those built from candles are rounded to two decimals. Existing files with the same
    contents are left alone.
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
                "list them: pyupc fingerprints list",
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
        + (f", {same} of them unchanged" if same else "")
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
    """Choose the fingerprints in use: those built, or those imported.

    All buckets and named views change at once; a running tick uses them from the next second on.
    Without --symbol it applies to every symbol with such fingerprints.
    """
    from pyupc.fingerprints.transfer import store

    with connected() as conn:
        chosen = store.use(conn, origin, symbols)
    if as_json:
        click.echo(json.dumps({"origin": origin, "symbols": chosen}))
    else:
        click.echo(f"{', '.join(chosen)}: {origin} fingerprints are in use")


def _only_imported(conn: Connection) -> str:
    rows = conn.execute(
        "SELECT i.symbol FROM upc_data.fingerprint_import AS i ORDER BY 1"
    ).fetchall()
    if len(rows) != 1:
        raise UsageProblem("no symbol given", "add --symbol, such as --symbol BTC")
    return str(rows[0][0])


def _outcome(done: Any) -> str:
    if not done.is_changed:
        return "unchanged"
    if done.replaced:
        return f"imported, replacing {done.replaced}"
    return "imported"

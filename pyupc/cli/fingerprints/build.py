"""`pyupc fingerprints build`: count candles and publish fingerprints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from pyupc.cli.common.options import examples, symbols
from pyupc.cli.common.output import Output, output_options, print_rows

if TYPE_CHECKING:
    from pyupc.fingerprints.build import Build


@click.command(
    epilog=examples(
        "pyupc fingerprints build",
        "pyupc fingerprints build --symbol BTC",
        "pyupc fingerprints build --rebuild --json",
    )
)
@symbols
@click.option("--rebuild", is_flag=True, help="Discard all counts and count the whole history.")
@output_options
def build(symbols: tuple[str, ...], rebuild: bool, output: Output) -> None:
    """Count new or corrected candles, and publish the fingerprints.

    Two connections count, and commit every quarter. An interrupted build goes on where it
    stopped. Readers see the old fingerprints until the new ones are complete. After that, once a
    month, the forecast of volatility is fitted again; the fit before answers until all is counted.
    """
    from pyupc.database import schema
    from pyupc.database.connect import connect, resolve_dsn
    from pyupc.fingerprints.build import build as build_fingerprints
    from pyupc.fingerprints.build import build_progress
    from pyupc.fingerprints.refit import refit

    dsn = resolve_dsn()
    with connect(dsn) as conn:
        schema.check(conn)
    with _resumable(), build_progress() as progress:
        done = build_fingerprints(dsn, symbols, progress, is_reset=rebuild)
    document = asdict(done)
    if output.is_json:
        click.echo(json.dumps(document))
    else:
        print_rows(document["results"], output, human=lambda: _print_results(done))
    with _resumable(), build_progress() as progress:
        refit(dsn, symbols, progress)


@contextmanager
def _resumable() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        click.echo("counts so far are stored; the next build goes on from there", err=True)
        raise


def _print_results(done: Build) -> None:
    for result in done.results:
        click.echo(
            f"{result.symbol}: {result.days:,} days counted; {result.fingerprints} fingerprints"
            f" from {result.pairs_in_all:,} pairs in {result.days_in_all:,} days"
        )
    click.echo(f"{done.fingerprints} fingerprints in all; {done.seconds:.1f} s")

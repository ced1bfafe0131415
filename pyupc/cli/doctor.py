"""`pyupc doctor`: checks of everything that ticks depend on, each with its repair."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pyupc.cli.common.options import examples, out_folder, symbols
from pyupc.cli.common.output import Output, output_options, print_rows
from pyupc.exchange.names import DEFAULT_EXCHANGE
from pyupc.runtime.printable import printable

if TYPE_CHECKING:
    from pyupc.health.doctor.finding import Finding
    from pyupc.health.doctor.run import Examination

COLUMNS = ("check", "state", "seen", "repair")

UNREACHABLE = 3

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command(
    epilog=examples(
        "pyupc doctor --offline",
        "pyupc doctor --offline --symbol BTC --json",
        "# pyupc doctor --exchange kraken --out /srv/live",
    )
)
@symbols
@out_folder("Folder of the JSON files that ticks write.")
@click.option(
    "--exchange",
    default=DEFAULT_EXCHANGE,
    show_default=True,
    metavar="NAME",
    help="Exchange to check.",
)
@click.option(
    "--kalshi",
    metavar="production|demo|URL",
    help="Kalshi's API. Default: PYUPC_KALSHI_URL, else production.",
)
@click.option(
    "--no-kalshi", is_flag=True, envvar="PYUPC_NO_KALSHI", help="Skip the check of Kalshi."
)
@click.option("--offline", is_flag=True, help="Skip the exchange and Kalshi.")
@output_options
def command(
    symbols: tuple[str, ...],
    out: Path,
    exchange: str,
    kalshi: str | None,
    no_kalshi: bool,
    offline: bool,
    output: Output,
) -> None:
    """Check everything that ticks depend on, and suggest repairs.

    Prints a line per check: ok, warn or fail, the finding, and what to do. Nothing is started or
    changed; disk and folder are tested with a small write that leaves nothing behind. It ends
    within 20 seconds, even if something hangs.

    \b
    Exit codes:
      0 no check fails   1 a check fails   3 no database answers
    """
    from pyupc.health.doctor.run import Examination, Job

    job = Job(out, symbols, exchange.strip().lower(), kalshi, not no_kalshi, offline)
    examination = Examination(job)
    found: list[Finding] = []
    if output.format is None:
        for each in examination.findings():
            _print(each)
            found.append(each)
    else:
        found = list(examination.findings())
        print_rows([each.as_row() for each in found], output, columns=COLUMNS)
    _leave(examination, any(each.state == "fail" for each in found))


def _print(found: Finding) -> None:
    state = click.style(f"{found.state:4}", fg=_COLOURS[found.state])
    line = f"{state}  {found.check:16}  {printable(found.seen)}"
    if found.repair:
        line += click.style(f"  → {printable(found.repair)}", bold=True)
    click.echo(line)


def _leave(examination: Examination, has_failed: bool) -> None:
    code = UNREACHABLE if examination.is_unreachable else int(has_failed)
    if examination.is_hanging:
        # A normal exit would wait for threads that a library has started.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    raise SystemExit(code)

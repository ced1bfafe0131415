"""`pyupc tick`: compute all probabilities once a second, and write them to files."""

from __future__ import annotations

import math
import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from pyupc.cli.common.logs import log_activity
from pyupc.cli.common.options import (
    Kinds,
    chosen_kinds,
    examples,
    json_output,
    legacy,
    log_format,
    method,
    model,
    out_folder,
    settlement,
    symbols,
)
from pyupc.cli.common.span import parse_instant
from pyupc.cli.common.terminal import is_screen
from pyupc.errors import UsageProblem

if TYPE_CHECKING:
    from pyupc.tick.job import Job, Outcome
    from pyupc.tick.log_lines import View
    from pyupc.tick.roster import Share


def _feed(ctx: click.Context, parameter: click.Parameter, value: str) -> str:
    name = value.strip().lower()
    if not re.fullmatch("[a-z0-9]+", name):
        raise click.BadParameter(
            f"{value!r} is neither replay, simulated, database nor the name of an exchange",
            ctx,
            parameter,
        )
    return name


def _positive(ctx: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    if value is not None and not 0 < value < math.inf:
        raise click.BadParameter(f"{value} is not a number above zero", ctx, parameter)
    return value


def _share(ctx: click.Context, parameter: click.Parameter, value: str | None) -> Share | None:
    from pyupc.tick.roster import Share

    if value is None:
        return None
    found = re.fullmatch(r"\s*([0-9]{1,6})\s*/\s*([0-9]{1,6})\s*", value)
    share = found and Share(int(found[1]), int(found[2]))
    if not share or not 1 <= share.place <= share.parts:
        raise click.BadParameter(f"{value!r} is no share such as 1/2 or 2/2", ctx, parameter)
    return share


@click.command(
    epilog=examples(
        "pyupc tick --once --feed simulated",
        "pyupc tick --feed replay --symbol BTC --from 2024-05-01T12:00Z --speed 60 --count 3",
        "pyupc tick --feed simulated --seed 7 --interval 0.5 --count 4 --out live",
        "pyupc tick --feed simulated --once --json",
        "pyupc tick --feed replay --model momentum --settlement close --count 3",
        "pyupc tick --feed replay --legacy --once",
        "pyupc tick --feed simulated --no-files --share 1/2 --once",
        "# pyupc tick --feed coinbase --symbol BTC --standby",
    )
)
@click.option(
    "--feed",
    callback=_feed,
    default="replay",
    show_default=True,
    metavar="replay|simulated|database|EXCHANGE",
    help="Source of prices: stored candles, a simulation, the price log, or the ccxt id of an"
    " exchange, such as coinbase.",
)
@symbols
@click.option(
    "--interval",
    type=float,
    callback=_positive,
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Time from the start of one round to the start of the next.",
)
@click.option("--count", type=click.IntRange(min=1), help="Stop after this many rounds.")
@click.option("--once", is_flag=True, help="Stop after one round.")
@out_folder()
@click.option(
    "--no-files",
    is_flag=True,
    help="Write no files: the documents are in the database alone.",
)
@click.option(
    "--share",
    callback=_share,
    metavar="K/N",
    help="Tick one of N shares of the symbols, K from 1 to N, so that N processes tick them all."
    " A hash of its name says to which share a symbol belongs.",
)
@click.option(
    "--from",
    "replay_from",
    callback=parse_instant,
    metavar="INSTANT",
    help="Start of the replay. Default: the latest stored hour, at the current minute.",
)
@click.option(
    "--speed",
    type=float,
    callback=_positive,
    metavar="X",
    help="Speed of the replay.  [default: 1]",
)
@click.option("--seed", type=int, metavar="N", help="Seed of the simulation.  [default: 1]")
@model
@method
@settlement
@legacy
@click.option(
    "--standby",
    is_flag=True,
    help="Wait while another process ticks, take over when it ends, dies or hangs, and wait again"
    " when another one takes over.",
)
@click.option(
    "--legacy-layout",
    is_flag=True,
    help="Treat DIR as the predecessor's data folder: link its file names to the new files, and"
    " write the snapshot of the markets, too.",
)
@json_output
@log_format
@click.pass_context
def command(
    ctx: click.Context,
    feed: str,
    symbols: tuple[str, ...],
    interval: float,
    count: int | None,
    once: bool,
    out: Path,
    no_files: bool,
    share: Share | None,
    replay_from: datetime | None,
    speed: float | None,
    seed: int | None,
    model: str | None,
    method: str | None,
    settlement: str | None,
    legacy: bool,
    standby: bool,
    legacy_layout: bool,
    as_json: bool,
) -> None:
    """Compute the probabilities of all strikes, once a second.

    Each tick of a symbol replaces SYMBOL_live_probabilities.json, SYMBOL_strike_table.json,
    SYMBOL_watchlist.json, SYMBOL_active_trades.json and SYMBOL_contracts.json in DIR, and is logged
    in the database; upc_status.json is renewed every few seconds with the state of all symbols. If
    the database is lost it waits and reconnects.

    Only one process ticks a symbol at a time. A second one with --standby takes over within two
    seconds at one tick a second, and writes no files until then. Under systemd it supports
    Type=notify; only committed ticks feed its watchdog.

    Without a volatility forecast, model momentum is used; if the last minute is not in the price
    log, settlement close is used. Files and log report both.

    With an exchange, it starts `pyupc feed` unless a feed runs already, which needs the extra
    `feeds`. With database it uses the newest prices in the log, from any source.

    On a terminal the strikes are shown as they change; elsewhere stderr gets a log line a minute,
    and with --json stdout an array of the last round's live probabilities. SIGTERM and Ctrl-C end
    it after the current tick.

    Symbols that are registered or retired while it runs are noticed, unless --symbol names some.
    Many are ticked in batches of 50, on two connections.
    """
    if once and count is not None:
        raise UsageProblem("--once and --count exclude each other")
    if feed != "replay" and (replay_from is not None or speed is not None):
        raise UsageProblem("--from and --speed are for --feed replay")
    if feed != "simulated" and seed is not None:
        raise UsageProblem("--seed is for --feed simulated")

    if no_files and legacy_layout:
        raise UsageProblem("--no-files and --legacy-layout exclude each other")
    if no_files and ctx.get_parameter_source("out") is ParameterSource.COMMANDLINE:
        raise UsageProblem("--no-files and --out exclude each other")

    kinds = chosen_kinds(legacy, Kinds(model, method, settlement))

    from pyupc.database.connect import resolve_dsn
    from pyupc.tick.job import STORED, Job
    from pyupc.tick.roster import ALL

    has_view = not (as_json or not is_screen())
    if feed not in STORED:
        from pyupc.exchange.names import require_exchange

        require_exchange(feed)

    job = Job(
        dsn=resolve_dsn(),
        feed=feed,
        out=out,
        symbols=symbols,
        interval=interval,
        count=1 if once else count,
        replay_from=replay_from,
        speed=1.0 if speed is None else speed,
        seed=1 if seed is None else seed,
        standby=standby,
        method=kinds.method,
        model=kinds.model,
        settlement=kinds.settlement,
        legacy_layout=legacy_layout,
        share=share or ALL,
        has_files=not no_files,
        shows_documents=as_json or has_view,
    )
    log_activity("pyupc.tick")
    if not has_view:
        outcome = _run(job, None)
    else:
        from pyupc.tick.ladder import Ladder

        with Ladder(feed, is_live=not once) as ladder:
            outcome = _run(job, ladder)
    if as_json:
        documents = [tick.live_probabilities for tick in outcome.ticks.values()]
        click.echo("[" + ",\n".join(documents) + "]")
    raise SystemExit(outcome.exit_code)


def _run(job: Job, view: View | None) -> Outcome:
    from pyupc.tick.run import run

    return run(job, view)

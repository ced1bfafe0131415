"""`pyupc demo`: a database with a history and fingerprints, ticks, and the page."""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pyupc.cli.common.options import chosen_kinds, examples, legacy, out_folder, symbols
from pyupc.errors import PyupcError, UsageProblem

if TYPE_CHECKING:
    from pyupc.demo.sources import Source

SIMULATED = "simulated"


@click.command(
    epilog=examples(
        "pyupc demo --count 5",
        "pyupc demo --count 5 --seed 7 --days 30 --out demo",
        "pyupc demo --count 5 --source btc_1m_2022_2024.csv.gz --symbol BTC",
        "# pyupc demo --source coinbase",
    )
)
@click.option(
    "--source",
    default=SIMULATED,
    show_default=True,
    metavar="simulated|FILE|EXCHANGE",
    help="Source of the history: a simulation; a CSV file of candles, which is replayed; or an"
    " exchange's ccxt id, such as coinbase, whose live prices are ticked.",
)
@symbols
@click.option("--seed", type=int, metavar="N", help="Seed of the simulation.  [default: 1]")
@click.option(
    "--days",
    type=click.IntRange(1, 3660),
    metavar="N",
    help="Days of history.  [default: 90 simulated, 3 from an exchange]",
)
@click.option("--count", type=click.IntRange(min=1), help="Stop after this many ticks.")
@out_folder()
@click.option(
    "--page/--no-page",
    default=None,
    help="Serve the page for a browser. Default: if the extra `web` is installed.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="N",
    help="Port of the page, on this machine.  [default: 8765, or a free one]",
)
@legacy
def command(
    source: str,
    symbols: tuple[str, ...],
    seed: int | None,
    days: int | None,
    count: int | None,
    out: Path,
    page: bool | None,
    port: int | None,
    legacy: bool,
) -> None:
    """Set up a demo database, and tick until Ctrl-C.

    The database gets a history and fingerprints; ticks come once a second. With the extra `web` the
    page is served, too, and its address printed before the first tick.

    Beside simulated prices there is a simulated market: events of each kind with bids and asks,
    their results, a trade each hour, and some hours of all that before the first tick.

    Uses the embedded PostgreSQL, whatever PYUPC_DSN is, and a database of its own, pyupc_demo. A
    second run goes on with it; another source or seed starts afresh. Simulated prices and markets
    are made up: they show how pyupc works, and nothing about any market.
    """
    from pyupc.tick.job import Job
    from pyupc.tick.run import run

    history = _source(source, symbols, seed, days)
    began = time.monotonic()
    dsn, history = _set_up(history)
    job = Job(
        dsn=dsn,
        feed=history.feed,
        out=out,
        symbols=history.symbols,
        count=count,
        seed=1 if seed is None else seed,
        **chosen_kinds(legacy)._asdict(),
    )
    from pyupc.tick.ladder import Ladder

    is_live = sys.stdout.isatty()
    level = logging.getLogger("pyupc").level
    if level <= logging.WARNING:
        # Without a screen the log of the ticks is the output.
        logging.getLogger("pyupc.tick").setLevel(min(level, logging.INFO))
    with (
        _market(dsn, history),
        _page(dsn, page, port, legacy) as address,
        Ladder(
            history.feed,
            is_live=is_live,
            notice=None if address is None else f"the page: {address}",
        ) as ladder,
    ):
        _print_step(
            time.monotonic() - began, f"until the first tick; files go to {out}/, Ctrl-C stops"
        )
        outcome = run(job, ladder if is_live else None)
        if outcome.ticks and not is_live:
            ladder.show(outcome.ticks, "")
    raise SystemExit(outcome.exit_code)


def _market(dsn: str, source: Source) -> AbstractContextManager[object]:
    """The simulated market, read while the demo ticks; nothing for prices that are not made up."""
    from pyupc.demo.market import Market
    from pyupc.demo.sources import Simulation

    if not isinstance(source, Simulation):
        return nullcontext()
    return Market(dsn, source.symbols, source.seed)


@contextmanager
def _page(
    dsn: str, is_wanted: bool | None, port: int | None, is_legacy: bool
) -> Iterator[str | None]:
    """Serve the page and yield its address; None if it is not wanted, or cannot be served."""
    from pyupc.runtime.packages import missing, require
    from pyupc.web.settings import PACKAGES

    if is_wanted is False or (is_wanted is None and port is None and missing(PACKAGES)):
        if is_wanted is None:
            click.echo("hint: to see it in a browser: pip install 'pyupc[web]'", err=True)
        yield None
        return
    require(PACKAGES, "web", "the page")
    from pyupc.web.child_server import serving_beside

    began = time.monotonic()
    with ExitStack() as stack:
        try:
            address = stack.enter_context(serving_beside(dsn, port, is_legacy))
        except PyupcError as problem:
            if is_wanted or port is not None:
                raise
            # The demo goes on without the page unless it was asked for.
            _print_step(time.monotonic() - began, f"no page: {problem.message}")
            address = None
        else:
            _print_step(time.monotonic() - began, f"the page is at {address}")
        yield address


def _source(source: str, symbols: tuple[str, ...], seed: int | None, days: int | None) -> Source:
    from pyupc.demo.sources import SYMBOLS, File, Live, Simulation

    if source == SIMULATED:
        return Simulation(
            symbols=symbols or SYMBOLS,
            days=90 if days is None else days,
            seed=1 if seed is None else seed,
        )
    if seed is not None:
        raise UsageProblem("--seed is for --source simulated", "leave it out")
    path = Path(source)
    if re.fullmatch("[a-z0-9]+", source) and not path.exists():
        from pyupc.exchange.names import require_exchange

        require_exchange(source)
        return Live(source, symbols or SYMBOLS, days=3 if days is None else days)
    if days is not None:
        raise UsageProblem("--days does not apply to a file", "leave it out: all candles are used")
    if len(symbols) != 1:
        raise UsageProblem(
            "a file of candles needs a symbol", "add one --symbol, such as --symbol BTC"
        )
    if not path.is_file():
        raise PyupcError(f"no such file: {path}", "name another one, or leave --source out")
    return File(path, symbols[0])


def _set_up(source: Source) -> tuple[str, Source]:
    """Prepare the database; return its dsn, and the source with the symbols that it has."""
    from pyupc.candles.progress import watching
    from pyupc.database import migrate, schema
    from pyupc.demo.database import DATABASE, open_database
    from pyupc.demo.market import PAST_HOURS, Market
    from pyupc.demo.sources import Live, Simulation
    from pyupc.embedded import default_home
    from pyupc.fingerprints.build import build, build_progress

    if source.feed == SIMULATED:
        click.echo(
            "Prices and markets of this demo are simulated: made up, at no exchange.", err=True
        )
    if isinstance(source, Live):
        # Reach the exchange before another history is dropped.
        with _step(f"asking {source.exchange}") as done:
            source = source.reached()
            done.append(f"{source.exchange} answers")
    with _step("starting PostgreSQL") as done:
        dsn, is_new = open_database(source)
        done.append(f"database {DATABASE}, {'new' if is_new else 'as it was'}, in {default_home()}")
    with _step("creating the schema") as done:
        migrate.upgrade(dsn)
        done.append(f"schema {schema.HEAD}")
    names = " and ".join(source.symbols)
    with _step(f"history of {names}", is_shown=source.feed != "replay") as done:
        added = source.fill(dsn, watching)
        kind = "simulated candles" if source.feed == SIMULATED else "candles"
        done.append(f"{added:,} {kind} of {names} added")
    with _step("fingerprints", is_shown=False) as done, build_progress() as progress:
        built = build(dsn, source.symbols, progress)
        pairs = sum(result.pairs_in_all for result in built.results)
        done.append(
            f"{built.fingerprints} fingerprints from {pairs:,} pairs, {built.days:,} days counted"
        )
    if isinstance(source, Simulation):
        with _step("the simulated market of the last hours") as done:
            ticks = Market(dsn, source.symbols, source.seed).live_through()
            done.append(f"{ticks} ticks of {PAST_HOURS} hours of the simulated market")
    return dsn, source


@contextmanager
def _step(name: str, *, is_shown: bool = True) -> Iterator[list[str]]:
    """Say what is going on while a terminal waits, then what was done and the seconds it took."""
    began = time.monotonic()
    done: list[str] = []
    with ExitStack() as stack:
        if is_shown and sys.stderr.isatty():
            from rich.console import Console

            stack.enter_context(Console(stderr=True).status(f"{name} …"))
        yield done
    _print_step(time.monotonic() - began, "".join(done))


def _print_step(seconds: float, what: str) -> None:
    click.echo(f"{seconds:5.1f} s  {what}", err=True)

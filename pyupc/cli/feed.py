"""`pyupc feed`: write the data of an exchange and of Kalshi to the database."""

from __future__ import annotations

import click

from pyupc.cli.common.logs import log_activity
from pyupc.cli.common.options import examples, log_format, symbols
from pyupc.exchange.names import DEFAULT_EXCHANGE, require_exchange


@click.command(
    epilog=examples(
        "pyupc feed --help",
        "# pyupc feed",
        "# pyupc feed --symbol BTC --exchange kraken --no-kalshi",
    )
)
@click.option(
    "--exchange",
    default=DEFAULT_EXCHANGE,
    show_default=True,
    metavar="NAME",
    help="Source of prices and candles: the ccxt id of any exchange with spot markets.",
)
@symbols
@click.option(
    "--kalshi",
    metavar="production|demo|URL",
    help="Kalshi's API. Default: PYUPC_KALSHI_URL, else production.",
)
@click.option(
    "--no-kalshi",
    is_flag=True,
    envvar="PYUPC_NO_KALSHI",
    help="Prices and candles only. The same as PYUPC_NO_KALSHI=1.",
)
@click.option("--no-build", is_flag=True, help="Do not update the fingerprints.")
@click.option("--exchange-url", hidden=True, help="A server in place of the exchange's own.")
@click.option("--attached", is_flag=True, hidden=True, help="End when standard input ends.")
@click.option("--seconds", type=float, hidden=True, help="End after so many.")
@log_format
def command(
    exchange: str,
    symbols: tuple[str, ...],
    kalshi: str | None,
    no_kalshi: bool,
    no_build: bool,
    exchange_url: str | None,
    attached: bool,
    seconds: float | None,
) -> None:
    """Write prices, candles and Kalshi's events to the database.

    Prices come through a websocket where the exchange has one, else from one request a second.
    Candles are stored at the start and as each minute closes; a minute after each hour they are
    counted into the fingerprints. `pyupc tick --feed NAME` uses this feed.

    Needs the extra `feeds`, but no account. Only one process can feed a symbol from an exchange. If
    the exchange, Kalshi or the database is lost, it waits and reconnects; prices that could not be
    written are dropped. SIGTERM and Ctrl-C end it.
    """
    from pyupc.database.connect import resolve_dsn

    name = exchange.strip().lower()
    require_exchange(name)

    from pyupc.feed.run import Job, run

    log_activity("pyupc.feed")
    job = Job(
        dsn=resolve_dsn(),
        exchange=name,
        symbols=symbols,
        has_kalshi=not no_kalshi,
        kalshi=kalshi,
        is_building=not no_build,
        url=exchange_url,
        is_attached=attached,
        seconds=seconds,
    )
    raise SystemExit(run(job))

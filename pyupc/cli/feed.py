"""`pyupc feed`: write the data of an exchange and of Kalshi to the database."""

from __future__ import annotations

import click

from pyupc.cli.common.logs import log_what_it_does
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
    help="Where prices and candles come from: the ccxt id of any exchange with spot markets.",
)
@symbols
@click.option(
    "--kalshi",
    metavar="production|demo|URL",
    help="Where Kalshi's events come from. Default: PYUPC_KALSHI_URL, else production.",
)
@click.option(
    "--no-kalshi",
    is_flag=True,
    envvar="PYUPC_NO_KALSHI",
    help="Prices and candles only; so does PYUPC_NO_KALSHI=1.",
)
@click.option("--no-build", is_flag=True, help="Leave the fingerprints as they are.")
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
    """Write prices, one-minute candles and Kalshi's events to the database as they come in.

    Prices come through a websocket where the exchange has one, else by a request a second. When it
    starts, and as each minute closes, the candles of closed minutes are stored; a minute after
    each hour the fingerprints count the new ones. `pyupc tick --feed NAME` ticks from it.

    It needs the extra `feeds`, and no account anywhere. One process feeds a symbol from an
    exchange. What is lost, be it the exchange, Kalshi or the database, is waited for; prices that
    could not be written are dropped. SIGTERM and Ctrl-C end it.
    """
    from pyupc.database.connect import resolve_dsn

    name = exchange.strip().lower()
    require_exchange(name)

    from pyupc.feed.run import Job, run

    log_what_it_does("pyupc.feed")
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

"""`pyupc paper`: buy what is suggested on paper, and see what comes of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from pyupc.cli.common.logs import log_activity
from pyupc.cli.common.options import examples, symbols
from pyupc.cli.common.output import Output, output_options, print_rows
from pyupc.cli.common.simulated import say_if_simulated
from pyupc.cli.common.span import bounds, refuse_reversed
from pyupc.cli.paper.table import print_report, print_trades

Row = dict[str, Any]

# The functions of the database, and the columns of what they return behind the symbol.
_TRADES = (
    *("bought_at", "closes_at", "side", "contract", "ticker", "event_ticker", "kind"),
    *("probability", "prob_low", "prob_high", "ask", "count", "fee", "cost", "edge", "edge_low"),
    *("result", "is_final", "payout", "profit"),
)
_SUMMARY = (
    *("bought", "settled", "won", "hit_rate", "said", "expected", "staked", "profit"),
    "return_percent",
)
_CALIBRATION = ("low", "high", "trades", "said", "came", "came_low", "came_high")


@click.group(
    epilog=examples(
        "# pyupc paper run",
        "pyupc paper trades --symbol BTC",
        "pyupc paper report --json",
    )
)
def command() -> None:
    """Buy what is suggested on paper, and see what comes of it.

    Nothing is ordered anywhere. Each bet of `pyupc bets` is bought once, at its ask, with the fee
    and the size that an order would have, and settled by the result of its market. What comes of
    it is the model's own record, before money is at risk.
    """


@command.command(epilog=examples("# pyupc paper run", "pyupc paper run --once"))
@symbols
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 60),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Between two rounds.",
)
@click.option("--once", is_flag=True, help="Do one round, and exit.")
def run(symbols: tuple[str, ...], interval: float, once: bool) -> None:
    """Buy each suggestion once, and settle what has a result, until a signal comes.

    It buys from the last tick's bets, and nothing once the tick is stale. Several of it at a time
    do no harm. SIGTERM and Ctrl-C end it.
    """
    from pyupc.database.connect import resolve_dsn
    from pyupc.paper.run import Job, run

    log_activity("pyupc.paper")
    raise SystemExit(run(Job(resolve_dsn(), symbols, interval, once)))


@command.command(
    epilog=examples("pyupc paper trades", "pyupc paper trades --symbol BTC --csv > paper.csv")
)
@symbols
@bounds("the first paper trade", "now")
@output_options
def trades(
    symbols: tuple[str, ...], since: datetime | None, until: datetime | None, output: Output
) -> None:
    """Print paper trades, the newest first: cost and profit in dollars, edges in cents."""
    refuse_reversed(since, until)
    rows = _read("upc.paper_trades", _TRADES, symbols, since, until)
    print_rows(rows, output, human=lambda: print_trades(rows), columns=("symbol", *_TRADES))


@command.command(epilog=examples("pyupc paper report", "pyupc paper report --calibration --json"))
@symbols
@bounds("the first paper trade", "now")
@click.option("--calibration", is_flag=True, help="What was said beside what came, by tenths.")
@output_options
def report(
    symbols: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
    calibration: bool,
    output: Output,
) -> None:
    """Print what paper trades have come to.

    Of those that are settled: the share that was paid beside the probability that was said, in
    percent, and what was expected, staked and earned, in dollars after fees.
    """
    refuse_reversed(since, until)
    name, columns = (
        ("upc.paper_calibration", _CALIBRATION) if calibration else ("upc.paper_summary", _SUMMARY)
    )
    rows = _read(name, columns, symbols, since, until)
    head = ("symbol", *columns)
    print_rows(rows, output, human=lambda: print_report(rows, head), columns=head)


def _read(
    function: str,
    columns: tuple[str, ...],
    symbols: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
) -> list[Row]:
    """Rows of a function of the database, for the named symbols or for all."""
    from psycopg import sql
    from psycopg.rows import dict_row

    from pyupc.database import schema
    from pyupc.database.connect import connect

    query = sql.SQL(
        "SELECT %(symbol)s::text AS symbol, {columns} FROM {function}(symbol => %(symbol)s::text,"
        " since => coalesce(%(since)s::timestamptz, '-infinity'),"
        " until => coalesce(%(until)s::timestamptz, 'infinity')) AS r"
    ).format(
        columns=sql.SQL(", ").join(sql.Identifier("r", name) for name in columns),
        function=sql.Identifier(*function.split(".")),
    )
    with connect(application_name="pyupc paper") as conn:
        schema.check(conn)
        say_if_simulated(conn)
        registered = "SELECT s.symbol FROM upc_data.symbol AS s ORDER BY s.symbol"
        names = symbols or [name for (name,) in conn.execute(registered)]
        with conn.cursor(row_factory=dict_row) as cursor:
            return [
                row
                for name in names
                for row in cursor.execute(query, {"symbol": name, "since": since, "until": until})
            ]

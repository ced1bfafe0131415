"""`pyupc trades`: record trades, so that ticks watch them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pyupc.cli.common.options import NegativeNumbers, examples, json_output, one_symbol, symbols
from pyupc.cli.common.output import Output, output_options, plain, print_rows
from pyupc.cli.common.simulated import say_if_simulated
from pyupc.cli.trades.numbers import count, fee, price, trade_id
from pyupc.cli.trades.table import bounds, contracts, dollars, print_fills, print_trades
from pyupc.runtime.printable import printable

if TYPE_CHECKING:
    from pyupc.tick.trades import Connection, Trade

TICKER = "KXBTCD-25JUL2615-T118499.99"

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _fee_options(command: _Command) -> _Command:
    """Add --fee and --maker."""
    maker = click.option(
        "--maker",
        "is_maker",
        is_flag=True,
        help="The order rested in the book. For a series without maker fees: --fee 0.",
    )
    charged = click.option(
        "--fee",
        callback=fee,
        metavar="USD",
        help="Fee for all contracts: 0.09, or 9c. Default: computed.",
    )
    return charged(maker(command))


@click.group(epilog=examples("pyupc trades list", "pyupc trades open --help"))
def command() -> None:
    """Record trades that were made, so that ticks watch them.

    pyupc places no orders: it announces when to sell, and the result of each trade.
    """


@command.command(
    name="open",
    epilog=examples(
        f"pyupc trades open --ticker {TICKER} --side yes --price 0.85 --count 10",
        f"pyupc trades open --ticker {TICKER} --side no --price 14c --count 2.5 --json",
        f"pyupc trades open --ticker {TICKER} --side yes --price 85c --count 10 --fee 0.08",
    ),
)
@click.option("--ticker", required=True, metavar="TICKER", help="The market, as Kalshi calls it.")
@click.option(
    "--side",
    required=True,
    type=click.Choice(["yes", "no"], case_sensitive=False),
    help="Side that was bought.",
)
@click.option(
    "--price",
    required=True,
    callback=price,
    metavar="USD",
    help="Price per contract: 0.85, or 85c.",
)
@click.option("--count", required=True, callback=count, metavar="N", help="Number of contracts.")
@_fee_options
@one_symbol("Symbol of the market. Optional.")
@json_output
def open_(
    ticker: str,
    side: str,
    price: Decimal,
    count: Decimal,
    fee: Decimal | None,
    is_maker: bool,
    symbol: str | None,
    as_json: bool,
) -> None:
    """Record a trade that was made, and print its number, cost and fee.

    The market has to be stored, by `pyupc feed` or `pyupc market load`, and open.
    """
    from pyupc.tick.trades import open_trade

    with _connected() as conn:
        trade = open_trade(
            conn, ticker.strip(), side, price, count, symbol, fee=fee, is_maker=is_maker
        )
    _print(trade, as_json)


@command.command(
    cls=NegativeNumbers,
    epilog=examples(
        "pyupc trades close 1 --price 0.91",
        "pyupc trades close 2 --price 9c --json",
        "pyupc trades close 3 --price 0.91 --count 4 --fee 0.03",
        "# pyupc trades close 3   # at the best bid",
    ),
)
@click.argument("trade_id", callback=trade_id, metavar="ID")
@click.option(
    "--price",
    callback=price,
    metavar="USD",
    help="Price per contract: 0.91, or 91c. Default: the best bid.",
)
@click.option(
    "--count", callback=count, metavar="N", help="Number of contracts. Default: all that are held."
)
@_fee_options
@json_output
def close(
    trade_id: int,
    price: Decimal | None,
    count: Decimal | None,
    fee: Decimal | None,
    is_maker: bool,
    as_json: bool,
) -> None:
    """Record a sale of all or part of a trade.

    Its proceeds are printed. Contracts that are not sold stay watched. The price defaults to the
    best bid: one dollar minus the ask of the other side. Without a bid, or if the quotes are older
    than a minute, --price is required.
    """
    from pyupc.tick.trades import close_trade

    with _connected() as conn:
        trade = close_trade(conn, trade_id, price, count=count, fee=fee, is_maker=is_maker)
    _print(trade, as_json)


@command.command(
    name="list",
    epilog=examples(
        "pyupc trades list",
        "pyupc trades list --symbol BTC --all",
        "pyupc trades list --csv --all > trades.csv",
        "pyupc trades list --nl | tail -1",
    ),
)
@symbols
@click.option("--all", "has_ended", is_flag=True, help="Include trades sold or settled.")
@output_options
def list_(symbols: tuple[str, ...], has_ended: bool, output: Output) -> None:
    """Show the trades that are held, and their value now.

    Prices and profits are in USD; profits are after the fees of buying and selling. The probability
    is that of the side bought, in percent, as in ticks by default. The buffer is how far the price
    is on that side of the strike, of a range of its nearer bound. Yes pays from
    `lower` up to but not including `upper`. With --all, ended trades show their profit.
    """
    from pyupc.tick.trades import trade_list

    with _connected() as conn:
        columns, rows = trade_list(conn, symbols, has_ended=has_ended)

    def human() -> None:
        if rows:
            print_trades(rows)
        else:
            click.echo("no trades" if has_ended else "no trades are held", err=True)

    print_rows(rows, output, human=human, columns=columns)


@command.command(
    name="fills",
    cls=NegativeNumbers,
    epilog=examples("pyupc trades fills", "pyupc trades fills 1 --json"),
)
@click.argument("trade_id", callback=trade_id, metavar="[ID]", required=False)
@output_options
def fills_(trade_id: int | None, output: Output) -> None:
    """Show purchases, sales and settlements, with their fees.

    Without ID those of all trades are shown. Prices are per contract, amounts and fees per fill, in
    USD.
    """
    from pyupc.tick.trades import fills

    with _connected() as conn:
        columns, rows = fills(conn, trade_id)

    def human() -> None:
        if rows:
            print_fills(rows)
        else:
            click.echo("no fills", err=True)

    print_rows(rows, output, human=human, columns=columns)


@contextmanager
def _connected() -> Iterator[Connection]:
    from pyupc.database import schema
    from pyupc.database.connect import connect

    with connect(application_name="pyupc trades") as conn:
        schema.check(conn)
        say_if_simulated(conn)
        yield conn


def _print(trade: Trade, as_json: bool) -> None:
    click.echo(json.dumps(plain(trade.as_row())) if as_json else printable(_sentence(trade)))


def _sentence(trade: Trade) -> str:
    done = "bought" if trade.fill_kind == "buy" else "sold"
    # A ticker of a contract above a strike has the strike.
    pays = "" if trade.kind == "above" else f" ({bounds(trade.lower, trade.upper)})"
    what = (
        f"trade {trade.trade_id}: {contracts(trade.fill_count)} {trade.side} {trade.ticker}{pays}"
        f" {done} at {dollars(trade.fill_price)}: {dollars(trade.fill_amount)} USD,"
        f" fee {dollars(trade.fill_fee)}"
    )
    if trade.ended_at is not None:
        return f"{what}, profit {dollars(trade.pnl_after_fees)} after fees"
    if trade.sold_count:
        return f"{what}, {contracts(trade.position)} still held"
    return what

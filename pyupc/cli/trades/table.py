"""Tables of trades and fills, in colour on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pyupc.cli.common.columns import print_columns
from pyupc.cli.common.terminal import is_screen
from pyupc.runtime.printable import printable

Row = dict[str, Any]


def dollars(amount: Decimal | None) -> str:
    """Amount with all its decimals, at least two."""
    return "-" if amount is None else _exact(amount, 2)


def contracts(position: Decimal) -> str:
    return _exact(position, 0)


def _exact(number: Decimal, decimals: int) -> str:
    """Format as text: arithmetic would round numbers longer than its context."""
    whole, _, fraction = f"{number:,f}".partition(".")
    fraction = fraction.rstrip("0").ljust(decimals, "0")
    return f"{whole}.{fraction}" if fraction else whole


def _rounded(decimals: int) -> Callable[[Any], str]:
    return lambda value: "-" if value is None else f"{value:,.{decimals}f}"


def bounds(lower: Decimal | None, upper: Decimal | None) -> str:
    """Values that yes pays for: of 86,000 up to but not including 86,100."""
    if lower is None:
        return "strike awaited" if upper is None else f"below {contracts(upper)}"
    return f"from {contracts(lower)}" + ("" if upper is None else f" to {contracts(upper)}")


def _time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%m-%d %H:%M}Z"


def _bound(bound: Decimal | None) -> str:
    return "-" if bound is None else contracts(bound)


def _text(value: Any) -> str:
    return "-" if value is None else printable(str(value))


# Heading: column of trade_list, and the function that formats it.
_COLUMNS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "id": ("trade_id", _text),
    "ticker": ("ticker", _text),
    "side": ("side", _text),
    "status": ("status", _text),
    "stop": ("stop_reason", _text),
    "lower": ("lower", _bound),
    "upper": ("upper", _bound),
    "count": ("position", contracts),
    "bought": ("buy_price", dollars),
    "prob": ("probability", _rounded(2)),
    "buffer": ("buffer", _rounded(2)),
    "price": ("close_price", dollars),
    "profit": ("pnl_after_fees", _rounded(2)),
    "closes": ("closes_at", _time),
}
_LEFT = ("id", "ticker", "side", "status", "stop")

# Columns that fit, by the least width of the terminal.
_FITTING: tuple[tuple[int, tuple[str, ...]], ...] = (
    (150, tuple(_COLUMNS)),
    (80, ("id", "ticker", "side", "status", "prob", "price", "profit")),
    (0, ("id", "side", "status", "prob", "profit")),
)

_STYLES = {"stopped": "bold yellow", "closed": "dim", "settled": "dim"}


# The same for the ledger of fills.
_FILLS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "id": ("trade_id", _text),
    "fill": ("fill", _text),
    "kind": ("kind", _text),
    "count": ("count", contracts),
    "price": ("price", dollars),
    "amount": ("amount", dollars),
    "fee": ("fee", dollars),
    "at": ("filled_at", _time),
}


def print_fills(rows: Sequence[Row]) -> None:
    cells = [[write(row[column]) for column, write in _FILLS.values()] for row in rows]
    print_columns(list(_FILLS), cells, left=3)


def print_trades(rows: Sequence[Row]) -> None:
    if is_screen():
        _print_rich(rows)
    else:
        print_columns(list(_COLUMNS), [_cells(row, list(_COLUMNS)) for row in rows], left=5)


def _cells(row: Row, names: Sequence[str]) -> list[str]:
    # Add the market's result to the status.
    shown = row
    if row["status"] == "settled":
        kind = ", provisional" if row["is_provisional"] else ""
        shown = {**row, "status": f"settled {row['result']}{kind}"}
    return [_COLUMNS[name][1](shown[_COLUMNS[name][0]]) for name in names]


def _print_rich(rows: Sequence[Row]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    shown = next(names for width, names in _FITTING if console.width >= width)
    for name in shown:
        is_left = name in _LEFT
        table.add_column(name, justify="left" if is_left else "right", overflow="fold")
    for row in rows:
        cells = [
            Text(cell, _profit_style(row) if name == "profit" else "")
            for name, cell in zip(shown, _cells(row, shown), strict=True)
        ]
        table.add_row(*cells, style=_STYLES.get(row["status"], ""))
    console.print(table)


def _profit_style(row: Row) -> str:
    profit = row["pnl_after_fees"]
    if not profit:
        return ""
    return "green" if profit > 0 else "red"

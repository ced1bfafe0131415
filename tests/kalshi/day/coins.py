"""The five coins of the day: what they cost, and the grids on which Kalshi lists them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

DAY = datetime(2026, 3, 5, tzinfo=UTC)


@dataclass(frozen=True)
class Coin:
    """`digits`: of what settles its contracts; `decimals`: of its prices at the exchange.

    `step`: between strikes of its events above them; `below`: how far below a strike the floor of
    its market lies, the unit of these events. `width`: of its ranges, `offset`: of their edges.
    `shard`: of the exchange, as events name it.
    """

    symbol: str
    name: str
    price: float
    decimals: int
    digits: int
    step: Decimal
    below: Decimal
    width: Decimal
    offset: Decimal
    range_series: str
    shard: int | None = 0

    @property
    def above_series(self) -> str:
        return f"KX{self.symbol}D"

    @property
    def updown_series(self) -> str:
        return f"KX{self.symbol}15M"

    @property
    def unit(self) -> Decimal:
        return Decimal(1).scaleb(-self.digits)


def _coin(
    symbol: str,
    name: str,
    price: float,
    digits: tuple[int, int],
    above: tuple[str, str],
    ranges: tuple[str, str],
    range_series: str,
    shard: int | None = 0,
) -> Coin:
    decimals, of_series = digits
    step, below = map(Decimal, above)
    width, offset = map(Decimal, ranges)
    return Coin(
        symbol, name, price, decimals, of_series, step, below, width, offset, range_series, shard
    )


COINS = (
    _coin("BTC", "Bitcoin", 97_000, (2, 2), ("250", "0.01"), ("100", "0"), "KXBTC"),
    _coin("ETH", "Ethereum", 3_500, (2, 2), ("20", "0.01"), ("20", "10"), "KXETH"),
    _coin("SOL", "Solana", 140, (4, 4), ("0.25", "0.0001"), ("0.5", "0"), "KXSOLE", 2),
    _coin("XRP", "XRP", 2.1, (5, 4), ("0.01", "0.0001"), ("0.005", "0"), "KXXRP", 7),
    # Kalshi writes its strikes in texts alone: T0.0949999 is $0.095 or above.
    _coin(
        *("DOGE", "Dogecoin", 0.098, (6, 5), ("0.0005", "0.0000001"), ("0.0002", "0")),
        *("KXDOGE", None),
    ),
)
BY_SYMBOL = {coin.symbol: coin for coin in COINS}

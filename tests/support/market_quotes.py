"""Recorded quotes that were never recorded: contracts around made-up candles, as a CSV file."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
from scipy.special import ndtr

from tests.support.engine import Candles

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
COLUMNS = (
    *("observed_at", "event", "ticker", "closes_at", "lower", "upper", "yes_bid", "yes_ask"),
    *("value", "result", "price"),
)
WIDTH = 100


@dataclass(frozen=True)
class Quote:
    """A line of the file; of the bounds one may be missing, and of the rest what is not known."""

    observed_at: datetime
    event: str
    ticker: str
    closes_at: datetime
    lower: Decimal | None
    upper: Decimal | None
    yes_bid: Decimal | None
    yes_ask: Decimal | None
    value: Decimal | None = None
    result: str | None = None
    price: Decimal | None = None

    @property
    def outcome(self) -> bool:
        if self.value is None:
            return self.result == "yes"
        return (self.lower is None or self.value >= self.lower) and (
            self.upper is None or self.value < self.upper
        )

    def but(self, **changes: object) -> Quote:
        return replace(self, **changes)  # type: ignore[arg-type]


def cell(value: object) -> str:
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, datetime) else str(value)


def write(path: Path, quotes: Iterable[Quote], columns: Sequence[str] = COLUMNS) -> Path:
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(columns)
    rows.writerows([cell(getattr(quote, name)) for name in columns] for quote in quotes)
    content = text.getvalue().encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def settlement(candles: Candles, closes: int) -> float:
    """Average of the last minute before a close as the engine takes it from a candle."""
    place = int(np.searchsorted(candles.minutes, closes - 1))
    assert candles.minutes[place] == closes - 1
    middle = (candles.highs[place] + candles.lows[place]) / 2
    return float(1.11 * middle - 0.05 * candles.closes[place] - 0.06 * candles.opens[place])


def hourly_ranges(
    candles: Candles, first: datetime, hours: int, seed: int, *, basis: float = 0.0
) -> list[Quote]:
    """Ranges of so many hours with their open ends, each asked about at a few odd instants.

    What settles them lies `basis` below the candles, and so does the price beside the quotes.
    """
    dice = np.random.default_rng(seed)
    found = []
    for hour in range(hours):
        closes_at = first + timedelta(hours=hour)
        closes = int((closes_at - EPOCH).total_seconds()) // 60
        value = Decimal(f"{settlement(candles, closes) / (1 + basis):.2f}")
        event = f"KXBTC-{closes_at:%y%b%d%H}".upper()
        middle = int(value) // WIDTH * WIDTH
        edges = [Decimal(middle + WIDTH * k) for k in range(-4, 6)]
        for seconds in (3541, 2177, 1500, 899, 412, 301, 127, 83, 30):
            at = closes_at - timedelta(seconds=seconds)
            known = int((at - EPOCH).total_seconds()) // 60
            place = int(np.searchsorted(candles.minutes, known - 1))
            price = float(candles.closes[place]) / (1 + basis)
            deviation = price * 0.0009 * np.sqrt(seconds / 60)
            for lower, upper in zip([None, *edges], [*edges, None], strict=True):
                high = 1.0 if upper is None else ndtr((float(upper) - price) / deviation)
                low = 0.0 if lower is None else ndtr((float(lower) - price) / deviation)
                cents = int(np.clip(round(100 * (high - low) + dice.normal(0, 3)), 0, 97))
                found.append(
                    Quote(
                        at,
                        event,
                        f"{event}-B{lower}" if lower is not None else f"{event}-T{upper}",
                        closes_at,
                        lower,
                        upper,
                        Decimal(cents) / 100 if cents > 2 else Decimal(0),
                        Decimal(cents + int(dice.integers(1, 4))) / 100,
                        value,
                        None,
                        Decimal(f"{price:.2f}"),
                    )
                )
    return found

"""The names of files, tables and rows, as the predecessor wrote them."""

from __future__ import annotations

import re

BASELINE = 99
# A bucket beyond could be mistaken for the baseline's number.
WIDEST_BUCKET = 98
LONGEST_MINUTES = 1440

_STEM = re.compile(
    r"([a-z0-9]+)_fingerprint_directional_(?:(baseline)|momentum_(-?\d{1,4}))",
    re.ASCII,
)
_ROW = re.compile(r"(\d{1,5})m TTC", re.ASCII)


class NotAName(Exception):
    """The reason why a name is not one of the predecessor's."""


def stem(symbol: str, bucket: int) -> str:
    """`btc_fingerprint_directional_momentum_-05` for BTC and -5; 99 is the baseline.

    The name that `upc.fingerprint_name` gives: the bucket as C's %03d.
    """
    kind = "baseline" if bucket == BASELINE else f"momentum_{bucket:03d}"
    return f"{symbol.lower()}_fingerprint_directional_{kind}"


def parse_stem(name: str) -> tuple[str, int]:
    """Symbol and bucket; raises NotAName."""
    match = _STEM.fullmatch(name)
    if match is None:
        loose = _STEM.fullmatch(name.lower().strip())
        if loose is not None:
            raise NotAName(f"the name has to be written {_of(loose)}")
        raise NotAName(
            "the name is not of the form btc_fingerprint_directional_baseline"
            " or btc_fingerprint_directional_momentum_-05"
        )
    symbol, bucket = match[1].upper(), _bucket(match)
    if match[3] and abs(bucket) > WIDEST_BUCKET:
        raise NotAName(f"bucket {bucket} is beyond -{WIDEST_BUCKET} to {WIDEST_BUCKET}")
    if _of(match) != name:
        raise NotAName(f"bucket {bucket} is written {_of(match)}")
    return symbol, bucket


def _bucket(match: re.Match[str]) -> int:
    return BASELINE if match[2] else int(match[3])


def _of(match: re.Match[str]) -> str:
    return stem(match[1], _bucket(match))


def row_name(minutes: int) -> str:
    """`7m TTC`: the row of seven minutes to the close."""
    return f"{minutes}m TTC"


def parse_row_name(name: str, *, is_padded: bool = False) -> int:
    """The minutes; `is_padded` also takes the `07m TTC` of the tables. Raises NotAName."""
    match = _ROW.fullmatch(name)
    if match is None or not (is_padded or row_name(int(match[1])) == name):
        raise NotAName(f"{name[:40]!r} is not the name of a row such as '7m TTC'")
    minutes = int(match[1])
    if minutes > LONGEST_MINUTES:
        raise NotAName(f"{name!r} is beyond a day")
    return minutes

"""Names of symbols in hints."""

from __future__ import annotations

from collections.abc import Iterable

# Names that a hint lists; of more it says how many.
MOST = 10

ADD = 'register one: "pyupc symbols add SOL --step 2"'


def some(names: Iterable[str]) -> str:
    """`BTC, ETH`; of many the first few, and how many more there are."""
    known = list(names)
    more = f" and {len(known) - MOST:,} more" if len(known) > MOST else ""
    return ", ".join(known[:MOST]) + more or "none"


def registered(names: Iterable[str]) -> str:
    """The hint for a symbol that is unknown."""
    return f'registered: {some(names)}; "pyupc symbols add" registers another'

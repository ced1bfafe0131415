"""Which symbols a batch holds, and which a process ticks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pyupc.tick.crew import batches_of
from pyupc.tick.roster import Share

names = st.lists(st.from_regex(r"[A-Z0-9]{1,26}", fullmatch=True), unique=True, max_size=200)


@given(names, st.integers(1, 100))
def test_batches_hold_each_symbol_once_and_in_order(symbols: list[str], size: int) -> None:
    batches = batches_of(symbols, size)
    assert [symbol for batch in batches for symbol in batch] == symbols
    assert len(batches) == -(-len(symbols) // size)
    sizes = [len(batch) for batch in batches]
    assert not sizes or (max(sizes) <= size and max(sizes) - min(sizes) <= 1)


@given(names, st.integers(1, 12))
def test_shares_hold_each_symbol_once(symbols: list[str], parts: int) -> None:
    shares = [Share(place, parts).of(symbols) for place in range(1, parts + 1)]
    assert sorted(symbol for share in shares for symbol in share) == sorted(symbols)
    # A symbol stays where it is, whatever comes or goes.
    for share, found in zip(range(1, parts + 1), shares, strict=True):
        assert Share(share, parts).of(symbols[::2]) == tuple(s for s in symbols[::2] if s in found)


def test_shares_are_about_as_large() -> None:
    symbols = [f"S{number}" for number in range(1000)]
    sizes = [len(Share(place, 4).of(symbols)) for place in (1, 2, 3, 4)]
    # 250 each, and 14 the standard deviation.
    assert max(abs(size - 250) for size in sizes) < 70

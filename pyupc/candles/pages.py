"""Pages of a backfill: the missing minutes that one request asks for, and what it leaves open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyupc.candles.gaps import Span, spans_of
from pyupc.exchange.answer import Answer


@dataclass(frozen=True)
class Page:
    """Missing minutes that one request asks for, in order of time; it asks for those between too.

    `is_repeated`: they were part of an earlier request, which brought none of them.
    """

    spans: tuple[Span, ...]
    is_repeated: bool = False

    @property
    def first(self) -> int:
        return self.spans[0].first

    @property
    def after(self) -> int:
        return self.spans[-1].after

    @property
    def minutes(self) -> set[int]:
        return {minute for span in self.spans for minute in range(*span)}


def plan(missing: Sequence[Span], size: int) -> list[Page]:
    """Pages of at most `size` minutes from first to last that hold the missing ones, each once.

    `missing` is in order of time, without overlaps; the pages are not: the newest come first. The
    present needs the newest candles, and they weigh most; and that an exchange has none for a
    minute is certain once it has given later ones.
    """
    pages: list[Page] = []
    parts: list[Span] = []
    for first, after in reversed(missing):
        while first < after:
            start = max(first, (parts[0].after if parts else after) - size)
            if start < after:
                parts.append(Span(start, after))
                after = start
            if first < after:
                pages.append(Page(tuple(reversed(parts))))
                parts = []
    if parts:
        pages.append(Page(tuple(reversed(parts))))
    return pages


def lacking(page: Page, answer: Answer, settled_before: int) -> tuple[set[int], list[Page]]:
    """The minutes that the exchange has no candle of, and those to ask for once more.

    Between two candles of one answer nothing was left out. At its edges it may be that the
    exchange gives fewer candles than were asked for: a minute there is a hole only if a request
    for nothing else brings nothing either. A refused candle is no hole: there is one.
    """
    missing = page.minutes.difference(answer.refused, (c.minute for c in answer.candles))
    if not answer.candles:
        settled = {minute for minute in missing if minute < settled_before}
        if settled and not page.is_repeated:
            return set(), [Page(spans_of(settled), is_repeated=True)]
        # Rows that were not asked for answer another question.
        return set() if answer.problems else settled, []
    first, last = answer.candles[0].minute, answer.candles[-1].minute
    edges = (
        {minute for minute in missing if minute < first},
        {minute for minute in missing if last < minute < settled_before},
    )
    again = [Page(spans_of(edge), is_repeated=True) for edge in edges if edge]
    return {minute for minute in missing if first < minute < last}, again

"""Plans of a backfill and judgements of candles: pure functions."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyupc.candles.gaps import Span, spans_of
from pyupc.candles.pages import plan
from pyupc.exchange.answer import judge

MINUTE = 60_000


@given(st.sets(st.integers(0, 400)), st.integers(1, 60))
def test_pages_hold_the_missing_minutes_once(missing: set[int], size: int) -> None:
    pages = plan(spans_of(missing), size)
    asked = [minute for page in pages for span in page.spans for minute in range(*span)]
    assert sorted(asked) == sorted(missing)
    for page in pages:
        assert page.after - page.first <= size
        assert list(page.spans) == sorted(page.spans)
        assert page.minutes <= missing
        assert {page.first, page.after - 1} <= page.minutes
    for newer, older in itertools.pairwise(pages):
        assert older.after <= newer.first


@given(st.sets(st.integers(0, 400)), st.integers(1, 60))
def test_no_page_could_be_saved(missing: set[int], size: int) -> None:
    """Covering points by intervals from one end is the known optimum."""
    best, rest = 0, sorted(missing)
    while rest:
        best += 1
        rest = [minute for minute in rest if minute <= rest[-1] - size]
    assert len(plan(spans_of(missing), size)) == best


def test_five_years_in_pages() -> None:
    pages = plan([Span(0, 5 * 365 * 1440)], 300)
    assert len(pages) == 5 * 365 * 1440 // 300
    assert (pages[0].first, pages[0].after) == (5 * 365 * 1440 - 300, 5 * 365 * 1440)


@given(st.sets(st.integers(-50, 50)))
def test_spans(minutes: set[int]) -> None:
    spans = spans_of(minutes)
    assert {minute for span in spans for minute in range(*span)} == minutes
    assert all(a.after < b.first for a, b in itertools.pairwise(spans))


# Answers


def row(minute: int, close: float = 10.0) -> list[Any]:
    return [minute * MINUTE, 9.0, 11.0, 8.0, close, 0.5]


def test_good_candles() -> None:
    answer = judge([row(5), row(6), [*row(8), "more"]], 5, 9)
    assert [candle.minute for candle in answer.candles] == [5, 6, 8]
    assert tuple(answer.candles[0]) == (5, 9.0, 11.0, 8.0, 10.0, 0.5)
    assert (answer.problems, answer.refused) == ([], set())


@pytest.mark.parametrize(
    "bad",
    [
        [6 * MINUTE, 9.0, 11.0, 8.0, math.nan, 0.5],
        [6 * MINUTE, 9.0, math.inf, 8.0, 10.0, 0.5],
        [6 * MINUTE, None, 11.0, 8.0, 10.0, 0.5],
        [6 * MINUTE, 9.0, 11.0, 0.0, 10.0, 0.5],
        [6 * MINUTE, 9.0, 11.0, -8.0, 10.0, 0.5],
        [6 * MINUTE, 9.0, 8.0, 11.0, 10.0, 0.5],
        [6 * MINUTE, 11.5, 11.0, 8.0, 10.0, 0.5],
        [6 * MINUTE, 7.5, 11.0, 8.0, 10.0, 0.5],
        [6 * MINUTE, 9.0, 11.0, 8.0, 11.5, 0.5],
        [6 * MINUTE, 9.0, 11.0, 8.0, 7.5, 0.5],
        [6 * MINUTE, 8.0, 11.0, 9.0, 10.0, 0.5],
        [6 * MINUTE, 9.0, 11.0, 8.0, 10.0, -0.5],
        [6 * MINUTE, 9.0, 11.0, 8.0, 10.0, None],
        [6 * MINUTE, 9.0, 11.0, 8.0, "10.0", 0.5],
        [6 * MINUTE, 9.0, 11.0, 8.0, True, 0.5],
        [6 * MINUTE, 9.0, 11.0, 8.0, 10**400, 0.5],
        [6 * MINUTE, 9.0, 11.0, 8.0, 10.0],
        [6 * MINUTE + 30_000, 9.0, 11.0, 8.0, 10.0, 0.5],
        [6 * MINUTE],
    ],
)
def test_a_bad_candle_is_refused_alone(bad: list[Any]) -> None:
    answer = judge([row(5), bad, row(7)], 5, 9)
    assert [candle.minute for candle in answer.candles] == [5, 7]
    assert len(answer.problems) == 1
    assert answer.refused == {6}


@pytest.mark.parametrize(
    "other",
    [row(4), row(9), row(10**30), row(-(10**30)), [], None, "row", [None, 1, 1, 1, 1, 1], [5.5]],
)
def test_candles_outside_the_request(other: Any) -> None:
    answer = judge([row(5), other, row(7)], 5, 9)
    assert [candle.minute for candle in answer.candles] == [5, 7]
    assert len(answer.problems) == 1
    assert answer.refused == set()


def test_repetitions_and_contradictions() -> None:
    answer = judge([row(5), row(5), row(6), row(6, 9.5), row(6), row(7)], 5, 9)
    assert [candle.minute for candle in answer.candles] == [5, 7]
    assert len(answer.problems) == 3
    assert answer.refused == {6}


def test_what_is_out_of_order() -> None:
    answer = judge([row(5), row(7), row(6), row(8)], 5, 9)
    assert [candle.minute for candle in answer.candles] == [5, 7, 8]
    assert len(answer.problems) == 1
    assert answer.refused == {6}


@given(
    st.lists(
        st.tuples(
            st.integers(3, 10).map(lambda minute: minute * MINUTE) | st.integers(0, 10**6),
            *[st.floats() | st.none()] * 5,
        ).map(list)
        | st.builds(row, st.integers(3, 10), st.sampled_from([9.0, 10.0]))
    )
)
def test_whatever_comes(rows: list[Any]) -> None:
    answer = judge(rows, 4, 9)
    minutes = [candle.minute for candle in answer.candles]
    assert minutes == sorted(set(minutes))
    assert not answer.refused & set(minutes)
    asked_for = {each[0] // MINUTE for each in rows if 4 <= each[0] // MINUTE < 9}
    assert set(minutes) | answer.refused == asked_for
    assert bool(answer.problems) >= bool(answer.refused)
    for candle in answer.candles:
        assert 4 <= candle.minute < 9
        assert all(0 < price < math.inf for price in candle[1:5])
        assert candle.low <= candle.high
        assert 0 <= candle.volume < math.inf

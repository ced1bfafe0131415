"""Pauses of the feed after failures, and when its next request is due."""

from __future__ import annotations

import pytest

from pyupc.feed.events import next_start
from pyupc.runtime.backoff import Backoff


def test_pauses_double_and_begin_again() -> None:
    backoff = Backoff(chance=lambda: 0.5)
    assert [backoff.failed() for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    backoff.succeeded()
    assert backoff.failed() == 0.5


def test_pauses_vary_by_half() -> None:
    for chance, factor in ((0.0, 0.5), (0.25, 0.75), (1.0, 1.5)):
        backoff = Backoff(chance=lambda chance=chance: chance)  # type: ignore[misc]
        assert [backoff.failed() for _ in range(3)] == [0.5 * factor, factor, 2 * factor]
        for _ in range(2000):
            assert backoff.failed() <= 30


def test_too_many_requests_slow_the_rate() -> None:
    backoff = Backoff(chance=lambda: 0.0)
    assert backoff.failed(is_limited=True) == 1
    assert backoff.slowdown == 2
    for _ in range(5):
        assert backoff.failed(is_limited=True) >= 1
    assert backoff.slowdown == 8
    for expected in (4, 2, 1, 1):
        for _ in range(60):
            backoff.succeeded()
        assert backoff.slowdown == expected


@pytest.mark.parametrize(
    ("at", "expected"),
    [(10.0, 11), (10.9, 11), (11.0, 11), (11.001, 12), (13.5, 14), (9.0, 11)],
)
def test_reads_begin_an_interval_apart(at: float, expected: float) -> None:
    assert next_start(10.0, at, 1.0) == pytest.approx(expected)

"""Start times of rounds, with a clock that the test turns."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyupc.runtime.stop import Hanging, Stop, limited
from pyupc.tick.loop import Rounds

# In 64ths of a second, which floating point adds without an error.
durations = st.integers(0, 5 * 64).map(lambda ticks: ticks / 64)
intervals = st.integers(1, 2 * 64).map(lambda ticks: ticks / 64)


@dataclass
class Clock:
    """Time that passes only in `wait` and by the test's hand; a sleep may take longer."""

    time: float = 1000.0
    oversleep: float = 0.0
    stop_after: float = float("inf")

    def now(self) -> float:
        return self.time

    def wait(self, seconds: float) -> bool:
        if seconds > 0:
            self.time += seconds + self.oversleep
            self.oversleep = 0.0
        return self.time >= self.stop_after


@given(intervals, st.lists(durations, min_size=1, max_size=20))
def test_rounds_begin_on_the_grid_and_what_passes_is_missed(
    interval: float, busy: list[float]
) -> None:
    clock = Clock()
    rounds = Rounds(interval, clock.now, clock.wait, len(busy))
    begun = []
    for k in rounds:
        begun.append(k)
        assert clock.time == 1000 + k * interval
        clock.time += busy[len(begun) - 1]

    # By hand: the next multiple of the interval that is not over yet, in exact arithmetic.
    expected = [0]
    for seconds in busy[:-1]:
        end = Fraction(expected[-1]) * Fraction(interval) + Fraction(seconds)
        expected.append(max(expected[-1] + 1, -(-end // Fraction(interval))))
    assert begun == expected
    assert rounds.done == len(busy)
    assert rounds.missed == begun[-1] - (len(begun) - 1)


@given(intervals, st.lists(st.tuples(durations, durations), min_size=2, max_size=20))
def test_after_a_long_sleep_nothing_is_caught_up(
    interval: float, steps: list[tuple[float, float]]
) -> None:
    clock = Clock()
    rounds = Rounds(interval, clock.now, clock.wait, len(steps))
    begun = []
    for k in rounds:
        # Less than an interval late, or not begun at all.
        assert 0 <= clock.time - (1000 + k * interval) < interval
        begun.append(k)
        busy, clock.oversleep = steps[len(begun) - 1]
        clock.time += busy
    assert begun == sorted(set(begun))
    assert rounds.missed == begun[-1] + 1 - len(begun)


@given(intervals, st.lists(st.tuples(durations, st.booleans()), min_size=1, max_size=20))
def test_a_lost_round_is_begun_again_at_once(
    interval: float, steps: list[tuple[float, bool]]
) -> None:
    clock = Clock()
    rounds = Rounds(interval, clock.now, clock.wait)
    done: list[int] = []
    left = iter(steps)
    last = (clock.time, False)
    for k in rounds:
        if last[1]:
            assert clock.time == last[0]
        assert 1000 + k * interval <= clock.time < 1000 + (k + 1) * interval
        step = next(left, None)
        if step is None:
            done.append(k)
            break
        seconds, is_lost = step
        clock.time += seconds
        if is_lost:
            rounds.lose()
        else:
            done.append(k)
        last = (clock.time, is_lost)
    assert done == sorted(set(done))
    assert rounds.missed == done[-1] + 1 - len(done)


def test_the_count_ends_it_without_another_sleep() -> None:
    clock = Clock()
    assert list(Rounds(1.0, clock.now, clock.wait, 3)) == [0, 1, 2]
    assert clock.time == 1002


def test_a_wish_to_stop_ends_the_sleep() -> None:
    clock = Clock(stop_after=1002.5)
    rounds = Rounds(1.0, clock.now, clock.wait)
    assert list(rounds) == [0, 1, 2]
    assert rounds.missed == 0


def test_a_wish_to_stop_is_heard_by_a_loop_that_is_always_late() -> None:
    clock = Clock(stop_after=1010)
    begun = []
    for k in Rounds(1.0, clock.now, clock.wait):
        begun.append(k)
        clock.time += 2
    assert begun == [0, 2, 4, 6, 8]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_the_sleep_at_once(number: signal.Signals, code: int) -> None:
    before = signal.getsignal(number)
    with Stop() as stop:
        assert not stop.wait(0.01)
        os.kill(os.getpid(), number)
        began = time.monotonic()
        assert stop.wait(20)
        assert time.monotonic() - began < 1
        assert stop.wait(20)
        assert stop.exit_code == code
    assert signal.getsignal(number) == before


def test_a_signal_during_the_sleep_ends_it() -> None:
    handler = signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    left = signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with Stop() as stop:
            began = time.monotonic()
            while not stop.wait(20):
                pass
            assert 0.05 < time.monotonic() - began < 5
    finally:
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *left)


def test_a_second_ctrl_c_interrupts() -> None:
    with Stop():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_what_hangs_is_given_up() -> None:
    began = time.monotonic()
    with pytest.raises(Hanging), limited(0.05):
        time.sleep(20)
    assert time.monotonic() - began < 5
    with limited(0.05):
        pass
    time.sleep(0.1)

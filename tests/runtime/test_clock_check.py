"""Clocks that come apart, with clocks that the test turns."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import pytest

from pyupc.runtime.clock_check import ClockCheck


@dataclass
class Time:
    """Rounds of a second each; the server's clock and the machine's may be off."""

    passed: float = 50.0
    machine: float = 0.0
    server: float = 0.0

    def __post_init__(self) -> None:
        self.clocks = ClockCheck(lambda: self.passed, lambda: 1e9 + self.passed + self.machine)

    def rounds(self, number: int) -> list[str | None]:
        """The problem after each."""
        seen = []
        for _ in range(number):
            self.passed += 1
            self.clocks.look(1e9 + self.passed + self.server)
            seen.append(self.clocks.problem)
        return seen


def warnings(caplog: pytest.LogCaptureFixture) -> int:
    return sum(record.levelno == logging.WARNING for record in caplog.records)


def test_clocks_that_agree_are_no_news(caplog: pytest.LogCaptureFixture) -> None:
    time = Time()
    time.server = 4.9
    assert time.rounds(200) == [None] * 200
    assert warnings(caplog) == 0


@pytest.mark.parametrize("jump", [3600.0, -3600.0, 5.5, -5.5])
def test_the_clock_of_the_server_jumps(caplog: pytest.LogCaptureFixture, jump: float) -> None:
    time = Time()
    assert time.rounds(3) == [None] * 3
    time.server = jump
    problems = time.rounds(200)
    assert all(problem and f"{jump:+.1f} s" in problem for problem in problems)
    assert warnings(caplog) == 1
    time.server = 0.0
    assert time.rounds(3) == [None] * 3
    assert warnings(caplog) == 2


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
@pytest.mark.parametrize("is_shared", [False, True])
def test_the_clock_of_the_machine_jumps(
    caplog: pytest.LogCaptureFixture, jump: float, is_shared: bool
) -> None:
    time = Time()
    assert time.rounds(3) == [None] * 3
    time.machine = jump
    if is_shared:
        # The server is on it.
        time.server = jump
    problems = time.rounds(30)
    assert all(problem and f"{jump:+.1f} s" in problem for problem in problems)
    assert warnings(caplog) == 1
    time.machine = time.server = 0.0
    assert time.rounds(3) == [None] * 3
    assert warnings(caplog) == 2


def test_a_clock_that_goes_on_steadily_was_set_right(caplog: pytest.LogCaptureFixture) -> None:
    time = Time()
    time.rounds(3)
    time.machine = time.server = 20.0
    problems = time.rounds(70)
    assert problems[50] is not None
    assert problems[-1] is None
    assert warnings(caplog) == 2


def test_a_clock_that_drifts_has_not_jumped() -> None:
    time = Time()
    for _ in range(100):
        time.machine += 0.5
        time.server += 0.5
        assert time.rounds(10) == [None] * 10


def test_a_late_answer_is_ignored() -> None:
    time = Time()
    time.rounds(3)
    time.server = 100.0
    time.passed += 1
    time.clocks.look(None)
    assert time.clocks.problem is None
    assert time.rounds(1) != [None]
    time.clocks.look(None)
    assert time.clocks.problem is not None

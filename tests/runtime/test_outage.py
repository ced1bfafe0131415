"""The feed's log of failures, and how often it repeats them."""

from __future__ import annotations

import pytest

from tests.support.kalshi_scene import Told


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Told:
    return Told(caplog)


def test_a_failure_is_told_once(told: Told) -> None:
    told.report.works("Kalshi BTC")
    assert told.lines() == []
    for second in range(200):
        told.at = second
        told.report.failed("Kalshi BTC", "HTTP 500")
    assert told.lines() == [("ERROR", "Kalshi BTC: HTTP 500")]
    assert told.report.failing() == {"Kalshi BTC": "HTTP 500"}
    told.at = 200
    told.report.works("Kalshi BTC")
    told.report.works("Kalshi BTC")
    assert told.lines() == [("WARNING", "Kalshi BTC: back after 3 min")]
    assert told.report.failing() == {}


def test_another_reason_and_another_subject_are_told(told: Told) -> None:
    told.report.failed("Kalshi BTC", "HTTP 500")
    told.report.failed("coinbase BTC", "HTTP 500")
    told.report.failed("Kalshi BTC", "connection refused")
    told.at = 4.2
    told.report.works("coinbase BTC")
    assert told.lines() == [
        ("ERROR", "Kalshi BTC: HTTP 500"),
        ("ERROR", "coinbase BTC: HTTP 500"),
        ("ERROR", "Kalshi BTC: connection refused"),
        ("WARNING", "coinbase BTC: back after 4.2 s"),
    ]


def test_there_is_a_reminder_every_five_minutes(told: Told) -> None:
    for second in range(0, 3 * 3600, 10):
        told.at = second
        told.report.failed("Kalshi BTC", "HTTP 500")
    lines = told.lines()
    assert len(lines) == 36
    assert lines[1] == ("ERROR", "Kalshi BTC: still HTTP 500, for 5 min")
    assert lines[-1] == ("ERROR", "Kalshi BTC: still HTTP 500, for 3 h")


def test_what_comes_and_goes_does_not_fill_the_log(told: Told) -> None:
    for second in range(3000):
        told.at = second
        told.report.failed("Kalshi BTC", ("HTTP 500", "not JSON")[second // 2 % 2])
        if second % 2:
            told.report.works("Kalshi BTC")
    assert 12 <= len(told.lines()) <= 2 * 6 * 11

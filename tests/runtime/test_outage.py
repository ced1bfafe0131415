"""The feed's log of failures, and how often it repeats them."""

from __future__ import annotations

import pytest

from tests.support.kalshi_scene import OutageLog


@pytest.fixture
def outage_log(caplog: pytest.LogCaptureFixture) -> OutageLog:
    return OutageLog(caplog)


def test_a_failure_is_logged_once(outage_log: OutageLog) -> None:
    outage_log.report.works("Kalshi BTC")
    assert outage_log.lines() == []
    for second in range(200):
        outage_log.at = second
        outage_log.report.failed("Kalshi BTC", "HTTP 500")
    assert outage_log.lines() == [("ERROR", "Kalshi BTC: HTTP 500")]
    assert outage_log.report.failing() == {"Kalshi BTC": "HTTP 500"}
    outage_log.at = 200
    outage_log.report.works("Kalshi BTC")
    outage_log.report.works("Kalshi BTC")
    assert outage_log.lines() == [("WARNING", "Kalshi BTC: back after 3 min")]
    assert outage_log.report.failing() == {}


def test_another_reason_and_another_subject_are_logged(outage_log: OutageLog) -> None:
    outage_log.report.failed("Kalshi BTC", "HTTP 500")
    outage_log.report.failed("coinbase BTC", "HTTP 500")
    outage_log.report.failed("Kalshi BTC", "connection refused")
    outage_log.at = 4.2
    outage_log.report.works("coinbase BTC")
    assert outage_log.lines() == [
        ("ERROR", "Kalshi BTC: HTTP 500"),
        ("ERROR", "coinbase BTC: HTTP 500"),
        ("ERROR", "Kalshi BTC: connection refused"),
        ("WARNING", "coinbase BTC: back after 4.2 s"),
    ]


def test_there_is_a_reminder_every_five_minutes(outage_log: OutageLog) -> None:
    for second in range(0, 3 * 3600, 10):
        outage_log.at = second
        outage_log.report.failed("Kalshi BTC", "HTTP 500")
    lines = outage_log.lines()
    assert len(lines) == 36
    assert lines[1] == ("ERROR", "Kalshi BTC: still HTTP 500, for 5 min")
    assert lines[-1] == ("ERROR", "Kalshi BTC: still HTTP 500, for 3 h")


def test_what_comes_and_goes_does_not_fill_the_log(outage_log: OutageLog) -> None:
    for second in range(3000):
        outage_log.at = second
        outage_log.report.failed("Kalshi BTC", ("HTTP 500", "not JSON")[second // 2 % 2])
        if second % 2:
            outage_log.report.works("Kalshi BTC")
    assert 12 <= len(outage_log.lines()) <= 2 * 6 * 11

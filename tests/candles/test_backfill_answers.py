"""Backfills from an exchange that answers badly, or not at all."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from pyupc.errors import PyupcError
from pyupc.exchange import history as exchange_module
from pyupc.exchange.history import Exchange
from tests.candles.coinbase import (
    START,
    Coinbase,
    Handler,
    Rows,
    arguments,
    backfill,
    candles,
    closed,
    coinbase_row,
    cut_off,
    holes,
    moment,
    other_talk,
    page_of_html,
    plain_text_error,
    refused,
    run,
    slow,
    status,
    stored,
    truncated,
)

FAULTS = [
    status(429),
    status(429, Retry_After="0"),
    status(500),
    status(503),
    truncated,
    page_of_html,
    plain_text_error,
    other_talk,
    cut_off,
    closed,
    slow,
]
NAMES = [getattr(fault, "__name__", "") for fault in FAULTS]


@pytest.mark.parametrize("fault", FAULTS, ids=NAMES)
def test_a_fault_that_passes(
    server: Coinbase,
    dsn: str,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[Handler, bytes], None],
) -> None:
    if fault is slow:
        monkeypatch.setattr(exchange_module, "TIMEOUT_SECONDS", 0.2)
    # aiohttp repeats a request by itself, once, if an open connection is closed in its face.
    server.fault, server.faults = fault, 2 if fault is closed else 1
    server.lacks = {START + 7}
    result = run(*arguments(START, START + 400, "--json"))
    assert result.exit_code == 0, result.stderr
    [messages] = result.stderr.splitlines()
    assert messages.startswith("coinbase: ")
    [summary] = json.loads(result.stdout)
    assert (summary["new"], summary["holes"], summary["still_missing"]) == (399, 1, 0)
    assert stored(dsn) == candles((START, START + 7), (START + 8, START + 400))


@pytest.mark.parametrize("fault", [status(429), truncated, closed])
def test_a_fault_that_stays(
    server: Coinbase,
    dsn: str,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[Handler, bytes], None],
) -> None:
    monkeypatch.setattr(exchange_module, "ATTEMPTS", 2)
    server.fault = lambda handler, data: (
        fault(handler, data) if len(server.asked) > 2 else handler.reply(data)
    )
    server.faults = 100
    result = run(*arguments(START, START + 1000))
    refused(result)
    assert "600 candles stored" in result.stderr
    assert stored(dsn) == candles((START + 400, START + 1000))
    assert holes(dsn) == []
    server.fault = None
    assert backfill(START, START + 1000)["new"] == 400


def test_pauses_grow_and_the_patience_ends(server: Coinbase) -> None:
    pauses: list[float] = []
    messages: list[str] = []
    with Exchange("coinbase", messages.append, pauses.append) as exchange:
        exchange.pair("BTC", "BTC/USD")
        server.fault, server.faults = status(500), 100
        with pytest.raises(PyupcError) as caught:
            exchange.candles("BTC/USD", START, START + 10)
        assert caught.value.exit_code == 1
        assert len(pauses) == 7
        for pause, doubled in zip(pauses, [0.5, 1, 2, 4, 8, 16, 30], strict=True):
            assert doubled / 2 <= pause <= min(1.5 * doubled, 30)
        assert len(messages) == 1

        # The next one may be patient again; nothing is logged a second time.
        server.faults = 3
        assert len(exchange.candles("BTC/USD", START, START + 10).candles) == 10
        assert len(pauses) == 10
        assert len(messages) == 1

        # The exchange sets the pause, within bounds.
        server.fault, server.faults = status(429, Retry_After="9"), 1
        exchange.candles("BTC/USD", START, START + 10)
        server.fault, server.faults = status(429, Retry_After="999"), 1
        exchange.candles("BTC/USD", START, START + 10)
        assert pauses[10:] == [9, 30]


def test_a_refusal_is_not_asked_again(server: Coinbase, dsn: str) -> None:
    server.fault, server.faults = status(403), 1
    refused(run(*arguments(START, START + 10)))
    assert len(server.asked) == 1


def test_bad_values(server: Coinbase, dsn: str) -> None:
    names = ("open", "high", "low", "close", "volume")
    values = ("NaN", "inf", None, "-1", "abc", "")
    bad = dict(zip(range(START, START + 30), itertools.product(names, values), strict=True))

    def spoil(rows: Rows) -> Rows:
        return [
            {**row, **dict([bad.get(int(row["start"]) // 60, ("start", row["start"]))])}
            for row in rows
        ]

    server.spoil = spoil
    result = run(*arguments(START - 5, START + 35, "--json"))
    assert result.exit_code == 0, result.stderr
    [summary] = json.loads(result.stdout)
    assert (summary["new"], summary["refused"], summary["still_missing"]) == (10, 30, 30)
    assert moment(START) in result.stderr
    assert len(result.stderr.splitlines()) == 21
    assert stored(dsn) == candles((START - 5, START), (START + 30, START + 35))
    # There are candles, so that they will be asked for again.
    assert holes(dsn) == []
    server.spoil = lambda rows: rows
    assert backfill(START - 5, START + 35)["new"] == 30


def test_high_below_low_and_zero(server: Coinbase, dsn: str) -> None:
    server.spoil = lambda rows: [
        {**rows[0], "high": "1"},
        {**rows[1], "close": "0"},
        {**rows[2], "volume": "0"},
        *rows[3:],
    ]
    summary = backfill(START, START + 10)
    assert (summary["new"], summary["refused"], summary["still_missing"]) == (8, 2, 2)
    assert stored(dsn)[-1][5] == 0


def test_a_minute_between_two(server: Coinbase, dsn: str) -> None:
    server.spoil = lambda rows: [
        {**row, "start": str(60 * (START + 5) + 1)} if i == 4 else row for i, row in enumerate(rows)
    ]
    summary = backfill(START, START + 10)
    assert (summary["new"], summary["refused"], summary["still_missing"]) == (9, 1, 1)
    assert START + 5 not in {row[0] for row in stored(dsn)}
    assert holes(dsn) == []


def test_any_order_will_do(server: Coinbase, dsn: str) -> None:
    """ccxt sorts; what it would let through is refused elsewhere."""
    server.spoil = lambda rows: random.Random(1).sample(rows, len(rows))
    assert backfill(START, START + 100)["new"] == 100
    assert stored(dsn) == candles((START, START + 100))


def test_candles_twice(server: Coinbase, dsn: str) -> None:
    other = {**coinbase_row(START + 3), "close": "1"}
    server.spoil = lambda rows: [*rows[:5], *rows[:5], other, *rows[5:]]
    summary = backfill(START, START + 290)
    assert stored(dsn) == candles((START, START + 3), (START + 4, START + 290))
    assert (summary["new"], summary["still_missing"], holes(dsn)) == (289, 1, [])


def test_candles_of_another_time(server: Coinbase, dsn: str) -> None:
    server.spoil = lambda rows: [{**row, "start": str(int(row["start"]) + 86_400)} for row in rows]
    result = run(*arguments(START, START + 400))
    assert result.exit_code == 0
    assert stored(dsn) == []
    assert holes(dsn) == []
    assert "800 refused" in result.stdout
    assert "400 still missing" in result.stdout
    assert len(result.stderr.splitlines()) == 21


@pytest.mark.parametrize("rows", [[{"start": {}}], [7, [1, 2, 3]], [{}]])
def test_rows_that_are_none(server: Coinbase, dsn: str, rows: list[Any]) -> None:
    """ccxt drops them without a word, which looks as if there were no candles."""
    server.spoil = lambda _: rows
    summary = backfill(START, START + 10)
    assert (summary["new"], summary["pages"], summary["still_missing"]) == (0, 2, 10)
    assert holes(dsn) == []


@pytest.mark.parametrize("data", [b"{}", b'{"candles": null}', b'{"candles": []}'])
def test_no_rows(server: Coinbase, dsn: str, data: bytes) -> None:
    server.fault, server.faults = lambda handler, _: handler.reply(data), 2
    summary = backfill(START, START + 10)
    assert (summary["new"], summary["holes"], summary["still_missing"]) == (0, 10, 0)


def test_an_empty_answer_is_requested_again_before_it_is_believed(
    server: Coinbase, dsn: str
) -> None:
    server.fault, server.faults = lambda handler, _: handler.reply(b'{"candles": []}'), 1
    summary = backfill(START, START + 10)
    assert (summary["new"], summary["pages"], summary["holes"]) == (10, 2, 0)


def test_more_candles_than_requested(server: Coinbase, dsn: str) -> None:
    """An exchange that does not know of an end."""
    server.spoil = lambda rows: [
        *(coinbase_row(minute) for minute in range(START + 100, START + 110)),
        *rows,
    ]
    server.lacks = {START + 50}
    assert backfill(START, START + 100)["new"] == 99
    assert stored(dsn) == candles((START, START + 50), (START + 51, START + 100))
    assert holes(dsn) == [("coinbase", 50, 51)]

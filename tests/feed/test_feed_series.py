"""Fees of series: read when the feed begins, and again later; what fails is tried again."""

from __future__ import annotations

import asyncio
import logging

import pytest

from pyupc.errors import PyupcError
from pyupc.feed.series import follow_series
from pyupc.kalshi.api import Kalshi
from tests.support.kalshi_server import Reply, Request, Server, json_reply


class Receiver:
    """Takes documents; the first of each text is news."""

    def __init__(self, refused: str = "") -> None:
        self.taken: list[str] = []
        self._refused = refused

    async def series(self, document: str) -> bool:
        if self._refused and self._refused in document:
            raise PyupcError("it is refused")
        is_new = document not in self.taken
        self.taken.append(document)
        return is_new


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


def play(
    store: Receiver, failing: int = 0, rounds: int = 3, names: tuple[str, ...] = ("KXA",)
) -> int:
    """Requests until so many documents are taken; the first requests fail."""

    def answer(request: Request) -> Reply:
        if len(server.requests) <= failing:
            return Reply(status=500)
        name = request.path.rpartition("/")[2]
        return json_reply({"series": {"ticker": name, "fee_type": "quadratic"}})

    server = Server(answer)

    async def scene() -> None:
        async with server, Kalshi(server.url) as client:
            stop = asyncio.Event()
            work = asyncio.create_task(
                follow_series(client, "BTC", names, store, stop, every=0.01, again=0.005)
            )
            async with asyncio.timeout(20):
                while len(store.taken) < rounds:
                    await asyncio.sleep(0.005)
            stop.set()
            await work

    asyncio.run(scene())
    return len(server.requests)


def test_they_are_read_again_and_a_change_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    store = Receiver()
    with caplog.at_level(logging.WARNING):
        play(store, names=("KXA", "KXB"), rounds=6)
    assert len(set(store.taken)) == 2
    assert [record.getMessage().rpartition(" ")[2] for record in caplog.records] == ["KXA", "KXB"]


def test_what_fails_is_logged_once_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    store = Receiver()
    with caplog.at_level(logging.WARNING):
        assert play(store, failing=3) >= 6
    failed, changed = (record.getMessage() for record in caplog.records)
    assert failed.startswith("fees of KXA")
    assert changed.endswith("KXA")


def test_one_that_is_refused_keeps_none_from_the_others() -> None:
    store = Receiver("KXA")
    play(store, names=("KXA", "KXB"))
    assert {"KXB" in document for document in store.taken} == {True}

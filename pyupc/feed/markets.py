"""Followers of one symbol's Kalshi series: they come and go with the series that are followed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import Any

from pyupc.feed.events import follow_event
from pyupc.feed.held import follow_held
from pyupc.feed.later import follow_later
from pyupc.feed.results import follow_results
from pyupc.feed.series import follow_series
from pyupc.feed.store import Store
from pyupc.kalshi.api import Kalshi
from pyupc.runtime.outage import Outages

logger = logging.getLogger("pyupc.feed")

# From one read to the next of an event that others close before.
SLOW_SECONDS = 5.0

Tasks = list[asyncio.Task[object]]


class Markets:
    """Reads the events of a symbol. Tasks are those of a group, whose errors end the feed.

    Results and events that trades are held of are read whatever is followed.
    """

    def __init__(
        self, client: Kalshi, symbol: str, store: Store, outages: Outages, stop: asyncio.Event
    ) -> None:
        self._client = client
        self._symbol = symbol
        self._store = store
        self._common = (store, outages, stop)
        self._stop = stop
        # The event that is read of each series.
        self._read: dict[str, str] = {}
        self._always: Tasks = []
        # By the series, and whether it is the first one.
        self._followers: dict[tuple[str, bool], Tasks] = {}

    def begin(self, group: asyncio.TaskGroup, series: Sequence[str]) -> None:
        """Read results, events of trades, and these series."""
        work: list[Coroutine[Any, Any, object]] = [
            follow_results(self._client, self._symbol, *self._common),
            follow_held(self._client, self._symbol, *self._common, read=self._read.values),
        ]
        self._always = [group.create_task(each) for each in work]
        self._add(group, _wanted(series))

    async def follow(self, group: asyncio.TaskGroup, series: Sequence[str]) -> None:
        """Follow these series from now on, and no other ones."""
        wanted = _wanted(series)
        if list(self._followers) == wanted:
            return
        names = {name for name, _ in self._followers}
        for name in sorted(names ^ set(series)):
            what = "followed" if name in series else "not followed any more"
            logger.info("%s: %s is %s from now on", self._symbol, name, what)
        gone = [key for key in self._followers if key not in wanted]
        await self._cancel([task for key in gone for task in self._followers.pop(key)])
        self._add(group, [key for key in wanted if key not in self._followers])
        self._followers = {key: self._followers[key] for key in wanted}

    def tasks(self) -> Tasks:
        return [*self._always, *(task for each in self._followers.values() for task in each)]

    def _add(self, group: asyncio.TaskGroup, wanted: Sequence[tuple[str, bool]]) -> None:
        for name, is_first in wanted:
            work: list[Coroutine[Any, Any, object]] = [
                follow_event(
                    self._client,
                    self._symbol,
                    name,
                    *self._common,
                    subject=f"Kalshi {self._symbol} {name}",
                    # The strike table has the quotes of the first series.
                    slow=None if is_first else SLOW_SECONDS,
                    read=self._read,
                ),
                follow_series(self._client, self._symbol, [name], self._store, self._stop),
            ]
            if is_first:
                work.append(follow_later(self._client, self._symbol, name, *self._common))
            self._followers[name, is_first] = [group.create_task(each) for each in work]

    async def _cancel(self, tasks: Tasks) -> None:
        # None of them is in the middle of a statement then, which would cost the connection.
        async with self._store.turn:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _wanted(series: Sequence[str]) -> list[tuple[str, bool]]:
    return [(name, place == 0) for place, name in enumerate(series)]

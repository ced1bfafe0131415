"""The connection of `pyupc notify`, and its notifications."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import psycopg

from pyupc.errors import PyupcError
from pyupc.notify import outbox
from pyupc.runtime.connection import ConnectionLost
from pyupc.runtime.threaded_connection import ThreadedConnection

APPLICATION_NAME = "pyupc notify"
STATEMENT_SECONDS = 3.0
# The server sees a moment late that a process was killed.
TAKE_SECONDS = 2.0

T = TypeVar("T")


class Link:
    """`heard` is called in the event loop whenever there may be news."""

    def __init__(
        self,
        dsn: str,
        subscribers: Sequence[str],
        heard: Callable[[], None],
        *,
        from_start: bool = False,
        limit: float = STATEMENT_SECONDS,
    ) -> None:
        self._subscribers = subscribers
        self._heard = heard
        self._from_start = from_start
        self._loop = asyncio.get_running_loop()
        self._connection = ThreadedConnection(dsn, APPLICATION_NAME, limit, begin=self._begin)
        self._turn = asyncio.Lock()
        self._session = 0
        self._socket: int | None = None
        self.is_up = self._connection.is_up
        self.is_lost = self._connection.is_lost

    async def open(self, *, code: bool) -> None:
        """Connect anew and take the subscribers; every failure is a PyupcError."""
        async with self._turn:
            self._deafen()
            try:
                await self._connection.open(code=code)
            finally:
                self._listen()

    async def ask(self, work: Callable[[outbox.Connection], T]) -> T:
        """The result of `work`, which may be done twice; every failure is a PyupcError."""
        async with self._turn:
            self._deafen()
            try:
                return await self._connection.do(work)
            except ConnectionLost as error:
                raise error.problem from error
            finally:
                self._listen()

    async def close(self) -> None:
        self._deafen()
        await self._connection.close()

    def _begin(self, conn: outbox.Connection) -> None:
        """In the connection's thread."""
        deadline = time.monotonic() + TAKE_SECONDS
        for subscriber in self._subscribers:
            while outbox.is_taken(conn, subscriber):
                if time.monotonic() > deadline:
                    raise PyupcError(
                        f"another process sends to {subscriber}",
                        "one is enough; end it first, or give this one another --name",
                    )
                time.sleep(0.1)
            outbox.subscribe(conn, subscriber, from_start=self._from_start)
        outbox.listen(conn)
        # Without a handler psycopg would keep them all.
        conn.add_notify_handler(self._notified)

    def _listen(self) -> None:
        """Outside of a statement the socket is watched; the next statement reads what it has."""
        self._socket = self._connection.fileno()
        if self._socket is not None:
            self._loop.add_reader(self._socket, self._readable)
        if self._session != self._connection.sessions:
            self._session = self._connection.sessions
            # Announcements may have come in between.
            self._heard()

    def _notified(self, _: psycopg.Notify) -> None:
        """In the connection's thread, where a statement has read it off the socket."""
        self._loop.call_soon_threadsafe(self._heard)

    def _readable(self) -> None:
        self._deafen()
        self._heard()

    def _deafen(self) -> None:
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._socket = None

"""The one connection of `pyupc notify`, in a thread of its own, and the news that it hears."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

import psycopg

from pyupc.database import schema
from pyupc.database.connect import connect
from pyupc.errors import DatabaseUnreachable, PyupcError
from pyupc.notify import outbox
from pyupc.runtime.connection import OUTDATED, watchful
from pyupc.sql_errors import translate

APPLICATION_NAME = "pyupc notify"
STATEMENT_SECONDS = 3.0
# The server sees a moment late that whoever was killed has gone.
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
        self._dsn = watchful(dsn, limit)
        self._subscribers = subscribers
        self._heard = heard
        self._from_start = from_start
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, "pyupc notify link")
        self._turn = asyncio.Lock()
        self._conn: outbox.Connection | None = None
        self._opening: outbox.Connection | None = None
        self.is_up = asyncio.Event()
        self.is_lost = asyncio.Event()

    async def open(self, *, code: bool) -> None:
        """Connect anew and take the subscribers; every failure is a PyupcError."""
        async with self._turn:
            await self._open(code)

    async def ask(self, work: Callable[[outbox.Connection], T]) -> T:
        """What `work` makes of the connection; every failure is a PyupcError.

        It is done twice if the functions were rebuilt, or the server replaced, in the meantime.
        """
        async with self._turn:
            try:
                return await self._do(work)
            except psycopg.Error as error:
                if error.sqlstate not in OUTDATED:
                    raise await self._meaning(error) from error
            await self._open(code=False)
            try:
                return await self._do(work)
            except psycopg.Error as error:
                raise await self._meaning(error) from error

    async def close(self) -> None:
        await self._drop()
        self._thread.shutdown(wait=False)

    async def _open(self, code: bool) -> None:
        await self._drop()
        try:
            self._conn = await self._in_thread(lambda: self._connected(code), self._cut_opening)
        except BaseException:
            self.is_lost.set()
            raise
        self.is_lost.clear()
        self.is_up.set()
        self._listen()
        # What came in between is there to be asked for.
        self._heard()

    async def _do(self, work: Callable[[outbox.Connection], T]) -> T:
        conn = self._conn
        if conn is None:
            raise DatabaseUnreachable("there is no connection to the database")
        self._deafen()
        try:
            return await self._in_thread(lambda: work(conn), lambda: _cut(conn))
        finally:
            self._listen()

    async def _meaning(self, error: psycopg.Error) -> PyupcError:
        problem = translate(error)
        conn = self._conn
        if isinstance(problem, DatabaseUnreachable) or conn is None or conn.closed:
            await self._drop()
            self.is_lost.set()
        return problem

    async def _drop(self) -> None:
        self._deafen()
        self.is_up.clear()
        conn, self._conn = self._conn, None
        if conn is not None:
            with suppress(psycopg.Error):
                await self._in_thread(conn.close, lambda: _cut(conn))

    def _connected(self, code: bool) -> outbox.Connection:
        conn = self._opening = connect(self._dsn, application_name=APPLICATION_NAME)
        try:
            conn.execute(
                "SELECT pg_catalog.set_config('statement_timeout', %s, false)",
                (f"{self._limit:.3f}s",),
            )
            schema.check(conn, code=code)
            self._take(conn)
            outbox.listen(conn)
        except psycopg.Error as error:
            conn.close()
            raise translate(error) from error
        except BaseException:
            conn.close()
            raise
        finally:
            self._opening = None
        # Also without use for its text: psycopg would keep all that nobody takes.
        conn.add_notify_handler(self._notified)
        return conn

    def _take(self, conn: outbox.Connection) -> None:
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

    def _listen(self) -> None:
        """Outside of a statement the socket is watched; the next statement reads what it has."""
        if self._conn is not None and not self._conn.closed:
            self._loop.add_reader(self._conn.fileno(), self._readable)

    def _notified(self, _: psycopg.Notify) -> None:
        """In the link's thread, where a statement has read it off the socket."""
        self._loop.call_soon_threadsafe(self._heard)

    def _readable(self) -> None:
        self._deafen()
        self._heard()

    def _deafen(self) -> None:
        if self._conn is not None and not self._conn.closed:
            self._loop.remove_reader(self._conn.fileno())

    def _cut_opening(self) -> None:
        conn = self._opening
        if conn is not None:
            _cut(conn)

    async def _in_thread(self, work: Callable[[], T], give_up: Callable[[], None]) -> T:
        """Run it in the link's thread. `give_up` ends it from outside if the server hangs."""
        future = self._loop.run_in_executor(self._thread, work)
        try:
            # Longer than the server's own limit, which leaves the connection usable.
            done, _ = await asyncio.wait({future}, timeout=self._limit + 2)
        except asyncio.CancelledError:
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
            give_up()
            raise
        if not done:
            give_up()
        return await future


def _cut(conn: outbox.Connection) -> None:
    """End what the thread waits for on this connection: it sees that there is no server."""
    with suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(conn.fileno())) as ours:
        ours.shutdown(socket.SHUT_RDWR)

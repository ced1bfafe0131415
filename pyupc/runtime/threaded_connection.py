"""A watched connection for coroutines: it works in a thread of its own, a statement at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from pyupc.runtime.connection import Connection, Row, WatchedConnection

# From one attempt to give a hanging server up to the next.
_AGAIN_SECONDS = 0.5

T = TypeVar("T")


class ThreadedConnection:
    """The methods of WatchedConnection to await; `begin` runs in the thread.

    Of `is_up` and `is_lost` one is set as soon as it was opened, or could not be.
    """

    def __init__(
        self,
        dsn: str,
        application_name: str,
        limit: float,
        *,
        begin: Callable[[Connection], None] = lambda conn: None,
    ) -> None:
        self._inner = WatchedConnection(
            dsn, application_name, limit, begin=begin, guard=self._deadline
        )
        self._thread = ThreadPoolExecutor(1, application_name)
        self._turn = asyncio.Lock()
        self._give_up_at = 0.0
        self.is_up = asyncio.Event()
        self.is_lost = asyncio.Event()

    @property
    def turn(self) -> asyncio.Lock:
        """Held, no statement is under way: what waits for its turn can be cancelled, which would
        otherwise cost the connection."""
        return self._turn

    @property
    def sessions(self) -> int:
        return self._inner.sessions

    def fileno(self) -> int | None:
        return self._inner.fileno()

    async def open(self, *, code: bool) -> None:
        await self._in_thread(lambda: self._inner.open(code=code))

    async def do(self, work: Callable[[Connection], T]) -> T:
        """`work` runs in the thread, perhaps twice."""
        return await self._in_thread(lambda: self._inner.do(work))

    async def fetch(self, query: str, parameters: Any = None) -> list[Row]:
        return await self._in_thread(lambda: self._inner.fetch(query, parameters))

    async def close(self) -> None:
        await self._in_thread(self._inner.close)
        self._thread.shutdown(wait=False)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        async with self._turn:
            with self._deadline(self._inner.patience):
                future = asyncio.get_running_loop().run_in_executor(self._thread, work)
            try:
                while not future.done():
                    left = self._give_up_at - time.monotonic()
                    if left <= 0:
                        self._inner.cut()
                        left = _AGAIN_SECONDS
                    await asyncio.wait({future}, timeout=left)
            except asyncio.CancelledError:
                # Its result is not needed any more.
                future.add_done_callback(lambda done: done.cancelled() or done.exception())
                self._inner.cut()
                raise
            finally:
                self._mark()
            return future.result()

    @contextmanager
    def _deadline(self, seconds: float) -> Iterator[None]:
        """A thread cannot be interrupted: the coroutine that waits for it cuts the connection."""
        self._give_up_at = time.monotonic() + seconds
        yield

    def _mark(self) -> None:
        now, then = (
            (self.is_up, self.is_lost) if self._inner.is_open else (self.is_lost, self.is_up)
        )
        then.clear()
        now.set()

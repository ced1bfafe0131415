"""SIGTERM, Ctrl-C, or the end of standard input: they end tasks, and their waiting."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from pyupc.runtime.clock import SYSTEM, Clock
from pyupc.runtime.stop import SIGNALS, Received

T = TypeVar("T")


class Stopped(Exception):
    """It is time to stop."""


async def pause(stop: asyncio.Event, seconds: float, clock: Clock = SYSTEM) -> None:
    """Raises Stopped as soon as it is time to stop."""
    if await clock.wait(seconds, stop):
        raise Stopped


async def answer(stop: asyncio.Event, request: Coroutine[Any, Any, T]) -> T:
    """The answer to the request; it is given up, with Stopped, when it is time to stop."""
    asked = asyncio.create_task(request)
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((asked, stopped), return_when=asyncio.FIRST_COMPLETED)
        if not asked.done():
            raise Stopped
        return asked.result()
    finally:
        for task in (asked, stopped):
            task.cancel()
        await asyncio.gather(asked, stopped, return_exceptions=True)


async def until(
    stop: asyncio.Event,
    work: Sequence[Coroutine[Any, Any, object]],
    *,
    seconds: float | None = None,
    ending: Callable[[], None] = lambda: None,
    grace: float = 0.0,
) -> None:
    """Work until `stop` is set or the seconds are over; raises the first error of any part.

    Then `ending` is called, and what is under way has `grace` seconds to end by itself.
    """
    loop = asyncio.get_running_loop()
    tasks = {asyncio.ensure_future(each) for each in work}
    waiter = asyncio.ensure_future(stop.wait())
    deadline = None if seconds is None else loop.time() + seconds
    try:
        while not stop.is_set():
            left = None if deadline is None else max(0.0, deadline - loop.time())
            done, _ = await asyncio.wait(
                {waiter, *tasks}, timeout=left, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                break
            for task in done - {waiter}:
                tasks.discard(task)
                if (error := task.exception()) is not None:
                    raise _innermost(error)
    finally:
        stop.set()
        ending()
        try:
            if grace and tasks:
                await asyncio.wait(tasks, timeout=grace)
        finally:
            for task in (waiter, *tasks):
                task.cancel()
            await asyncio.gather(waiter, *tasks, return_exceptions=True)


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


@contextmanager
def signals(stop: asyncio.Event, *, is_attached: bool = False) -> Iterator[Received]:
    """Signals set `stop`; a second Ctrl-C interrupts."""
    loop = asyncio.get_running_loop()
    received = Received()

    def receive(number: int) -> None:
        received.take(number)
        stop.set()
        loop.remove_signal_handler(number)

    for number in SIGNALS:
        loop.add_signal_handler(number, receive, number)
    if is_attached:
        loop.add_reader(sys.stdin, lambda: None if os.read(0, 512) else stop.set())
    try:
        yield received
    finally:
        if is_attached:
            loop.remove_reader(sys.stdin)
        for number in SIGNALS:
            loop.remove_signal_handler(number)

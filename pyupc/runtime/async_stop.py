"""SIGTERM, Ctrl-C, or the end of standard input: they end the feed's tasks and their waiting."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from pyupc.runtime.clock import SYSTEM, Clock

T = TypeVar("T")


class Stopped(Exception):
    """It is time to stop."""


async def pause(stop: asyncio.Event, seconds: float, clock: Clock = SYSTEM) -> None:
    """Raises Stopped as soon as it is time to stop."""
    if await clock.wait(seconds, stop):
        raise Stopped


async def answer(stop: asyncio.Event, request: Coroutine[Any, Any, T]) -> T:
    """What the request answers; it is given up, with Stopped, when it is time to stop."""
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
    stop: asyncio.Event, work: Sequence[Coroutine[Any, Any, object]], seconds: float | None
) -> None:
    """Work until `stop` is set or the seconds are over; raises what any part of it raises."""
    tasks = {asyncio.ensure_future(each) for each in work}
    waiter = asyncio.ensure_future(stop.wait())
    loop = asyncio.get_running_loop()
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
        for task in tasks:
            task.cancel()
        await asyncio.gather(waiter, *tasks, return_exceptions=True)


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


@contextmanager
def signals(stop: asyncio.Event, is_attached: bool) -> Iterator[set[int]]:
    """Signals set `stop`, and are in the set that this gives; a second Ctrl-C interrupts."""
    loop = asyncio.get_running_loop()
    received: set[int] = set()

    def receive(number: int) -> None:
        received.add(number)
        stop.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, receive, number)
    if is_attached:
        loop.add_reader(sys.stdin, lambda: None if os.read(0, 512) else stop.set())
    try:
        yield received
    finally:
        if is_attached:
            loop.remove_reader(sys.stdin)
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

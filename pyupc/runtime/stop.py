"""SIGTERM and Ctrl-C: they end the sleep between two ticks, never a tick."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Protocol

INTERRUPTED = 130

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Waiting(Protocol):
    """The wait between two steps, which a wish to stop ends; `received` is the signal."""

    received: int | None

    def wait(self, seconds: float) -> bool:
        """Sleep so long, or until it is time to stop; true if it is."""
        ...


@dataclass
class Received:
    """The signal that asked for the end, if one did."""

    received: int | None = None

    @property
    def exit_code(self) -> int:
        return INTERRUPTED if self.received == signal.SIGINT else 0

    def take(self, number: int) -> None:
        """A second Ctrl-C interrupts."""
        if number == signal.SIGINT and self.received == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = number


class Stop(Received):
    """Inside `with`, the signals only make `wait` return; a second Ctrl-C interrupts at once."""

    def wait(self, seconds: float) -> bool:
        """Sleep so long, or until there is a signal; true if it is time to stop."""
        if self.received is None:
            # The handler in C writes to the pipe, so a signal that comes just before the sleep
            # ends it as well.
            with suppress(BlockingIOError):
                if select.select([self._pipe], [], [], max(seconds, 0))[0]:
                    os.read(self._pipe, 512)
        return self.received is not None

    def __enter__(self) -> Stop:
        self._pipe, self._wakeup = os.pipe()
        os.set_blocking(self._pipe, False)
        os.set_blocking(self._wakeup, False)
        self._previous_wakeup = signal.set_wakeup_fd(self._wakeup, warn_on_full_buffer=False)
        self._previous = {number: signal.signal(number, self._handle) for number in SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._previous_wakeup)
        os.close(self._pipe)
        os.close(self._wakeup)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.take(number)


class Hanging(Exception):
    """The server has not answered in time."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise Hanging in here after so long, for a server that does not even keep its own limits."""

    def give_up(number: int, frame: FrameType | None) -> None:
        raise Hanging

    previous = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)

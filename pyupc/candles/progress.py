"""Progress of loading files of candles: a bar of bytes, and the lines that were rejected."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pyupc.candles.compression import shown
from pyupc.candles.load import RejectedLine
from pyupc.runtime.progress import Progress, progress


class LoadProgress:
    """Moves a bar by the bytes read, and writes lines above it."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar

    def on_read(self, count: int) -> None:
        self._bar.advance(count)

    def on_phase(self, name: str) -> None:
        self._bar.describe(name)

    def on_wait(self) -> None:
        self._bar.say("waiting for another load of this symbol to end")

    def on_rejected(self, lines: Sequence[RejectedLine], count: int) -> None:
        for rejected in lines:
            self._bar.say(f"{shown(rejected.path)}:{rejected.line}: {rejected.reason}")
        if count > len(lines):
            self._bar.say(f"… and {count - len(lines):,} more")


@contextmanager
def watching(size: int) -> Iterator[LoadProgress]:
    """A bar of so many bytes; 0 for a pipe, whose size nobody knows."""
    with progress("reading") as bar:
        bar.start(size or None)
        yield LoadProgress(bar)

"""What `pyupc candles load` shows on stderr while it works."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from pyupc.candles.compression import shown
from pyupc.candles.load import RejectedLine
from pyupc.cli.report import printable


class ProgressWatcher:
    """Moves a bar by the bytes read, and writes lines above it."""

    def __init__(self, progress: Progress, size: int) -> None:
        self._progress = progress
        # Of a pipe nobody knows the size.
        self._task = progress.add_task("reading", total=size or None)

    def on_read(self, count: int) -> None:
        self._progress.advance(self._task, count)

    def on_phase(self, name: str) -> None:
        self._progress.update(self._task, description=name)

    def on_wait(self) -> None:
        self._say("waiting for another load of this symbol to end")

    def on_rejected(self, lines: Sequence[RejectedLine], count: int) -> None:
        for rejected in lines:
            self._say(f"{shown(rejected.path)}:{rejected.line}: {rejected.reason}")
        if count > len(lines):
            self._say(f"… and {count - len(lines):,} more")

    def _say(self, text: str) -> None:
        self._progress.console.print(printable(text), markup=False, highlight=False, soft_wrap=True)


@contextmanager
def watching(size: int) -> Iterator[ProgressWatcher]:
    """A bar on a terminal; elsewhere only what has to be said."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description:9}"),
        BarColumn(),
        DownloadColumn(),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        yield ProgressWatcher(progress, size)

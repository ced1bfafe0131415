"""Progress of work on stderr: a bar on a terminal, and rich is loaded for that alone."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pyupc.runtime.printable import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress
    from rich.progress import ProgressColumn, TaskID

Rate = Callable[[float], str]
"""The text for so many units a second."""


class Progress:
    """Progress that is not shown, as in a log file, where a bar would be in the way."""

    def start(self, total: int | None, text: str | None = None) -> None:
        """Begin work on so many units; None if the number is unknown."""

    def advance(self, count: int, text: str | None = None) -> None:
        """Count so many more."""

    def reach(self, done: int, total: int) -> None:
        """Set how many are done, and of how many."""

    def describe(self, text: str) -> None:
        """Name the work under way."""

    def say(self, line: str) -> None:
        """Print a line that stays, above the bar."""
        print(printable(line), file=sys.stderr, flush=True)


class _Bar(Progress):
    def __init__(self, bar: RichProgress, text: str, rate: Rate | None) -> None:
        self._bar = bar
        self._text = text
        self._rate = rate
        self._task: TaskID | None = None

    def start(self, total: int | None, text: str | None = None) -> None:
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(text or self._text, total=total, rate="")

    def advance(self, count: int, text: str | None = None) -> None:
        task = self._started()
        self._bar.update(task, advance=count, description=text)
        [shown] = self._bar.tasks
        if self._rate is not None and shown.elapsed:
            self._bar.update(task, rate=self._rate(shown.completed / shown.elapsed))

    def reach(self, done: int, total: int) -> None:
        self._bar.update(self._started(), completed=done, total=total)

    def describe(self, text: str) -> None:
        self._bar.update(self._started(), description=text)

    def say(self, line: str) -> None:
        self._bar.console.print(printable(line), markup=False, highlight=False, soft_wrap=True)

    def _started(self) -> TaskID:
        if self._task is None:
            self.start(None)
        assert self._task is not None
        return self._task


@contextmanager
def progress(
    text: str,
    unit: str | None = None,
    *,
    rate: Rate | None = None,
    has_end: bool = False,
) -> Iterator[Progress]:
    """A bar that counts `unit`, or bytes without one; wiped away at the end.

    With `has_end` it shows the time left.
    """
    if not sys.stderr.isatty():
        yield Progress()
        return
    from rich.progress import Progress as RichProgress

    with RichProgress(*_columns(unit, rate, has_end), console=_console(), transient=True) as bar:
        yield _Bar(bar, text, rate)


@contextmanager
def counting(text: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """A bar that is moved by how many of the unit are done of how many."""
    with progress(text, unit) as shown:
        yield shown.reach


@contextmanager
def working(text: str) -> Iterator[Callable[[str], None]]:
    """Words while something takes its time; the function replaces them."""
    if not sys.stderr.isatty():
        yield lambda text: None
        return
    with _console().status(text) as status:
        yield status.update


def _console() -> Console:
    from rich.console import Console

    return Console(stderr=True)


def _columns(unit: str | None, rate: Rate | None, has_end: bool) -> list[ProgressColumn]:
    from rich import progress as rich

    columns: list[ProgressColumn] = [rich.TextColumn("{task.description:9}"), rich.BarColumn()]
    if unit is None:
        columns.append(rich.DownloadColumn())
    else:
        columns += [rich.MofNCompleteColumn(), rich.TextColumn(unit)]
    if rate is not None:
        columns.append(rich.TextColumn("{task.fields[rate]}"))
    columns.append(rich.TimeElapsedColumn())
    if has_end:
        columns += [rich.TextColumn("left"), rich.TimeRemainingColumn()]
    return columns

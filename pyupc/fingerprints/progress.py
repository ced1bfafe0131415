"""A bar on stderr while a build counts: days, days a second, and when it will be done."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

# A day has 1,440 starting minutes, each with 60 later ones.
_PAIRS_A_DAY = 1440 * 60


class Silent:
    """For a log file, where a bar would be in the way."""

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def start(self, days: int) -> None:
        pass

    def advance(self, symbol: str, days: int) -> None:
        pass

    def refresh(self) -> None:
        pass


class Bar:
    """For a terminal. Drawn from the first day on; wiped away at the end."""

    _progress: Progress
    _task: TaskID

    def __enter__(self) -> Bar:
        from rich import progress
        from rich.console import Console

        self._progress = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn("days {task.fields[rate]}"),
            progress.TimeElapsedColumn(),
            progress.TextColumn("left"),
            progress.TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def start(self, days: int) -> None:
        self._task = self._progress.add_task("counting", total=days, rate="")

    def advance(self, symbol: str, days: int) -> None:
        self._progress.update(self._task, advance=days, description=f"counting {symbol}")
        task = self._progress.tasks[0]
        if task.elapsed:
            rate = task.completed * _PAIRS_A_DAY / task.elapsed / 1e6
            self._progress.update(self._task, rate=f"at {rate:.1f} M pairs/s")

    def refresh(self) -> None:
        self._progress.update(self._task, description="publishing the curves")


def for_stderr() -> Bar | Silent:
    return Bar() if sys.stderr.isatty() else Silent()

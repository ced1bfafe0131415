"""A bar on stderr while a backtest is computed: what it does, and when it will be done."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from pyupc.analysis.backtest.steps import Step

_WORDS = {
    "fit": "fitting",
    "train": "training",
    "test": "testing",
    "complete": "completing",
}


class Silent:
    """For a log file, where a bar would be in the way."""

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def start(self, days: int) -> None:
        pass

    def begin(self, step: Step) -> None:
        pass

    def advance(self, step: Step) -> None:
        pass


class Bar:
    """For a terminal; wiped away at the end."""

    _progress: Progress
    _task: TaskID

    def __enter__(self) -> Bar:
        from rich import progress
        from rich.console import Console

        self._progress = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn("days"),
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
        self._task = self._progress.add_task("beginning", total=days)

    def begin(self, step: Step) -> None:
        words = f"{_WORDS.get(step.stage, step.stage)} {step.symbol}"
        self._progress.update(self._task, description=words)

    def advance(self, step: Step) -> None:
        self._progress.update(self._task, advance=step.days)


def for_stderr() -> Bar | Silent:
    return Bar() if sys.stderr.isatty() else Silent()

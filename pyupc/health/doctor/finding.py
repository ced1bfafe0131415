"""Finding of a check, and the thread that runs it: with a time limit, without tracebacks."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import psycopg

from pyupc.errors import DatabaseUnreachable, PyupcError
from pyupc.sql_errors import one_line, translate

State = Literal["ok", "warn", "fail"]

STATES: tuple[State, ...] = ("ok", "warn", "fail")


@dataclass(frozen=True)
class Finding:
    """Result of a check. `repair` is a command or step; None if all is well."""

    check: str
    state: State
    seen: str
    repair: str | None = None
    is_unreachable: bool = False

    def as_row(self) -> dict[str, Any]:
        row = asdict(self)
        del row["is_unreachable"]
        return row


def worst(states: list[State]) -> State:
    return max(states, key=STATES.index, default="ok")


class Running:
    """Running check, in a thread that the end of the program does not wait for."""

    def __init__(self, name: str, look: Callable[[], Finding], seconds: float) -> None:
        self._name = name
        self._seconds = seconds
        self._until = time.monotonic() + seconds
        self._answer: queue.SimpleQueue[Finding] = queue.SimpleQueue()
        self.is_hanging = False
        threading.Thread(
            target=lambda: self._answer.put(_without_errors(name, look)), daemon=True
        ).start()

    def finding(self) -> Finding:
        """Wait for the finding; a failure if the time is over."""
        try:
            return self._answer.get(timeout=max(0.0, self._until - time.monotonic()))
        except queue.Empty:
            self.is_hanging = True
            return Finding(
                self._name, "fail", f"no answer within {self._seconds:.0f} s", "find what hangs"
            )


def _without_errors(name: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except PyupcError as problem:
        return _failed(name, problem)
    except psycopg.Error as error:
        return _failed(name, translate(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return Finding(name, "fail", f"{where}{error.strerror or error}", "repair access to it")
    except Exception as error:
        seen = f"internal error: {type(error).__name__}: {one_line(str(error))}"
        return Finding(name, "fail", seen, "report this error")


def _failed(name: str, problem: PyupcError) -> Finding:
    is_unreachable = isinstance(problem, DatabaseUnreachable)
    repair = problem.hint or "read the server's log"
    return Finding(name, "fail", problem.message, repair, is_unreachable)

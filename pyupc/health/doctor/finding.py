"""Finding of a check, and the thread that runs it: with a time limit, without tracebacks."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import psycopg

from pyupc.errors import DatabaseUnreachable, PyupcError
from pyupc.sql_errors import one_line, translate

State = Literal["ok", "warn", "fail"]

# Symbols that a finding for many of them names.
_NAMED = 5

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


def together(kind: str, findings: Sequence[Finding], symbols: int) -> Finding:
    """One finding for those of many symbols: the worst state, and which have it.

    Of the `symbols` some may have no finding: the time was over.
    """
    state = worst([each.state for each in findings])
    count = f"{symbols:,} symbols"
    if len(findings) < symbols:
        count = f"{len(findings):,} symbols seen, of {symbols:,} in the time that there was"
    if state == "ok":
        return Finding(kind, state, f"{count}: all are well")
    bad = [each for each in findings if each.state == state]
    names = [each.check.rpartition(" ")[2] for each in bad]
    more = "" if len(bad) <= _NAMED else f" and {len(bad) - _NAMED:,} more"
    seen = f"{len(bad):,} of {count}: {', '.join(names[:_NAMED])}{more}; {names[0]}: {bad[0].seen}"
    return Finding(kind, state, seen, bad[0].repair, any(each.is_unreachable for each in bad))


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

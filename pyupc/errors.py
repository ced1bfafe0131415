"""Errors for the user: a message of one line, a hint what to do, and an exit code."""

from __future__ import annotations

from typing import ClassVar


class PyupcError(Exception):
    """Refusal with a reason; nothing was changed (exit code 1)."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.sqlstate: str | None = None
        """SQLSTATE of an error of the database."""


class Busy(PyupcError):
    """Transient failure of a reachable database: try again later (exit code 1)."""


class UsageProblem(PyupcError):
    """The arguments do not fit together (exit code 2)."""

    exit_code = 2


class DatabaseUnreachable(PyupcError):
    """No PostgreSQL answers (exit code 3)."""

    exit_code = 3


class SchemaOutOfDate(PyupcError):
    """The database's schema is older or newer than this program (exit code 4)."""

    exit_code = 4

"""Errors of the database, translated to one line, a hint and an exit code."""

from __future__ import annotations

import re

import psycopg

from pyupc.errors import Busy, DatabaseUnreachable, PyupcError, SchemaOutOfDate

_OUR_OBJECT = re.compile(r"\b(?:upc_data|upc|analytics)\b[.\"]")

# Classes and codes of a missing or lost connection. A refused connection has no SQLSTATE: libpq
# reports it as text.
_NO_CONNECTION_CLASSES = ("08", "28")
_NO_CONNECTION = frozenset({"3D000", "53300", "57P01", "57P02", "57P03", "57P04", "57P05"})

# Transient classes and codes: a failed connection, a conflicting transaction, a lack of memory,
# disk or connections, a lock, a time limit or a cancel, a restarting server. A protocol violation
# is of class 08, but permanent.
_TRANSIENT_CLASSES = ("08", "53")
_TRANSIENT = frozenset({"40001", "40P01", "55P03", "57014", "57P01", "57P02", "57P03", "57P05"})
PROTOCOL_VIOLATION = "08P01"

_OUT_OF_MEMORY = "53200"
_LOCK_TABLE = "max_locks_per_transaction"

_MISSING_OBJECT = frozenset({"3F000", "42P01", "42703", "42704", "42883"})

_HINTS = {
    "25006": "the server is read-only, perhaps a standby: set PYUPC_DSN to the primary",
    "3D000": "create the database first, or name another one in PYUPC_DSN",
    "40001": "another session changed the same rows: try again",
    "40P01": "another session changed the same rows: try again",
    "42501": "connect as the owner of the schemas, or grant this role the permission",
    "53100": "free space on the server's disk, or in its /dev/shm if it names shared memory"
    " (docker run --shm-size), then try again",
    "53200": "the server is out of memory: lower the size of the request or its work_mem",
    "53300": "close other connections, or raise max_connections",
    "55P03": "another session holds the lock: end it, or try again later",
    "57014": "the statement was cancelled or exceeded statement_timeout: try again",
}

# Part of the hint for a materialized view without data, in any language.
_UNPOPULATED = "REFRESH MATERIALIZED VIEW"

_UNREACHABLE_HINT = "check PYUPC_DSN and that the server runs, or unset it for the embedded one"
_LOCK_TABLE_HINT = (
    "the server's lock table is full: raise max_locks_per_transaction (to 256, say) and restart it"
)
_UPGRADE_HINT = "pyupc db upgrade"


def is_transient(sqlstate: str | None) -> bool:
    """True if trying again later may succeed. An error of the client has no SQLSTATE."""
    if sqlstate is None or sqlstate == PROTOCOL_VIOLATION:
        return False
    return sqlstate.startswith(_TRANSIENT_CLASSES) or sqlstate in _TRANSIENT


def translate(error: psycopg.Error) -> PyupcError:
    """Translate to an error for the user: one line, without passwords, with a hint if known.

    A transient error becomes `Busy`, or `DatabaseUnreachable` if it ends the connection.
    """
    if error.sqlstate is None:
        return _without_sqlstate(error, _message(error))
    diag = error.diag
    return meaning(error.sqlstate, _message(error), diag.message_detail, diag.message_hint)


def meaning(sqlstate: str, message: str, detail: str | None, hint: str | None) -> PyupcError:
    """The same of an error that the database has caught itself, from its parts."""
    problem = _problem(sqlstate, one_line(message), detail, hint and one_line(hint))
    problem.sqlstate = sqlstate
    return problem


def _problem(code: str, message: str, detail: str | None, hint: str | None) -> PyupcError:
    if code.startswith(_NO_CONNECTION_CLASSES) or code in _NO_CONNECTION:
        return DatabaseUnreachable(message, _HINTS.get(code, _UNREACHABLE_HINT))
    if code.startswith("UP"):
        return PyupcError(_with_detail(message, detail), hint)
    if code == _OUT_OF_MEMORY and _LOCK_TABLE in (hint or ""):
        return Busy(f"{code} {message}", _LOCK_TABLE_HINT)
    if code == "55000" and _UNPOPULATED in (hint or ""):
        return PyupcError(message, "pyupc fingerprints build")
    if code in _MISSING_OBJECT and _OUR_OBJECT.search(message):
        return SchemaOutOfDate(message, _UPGRADE_HINT)
    kind = Busy if is_transient(code) else PyupcError
    if code == "22023":
        message = _with_detail(message, detail)
    return kind(f"{code} {message}", _HINTS.get(code) or hint)


def one_line(text: str) -> str:
    """Join the text to one line, with the passwords of connection strings masked."""
    line = " ".join(text.split())
    line = re.sub(r"(://[^:/@\s]*):[^@\s]*@", r"\1:***@", line)
    return re.sub(r"(?i)\bpassword\s*=\s*(?:'(?:[^'\\]|\\.)*'|[^\s&]+)", "password=***", line)


def _without_sqlstate(error: psycopg.Error, message: str) -> PyupcError:
    if isinstance(error, psycopg.OperationalError):
        return DatabaseUnreachable(message, _UNREACHABLE_HINT)
    return PyupcError(message)


def _message(error: psycopg.Error) -> str:
    """Primary message; for an error of the client its first line, which has the reason."""
    primary = error.diag.message_primary
    if primary:
        return one_line(primary)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    # After trying several addresses psycopg lists one failure per line, marked with a dash.
    failures = [line.removeprefix("- ") for line in lines if line.startswith("- ")]
    return one_line(failures[0] if failures else lines[0])


def _with_detail(message: str, detail: str | None) -> str:
    return f"{message} ({one_line(detail).rstrip('.')})" if detail else message

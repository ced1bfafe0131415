"""Logs go to stderr; stdout is for data."""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO

from pyupc.json_log import JsonFormatter

_LOGGERS = ("pyupc", "alembic")


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to the current sys.stderr, which a caller may have replaced."""

    def emit(self, record: Any) -> None:
        self.stream = sys.stderr
        super().emit(record)


def log_to_stderr(verbose: int = 0, *, quiet: bool = False, log_format: str = "text") -> None:
    """Log warnings by default; with -v also information, with -vv everything, with -q errors."""
    if quiet:
        level = logging.ERROR
    else:
        level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    handler = _StderrHandler()
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(level)
    # Errors that the driver ignores, as of a rollback cut short by Ctrl-C, are shown with -vv.
    driver = logging.getLogger("psycopg")
    driver.handlers[:] = [handler if verbose > 1 else logging.NullHandler()]
    driver.propagate = False
    set_log_format(log_format)


def set_log_format(log_format: str) -> None:
    """Set the format of all further lines: text or json."""
    formatter = (
        JsonFormatter()
        if log_format == "json"
        else logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    )
    for name in _LOGGERS:
        for handler in logging.getLogger(name).handlers:
            handler.setFormatter(formatter)


def log_activity(name: str) -> None:
    """Log information of a process, whose log is its output, even without -v; not with -q."""
    level = logging.getLogger("pyupc").level
    logger = logging.getLogger(name)
    logger.setLevel(logging.INFO if level == logging.WARNING else logging.NOTSET)


def logs_are_json() -> bool:
    handlers = logging.getLogger(_LOGGERS[0]).handlers
    return any(isinstance(handler.formatter, JsonFormatter) for handler in handlers)

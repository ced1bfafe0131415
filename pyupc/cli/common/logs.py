"""Logs go to stderr; stdout is for data."""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO

from pyupc.json_log import JsonFormatter

_LOGGERS = ("pyupc", "alembic")


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to what sys.stderr is now, which a caller may have replaced since."""

    def emit(self, record: Any) -> None:
        self.stream = sys.stderr
        super().emit(record)


def log_to_stderr(verbose: int = 0, *, quiet: bool = False, log_format: str = "text") -> None:
    """Warnings by default; -v adds what is going on, -vv everything, -q leaves errors only."""
    if quiet:
        level = logging.ERROR
    else:
        level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    handler = _StderrHandler()
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(level)
    # What the driver ignores, as a rollback that Ctrl-C has cut short, is for -vv.
    driver = logging.getLogger("psycopg")
    driver.handlers[:] = [handler if verbose > 1 else logging.NullHandler()]
    driver.propagate = False
    set_log_format(log_format)


def set_log_format(log_format: str) -> None:
    """Text or json, of all that is logged from now on."""
    formatter = (
        JsonFormatter()
        if log_format == "json"
        else logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    )
    for name in _LOGGERS:
        for handler in logging.getLogger(name).handlers:
            handler.setFormatter(formatter)


def log_what_it_does(name: str) -> None:
    """For a command whose log is what it is run for: without -q it shows more than warnings."""
    everything = logging.getLogger("pyupc").level
    ours = logging.getLogger(name)
    ours.setLevel(logging.INFO if everything == logging.WARNING else logging.NOTSET)


def logs_are_json() -> bool:
    handlers = logging.getLogger(_LOGGERS[0]).handlers
    return any(isinstance(handler.formatter, JsonFormatter) for handler in handlers)

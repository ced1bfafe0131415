"""Log lines as JSON: one object a line."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

# What every record has; anything else was given as `extra`.
_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """In ASCII, so that whatever a record holds is one line and JSON everywhere."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC)
        fields: dict[str, Any] = {
            "timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        extra = {
            name: value
            for name, value in vars(record).items()
            if name not in _STANDARD and name not in fields
        }
        if record.exc_info:
            extra["exception"] = self.formatException(record.exc_info)
        try:
            return json.dumps(fields | extra, default=str, allow_nan=False)
        except (ValueError, TypeError):
            # Not a number, a circle, or keys that are none.
            return json.dumps(fields | {name: str(value) for name, value in extra.items()})


def json_line(level: str, logger: str, message: str, **extra: Any) -> str:
    """A line that comes past the loggers."""
    said = {"levelname": level, "name": logger, "msg": message, **extra}
    return JsonFormatter().format(logging.makeLogRecord(said))

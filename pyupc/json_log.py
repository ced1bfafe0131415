"""Log lines as JSON: one object per line."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

# Attributes of every record; any others were passed as `extra`.
_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """Formats records in ASCII, so that each is one line of valid JSON in any encoding."""

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
            # NaN, a circular reference, or invalid keys.
            return json.dumps(fields | {name: str(value) for name, value in extra.items()})


def json_line(level: str, logger: str, message: str, **extra: Any) -> str:
    """Format a line that does not come from a logger."""
    record = {"levelname": level, "name": logger, "msg": message, **extra}
    return JsonFormatter().format(logging.makeLogRecord(record))

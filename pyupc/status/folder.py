"""What the folder of a tick says: `upc_status.json`, if it is not too old to say anything."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pyupc.status.ask import COLORS
from pyupc.tick.files import STATUS_FILE


def _utc_now() -> datetime:
    return datetime.now(UTC)


def look(folder: Path, now: Callable[[], datetime] = _utc_now) -> tuple[str, list[str]]:
    """The state that the file tells, and why if it is not green.

    A file that cannot be read, is too old or of the future is red: nobody writes it.
    """
    path = folder / STATUS_FILE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        at = datetime.fromisoformat(document["timestamp"])
        valid_for = float(document["valid_for_seconds"])
        state, problems = document["state"], document["problems"]
        age = (now() - at).total_seconds()
    except FileNotFoundError:
        return "red", [f"there is no {path}"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return "red", [f"{path} cannot be read: {_reason(error)}"]
    if not abs(age) <= valid_for < math.inf:
        return "red", [f"{path} is {age:,.1f} s old"]
    if state not in COLORS:
        return "red", [f"{path} has the state {state!r}"]
    if state == "green":
        return state, []
    return state, [f"{path}: {problem}" for problem in _texts(problems)] or [f"{path} is {state}"]


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or f"{type(error).__name__}: {error}"


def _texts(problems: Any) -> list[str]:
    return [str(each) for each in problems] if isinstance(problems, list) else []

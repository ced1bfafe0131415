"""Status of a tick's folder: `upc_status.json`, and documents that have expired."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pyupc.health.status.ask import COLORS
from pyupc.tick.aging_rules import Rules
from pyupc.tick.files import STATUS_FILE

# Time that a tick or standby may take to notice an expired document.
_LATE_SECONDS = 1.0


def _utc_now() -> datetime:
    return datetime.now(UTC)


def look(folder: Path, now: Callable[[], datetime] = _utc_now) -> tuple[str, list[str]]:
    """Read the state in the file, and the problems if it is not green.

    A file that cannot be read, is too old or in the future is red: no process writes it.
    """
    path = folder / STATUS_FILE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        at = datetime.fromisoformat(document["timestamp"])
        valid_for = float(document["valid_for_seconds"])
        state, problems = document["state"], document["problems"]
        age = (now() - at).total_seconds()
    except FileNotFoundError:
        return "red", [f"{path} does not exist"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return "red", [f"{path} cannot be read: {_reason(error)}"]
    if not abs(age) <= valid_for < math.inf:
        return "red", [f"{path} is {age:,.1f} s old"]
    if state not in COLORS:
        return "red", [f"{path} has the state {state!r}"]
    if state == "green":
        return state, []
    return state, [f"{path}: {problem}" for problem in _texts(problems)] or [f"{path} is {state}"]


def look_at_documents(
    folder: Path, rules: Rules, now: Callable[[], datetime] = _utc_now
) -> tuple[str, list[str]]:
    """Find documents that claim to be fresh or warn, but have expired.

    A running process rewrites such documents, so none runs any more. Red if one is halted by now.
    """
    worst, problems = 0, []
    for path in sorted(folder.glob("*.json")):
        name = next((each for each in rules.documents if path.name.endswith(f"_{each}.json")), "")
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            at = rules.instant(name, document)
            late = (now() - datetime.fromisoformat(document["valid_until"])).total_seconds()
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            # Not a document with an expiry.
            continue
        claimed = document.get("state")
        if at is None or path.name == STATUS_FILE or claimed not in rules.states[:2]:
            continue
        rank = rules.rank(rules.state_at((now() - at).total_seconds()))
        if late > _LATE_SECONDS and rank > 0:
            worst = max(worst, rank)
            problems.append(
                f"{path} is {rules.states[rank]} but claims {claimed!r}: it is of {at.isoformat()}"
            )
    if not problems:
        return "green", []
    return "red" if worst == len(rules.states) - 1 else "yellow", problems


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or f"{type(error).__name__}: {error}"


def _texts(problems: Any) -> list[str]:
    return [str(each) for each in problems] if isinstance(problems, list) else []

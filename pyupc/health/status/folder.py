"""What the folder of a tick says: `upc_status.json`, if it is not too old to say anything."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pyupc.health.status.ask import COLORS
from pyupc.tick.files import STATUS_FILE
from pyupc.tick.rules import Rules

# What a process that ticks, or stands by, may take to see that a document has expired.
_LATE_SECONDS = 1.0


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


def look_at_documents(
    folder: Path, rules: Rules, now: Callable[[], datetime] = _utc_now
) -> tuple[str, list[str]]:
    """What the files of the folder are worth that claim to be fresh or warn and have expired.

    Whoever writes a folder leaves none of those: nobody does any more. Red from halted on.
    """
    worst, problems = 0, []
    for path in sorted(folder.glob("*.json")):
        name = next((each for each in rules.documents if path.name.endswith(f"_{each}.json")), "")
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            at = rules.instant(name, document)
            late = (now() - datetime.fromisoformat(document["valid_until"])).total_seconds()
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            # Nothing that says until when it can be believed.
            continue
        claimed = document.get("state")
        if at is None or path.name == STATUS_FILE or claimed not in rules.states[:2]:
            continue
        rank = rules.rank(rules.state_at((now() - at).total_seconds()))
        if late > _LATE_SECONDS and rank > 0:
            worst = max(worst, rank)
            problems.append(
                f"{path} is {rules.states[rank]} and says {claimed!r}: it is of {at.isoformat()}"
            )
    if not problems:
        return "green", []
    return "red" if worst == len(rules.states) - 1 else "yellow", problems


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or f"{type(error).__name__}: {error}"


def _texts(problems: Any) -> list[str]:
    return [str(each) for each in problems] if isinstance(problems, list) else []

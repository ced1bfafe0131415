"""Waiting for the actions of a process."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(condition: Callable[[], object], seconds: float = 45, *, why: str = "") -> float:
    """Wait for something; how long it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, why
        time.sleep(0.01)
    return time.monotonic() - began

"""Terminal on stdout."""

from __future__ import annotations

import os
import sys


def is_screen() -> bool:
    """True if stdout is a terminal that can show colours and redraw lines."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")

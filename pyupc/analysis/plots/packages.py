"""Whether what figures are drawn with is installed."""

from __future__ import annotations

import importlib.util

from pyupc.errors import PyupcError


def require_packages() -> None:
    """Ask before anything is computed, and before any other module of this folder is imported."""
    if importlib.util.find_spec("matplotlib") is None:
        raise PyupcError("matplotlib missing", "pip install 'pyupc[plots]'")

"""Packages of an extra: asked for before anything that needs them is imported."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

from pyupc.errors import PyupcError


def missing(names: Sequence[str]) -> list[str]:
    """Those of the packages that are not installed; nothing is imported."""
    return [name for name in names if importlib.util.find_spec(name) is None]


def require(names: Sequence[str], extra: str, purpose: str) -> None:
    """Raise PyupcError unless all are installed; `purpose` needs them, as "drawing"."""
    if absent := missing(names):
        are = "is" if len(absent) == 1 else "are"
        raise PyupcError(
            f"{purpose} needs {' and '.join(absent)}, which {are} not installed",
            f"pip install 'pyupc[{extra}]'",
        )

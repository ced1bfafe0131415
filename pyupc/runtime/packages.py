"""Packages of an extra: asked for before anything that needs them is imported."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from typing import Any

from pyupc.errors import PyupcError


def missing(names: Sequence[str]) -> list[str]:
    """Packages that are not installed; nothing is imported."""
    return [name for name in names if importlib.util.find_spec(name) is None]


def load(name: str, extra: str, purpose: str) -> Any:
    """The package, imported. PyupcError also if it is there and cannot be imported."""
    require((name,), extra, purpose)
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise PyupcError(
            f"{purpose} needs {name}, which cannot be imported: {error}",
            f"pip install 'pyupc[{extra}]'",
        ) from error


def require(names: Sequence[str], extra: str, purpose: str) -> None:
    """Raise PyupcError unless all are installed; `purpose` needs them, as "drawing"."""
    if absent := missing(names):
        are = "is" if len(absent) == 1 else "are"
        raise PyupcError(
            f"{purpose} needs {' and '.join(absent)}, which {are} not installed",
            f"pip install 'pyupc[{extra}]'",
        )

"""Whether what the predecessor calculated with is installed."""

from __future__ import annotations

import importlib.util

from pyupc.errors import PyupcError


def require_packages() -> None:
    """Ask before any other module of this folder is imported: they need what it looks for."""
    missing = [name for name in ("pandas", "scipy") if importlib.util.find_spec(name) is None]
    if missing:
        raise PyupcError(f"{' and '.join(missing)} missing", "pip install 'pyupc[compare]'")

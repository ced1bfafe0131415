"""Whether what the server and its page are made with is installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from pyupc.errors import PyupcError

_NEEDED = ("fastapi", "uvicorn", "psycopg_pool", "limits", "prometheus_client", "sse_starlette")


def missing() -> list[str]:
    return [name for name in _NEEDED if importlib.util.find_spec(name) is None]


def require_packages() -> None:
    """Ask before any other module of this folder is imported."""
    if names := missing():
        raise PyupcError(f"{' and '.join(names)} missing", "pip install 'pyupc[web]'")


def charts_folder() -> Path | None:
    """Folder of the ECharts that NiceGUI ships; it is read, never imported."""
    found = importlib.util.find_spec("nicegui")
    for root in (found.submodule_search_locations if found else None) or ():
        folder = Path(root) / "elements" / "echart" / "dist"
        if (folder / "index.js").is_file():
            return folder
    return None

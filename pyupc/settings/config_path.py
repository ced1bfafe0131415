"""Location of config.toml."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "PYUPC_CONFIG"

_NAME = Path("pyupc", "config.toml")


def default_path(environ: Mapping[str, str]) -> Path | None:
    """Path below /etc for root, for others in the platform's folder for configuration.

    None if the user has no home.
    """
    if os.geteuid() == 0:
        return "/etc" / _NAME
    try:
        home = Path.home()
    except RuntimeError:
        return None
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / _NAME
    folder = Path(environ.get("XDG_CONFIG_HOME", ""))
    # The XDG specification ignores a relative path.
    return (folder if folder.is_absolute() else home / ".config") / _NAME

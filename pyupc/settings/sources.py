"""Sources of a command's settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pyupc.settings.file import ConfigFile


@dataclass(frozen=True)
class Sources:
    """Object of the main context: the file, and the variables as they were before it added any."""

    file: ConfigFile = field(default_factory=ConfigFile)
    environ: Mapping[str, str] = field(default_factory=dict)

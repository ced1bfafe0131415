"""What a command's settings come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pyupc.settings.file import ConfigFile


@dataclass(frozen=True)
class Sources:
    """The object of the main context: the file, and the variables before it filled in others."""

    file: ConfigFile = field(default_factory=ConfigFile)
    environ: Mapping[str, str] = field(default_factory=dict)

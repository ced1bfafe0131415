"""General settings, for every command: the keys at the top of config.toml."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

LOG_FORMATS = ("text", "json")


@dataclass(frozen=True)
class General:
    """Key of config.toml with its variable, PYUPC_<KEY>; `accepts` checks a value of TOML.

    An exported one reaches all parts of the program, and their child processes, through its
    variable; others are only read by the option of the same name.
    """

    key: str
    expected: str
    accepts: Callable[[Any], bool]
    is_exported: bool = False

    @property
    def variable(self) -> str:
        return f"PYUPC_{self.key.upper()}"


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and "\0" not in value


def _is_switch(value: Any) -> bool:
    return isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


_ALL = (
    General("dsn", "a string, any libpq connection string or URI", _is_text, is_exported=True),
    General("home", "a string, the folder of the embedded server", _is_text, is_exported=True),
    General("log_format", " or ".join(map(repr, LOG_FORMATS)), LOG_FORMATS.__contains__),
    General("verbose", "a number: 1 logs more, 2 everything", _is_count),
    General("quiet", "true or false", _is_switch),
    General("kalshi_url", "a string: production, demo or a URL", _is_text, is_exported=True),
    General("no_kalshi", "true or false", _is_switch),
    General("exchange_url", "a string, the URL of a server", _is_text, is_exported=True),
)
GENERAL: Mapping[str, General] = {general.key: general for general in _ALL}


def exported_text(key: str, value: str) -> str:
    """Value of the variable, with the tilde of a folder expanded."""
    return os.path.expanduser(value) if key == "home" else value

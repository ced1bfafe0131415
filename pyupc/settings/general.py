"""The settings that concern every command: the keys at the top of config.toml."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

LOG_FORMATS = ("text", "json")


@dataclass(frozen=True)
class General:
    """A key that `accepts` a value of TOML and has the variable PYUPC_<KEY>.

    The value of an exported one is handed to all parts of the program, and to the processes that
    they start, through that variable; others are read by the options of that name only.
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
    """What the variable is to hold. No shell has seen the tilde of a folder."""
    return os.path.expanduser(value) if key == "home" else value

"""config.toml: finding, reading and checking it."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyupc.errors import UsageProblem
from pyupc.settings import config_path
from pyupc.settings.general import GENERAL, exported_text
from pyupc.settings.rules import RULES, TABLE
from pyupc.settings.suggestions import suggestion

_PLACE = re.compile(r"\s*\(at (?:line (\d+), column \d+|end of document)\)$")


@dataclass(frozen=True)
class ConfigFile:
    """Content of the file: general settings, rules as text for PostgreSQL, a table per command.

    The tables of commands are checked when their command is run: see `tables`. Without a file
    `path` is None and everything else empty.
    """

    path: Path | None = None
    general: Mapping[str, Any] = field(default_factory=dict)
    rules: Mapping[str, str] = field(default_factory=dict)
    commands: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def table(self, command: str) -> Mapping[str, Any]:
        return self.commands.get(command, {})

    def variables(self) -> dict[str, str]:
        """Settings for all parts of the program, as variables with the same effect."""
        exported = {
            GENERAL[key].variable: exported_text(key, value)
            for key, value in self.general.items()
            if GENERAL[key].is_exported
        }
        rules = {RULES[name].variable: text for name, text in self.rules.items()}
        return exported | rules


def load(named: str | None, environ: Mapping[str, str], commands: Collection[str]) -> ConfigFile:
    """Read the named file, which must exist; else the user's own, if there is one.

    An empty name means no file. UsageProblem names the first mistake and its place.
    """
    path = find(named, environ)
    if path is None or (named is None and not os.path.lexists(path)):
        return ConfigFile()
    return _checked(path, _parsed(path), commands)


def find(named: str | None, environ: Mapping[str, str]) -> Path | None:
    """Path of the file, which may not exist; None for no file."""
    if named is None:
        return config_path.default_path(environ)
    # Absolute, since child processes may run in other folders.
    return Path(named).expanduser().absolute() if named.strip() else None


def _parsed(path: Path) -> dict[str, Any]:
    # Imported only if there is a file.
    import tomllib

    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageProblem(
            f"{path}: {error.strerror or error}", "name another file with --config"
        ) from None
    try:
        return tomllib.loads(content.decode())
    except UnicodeDecodeError as error:
        line = 1 + content[: error.start].count(b"\n")
        raise UsageProblem(f"{path}:{line}: the file is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        # The message ends with the place and quotes no values.
        message = str(error)
        place = _PLACE.search(message)
        line = int(place[1]) if place and place[1] else len(content.splitlines())
        raise UsageProblem(
            f"{path}:{max(line, 1)}: {_PLACE.sub('', message)}", 'a line of TOML is: key = "text"'
        ) from None


def _checked(path: Path, content: dict[str, Any], commands: Collection[str]) -> ConfigFile:
    known = [*GENERAL, TABLE, *commands]
    for key, value in content.items():
        if key not in known:
            raise UsageProblem(
                f"{path}: unknown setting {key!r}",
                suggestion(key, known, "list all settings: pyupc config show"),
            )
        if key in GENERAL:
            if not GENERAL[key].accepts(value):
                raise UsageProblem(f"{path}: {key} is not {GENERAL[key].expected}")
        elif not isinstance(value, dict):
            raise UsageProblem(f"{path}: {key} is not a table", f"start it with a line [{key}]")
    return ConfigFile(
        path,
        {key: value for key, value in content.items() if key in GENERAL},
        _rules(path, content.get(TABLE, {})),
        {key: value for key, value in content.items() if key in commands},
    )


def _rules(path: Path, table: Mapping[str, Any]) -> dict[str, str]:
    texts = {}
    for name, value in table.items():
        if name not in RULES:
            raise UsageProblem(
                f"{path}: unknown rule {name!r}",
                suggestion(name, RULES, f"rules are {', '.join(RULES)}"),
            )
        rule = RULES[name]
        where = f"{path}: [{TABLE}] {name}"
        if rule.is_number and isinstance(value, str):
            raise UsageProblem(f"{where}: not {rule.expected}", "write it without quotes")
        texts[name] = rule.text(value, where)
    return texts

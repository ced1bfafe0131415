"""Effective settings: each with its value and its source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date
from enum import Enum
from typing import Any

import click
from click.core import ParameterSource

from pyupc.settings import config_path
from pyupc.settings.file import ConfigFile
from pyupc.settings.general import GENERAL
from pyupc.settings.options import (
    Words,
    defaults,
    set_variable,
    settings_of,
    variable,
)
from pyupc.settings.rules import RULES, TABLE, StoredRule
from pyupc.settings.secrets import shown
from pyupc.settings.sources import Sources

DEFAULT = "default"
OF_DATABASE = "default or the database's own"
SETTING = "SET or ALTER DATABASE|ROLE … SET"

# Variables that are not settings: for tests, and for debugging pyupc.
_OTHER_VARIABLES = (config_path.VARIABLE, "PYUPC_DEBUG", "PYUPC_SHARED")
_OTHER_PREFIX = "PYUPC_TEST_"


@dataclass(frozen=True)
class Setting:
    """`name` is a key of the file, with its table in front; a secret is masked in `value`."""

    name: str
    value: Any
    source: str
    variable: str

    def as_json(self) -> dict[str, Any]:
        return vars(self)


def all_settings(
    root: click.Context,
    sources: Sources,
    commands: Iterable[tuple[str, click.Command]],
    stored: Mapping[str, StoredRule] | None = None,
) -> Iterator[Setting]:
    """List the general settings, the rules, and the settings of each command.

    `stored` are the rules in the database; None without one. All values are checked as they are
    when used: click.UsageError, UsageProblem.
    """
    yield from _general(root, sources)
    yield from _rules(sources, stored)
    for name, command in commands:
        default_map = defaults(command, (name,), sources.file)
        yield from _options(root, sources, command, (name,), default_map)


def unknown_variables(environ: Mapping[str, str], settings: Iterable[Setting]) -> list[str]:
    """Variables with pyupc's prefix that it does not know."""
    known = {*_OTHER_VARIABLES, *(setting.variable for setting in settings)}
    return sorted(
        name
        for name in environ
        if name.startswith("PYUPC_") and name not in known and not name.startswith(_OTHER_PREFIX)
    )


def _general(root: click.Context, sources: Sources) -> Iterator[Setting]:
    options = settings_of(root.command)
    for key, general in GENERAL.items():
        if key in options:
            name = options[key].name or key
            value = root.params.get(name)
            if root.get_parameter_source(name) == ParameterSource.COMMANDLINE:
                yield _setting(key, value, f"--{key.replace('_', '-')}", general.variable)
                continue
        else:
            value = sources.environ.get(general.variable) or sources.file.general.get(key)
        source = _source(sources, general.variable, key in sources.file.general)
        yield _setting(key, value, source, general.variable)


def _rules(sources: Sources, stored: Mapping[str, StoredRule] | None) -> Iterator[Setting]:
    for name, rule in RULES.items():
        value = sources.environ.get(rule.variable) or sources.file.rules.get(name)
        source = _source(sources, rule.variable, name in sources.file.rules, OF_DATABASE)
        if value is None and stored is not None and name in stored:
            value, source = stored[name].value, source_of_rule(stored[name])
        yield _setting(f"{TABLE}.{name}", value, source, rule.variable)


def source_of_rule(rule: StoredRule) -> str:
    if rule.source == "setting":
        return f"{SETTING}: {rule.problem}" if rule.problem else SETTING
    if rule.source != "table" or rule.set_at is None:
        return DEFAULT
    at = rule.set_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    source = f"upc_data.rule, set by {rule.set_by} at {at}"
    return f"{source}: {rule.problem}" if rule.problem else source


def _source(sources: Sources, variable: str, is_in_file: bool, otherwise: str = DEFAULT) -> str:
    if sources.environ.get(variable):
        return variable
    return str(sources.file.path) if is_in_file else otherwise


def _options(
    parent: click.Context,
    sources: Sources,
    command: click.Command,
    words: Words,
    default_map: dict[str, Any],
) -> Iterator[Setting]:
    ctx = click.Context(command, parent, words[-1], default_map=default_map)
    for key, option in settings_of(command).items():
        if option.name is None or not option.expose_value:
            continue
        # Parse without any arguments.
        if not option.required or option.name in default_map or set_variable(option):
            option.handle_parse_result(ctx, {}, [])
        yield _setting(
            ".".join([*words, key]),
            ctx.params.get(option.name),
            _source_of(ctx, option, sources.file),
            variable(words, key),
        )
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from _options(ctx, sources, child, (*words, name), default_map[name])


def _source_of(ctx: click.Context, option: click.Option, file: ConfigFile) -> str:
    source = ctx.get_parameter_source(option.name or "")
    if source == ParameterSource.ENVIRONMENT:
        return set_variable(option) or DEFAULT
    return str(file.path) if source == ParameterSource.DEFAULT_MAP else DEFAULT


def _setting(name: str, value: Any, source: str, variable: str) -> Setting:
    return Setting(name, shown(name, _plain(value)), source, variable)


def _plain(value: Any) -> Any:
    """Convert to types that JSON has."""
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, Enum) and value.name == "UNSET":
        # Newer Clicks use this for no value.
        return None
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return value.isoformat() if isinstance(value, date) else str(value)

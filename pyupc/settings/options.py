"""Options of commands as settings: each has a key in the command's table, and a variable.

Both are named after the flag: --skip-bad of `pyupc candles load` is `skip_bad` in the table
[candles.load], and PYUPC_CANDLES_LOAD_SKIP_BAD.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import click
from click.core import ParameterSource

from pyupc.errors import UsageProblem
from pyupc.settings.file import ConfigFile
from pyupc.settings.sources import Sources
from pyupc.settings.suggestions import suggestion

# Options of a single call, which are no settings: help, consent, one round, the file itself, the
# backtest, and those of a trade or of a symbol: a forgotten price in a variable would be recorded.
_NO_SETTINGS = (
    *("help", "version", "yes", "force", "once", "config"),
    *("list", "show", "delete"),
    *("ticker", "side", "price"),
    *("pair", "series", "file"),
)

Words = tuple[str, ...]
"""A command without `pyupc`: ("candles", "load")."""


def settings_of(command: click.Command) -> dict[str, click.Option]:
    """Options that can be set, by their keys."""
    return {key: each for key, each in _options(command).items() if key not in _NO_SETTINGS}


def _options(command: click.Command) -> dict[str, click.Option]:
    return {
        _key(parameter): parameter
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.hidden
    }


def commands_in(command: click.Command, words: Words) -> Iterator[tuple[Words, click.Command]]:
    """List the command and all commands below it."""
    yield words, command
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from commands_in(child, (*words, name))


def name_variables(command: click.Command, words: Words) -> None:
    """Give every option its variable, in front of those it was declared with."""
    for each_words, each in commands_in(command, words):
        for key, option in settings_of(each).items():
            option.envvar = list(dict.fromkeys([variable(each_words, key), *variables_of(option)]))


def variable(words: Words, key: str) -> str:
    return "_".join(["PYUPC", *words, key]).upper().replace("-", "_")


def variables_of(option: click.Option) -> list[str]:
    if option.envvar is None:
        return []
    return [option.envvar] if isinstance(option.envvar, str) else list(option.envvar)


def set_variable(option: click.Option) -> str | None:
    """Name of the variable that sets the option, as Click chooses it."""
    return next((name for name in variables_of(option) if os.environ.get(name)), None)


def defaults(command: click.Command, words: Words, file: ConfigFile) -> dict[str, Any]:
    """The tables of a command and of those below it, as Click's default_map.

    UsageProblem names the first key that does not fit.
    """
    return _defaults(command, words, file, file.table(words[0]))


def origin(ctx: click.Context | None, parameter: click.Parameter | None) -> str | None:
    """Source of a value that is not from the command line: a variable, or a key of the file."""
    if ctx is None or not isinstance(parameter, click.Option) or parameter.name is None:
        return None
    source = ctx.get_parameter_source(parameter.name)
    if source == ParameterSource.ENVIRONMENT:
        return set_variable(parameter)
    sources = ctx.find_object(Sources)
    if source == ParameterSource.DEFAULT_MAP and sources is not None:
        return _place(sources.file, words_of(ctx), _key(parameter))
    return None


def words_of(ctx: click.Context) -> Words:
    words: list[str] = []
    while ctx.parent is not None:
        words.insert(0, ctx.info_name or "")
        ctx = ctx.parent
    return tuple(words)


def _key(option: click.Parameter) -> str:
    """Key of an option: its longest flag."""
    flag = max(option.opts, key=len).lstrip("-")
    return flag.replace("-", "_")


def _place(file: ConfigFile, words: Words, key: str) -> str:
    table: Any = file.commands
    for word in words:
        table = table.get(word, {})
    if not words or key not in table:
        return f"{file.path}: {key}"
    return f"{file.path}: [{'.'.join(words)}] {key}"


def _defaults(
    command: click.Command, words: Words, file: ConfigFile, table: Mapping[str, Any]
) -> dict[str, Any]:
    options = settings_of(command)
    children = command.commands if isinstance(command, click.Group) else {}
    found: dict[str, Any] = {}
    for option in options.values():
        if option.name is not None and (value := _general(option, file)) is not None:
            found[option.name] = value
    for key, value in table.items():
        where = f"{file.path}: [{'.'.join(words)}]"
        if key in children:
            if not isinstance(value, dict):
                raise UsageProblem(f"{where} {key} is not a table")
        elif key in options:
            option = options[key]
            plain = _plain(option, value, f"{where} {key}")
            if option.name is not None and plain is not None:
                found[option.name] = plain
        else:
            raise UsageProblem(
                f"{where} unknown setting {key!r}",
                "it can only be given on the command line"
                if key in _options(command)
                else _suggestion(key, [*options, *children]),
            )
    for name, child in children.items():
        found[name] = _defaults(child, (*words, name), file, table.get(name, {}))
    return found


def _suggestion(key: str, names: Sequence[str]) -> str:
    otherwise = f"it has {', '.join(names)}" if names else "it has no settings"
    return suggestion(key, names, otherwise)


def _general(option: click.Option, file: ConfigFile) -> Any:
    """Value of a general setting, for an option declared with its variable."""
    declared = variables_of(option)
    return next((v for k, v in file.general.items() if f"PYUPC_{k.upper()}" in declared), None)


def _plain(option: click.Option, value: Any, where: str) -> Any:
    """Value as the option gets it from a command line; None leaves its default."""
    if option.multiple or option.nargs != 1:
        if isinstance(value, str):
            # Separated as in a variable.
            value = option.type.split_envvar_value(value)
        return [_one(option, one, where) for one in (value if _is_list(value) else [value])]
    if option.is_flag and not option.is_bool_flag:
        # A flag that stands for a value of its argument, as one of several.
        return option.flag_value if _one(option, value, where) else None
    return _one(option, value, where)


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _one(option: click.Option, value: Any, where: str) -> Any:
    """Check the type of a value; Click checks its range and form."""
    kinds, expected = _expected(option)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        hint = "write it without quotes" if isinstance(value, str) else None
        hint = 'write it in quotes: "…"' if kinds[0] is str and is_number else hint
        raise UsageProblem(f"{where} is not {expected}", hint)
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, str) and isinstance(option.type, click.Path):
        # No shell has expanded the tilde.
        return os.path.expanduser(value)
    return value


def _expected(option: click.Option) -> tuple[tuple[type, ...], str]:
    if option.count:
        return (int,), "a whole number"
    if option.is_flag or isinstance(option.type, type(click.BOOL)):
        return (bool,), "true or false"
    if isinstance(option.type, type(click.INT)):
        return (int,), "a whole number"
    if isinstance(option.type, type(click.FLOAT)):
        return (float, int), "a number"
    if isinstance(option.type, click.Choice):
        return (str,), f"one of {', '.join(map(str, option.type.choices))}"
    if isinstance(option.type, (type(click.STRING), click.Path)):
        return (str, date, datetime), "a string"
    # A custom type reads text, and may read numbers.
    return (str, int, float, date, datetime), "a string or a number"

"""`pyupc config`: settings, their sources, and the rules in the database."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import click

from pyupc.cli.common.columns import print_columns
from pyupc.cli.common.options import NegativeNumbers, examples, json_output
from pyupc.cli.common.output import Output, output_options, print_rows
from pyupc.errors import PyupcError, UsageProblem
from pyupc.runtime.printable import printable

if TYPE_CHECKING:
    from pyupc.database.rules import Connection
    from pyupc.settings.effective import Setting
    from pyupc.settings.rules import StoredRule

logger = logging.getLogger("pyupc.settings")


@click.group(epilog=examples("pyupc config show", "pyupc config set fresh_for '10 s'"))
def command() -> None:
    """Show settings and their sources; set rules in the database."""


@command.command(
    epilog=examples(
        "pyupc config show",
        "pyupc config show tick",
        "pyupc config show rules --json",
        "PYUPC_TICK_INTERVAL=0.5 pyupc config show tick.interval",
    )
)
@click.argument("names", metavar="[NAME]…", nargs=-1)
@output_options
@click.pass_context
def show(ctx: click.Context, names: tuple[str, ...], output: Output) -> None:
    """Show every setting with its value and source, or those of NAME.

    NAME is a setting (tick.interval), a table (rules) or a command (candles load). With -t, JSON
    and CSV the name of its variable is shown, too. Secrets are masked.

    A flag is stronger than a variable, a variable than config.toml. A rule set by none of them
    comes from the database, if one runs, or is the default: ALTER DATABASE|ROLE … SET upc.name is
    stronger than `pyupc config set`.

    All settings are checked, not only those of NAME. Unknown variables that begin with PYUPC_ are
    reported.
    """
    from pyupc.settings import effective
    from pyupc.settings.rules import TABLE
    from pyupc.settings.sources import Sources
    from pyupc.settings.suggestions import nearest

    root = ctx.find_root()
    sources = ctx.ensure_object(Sources)
    main = root.command
    assert isinstance(main, click.Group)
    commands = [(name, main.get_command(root, name)) for name in main.list_commands(root)]
    wanted = ".".join(names)
    stored = _stored() if wanted.partition(".")[0] in ("", TABLE) else None
    settings = list(
        effective.all_settings(root, sources, [(n, c) for n, c in commands if c], stored)
    )
    for name in effective.unknown_variables(sources.environ, settings):
        meant = nearest(name, [setting.variable for setting in settings])
        hint = f"; the nearest name is {meant}" if meant else ""
        logger.warning("%s is not a variable of pyupc%s", printable(name), hint)
    chosen = _chosen(settings, wanted)
    print_rows(
        [setting.as_json() for setting in chosen],
        output,
        human=lambda: _print(chosen),
        columns=[field.name for field in fields(effective.Setting)],
    )


@command.command(epilog=examples("pyupc config path", 'echo "$(pyupc config path)"'))
@click.pass_context
def path(ctx: click.Context) -> None:
    """Print the path of config.toml, even if the file does not exist.

    The path is --config or PYUPC_CONFIG; else /etc/pyupc/config.toml for root, and for others
    pyupc/config.toml in XDG_CONFIG_HOME or ~/.config, on macOS in ~/Library/Application Support.
    With an empty PYUPC_CONFIG no file is read, and nothing is printed.
    """
    from pyupc.settings import config_path, file
    from pyupc.settings.sources import Sources

    sources = ctx.ensure_object(Sources)
    named = sources.environ.get(config_path.VARIABLE)
    found = sources.file.path or file.find(named, os.environ)
    if found is not None:
        click.echo(str(found))


@command.command(
    name="set",
    cls=NegativeNumbers,
    epilog=examples(
        "pyupc config set fresh_for '10 s'",
        "pyupc config set stop_probability 35",
        "pyupc config set stop_verify off --json",
    ),
)
@click.argument("name")
@click.argument("value")
@json_output
def set_(name: str, value: str, as_json: bool) -> None:
    """Set a rule for all users of the database.

    It is stored in upc_data.rule, with the role and the time. NAME and VALUE are as in the table
    [rules] of config.toml. A running tick uses it from its next tick on. config.toml, a variable
    and ALTER DATABASE|ROLE … SET upc.name are stronger; if one of them sets the rule, a warning is
    printed. Only the owner of the database's schemas may set rules.
    """
    from pyupc.database import rules

    name = name.removeprefix("rules.")
    with _checked() as conn:
        value = rules.set_rule(conn, name, value)
        _report(rules.in_force(conn, name), value, as_json)


@command.command(
    name="unset",
    epilog=examples("pyupc config unset fresh_for", "pyupc config unset stop_verify --json"),
)
@click.argument("name")
@json_output
def unset(name: str, as_json: bool) -> None:
    """Remove a rule from the database.

    Its default applies then, or a stronger setting.
    """
    from pyupc.database import rules

    name = name.removeprefix("rules.")
    with _checked() as conn:
        was_set = rules.unset_rule(conn, name)
        found = {rule.name: rule for rule in rules.rules(conn)}
        if not was_set:
            logger.warning("%s was not set", printable(name))
        if name in found:
            _report(found[name], None, as_json)


@contextmanager
def _checked() -> Iterator[Connection]:
    from pyupc.database import schema
    from pyupc.database.connect import connect

    with connect(application_name="pyupc config") as conn:
        schema.check(conn)
        yield conn


def _report(rule: StoredRule, stored: str | None, as_json: bool) -> None:
    """Print the rule in force, and warn if it differs from the stored one."""
    from pyupc.settings.effective import source_of_rule

    if stored is not None and rule.source != "table":
        logger.warning(
            "%s is still %s here: a setting is stronger than the stored rule", rule.name, rule.value
        )
    if as_json:
        import json

        click.echo(
            json.dumps({"name": rule.name, "value": rule.value, "source": source_of_rule(rule)})
        )
    else:
        click.echo(f"{rule.name} {rule.value} ({source_of_rule(rule)})")


def _stored() -> dict[str, StoredRule] | None:
    from pyupc.database import rules

    try:
        return rules.stored()
    except PyupcError as problem:
        logger.info("rules of the database are not shown: %s", problem.message)
        return None


def _print(settings: list[Setting]) -> None:
    print_columns(
        ("setting", "value", "from"),
        [(each.name, _text(each.value), printable(each.source)) for each in settings],
        left=3,
    )


def _chosen(settings: list[Setting], wanted: str) -> list[Setting]:
    chosen = [
        each
        for each in settings
        if not wanted or each.name == wanted or each.name.startswith(f"{wanted}.")
    ]
    if not chosen:
        from pyupc.settings.suggestions import suggestion

        known = {name for each in settings for name in _prefixes(each.name)}
        raise UsageProblem(
            f"unknown setting {wanted!r}",
            suggestion(wanted, sorted(known), "list all settings: pyupc config show"),
        )
    return chosen


def _prefixes(name: str) -> list[str]:
    words = name.split(".")
    return [".".join(words[:count]) for count in range(1, len(words) + 1)]


def _text(value: Any) -> str:
    if value is None or value == []:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return " ".join(map(_text, value))
    return printable(str(value))

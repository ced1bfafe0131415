"""The pages of the manual that follow from the code: `python -m tests.docs.reference` writes them.

docs/cli.md is the help of every command. In docs/settings.md two tables stand between marks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from pyupc.cli import main as program
from pyupc.settings.options import Words, settings_of
from pyupc.shipped import folder

DOCS = Path(__file__).parents[2] / "docs"
WIDTH = 88

# Keys that all commands with rows have in common.
OUTPUT = ("json", "nl", "csv", "table", "no_headers")

_CLI = """# Command line

The help of every command, as `--help` prints it. [Settings](settings.md) shows how to set an option
for all runs. The predecessor is the system with CSV files that pyupc replaces:
[Coming from CSV](csv.md).
"""


@dataclass(frozen=True)
class Command:
    """`words` is the command without `pyupc`."""

    words: Words
    context: click.Context

    @property
    def title(self) -> str:
        return " ".join(("pyupc", *self.words))

    def help(self) -> str:
        text = self.context.command.get_help(self.context)
        return "\n".join(line.rstrip() for line in text.splitlines()).strip()


def commands() -> Iterator[Command]:
    """Every command, the program itself first."""
    yield from _below(program, (), None)


def _below(command: click.Command, words: Words, parent: click.Context | None) -> Iterator[Command]:
    context = click.Context(
        command,
        parent=parent,
        info_name=words[-1] if words else "pyupc",
        **{**command.context_settings, "terminal_width": WIDTH, "max_content_width": WIDTH},
    )
    yield Command(words, context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from _below(child, (*words, name), context)


def cli_page() -> str:
    parts = [_CLI]
    for command in commands():
        level = "##" if len(command.words) < 2 else "###"
        parts.append(f"{level} `{command.title}`\n\n```text\n{command.help()}\n```\n")
    return "\n".join(parts)


def _definitions() -> list[dict[str, Any]]:
    """The list of rules that sql/ holds as JSON."""
    for file in sorted(folder("sql").rglob("*.sql")):
        text = file.read_text("utf-8")
        if "$rules$" in text:
            found: list[dict[str, Any]] = json.loads(text.split("$rules$")[1])
            return found
    raise LookupError("no file of sql/ has a list between $rules$")


def _bounds(rule: dict[str, Any]) -> str:
    if rule["kind"] == "switch":
        return "on, off"
    least, most = rule["at_least"], rule["at_most"]
    return f"above {least}, to {most}" if rule.get("is_above") else f"{least} to {most}"


def rules_table() -> str:
    lines = ["| rule | default | values | meaning |", "| --- | --- | --- | --- |"]
    for rule in _definitions():
        unit = f" {rule['unit']}" if "unit" in rule else ""
        default = f"{rule['fallback']}{unit}"
        lines.append(f"| `{rule['name']}` | {default} | {_bounds(rule)} | {rule['meaning']} |")
    return "\n".join(lines)


def options_table() -> str:
    lines = ["| table | keys |", "| --- | --- |"]
    for command in commands():
        keys = list(settings_of(command.context.command))
        if not command.words or not keys:
            continue
        own = [f"`{key}`" for key in keys if key not in OUTPUT or not set(OUTPUT) <= set(keys)]
        shared = ["*output*"] if set(OUTPUT) <= set(keys) else []
        lines.append(f"| `[{'.'.join(command.words)}]` | {', '.join([*own, *shared])} |")
    return "\n".join(lines)


def settings_page(text: str) -> str:
    """The page with its tables renewed."""
    for name, table in (("rules", rules_table()), ("options", options_table())):
        pattern = rf"(<!-- begin {name}:[^>]*-->\n).*?(<!-- end {name} -->)"
        found = re.search(pattern, text, re.DOTALL)
        if found is None:
            raise LookupError(f"docs/settings.md has no place for {name}")
        text = f"{text[: found.start()]}{found[1]}\n{table}\n\n{found[2]}{text[found.end() :]}"
    return text


def main() -> None:
    (DOCS / "cli.md").write_text(cli_page(), "utf-8")
    settings = DOCS / "settings.md"
    settings.write_text(settings_page(settings.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()

"""A config.toml of the test's own, and the output of `pyupc config show` with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from pyupc.cli import main


def pyupc(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def shown(*arguments: str | Path) -> dict[str, dict[str, Any]]:
    """The settings by name; arguments for the main group."""
    result = pyupc(*arguments, "config", "show", "--json")
    assert result.exit_code == 0, result.stderr
    return {each["name"]: each for each in json.loads(result.stdout)}


def value_and_source(setting: dict[str, Any]) -> tuple[Any, str]:
    return setting["value"], setting["source"]

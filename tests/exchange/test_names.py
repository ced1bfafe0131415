"""The default exchange is known once: each command and job that is given none takes that one."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from pyupc.cli import main
from pyupc.exchange.names import DEFAULT_EXCHANGE
from pyupc.feed.run import Job as FeedJob
from pyupc.health.doctor.run import Job as DoctorJob


@pytest.mark.parametrize("names", [("feed",), ("doctor",), ("candles", "backfill")])
def test_commands_take_the_default(names: tuple[str, ...]) -> None:
    command: click.Command = main
    context = click.Context(command)
    for name in names:
        assert isinstance(command, click.Group)
        found = command.get_command(context, name)
        assert found is not None
        command = found
    (option,) = [each for each in command.params if each.name == "exchange"]
    assert option.default == DEFAULT_EXCHANGE


def test_jobs_take_the_default() -> None:
    assert FeedJob(dsn="").exchange == DEFAULT_EXCHANGE
    assert DoctorJob(out=Path()).exchange == DEFAULT_EXCHANGE


def test_no_other_module_states_a_default() -> None:
    """Neither Python nor SQL: an exchange's name stands elsewhere in examples only."""
    root = Path(__file__).parents[2]
    stated = [
        f"{path.relative_to(root)}: {line.strip()}"
        for folder in ("pyupc", "sql")
        for path in sorted(root.joinpath(folder).rglob("*"))
        if path.suffix in (".py", ".sql")
        for line in path.read_text().splitlines()
        if f'= "{DEFAULT_EXCHANGE}"' in line
        or f'default="{DEFAULT_EXCHANGE}"' in line
        or f"DEFAULT '{DEFAULT_EXCHANGE}'" in line
        or f"or '{DEFAULT_EXCHANGE}'" in line
    ]
    assert stated == [f'pyupc/exchange/names.py: DEFAULT_EXCHANGE = "{DEFAULT_EXCHANGE}"']

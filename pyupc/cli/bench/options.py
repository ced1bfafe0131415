"""Options of `pyupc bench` and of the commands below it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])


def candles_option(command: _Command) -> _Command:
    """Give the command an argument `candles`, a file or None."""
    return click.option(
        "--candles",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="File of BTC candles, instead of simulated ones.",
    )(command)


def only_option(names: Sequence[str]) -> Callable[[_Command], _Command]:
    """Give the command an argument `only`: the parts to measure, all if it is empty."""
    return click.option(
        "--only",
        type=click.Choice(names),
        multiple=True,
        metavar="NAME",
        help=f"One of {', '.join(names)}; repeatable. Default: all.",
    )

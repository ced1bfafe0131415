"""Settings of a backtest: the options of `pyupc backtest` that are stored with its scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from pyupc.cli.common.span import parse_instant

MINUTES = (2, 5, 10, 15, 30, 45, 60)
MODELS = (
    *("baseline:nearest", "momentum:nearest", "momentum:linear"),
    *("gaussian", "shrunk:linear", "volatility:linear"),
)

# Names of their arguments.
OF_A_RUN = (
    *("train_from", "train_to", "test_from", "test_to", "minutes", "models"),
    *("step", "levels", "settlement", "close_minute"),
)


def _minutes(
    ctx: click.Context, parameter: click.Parameter, values: tuple[int, ...]
) -> tuple[int, ...]:
    """Remove duplicates and sort."""
    return tuple(sorted(set(values)))


def _models(
    ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    """Remove duplicates, and add the default method `nearest` where none is given."""
    names = [value.strip().lower() for value in values]
    return tuple(
        dict.fromkeys(
            name if ":" in name or name == "gaussian" else f"{name}:nearest" for name in names
        )
    )


_OPTIONS = (
    *(
        click.option(name, callback=parse_instant, metavar="DATE", help=help)
        for name, help in (
            ("--train-from", "Train from here on. Default: the first candle."),
            (
                "--train-to",
                "Train up to here, exclusive. Default: 1 January of the last candle's year, or two"
                " thirds of the way if there is nothing before it.",
            ),
            ("--test-from", "Test from here on. Default: --train-to."),
            ("--test-to", "Test up to here, exclusive. Default: the end of the last candle."),
        )
    ),
    click.option(
        "--ttc",
        "minutes",
        type=click.IntRange(1, 60),
        multiple=True,
        default=MINUTES,
        show_default=True,
        metavar="MINUTES",
        callback=_minutes,
        help="Minutes from the question to the close; repeatable.",
    ),
    click.option(
        "--model",
        "models",
        multiple=True,
        default=MODELS,
        show_default=True,
        metavar="NAME[:METHOD]",
        callback=_models,
        help="Model to test; repeatable. Default method: nearest.",
    ),
    click.option(
        "--step",
        type=click.FloatRange(0, min_open=True),
        metavar="USD",
        help="Distance between strikes. Default: the symbol's.",
    ),
    click.option(
        "--levels",
        type=click.IntRange(0, 500),
        default=10,
        show_default=True,
        metavar="N",
        help="Strikes on each side of the one nearest to the price.",
    ),
    click.option(
        "--settlement",
        type=click.Choice(["close", "average"]),
        default="close",
        show_default=True,
        help="Settle by the last price, or by the average of the last minute.",
    ),
    click.option(
        "--close-minute",
        type=click.IntRange(0, 59),
        default=0,
        show_default=True,
        metavar="MINUTE",
        help="Minute of the hour at which contracts close.",
    ),
)


def run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add all options to a command, each as an argument."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command

"""Settings of a backtest: the options of `pyupc backtest` that are stored with its scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
from click.core import ParameterSource

from pyupc.cli.common.span import parse_instant

MINUTES = (2, 5, 10, 15, 30, 45, 60)
# Contracts of this kind are open for as long.
UPDOWN_MINUTES = 15
# Further away only these models answer.
HOUR_MINUTES = 60
LONG_MODELS = ("gaussian", "volatility")
MODELS = (
    *("baseline:nearest", "momentum:nearest", "momentum:linear"),
    *("gaussian", "volatility:linear"),
)

# Names of their arguments.
SPANS = ("train_from", "train_to", "test_from", "test_to")
OF_A_RUN = (
    *SPANS,
    *("minutes", "models"),
    *("step", "levels", "settlement", "close_minute", "kind", "recalibrate"),
)


def _minutes(
    ctx: click.Context, parameter: click.Parameter, values: tuple[int, ...]
) -> tuple[int, ...]:
    """Remove duplicates and sort; without any, the usual ones at which the contracts are open."""
    is_short = ctx.params["kind"] == "updown"
    if not values:
        return tuple(each for each in MINUTES if not is_short or each <= UPDOWN_MINUTES)
    if is_short and max(values) > UPDOWN_MINUTES:
        raise click.BadParameter(f"contracts of updown are open for {UPDOWN_MINUTES} minutes")
    return tuple(sorted(set(values)))


def _models(
    ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    """Remove duplicates, and add the default method `nearest` where none is given. Of the usual
    ones those that answer as far from the close."""
    names = [value.strip().lower() for value in values]
    is_default = ctx.get_parameter_source("models") != ParameterSource.COMMANDLINE
    if is_default and max(ctx.params["minutes"]) > HOUR_MINUTES:
        names = [name for name in names if name.split(":")[0] in LONG_MODELS]
    return tuple(
        dict.fromkeys(
            name if ":" in name or name == "gaussian" else f"{name}:nearest" for name in names
        )
    )


_OPTIONS = (
    click.option(
        "--kind",
        type=click.Choice(["above", "range", "updown"]),
        default="above",
        show_default=True,
        # Others depend on it.
        is_eager=True,
        help="Kind of contract: above a strike, a range between two neighbouring strikes, or in"
        " a quarter of an hour up from the average of the minute before it.",
    ),
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
        type=click.IntRange(1, 1440),
        multiple=True,
        metavar="MINUTES",
        callback=_minutes,
        help="Minutes from the question to the close; repeatable. Default: 2, 5, 10, 15, 30, 45 and"
        " 60; of updown those up to 15. Beyond 60 only volatility and gaussian answer.",
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
        help="Strikes on each side of the one nearest to the price; ranges on each side of the one"
        " with the price in it, with an open end beyond them.",
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
        help="Minute of the hour at which contracts close; of updown also 15, 30 and 45 later.",
    ),
    click.option(
        "--recalibrate/--no-recalibrate",
        default=True,
        show_default=True,
        help="Correct the volatility model each week by what came of its answers in the 26 weeks"
        " before.",
    ),
)


def run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add all options to a command, each as an argument."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command

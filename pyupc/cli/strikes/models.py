"""All models side by side: the probability of every strike, one column per model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click
import psycopg

from pyupc.settings.models import MODELS
from pyupc.sql_errors import translate

Row = dict[str, Any]

COMMON = ("strike", "buffer", "move_percent", "direction")
PROBABILITIES = {model: f"prob_{model}" for model in MODELS}
COLUMNS = (*COMMON, *PROBABILITIES.values())

# No volatility forecast: only that model's column stays empty.
_NO_FORECAST = "UP020"


def side_by_side(ask: Callable[[str], list[Row]]) -> list[Row]:
    """Join the rows of all models, with a column of prob_above for each.

    `ask` takes a model and returns its rows. Without a volatility forecast that model's column is
    None, and stderr reports the reason.
    """
    found: dict[str, list[Row]] = {}
    for model in MODELS:
        try:
            found[model] = ask(model)
        except psycopg.Error as error:
            if error.sqlstate != _NO_FORECAST:
                raise
            click.echo(f"{model}: {translate(error).message}", err=True)
    first = next(iter(found.values()))
    return [_together(found, place) for place in range(len(first))]


def _together(found: Mapping[str, list[Row]], place: int) -> Row:
    first = next(iter(found.values()))[place]
    return {name: first[name] for name in COMMON} | {
        name: found[model][place]["prob_above"] if model in found else None
        for model, name in PROBABILITIES.items()
    }

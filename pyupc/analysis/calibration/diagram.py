"""The reliability diagram of live ticks. Needs the extra `plots`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyupc.analysis.plots.files import save
from pyupc.analysis.plots.reliability import Point, Series, reliability_figure

Row = dict[str, Any]


def draw(rows: Sequence[Row], path: Path) -> None:
    """Of rows of upc.calibration: a series a symbol and model, over all times to the close."""
    series: dict[str, list[Point]] = {}
    for row in rows:
        if row["minutes_from"] is None and row["bin"] is not None:
            series.setdefault(_label(row), []).append(_point(row))
    save(
        reliability_figure(
            [Series(label, points) for label, points in series.items()],
            title="Live probabilities and what came true",
        ),
        path,
    )


def _label(row: Row) -> str:
    label = f"{row['symbol']} {row['model']}:{row['method']}"
    return label if row["settlement"] == "close" else f"{label}, {row['settlement']}"


def _point(row: Row) -> Point:
    return Point(
        row["mean_probability"],
        row["observed_frequency"],
        row["frequency_low"],
        row["frequency_high"],
        row["questions"],
    )

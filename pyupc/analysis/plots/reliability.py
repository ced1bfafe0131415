"""Reliability diagram: predicted probabilities beside the shares that came true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyupc.analysis.plots.style import LINE, MUTED, colour, marker, new_figure, percent_axis, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Small enough for a telephone, where letters shrink with the figure.
SIZE = (4.8, 7.4)

# Percent, the width of a bin, shared by the error bars of all series.
_SPREAD = 3.0


@dataclass(frozen=True)
class Point:
    """The questions of a bin: mean probability, and the share of them that came true; percent.

    `low` and `high` are the interval of the share, None if it is not known.
    """

    probability: float
    observed: float
    low: float | None
    high: float | None
    count: int


@dataclass(frozen=True)
class Series:
    """Points in order of probability; bins without a question are left out."""

    label: str
    points: Sequence[Point]


def reliability_figure(series: Sequence[Series], *, title: str) -> Figure:
    """A new figure with the diagram in it."""
    with styled():
        figure = new_figure(*SIZE)
        draw_reliability(figure, series, title=title)
    return figure


def draw_reliability(figure: Figure, series: Sequence[Series], *, title: str) -> None:
    """Draw three panels on a figure: observed over predicted, their difference, and the counts."""
    diagram, difference, counts = figure.subplots(
        3, 1, sharex=True, gridspec_kw={"height_ratios": (3.4, 2, 1)}
    )
    _draw_diagram(diagram, series, title)
    _draw_difference(difference, series)
    _draw_counts(counts, series)
    percent_axis(counts)
    counts.set_xlabel("predicted probability, %")


def _draw_diagram(axes: Axes, series: Sequence[Series], title: str) -> None:
    axes.set_title(title)
    axes.plot((0, 100), (0, 100), color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
    for number, each in enumerate(series):
        axes.plot(
            [point.probability for point in each.points],
            [point.observed for point in each.points],
            color=colour(number),
            marker=marker(number),
            markersize=3.5,
            linewidth=1.1,
            label=each.label,
        )
    axes.set_ylim(-1.5, 101.5)
    axes.set_yticks(range(0, 101, 20))
    axes.set_ylabel("came true, %")
    if series:
        axes.legend(loc="upper left")


def _draw_difference(axes: Axes, series: Sequence[Series]) -> None:
    """Differences too small for the diagram; bars of several series stand side by side."""
    axes.axhline(0, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
    for number, each in enumerate(series):
        aside = (number - (len(series) - 1) / 2) * _SPREAD / max(len(series), 1)
        axes.errorbar(
            [point.probability + aside for point in each.points],
            [point.observed - point.probability for point in each.points],
            yerr=_arms(each.points),
            color=colour(number),
            marker=marker(number),
            markersize=2.8,
            linestyle="none",
            elinewidth=0.9,
        )
    axes.set_ylabel("difference, points")


def _arms(points: Sequence[Point]) -> tuple[list[float], list[float]]:
    """Lengths of the interval below and above; nothing where it is not known."""
    below = [0.0 if p.low is None else max(p.observed - p.low, 0.0) for p in points]
    above = [0.0 if p.high is None else max(p.high - p.observed, 0.0) for p in points]
    return below, above


def _draw_counts(axes: Axes, series: Sequence[Series]) -> None:
    for number, each in enumerate(series):
        axes.plot(
            [point.probability for point in each.points],
            [point.count for point in each.points],
            color=colour(number),
            marker=marker(number),
            markersize=2.5,
            linewidth=0.9,
        )
    axes.set_yscale("log")
    axes.set_ylabel("questions")
    axes.grid(color=LINE, which="major")

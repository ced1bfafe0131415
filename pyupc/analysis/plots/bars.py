"""Bars with their intervals, one below the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyupc.analysis.plots.style import INK, MUTED, colour, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH = 4.8
_BAR = 0.32
_AROUND = 0.75


@dataclass(frozen=True)
class Bar:
    """A value and its interval, None if it is not known; the number of a series has its colour."""

    label: str
    value: float
    low: float | None
    high: float | None
    number: int


@dataclass(frozen=True)
class Panel:
    """Bars of one scale, the first on top."""

    title: str
    scale: str
    bars: Sequence[Bar]
    digits: int


def bars_figure(panels: Sequence[Panel]) -> Figure:
    """A new figure with the panels one below the other."""
    rows = [len(panel.bars) * _BAR + _AROUND for panel in panels]
    with styled():
        figure = new_figure(_WIDTH, sum(rows))
        axes = figure.subplots(len(panels), 1, squeeze=False, gridspec_kw={"height_ratios": rows})
        for panel, place in zip(panels, axes[:, 0], strict=True):
            _draw(place, panel)
    return figure


def _draw(axes: Axes, panel: Panel) -> None:
    places = range(len(panel.bars))
    axes.set_title(panel.title)
    for place, bar in zip(places, panel.bars, strict=True):
        axes.barh(place, bar.value, height=0.62, color=colour(bar.number), alpha=0.75)
        ends = [bar.value]
        if bar.low is not None and bar.high is not None:
            ends += [bar.low, bar.high]
            axes.plot((bar.low, bar.high), (place, place), color=INK, linewidth=1.3)
        # Beyond the interval, where nothing is written over.
        axes.annotate(
            f"{bar.value:.{panel.digits}f}",
            (max(*ends, 0), place),
            (4, 0),
            textcoords="offset points",
            verticalalignment="center",
            fontsize=8,
        )
    axes.axvline(0, color=MUTED, linewidth=0.9)
    axes.set_yticks(places, [bar.label for bar in panel.bars])
    axes.invert_yaxis()
    axes.margins(x=0.2)
    axes.set_xlabel(panel.scale)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)

"""The figures of a report. Needs the extra `plots`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyupc.analysis.backtest.scores import Report
from pyupc.analysis.plots.bars import Bar, Panel, bars_figure
from pyupc.analysis.plots.reliability import Point, Series, reliability_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RELIABILITY = "reliability"
COMPARISON = "comparison"


def figures(report: Report) -> dict[str, Figure]:
    """By the name of their files."""
    return {RELIABILITY: _reliability(report), COMPARISON: _comparison(report)}


def descriptions(report: Report) -> dict[str, str]:
    """Texts for readers who do not see them."""
    overall = report.scores["all"]
    losses = "; ".join(f"{row['model']} {row['log_loss']:.5f}" for row in overall)
    errors = "; ".join(f"{row['model']} {row['calibration_error']:.2f}" for row in overall)
    return {
        RELIABILITY: (
            "Reliability diagram: the share of questions that came true over the probability that "
            "was predicted, for each model, with what both are apart and how many questions there "
            f"were. Calibration error in percentage points: {errors}."
        ),
        COMPARISON: (
            "Bars of the log loss of each model, and of how much more it is than that of the best, "
            f"with 95 % intervals. Log loss: {losses}."
        ),
    }


def _reliability(report: Report) -> Figure:
    series = [
        Series(
            model,
            [
                Point(
                    row["probability"],
                    row["observed"],
                    row["observed_low"],
                    row["observed_high"],
                    row["questions"],
                )
                for row in report.reliability
                if row["model"] == model
            ],
        )
        for model in report.models
    ]
    return reliability_figure(series, title=f"{report.symbol}: predicted, and came true")


def _comparison(report: Report) -> Figure:
    numbers = {model: number for number, model in enumerate(report.models)}
    rows = sorted(report.scores["all"], key=lambda row: row["log_loss"])
    panels = [
        Panel(
            f"{report.symbol}: log loss",
            "less is better",
            [
                Bar(
                    row["model"],
                    row["log_loss"],
                    row["log_loss_low"],
                    row["log_loss_high"],
                    numbers[row["model"]],
                )
                for row in rows
            ],
            digits=4,
        )
    ]
    verdict = report.verdict_on(None)
    if verdict:
        bars = [
            Bar(
                row["opponent"],
                -row["difference"],
                -row["difference_high"],
                -row["difference_low"],
                numbers[row["opponent"]],
            )
            for row in verdict
        ]
        words = f"more than {verdict[0]['model']}"
        panels.append(Panel(words, "difference of the log loss, same days", bars, digits=5))
    return bars_figure(panels)

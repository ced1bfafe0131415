"""The report as one HTML file that needs nothing else: no server, no script, no other file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape

from pyupc.analysis.backtest.page_parts import CSS, cell, inline_svg, table
from pyupc.analysis.backtest.scores import DIMENSIONS, RESAMPLES, Report, Row
from pyupc.analysis.backtest.words import (
    DIMENSION_NAMES,
    ODDS_HEAD,
    PROFIT_HEAD,
    QUESTIONS,
    contracts,
    coverage,
    interval,
    lead_cells,
    loss,
    odds,
    odds_cells,
    part_name,
    points,
    profit_cells,
    reason,
    span,
    verdict,
)

_SCORE_HEAD = (
    *("model", "log loss", "95 %", "Brier", "95 %", "calibration error", "95 %"),
    *("resolution", "sharpness"),
)

# It goes behind the log loss and its interval.
_LEAD_HEAD = ("to the best other", "95 %")
_LEAD_PLACE = 3

_DATE = re.compile(r"\d{4}-\d\d-\d\d")

_NOTES = (
    (
        "Log loss",
        "The mean of minus the natural logarithm of the probability of what happened, clipped to "
        "0.0001 … 0.9999. Less is better: an answer that is sure and wrong costs most.",
    ),
    ("Brier score", "The mean of (probability - outcome)², 0 to 1. Less is better."),
    (
        "Calibration error",
        "Distance between the shares that came true and those predicted, in percentage points: the "
        "mean over 20 bins of probability, weighted by their questions. Less is better.",
    ),
    (
        "Resolution",
        "Of Murphy's decomposition of the Brier score: squared distance between the shares that "
        "came true in the bins and the base rate. More is better.",
    ),
    (
        "Sharpness",
        "The variance of the probabilities. Of a calibrated model it is the resolution; one that "
        "is sharper than that is too sure of itself.",
    ),
    (
        "95 % intervals",
        "Bootstrap: whole days are drawn with replacement, as the questions of a day err together. "
        "Differences are those on the same days, so that days that are hard for all cancel out.",
    ),
)


def page(report: Report, figures: Mapping[str, bytes], descriptions: Mapping[str, str]) -> str:
    """The page; `figures` are SVGs by name, `descriptions` the texts that stand for them."""
    introduction = _DATE.sub(r'<span class="whole">\g<0></span>', escape(_introduction(report)))
    shown = "".join(_figure(name, svg, descriptions[name], report) for name, svg in figures.items())
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n"
        f'<link rel="icon" href="data:,">\n<title>{escape(_title(report))}</title>\n'
        f"<style>\n{CSS}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(verdict(report))}</h1>\n"
        f'<p class="reason">{escape(_sentence(reason(report)))}</p>\n<p>{introduction}</p>\n'
        f"<section>\n<h2>Overall</h2>\n{_overall(report)}{_coverage(report)}</section>\n"
        f"{_odds(report)}"
        f'<section class="figures">\n{shown}</section>\n'
        f"{''.join(_dimension(report, each) for each in DIMENSIONS[1:] if each in report.scores)}"
        f"{_profits(report)}"
        f"<section>\n<h2>Settings</h2>\n{_settings(report)}</section>\n"
        f"<section>\n<h2>What the numbers are</h2>\n{_notes(report)}</section>\n"
        "</main>\n</body>\n</html>\n"
    )


def _title(report: Report) -> str:
    return f"{report.symbol} backtest {report.settings['backtest_id']}"


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."


def _introduction(report: Report) -> str:
    settings = report.settings
    base_rate = points(report.scores["all"][0]["base_rate"])
    return (
        f"{report.symbol}, backtest {settings['backtest_id']}: "
        f"{settings['questions']:,} questions on {settings['days']:,} days, "
        f"{span(settings['test_from'], settings['test_to'])}; {base_rate} % of them came true. "
        f"Trained on {span(settings['train_from'], settings['train_to'])}."
    )


def _figure(name: str, svg: bytes, description: str, report: Report) -> str:
    drawing = inline_svg(svg, name, description)
    return f"<figure>\n{drawing}<figcaption>{escape(description)}</figcaption>\n</figure>\n"


def _coverage(report: Report) -> str:
    held = coverage(report)
    return f"<p>{escape(held)}.</p>\n" if held else ""


def _odds(report: Report) -> str:
    said = odds(report)
    if not said:
        return ""
    rows = [[*map(cell, odds_cells(row))] for row in report.odds_of(report.best)]
    return (
        "<section>\n<h2>Where people trade</h2>\n"
        f"<p>{escape(said)}.</p>\n{table(ODDS_HEAD, rows)}</section>\n"
    )


def _overall(report: Report) -> str:
    rows = sorted(report.scores["all"], key=lambda row: row["log_loss"])
    body = [_with_lead(_score_cells(row), lead_cells(report.lead(row["model"]))) for row in rows]
    return table(_with_lead(_SCORE_HEAD, _LEAD_HEAD), [[*map(cell, row)] for row in body], best=0)


def _with_lead(cells: Sequence[str], lead: Sequence[str]) -> Sequence[str]:
    return (*cells[:_LEAD_PLACE], *lead, *cells[_LEAD_PLACE:])


def _score_cells(row: Row) -> Sequence[str]:
    return (
        row["model"],
        loss(row["log_loss"]),
        interval(row, "log_loss"),
        loss(row["brier"]),
        interval(row, "brier"),
        points(row["calibration_error"]),
        interval(row, "calibration_error", points),
        loss(row["resolution"]),
        loss(row["sharpness"]),
    )


def _dimension(report: Report, dimension: str) -> str:
    """The log losses beside each other, and everything else behind a click."""
    rows = report.scores[dimension]
    by_place = {(row["part"], row["model"]): row for row in rows}
    parts = sorted({row["part"] for row in rows})
    step = report.settings["step"]
    short, full = [], []
    for part in parts:
        is_band = report.settings["kind"] == "market"
        name = part_name(dimension, part, step, is_band=is_band)
        here = [by_place.get((part, model)) for model in report.models]
        there = [row for row in here if row is not None]
        least = min(row["log_loss"] for row in there)
        short.append(
            [
                cell(name),
                cell(f"{there[0]['questions']:,}"),
                *(
                    cell("")
                    if row is None
                    else cell(loss(row["log_loss"]), row["log_loss"] == least)
                    for row in here
                ),
            ]
        )
        full += [[cell(name), *map(cell, _score_cells(row))] for row in there]
    return (
        f"<section>\n<h2>{escape(DIMENSION_NAMES[dimension])}</h2>\n"
        f"<p>Log loss; the least of each row is bold.</p>\n"
        f"{table(['', 'questions', *report.models], short)}"
        "<details>\n<summary>All scores, with intervals</summary>\n"
        f"{table(['', *_SCORE_HEAD], full, left=2)}</details>\n</section>\n"
    )


def _profits(report: Report) -> str:
    """The profit of buying every edge of recorded quotes."""
    if not report.profits:
        return ""
    rows = [[*map(cell, profit_cells(row))] for row in report.profits]
    return (
        "<section>\n<h2>Profit of buying every edge</h2>\n"
        "<p>Cents per contract, held to the end, after fees.</p>\n"
        f"{table(PROFIT_HEAD, rows, left=2)}</section>\n"
    )


def _settings(report: Report) -> str:
    settings = report.settings
    resamples = ", ".join(
        f"{RESAMPLES[each]:,} {'overall' if each == 'all' else f'by {each}'}"
        for each in report.scores
    )
    known = {
        "symbol": report.symbol,
        "backtest": f"{settings['backtest_id']}",
        "trained on": span(settings["train_from"], settings["train_to"]),
        "tested on": span(settings["test_from"], settings["test_to"]),
        "models": ", ".join(report.models),
        "minutes to the close": ", ".join(f"{each}" for each in settings["minutes"]),
        "kind": settings["kind"],
        "contracts": contracts(settings["kind"], settings["levels"], settings["step"]),
        "settlement": settings["settlement"],
        "closes at minute": f"{settings['close_minute']} of the hour",
        "resamples of the days": resamples,
        "computed": (
            f"{settings['started_at']:%Y-%m-%d %H:%M:%S%z} to "
            f"{settings['completed_at']:%Y-%m-%d %H:%M:%S%z}"
        ),
        "version": f"pyupc {settings['version']}",
    }
    lines = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>\n'
        for name, value in known.items()
    )
    return f'<table class="settings">\n{lines}</table>\n'


def _notes(report: Report) -> str:
    question = (
        f"{QUESTIONS[report.settings['kind']]} Asked for every contract, close and time to the "
        "close of the test. The training has seen nothing of the test."
    )
    notes = (("Question", question), *_NOTES)
    return "".join(
        ["<dl>\n", *(f"<dt>{n}</dt><dd>{escape(t)}</dd>\n" for n, t in notes), "</dl>\n"]
    )

"""Output of `pyupc backtest`: tables, verdicts, rows and the JSON document."""

from __future__ import annotations

from collections.abc import Sequence

import click

from pyupc.analysis.backtest.scores import Report, Row
from pyupc.analysis.backtest.words import (
    ODDS_HEAD,
    PROFIT_HEAD,
    coverage,
    headline,
    interval,
    lead_cells,
    loss,
    odds,
    odds_cells,
    part_name,
    points,
    profit_cells,
    span,
)
from pyupc.cli.common.columns import print_columns

_HEAD = (
    *("model", "log loss", "95 %", "to the best other", "95 %"),
    *("Brier", "calibration error", "95 %", "resolution", "sharpness"),
)


def print_reports(reports: Sequence[Report], dimension: str) -> None:
    """Print the tables, then the verdicts: the end of the output is read first."""
    for report in reports:
        _print_report(report, dimension)
        click.echo()
    for report in reports:
        click.echo(f"{report.symbol}: {headline(report)}")


def _print_report(report: Report, dimension: str) -> None:
    settings = report.settings
    click.echo(
        f"{report.symbol}, {settings['kind']}, backtest {settings['backtest_id']}:"
        f" {settings['questions']:,} questions"
        f" on {settings['days']:,} days, {span(settings['test_from'], settings['test_to'])};"
        f" trained on {span(settings['train_from'], settings['train_to'])}"
    )
    click.echo()
    rows = [
        (
            row["model"],
            loss(row["log_loss"]),
            interval(row, "log_loss"),
            *lead_cells(report.lead(row["model"])),
            loss(row["brier"]),
            points(row["calibration_error"]),
            interval(row, "calibration_error", points),
            loss(row["resolution"]),
            loss(row["sharpness"]),
        )
        for row in sorted(report.scores["all"], key=lambda row: row["log_loss"])
    ]
    print_columns(_HEAD, rows, left=1)
    if dimension in report.scores and dimension != "all":
        click.echo()
        _print_parts(report, dimension)
    if report.profits:
        click.echo()
        _print_profits(report)
    if said := odds(report):
        click.echo(f"\n{said}:")
        cells = [odds_cells(row) for row in report.odds_of(report.best)]
        print_columns(ODDS_HEAD, cells, left=1)
    if held := coverage(report):
        click.echo(f"\n{held}")


def _print_profits(report: Report) -> None:
    """Print what buying every edge would have brought, cents per contract after fees."""
    print_columns(PROFIT_HEAD, [profit_cells(row) for row in report.profits], left=2)


def _print_parts(report: Report, dimension: str) -> None:
    """Print log losses: one row per model, or per part where that would be too wide."""
    losses = {
        (row["model"], row["part"]): loss(row["log_loss"]) for row in report.scores[dimension]
    }
    parts = sorted({part for _, part in losses})
    step, is_band = report.settings["step"], report.settings["kind"] == "market"
    names = [part_name(dimension, part, step, is_band=is_band) for part in parts]
    if dimension in ("minutes", "regime"):
        rows = [
            (model, *(losses.get((model, part), "") for part in parts)) for model in report.models
        ]
        print_columns(("log loss", *names), rows, left=1)
    else:
        rows = [
            (name, *(losses.get((model, part), "") for model in report.models))
            for name, part in zip(names, parts, strict=True)
        ]
        print_columns(("log loss", *report.models), rows, left=1)


def score_rows(reports: Sequence[Report], dimension: str) -> list[Row]:
    """Scores of a dimension, each with its symbol and backtest."""
    return [
        {"symbol": report.symbol, "backtest_id": report.settings["backtest_id"], **row}
        for report in reports
        for row in report.scores[dimension]
    ]


def document(reports: Sequence[Report]) -> Row:
    """JSON document: settings, verdicts and all scores of each backtest."""
    return {
        "backtests": [
            {
                **report.settings,
                "headline": headline(report),
                "scores": report.scores,
                "reliability": report.reliability,
                "odds": report.odds,
                "verdict": report.verdict,
                "coverage": report.coverage,
                **({"profits": report.profits} if report.settings["kind"] == "market" else {}),
            }
            for report in reports
        ]
    }


def print_comparison(rows: Sequence[Row]) -> None:
    """Print the scores of two backtests side by side: overall, then by minutes to the close."""
    if not rows:
        click.echo("the backtests have no model in common")
        return
    one, other = rows[0]["backtest_id"], rows[0]["other_id"]
    click.echo(
        f"{rows[0]['symbol']}: backtest {one} less backtest {other}, on the same"
        f" {rows[0]['questions']:,} questions; below zero {one} is better\n"
    )
    head = (
        *("model", "minutes", f"log loss {one}", f"log loss {other}", "difference", "95 %"),
        *("Brier difference", "95 %"),
    )
    cells = [
        (
            row["model"],
            "all" if row["minutes"] is None else f"{row['minutes']}",
            loss(row["log_loss"]),
            loss(row["other_log_loss"]),
            f"{row['difference']:+.5f}",
            interval(row, "difference"),
            f"{row['brier_difference']:+.5f}",
            interval(row, "brier_difference"),
        )
        for row in rows
    ]
    print_columns(head, cells, left=1)


def print_list(found: Sequence[Row]) -> None:
    if not found:
        click.echo("there are no backtests")
        return
    rows = [
        (
            f"{row['backtest_id']}",
            row["symbol"],
            row["kind"],
            span(row["train_from"], row["train_to"]),
            span(row["test_from"], row["test_to"]),
            "" if row["questions"] is None else f"{row['questions']:,}",
            f"{len(row['models'])}",
            row["best_model"] or "not complete",
            loss(row["best_log_loss"]),
            row["version"],
        )
        for row in found
    ]
    head = (
        "id",
        "symbol",
        "kind",
        "trained on",
        "tested on",
        "questions",
        "models",
        "best",
        "log loss",
    )
    print_columns((*head, "version"), rows, left=5)

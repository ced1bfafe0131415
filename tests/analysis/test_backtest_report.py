"""The report of a backtest: the words of its verdict, and the page that needs nothing else."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import pytest

from pyupc.analysis.backtest.scores import DIMENSIONS, Report, read
from pyupc.analysis.backtest.words import headline, lead_cells, part_name, small, span
from pyupc.database.connect import connect
from tests.support.backtesting import Questions, questions, store
from tests.support.databases import Databases

MODELS = ("baseline:nearest", "gaussian", "volatility:linear")
VOID = {"meta", "link", "br", "path", "use", "rect"}


def row(model: str, log_loss: float) -> dict[str, Any]:
    low, high = log_loss - 0.01, log_loss + 0.01
    return {"model": model, "log_loss": log_loss, "log_loss_low": low, "log_loss_high": high}


def against(opponent: str, difference: float, spread: float) -> dict[str, Any]:
    return {
        "model": "volatility:linear",
        "opponent": opponent,
        "minutes": None,
        "log_loss": 0.4,
        "difference": difference,
        "difference_low": difference - spread,
        "difference_high": difference + spread,
    }


def report(*verdict: dict[str, Any], days: int = 10) -> Report:
    settings = {"models": ["volatility:linear"], "symbol": "BTC", "days": days}
    return Report(settings, {"all": [row("volatility:linear", 0.4)]}, [], [], verdict, [])


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (
            [],
            "volatility:linear had no opponent: its log loss is 0.40000 (0.39000 to 0.41000)",
        ),
        (
            [against("gaussian", -0.02, 0.005)],
            "volatility:linear beats its opponent: its log loss of 0.40000 is 0.02000 (0.01500 to "
            "0.02500) below the one of gaussian",
        ),
        (
            [against("momentum:linear", -0.01, 0.005), against("gaussian", -0.02, 0.005)],
            "volatility:linear beats all 2 opponents: its log loss of 0.40000 is 0.01000 (0.00500 "
            "to 0.01500) below the one of momentum:linear, the next best, and 0.02000 (0.01500 to "
            "0.02500) below the one of gaussian",
        ),
        (
            [against("momentum:linear", -0.001, 0.005), against("baseline:linear", -0.02, 0.005)],
            "volatility:linear comes first, but beats 1 of 2 opponents beyond chance: its log loss "
            "of 0.40000 is 0.00100 (-0.00400 to 0.00600) below the one of momentum:linear, the "
            "next best",
        ),
        (
            [against("gaussian", 0.0, 0.005)],
            "volatility:linear comes first, but beats none of them beyond chance: its log loss of "
            "0.40000 is 0.00000 (-0.00500 to 0.00500) below the one of gaussian",
        ),
    ],
    ids=["alone", "one", "all", "some", "none"],
)
def test_headline(verdict: list[dict[str, Any]], expected: str) -> None:
    assert headline(report(*verdict)) == expected


@pytest.mark.parametrize(("days", "words"), [(1, "1 day is"), (9, "9 days are")])
def test_few_days_are_no_verdict(days: int, words: str) -> None:
    found = headline(report(against("gaussian", -0.02, 0.0), days=days))
    assert found.startswith(f"volatility:linear comes first, but {words} too few: its log loss ")


def test_a_lead_is_seen_from_both_sides() -> None:
    found = report(against("gaussian", -0.02, 0.005), against("momentum:linear", -0.03, 0.001))
    assert lead_cells(found.lead("volatility:linear")) == ("-0.02000", "-0.02500 to -0.01500")
    assert lead_cells(found.lead("momentum:linear")) == ("+0.03000", "0.02900 to 0.03100")
    assert lead_cells(report().lead("volatility:linear")) == ("", "")


def test_names_and_numbers() -> None:
    assert part_name("minutes", 5, 250) == "5 min"
    assert [part_name("distance", n, 250) for n in (0, 4)] == ["nearest", "1,000 away"]
    assert part_name("distance", 1, 0.5) == "0.5 away"
    assert part_name("hour", 7, 250) == "07:00"
    assert part_name("regime", 4, 250) == "4 wild"
    assert small(-1e-9) == "0.00000"
    first, last = datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)
    assert span(first, last) == "2024-01-01 to 2024-12-31"
    assert span(first, last.replace(hour=13)) == "2024-01-01 00:00 to 2025-01-01 13:00"


class Page(HTMLParser):
    """A browser's view of it: texts by tag, attributes, and whether every tag is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.open[-1], data.strip()))

    def all(self, name: str) -> list[str]:
        return [value for _, each, value in self.attributes if each == name]


def rendered(dsn: str, asked: Questions, **more: Any) -> tuple[Report, str]:
    pytest.importorskip("matplotlib")
    from pyupc.analysis.backtest.figures import descriptions, figures
    from pyupc.analysis.backtest.page import page
    from pyupc.analysis.plots.files import render

    with connect(dsn) as conn:
        found = read(conn, "BTC", store(conn, asked, **more))
    images = {name: render(figure, "svg") for name, figure in figures(found).items()}
    return found, page(found, images, descriptions(found))


@pytest.fixture(scope="module")
def made(databases: Databases) -> tuple[Report, str]:
    with databases.clone("empty") as dsn:
        return rendered(dsn, questions(1, 12, models=MODELS, hours=6))


def test_the_page_needs_nothing_else(made: tuple[Report, str]) -> None:
    _, text = made
    page = Page(text)
    assert {tag for tag, _, _ in page.attributes}.isdisjoint({"script", "img", "iframe", "object"})
    for name in ("src", "href", "xlink:href", "action"):
        assert all(value.startswith(("#", "data:,")) for value in page.all(name))
    assert "@import" not in text
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", text))
    [policy] = [v for _, name, v in page.attributes if name == "content" and "default" in v]
    assert policy.startswith("default-src 'none'")


def test_the_verdict_is_the_first_line(made: tuple[Report, str]) -> None:
    found, text = made
    page = Page(text[text.index("<body>") :].replace("</html>", ""))
    words = headline(found).partition(": ")
    assert page.texts[0] == ("h1", words[0])
    assert page.texts[1][1].lower() == f"{words[2]}.".lower()


def test_everything_is_on_the_page(made: tuple[Report, str]) -> None:
    found, text = made
    page = Page(text)
    texts = [words for _, words in page.texts]
    assert "pyupc 0.0.1" in texts
    assert "2022-01-01 to 2023-12-31" in texts
    assert "3 below and above the one nearest to the price, every 250 USD" in texts
    assert "2, 15, 60" in texts
    assert ", ".join(MODELS) in texts
    cells = [words for tag, words in page.texts if tag in ("td", "th")]
    for dimension in DIMENSIONS:
        for score in found.scores[dimension]:
            assert f"{score['log_loss']:.5f}" in cells
            assert f"{score['log_loss_low']:.5f} to {score['log_loss_high']:.5f}" in cells
    for name in ("2 min", "60 min", "nearest", "250 away", "750 away", "05:00", "1 calm", "4 wild"):
        assert name in cells


def test_tenths_of_the_log_odds_are_on_the_page(made: tuple[Report, str]) -> None:
    found, text = made
    section = text[text.index("Where people trade") :]
    section = section[: section.index("</table>")]
    best = min(found.scores["all"], key=lambda row: row["log_loss"])["model"]
    tenths = [row for row in found.odds if row["model"] == best]
    assert len(tenths) == 10
    inside = [row["observed_low"] <= row["probability"] <= row["observed_high"] for row in tenths]
    assert f"in {sum(inside)} of 10." in section
    for line, row, is_inside in zip(
        re.findall("<tr>.*</tr>", section)[1:], tenths, inside, strict=True
    ):
        assert re.findall(">([^<]+)</t[dh]>", line) == [
            f"{row['prob_from']:.2f} to {row['prob_to']:.2f}",
            f"{row['questions']:,}",
            f"{row['probability']:.2f}",
            f"{row['observed']:.2f}",
            f"{row['observed_low']:.2f} to {row['observed_high']:.2f}",
            "yes" if is_inside else "no",
        ]


def test_the_best_of_each_row_stands_out(made: tuple[Report, str]) -> None:
    found, text = made
    section = text[text.index("By time to the close") : text.index("By distance")]
    table = section[: section.index("</table>")]
    for line, part in zip(re.findall("<tr>.*</tr>", table)[1:], (2, 15, 60), strict=True):
        scores = [row for row in found.scores["minutes"] if row["part"] == part]
        best = min(row["log_loss"] for row in scores)
        assert re.findall('<td class="best">([^<]*)', line) == [f"{best:.5f}"]


def test_figures_have_text_alternatives(made: tuple[Report, str]) -> None:
    found, text = made
    page = Page(text)
    labels = [value for tag, name, value in page.attributes if (tag, name) == ("svg", "aria-label")]
    assert len(labels) == 2
    assert page.all("role") == ["img", "img"]
    for model in MODELS:
        for words in labels:
            assert model in words
        assert f"{model} {found.overall(model)['log_loss']:.5f}" in labels[1]


def test_figures_share_nothing_and_follow_light_and_dark(made: tuple[Report, str]) -> None:
    from pyupc.analysis.plots.style import INK, PAPER, SERIES

    _, text = made
    page = Page(text)
    names = page.all("id")
    assert len(names) == len(set(names)) > 20
    used = {value[1:] for value in page.all("xlink:href")}
    used |= set(re.findall(r"url\(#([^)]*)\)", text))
    assert used <= set(names)
    svgs = re.findall("<svg.*?</svg>", text, re.DOTALL)
    assert not any(colour in svg for colour in (INK, PAPER, *SERIES) for svg in svgs)
    assert all(f"var(--series-{number})" in svgs[0] for number in range(len(MODELS)))
    style = text[text.index("<style>") : text.index("</style>")]
    light, dark = style.split("@media (prefers-color-scheme: dark)")[:2]
    defined = [set(re.findall(r"(--[\w-]+):", part)) for part in (light, dark.partition("}")[0])]
    assert defined[0] == defined[1] >= set(re.findall(r"var\((--[\w-]+)\)", text))


def test_the_same_backtest_is_the_same_page(fresh_db: str) -> None:
    from pyupc.analysis.backtest.figures import descriptions, figures
    from pyupc.analysis.backtest.page import page
    from pyupc.analysis.plots.files import render

    found, text = rendered(fresh_db, questions(2, 5, models=MODELS, hours=2))
    with connect(fresh_db) as conn:
        again = read(conn, "BTC", found.settings["backtest_id"])
    images = {name: render(figure, "svg") for name, figure in figures(again).items()}
    assert page(again, images, descriptions(again)) == text


def test_odd_names_and_a_single_model(fresh_db: str) -> None:
    asked = replace(questions(3, 2, models=["gaussian"], hours=1), models=('<b>&"x"</b>',))
    _, text = rendered(fresh_db, asked)
    assert "<b>" not in text
    assert "&lt;b&gt;&amp;&quot;x&quot;&lt;/b&gt; had no opponent" in text
    Page(text)

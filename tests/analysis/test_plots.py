"""Figures: the same bytes for the same numbers, and files that are whole or as they were."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import warnings
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from pyupc.errors import PyupcError

pytest.importorskip("matplotlib")

from pyupc.analysis.plots.bars import Bar, Panel, bars_figure
from pyupc.analysis.plots.files import prepare_folder, render, replace_file, save
from pyupc.analysis.plots.reliability import Point, Series, reliability_figure
from pyupc.analysis.plots.style import SERIES

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"


def series(number: int) -> Series:
    points = [
        Point(
            2.5 + 5 * b, 4 + 4.7 * b + number, 3 + 4.6 * b, 5 + 4.8 * b + number, 10 ** (b % 5 + 1)
        )
        for b in range(20)
    ]
    return Series(f"model_{number}", points)


def reliability() -> Any:
    return reliability_figure([series(0), series(1)], title="BTC: 5 % & more")


def bars() -> Any:
    panel = Panel(
        "log loss", "less", [Bar("a", 0.1, 0.09, 0.12, 0), Bar("b", -0.1, None, None, 1)], 4
    )
    return bars_figure([panel, panel])


FIGURES = {"reliability": reliability, "bars": bars}


def digests() -> list[str]:
    return [
        hashlib.sha256(render(make(), format)).hexdigest()
        for make in FIGURES.values()
        for format in ("png", "svg")
    ]


@pytest.mark.slow
def test_the_same_numbers_are_the_same_bytes(tmp_path: Path) -> None:
    """In another process too, with another order of hashes, and another taste in figures."""
    (tmp_path / "matplotlibrc").write_text(
        "font.size: 30\nsavefig.dpi: 20\nsvg.hashsalt: other\naxes.facecolor: red\n"
    )
    code = "from tests.analysis.test_plots import digests; print(*digests())"
    for seed in ("0", "1"):
        environment = {
            **os.environ,
            "PYTHONHASHSEED": seed,
            "MATPLOTLIBRC": str(tmp_path / "matplotlibrc"),
        }
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split() == digests()


def test_settings_of_the_program_around_are_left_alone() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    render(reliability(), "svg")
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("name", FIGURES)
def test_files_are_what_their_names_say(tmp_path: Path, name: str) -> None:
    figure = FIGURES[name]()
    save(figure, tmp_path / "figure.png")
    save(figure, tmp_path / "figure.SVG")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG\r\n")
    root = ET.fromstring((tmp_path / "figure.SVG").read_bytes())
    assert root.tag == f"{SVG}svg"
    with pytest.raises(PyupcError):
        save(figure, tmp_path / "figure.pdf")
    assert len(list(tmp_path.iterdir())) == 2


def test_every_series_is_drawn_where_it_is() -> None:
    figure = reliability()
    diagram, difference, counts = figure.axes
    for number in range(2):
        given = series(number)
        line = next(each for each in diagram.lines if each.get_label() == given.label)
        assert list(line.get_xdata()) == [point.probability for point in given.points]
        assert list(line.get_ydata()) == [point.observed for point in given.points]
        assert line.get_color() == SERIES[number]
        assert list(counts.lines[number].get_ydata()) == [point.count for point in given.points]
        # The visible part of the error bars: from low to high, less the probability.
        bars = difference.collections[number].get_segments()
        for point, bar in zip(given.points, bars, strict=True):
            assert point.low is not None
            assert point.high is not None
            ends = (point.low - point.probability, point.high - point.probability)
            assert bar[:, 1] == pytest.approx(ends)
    assert [text.get_text() for text in diagram.get_legend().get_texts()] == ["model_0", "model_1"]


@pytest.mark.parametrize(
    "given",
    [
        [],
        [Series("nothing", [])],
        [Series("$x_{1}$ <&>", [Point(50, 50, None, None, 1)])],
        [Series(f"{n}", [Point(50, 50, 40, 60, 1)]) for n in range(12)],
    ],
    ids=["none", "empty", "odd", "many"],
)
def test_odd_series_are_drawn_without_a_warning(given: list[Series]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for format in ("png", "svg"):
            assert render(reliability_figure(given, title="x"), format)


def test_a_file_is_whole_or_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.html"
    replace_file(path, b"old")

    def fail(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(PyupcError, match="No space left"):
            replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    replace_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_made_and_proved(tmp_path: Path) -> None:
    prepare_folder(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(PyupcError):
        prepare_folder(tmp_path / "file")

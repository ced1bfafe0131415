"""The files of a report: each is written as a whole, or stays as it was."""

from __future__ import annotations

from pathlib import Path

from pyupc.analysis.backtest.figures import descriptions, figures
from pyupc.analysis.backtest.page import page
from pyupc.analysis.backtest.scores import Report
from pyupc.analysis.plots.files import prepare_folder, render, replace_file

PAGE = "report.html"


def write(report: Report, folder: Path) -> None:
    """Write report.html and the figures as PNG and SVG. Needs the extra `plots`."""
    drawn = figures(report)
    images = {name: render(figure, "svg") for name, figure in drawn.items()}
    files = {f"{name}.svg": image for name, image in images.items()}
    files |= {f"{name}.png": render(figure, "png") for name, figure in drawn.items()}
    # Last: when the page is there, so is the rest.
    files[PAGE] = page(report, images, descriptions(report)).encode()
    prepare_folder(folder)
    for name, content in files.items():
        replace_file(folder / name, content)

"""The manual as a site: built strictly, complete, and without anything from elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: the settings want the site inside of their own folder."""
    copy = tmp_path_factory.mktemp("manual")
    for name in ("docs", "sql"):
        subprocess.run(["cp", "-r", ROOT / name, copy / name], check=True)
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean", "--config-file"]
    done = subprocess.run(
        [*command, "docs/zensical.toml"], cwd=copy, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return copy / "docs" / "site"


def test_every_page_is_there(site: Path) -> None:
    pages = {page.stem for page in (ROOT / "docs").glob("*.md")}
    assert {page.stem for page in site.glob("*.html")} == {*pages, "404"}


def test_every_page_is_in_the_menu() -> None:
    settings = (ROOT / "docs" / "zensical.toml").read_text("utf-8")
    listed = set(re.findall(r'= "(\w+\.md)" }', settings))
    assert listed == {page.name for page in (ROOT / "docs").glob("*.md")}


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    pattern = re.compile(r'<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)="(?:https?:)?//[^"]*')
    fetched = [
        f"{page.name}: {found[0]}"
        for page in site.glob("*.html")
        for found in pattern.finditer(page.read_text("utf-8"))
    ]
    assert fetched == []
    styles = "".join(style.read_text("utf-8") for style in site.rglob("*.css"))
    assert re.findall(r"(?:@import|url\()\s*[\"']?(?:https?:)?//[^)]*", styles) == []

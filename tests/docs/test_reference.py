"""Parts of the manual generated from the code are up to date."""

from __future__ import annotations

import re

import pytest

from pyupc.settings.general import GENERAL
from pyupc.shipped import folder
from tests.docs.pages import ROOT
from tests.docs.pictures import IMAGES, PICTURES
from tests.docs.reference import DOCS, cli_page, settings_page

RENEW = "python -m tests.docs.reference"


def test_the_command_line_is_as_help_says() -> None:
    assert (DOCS / "cli.md").read_text("utf-8") == cli_page(), RENEW


def test_the_settings_are_those_of_the_code() -> None:
    text = (DOCS / "settings.md").read_text("utf-8")
    assert text == settings_page(text), RENEW


def test_every_general_setting_is_described() -> None:
    text = (DOCS / "settings.md").read_text("utf-8")
    described = set(re.findall(r"^\| `(\w+)` \| `(PYUPC_\w+)` \|", text, re.MULTILINE))
    assert described == {(key, general.variable) for key, general in GENERAL.items()}


@pytest.mark.parametrize("name", PICTURES)
def test_drawings_are_those_of_the_script(name: str) -> None:
    text = (IMAGES / name).read_text("utf-8")
    assert text == PICTURES[name](), "python -m tests.docs.pictures"


def test_pictures_are_small() -> None:
    pictures = [*(ROOT / "docs" / "images").iterdir()]
    assert pictures
    assert [file.name for file in pictures if file.stat().st_size > 300_000] == []


def test_messages_are_those_of_the_program() -> None:
    """The fixed parts of every heading stand in the code, over the ends of its lines too."""
    sources = (ROOT / "pyupc").rglob("*")
    files = [*folder("sql").rglob("*.sql"), *(f for f in sources if f.suffix in (".py", ".js"))]
    text = "\n".join(file.read_text("utf-8") for file in files)
    text = re.sub(r'"\s*\n\s*f?"', "", text).replace("''", "'")
    headings = re.findall(r"^### `(.*)`$", (DOCS / "messages.md").read_text("utf-8"), re.MULTILINE)
    assert headings
    missing = [
        heading
        for heading in headings
        for part in heading.split("…")
        if part.strip(" ,:\"'") and part.strip() not in text
    ]
    assert missing == []

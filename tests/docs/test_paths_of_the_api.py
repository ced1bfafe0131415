"""The paths of the API in the manual are those of the server."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from pyupc.web.routes import documents, history, legacy, operations, page, questions, stream
from tests.docs.pages import PAGES, ROOT, blocks, spans

OURS = (documents, questions, history, stream, operations)

# FastAPI's own, and the start of them all.
OTHERS = {"/openapi.json", "/api"}


def paths(*modules: object) -> set[str]:
    return {route.path for module in modules for route in module.router.routes}  # type: ignore[attr-defined]


def described() -> set[str]:
    """Paths in sentences and tables, with `…` for what every symbol has."""
    found = set()
    for name in ("page.md", "csv.md"):
        for span in spans(ROOT / "docs" / name):
            if span.startswith("/") and "/" not in span[-1:]:
                found.add(urlsplit(span).path.replace("…", "{symbol}"))
    return found


def test_every_path_exists() -> None:
    assert described() - paths(*OURS, legacy, page) - OTHERS == set()


def test_every_path_is_described() -> None:
    assert paths(*OURS) - described() == set()


def test_addresses_of_examples_lead_to_a_path() -> None:
    known = [re.sub(r"\{\w+(:path)?\}", "[^/]+", path) for path in paths(*OURS)]
    lines = [line for each in PAGES for block in blocks(each) for line in block.command_lines()]
    asked = [urlsplit(url).path for line in lines for url in re.findall(r"http://[^\s']+", line)]
    assert asked
    assert [path for path in asked if not any(re.fullmatch(one, path) for one in known)] == []

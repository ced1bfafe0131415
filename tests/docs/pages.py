"""The Markdown of the project, cut into the pieces that tests look at."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

# In the order in which somebody reads them; what is generated has tests of its own.
PAGES = (
    ROOT / "README.md",
    *(
        ROOT / "docs" / f"{name}.md"
        for name in (
            *("index", "concepts", "contracts", "live", "page", "models", "market", "trades"),
            *("operations", "settings", "csv", "figures", "messages", "sql"),
        )
    ),
    ROOT / "CONTRIBUTING.md",
)

_FENCE = re.compile(
    r"(?:^<!-- not run: (?P<reason>[^\n]+) -->\n\s*)?^```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_SPAN = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Block:
    """A fenced block; `not_run` is the reason why a test does not run it."""

    page: Path
    line: int
    language: str
    text: str
    not_run: str | None

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"

    def command_lines(self) -> list[str]:
        """The lines that are typed, behind a prompt."""
        return [line for line, _ in self.steps()]

    def steps(self) -> list[tuple[str, list[str]]]:
        """Each of them with the lines that it prints, where the block shows them."""
        steps: list[tuple[str, list[str]]] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                steps.append((line[2:], []))
            elif steps:
                steps[-1][1].append(line)
        return steps


def blocks(page: Path, language: str | None = None) -> list[Block]:
    text = page.read_text("utf-8")
    return [
        Block(
            page,
            text.count("\n", 0, found.start("language")) + 1,
            found["language"],
            found["text"],
            found["reason"],
        )
        for found in _FENCE.finditer(text)
        if language in (None, found["language"])
    ]


def spans(page: Path) -> Iterator[str]:
    """Code within sentences, on one line."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for found in _SPAN.finditer(prose):
        yield " ".join(found[1].split())

"""Every example of README and manual runs, or at least names commands and options that exist.

A block with `<!-- not run: reason -->` above it needs a network, an event, or a person to end it.
"""

from __future__ import annotations

import configparser
import gzip
import json
import random
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import dropwhile, groupby
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from psycopg.conninfo import make_conninfo

from pyupc.cli import main
from pyupc.database.connect import SEARCH_PATH, connect
from pyupc.settings.rules import RULES
from tests.docs.pages import PAGES, ROOT, Block, blocks, spans
from tests.docs.reference import commands

# Commands end with their process, and leave it to that to close what they have open.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)

LANGUAGES = {"console", "sql", "toml", "ini", "yaml", "text", "json", "python"}

# Programs of examples that a test does not start.
OTHERS = {"pip", "curl", "make", "export", "jq", "echo", ".venv/bin/python", ".ci/run"}

OPTIONS = {
    command.words: {
        flag
        for parameter in command.context.command.get_params(command.context)
        if isinstance(parameter, click.Option)
        for flag in (*parameter.opts, *parameter.secondary_opts)
    }
    for command in commands()
}

GROUPS = {
    command.words
    for command in commands()
    if isinstance(command.context.command, click.Group)
    and not command.context.command.invoke_without_command
}

RUN = [block for page in PAGES for block in blocks(page) if block.not_run is None]


def simple_commands(line: str) -> Iterator[list[str]]:
    """The words of a line, divided where the shell divides it; comments are none."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;>")
    lexer.whitespace_split = True
    for is_operator, words in groupby(lexer, key=lambda word: set(word) <= set("|&;>")):
        if not is_operator:
            # Settings in front of the program are none of its words.
            yield [*dropwhile(re.compile(r"[A-Z_]+=").match, words)]


def unknown(words: list[str]) -> list[str]:
    """Words after `pyupc` that name neither a command nor an option."""
    *_, path = ((), *(tuple(words[:n]) for n in (1, 2) if tuple(words[:n]) in OPTIONS))
    known = {*OPTIONS[path], *OPTIONS[()]}
    flags = [word.partition("=")[0] for word in words if re.match(r"--\w|-\w$", word)]
    wrong = [flag for flag in flags if flag not in known]
    # A group that also runs by itself has options, and they have values.
    is_group = path in GROUPS
    rest = [word for word in words[len(path) :] if re.fullmatch(r"[a-z]+", word)]
    return [*wrong, *(rest[:1] if is_group else [])]


def test_blocks_are_of_known_languages() -> None:
    found = [block for page in PAGES for block in blocks(page)]
    assert {str(b): b.language for b in found if b.language not in LANGUAGES} == {}
    fences = sum(page.read_text("utf-8").count("\n```") for page in PAGES)
    assert fences == 2 * len(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_exist(page: Path) -> None:
    lines = [line for block in blocks(page) for line in block.command_lines()]
    lines += re.findall(r"ExecStart=\S*/(pyupc [^`\n]*)", page.read_text("utf-8"))
    lines += re.findall(r"command: \"?(pyupc [^\",}\n]*)", page.read_text("utf-8"))
    lines += [span for span in spans(page) if span.startswith("pyupc ")]
    wrong = []
    for line in lines:
        for words in simple_commands(line.replace("`", "")):
            if words[0] == "pyupc":
                wrong += [(line, word) for word in unknown(words[1:])]
            elif words[0] == "make":
                makefile = (ROOT / "Makefile").read_text("utf-8")
                wrong += [(line, words[1])] if f"\n{words[1]}:" not in makefile else []
    assert wrong == []


def candles() -> str:
    """A lively day, so that there are minutes in every momentum bucket."""
    dice = random.Random(1)
    start = datetime(2024, 5, 1, tzinfo=UTC)
    lines = ["timestamp,open,high,low,close,volume"]
    price = 97_000.0
    for minute in range(1440):
        close = round(price * (1 + dice.gauss(0, 0.0008)), 2)
        opened_at = start + timedelta(minutes=minute)
        spread = f"{price},{max(price, close)},{min(price, close)},{close}"
        lines.append(f"{opened_at:%Y-%m-%dT%H:%M:%SZ},{spread},1")
        price = close
    return "\n".join(lines) + "\n"


FINGERPRINT = (
    ",>= +0.00%,<= -0.00%,>= +0.05%,<= -0.05%\n"
    "1m TTC,51.22,49.08,14.96,14.59\n"
    "15m TTC,48.3,51.7,37.56,40.93\n"
)


def event() -> str:
    """An event under way with one market, as Kalshi answers."""
    closes_at = datetime.now(UTC) + timedelta(hours=1)
    market = {
        "ticker": "KXBTCD-25JUL2615-T118499.99",
        "strike_type": "greater",
        "status": "active",
        "floor_strike": 118499.99,
        "close_time": f"{closes_at:%Y-%m-%dT%H:%M:%SZ}",
        "volume_fp": "100.00",
        "yes_ask_dollars": "0.8500",
        "no_ask_dollars": "0.1600",
    }
    name = {"event_ticker": "KXBTCD-25JUL2615", "series_ticker": "KXBTCD", "title": "Bitcoin price"}
    return json.dumps({"event": {**name, "markets": [market]}})


@dataclass(frozen=True)
class Desk:
    """A database with candles and fingerprints, and a folder with the files of the examples."""

    dsn: str
    folder: Path

    def run(self, line: str) -> str:
        """Output of the line's commands, without the shell around them."""
        printed = ""
        for words in simple_commands(line):
            if words[0] == "pyupc":
                printed += self._pyupc(words[1:], line)
            elif words[0] == "diff":
                subprocess.run(words, cwd=self.folder, check=True)
            else:
                assert words[0] in OTHERS or ">" in line, line
        return printed

    def _pyupc(self, arguments: list[str], line: str) -> str:
        with chdir(self.folder):
            done = CliRunner().invoke(main, arguments, env={"PYUPC_DSN": self.dsn})
        # `||` says what follows a status that is not green.
        allowed = {0, 1} if "||" in line or arguments[0] == "doctor" else {0}
        assert done.exit_code in allowed, f"{line}\n{done.output}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def desk(module_btc_market: str, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    folder = tmp_path_factory.mktemp("desk")
    (folder / "YOUR_CANDLES.csv.gz").write_bytes(gzip.compress(candles().encode()))
    (folder / "event.json").write_text(event())
    (folder / "symbol_fingerprints").mkdir()
    for kind in ("baseline", "momentum_-01", "momentum_000", "momentum_001"):
        file = folder / "symbol_fingerprints" / f"btc_fingerprint_directional_{kind}.csv"
        file.write_text(FINGERPRINT)
    return Desk(module_btc_market, folder)


@pytest.mark.parametrize("block", [b for b in RUN if b.language == "console"], ids=str)
def test_commands_run(desk: Desk, block: Block) -> None:
    assert block.command_lines()
    for line, expected in block.steps():
        printed = desk.run(line).splitlines()
        assert [each for each in expected if each not in printed] == [], line


@pytest.mark.parametrize("block", [b for b in RUN if b.language == "sql"], ids=str)
def test_statements_run(desk: Desk, block: Block) -> None:
    dsn = make_conninfo(desk.dsn, options=f"-c search_path={SEARCH_PATH}")
    with connect(dsn, autocommit=False) as connection:
        connection.execute(block.text.encode())
        connection.rollback()


@pytest.mark.parametrize("block", [b for b in RUN if b.language == "toml"], ids=str)
def test_settings_are_read(desk: Desk, block: Block) -> None:
    assert tomllib.loads(block.text)
    (desk.folder / "config.toml").write_text(block.text)
    with chdir(desk.folder):
        arguments = ["--config", "config.toml", "--dsn", desk.dsn, "config", "show"]
        done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("block", [b for b in RUN if b.language == "ini"], ids=str)
def test_units_are_read(block: Block) -> None:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(block.text)
    assert {"Unit", "Service", "Install"} <= set(unit.sections())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_exist(page: Path) -> None:
    """Files and folders of the repository, in sentences and as arguments of pytest."""
    typed = [line.split() for block in blocks(page) for line in block.command_lines()]
    words = [*spans(page), *(word for line in typed if "pytest" in line for word in line)]
    paths = [w for w in words if re.match(r"(sql|migrations|pyupc|tests|docs)/[\w./-]*$", w)]
    made = ("docs/site",)
    assert [p for p in paths if not (ROOT / p).exists() and not p.startswith(made)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_objects_exist(page: Path) -> None:
    """Functions, views, tables, columns and rules that sentences name with their schema."""
    code = "".join(
        file.read_text("utf-8")
        for folder in ("sql", "migrations")
        for file in (ROOT / folder).rglob("*")
        if file.suffix in (".sql", ".py")
    )
    rules = {f"upc.{name}" for name in RULES}
    names = {
        name
        for span in spans(page)
        for name in re.findall(r"\b(?:upc|upc_data|analytics)\.\w+", span)
    } - rules
    made = {n for n in names if re.search(rf"\b(?:FUNCTION|VIEW|TYPE|TABLE) {n}\b", code)}
    # Fingerprints are made from the catalogue.
    assert {n for n in names - made if not n.startswith("analytics.")} == set()


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent == ROOT], ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    """Links of README.md and CONTRIBUTING.md; building the site checks those of docs/."""
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text("utf-8"))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []

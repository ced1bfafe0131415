"""Reference of the SQL side, `sql/README.md`, made from the text of `sql/`.

    python -m tests.docs.sql_reference

A function's entry is its signature, the comment above it and its example; `upc._name` is internal
and listed by file alone. Errors are those of the comment's `Errors:`, or the SQLSTATEs that the
function and the functions that it calls raise.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).parents[2] / "sql"
TARGET = ROOT / "README.md"

FOLDERS = {
    "00_core": "Rules, symbols, refusals, states of freshness, formats, granting.",
    "10_prices": "Candles, the price log, gaps.",
    "20_momentum": "Momentum, and the correlations that follow from its weights.",
    "25_histograms": "Windows, bins, counting, curves: shared by volatility and fingerprints.",
    "30_volatility": "Ranges, the fit, the forecast, and curves of standardised moves.",
    "35_recalibration": "The correction of the volatility model, and the curves that it makes.",
    "40_fingerprints": "Curves, named views, sets in use, import and export.",
    "45_symbols": "Registering, listing and retiring symbols.",
    "50_strikes": "The question, lookup, readings, intervals, `compute_strikes`, bounds.",
    "60_market": "Events, quotes, fees and edges, the strike table, the contract table.",
    "70_trades": "Trades, stops and settlement, announcements.",
    "75_bets": "What is worth buying, ranked, and how much of it.",
    "80_tick": "Feeds, documents, the lease, the tick, status, retention.",
    "90_analysis": "Calibration, backtest, and the documents that readers get.",
    "91_corrections": "What the volatility model would have said, and its weekly correction.",
    "92_build": "The whole build of a symbol in one call.",
    "93_paper": "Suggestions bought on paper, and what came of them.",
    "": "Roles and rights, last of all.",
}

START = (
    "compute_strikes",
    "probability",
    "probability_between",
    "strike_table",
    "contract_table",
    "best_bets",
    "momentum",
    "volatility",
    "build_fingerprints",
    "refresh_fingerprints",
    "use_fingerprints",
    "tick",
    "status",
    "availability",
    "trade_list",
    "order_fees",
    "calibration",
    "edge_outcomes",
    "backtest_scores",
    "rules",
    "set_rule",
    "missing_candles",
)

LAST = "99_rights.sql"

SQLSTATES = {
    "UP001": "price or observed average: not finite, or not above zero",
    "UP002": "symbol: missing, not registered, or no name of one",
    "UP003": "step: not finite, or not above zero",
    "UP004": "levels: outside 0 to 500",
    "UP005": "method: unknown",
    "UP006": "no fingerprint can answer",
    "UP007": "momentum: not finite",
    "UP008": "time to close: negative",
    "UP009": "another process ticks the symbol",
    "UP010": "feed: unknown",
    "UP011": "no price to tick on",
    "UP012": "origin of a fingerprint set: unknown",
    "UP013": "no fingerprints of that origin",
    "UP014": "market data: not valid Kalshi JSON",
    "UP015": "invalid trade",
    "UP016": "no such market",
    "UP017": "no such trade",
    "UP018": "model: unknown",
    "UP019": "settlement: unknown",
    "UP020": "no forecast of the volatility, or an impossible one",
    "UP021": "the seconds of the last minute were not seen",
    "UP022": "invalid backtest settings",
    "UP023": "the symbol has never been ticked",
    "UP024": "no such fingerprint",
    "UP026": "fee asked for an impossible price or count",
    "UP029": "no such rule, or an invalid value",
    "UP030": "the symbol, or a series of it, is taken",
    "UP031": "bounds: both missing, not positive numbers, or crossing",
    "UP032": "history: no such span, step or number",
    "UP033": "a simulated market and a real one do not go together",
}

_CREATE = re.compile(
    # Some are written by a DO block, indented or in quotes.
    r"^((?:--.*\n)*) *'?CREATE (FUNCTION|VIEW|MATERIALIZED VIEW) (upc|analytics)\.(\w+)",
    re.MULTILINE,
)
_BODY = re.compile(r"\s+(?:LANGUAGE|AS \$|SET |SECURITY )")
_COMMENT = re.compile(
    r"^COMMENT ON (?:FUNCTION|VIEW|MATERIALIZED VIEW) (?:upc|analytics)\.(\w+) IS\s+"
    r"'((?:[^']|'')*)'",
    re.MULTILINE,
)
_ROW = re.compile(r"^ {2}(\w+(?:, \w+)*) {2,}(\S.*)$")
_RAISED = re.compile(r"ERRCODE = '(UP\d{3})'")
_CALLED = re.compile(r"\bupc\.(\w+)")


@dataclass(frozen=True)
class Entry:
    """A function or view as written in its file."""

    file: str
    kind: str
    name: str
    header: str
    text: str
    """Text from CREATE to the next object."""
    comment: str

    @property
    def folder(self) -> str:
        return self.file.rpartition("/")[0]

    @property
    def is_internal(self) -> bool:
        return self.name.startswith("_")

    @property
    def signature(self) -> str:
        """Name, arguments and result, without the schema."""
        end = _BODY.search(self.text)
        declared = re.sub(r"\n *--[^\n]*", "", self.text[: end.start() if end else None]).strip()
        return re.sub(r"^'?CREATE FUNCTION (?:upc|analytics)\.", "", declared)

    @cached_property
    def paragraphs(self) -> dict[str, str]:
        """The comment in parts: `about`, `Errors` and `Example`."""
        found: dict[str, str] = {"about": "", "Errors": "", "Example": ""}
        part = "about"
        for line in self.header.splitlines():
            text = line.removeprefix("--")
            for key in ("Errors", "Example"):
                if text.strip().startswith(f"{key}:"):
                    part, text = key, text.replace(f"{key}:", "", 1)
            if part == "Errors" and not text.strip():
                part = "about"
            found[part] += text.rstrip() + "\n"
        return {key: _trimmed(text) for key, text in found.items()}


def _trimmed(text: str) -> str:
    lines = [line.removeprefix(" ") for line in text.strip("\n").splitlines()]
    return "\n".join(lines).strip()


def entries() -> Iterator[Entry]:
    files = sorted(ROOT.rglob("*.sql"), key=lambda path: path.relative_to(ROOT).as_posix())
    for path in files:
        text = path.read_text("utf-8")
        comments = {name: quoted.replace("''", "'") for name, quoted in _COMMENT.findall(text)}
        found = list(_CREATE.finditer(text))
        ends = [match.start() for match in found[1:]] + [len(text)]
        for match, end in zip(found, ends, strict=True):
            yield Entry(
                file=path.relative_to(ROOT).as_posix(),
                kind=match[2],
                name=match[4],
                header=match[1] if match.start() > 0 else "",
                text=text[match.start() + len(match[1]) : end],
                comment=comments.get(match[4], ""),
            )


def raised(found: list[Entry]) -> dict[str, set[str]]:
    """SQLSTATEs that each function may raise, those of the functions that it calls included."""
    own = {entry.name: set(_RAISED.findall(entry.text)) for entry in found}
    calls = {entry.name: set(_CALLED.findall(entry.text)) & own.keys() for entry in found}
    is_growing = True
    while is_growing:
        is_growing = False
        for name, called in calls.items():
            more = set().union(own[name], *(own[other] for other in called))
            is_growing |= more != own[name]
            own[name] = more
    return own


def _markdown(text: str) -> str:
    """A comment as Markdown: its indented tables of names and meanings become lists."""
    lines: list[str] = []
    for line in text.splitlines():
        if row := _ROW.match(line):
            names = ", ".join(f"`{name}`" for name in row[1].split(", "))
            if lines and lines[-1] and not lines[-1].startswith(("- ", "  ")):
                lines.append("")
            lines.append(f"- {names}: {row[2]}")
        elif line.startswith("   "):
            lines.append("  " + line.strip())
        else:
            lines.append(line)
    return "\n".join(lines)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."


def _function(entry: Entry, states: set[str]) -> Iterator[str]:
    yield f"#### `{entry.name}`\n"
    yield f"```sql\n{entry.signature}\n```\n"
    yield (_markdown(entry.paragraphs["about"]) or _sentence(entry.comment)) + "\n"
    errors = entry.paragraphs["Errors"] or ", ".join(sorted(states)) or "none."
    yield f"Errors: {errors}\n"
    if example := entry.paragraphs["Example"]:
        query = "\n".join(line.removeprefix("  ") for line in example.splitlines())
        yield f"```sql\n{query}\n```\n"


def _folder(name: str, found: list[Entry], states: dict[str, set[str]]) -> Iterator[str]:
    yield f"## {name or LAST}\n"
    yield f"{FOLDERS[name]}\n"
    public = [entry for entry in found if not entry.is_internal]
    for entry in public:
        if entry.kind == "FUNCTION":
            yield from _function(entry, states[entry.name])
    views = [entry for entry in public if entry.kind != "FUNCTION"]
    if views:
        yield "Views:\n"
        yield "\n".join(f"- `{view.name}`: {view.comment}" for view in views) + "\n"
    internal = [entry for entry in found if entry.is_internal]
    if internal:
        yield "Internal:\n"
        files = groupby(internal, key=lambda entry: entry.file)
        for file, inside in files:
            names = ", ".join(f"`{entry.name}`" for entry in inside)
            yield f"- {file.rpartition('/')[2]}: {names}"
        yield ""


def _links(names: Iterable[str]) -> str:
    return ", ".join(f"[`{name}`](#{name})" for name in names)


def reference() -> str:
    found = list(entries())
    states = raised(found)
    folders = {name: list(group) for name, group in groupby(found, key=lambda entry: entry.folder)}
    lines = [
        "# SQL reference\n",
        "Written by `make reference` from the comments of the files.\n",
        "Schemas: `upc` has the functions and views, `analytics` the named fingerprints and views "
        "for analysis, `upc_data` the tables. A name that begins with an underscore is internal "
        "and may change with any release.\n",
        f"Start with {_links(START)}. Most others are steps of pyupc's own commands.\n",
        "The folders load in the order of their numbers; no file uses an object of a later one.\n",
        "| folder | holds |",
        "| --- | --- |",
        *(
            f"| [{name or LAST}](#{(name or LAST).replace('.', '')}) | {FOLDERS[name]} |"
            for name in folders
        ),
        "",
        "Every refusal has an SQLSTATE, a DETAIL and a HINT:\n",
        "| SQLSTATE | refused |",
        "| --- | --- |",
        *(f"| {state} | {meaning} |" for state, meaning in SQLSTATES.items()),
        "",
    ]
    for name, group in folders.items():
        lines.extend(_folder(name, group, states))
    return "\n".join(lines).rstrip("\n") + "\n"


if __name__ == "__main__":
    TARGET.write_text(reference(), "utf-8")

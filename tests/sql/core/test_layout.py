"""Layout of sql/: the order in which it loads, who calls what, and the size of functions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from pyupc.database.schema import sql_files
from pyupc.shipped import folder

# Dynamic SQL stands in dollar quotes, or in quotes and begins like a statement; other texts are
# for people.
PIECE = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'", re.DOTALL)
STATEMENT = re.compile(r"'\s*(?:CREATE|SELECT|WITH|INSERT|UPDATE|DELETE|DROP|ALTER)\s")
DEFINED = re.compile(
    r"\bCREATE (?:OR REPLACE )?(?:FUNCTION|VIEW|MATERIALIZED VIEW|TYPE)\s+"
    r"((?:upc|analytics)\.\w+)"
)
USED = re.compile(r"\b(?:upc|analytics)\.\w+")
INTERNAL = re.compile(r"\bupc\._\w+")
FUNCTION = re.compile(
    r"^CREATE FUNCTION (upc\.\w+).*?(?:^\$fn\$;|^RETURN\b[^;]*;|^END;)", re.MULTILINE | re.DOTALL
)

# Rights are granted on all that there is.
LAST = "99_rights.sql"

LONG = {"upc._strike_documents", "upc.compute_strikes"}


@dataclass(frozen=True)
class Source:
    """A file of sql/: its place in the order of loading, its name and its text without prose."""

    place: int
    name: str
    text: str


def without_prose(text: str) -> str:
    """SQL without comments and without texts for people; the lines stay."""

    def blank(match: re.Match[str]) -> str:
        return match[0] if STATEMENT.match(match[0]) else "\n" * match[0].count("\n")

    return PIECE.sub(blank, text)


def sources() -> list[Source]:
    root = folder("sql")
    return [
        Source(place, file.relative_to(root).as_posix(), without_prose(file.read_text("utf-8")))
        for place, file in enumerate(sql_files())
    ]


def later_objects(files: list[Source]) -> list[str]:
    """Uses of an object before the file that defines it."""
    defined = {match[1]: file for file in files for match in DEFINED.finditer(file.text)}
    return [
        f"{file.name}:{file.text[: use.start()].count(chr(10)) + 1} {use[0]} of {home.name}"
        for file in files
        if file.name != LAST
        for use in USED.finditer(file.text)
        if (home := defined.get(use[0])) is not None and home.place > file.place
    ]


SOURCES = sources()


def test_no_file_uses_an_object_of_a_later_one() -> None:
    assert len(SOURCES) > 50
    assert later_objects(SOURCES) == []


@pytest.mark.parametrize(
    "use",
    [
        "CREATE FUNCTION upc.early() RETURNS text LANGUAGE sql RETURN upc.late();",
        "PERFORM upc.late();",
        "DO $do$ BEGIN EXECUTE format($sql$ SELECT upc.late(%L) $sql$, 1); END $do$;",
        "DO $do$ BEGIN EXECUTE 'SELECT upc.late()'; END $do$;",
        "SELECT '--', upc.late();",
    ],
)
def test_a_later_object_is_found(use: str) -> None:
    late = "CREATE FUNCTION upc.late() RETURNS text LANGUAGE sql RETURN 1;"
    assert later_objects([Source(0, "a", without_prose(use)), Source(1, "b", late)]) == [
        "a:1 upc.late of b"
    ]
    assert later_objects([Source(0, "b", late), Source(1, "a", without_prose(use))]) == []
    prose = "-- upc.late() comes later.\nCOMMENT ON FUNCTION upc.early IS\n    'upc.late''s own';"
    assert later_objects([Source(0, "a", without_prose(prose)), Source(1, "b", late)]) == []


def test_objects_are_defined_once() -> None:
    names = [match[1] for file in SOURCES for match in DEFINED.finditer(file.text)]
    assert sorted(names) == sorted(set(names))


def test_folders_and_files_are_numbered() -> None:
    root = folder("sql")
    places: dict[Path, list[str]] = {}
    for file in sql_files():
        assert re.fullmatch(r"\d\d_[a-z_]+\.sql", file.name), file
        assert file.parent == root or re.fullmatch(r"\d\d_[a-z]+", file.parent.name), file
        places.setdefault(file.parent, []).append(file.name[:2])
    assert all(len(set(numbers)) == len(numbers) for numbers in places.values())
    assert places[root] == [LAST[:2]]


def test_every_file_begins_with_a_comment() -> None:
    """A sentence of its own, an empty line behind it: not that of its first object."""
    headless = [
        file.name
        for file in sql_files()
        if not re.match(r"(?:--[^\n]*\n)+\n", file.read_text("utf-8"))
    ]
    assert headless == []


def test_internal_functions_are_called_by_sql_alone() -> None:
    package = folder("sql").parent / "pyupc"
    callers = [
        f"{file.relative_to(package)} {use[0]}"
        for file in sorted(package.rglob("*.py"))
        for use in INTERNAL.finditer(file.read_text("utf-8"))
    ]
    assert callers == []


def test_few_functions_are_long() -> None:
    """Six at most have more than a hundred lines, from CREATE to the end of the body."""
    long = {
        match[1]
        for file in sql_files()
        for match in FUNCTION.finditer(file.read_text("utf-8"))
        if match[0].count("\n") + 1 > 100
    }
    assert long <= LONG
    assert len(LONG) <= 6

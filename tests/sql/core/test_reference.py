"""sql/README.md matches the comments, and every public function has a complete entry."""

from __future__ import annotations

import re

from pyupc.database.schema import sql_files
from tests.docs.sql_reference import FOLDERS, SQLSTATES, START, TARGET, entries, reference

PUBLIC = [entry for entry in entries() if not entry.is_internal and entry.kind == "FUNCTION"]


def test_the_reference_is_up_to_date() -> None:
    assert TARGET.read_text("utf-8") == reference(), "make reference"


def test_every_public_function_is_described_with_an_example() -> None:
    assert {entry.name for entry in PUBLIC} >= set(START)
    short = [
        entry.name
        for entry in PUBLIC
        if not (entry.paragraphs["about"] and entry.paragraphs["Example"] and entry.signature)
    ]
    assert short == []


def test_every_sqlstate_is_explained() -> None:
    texts = [file.read_text("utf-8") for file in sql_files()]
    raised = {state for text in texts for state in re.findall(r"'(UP\d{3})'", text)}
    assert raised == set(SQLSTATES)


def test_errors_named_in_a_comment_are_raised() -> None:
    named = {
        (entry.name, state)
        for entry in PUBLIC
        for state in re.findall(r"UP\d{3}", entry.paragraphs["Errors"])
    }
    assert {state for _, state in named} <= set(SQLSTATES)


def test_every_folder_is_in_the_map() -> None:
    assert {entry.folder for entry in entries()} == set(FOLDERS)

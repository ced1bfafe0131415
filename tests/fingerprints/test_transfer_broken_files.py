"""Files that hold something else than a fingerprint: the folder is refused, nothing changes."""

from __future__ import annotations

import gzip
import lzma
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.databases import Databases
from tests.support.legacy_files import (
    MINUTES,
    as_floats,
    dump,
    file_name,
    numbers,
    refused,
    run,
    shifted,
    state,
    stored,
    write,
)

VICTIM = file_name(1)
LAST = f"{MINUTES[-1]}m TTC"

Change = Callable[[str], str | bytes]


def put(cell: str) -> Change:
    """In the row of seven minutes and the column >= +0.10%."""

    def change(text: str) -> str:
        lines = text.split("\n")
        place = lines[0].split(",").index(">= +0.10%")
        (number,) = [k for k, line in enumerate(lines) if line.startswith("7m TTC,")]
        row = lines[number].split(",")
        row[place] = cell
        return "\n".join([*lines[:number], ",".join(row), *lines[number + 1 :]])

    return change


def replace(old: str, new: str) -> Change:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


def without_last_row(text: str) -> str:
    return text[: text.index(LAST)]


def swapped(text: str) -> str:
    header, rest = text.split("\n", 1)
    one, other = ">= +0.05%", ">= +0.10%"
    header = header.replace(one, "X").replace(other, one).replace("X", other)
    return f"{header}\n{rest}"


def line(number: int) -> Callable[[str], str]:
    return lambda text: text.split("\n")[number]


def in_latin_1(text: str) -> bytes:
    return text.replace("\n7m TTC,", "\n7m TTC,é", 1).encode("latin-1")


def without_column(text: str) -> str:
    """The last one, which counts moves of at most -0.20 %."""
    lines = [each.rpartition(",")[0] for each in text.split("\n")[:-1]]
    return "\n".join(lines) + "\n"


# What is wrong; then the row and the column that are named, if it is in one.
CELLS: dict[str, str] = {
    "nan": "nan",
    "NaN": "NaN",
    "inf": "inf",
    "minus-infinity": "-Infinity",
    "empty-cell": "",
    "blank-cell": " ",
    "text": "abc",
    "null": "NULL",
    "101": "101.0",
    "a-hair-above-100": "100.00000000000000001",
    "negative": "-0.5",
    "minus-zero": "-0.0",
    "huge": "1e999",
    "1e2": "1e2",
    "5e0": "5e0",
    "underflow": "1e-400",
    "plus-sign": "+5",
    "space-before": " 5",
    "space-after": "5.0 ",
    "underscore": "1_0",
    "quoted": '"5.0"',
    "open-quote": '"5.0',
    "apostrophe": "'5.0",
    "percent-sign": "5.0%",
    "hexadecimal": "0x5",
    "leading-zero": "05.0",
    "no-digit-after-the-point": "5.",
    "no-digit-before-the-point": ".5",
    "two-points": "5.0.0",
    "long-number": "0." + "3" * 1000,
    "escape-sequence": "\x1b[31m5.0",
    "tab": "5.0\t",
}

WHOLE: dict[str, tuple[Change, str | None, str | None]] = {
    "cut-in-a-number": (lambda text: text[:-2], LAST, None),
    "cut-after-a-comma": (lambda text: text[: text.rindex(",") + 1], LAST, None),
    "cut-at-the-end-of-a-row": (without_last_row, LAST, None),
    "last-line-without-end": (lambda text: text[:-1], LAST, None),
    "last-row-short": (lambda text: text[: text.rindex(",")] + "\n", LAST, None),
    "last-row-is-a-name-only": (lambda text: without_last_row(text) + f"{LAST}\n", LAST, None),
    "cut-in-the-header": (lambda text: text[:25], "1", None),
    "header-lacks-a-column": (replace(",<= -0.20%\n", "\n"), None, "<= -0.20%"),
    "header-lacks-two": (replace(",>= +0.20%,<= -0.20%\n", "\n"), "1m TTC", None),
    "row-too-long": (replace("\n7m TTC,", "\n7m TTC,1.0,"), "7m TTC", None),
    "decimal-comma": (replace("\n7m TTC,", "\n7m TTC,0,"), "7m TTC", None),
    "swapped-columns": (swapped, None, ">= +0.10%"),
    "utf-8-bom": (lambda text: text.encode("utf-8-sig"), None, None),
    "gzip": (lambda text: gzip.compress(text.encode()), None, None),
    "xz": (lambda text: lzma.compress(text.encode()), None, None),
    "utf-16": (lambda text: text.encode("utf-16"), None, None),
    "utf-16-without-bom": (lambda text: text.encode("utf-16-le"), "1", None),
    "crlf": (replace("\n", "\r\n"), "1", None),
    "crlf-everywhere": (lambda text: text.replace("\n", "\r\n"), "1", None),
    "crlf-in-a-row": (lambda text: text[:-1] + "\r\n", LAST, None),
    "cr-only": (lambda text: text.replace("\n", "\r"), "1", None),
    "nul": (replace("\n7m TTC,", "\n7m TTC,\0"), "7m TTC", None),
    "nul-at-the-end": (lambda text: text + "\0" * 512, "14", None),
    "latin-1": (in_latin_1, "7m TTC", None),
    "other-digits": (lambda text: str(put("\u0665")(text)).encode(), "7m TTC", None),
    "non-breaking-space": (lambda text: str(put("5\u00a0")(text)).encode(), "7m TTC", None),
    "empty-file": (lambda text: "", None, None),
    "one-line-end": (lambda text: "\n", None, None),
    "header-only": (lambda text: line(0)(text) + "\n", None, None),
    "without-header": (lambda text: text.split("\n", 1)[1], "1", None),
    "comment-before": (lambda text: "# of 2025\n" + text, "1", None),
    "index-has-a-name": (lambda text: "minutes" + text, "1", None),
    "blank-line": (replace("\n7m TTC,", "\n\n7m TTC,"), "8", None),
    "blank-line-at-the-end": (lambda text: text + "\n", "14", None),
    "semicolons": (lambda text: text.replace(",", ";"), "1", None),
    "html": (lambda text: "<!DOCTYPE html>\n<html></html>\n", "1", None),
    "zip": (lambda text: b"PK\x03\x04" + bytes(100), None, None),
    "twice-the-file": (lambda text: text + text, "14", None),
    "row-twice": (lambda text: text + line(-2)(text) + "\n", LAST, None),
    "row-renamed-to-another": (replace("\n7m TTC", "\n8m TTC"), "8m TTC", None),
    "threshold-twice": (replace(">= +0.10%", ">= +0.05%"), None, ">= +0.05%"),
    "threshold-twice-written-differently": (replace(">= +0.10%", ">= +0.050%"), None, ">= +0.050%"),
    "threshold-twice-as-a-double": (
        lambda text: text.replace("0.20%", "0.10000000000000000001%"),
        None,
        ">= +0.10000000000000000001%",
    ),
    "without-its-opposite": (without_column, None, "<= -0.20%"),
    "tiny-threshold-without-its-opposite": (
        replace(">= +0.10%", ">= +0.00000001%"),
        None,
        "<= -0.00000001%",
    ),
    "other-threshold": (
        lambda text: text.replace("0.20%", "0.25%", 2),
        None,
        ">= +0.20%",
    ),
    "a-threshold-more": (
        lambda text: (
            "\n".join(
                each + (",>= +0.30%,<= -0.30%" if not k else ",0.0,0.0")
                for k, each in enumerate(text.split("\n")[:-1])
            )
            + "\n"
        ),
        None,
        ">= +0.30%",
    ),
    "a-minute-more": (
        lambda text: text + line(-2)(text).replace("12m", "13m") + "\n",
        "13m TTC",
        None,
    ),
}

COLUMN_NAMES = {
    "column-without-a-name": "",
    "column-without-a-sign": ">= 0.10%",
    "column-with-the-wrong-sign": ">= -0.10%",
    "column-without-a-percent-sign": ">= +0.10",
    "column-greater-than": "> +0.10%",
    "column-with-an-exponent": ">= +1e-1%",
    "column-with-a-space": " >= +0.10%",
    "column-quoted": '">= +0.10%"',
    "column-of-the-tables": "pos_0_10",
    "column-unnamed": "Unnamed: 5",
    "column-very-long": ">= +0.1" + "0" * 5000 + "%",
}

ROW_NAMES = {
    "row-of-the-tables": "07m TTC",
    "row-without-ttc": "7m",
    "row-number-only": "7",
    "row-negative": "-7m TTC",
    "row-with-a-space": "7m TTC ",
    "row-with-a-fraction": "7.0m TTC",
    "row-in-hours": "7h TTC",
    "row-of-seconds": "420s TTC",
    "row-beyond-a-day": "1441m TTC",
    "row-without-a-name": "",
    "row-lower-case": "7m ttc",
    "row-quoted": '"7m TTC"',
    "row-very-long": "7" * 5000,
}

CASES: dict[str, tuple[Change, str | None, str | None]] = {
    **{name: (put(cell), "7m TTC", ">= +0.10%") for name, cell in CELLS.items()},
    **WHOLE,
    # The place of the column or the line, where it has no name of its own.
    **{name: (replace(">= +0.10%", title), None, "5") for name, title in COLUMN_NAMES.items()},
    "column-beyond-100": (replace(">= +0.10%", ">= +100.01%"), None, ">= +100.01%"),
    **{name: (replace("\n7m TTC,", f"\n{title},"), "8", None) for name, title in ROW_NAMES.items()},
}


@pytest.fixture(scope="module")
def full_and_bare(
    databases: Databases,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[str, str]]:
    """One that has a good set, and one that has none."""
    good = write(tmp_path_factory.mktemp("good"), spell=shifted)
    with (
        databases.clone("empty") as full,
        databases.clone("empty") as bare,
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYUPC_DSN", full)
            assert run("import", good).exit_code == 0
        assert stored(full) == as_floats(numbers(good))
        yield full, bare


@pytest.mark.parametrize("case", CASES)
def test_a_broken_file(
    full_and_bare: tuple[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, case: str
) -> None:
    change, row, column = CASES[case]
    folder = write(tmp_path / "in")
    text = (folder / VICTIM).read_text()
    changed = change(text)
    broken = changed if isinstance(changed, bytes) else changed.encode()
    assert broken != text.encode()
    (folder / VICTIM).write_bytes(broken)

    named = [
        VICTIM,
        *([f"row {row}"] if row else []),
        *([f"column {column}"] if column else []),
    ]
    files = state(folder)
    for dsn, commands in zip(
        full_and_bare, ([["import", "--strict", "--json"], ["validate"]], [["import"]]), strict=True
    ):
        monkeypatch.setenv("PYUPC_DSN", dsn)
        before = dump(dsn)
        for arguments in commands:
            result = run(*arguments, folder, "--symbol", "BTC")
            refused(result, 1, *named)
            # It steers no terminal, and fits on it.
            assert all(line.isprintable() for line in result.stderr.splitlines())
            assert len(result.stderr) < 600
        assert dump(dsn) == before
    assert state(folder) == files


def test_every_broken_file_is_named_up_to_twenty(
    full_and_bare: tuple[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYUPC_DSN", full_and_bare[0])
    buckets = (*range(-15, 16), 99)
    folder = write(tmp_path / "in", buckets=buckets)
    before = dump(full_and_bare[0])
    for count, listed in ((3, 3), (25, 20)):
        for bucket in buckets[:count]:
            (folder / file_name(bucket)).write_text("")
        result = run("import", folder)
        refused(result, 1)
        lines = result.stderr.splitlines()[:-2]
        for name in sorted(file_name(bucket) for bucket in buckets[:count])[:listed]:
            assert any(line.startswith(f"{name}:") for line in lines)
        assert len(lines) == listed + (count > listed)
    assert dump(full_and_bare[0]) == before

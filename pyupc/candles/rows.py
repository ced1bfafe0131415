"""Lines of CSV as rows of `pg_temp.candle_line`. Whether a row is a candle is judged in SQL."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

from pyupc.candles.files import OnRead, read_blocks, shown
from pyupc.errors import PyupcError

COLUMNS = ("timestamp", "open", "high", "low", "close", "volume")
HEADER_HINT = f"the first line names the columns, separated by commas: {','.join(COLUMNS)}"

COPY = f"""
    COPY pg_temp.candle_line (file, line, problem, {", ".join(f'"{name}"' for name in COLUMNS)})
    FROM STDIN (FORMAT text)
"""

EMPTY = "the line is empty"

_NULL = r"\N"


@dataclass(frozen=True)
class Header:
    """Where in a line the columns are, and how many fields a line has."""

    width: int
    pick: Callable[[list[str]], tuple[str, ...]]

    @classmethod
    def parse(cls, path: Path, line: str) -> Header:
        """Names may differ in case and order and in blanks around them; others are ignored."""
        fields = _fields(line)
        if fields is None:
            raise PyupcError(f"{shown(path)}:1: a quote in the header is not closed", HEADER_HINT)
        names = [name.strip().lower() for name in fields]
        count = Counter(names)
        for name in COLUMNS:
            if count[name] != 1:
                what = "occurs more than once" if count[name] else "is missing"
                raise PyupcError(f"{shown(path)}:1: column {name} {what}", HEADER_HINT)
        return cls(len(names), itemgetter(*map(names.index, COLUMNS)))


def copy_blocks(file: int, path: Path, on_read: OnRead) -> Iterator[bytes]:
    """The file as data for COPY; `file` is its number in the load.

    Blank lines at the end are passed over. A line is a record: a quoted field does not go on in
    the next line, so that a stray quote spoils one line and not all that follow.
    """
    header: Header | None = None
    blank = range(0)
    is_empty = True
    for block in read_blocks(path, on_read):
        first, lines = block.first, _escaped(block.text).split("\n")
        if header is None:
            header = Header.parse(path, lines[0])
            first, lines = first + 1, lines[1:]
        after = first + len(lines)
        while lines and not lines[-1].strip():
            lines.pop()
        start = blank.start if blank else first + len(lines)
        if lines:
            for number in blank:
                yield f"{_problem_row(file, number, EMPTY)}\n".encode("ascii")
            yield _rows(file, header, first, lines)
            is_empty, start = False, first + len(lines)
        blank = range(start, after)
    if header is None:
        raise PyupcError(f"{shown(path)}: the file is empty", HEADER_HINT)
    if is_empty:
        raise PyupcError(f"{shown(path)}: a header without candles", HEADER_HINT)


def _escaped(text: str) -> str:
    """The text in ASCII, whatever the server's encoding, and without what COPY's format uses.

    Nothing that is changed here could be part of a value.
    """
    if not text.isascii():
        text = text.encode("ascii", "backslashreplace").decode("ascii")
    return text.replace("\\", r"\\").replace("\t", " ").replace("\r", " ")


def _rows(file: int, header: Header, first: int, lines: list[str]) -> bytes:
    text = "\n".join(lines)
    is_plain = " " not in text and '"' not in text
    width, pick = header.width, header.pick
    rows: list[str] = []
    for number, line in enumerate(lines, first):
        fields = line.split(",")
        if is_plain and len(fields) == width:
            rows.append(f"{file}\t{number}\t{_NULL}\t" + "\t".join(pick(fields)))
        else:
            rows.append(_uncommon_row(file, header, number, line))
    rows.append("")
    return "\n".join(rows).encode("ascii")


def _uncommon_row(file: int, header: Header, number: int, line: str) -> str:
    if not line.strip():
        return _problem_row(file, number, EMPTY)
    fields = _fields(line)
    if fields is None:
        return _problem_row(file, number, "a quote is not closed, or text follows it")
    if len(fields) != header.width:
        return _problem_row(
            file, number, f"{len(fields)} fields where the header has {header.width}"
        )
    values = (field.strip() for field in header.pick(fields))
    return "\t".join([str(file), str(number), _NULL, *values])


def _problem_row(file: int, number: int, problem: str) -> str:
    return "\t".join([str(file), str(number), problem, *[_NULL] * len(COLUMNS)])


def _fields(line: str) -> list[str] | None:
    """The fields of one line, None if its quotes do not pair."""
    if '"' not in line:
        return line.split(",")
    try:
        return next(csv.reader([line], strict=True, skipinitialspace=True))
    except csv.Error:
        return None

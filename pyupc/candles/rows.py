"""Lines of CSV as rows of `pg_temp.candle_line`. SQL judges which of them are candles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from pathlib import Path

from pyupc.candles.columns.layout import HINT, Layout, Unrecognised
from pyupc.candles.columns.layout import ROLES as COLUMNS
from pyupc.candles.columns.recognise import SAMPLE_LINES, recognise
from pyupc.candles.columns.values import is_nothing, split
from pyupc.candles.compression import OnRead, shown
from pyupc.candles.files import BLOCK_BYTES, Block, read_blocks
from pyupc.errors import PyupcError

COPY = f"""
    COPY pg_temp.candle_line (file, line, problem, {", ".join(f'"{name}"' for name in COLUMNS)})
    FROM STDIN (FORMAT text)
"""

EMPTY = "the line is empty"

_NULL = r"\N"


# Stands for a tab between fields, since a tab is part of COPY's format.
_UNIT_SEPARATOR = "\x1f"

_EXCHANGED = str.maketrans(",.", ".,")


@dataclass(frozen=True)
class Reading:
    """The symbol of all files, and their columns, if the user has named them."""

    symbol: str
    columns: tuple[str, ...] | None = None


@dataclass(frozen=True)
class _Form:
    """Cutting and picking the fields of a line; `delimiter` is that of the escaped text."""

    delimiter: str
    width: int
    pick: Callable[[list[str]], tuple[str, ...]]
    is_decimal_comma: bool

    @classmethod
    def of(cls, layout: Layout) -> _Form:
        delimiter = _UNIT_SEPARATOR if layout.delimiter == "\t" else layout.delimiter
        return cls(delimiter, layout.width, itemgetter(*layout.picks), layout.is_decimal_comma)


def copy_blocks(file: int, path: Path, reading: Reading, on_read: OnRead) -> Iterator[bytes]:
    """The file as data for COPY; `file` is its number in the load.

    Blank lines at the end are passed over, and so are lines without any value beside the time. A
    line is a record: a quoted field does not go on in the next line, so that a stray quote spoils
    one line and not all that follow.
    """
    blocks = read_blocks(path, on_read)
    sampled = list(_sampled(blocks))
    layout = _layout(path, sampled, reading)
    form = _Form.of(layout)
    blank = range(0)
    is_empty = True
    for block in chain(sampled, blocks):
        first, lines = block.first, _escaped(block.text, form.delimiter).split("\n")
        if first <= layout.skip:
            left = min(len(lines), layout.skip - first + 1)
            first, lines = first + left, lines[left:]
        after = first + len(lines)
        while lines and not lines[-1].strip():
            lines.pop()
        start = blank.start if blank else first + len(lines)
        if lines:
            for number in blank:
                yield f"{_problem_row(file, number, EMPTY)}\n".encode("ascii")
            yield _rows(file, form, first, lines)
            is_empty, start = False, first + len(lines)
        blank = range(start, after)
    if is_empty:
        raise PyupcError(f"{shown(path)}: a header without candles", HINT)


def _sampled(blocks: Iterator[Block]) -> Iterator[Block]:
    """The first blocks, with enough lines to recognise the columns by."""
    lines = size = 0
    for block in blocks:
        yield block
        lines += block.text.count("\n") + 1
        size += len(block.text)
        if lines >= SAMPLE_LINES or size >= BLOCK_BYTES:
            return


def _layout(path: Path, sampled: list[Block], reading: Reading) -> Layout:
    if not sampled:
        raise PyupcError(f"{shown(path)}: the file is empty", HINT)
    lines = "\n".join(block.text for block in sampled).split("\n", SAMPLE_LINES)[:SAMPLE_LINES]
    try:
        return recognise(lines, reading.symbol, reading.columns)
    except Unrecognised as problem:
        raise PyupcError(f"{shown(path)}:{problem.line}: {problem.message}", HINT) from None


def _escaped(text: str, delimiter: str) -> str:
    """The text in ASCII, whatever the server's encoding, and without what COPY's format uses.

    Nothing that is changed here could be part of a value.
    """
    if not text.isascii():
        text = text.encode("ascii", "backslashreplace").decode("ascii")
    if delimiter == _UNIT_SEPARATOR:
        text = text.replace(delimiter, " ").replace("\t", delimiter)
    return text.replace("\\", r"\\").replace("\t", " ").replace("\r", " ")


def _rows(file: int, form: _Form, first: int, lines: list[str]) -> bytes:
    text = "\n".join(lines)
    delimiter, width, pick = form.delimiter, form.width, form.pick
    # A line without values has a delimiter after another one, or a letter N.
    is_plain = not (
        form.is_decimal_comma
        or " " in text
        or '"' in text
        or "N" in text
        or "n" in text
        or 2 * delimiter in text
    )
    rows: list[str] = []
    for number, line in enumerate(lines, first):
        fields = line.split(delimiter)
        if is_plain and len(fields) == width:
            rows.append(f"{file}\t{number}\t{_NULL}\t" + "\t".join(pick(fields)))
        elif row := _uncommon_row(file, form, number, line):
            rows.append(row)
    rows.append("")
    return "\n".join(rows).encode("ascii")


def _uncommon_row(file: int, form: _Form, number: int, line: str) -> str | None:
    """None for a minute without any value: a gap, and not a bad line."""
    if not line.strip():
        return _problem_row(file, number, EMPTY)
    fields = split(line, form.delimiter)
    if fields is None:
        return _problem_row(file, number, "a quote is not closed, or text follows it")
    if len(fields) != form.width:
        return _problem_row(file, number, f"{len(fields)} fields where others have {form.width}")
    time, *values = (field.strip() for field in form.pick(fields))
    if time and all(is_nothing(value) for value in values):
        return None
    if form.is_decimal_comma:
        time = time.replace(",", ".")
        values = [value.translate(_EXCHANGED) for value in values]
    return "\t".join([str(file), str(number), _NULL, time, *values])


def _problem_row(file: int, number: int, problem: str) -> str:
    return "\t".join([str(file), str(number), problem, *[_NULL] * len(COLUMNS)])

"""The predecessor's CSV format: `render` gives back byte for byte a file that `parse` takes.

The first line names the columns: nothing, then `>= +0.05%` and `<= -0.05%` for each threshold.
Each further line is a row: its name (`7m TTC`), then percentages as pandas writes them. Columns and
rows may be in any order. A number below 0.0001 is written with an exponent, as pandas does unless
all numbers of a file are to have the same decimals. One that would not come back as it is written
is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal

from pyupc.fingerprints.transfer.fingerprint import (
    HIGHEST,
    NUMBER,
    Fingerprint,
    Problem,
    Refused,
    bad_number,
)
from pyupc.fingerprints.transfer.names import NotAName, parse_row_name, row_name

# A real file has 25 kB.
LARGEST_BYTES = 16 * 1024**2
MOST_THRESHOLDS = 1000

_COLUMN = re.compile(r"(>= \+|<= -)((?:0|[1-9]\d{0,2})(?:\.\d{1,20})?)%", re.ASCII)
_ROW = re.compile(f"{NUMBER}(?:,{NUMBER})*")
_TINY = re.compile(r"0\.0000\d*[1-9]\d*")
_MAY_BE_TINY = re.compile(r"e|(?:^|,)0\.0000")


def parse(content: bytes, name: str, bucket: int) -> Fingerprint:
    """The fingerprint that a file holds; Refused at the first thing that is wrong with it."""
    return _Parser(name, bucket).parse(content)


def render(fingerprint: Fingerprint) -> bytes:
    """The bytes of a file."""
    places = {
        (sign, threshold): place
        for sign in (True, False)
        for place, threshold in enumerate(fingerprint.thresholds)
    }
    order = [places[_column(title)] for title in fingerprint.header]
    is_positive = [_column(title)[0] for title in fingerprint.header]
    has_exponents = _has_exponents((*fingerprint.positive, *fingerprint.negative))
    lines = [",".join(("", *fingerprint.header))]
    for minutes, positive, negative in zip(
        fingerprint.minutes, fingerprint.positive, fingerprint.negative, strict=True
    ):
        cells: Iterable[str] = (
            (positive if above else negative)[place]
            for above, place in zip(is_positive, order, strict=True)
        )
        if has_exponents:
            cells = map(_with_exponent, cells)
        lines.append(",".join((row_name(minutes), *cells)))
    return ("\n".join(lines) + "\n").encode("ascii")


def _has_exponents(rows: Sequence[Sequence[str]]) -> bool:
    """True if tiny numbers have exponents: not where all numbers have the same decimals."""
    are_tiny = {_TINY.fullmatch(number) is not None for row in rows for number in row}
    if True not in are_tiny:
        return False
    decimals = {len(number.partition(".")[2]) for row in rows for number in row}
    return len(decimals) > 1 or False not in are_tiny


def _with_exponent(number: str) -> str:
    if not _TINY.fullmatch(number):
        return number
    digits = number.removeprefix("0.").lstrip("0")
    exponent = len(number) - len("0.") - len(digits) + 1
    return f"{digits[0]}{'.' * (len(digits) > 1)}{digits[1:]}e-{exponent:02d}"


def _without_exponent(number: str) -> str:
    return f"{Decimal(number):f}" if "e" in number else number


def _column(title: str) -> tuple[bool, Decimal]:
    """The direction (true for upward) and the threshold of a column; raises NotAName."""
    match = _COLUMN.fullmatch(title)
    if match is None:
        raise NotAName(f"{title[:40]!r} is not the name of a column such as '>= +0.05%'")
    return match[1] == ">= +", Decimal(match[2])


# First bytes of gzip, zip, xz, bzip2 and zstd files.
_COMPRESSED = (b"\x1f\x8b", b"PK", b"\xfd7zXZ", b"BZh", b"\x28\xb5\x2f\xfd")


class _Parser:
    def __init__(self, name: str, bucket: int) -> None:
        self._name = name
        self._bucket = bucket
        # Numbers as they are written: their row and column come first.
        self._tiny: list[tuple[str, str, str]] = []

    def parse(self, content: bytes) -> Fingerprint:
        title, *lines = self._lines(content)
        header = title.split(",")
        if header[0] != "":
            found = next((f", not with {c!r}" for c in (";", "\t") if title.startswith(c)), "")
            raise self._refused(f"the first line has to begin with a comma{found}", row="1")
        del header[0]
        columns = self._columns(header)
        thresholds = tuple(sorted({threshold for _, threshold in columns}))
        for threshold in thresholds:
            for sign, prefix in ((True, ">= +"), (False, "<= -")):
                if (sign, threshold) not in columns:
                    raise self._refused(
                        "is missing, though the opposite one is there",
                        column=f"{prefix}{threshold:f}%",
                    )
        order = [
            [columns.index((sign, threshold)) for threshold in thresholds] for sign in (True, False)
        ]
        rows: dict[int, list[str]] = {}
        for number, line in enumerate(lines, start=2):
            self._add_row(rows, header, number, line)
        if not rows:
            raise self._refused("is cut short: it has no rows")
        positive, negative = (
            tuple(tuple(cells[place] for place in places) for cells in rows.values())
            for places in order
        )
        self._check_tiny((*positive, *negative))
        return Fingerprint(self._bucket, thresholds, tuple(header), tuple(rows), positive, negative)

    def _lines(self, content: bytes) -> list[str]:
        if not content:
            raise self._refused("is empty")
        if content.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
            raise self._refused("begins with a byte order mark; save it as plain ASCII")
        if content.startswith(_COMPRESSED):
            raise self._refused("is compressed; unpack it")
        for byte, what in ((b"\0", "a NUL byte"), (b"\r", "a carriage return (CRLF); use LF")):
            if byte in content:
                line = content[: content.index(byte)].count(b"\n") + 1
                raise self._refused(f"has {what}", row=self._row_at(content, line))
        try:
            text = content.decode("ascii")
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
            raise self._refused(
                f"has a byte that is not ASCII, 0x{content[error.start]:02x}",
                row=self._row_at(content, line),
            ) from None
        if not text.endswith("\n"):
            line = text.count("\n") + 1
            raise self._refused(
                "the file is cut short: its last line does not end",
                row=self._row_at(content, line),
            )
        return text[:-1].split("\n")

    def _columns(self, header: list[str]) -> list[tuple[bool, Decimal]]:
        if not header:
            raise self._refused("has no columns")
        if len(header) > 2 * MOST_THRESHOLDS:
            raise self._refused(f"has more than {2 * MOST_THRESHOLDS:,} columns")
        columns: dict[tuple[bool, Decimal], str] = {}
        for place, title in enumerate(header, start=1):
            try:
                column = _column(title)
            except NotAName as error:
                raise self._refused(str(error), column=str(place)) from None
            if column[1] > HIGHEST:
                raise self._refused("is beyond 100 %", column=title)
            if column in columns:
                raise self._refused("is there twice", column=title)
            columns[column] = title
        return list(columns)

    def _add_row(
        self, rows: dict[int, list[str]], header: list[str], number: int, line: str
    ) -> None:
        name, comma, rest = line.partition(",")
        try:
            minutes = parse_row_name(name)
        except NotAName as error:
            raise self._refused("is empty" if not line else str(error), row=str(number)) from None
        cells = rest.split(",") if comma else []
        if len(cells) != len(header):
            raise self._refused(
                f"has {len(cells)} numbers for {len(header)} columns"
                + (": the file is cut short" if len(cells) < len(header) else ""),
                row=name,
            )
        # A number may be so little above that it is equal as a double.
        if not _ROW.fullmatch(rest) or max(map(float, cells)) >= HIGHEST:
            for cell, title in zip(cells, header, strict=True):
                if reason := bad_number(cell):
                    raise self._refused(reason, row=name, column=title)
        if minutes in rows:
            raise self._refused("is there twice", row=name)
        if _MAY_BE_TINY.search(rest):
            self._tiny += [(name, *each) for each in zip(header, cells, strict=True)]
            cells = list(map(_without_exponent, cells))
        rows[minutes] = cells

    def _check_tiny(self, rows: Sequence[Sequence[str]]) -> None:
        if not self._tiny:
            return
        has_exponents = _has_exponents(rows)
        for row, column, number in self._tiny:
            plain = _without_exponent(number)
            returned = _with_exponent(plain) if has_exponents else plain
            reason = None
            if returned != number:
                reason = f"{number} would come back as {returned[:40]}"
            elif float(number) == 0 < Decimal(number):
                reason = f"{number} is too small for a number"
            if reason:
                raise self._refused(reason, row=row, column=column)

    def _row_at(self, content: bytes, line: int) -> str:
        """The name of a row by the number of its line, or the number where it has no name."""
        name = content.split(b"\n")[line - 1].partition(b",")[0].decode("ascii", "replace")
        try:
            return row_name(parse_row_name(name))
        except NotAName:
            return str(line)

    def _refused(
        self, reason: str, *, row: str | None = None, column: str | None = None
    ) -> Refused:
        return Refused([Problem(self._name, reason, row, column)])

"""Lines of files of recorded quotes, each value looked at before it is used."""

from __future__ import annotations

import csv
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path

from pyupc.analysis.market.columns import AMOUNTS, BOUNDS, HINT, INSTANTS, QUOTES, Shape, recognise
from pyupc.candles.compression import shown
from pyupc.candles.files import read_blocks, size_of
from pyupc.errors import PyupcError

_NUMBER = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?", re.ASCII)
_UNIX = re.compile(r"[0-9]{9,15}(\.[0-9]{1,9})?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Seconds since 1970 stay below, milliseconds above.
_MILLISECONDS_FROM = 10**11

_TEXT_HINT = "quotes are CSV text in UTF-8, plain or compressed by gzip, bzip2, xz, zip or zstd"

Values = dict[str, str]


@dataclass(frozen=True)
class Line:
    """Values of a line by our names of the columns: instants in ISO 8601, no value empty."""

    path: Path
    number: int
    values: Values


def shape_of(path: Path) -> Shape:
    """Shape of a file by its header."""
    size_of(path)
    rows = _rows(path)
    try:
        number_and_header = next(rows, None)
    finally:
        rows.close()
    if number_and_header is None:
        raise PyupcError(f"{shown(path)}: the file is empty", HINT)
    return recognise(path, number_and_header[1])


def read_lines(path: Path, shape: Shape) -> Iterator[Line]:
    """All lines but the header; the first bad one is refused."""
    rows = _rows(path)
    next(rows, None)
    for number, fields in rows:
        if not fields:
            continue
        if len(fields) != shape.width:
            raise PyupcError(
                f"{shown(path)}:{number}: {len(fields)} fields, where the header has {shape.width}",
                "the line is cut off, or of another file",
            )
        values = {
            name: text
            for name, place in shape.places.items()
            if (text := fields[place].strip()) != ""
        }
        for name, text in values.items():
            try:
                values[name] = _checked(name, text, shape)
            except ValueError as error:
                raise PyupcError(
                    f"{shown(path)}:{number}: {name} {error}", "correct the line, or leave it out"
                ) from None
        yield Line(path, number, values)


def _checked(name: str, text: str, shape: Shape) -> str:
    """Value as SQL reads it; ValueError says what it is not."""
    given = repr(text[:40])
    if name in INSTANTS:
        at = instant(text)
        if at is None:
            raise ValueError(f"is no instant: {given}")
        return (at + shape.delay if name == "observed_at" else at).isoformat()
    if name in (*QUOTES, *AMOUNTS, *BOUNDS):
        if not is_number(text):
            raise ValueError(f"is no number: {given}")
        if name in QUOTES and float(text) > 1:
            raise ValueError(f"is not from 0 to 1 USD: {given}")
        if name in AMOUNTS and float(text) == 0:
            raise ValueError("is not above zero")
    return text


def is_number(text: str) -> bool:
    """True for a number without a sign as files and Kalshi write it."""
    return _NUMBER.fullmatch(text) is not None


def instant(text: str) -> datetime | None:
    """Instant in ISO 8601 (UTC without an offset), or in seconds or milliseconds since 1970."""
    try:
        if _UNIX.fullmatch(text):
            seconds = float(text)
            if seconds >= _MILLISECONDS_FROM:
                return _EPOCH + timedelta(milliseconds=round(seconds))
            return _EPOCH + timedelta(milliseconds=round(1000 * seconds))
        at = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return at.astimezone(UTC)


def _rows(path: Path) -> Generator[tuple[int, list[str]], None, None]:
    """Numbers and fields of all lines."""
    blocks = read_blocks(path, lambda _: None)
    lines = chain.from_iterable(block.text.split("\n") for block in blocks)
    reader = csv.reader(lines, strict=True)
    try:
        for fields in reader:
            yield reader.line_num, fields
    except csv.Error as error:
        raise PyupcError(f"{shown(path)}:{reader.line_num}: {error}", _TEXT_HINT) from None
    except PyupcError as error:
        raise PyupcError(error.message, _TEXT_HINT) from None

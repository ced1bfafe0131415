"""Files of candles, plain or gzip, as blocks of numbered lines; never a whole file in memory."""

from __future__ import annotations

import gzip
import io
import os
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import click

from pyupc.errors import PyupcError

BLOCK_BYTES = 1 << 20
LONGEST_LINE_BYTES = 1 << 16

GZIP = b"\x1f\x8b"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

# Files that look like candles from their names only, by how they begin.
FOREIGN = {
    b"PK\x03\x04": "a zip archive",
    b"\x28\xb5\x2f\xfd": "compressed by zstd",
    b"\xfd7zXZ\x00": "compressed by xz",
    b"BZh": "compressed by bzip2",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}

TEXT_HINT = "candles are CSV text in UTF-8, plain or compressed by gzip"

OnRead = Callable[[int], None]


@dataclass(frozen=True)
class Block:
    """Neighbouring lines of a file; `first` is the number of the first one, from 1."""

    first: int
    text: str


def shown(path: Path) -> str:
    """The name of a file as a message can hold it."""
    return click.format_filename(path)


def size_of(path: Path) -> int:
    """The size in bytes, 0 for a pipe; refuses what cannot be a file of candles."""
    try:
        status = path.stat()
    except OSError as error:
        raise PyupcError(
            f"{shown(path)}: {error.strerror}", "name files that exist: candles load FILE…"
        ) from None
    if stat.S_ISDIR(status.st_mode):
        raise PyupcError(f"{shown(path)}: is a folder", f"name its files: {shown(path)}/*.csv.gz")
    if not os.access(path, os.R_OK):
        raise PyupcError(f"{shown(path)}: permission denied", "make the file readable, or copy it")
    return status.st_size


def read_blocks(path: Path, on_read: OnRead) -> Iterator[Block]:
    """All lines of a file in blocks, with newlines between them.

    `on_read` is told of bytes as they are read from the disk, before they are decompressed.
    """
    with _opened(path, on_read) as stream:
        first, rest = 1, b""
        while block := _read(path, stream):
            if first == 1 and not rest:
                block = block.removeprefix(BYTE_ORDER_MARK)
            complete, newline, rest = (rest + block).rpartition(b"\n")
            if newline:
                yield Block(first, _decoded(path, first, complete))
                first += complete.count(b"\n") + 1
            if len(rest) > LONGEST_LINE_BYTES:
                # Binary data may be without a newline, and says more about itself.
                _decoded(path, first, rest[:LONGEST_LINE_BYTES], is_complete=False)
                raise PyupcError(f"{shown(path)}:{first}: the line does not end", TEXT_HINT)
        if rest:
            yield Block(first, _decoded(path, first, rest))


class _CountedFile(io.FileIO):
    """A file that tells how many bytes each read has taken from it."""

    def __init__(self, path: Path, on_read: OnRead) -> None:
        super().__init__(path)
        self._on_read = on_read

    def readinto(self, buffer: object, /) -> int | None:
        count = super().readinto(buffer)  # type: ignore[arg-type]
        self._on_read(count or 0)
        return count


@contextmanager
def _opened(path: Path, on_read: OnRead) -> Iterator[BinaryIO]:
    """The decompressed bytes. What the file begins with counts, not what it is called."""
    try:
        raw = _CountedFile(path, on_read)
    except OSError as error:
        raise PyupcError(f"{shown(path)}: {error.strerror}", TEXT_HINT) from None
    with raw, io.BufferedReader(raw, BLOCK_BYTES) as plain:
        start = plain.peek(8)
        for magic, what in FOREIGN.items():
            if start.startswith(magic):
                raise PyupcError(f"{shown(path)}: is {what}", TEXT_HINT)
        if start.startswith(GZIP):
            with gzip.GzipFile(fileobj=plain) as unpacked:
                yield unpacked  # type: ignore[misc]
        else:
            yield plain


def _read(path: Path, stream: BinaryIO) -> bytes:
    try:
        return stream.read(BLOCK_BYTES)
    except EOFError:
        raise PyupcError(
            f"{shown(path)}: the gzip data ends too early, half of the file may be missing",
            "fetch the file again",
        ) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise PyupcError(
            f"{shown(path)}: the gzip data is damaged: {error}", "fetch the file again"
        ) from None
    except OSError as error:
        raise PyupcError(f"{shown(path)}: {error.strerror or error}") from None


def _decoded(path: Path, first: int, data: bytes, *, is_complete: bool = True) -> str:
    """The text of the data, which ends before a newline or, if not complete, anywhere."""
    problem, at = "", data.find(b"\0")
    if at >= 0:
        problem = "a NUL byte"
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        # A character may be cut in two at the end of incomplete data.
        if (is_complete or error.end < len(data)) and not 0 <= at < error.start:
            problem, at = "no UTF-8", error.start
        text = ""
    if problem:
        line = first + data.count(b"\n", 0, at)
        raise PyupcError(f"{shown(path)}:{line}: {problem}: this is no text", TEXT_HINT)
    return text.replace("\r\n", "\n").removesuffix("\r")

"""Files of candles as blocks of numbered lines; never a whole file in memory."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pyupc.candles.compression import TEXT_HINT, OnRead, opened, read, shown
from pyupc.errors import PyupcError

BLOCK_BYTES = 1 << 20
LONGEST_LINE_BYTES = 1 << 16

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Block:
    """Neighbouring lines of a file; `first` is the number of the first one, from 1."""

    first: int
    text: str


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

    `on_read` gets the number of bytes read from the disk, before they are decompressed.
    """
    with opened(path, on_read) as stream:
        first, rest = 1, b""
        while block := read(path, stream, BLOCK_BYTES):
            if first == 1 and not rest:
                block = block.removeprefix(BYTE_ORDER_MARK)
            complete, newline, rest = (rest + block).rpartition(b"\n")
            if newline:
                yield Block(first, _decoded(path, first, complete))
                first += complete.count(b"\n") + 1
            if len(rest) > LONGEST_LINE_BYTES:
                # Binary data may be without a newline, and has a message of its own.
                _decoded(path, first, rest[:LONGEST_LINE_BYTES], is_complete=False)
                raise PyupcError(f"{shown(path)}:{first}: the line does not end", TEXT_HINT)
        if rest:
            yield Block(first, _decoded(path, first, rest))


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

"""Opening a file that may be compressed: gzip, bzip2, xz, zip or zstd, by how it begins."""

from __future__ import annotations

import bz2
import gzip
import importlib
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import click

from pyupc.errors import PyupcError

BLOCK_BYTES = 1 << 20

GZIP = b"\x1f\x8b"
BZIP2 = b"BZh"
XZ = b"\xfd7zXZ\x00"
ZIP = b"PK\x03\x04"
EMPTY_ZIP = b"PK\x05\x06"
ZSTD = b"\x28\xb5\x2f\xfd"

# Texts and archives that cannot be read, by how they begin.
FOREIGN = {
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"PAR1": "a Parquet file",
    EMPTY_ZIP: "an empty zip archive",
}

TEXT_HINT = "candles are CSV text in UTF-8, plain or compressed by gzip, bzip2, xz, zip or zstd"

# More than any level of xz needs, less than an archive that is an attack asks for.
XZ_MEMORY_BYTES = 128 << 20

TEXT_SUFFIXES = (".csv", ".tsv", ".txt")

OnRead = Callable[[int], None]


class Stream(Protocol):
    """Bytes, decompressed; an empty read is the end."""

    def read(self, size: int, /) -> bytes: ...


def shown(path: Path) -> str:
    """The name of a file as a message can hold it."""
    return click.format_filename(path)


@contextmanager
def opened(path: Path, on_read: OnRead) -> Iterator[Stream]:
    """The decompressed bytes, never all of them in memory.

    The first bytes decide on the format, not the name. `on_read` gets the number of bytes as they
    are read from the disk.
    """
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
                yield unpacked
        elif start.startswith(BZIP2):
            with bz2.BZ2File(plain) as unpacked:
                yield unpacked
        elif start.startswith(XZ):
            yield _Xz(plain)
        elif start.startswith(ZSTD):
            with _zstd(path, plain) as unpacked:
                yield unpacked
        elif start.startswith(ZIP):
            with _member(path, plain) as unpacked:
                yield unpacked
        else:
            yield plain


def read(path: Path, stream: Stream, size: int) -> bytes:
    """The next bytes; PyupcError if the file ends too early or is damaged."""
    try:
        return stream.read(size)
    except EOFError:
        raise PyupcError(
            f"{shown(path)}: the compressed data ends too early, half of the file may be missing",
            "fetch the file again",
        ) from None
    except (gzip.BadGzipFile, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise PyupcError(
            f"{shown(path)}: the compressed data is damaged: {error}", "fetch the file again"
        ) from None
    except OSError as error:
        if error.errno is None:
            # bz2 has no exception of its own.
            raise PyupcError(
                f"{shown(path)}: the compressed data is damaged: {error}", "fetch the file again"
            ) from None
        raise PyupcError(f"{shown(path)}: {error.strerror or error}") from None
    except Exception as error:
        if type(error).__name__ != "ZstdError":
            raise
        raise PyupcError(
            f"{shown(path)}: the compressed data is damaged: {error}", "fetch the file again"
        ) from None


class _CountedFile(io.FileIO):
    """A file that reports how many bytes each read has taken from it."""

    def __init__(self, path: Path, on_read: OnRead) -> None:
        super().__init__(path)
        self._on_read = on_read

    def readinto(self, buffer: object, /) -> int | None:
        count = super().readinto(buffer)  # type: ignore[arg-type]
        self._on_read(count or 0)
        return count


class _Xz:
    """Streams of xz, one after another, with a limit of memory, which lzma.open has not."""

    def __init__(self, plain: BinaryIO) -> None:
        self._plain = plain
        self._data = b""
        self._decompressor: lzma.LZMADecompressor | None = None

    def read(self, size: int, /) -> bytes:
        while True:
            if self._decompressor is None:
                # Streams may be padded with zeros.
                self._data = self._data.lstrip(b"\0") or self._plain.read(BLOCK_BYTES)
                if not self._data:
                    return b""
                if not self._data.strip(b"\0"):
                    continue
                self._data = self._data.lstrip(b"\0")
                self._decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, XZ_MEMORY_BYTES)
            decompressor = self._decompressor
            if decompressor.needs_input and not self._data:
                self._data = self._plain.read(BLOCK_BYTES)
                if not self._data:
                    raise EOFError
            block = decompressor.decompress(self._data, size)
            self._data = b""
            if decompressor.eof:
                self._data = decompressor.unused_data
                self._decompressor = None
            if block:
                return block


def _zstd(path: Path, plain: BinaryIO) -> Any:
    try:
        zstd = importlib.import_module("compression.zstd")
    except ImportError:
        raise PyupcError(
            f"{shown(path)}: is compressed by zstd, which Python reads from 3.14 on",
            f"unpack it: zstd -d {shown(path)}",
        ) from None
    return zstd.ZstdFile(plain)


@contextmanager
def _member(path: Path, plain: BinaryIO) -> Iterator[Stream]:
    """The only file of text in a zip archive."""
    name = shown(path)
    if not plain.seekable():
        raise PyupcError(
            f"{name}: is a zip archive, which cannot be read from a pipe", "name the file itself"
        )
    try:
        archive = zipfile.ZipFile(plain)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise PyupcError(
            f"{name}: the zip archive is damaged: {error}", "fetch the file again"
        ) from None
    with archive:
        member = _only_text(name, archive)
        try:
            unpacked = archive.open(member)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
            is_locked = bool(member.flag_bits & 1)
            what = "is encrypted" if is_locked else f"cannot be read: {error}"
            raise PyupcError(
                f"{name}: {_printable(member)} {what}", f"unpack it: unzip {name}"
            ) from None
        with unpacked:
            yield unpacked


def _only_text(name: str, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    """Several may be of other symbols or of other intervals, so that none of them is chosen."""
    members = [
        member
        for member in archive.infolist()
        if not (member.is_dir() or member.filename.startswith("__MACOSX/"))
        and member.filename.lower().endswith(TEXT_SUFFIXES)
    ]
    if len(members) == 1:
        return members[0]
    if not members:
        raise PyupcError(
            f"{name}: the zip archive has no file that ends in .csv, .tsv or .txt", TEXT_HINT
        )
    shown_members = ", ".join(_printable(member) for member in members[:3])
    raise PyupcError(
        f"{name}: the zip archive has {len(members):,} files: {shown_members}"
        f"{', …' if len(members) > 3 else ''}",
        f"unpack it, and name those of one minute and one symbol: unzip {name}",
    )


def _printable(member: zipfile.ZipInfo) -> str:
    return "".join(c if c.isprintable() else "?" for c in member.filename)[:200]

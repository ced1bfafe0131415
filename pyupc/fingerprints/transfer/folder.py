"""A folder of fingerprint files: read as a whole, and written all or none."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from pyupc.errors import PyupcError, UsageProblem
from pyupc.fingerprints.transfer import csv_file
from pyupc.fingerprints.transfer.fingerprint import (
    Fingerprint,
    FingerprintSet,
    Problem,
    Refused,
    assemble,
)
from pyupc.fingerprints.transfer.names import NotAName, parse_stem, stem

SUFFIX = ".csv"

OnFile = Callable[[int, int], None]


def read_folder(folder: Path, symbol: str | None, on_file: OnFile) -> FingerprintSet:
    """The set in the CSV files of a folder; Refused if any of them is not right.

    Without a symbol it is the one in the names of the files. `on_file` gets how many files are
    done, and how many there are. Hidden files, and others that have nothing to do with
    fingerprints, are passed over.
    """
    paths = _candidates(folder)
    if not paths:
        raise PyupcError(
            f"{folder} holds no fingerprint files",
            "their names are like btc_fingerprint_directional_baseline.csv",
        )
    found: list[Fingerprint] = []
    problems: list[Problem] = []
    named = _buckets(paths, symbol, problems)
    for done, (path, (_, bucket)) in enumerate(named.items(), start=1):
        try:
            found.append(csv_file.parse(_content(path), path.name, bucket))
        except Refused as refused:
            problems += refused.problems
        on_file(done, len(named))
    if problems:
        raise Refused(problems)
    return assemble(next(iter(named.values()))[0], _in_words(folder), found, suffix=SUFFIX)


def _in_words(folder: Path) -> str:
    """Its path; the bytes of a name need not be text, but what the database keeps has to be."""
    return os.fsencode(folder.absolute()).decode("utf-8", "replace")


def _candidates(folder: Path) -> list[Path]:
    try:
        if not folder.is_dir():
            reason = "is not a folder" if folder.exists() else "there is no such folder"
            raise PyupcError(f"{folder}: {reason}", "name the folder that holds the CSV files")
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise PyupcError(
            f"{folder} cannot be read: {error.strerror or error}",
            "grant read permission, or name another folder",
        ) from error
    return [
        path
        for path in paths
        if not path.name.startswith(".")
        and (path.suffix.lower() == SUFFIX or "_fingerprint_" in path.name.lower())
    ]


def _buckets(
    paths: Sequence[Path], symbol: str | None, problems: list[Problem]
) -> dict[Path, tuple[str, int]]:
    """Symbol and bucket of each file whose name is right; the others are problems."""
    named: dict[Path, tuple[str, int]] = {}
    for path in paths:
        try:
            if path.suffix != SUFFIX:
                raise NotAName(f"the name does not end in {SUFFIX}")
            named[path] = parse_stem(path.stem)
        except NotAName as error:
            problems.append(Problem(path.name, str(error)))
    symbols = sorted({own for own, _ in named.values()})
    if symbol is None and len(symbols) > 1:
        raise UsageProblem(
            f"the folder has files of {' and '.join(symbols)}", "move those of one away"
        )
    for path, (own, _) in list(named.items()):
        if symbol is not None and own != symbol:
            problems.append(Problem(path.name, f"is of {own}, not of {symbol}"))
            del named[path]
    return named


def _content(path: Path) -> bytes:
    """Refused for what cannot be read, or is so large that it can be no fingerprint."""
    try:
        # Opening a named pipe would wait for a writer.
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise Refused([Problem(path.name, "is not a file")])
        if status.st_size > csv_file.LARGEST_BYTES:
            raise Refused(
                [Problem(path.name, f"has {status.st_size:,} bytes: no fingerprint is as large")]
            )
        return path.read_bytes()
    except OSError as error:
        raise Refused([Problem(path.name, f"cannot be read: {error.strerror or error}")]) from error


def write_folder(
    folder: Path,
    symbol: str,
    fingerprints: Sequence[Fingerprint],
    on_file: OnFile,
    *,
    is_forced: bool = False,
) -> int:
    """Write a file for each fingerprint: all of them or, whatever happens, none.

    A file that is there with the same bytes stays; one with others is replaced only if
    `is_forced`. Returns how many files were written.
    """
    files = {stem(symbol, each.bucket) + SUFFIX: csv_file.render(each) for each in fingerprints}
    try:
        changed = _changed(folder, files)
        existing = [name for name in changed if os.path.lexists(folder / name)]
        for name in existing:
            if (folder / name).is_dir():
                raise PyupcError(f"{folder / name} is a folder", "name another one to export into")
        if existing and not is_forced:
            raise PyupcError(
                f"{folder / existing[0]} is there already, with other contents",
                "name another folder, or replace its files with --force",
            )
        if changed:
            _write(folder, {name: files[name] for name in changed}, on_file)
    except OSError as error:
        where = error.filename if isinstance(error.filename, str) else folder
        raise PyupcError(
            f"nothing was exported: {where}: {error.strerror or error}",
            "make room, or name a folder that can be written to",
        ) from error
    return len(changed)


def _changed(folder: Path, files: Mapping[str, bytes]) -> list[str]:
    def has(name: str, content: bytes) -> bool:
        path = folder / name
        if not path.is_file() or path.stat().st_size != len(content):
            return False
        return path.read_bytes() == content

    return [name for name, content in files.items() if not has(name, content)]


def _write(folder: Path, files: Mapping[str, bytes], on_file: OnFile) -> None:
    """First all of them aside, then into place; what was in their place goes back on failure."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    # In the same file system, hidden, so that lists of CSV files do not show it. It has its
    # name before it is there, so that an interrupt at any moment finds it.
    aside = folder / f".pyupc-export-{secrets.token_hex(4)}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            aside.mkdir(0o700)
            for done, (name, content) in enumerate(files.items(), start=1):
                _write_through(aside / name, content)
                on_file(done, len(files))
            _move(aside, folder, files)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except BaseException:
        for path in missing:
            with suppress(OSError):
                path.rmdir()
        raise


def _write_through(path: Path, content: bytes) -> None:
    """Write to the disk itself: the original may be deleted as soon as the copy is there."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _move(aside: Path, folder: Path, names: Iterable[str]) -> None:
    replaced = aside.with_name(aside.name.replace("export", "replaced"))
    try:
        replaced.mkdir(0o700)
        for name in names:
            with suppress(FileNotFoundError):
                os.rename(folder / name, replaced / name)
            os.rename(aside / name, folder / name)
        _sync(folder)
    except BaseException as error:
        _put_back(aside, replaced, folder, names)
        try:
            replaced.rmdir()
        except FileNotFoundError:
            pass
        except OSError:
            raise PyupcError(
                f"{folder} is half replaced: what it held before is in {replaced}",
                "move it back, then make room or name another folder",
            ) from error
        raise
    shutil.rmtree(replaced, ignore_errors=True)


def _put_back(aside: Path, replaced: Path, folder: Path, names: Iterable[str]) -> None:
    """Undo by what lies where: an interrupt may come between any two steps."""
    for name in names:
        with suppress(OSError):
            if os.path.lexists(replaced / name):
                os.rename(replaced / name, folder / name)
            elif not os.path.lexists(aside / name):
                (folder / name).unlink()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

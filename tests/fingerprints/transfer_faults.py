"""Faults of fingerprint folders and tables: how each is made, and what a refusal has to name."""

from __future__ import annotations

import contextlib
import gzip
import lzma
import os
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pyupc.fingerprints.transfer.csv_file import LARGEST_BYTES
from tests.support.legacy_files import BASELINE, MINUTES, file_name, text, titles, write

VICTIM = file_name(1)
VICTIM_TABLE = VICTIM.removesuffix(".csv")
LAST = f"{MINUTES[-1]}m TTC"

OF_BTC = ("--symbol", "BTC")
OF_ETH = ("--symbol", "ETH")
OF_DOGE = ("--symbol", "DOGE")


@dataclass(frozen=True)
class Fault:
    """A change to a good folder, and the refusal of it.

    `named` is what the message has to name, `{folder}` for the path; `below` is a path below the
    folder that is given instead of it.
    """

    spoil: Callable[[Path], object]
    named: tuple[str, ...] = ()
    code: int = 1
    options: tuple[str, ...] = OF_BTC
    below: str = ""


# Texts of a file that are no fingerprint

Change = Callable[[str], str | bytes]


def put(cell: str) -> Change:
    """Put a cell into the row of seven minutes and the column >= +0.10%."""

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


# Probabilities in the row of seven minutes and the column >= +0.10%.
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

# A change of the text; then the row and the column that are named, if it is in one.
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

CONTENTS: dict[str, tuple[Change, str | None, str | None]] = {
    **{name: (put(cell), "7m TTC", ">= +0.10%") for name, cell in CELLS.items()},
    **WHOLE,
    # The place of the column or the line, where it has no name of its own.
    **{name: (replace(">= +0.10%", title), None, "5") for name, title in COLUMN_NAMES.items()},
    "column-beyond-100": (replace(">= +0.10%", ">= +100.01%"), None, ">= +100.01%"),
    **{name: (replace("\n7m TTC,", f"\n{title},"), "8", None) for name, title in ROW_NAMES.items()},
}


def changed(change: Change) -> Callable[[Path], None]:
    """Change the text of one file of the folder."""

    def spoil(folder: Path) -> None:
        before = (folder / VICTIM).read_text()
        after = change(before)
        data = after if isinstance(after, bytes) else after.encode()
        assert data != before.encode()
        (folder / VICTIM).write_bytes(data)

    return spoil


# Names that are no fingerprint's

FILE_NAMES = (
    "btc_fingerprint_directional_momentum_5.csv",
    "btc_fingerprint_directional_momentum_01.csv",
    "btc_fingerprint_directional_momentum_-1.csv",
    "btc_fingerprint_directional_momentum_-001.csv",
    "btc_fingerprint_directional_momentum_-00.csv",
    "btc_fingerprint_directional_momentum_0.csv",
    "btc_fingerprint_directional_momentum_099.csv",
    "btc_fingerprint_directional_momentum_-99.csv",
    "btc_fingerprint_directional_momentum_1e1.csv",
    "btc_fingerprint_directional_momentum_nan.csv",
    "btc_fingerprint_directional_momentum_.csv",
    "btc_fingerprint_directional_momentum_005 (1).csv",
    "btc_fingerprint_directional_momentum_005 .csv",
    "btc_fingerprint_directional_momentum_005.csv.bak",
    "btc_fingerprint_directional_momentum_005.txt",
    "btc_fingerprint_directional_momentum_005",
    "btc_fingerprint_directional_momentum_005.CSV",
    "btc_fingerprint_directional_momentum_005.csv.gz",
    "BTC_FINGERPRINT_DIRECTIONAL_MOMENTUM_005.csv",
    "Btc_fingerprint_directional_momentum_005.csv",
    "btc_fingerprint_directional_Baseline.csv",
    "btc_fingerprint_momentum_005.csv",
    "_fingerprint_directional_momentum_005.csv",
    "eth_fingerprint_directional_momentum_005.csv",
    "pooled_fingerprint_directional_baseline.csv",
    "summary.csv",
    ",.csv",
)


def added(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text(5))


# Not regular files


def pipe(path: Path) -> None:
    os.mkfifo(path)


def bound_socket(path: Path) -> None:
    # The whole path may be longer than an address of a socket.
    with contextlib.chdir(path.parent), socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)


def too_large(path: Path) -> None:
    path.touch()
    os.truncate(path, LARGEST_BYTES + 1)


def sparse_terabyte(path: Path) -> None:
    path.touch()
    os.truncate(path, 2**40)


KINDS: dict[str, Callable[[Path], object]] = {
    "folder": Path.mkdir,
    "named-pipe": pipe,
    "socket": bound_socket,
    "too-large": too_large,
    "sparse-terabyte": sparse_terabyte,
    "dangling-link": lambda path: path.symlink_to("gone"),
    "link-to-itself": lambda path: path.symlink_to(path.name),
    "link-to-a-device": lambda path: path.symlink_to("/dev/zero"),
    "link-to-a-folder": lambda path: path.symlink_to("."),
}


def replaced(name: str, make: Callable[[Path], object]) -> Callable[[Path], None]:
    """Put something else where a file is, or beside the files."""

    def spoil(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        make(folder / name)

    return spoil


# Folders that are no whole set


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def emptied(*others: str) -> Callable[[Path], None]:
    """Leave nothing but files that are passed over."""

    def spoil(folder: Path) -> None:
        shutil.rmtree(folder)
        folder.mkdir()
        for name in others:
            (folder / name).write_text(text())

    return spoil


def instead(make: Callable[[Path], object]) -> Callable[[Path], None]:
    """Put something else where the folder is."""

    def spoil(folder: Path) -> None:
        shutil.rmtree(folder)
        make(folder)

    return spoil


def other_thresholds(folder: Path) -> None:
    (folder / VICTIM).write_text(text(1, header=titles(["0.00", "0.05", "0.15", "0.20"])))


def other_minutes(folder: Path) -> None:
    (folder / VICTIM).write_text(text(1, minutes=(*MINUTES[:-1], 60)))


def of_eth_as_well(folder: Path) -> None:
    write(folder, symbol="ETH")


of_doge = instead(lambda folder: write(folder, symbol="DOGE"))
a_file = instead(lambda path: path.write_text(text()))

SETS = {
    "no-baseline": Fault(without(file_name(BASELINE)), (file_name(BASELINE),), options=()),
    "other-thresholds": Fault(other_thresholds, (VICTIM, "column >= +0.10%"), options=()),
    "other-minutes": Fault(other_minutes, (VICTIM, f"row {LAST}"), options=()),
    "two-symbols": Fault(of_eth_as_well, ("BTC", "ETH"), code=2, options=()),
    "two-symbols-btc": Fault(of_eth_as_well, (file_name(BASELINE, "ETH"),)),
    "two-symbols-eth": Fault(of_eth_as_well, (file_name(BASELINE),), options=OF_ETH),
    "another-symbol": Fault(lambda _: None, (file_name(BASELINE), "BTC", "ETH"), options=OF_ETH),
    "unknown-symbol": Fault(of_doge, ("DOGE",), options=OF_DOGE),
    "unknown-symbol-of-the-files": Fault(of_doge, ("DOGE",), options=()),
    "empty-folder": Fault(emptied(), ("{folder}",), options=()),
    "files-passed-over": Fault(
        emptied(f".{file_name(BASELINE)}", "README.md"), ("{folder}",), options=()
    ),
    "no-folder": Fault(shutil.rmtree, ("{folder}",), options=()),
    "dangling-folder": Fault(
        instead(lambda path: path.symlink_to("gone")), ("{folder}",), options=()
    ),
    "file-instead-of-folder": Fault(a_file, ("{folder}",), options=()),
    "below-a-file": Fault(a_file, ("{folder}",), options=(), below="below"),
}

FAULTS: dict[str, Fault] = {
    **{
        f"text-{name}": Fault(
            changed(change),
            (VICTIM, *([f"row {row}"] if row else []), *([f"column {column}"] if column else [])),
        )
        for name, (change, row, column) in CONTENTS.items()
    },
    **{f"name-{name}": Fault(added(name), (name,)) for name in FILE_NAMES},
    **{
        f"{kind}-{'beside' if name == 'summary.csv' else 'instead'}": Fault(
            replaced(name, make), (name,), options=()
        )
        for kind, make in KINDS.items()
        for name in (VICTIM, "summary.csv")
    },
    **{f"set-{name}": fault for name, fault in SETS.items()},
}

# Statements that spoil a table, and what else but the table is named.
TABLES: dict[str, tuple[str, list[str]]] = {
    "null": (
        "UPDATE {} SET pos_0_10 = NULL WHERE time_to_close = '07m TTC'",
        ["row 07m TTC", "column pos_0_10"],
    ),
    "nan": (
        "UPDATE {} SET neg_0_10 = 'NaN' WHERE time_to_close = '07m TTC'",
        ["row 07m TTC", "column neg_0_10"],
    ),
    "101": (
        "UPDATE {} SET pos_0_10 = 101 WHERE time_to_close = '12m TTC'",
        ["row 12m TTC", "column pos_0_10", "101"],
    ),
    "negative": (
        "UPDATE {} SET pos_0_10 = -0.5 WHERE time_to_close = '07m TTC'",
        ["row 07m TTC", "column pos_0_10"],
    ),
    "infinity": (
        "ALTER TABLE {} ALTER pos_0_10 TYPE real USING '-Infinity'",
        ["row 12m TTC", "column pos_0_10"],
    ),
    "text": (
        "ALTER TABLE {} ALTER pos_0_10 TYPE text USING E'a\\x1b[31mb'",
        ["row 12m TTC", "column pos_0_10"],
    ),
    "row-twice": (
        "INSERT INTO {} (time_to_close) SELECT '7m TTC'",
        [],
    ),
    "row-twice-the-same": (
        "INSERT INTO {0} SELECT * FROM {0} WHERE time_to_close = '07m TTC'",
        ["row 07m TTC"],
    ),
    "row-missing": ("DELETE FROM {} WHERE time_to_close = '07m TTC'", ["row 7m TTC"]),
    "no-rows": ("DELETE FROM {}", []),
    "many-rows": (
        "INSERT INTO {0} SELECT t.* FROM {0} AS t, generate_series(1, 2000)",
        ["row 12m TTC"],
    ),
    "row-without-a-name": (
        "UPDATE {} SET time_to_close = NULL WHERE time_to_close = '07m TTC'",
        [],
    ),
    "row-with-a-bad-name": ("UPDATE {} SET time_to_close = '7 min'", ["7 min"]),
    "row-with-a-long-name": ("UPDATE {} SET time_to_close = repeat('7', 5000)", []),
    "row-beyond-a-day": ("UPDATE {} SET time_to_close = '1441m TTC'", ["1441m TTC"]),
    "without-time-to-close": ("ALTER TABLE {} DROP time_to_close", ["column time_to_close"]),
    "minutes-instead": (
        "ALTER TABLE {} RENAME time_to_close TO minutes_to_close",
        ["column time_to_close"],
    ),
    "no-neg": ("ALTER TABLE {} DROP neg_0_10", ["column neg_0_10"]),
    "no-pos": ("ALTER TABLE {} DROP pos_0_10", ["column pos_0_10"]),
    "both-missing": ("ALTER TABLE {} DROP pos_0_10, DROP neg_0_10", ["column >= +0.10%"]),
    "a-threshold-more": (
        "ALTER TABLE {} ADD pos_0_30 real DEFAULT 0, ADD neg_0_30 real DEFAULT 0",
        ["column >= +0.30%"],
    ),
    "threshold-twice": ("ALTER TABLE {} ADD pos_0_100 real DEFAULT 0", ["column pos_0_100"]),
    "threshold-beyond-100": (
        "ALTER TABLE {} ADD pos_100_01 real DEFAULT 0, ADD neg_100_01 real DEFAULT 0",
        ["column pos_100_01"],
    ),
    "bad-column": ("ALTER TABLE {} ADD pos_mean real", ["column pos_mean"]),
    "no-probabilities": (
        "ALTER TABLE {} "
        + ", ".join(
            f"DROP {way}_{t}" for way in ("pos", "neg") for t in ("0_00", "0_05", "0_10", "0_20")
        ),
        [],
    ),
    "swapped": (
        "ALTER TABLE {0} RENAME pos_0_05 TO x; ALTER TABLE {0} RENAME pos_0_10 TO pos_0_05;"
        " ALTER TABLE {0} RENAME x TO pos_0_10",
        ["column >= +0.10%"],
    ),
}

"""Room on the server for so many symbols, known before they are made."""

from __future__ import annotations

import shutil
from pathlib import Path

import psycopg

from pyupc.bench.scratch import Connection
from pyupc.errors import PyupcError

# Bytes on disk, with indexes: a symbol's curves and histograms; its candles and counts of a day.
_OF_A_SYMBOL = 15_000_000
_OF_A_DAY = 260_000
# The empty schema; the WAL up to its limit; room for what a measurement leaves behind.
_BASE = 3_000_000_000
_SPARE = 1.2

# Memory in bytes: backends that know all symbols, and what the processes of the measurements take.
_MEMORY = 400_000_000
_MEMORY_OF_A_SYMBOL = 500_000


def guessed(days: int) -> int:
    """Bytes on disk for a symbol with so many days, before one has been counted."""
    return _OF_A_SYMBOL + days * _OF_A_DAY


def require_disk(conn: Connection, symbols: int, each: int) -> None:
    """Refuse a server on this machine whose disk is too small; another's cannot be seen."""
    free = _free(conn)
    needed = int(_BASE + symbols * each * _SPARE)
    if free is not None and free < needed:
        raise PyupcError(
            f"{symbols:,} symbols need {needed / 1e9:.1f} GB of disk,"
            f" and {free / 1e9:.1f} GB are free at the server",
            "free space, or give a smaller --symbols or --days",
        )


def require_memory(conn: Connection, symbols: int) -> None:
    """Refuse a server with less memory available than the measurements take."""
    text = _read(conn, "/proc/meminfo")
    lines = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    if "MemAvailable" not in lines:
        return
    available = 1024 * int(lines["MemAvailable"].split()[0])
    needed = _MEMORY + symbols * _MEMORY_OF_A_SYMBOL
    if available < needed:
        raise PyupcError(
            f"{symbols:,} symbols need {needed / 1e9:.1f} GB of memory,"
            f" and {available / 1e9:.1f} GB are available at the server",
            "end other programs, or give a smaller --symbols",
        )


def _free(conn: Connection) -> int | None:
    """Bytes free where the server has its data; None if it is on another machine."""
    host = conn.info.host
    if not (host.startswith("/") or host in ("localhost", "127.0.0.1", "::1")):
        return None
    row = conn.execute("SHOW data_directory").fetchone()
    if row is None or not Path(row[0]).exists():
        return None
    return shutil.disk_usage(row[0]).free


def _read(conn: Connection, path: str) -> str:
    try:
        row = conn.execute("SELECT pg_read_file(%s, 0, 10000, true)", [path]).fetchone()
    except psycopg.Error:
        return ""
    return row[0] or "" if row else ""

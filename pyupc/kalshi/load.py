"""Loading events that were saved as JSON: all files or, on any error, none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

import click
import psycopg

from pyupc.errors import PyupcError
from pyupc.runtime.text import as_text
from pyupc.sql_errors import translate

MOST_BYTES = 64 << 20

HINT = (
    "save what GET /events/{event_ticker}?with_nested_markets=true, GET /markets"
    " or GET /markets/{ticker} answers"
)

_LOAD = """
    SELECT m.event_symbol, m.event_ticker, m.closes_at, m.markets, m.is_stored, m.left_out
    FROM upc.load_market(document => %s::jsonb, symbol => %s::text) AS m
"""

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True)
class Loaded:
    """An event of a file; `is_stored` is false if a newer reading is stored already.

    `left_out` names the markets that were not taken, each with the reason.
    """

    file: Path
    symbol: str
    event: str
    closes_at: datetime
    markets: int
    is_stored: bool
    left_out: list[str]

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "file": str(self.file), "closes_at": as_text(self.closes_at)}


def load(conn: Connection, paths: Sequence[Path], symbol: str | None) -> list[Loaded]:
    """Load the files in their order. Without a symbol each event's series decides."""
    with conn.transaction():
        in_utc(conn)
        return [each for path in paths for each in _load(conn, path, symbol)]


def in_utc(conn: Connection) -> None:
    """Until the transaction ends, read times without an offset as UTC; write all in ISO 8601."""
    conn.execute(
        """
        SELECT
            pg_catalog.set_config('DateStyle', 'ISO', true),
            pg_catalog.set_config('TimeZone', 'UTC', true)
        """
    )


def _load(conn: Connection, path: Path, symbol: str | None) -> list[Loaded]:
    text = read_document(path)
    try:
        rows = conn.execute(_LOAD, (text, symbol)).fetchall()
    except psycopg.Error as error:
        problem = translate(error)
        if type(problem) is PyupcError:
            raise _problem(path, problem.message, problem.hint or HINT) from error
        raise problem from error
    return [Loaded(path, *row) for row in rows]


def read_document(path: Path) -> str:
    """The text of a file that holds one JSON document; anything else is refused by its name."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        reason = "is a folder" if isinstance(error, IsADirectoryError) else error.strerror
        raise _problem(path, str(reason), "name files that can be read") from None
    if len(data) > MOST_BYTES:
        raise _problem(path, f"more than {MOST_BYTES >> 20} MB: this is no event")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _problem(path, "not JSON: no UTF-8") from None
    if "\0" in text:
        raise _problem(path, "not JSON: a NUL byte")
    _require_json(path, text)
    return text


def _require_json(path: Path, text: str) -> None:
    """Refuse other text with its line: PostgreSQL would refuse it as well, but not say where."""
    try:
        json.loads(text, parse_float=str, parse_int=str, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        if error.msg.startswith("Unterminated") or error.pos >= len(text.rstrip()):
            raise _problem(path, "not JSON: it ends too early", "fetch the file again") from None
        raise _problem(path, f"not JSON: {error.msg.lower()} in line {error.lineno}") from None
    except ValueError as error:
        raise _problem(path, f"not JSON: {error}") from None
    except RecursionError:
        raise _problem(path, "not JSON: nested too deep") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _problem(path: Path, message: str, hint: str = HINT) -> PyupcError:
    return PyupcError(f"{click.format_filename(path)}: {message}", hint)

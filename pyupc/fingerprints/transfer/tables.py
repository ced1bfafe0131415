"""The predecessor's own PostgreSQL tables, read over a connection that cannot write."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from decimal import Decimal, InvalidOperation
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pyupc.database.connect import connect
from pyupc.errors import DatabaseUnreachable, PyupcError, UsageProblem
from pyupc.fingerprints.transfer.fingerprint import (
    HIGHEST,
    Fingerprint,
    FingerprintSet,
    Problem,
    Refused,
    assemble,
    bad_number,
    columns_of,
)
from pyupc.fingerprints.transfer.names import LONGEST_MINUTES, NotAName, parse_row_name, parse_stem
from pyupc.sql_errors import one_line, translate

_APPLICATION = "pyupc fingerprints import"
_ROW_NAME = "time_to_close"
_COLUMN = re.compile(r"(pos|neg)_(\d{1,3})_(\d{1,20})", re.ASCII)

Connection = psycopg.Connection[tuple[Any, ...]]


def read_tables(
    dsn: str, schema: str, symbol: str | None, on_table: Callable[[int, int], None]
) -> FingerprintSet:
    """The set in the tables of a schema; Refused if any of them is not right.

    Without a symbol it is the one in the names of the tables. All tables are read as of one
    moment. The numbers are those that the files of the same set hold.
    """
    found: list[Fingerprint] = []
    problems: list[Problem] = []
    with _read_only(dsn) as conn:
        named = _tables(conn, schema, symbol)
        for done, (table, (_, bucket)) in enumerate(named.items(), start=1):
            try:
                found.append(_fingerprint(conn, schema, table, bucket))
            except Refused as refused:
                problems += refused.problems
            on_table(done, len(named))
    if problems:
        raise Refused(problems)
    return assemble(next(iter(named.values()))[0], _source(dsn, schema), found)


@contextmanager
def _read_only(dsn: str) -> Iterator[Connection]:
    """One transaction that cannot write. Errors of the server are marked as that server's."""
    try:
        with closing(connect(dsn, autocommit=False, application_name=_APPLICATION)) as conn:
            conn.read_only = True
            conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            try:
                # Whatever their server prefers: texts as Python's, and all digits of a double.
                conn.execute("SET client_encoding = 'UTF8'")
                conn.execute("SET extra_float_digits = 3")
                yield conn
            except psycopg.errors.ReadOnlySqlTransaction as error:
                raise PyupcError(
                    f"a view tries to write: {one_line(str(error.diag.message_primary))}",
                    "name tables or views that can be read without changing anything",
                ) from error
            except psycopg.Error as error:
                raise translate(error) from error
    except DatabaseUnreachable as error:
        raise DatabaseUnreachable(
            f"the server of --from-dsn: {error.message}",
            "check the connection string, and that the server runs",
        ) from error


def _source(dsn: str, schema: str) -> str:
    """Server and schema in words, without secrets."""
    known = conninfo_to_dict(dsn)
    kept = {key: str(known[key]) for key in ("host", "port", "dbname", "user") if known.get(key)}
    return one_line(f"tables of schema {schema}, {make_conninfo('', **kept) or 'default server'}")


def _tables(conn: Connection, schema: str, symbol: str | None) -> dict[str, tuple[str, int]]:
    """Symbol and bucket of each table that is a fingerprint by its name."""
    rows = conn.execute(
        r"""
        SELECT c.relname
        FROM pg_catalog.pg_class AS c
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = %s
            AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
            AND c.relname ~* '^[a-z0-9]+_fingerprint_'
        ORDER BY c.relname COLLATE "C"
        """,
        [schema],
    ).fetchall()
    named: dict[str, tuple[str, int]] = {}
    problems: list[Problem] = []
    for (table,) in rows:
        if symbol is not None and not table.lower().startswith(f"{symbol.lower()}_"):
            continue
        try:
            named[table] = parse_stem(table)
        except NotAName as error:
            problems.append(Problem(table, str(error)))
    if problems:
        raise Refused(problems)
    symbols = sorted({own for own, _ in named.values()})
    if len(symbols) > 1:
        raise UsageProblem(
            f"the schema {schema} has fingerprints of {', '.join(symbols)}",
            f"name one, for example --symbol {symbols[0]}",
        )
    if not named:
        whose = f"fingerprints of {symbol}" if symbol else "fingerprints"
        raise PyupcError(
            f"the schema {schema} of the server of --from-dsn has no {whose}",
            "name another one with --schema",
        )
    return named


def _fingerprint(conn: Connection, schema: str, table: str, bucket: int) -> Fingerprint:
    names = _columns(conn, schema, table)
    columns = _thresholds(names, table)
    thresholds = tuple(sorted({threshold for _, threshold in columns}))
    chosen = [(way, t, columns.get((way, t))) for t in thresholds for way in ("pos", "neg")]
    for way, threshold, name in chosen:
        if name is None:
            title = f"{way}_{threshold:f}".replace(".", "_")
            reason = "is missing, though the opposite one is there"
            raise Refused([Problem(table, reason, column=title)])
    query = sql.SQL("SELECT {} FROM {} LIMIT {}").format(
        sql.SQL(", ").join(
            sql.SQL("{}::text").format(sql.Identifier(name))
            for name in (_ROW_NAME, *(name for _, _, name in chosen if name is not None))
        ),
        sql.Identifier(schema, table),
        sql.Literal(LONGEST_MINUTES + 2),
    )
    rows: dict[int, list[str]] = {}
    for label, *cells in conn.execute(query):
        try:
            minutes = parse_row_name(label or "", is_padded=True)
        except NotAName as error:
            raise Refused([Problem(table, str(error))]) from None
        if minutes in rows:
            raise Refused([Problem(table, "is there twice", row=label)])
        rows[minutes] = [
            _number(table, label, name or "", cell)
            for (_, _, name), cell in zip(chosen, cells, strict=True)
        ]
    if not rows:
        raise Refused([Problem(table, "has no rows")])
    minutes_sorted = tuple(sorted(rows))
    return Fingerprint(
        bucket,
        thresholds,
        columns_of(f"{threshold:f}" for threshold in thresholds),
        minutes_sorted,
        tuple(tuple(rows[minutes][0::2]) for minutes in minutes_sorted),
        tuple(tuple(rows[minutes][1::2]) for minutes in minutes_sorted),
    )


def _columns(conn: Connection, schema: str, table: str) -> Sequence[str]:
    rows = conn.execute(
        """
        SELECT a.attname
        FROM pg_catalog.pg_attribute AS a
        JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = %s AND c.relname = %s AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY a.attnum
        """,
        [schema, table],
    ).fetchall()
    return [name for (name,) in rows]


def _thresholds(names: Sequence[str], table: str) -> dict[tuple[str, Decimal], str]:
    """The columns that hold probabilities; those of other kinds are passed over."""
    if _ROW_NAME not in names:
        raise Refused([Problem(table, "is missing", column=_ROW_NAME)])
    columns: dict[tuple[str, Decimal], str] = {}
    for name in names:
        if not name.startswith(("pos_", "neg_")):
            continue
        match = _COLUMN.fullmatch(name)
        if match is None:
            raise Refused([Problem(table, "is not of the form pos_0_05", column=name)])
        key = match[1], Decimal(f"{int(match[2])}.{match[3]}")
        if key[1] > HIGHEST:
            raise Refused([Problem(table, "is beyond 100 %", column=name)])
        if key in columns:
            raise Refused([Problem(table, f"is the same as {columns[key]}", column=name)])
        columns[key] = name
    if not columns:
        raise Refused([Problem(table, "has no columns such as pos_0_05")])
    return columns


def _number(table: str, row: str, column: str, text: str | None) -> str:
    """The number as pandas writes it: numeric(5,2) gives 14.00 where a file has 14.0."""
    if text is None:
        raise Refused([Problem(table, "the number is missing (NULL)", row, column)])
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise Refused([Problem(table, f"{text[:40]!r} is not a number", row, column)])
    digits = f"{number:f}"
    if "." in digits:
        digits = digits.rstrip("0")
    digits = digits + "0" if digits.endswith(".") else digits
    digits = digits if "." in digits else f"{digits}.0"
    if reason := bad_number(digits):
        raise Refused([Problem(table, reason, row, column)])
    return digits

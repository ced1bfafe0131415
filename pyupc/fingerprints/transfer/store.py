"""Sets in the database: stored, compared with another one, read back, chosen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import psycopg

from pyupc.fingerprints.transfer.fingerprint import Fingerprint, FingerprintSet, columns_of

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True)
class Imported:
    """`replaced` fingerprints were there before; `in_use` is the origin that answers now."""

    is_changed: bool
    replaced: int
    in_use: str


@dataclass(frozen=True)
class Comparison:
    """Cells of a fingerprint, or of all, beside the database; differences in percentage points.

    `missing` cells are not in the database; `largest` and `mean` are None if all of them are.
    """

    bucket: int | None
    compared: int
    differing: int
    missing: int
    largest: float | None
    mean: float | None

    @property
    def is_equal(self) -> bool:
        return self.differing == 0 and self.missing == 0


def import_set(conn: Connection, found: FingerprintSet) -> Imported:
    """Store and publish the set in place of the symbol's imported one, in one transaction."""
    with _staged(conn, found):
        row = conn.execute(
            """
            SELECT i.is_changed, i.replaced, i.in_use
            FROM upc.import_fingerprints(%s, %s, %s::numeric[]) AS i
            """,
            [found.symbol, found.source, list(found.thresholds)],
        ).fetchone()
    assert row is not None
    return Imported(*row)


def validate_set(conn: Connection, found: FingerprintSet, origin: str) -> list[Comparison]:
    """Compare every cell; a row for each fingerprint, then one for all of them."""
    with _staged(conn, found):
        rows = conn.execute(
            """
            SELECT v.bucket, v.compared, v.differing, v.missing, v.largest, v.mean
            FROM upc.validate_fingerprints(%s, %s, %s::numeric[]) AS v
            """,
            [found.symbol, origin, list(found.thresholds)],
        ).fetchall()
    return [Comparison(*row) for row in rows]


@contextmanager
def _staged(conn: Connection, found: FingerprintSet) -> Iterator[None]:
    """A transaction in which the set is staged."""
    # Each statement has to see what the import before this one has committed.
    conn.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
    with conn.transaction():
        conn.execute("SELECT upc.begin_fingerprint_import(%s)", [found.symbol])
        copy_fingerprints = "COPY staged_fingerprint (bucket, header, minutes) FROM STDIN"
        with conn.cursor() as cursor, cursor.copy(copy_fingerprints) as copy:
            for each in found.fingerprints:
                copy.write_row((each.bucket, list(each.header), list(each.minutes)))
        copy_curves = "COPY staged_curve (bucket, minutes, positive, negative) FROM STDIN"
        with conn.cursor() as cursor, cursor.copy(copy_curves) as copy:
            for each in found.fingerprints:
                for minutes, *sides in zip(each.minutes, each.positive, each.negative, strict=True):
                    # Text: numeric keeps the digits as they are written.
                    arrays = ("{" + ",".join(side) + "}" for side in sides)
                    copy.write_row((each.bucket, minutes, *arrays))
        yield


@contextmanager
def snapshot(conn: Connection) -> Iterator[None]:
    """A transaction that sees the sets as of one moment, whatever is imported meanwhile."""
    conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    conn.read_only = True
    with conn.transaction():
        yield


def use(conn: Connection, origin: str, symbols: Sequence[str]) -> list[str]:
    """Let compute_strikes answer from sets of that origin; returns the symbols chosen for.

    No symbols: all that have such a set.
    """
    rows = conn.execute(
        "SELECT * FROM upc.use_fingerprints(%s, %s)", [origin, list(symbols) or None]
    ).fetchall()
    return [symbol for (symbol,) in rows]


def buckets(conn: Connection, symbol: str, origin: str) -> list[int]:
    """The buckets of a set, the baseline last; none if there is no such set."""
    rows = conn.execute(
        """
        SELECT DISTINCT c.bucket FROM upc.fingerprint_curve AS c
        WHERE c.symbol = %s AND c.origin = %s
        ORDER BY c.bucket
        """,
        [symbol, origin],
    ).fetchall()
    return [bucket for (bucket,) in rows]


def origins(conn: Connection, symbol: str) -> dict[str, bool]:
    """The origins of the sets that a symbol has, and which one answers. UP002: unknown symbol."""
    conn.execute("SELECT upc.require_symbol(%s)", [symbol])
    rows = conn.execute(
        "SELECT s.origin, s.is_in_use FROM upc.fingerprint_set AS s WHERE s.symbol = %s", [symbol]
    ).fetchall()
    return dict(rows)


def imported_set(conn: Connection, symbol: str) -> list[Fingerprint]:
    """The imported fingerprints as they came."""
    row = conn.execute(
        "SELECT i.thresholds FROM upc_data.fingerprint_import AS i WHERE i.symbol = %s", [symbol]
    ).fetchone()
    assert row is not None
    layouts = conn.execute(
        """
        SELECT f.bucket, f.header, f.minutes FROM upc_data.imported_fingerprint AS f
        WHERE f.symbol = %s
        ORDER BY f.bucket
        """,
        [symbol],
    ).fetchall()
    curves = _curves(
        conn.execute(
            """
            SELECT c.bucket, c.minutes, c.positive::text[], c.negative::text[]
            FROM upc_data.imported_curve AS c
            WHERE c.symbol = %s
            """,
            [symbol],
        )
    )
    return [
        _fingerprint(bucket, tuple(row[0]), tuple(header), tuple(minutes), curves[bucket])
        for bucket, header, minutes in layouts
    ]


def built_set(conn: Connection, symbol: str, *, decimals: int | None = 2) -> list[Fingerprint]:
    """The fingerprints built from candles, in the predecessor's layout: two decimals, half up.

    `decimals` None: the shortest digits that name the same double.
    """
    row = conn.execute(
        """
        SELECT s.thresholds::numeric[] FROM upc.fingerprint_set AS s
        WHERE s.symbol = %s AND s.origin = 'built'
        """,
        [symbol],
    ).fetchone()
    assert row is not None
    thresholds = tuple(row[0])
    curves = _curves(
        conn.execute(
            """
            SELECT
                c.bucket,
                c.minutes,
                ARRAY(SELECT upc.percent_text(p, %(decimals)s) FROM unnest(c.positive) AS p),
                ARRAY(SELECT upc.percent_text(n, %(decimals)s) FROM unnest(c.negative) AS n)
            FROM upc.fingerprint_curve AS c
            WHERE c.symbol = %(symbol)s AND c.origin = 'built'
            ORDER BY c.bucket, c.minutes
            """,
            {"symbol": symbol, "decimals": decimals},
        )
    )
    header = columns_of(f"{threshold:.2f}" for threshold in thresholds)
    return [
        _fingerprint(bucket, thresholds, header, tuple(rows), rows)
        for bucket, rows in curves.items()
    ]


_Rows = dict[int, tuple[tuple[str, ...], tuple[str, ...]]]


def _curves(rows: Iterable[tuple[Any, ...]]) -> dict[int, _Rows]:
    curves: dict[int, _Rows] = defaultdict(dict)
    for bucket, minutes, positive, negative in rows:
        curves[bucket][minutes] = tuple(positive), tuple(negative)
    return dict(curves)


def _fingerprint(
    bucket: int,
    thresholds: tuple[Decimal, ...],
    header: tuple[str, ...],
    minutes: tuple[int, ...],
    rows: _Rows,
) -> Fingerprint:
    return Fingerprint(
        bucket,
        thresholds,
        header,
        minutes,
        tuple(rows[minute][0] for minute in minutes),
        tuple(rows[minute][1] for minute in minutes),
    )

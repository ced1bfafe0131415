"""Imports: the digits kept, the set replaced, the files refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from tests.support.engine import Connection, build, open_db, put, scalar, wait_until_blocked, walk
from tests.support.imported import (
    BASELINE,
    ImportedSet,
    Outcome,
    all_views,
    coded,
    import_set,
    stage,
    use,
)
from tests.support.nearest_by_brute_force import NAMES, Expected

FOUND = coded([-2, 0, 9], [1, 15, 60], ["0.00", "0.05", "1.7"])

STORED = (
    "SELECT i::text FROM upc_data.fingerprint_import AS i ORDER BY symbol",
    "SELECT f::text FROM upc_data.imported_fingerprint AS f ORDER BY symbol, bucket",
    "SELECT c::text FROM upc_data.imported_curve AS c ORDER BY symbol, bucket, minutes",
    "SELECT c::text FROM upc.fingerprint_curve AS c ORDER BY symbol, origin, bucket, minutes",
    "SELECT g::text FROM upc.fingerprint_grid AS g ORDER BY symbol, bucket",
    "SELECT e::text FROM upc_data.engine_object AS e ORDER BY 1",
)


def stored(conn: Connection) -> list[Any]:
    """All that an import leaves behind."""
    return [conn.execute(query).fetchall() for query in STORED]


def curves(conn: Connection, symbol: str = "BTC") -> dict[tuple[int, int], Any]:
    rows = conn.execute(
        "SELECT bucket, minutes, positive::text[], negative::text[] FROM upc_data.imported_curve "
        "WHERE symbol = %s",
        (symbol,),
    )
    return {(bucket, minutes): (up, down) for bucket, minutes, up, down in rows}


def published(conn: Connection, symbol: str = "BTC") -> dict[tuple[int, int], Any]:
    rows = conn.execute(
        "SELECT bucket, minutes, sample_size, positive, negative FROM upc.fingerprint_curve "
        "WHERE symbol = %s AND origin = 'imported'",
        (symbol,),
    )
    return {(bucket, minutes): (size, up, down) for bucket, minutes, size, up, down in rows}


def floats(found: ImportedSet) -> dict[tuple[int, int], Any]:
    return {
        key: (None, [float(x) for x in up], [float(x) for x in down])
        for key, (up, down) in found.curves.items()
    }


def changed(key: tuple[int, int], number: str, column: int = 0) -> ImportedSet:
    """The set with another number in one place."""
    up, down = FOUND.curves[key]
    other = [number if k == column else old for k, old in enumerate(up)]
    return replace(FOUND, curves={**FOUND.curves, key: (other, down)})


def test_every_digit_is_kept(db: Connection) -> None:
    numbers = ["5.0", "5.00", "0", "100", "100.0", "33.3333333333333333333333333333333", "1e-7"]
    sizes = ["0.0", "0.10", "0.5", "1", "1.70", "2.000", "3"]
    found = ImportedSet(sizes, {(7, 3): (numbers, numbers[::-1])})
    assert import_set(db, found) == Outcome(True, 0, "imported")
    # Of 1e-7 numeric keeps the digits, though not the spelling.
    kept = [*numbers[:-1], "0.0000001"]
    assert curves(db) == {(7, 3): (kept, kept[::-1])}
    query = "SELECT thresholds::text[] FROM upc_data.fingerprint_import"
    assert scalar(db, query) == sizes
    assert published(db) == floats(found)


def test_what_was_staged_is_what_is_stored(db: Connection) -> None:
    assert import_set(db, FOUND, source="here and there") == Outcome(True, 0, "imported")
    assert curves(db) == FOUND.curves
    assert published(db) == floats(FOUND)
    layouts = db.execute(
        "SELECT bucket, header, minutes FROM upc_data.imported_fingerprint ORDER BY bucket"
    ).fetchall()
    header = [f"{way}{size}%" for size in FOUND.thresholds for way in (">= +", "<= -")]
    assert layouts == [(bucket, header, [1, 15, 60]) for bucket in (-2, 0, 9, BASELINE)]
    row = db.execute("SELECT symbol, source, is_preferred FROM upc_data.fingerprint_import")
    assert row.fetchall() == [("BTC", "here and there", False)]


def test_the_same_set_again_changes_nothing(own: Connection) -> None:
    import_set(own, FOUND)
    before = stored(own)
    query = "SELECT c.ctid::text, g.ctid::text FROM upc_data.imported_curve AS c"
    query += " CROSS JOIN upc_data.fingerprint_grid AS g ORDER BY 1, 2"
    places = own.execute(query).fetchall()
    # Neither does another order of the rows.
    reversed_rows = dict(reversed(FOUND.curves.items()))
    assert import_set(own, FOUND, source="elsewhere") == Outcome(False, 0, "imported")
    assert stored(own) == before
    assert own.execute(query).fetchall() == places
    # The order of the minutes is that of the file, and part of what is kept.
    assert import_set(own, replace(FOUND, curves=reversed_rows)).is_changed


@pytest.mark.parametrize(
    "other",
    [
        changed((0, 15), "0.0195"),
        changed((0, 15), FOUND.curves[0, 15][0][0] + "0"),
        changed((BASELINE, 60), "99.99999999999999999999"),
        FOUND.without((0, 15)),
        FOUND.without(*((-2, minutes) for minutes in (1, 15, 60))),
        replace(FOUND, curves={**FOUND.curves, (9, 2): FOUND.curves[9, 1]}),
        replace(FOUND, thresholds=["0.00", "0.05", "1.70"]),
        replace(FOUND, thresholds=["0.00", "0.05", "1.75"]),
        coded([-2, 0, 9], [1, 15, 60], ["0.05", "1.7"]),
    ],
    ids=[
        *("a number", "a zero at its end", "the last digit", "a row less", "a fingerprint less"),
        *("a row more", "the spelling of a threshold", "a threshold", "a threshold less"),
    ],
)
def test_any_difference_is_a_change(db: Connection, other: ImportedSet) -> None:
    """The set is replaced as a whole: what the new one lacks is gone."""
    import_set(db, FOUND)
    assert import_set(db, other) == Outcome(True, 4, "imported")
    assert curves(db) == other.curves
    assert published(db) == floats(other)
    buckets = db.execute("SELECT bucket FROM upc_data.imported_fingerprint ORDER BY bucket")
    assert [bucket for (bucket,) in buckets] == sorted({bucket for bucket, _ in other.curves})
    assert import_set(db, other) == Outcome(False, 0, "imported")


def test_a_change_of_what_the_file_looks_like(db: Connection) -> None:
    """The order of the columns is part of what export gives back."""
    import_set(db, FOUND)
    stage(db, FOUND)
    db.execute("UPDATE staged_fingerprint SET header = header[3:4] || header[1:2] || header[5:6]")
    row = db.execute(
        "SELECT * FROM upc.import_fingerprints('BTC', 'a test', %s::numeric[])", (FOUND.thresholds,)
    )
    assert row.fetchall() == [(True, 4, "imported")]
    assert curves(db) == FOUND.curves


def test_a_threshold_of_the_same_size_spelled_otherwise_is_a_change(db: Connection) -> None:
    query = "SELECT * FROM upc.import_fingerprints('BTC', 'a test', %s::numeric[])"
    import_set(db, FOUND)
    stage(db, FOUND)
    assert db.execute(query, (["0.00", "0.05", "1.70"],)).fetchall() == [(True, 4, "imported")]
    assert db.execute(query, (["0.00", "0.05", "1.70"],)).fetchall() == [(False, 0, "imported")]


def test_sets_of_two_symbols_are_apart(db: Connection) -> None:
    other = coded([1], [2, 3], ["0.3"], first=9000)
    import_set(db, FOUND)
    import_set(db, other, "ETH")
    assert (curves(db), curves(db, "ETH")) == (FOUND.curves, other.curves)
    assert import_set(db, FOUND) == Outcome(False, 0, "imported")
    assert import_set(db, FOUND, "ETH") == Outcome(True, 2, "imported")
    assert curves(db) == curves(db, "ETH") == FOUND.curves


@pytest.mark.parametrize("origin", ["built", "imported"])
def test_a_choice_survives_another_import(db: Connection, origin: str) -> None:
    put(db, "BTC", walk(190, "2026-03-02", 100))
    build(db)
    import_set(db, FOUND)
    use(db, origin)
    assert import_set(db, FOUND) == Outcome(False, 0, origin)
    assert import_set(db, changed((0, 1), "7.5")) == Outcome(True, 4, origin)
    query = "SELECT is_preferred FROM upc_data.fingerprint_import"
    assert scalar(db, query) is (origin == "imported")


def test_when_it_was_imported(own: Connection) -> None:
    """The time of the last change; the same set again is none."""
    query = "SELECT imported_at FROM upc_data.fingerprint_import"
    now = "SELECT clock_timestamp()"
    before = scalar(own, now)
    import_set(own, FOUND)
    first = scalar(own, query)
    assert before < first < scalar(own, now)
    import_set(own, FOUND)
    assert scalar(own, query) == first
    import_set(own, changed((0, 1), "7.5"))
    assert first < scalar(own, query) < scalar(own, now)


def set_with(up: list[str], down: list[str], bucket: int = 0, minutes: int = 5) -> ImportedSet:
    """Beside a baseline without fault."""
    fine = (["1", "1"], ["1", "1"])
    return ImportedSet(["0.05", "0.1"], {(BASELINE, 5): fine, (bucket, minutes): (up, down)})


FINE = ["3", "2"]
# Each of them violates a check.
WRONG = {
    "NaN": set_with(["NaN", "2"], FINE),
    "NaN downward": set_with(FINE, ["3", "NaN"]),
    "negative": set_with(["-0.0001", "2"], FINE),
    "above 100": set_with(FINE, ["100.0000000000000000001", "2"]),
    "infinite": set_with(["Infinity", "2"], FINE),
    "NULL": set_with(["NULL", "2"], FINE),
    "NULL downward": set_with(FINE, ["3", "NULL"]),
    "one less downward": set_with(FINE, ["3"]),
    "one less than thresholds": set_with(["3"], ["3"]),
    "one more than thresholds": set_with([*FINE, "1"], [*FINE, "1"]),
    "no number": set_with([""], [""]),
    "minutes below zero": set_with(FINE, FINE, minutes=-1),
    "minutes beyond a day": set_with(FINE, FINE, minutes=1441),
    "bucket 100": set_with(FINE, FINE, bucket=100),
    "bucket -99": set_with(FINE, FINE, bucket=-99),
    "no curve": ImportedSet(["0.05"], {}),
    "no threshold": ImportedSet([], {(0, 5): ([""], [""])}),
    "threshold NaN": ImportedSet(["0.1", "NaN"], {(0, 5): (FINE, FINE)}),
    "threshold below zero": ImportedSet(["-0.1", "1"], {(0, 5): (FINE, FINE)}),
    "threshold above 100": ImportedSet(["1", "100.1"], {(0, 5): (FINE, FINE)}),
    "thresholds descending": ImportedSet(["0.1", "0.05"], {(0, 5): (FINE, FINE)}),
    "thresholds equal": ImportedSet(["0.1", "0.10"], {(0, 5): (FINE, FINE)}),
}


@pytest.mark.parametrize("is_replaced", [False, True], ids=["nothing there", "a set there"])
@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_set_of_probabilities(db: Connection, case: str, is_replaced: bool) -> None:
    """Refused as a whole; it leaves nothing behind."""
    if is_replaced:
        import_set(db, FOUND)
    before = stored(db)
    with pytest.raises(psycopg.errors.CheckViolation), db.transaction():
        import_set(db, WRONG[case])
    assert stored(db) == before


def test_the_same_set_again_mends_what_is_published(db: Connection) -> None:
    import_set(db, FOUND)
    before = stored(db)
    db.execute(
        "UPDATE upc_data.imported_curve SET positive = array_fill(0.5, ARRAY[3]) WHERE bucket = 9"
    )
    db.execute("SELECT upc.refresh_fingerprints()")
    curve = published(db)
    db.execute("DELETE FROM upc_data.imported_curve WHERE bucket = 9")
    for (bucket, minutes), (up, down) in FOUND.curves.items():
        if bucket == 9:
            db.execute(
                "INSERT INTO upc_data.imported_curve VALUES ('BTC', 9, %s, %s, %s)",
                (minutes, list(map(Decimal, up)), list(map(Decimal, down))),
            )
    assert published(db) == curve != floats(FOUND)
    assert not import_set(db, FOUND).is_changed
    assert published(db) == floats(FOUND)
    assert stored(db) == before


@pytest.mark.parametrize("symbol", ["XYZ", "btc", "*", "", None])
def test_unknown_symbols(db: Connection, symbol: str | None) -> None:
    for query in (
        "SELECT upc.begin_fingerprint_import(%s)",
        "SELECT upc.import_fingerprints(%s, 'a test', '{1}')",
        "SELECT upc.validate_fingerprints(%s, 'imported', '{1}')",
    ):
        stage(db, FOUND)
        with pytest.raises(psycopg.Error) as caught, db.transaction():
            db.execute(query.encode(), (symbol,))
        assert caught.value.sqlstate == "UP002"
        assert caught.value.diag.message_hint


def test_a_rollback_leaves_nothing_behind(fresh_db: str, own: Connection) -> None:
    before = stored(own), all_views(own)
    with open_db(fresh_db, autocommit=False) as other:
        import_set(other, coded([-31, 4], [5], ["0.1"]))
        assert stored(other) != before[0]
        other.rollback()
    assert (stored(own), all_views(own)) == before
    assert import_set(own, FOUND) == Outcome(True, 0, "imported")
    query = f"SELECT {NAMES} FROM upc.compute_strikes(97250, 4, ttc_seconds => 900)"
    assert own.execute(query.encode()).fetchall() == Expected.imported(FOUND).strikes(
        97_250, 4, 900
    )


@pytest.mark.parametrize("is_same", [False, True])
def test_two_imports_at_once(fresh_db: str, own: Connection, is_same: bool) -> None:
    """The second waits for the first, and finds what that one has committed."""
    other = FOUND if is_same else changed((0, 15), "77.7")
    with (
        open_db(fresh_db, autocommit=False) as first,
        open_db(fresh_db) as second,
        ThreadPoolExecutor(max_workers=1) as pool,
    ):
        import_set(first, FOUND)
        future = pool.submit(import_set, second, other)
        wait_until_blocked(own, second, future)
        first.commit()
        expected = Outcome(False, 0, "imported") if is_same else Outcome(True, 4, "imported")
        assert future.result(timeout=30) == expected
    assert curves(own) == other.curves
    assert published(own) == floats(other)


def test_an_import_beside_a_build(fresh_db: str, own: Connection) -> None:
    """Whichever comes second sees what the first one published."""
    put(own, "BTC", walk(191, "2026-03-02", 100))
    with (
        open_db(fresh_db, autocommit=False) as builder,
        open_db(fresh_db) as importer,
        ThreadPoolExecutor(max_workers=1) as pool,
    ):
        build(builder)
        future = pool.submit(import_set, importer, FOUND)
        wait_until_blocked(own, importer, future)
        builder.commit()
        assert future.result(timeout=30) == Outcome(True, 0, "built")
    query = "SELECT origin FROM upc.fingerprint_set WHERE symbol = 'BTC' ORDER BY origin"
    assert own.execute(query).fetchall() == [("built",), ("imported",)]

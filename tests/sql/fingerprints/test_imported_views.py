"""The named views on imported fingerprints: they show the set in use, and change with it."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support import brute_force
from tests.support.engine import Connection, build, open_db, put, walk
from tests.support.imported import (
    BASELINE,
    ImportedSet,
    all_views,
    coded,
    import_set,
    read_set,
    use,
    view_names,
    view_rows,
)

BTC = walk(170, "2026-01-05", 1200)
ETH = walk(171, "2026-01-05", 100, price=2500)
# Minutes and thresholds that the views have no place for, and others that the set lacks.
FOUND = coded(
    [-31, -30, -4, 0, 30, 31], [0, 1, 7, 60, 61, 90], ["0", "0.05", "0.07", "1.7", "2.95", "3"]
)

View = list[tuple[Any, ...]]


BUILT = {"BTC": BTC, "ETH": ETH}


def two_decimals(number: str) -> Decimal:
    return Decimal(number).quantize(Decimal("0.01"), ROUND_HALF_UP)


def rows_of(cells: dict[int, list[Decimal | None]]) -> View:
    """The 60 rows of a view from the 120 numbers of the minutes that have any."""
    nothing: list[Decimal | None] = [None] * 120
    return [(f"{m:02d}m TTC", m, *cells.get(m, nothing)) for m in range(1, 61)]


def imported_view(found: ImportedSet, bucket: int) -> View:
    places = {Fraction(size): place for place, size in enumerate(found.thresholds)}
    columns = [places.get(Fraction(k, 20)) for k in range(60)]
    return rows_of(
        {
            minutes: [
                None if place is None else two_decimals(side[place])
                for place in columns
                for side in sides
            ]
            for (b, minutes), sides in found.curves.items()
            if b == bucket
        }
    )


def built_view(curves: brute_force.Curves, bucket: int) -> View:
    cells: dict[int, list[Decimal | None]] = {}
    for (b, minutes), curve in curves.items():
        if b == bucket:
            pairs = np.stack([curve.positive, curve.negative], axis=1).ravel().tolist()
            cells[minutes] = [two_decimals(f"{value:.15g}") for value in pairs]
    return rows_of(cells)


def name(bucket: int, symbol: str = "btc") -> str:
    kind = "baseline" if bucket == BASELINE else f"momentum_{bucket:03d}"
    return f"{symbol}_fingerprint_directional_{kind}"


def assert_imported(views: dict[str, View], found: ImportedSet) -> None:
    """Every view of BTC."""
    for bucket in [*range(-30, 31), *{bucket for bucket, _ in found.curves}]:
        assert views[name(bucket)] == imported_view(found, bucket), bucket


def assert_built(views: dict[str, View]) -> None:
    curves = brute_force.fingerprints(BTC.minutes, BTC.closes)
    for bucket in [*range(-30, 31), BASELINE]:
        assert views[name(bucket)] == built_view(curves, bucket), bucket


def test_they_show_the_set_in_use(conn: Connection) -> None:
    before = all_views(conn)
    assert len(before) == 125
    assert_built(before)
    import_set(conn, FOUND)
    assert_built(all_views(conn))
    use(conn, "imported")
    views = all_views(conn)
    assert_imported(views, FOUND)
    others = {view for view in before if not view.startswith("btc")}
    assert len(others) == 63
    assert {view: views[view] for view in others} == {view: before[view] for view in others}
    use(conn, "built")
    assert {view: rows for view, rows in all_views(conn).items() if view in before} == before


def test_the_predecessors_set(conn: Connection, shared_data: Path) -> None:
    found = read_set(shared_data / "legacy" / "btc")
    import_set(conn, found)
    use(conn, "imported")
    views = all_views(conn)
    assert len(views) == 125
    assert_imported(views, found)
    # Thresholds that its files lack.
    for bucket in range(-30, 31):
        for _, _, *values in views[name(bucket)]:
            unknown = [k for k in range(60) if None in values[2 * k : 2 * k + 2]]
            assert unknown == [34, *range(41, 60)]
    minute = dict(zip(range(1, 61), views[name(7)], strict=True))[15]
    up, down = found.curves[7, 15]
    assert minute[:6] == ("15m TTC", 15, *map(Decimal, (up[0], down[0], up[1], down[1])))


def test_minutes_and_thresholds_that_a_set_lacks(conn: Connection) -> None:
    import_set(conn, FOUND)
    use(conn, "imported")
    rows = view_rows(conn, name(31))
    assert [row[1] for row in rows] == list(range(1, 61))
    assert [row[1] for row in rows if set(row[2:]) != {None}] == [1, 7, 60]
    [known] = [row for row in rows if row[1] == 7]
    # 0.00, 0.05, 1.70 and 2.95; 0.07 and 3 have no column.
    assert [k for k in range(120) if known[2 + k] is not None] == [0, 1, 2, 3, 68, 69, 118, 119]


def test_numbers_are_rounded_half_up(conn: Connection) -> None:
    numbers = ["0.005", "0.0049999", "2.675", "1.005", "99.995", "100", "8.125", "0.1350000000000"]
    sizes = [f"{k / 20:.2f}" for k in range(len(numbers))]
    import_set(conn, ImportedSet(sizes, {(BASELINE, 9): (numbers, numbers[::-1])}))
    use(conn, "imported")
    row = view_rows(conn, name(BASELINE))[8]
    rounded = ["0.01", "0.00", "2.68", "1.01", "100.00", "100.00", "8.13", "0.14"]
    assert row[2:18:2] == tuple(map(Decimal, rounded))
    assert row[3:18:2] == tuple(map(Decimal, rounded[::-1]))


@pytest.mark.slow
def test_all_change_together_on_commit(fresh_db: str, own: Connection) -> None:
    put(own, "BTC", BTC)
    build(own)
    before = all_views(own)
    with open_db(fresh_db, autocommit=False) as other:
        import_set(other, FOUND)
        use(other, "imported")
        assert all_views(own) == before
        assert_imported(all_views(other), FOUND)
        other.commit()
    assert_imported(all_views(own), FOUND)
    with open_db(fresh_db, autocommit=False) as other:
        use(other, "built")
        assert_imported(all_views(own), FOUND)
        other.commit()
    assert {view: rows for view, rows in all_views(own).items() if view in before} == before


# Buckets beyond thirty.


def unrecorded(conn: Connection) -> list[tuple[Any, ...]]:
    """The objects that the next upgrade would take for a user's, and refuse to drop."""
    return conn.execute(
        "SELECT c.identity FROM upc.engine_object_candidates() AS c "
        "EXCEPT SELECT o.identity FROM upc_data.engine_object AS o"
    ).fetchall()


def catalogue(conn: Connection) -> list[str]:
    rows = conn.execute("SELECT fingerprint FROM upc.fingerprint_catalogue ORDER BY 1")
    return [name for (name,) in rows]


def test_buckets_up_to_thirty_bring_no_views(conn: Connection) -> None:
    names = view_names(conn)
    assert len(names) == 125
    import_set(conn, coded(range(-30, 31), [5], ["0.1"]))
    assert view_names(conn) == names
    assert sorted(catalogue(conn)) == names
    assert unrecorded(conn) == []


def test_buckets_beyond_thirty_bring_theirs(conn: Connection) -> None:
    names = view_names(conn)
    import_set(conn, coded([-98, -31, 0, 31, 44], [5], ["0.1"]), "ETH")
    new = [name(bucket, "eth") for bucket in (-98, -31, 31, 44)]
    assert new[:2] == [f"eth_fingerprint_directional_momentum_-{k}" for k in (98, 31)]
    assert sorted(view_names(conn)) == sorted([*names, *new])
    assert sorted(catalogue(conn)) == sorted([*names, *new])
    assert unrecorded(conn) == []
    # Until they are used they have nothing to show.
    assert view_rows(conn, new[0]) == rows_of({})
    use(conn, "imported")
    rows = view_rows(conn, new[0])
    assert rows[4][4:6] == (None, None)
    assert rows[4][6:8] != (None, None)


def test_a_bucket_beyond_thirty_that_goes_has_nothing_to_show(conn: Connection) -> None:
    import_set(conn, coded([-31, 0, 31], [5], ["0.1"]))
    use(conn, "imported")
    assert view_rows(conn, name(31)) != rows_of({})
    import_set(conn, coded([0], [5], ["0.1"]))
    assert len(catalogue(conn)) == 125
    assert view_rows(conn, name(31)) == rows_of({})
    assert unrecorded(conn) == []

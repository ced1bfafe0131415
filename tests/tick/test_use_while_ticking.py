"""Another set of fingerprints while `pyupc tick` runs: the next tick answers from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path

from tests.support.engine import Connection, open_db, scalar
from tests.support.imported import coded, import_set, use
from tests.support.market import fill, pyupc, read
from tests.support.nearest_by_brute_force import Cells, Expected
from tests.support.ticking import ended, instant, ticking, two_decimals, until

FIRST = coded(range(-31, 32), [1, 20, 45], ["0", "0.05", "0.3", "0.8", "1.65", "1.75"])
SECOND = coded([-4, 5], [3, 50], ["0.1", "0.4"], first=50_000)

# A tick that began so long before a change may read after it.
UNDER_WAY = timedelta(seconds=0.1)

NOW = "SELECT clock_timestamp()"


@dataclass(frozen=True)
class Change:
    """Committed between two instants; `answering` is the set from then on."""

    answering: str
    before: datetime
    after: datetime


def built(conn: Connection) -> Expected:
    """The built set as it was published; other tests compare it with the candles."""
    rows = conn.execute(
        "SELECT bucket, minutes, positive, negative, sample_size FROM upc.fingerprint_curve "
        "WHERE symbol = 'BTC' AND origin = 'built'"
    )
    cells = {(bucket, minutes): Cells(*curve) for bucket, minutes, *curve in rows}
    return Expected([Fraction(k, 20) for k in range(60)], cells)


def changes(dsn: str, conn: Connection) -> list[tuple[str, Callable[[], object]]]:
    def chosen_by_command() -> None:
        done = pyupc(dsn, "fingerprints", "use", "imported", "--symbol", "BTC")
        assert done.returncode == 0

    return [
        ("first", chosen_by_command),
        ("built", lambda: use(conn, "built")),
        ("first", lambda: use(conn, "imported")),
        ("second", lambda: import_set(conn, SECOND)),
        ("built", lambda: use(conn, "built", ["BTC"])),
        # Beside the set in use: nothing changes.
        ("built", lambda: import_set(conn, FIRST)),
        ("first", lambda: use(conn, "imported", ["BTC"])),
    ]


def ticks(conn: Connection, sets: dict[str, Expected]) -> list[tuple[datetime, str]]:
    """Time of each tick, and the set that all of it was answered from."""
    rows = conn.execute(
        "SELECT ticked_at, price, momentum, ttc_seconds, fingerprint, strikes, prob_above "
        "FROM upc_data.tick ORDER BY tick_id"
    )
    found = []
    for at, price, momentum, ttc, *answer in rows:
        tables = {name: each.strikes(price, momentum, ttc) for name, each in sets.items()}
        [origin] = [
            name
            for name, table in tables.items()
            if answer == [table[0][10], [row[0] for row in table], [row[8] for row in table]]
        ]
        found.append((at, origin))
    return found


def test_the_next_tick_after_a_change_answers_from_the_other_set(
    fresh_db: str, tmp_path: Path
) -> None:
    fill(fresh_db, ("BTC",))
    # Standardised moves are not imported: the plain ones are what changes.
    options = ("--feed", "simulated", "--interval", "0.05", "--symbol", "BTC", "--legacy")
    with (
        open_db(fresh_db) as conn,
        ticking(fresh_db, "tick", *options, "--out", tmp_path) as process,
    ):
        import_set(conn, FIRST)

        def has_ticked_since(at: datetime) -> bool:
            query = "SELECT count(*) FROM upc_data.tick WHERE ticked_at > %s"
            return int(scalar(conn, query, at)) >= 5

        began = scalar(conn, NOW)
        until(lambda: has_ticked_since(began))
        done = [Change("built", began, began)]
        for answering, change in changes(fresh_db, conn):
            before = scalar(conn, NOW)
            change()
            done.append(Change(answering, before, scalar(conn, NOW)))
            until(lambda: has_ticked_since(done[-1].after))
        process.terminate()
        assert ended(process) == (0, "")

        sets = {
            "built": built(conn),
            "first": Expected.imported(FIRST),
            "second": Expected.imported(SECOND),
        }
        seen = ticks(conn, sets)
        live = read(tmp_path, "BTC", "live_probabilities")

    for each, following in zip(done, [*done[1:], None], strict=True):
        end = following.before - UNDER_WAY if following else seen[-1][0]
        answers = [origin for at, origin in seen if each.after < at <= end]
        assert answers
        assert set(answers) == {each.answering}
    # Ticks amid a change use one set or the other, and never the old one again.
    order = [origin for k, (_, origin) in enumerate(seen) if not k or origin != seen[k - 1][1]]
    assert order == ["built", "first", "built", "first", "second", "built", "first"]

    last = sets["first"].strikes(live["current_price"], live["momentum_bps"], live["ttc_seconds"])
    assert instant(live["timestamp"]) == seen[-1][0]
    assert live["fingerprint_csv"] == f"{last[0][10]}.csv"
    for row, expected in zip(live["probabilities"], last, strict=True):
        assert row["strike"] == expected[0]
        assert row["positive_prob"] == two_decimals(expected[6])
        assert row["negative_prob"] == two_decimals(expected[7])

"""Expired rows are deleted: by `pyupc db prune`, and by a tick between rounds."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pyupc.database.connect import connect
from pyupc.errors import PyupcError
from pyupc.tick.job import Job
from pyupc.tick.maintenance import Retention
from pyupc.tick.run import run
from tests.support.market import fill, pyupc, rows

# Column of a row's time, and the days for which it is kept.
TABLES = {
    "price": ("received_at", 45),
    "tick": ("ticked_at", 90),
    "announcement": ("announced_at", 90),
}
OTHER_COLUMNS = {
    "price": ("exchange, price", "'x', 1.0"),
    "tick": (
        "tick_id, feed, state, market_at, price, priced_at, ttc_seconds, method, fingerprint,"
        " strikes, prob_above",
        "upc._next_id(n, 'tick'), 'x', 'fresh', now(), 1.0, now(), 1, 'nearest', 'f', '{1}', '{1}'",
    ),
    "announcement": (
        "announcement_id, kind, subject, message, document",
        "upc._next_id(n, 'announcement'), 'stale', 'price', 'm', '{}'",
    ),
}


def crowd(dsn: str, each: int) -> None:
    """Add rows to every table and symbol: as many expired an hour ago as expire in an hour.

    A minute apart, so that thinning keeps each tick.
    """
    with connect(dsn) as conn:
        for table, (column, days) in TABLES.items():
            names, values = OTHER_COLUMNS[table]
            query = (
                f"INSERT INTO upc_data.{table} (symbol, {column}, {names})"
                f" SELECT n, now() - interval '{days} days' + h * interval '1 hour'"
                f" + k * interval '1 minute', {values}"
                " FROM unnest(ARRAY['BTC', 'ETH']) AS n, unnest(ARRAY[-1, 1]) AS h,"
                f" generate_series(1, {each}) AS k"
            )
            conn.execute(query.encode())


def counts(dsn: str) -> dict[str, int]:
    places = {table: f"upc_data.{table}" for table in TABLES} | {"tick": "analytics.logged_tick"}
    return {table: rows(dsn, f"SELECT count(*) FROM {places[table]}")[0][0] for table in TABLES}


def oldest(dsn: str) -> dict[str, float]:
    """Age in days."""
    return {
        table: float(
            rows(
                dsn,
                f"SELECT extract(epoch FROM now() - min({column})) / 86400"
                f" FROM {'analytics.logged_tick' if table == 'tick' else f'upc_data.{table}'}",
            )[0][0]
        )
        for table, (column, _) in TABLES.items()
    }


@pytest.mark.parametrize("batch", ["7", "5000"])
def test_all_that_is_too_old_is_deleted_and_nothing_else(fresh_db: str, batch: str) -> None:
    crowd(fresh_db, 20)
    done = pyupc(fresh_db, "db", "prune", "--batch", batch, "--json")
    assert done.returncode == 0
    deleted = json.loads(done.stdout)
    assert [deleted[name] for name in ("prices", "ticks", "announcements")] == [40, 40, 40]
    assert counts(fresh_db) == dict.fromkeys(TABLES, 40)
    assert all(age < TABLES[table][1] for table, age in oldest(fresh_db).items())
    done = pyupc(fresh_db, "db", "prune", "--json")
    assert set(json.loads(done.stdout).values()) == {0}


def test_people_read_a_sentence(fresh_db: str) -> None:
    crowd(fresh_db, 2)
    done = pyupc(fresh_db, "db", "prune")
    assert done.returncode == 0
    for words in ("4 prices", "4 ticks,", "4 announcements", "0 events"):
        assert words in done.stdout


def test_a_setting_that_makes_no_sense_is_refused(fresh_db: str, tmp_path: Path) -> None:
    with connect(fresh_db) as conn:
        conn.execute(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET upc.keep_ticks = ''1 hour''',"
            " current_database()); END $$"
        )
    crowd(fresh_db, 1)
    assert pyupc(fresh_db, "db", "prune").returncode == 1
    assert pyupc(fresh_db, "db", "prune", "--batch", "0").returncode == 2
    assert pyupc(f"host={tmp_path} dbname=x", "db", "prune").returncode == 3
    assert counts(fresh_db) == dict.fromkeys(TABLES, 4)


# Between two rounds.


def test_a_tick_deletes_a_batch_at_a_time(fresh_db: str, tmp_path: Path) -> None:
    fill(fresh_db, ("BTC",))
    crowd(fresh_db, 20)
    job = Job(
        fresh_db, "simulated", tmp_path, ("BTC",), interval=0.1, count=15, retention_seconds=0.3
    )
    assert run(job).exit_code == 0
    left = counts(fresh_db)
    assert left == {"price": 40, "tick": 40 + 15, "announcement": 40}


@pytest.mark.parametrize("refusal", [PyupcError("no room"), PyupcError("no right")])
def test_a_failure_is_logged_once_and_stops_nothing(
    caplog: pytest.LogCaptureFixture, refusal: PyupcError
) -> None:
    deleting = _Deleting(refusal)
    for _ in range(600):
        deleting.round()
    assert len(deleting.calls) == 10
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1
    deleting.refusal = None
    caplog.clear()
    for _ in range(600):
        deleting.round()
    levels = [record.levelno for record in caplog.records if record.levelno >= logging.WARNING]
    assert levels == [logging.WARNING]


def test_it_waits_for_a_minute_and_for_time_enough() -> None:
    deleting = _Deleting()
    for _ in range(180):
        deleting.round(left=0.1)
    assert deleting.calls == []
    for _ in range(180):
        deleting.round()
    gaps = [b - a for a, b in zip(deleting.calls, deleting.calls[1:], strict=False)]
    assert gaps == [60.0, 60.0]


@dataclass
class _Deleting:
    """Rounds of a second each."""

    refusal: PyupcError | None = None
    time: float = 0.0
    calls: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.retention = Retention(self._delete, 60.0, 1.0, lambda: self.time)

    def round(self, left: float = 0.9) -> None:
        self.time += 1
        self.retention.tend(left)

    def _delete(self) -> int:
        self.calls.append(self.time)
        if self.refusal is not None:
            raise self.refusal
        return 3

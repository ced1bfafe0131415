"""A disk becomes full while `pyupc tick` runs: the one of its files, or the database's."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from pyupc.database.connect import connect
from pyupc.errors import PyupcError
from tests.support.cluster import Server, Template
from tests.support.disk import Disk, small_disk
from tests.support.market import rows
from tests.support.processes import more_ticks, until
from tests.support.running_tick import running_tick
from tests.support.status_readers import light

pytestmark = pytest.mark.slow


def test_the_disk_of_the_files(server: Server, server_folder: Path, tmp_path: Path) -> None:
    with (
        small_disk(server_folder / "live", "256k") as disk,
        running_tick(server, tmp_path, live=disk.path) as running,
    ):
        disk.fill()
        # The status file cannot be written either; the command must report it.
        running.has_files = False
        shown = running.shows("no space")
        assert shown.exit_code == 1
        # The database goes on.
        query = "SELECT count(*) FROM upc_data.tick"
        [(before,)] = rows(server.dsn(), query)
        until(lambda: rows(server.dsn(), query)[0][0] > before + 3)
        disk.empty()
        running.has_files = True
        running.heals()


@contextmanager
def on_a_small_disk(
    template: Template, folder: Path, size: str, moved: str
) -> Iterator[tuple[Server, Disk]]:
    """A server with that part of its data folder on a small disk; nothing: the whole."""
    # It would give room back to the disk at a moment of its own.
    server = Server(template, folder / "server", settings={"autovacuum": "off"})
    with small_disk(folder / "disk", size) as disk:
        if moved:
            server.create()
            part = server.data / moved
            server.give(disk.path)
            disk.path.chmod(0o700)
            shutil.copytree(part, disk.path, dirs_exist_ok=True, copy_function=_moved)
            for path in disk.path.rglob("*"):
                server.give(path)
            shutil.rmtree(part)
            part.symlink_to(disk.path)
        else:
            server.data = disk.path / "data"
            server.create()
        server.start()
        try:
            yield server, disk
        finally:
            server.stop()


def _moved(source: str, target: str) -> str:
    shutil.move(source, target)
    return target


def test_the_disk_of_the_tables(
    cluster_template: Template, server_folder: Path, tmp_path: Path
) -> None:
    with (
        on_a_small_disk(cluster_template, server_folder, "192m", "base") as (server, disk),
        running_tick(server, tmp_path) as running,
    ):
        disk.fill()
        shown = running.shows("no space")
        assert shown.exit_code == 1
        disk.empty()
        running.heals()


# Rows that are dead and gone leave room inside their tables.
USED_BEFORE = """
    DO $$
    BEGIN
        FOR k IN 1..200 LOOP
            UPDATE upc_data.tick SET state = state;
            UPDATE upc_data.price SET price = price;
            UPDATE upc_data.document
            SET live_probabilities = (live_probabilities::text || ' ')::json,
                strike_table = (strike_table::text || ' ')::json,
                watchlist = (watchlist::text || ' ')::json;
        END LOOP;
    END
    $$
"""


def test_ticks_that_find_room_on_a_full_disk_are_not_taken_for_health(
    cluster_template: Template, server_folder: Path, tmp_path: Path
) -> None:
    with (
        on_a_small_disk(cluster_template, server_folder, "192m", "base") as (server, disk),
        running_tick(server, tmp_path) as running,
    ):
        with connect(server.dsn()) as conn:
            conn.execute(USED_BEFORE)
            # A tick that waited for this may see the old rows still, so that they have to stay.
            more_ticks(running.reader)
            tables = "upc_data.tick, upc_data.price, upc_data.document"
            conn.execute(f"VACUUM (TRUNCATE false) {tables}".encode())
        for _ in range(3):
            # There has been a server that was asked before.
            assert light(server.dsn()).is_healed
        disk.fill()
        more_ticks(running.reader, 2)
        assert light(server.dsn()).exit_code == 1
        assert light(server.dsn()).exit_code == 1
        disk.empty()
        running.heals()


def test_the_disk_of_the_write_ahead_log(
    cluster_template: Template, server_folder: Path, tmp_path: Path
) -> None:
    with (
        on_a_small_disk(cluster_template, server_folder, "128m", "pg_wal") as (server, disk),
        running_tick(server, tmp_path) as running,
    ):
        disk.fill()
        use_up_the_log(server)
        assert "PANIC" in server.log
        # It cannot even recover, and ends, mostly by itself. Then it is started again and again.
        with suppress(AssertionError):
            until(lambda: not server.is_running, 3)
        server.kill()
        with pytest.raises(AssertionError):
            server.start(seconds=1)
        # It is the full disk that it hears of first, or that the server is gone.
        shown = running.shows("space", "lost")
        assert shown.exit_code == 3
        disk.empty()
        server.start()
        running.heals()


def use_up_the_log(server: Server) -> None:
    """Begin new files of the log until there is no room for another."""
    with suppress(psycopg.Error, PyupcError), connect(server.dsn()) as conn:
        while True:
            conn.execute("SELECT pg_logical_emit_message(true, 'test', 'x'), pg_switch_wal()")

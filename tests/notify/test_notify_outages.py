"""`pyupc notify` while the tick or the database is away."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

pytest.importorskip("apprise", reason="needs the extra notify")

from pyupc.database.connect import connect
from pyupc.database.migrate import upgrade
from pyupc.embedded.cluster import Cluster
from pyupc.embedded.home import Home
from pyupc.notify import outbox
from pyupc.notify.connection import Link
from tests.notify.receivers import Receiver, announce, cursors, notifying, receiving, until
from tests.support.market import fill, rows

OURS = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
    " WHERE application_name = 'pyupc notify' AND datname = %s"
)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@contextmanager
def away(server_dsn: str, dsn: str) -> Iterator[None]:
    """The database cannot be connected to for a while."""
    name = str(conninfo_to_dict(dsn)["dbname"])
    here, gone = sql.Identifier(name), sql.Identifier(f"{name}_gone")
    rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
    allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    with connect(server_dsn) as server:
        # Disconnected clients would be back before the database can be renamed.
        server.execute(allow.format(here, sql.SQL("false")))
        server.execute(OURS, (name,))
        server.execute(rename.format(here, gone))
    try:
        yield
    finally:
        with connect(server_dsn) as server:
            server.execute(rename.format(gone, here))
            server.execute(allow.format(here, sql.SQL("true")))


def titles(receiver: Receiver) -> list[str]:
    return [message["title"] for message in list(receiver.messages)]


def tick(dsn: str, age: timedelta) -> None:
    """A tick of a live feed that was so long ago."""
    with connect(dsn) as conn:
        conn.execute(
            "SELECT upc.record_price('BTC', 'coinbase', 97000, received_at => now() - %s)", (age,)
        )
        conn.execute(
            "SELECT FROM upc.tick('BTC', 'coinbase', at => now() - %s, holder => 'test',"
            " lease => '1 hour')",
            (age,),
        )


def test_a_tick_that_is_dead_is_announced_and_then_that_it_is_back(
    fresh_db: str, receiver: Receiver, tmp_path: Path
) -> None:
    fill(fresh_db, ("BTC",))
    with notifying(fresh_db, tmp_path, "--to", receiver.url, "--name", "phone") as notify:
        until(lambda: notify.is_ready)
        tick(fresh_db, timedelta(minutes=2))
        until(lambda: titles(receiver) == ["BTC halted: tick"])
        tick(fresh_db, timedelta(0))
        until(lambda: len(receiver.messages) >= 2)
        assert notify.end() == 0
    assert titles(receiver)[:2] == ["BTC halted: tick", "BTC recovered: tick"]


@pytest.mark.slow
def test_a_symbol_that_is_registered_later_is_heard(
    fresh_db: str, receiver: Receiver, tmp_path: Path
) -> None:
    with notifying(fresh_db, tmp_path, "--to", receiver.url, "--name", "phone") as notify:
        until(lambda: notify.is_ready)
        with connect(fresh_db) as conn:
            conn.execute("SELECT upc.add_symbol('SOL', 1)")
        announce(fresh_db, "first", symbol="SOL")
        until(lambda: receiver.bodies == ["first"])
        assert notify.end() == 0


@pytest.mark.slow
def test_an_outage_of_the_database_and_its_end_are_sent(
    server_dsn: str, fresh_db: str, tmp_path: Path, receiver: Receiver
) -> None:
    to = ("--to", receiver.url, "--name", "phone")
    with receiving() as other, receiving() as dead:
        pass
    more = ("--to", dead.url, "--name", "dead", "--to", other.url, "--name", "other")
    with notifying(fresh_db, tmp_path, *to, *more) as notify:
        until(lambda: notify.is_ready)
        with away(server_dsn, fresh_db):
            until(lambda: titles(receiver) == ["pyupc halted: database"])
        last = announce(fresh_db, "first")
        until(lambda: len(receiver.messages) == 3)
        until(lambda: cursors(fresh_db)[("phone", "BTC")] == last)
        with receiving(dead):
            until(lambda: dead.messages, 60)
        assert notify.end() == 0
    assert sorted(titles(receiver)[1:]) == ["BTC stop: trade", "pyupc recovered: database"]
    # It never heard that the database was lost.
    assert titles(dead) == ["BTC stop: trade"]
    assert notify.logged("ERROR pyupc.notify: database") == 1
    assert notify.logged("WARNING pyupc.notify: database: back after") == 1


def test_a_short_outage_is_not_sent(
    server_dsn: str, fresh_db: str, receiver: Receiver, tmp_path: Path
) -> None:
    with notifying(fresh_db, tmp_path, "--to", receiver.url, "--name", "phone") as notify:
        until(lambda: notify.is_ready)
        with away(server_dsn, fresh_db):
            until(lambda: notify.logged("ERROR pyupc.notify: database"))
        announce(fresh_db, "first")
        until(lambda: receiver.messages)
        assert notify.end() == 0
    assert receiver.bodies == ["first"]


@pytest.mark.slow
def test_a_right_lost_is_reported_and_so_is_its_return(
    fresh_db: str, receiver: Receiver, tmp_path: Path
) -> None:
    with notifying(fresh_db, tmp_path, "--to", receiver.url, "--name", "phone") as notify:
        until(lambda: notify.is_ready)
        with connect(fresh_db) as conn:
            conn.execute(
                "ALTER FUNCTION upc.next_announcements RENAME TO next_ones;"
                " CREATE FUNCTION upc.next_announcements(subscriber text, kinds text[],"
                " count integer) RETURNS SETOF upc_data.announcement LANGUAGE plpgsql AS"
                " $$BEGIN RAISE insufficient_privilege; END$$"
            )
        until(lambda: titles(receiver) == ["pyupc halted: database"])
        announce(fresh_db, "first")
        with connect(fresh_db) as conn:
            conn.execute(
                "DROP FUNCTION upc.next_announcements;"
                " ALTER FUNCTION upc.next_ones RENAME TO next_announcements"
            )
        until(lambda: len(receiver.messages) == 3)
        assert notify.end() == 0
    assert sorted(titles(receiver)[1:]) == ["BTC stop: trade", "pyupc recovered: database"]
    assert notify.logged("ERROR pyupc.notify") == 1


def test_a_schema_that_is_gone_ends_it(fresh_db: str, receiver: Receiver, tmp_path: Path) -> None:
    with notifying(fresh_db, tmp_path, "--to", receiver.url, "--name", "phone") as notify:
        until(lambda: notify.is_ready)
        with connect(fresh_db) as conn:
            conn.execute("DROP SCHEMA upc CASCADE")
        assert notify.process.wait(30) == 4
    assert "Traceback" not in notify.log


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A server of the test's own."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(dir=memory if os.access(memory, os.W_OK) else None))
    folder.chmod(0o711)
    cluster = Cluster(Home.at(folder / "home"))
    cluster.home.create()
    try:
        with cluster.home.locked(print):
            cluster.start(print)
            cluster.create_database("pyupc")
        yield cluster
    finally:
        with cluster.home.locked(print):
            cluster.stop(print)
        shutil.rmtree(folder)


@pytest.mark.slow
def test_a_server_that_hangs_and_one_that_is_restarted(
    cluster: Cluster, receiver: Receiver, tmp_path: Path
) -> None:
    dsn = cluster.uri("pyupc")
    upgrade(dsn)
    with notifying(dsn, tmp_path, "--to", receiver.url, "--name", "phone") as notify:
        until(lambda: notify.is_ready)
        query = "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        pids = [pid for (pid,) in rows(dsn, query)]
        pids.append(int((cluster.home.data / "postmaster.pid").read_text().split()[0]))
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            until(lambda: titles(receiver) == ["pyupc halted: database"], 60)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        until(lambda: len(receiver.messages) == 2)
        announce(dsn, "first")
        until(lambda: len(receiver.messages) == 3)

        with cluster.home.locked(print):
            cluster.stop(print)
            cluster.start(print)
        announce(dsn, "second")
        until(lambda: len(receiver.messages) == 4)
        assert notify.end() == 0
    assert titles(receiver)[:2] == ["pyupc halted: database", "pyupc recovered: database"]
    assert receiver.bodies[2:] == ["first", "second"]


def test_announcements_wake_it_without_polling(fresh_db: str) -> None:
    async def hears() -> None:
        heard = asyncio.Event()
        link = Link(fresh_db, ["phone"], heard.set)
        try:
            await link.open(code=True)
            for ask in (False, True, False):
                if ask:
                    await link.ask(outbox.announce_silence)
                heard.clear()
                await asyncio.to_thread(announce, fresh_db, "first")
                async with asyncio.timeout(20):
                    await heard.wait()
                # A statement reads what has woken it; until then it is quiet.
                await link.ask(outbox.announce_silence)
        finally:
            await link.close()

    asyncio.run(hears())

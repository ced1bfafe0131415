"""The stream: every tick as it is, however it is announced, and what comes without one."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from pyupc.database.connect import connect
from tests.support.market import WRITTEN, until
from tests.web.serving import Event, Served, events, serving

Connection = psycopg.Connection[tuple[object, ...]]


@pytest.fixture
def conn(market_dsn: str) -> Iterator[Connection]:
    with connect(market_dsn) as connection:
        yield connection


def tick(conn: Connection, symbol: str = "BTC") -> int:
    row = conn.execute("SELECT t.tick_id FROM upc.tick(%s, 'simulated') AS t", (symbol,)).fetchone()
    assert row is not None
    return int(str(row[0]))


@contextmanager
def reading(served: Served, symbol: str = "BTC") -> Iterator[Iterator[Event]]:
    with (
        httpx.Client(timeout=20) as client,
        client.stream("GET", f"{served.address}/api/stream/{symbol}") as response,
    ):
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        yield events(response)


def next_tick(stream: Iterator[Event]) -> Event:
    return next(event for event in stream if event.name == "tick")


def test_the_newest_comes_at_once_then_each(served: Served, conn: Connection) -> None:
    first = tick(conn)
    with reading(served) as stream:
        assert next_tick(stream).data["tick_id"] == first
        for _ in range(3):
            number = tick(conn)
            event = next_tick(stream)
            assert (event.id, event.data["tick_id"]) == (str(number), number)
            assert 0 <= event.data["age_seconds"] < 5
            row = conn.execute(
                "SELECT live_probabilities, strike_table, watchlist, active_trades, contracts::json"
                " FROM upc_data.document WHERE symbol = 'BTC'"
            ).fetchone()
            assert row is not None
            assert tuple(event.data[name] for name in WRITTEN) == row


def test_each_reads_his_own_symbol(served: Served, conn: Connection) -> None:
    tick(conn, "ETH")
    with reading(served, "eth") as stream:
        assert next_tick(stream).data["symbol"] == "ETH"
        tick(conn, "BTC")
        number = tick(conn, "ETH")
        assert next_tick(stream).data["tick_id"] == number


def test_without_ticks_there_are_pulses(served: Served, conn: Connection) -> None:
    number = tick(conn)
    with reading(served) as stream:
        next_tick(stream)
        began = time.monotonic()
        pulses = [next(stream) for _ in range(3)]
        assert 1.5 < time.monotonic() - began < 6
    assert {pulse.name for pulse in pulses} == {"pulse"}
    assert {pulse.data["tick_id"] for pulse in pulses} == {number}
    assert {pulse.data["database"] for pulse in pulses} == {"ok"}
    ages = [pulse.data["age_seconds"] for pulse in pulses]
    assert ages == sorted(ages)
    assert ages[-1] > 1.5


def test_an_old_tick_is_sent_again_as_old(served: Served, conn: Connection) -> None:
    number = tick(conn)
    with reading(served) as stream:
        assert next_tick(stream).data["problem"] is None
        conn.execute(
            "UPDATE upc_data.tick SET ticked_at = ticked_at - interval '50 s'"
            " WHERE symbol = 'BTC' AND tick_id = %s",
            (number,),
        )
        event = next_tick(stream)
    assert event.data["tick_id"] == number
    assert event.data["age_seconds"] > 50
    assert event.data["problem"]
    assert event.data["strike_table"]["state"] == "stale"


def test_a_tick_grows_old_while_the_database_answers_nothing(
    served: Served, market_dsn: str, conn: Connection
) -> None:
    number = tick(conn)
    with reading(served) as stream:
        conn.execute(
            "UPDATE upc_data.tick SET ticked_at = ticked_at - interval '27 s'"
            " WHERE symbol = 'BTC' AND tick_id = %s",
            (number,),
        )
        event = next_tick(stream)
        while event.data["strike_table"]["state"] == "fresh":
            event = next_tick(stream)
        assert event.data["strike_table"]["state"] == "warn"
        with connect(market_dsn, autocommit=False) as other:
            other.execute("LOCK TABLE upc_data.document IN ACCESS EXCLUSIVE MODE")
            event = next_tick(stream)
            other.rollback()
    assert event.data["tick_id"] == number
    assert event.data["strike_table"]["state"] == "stale"
    assert {row["yes_edge"] for row in event.data["strike_table"]["strikes"]} == {None}


@pytest.mark.parametrize(
    "payload",
    [
        *("", "x", "{}", "[]", "null", '{"symbol": 1}', '{"symbol": "DOGE", "tick_id": 1}'),
        *('{"symbol": "BTC", "tick_id": 999999}', '{"symbol": ["BTC"]}', "[" * 7000),
        *('{"ticks": {"BTC": 999999, "DOGE": 1}}', '{"ticks": ["BTC"]}', '{"ticks": 1}'),
        *('{"ticks": null, "symbol": "BTC"}', '{"ticks": {}}', '["ticks"]'),
    ],
)
def test_a_notification_is_a_hint_and_no_more(
    served: Served, conn: Connection, payload: str
) -> None:
    """Anybody who may connect may notify, so the data sent comes from the row."""
    before = tick(conn)
    with reading(served) as stream:
        # The tick before it comes first where the server has not heard of this one yet.
        if (seen := next_tick(stream).data["tick_id"]) != before:
            assert seen == before - 1
            assert next_tick(stream).data["tick_id"] == before
        conn.execute("SELECT pg_notify('upc_tick', %s)", (payload,))
        number = tick(conn)
        assert next_tick(stream).data["tick_id"] == number


def test_every_symbol_of_a_batch_is_sent(served: Served, conn: Connection) -> None:
    tick(conn)
    tick(conn, "ETH")
    with reading(served) as btc, reading(served, "ETH") as eth:
        next_tick(btc)
        next_tick(eth)
        for _ in range(3):
            rows = conn.execute(
                "SELECT t.symbol, t.tick_id FROM upc.tick_all('{ETH,BTC}', 'simulated') AS t"
            )
            numbers = {row[0]: row[1] for row in rows}
            for symbol, stream in (("BTC", btc), ("ETH", eth)):
                event = next_tick(stream)
                assert (event.data["symbol"], event.data["tick_id"]) == (symbol, numbers[symbol])
                assert event.id == str(numbers[symbol])


def test_a_tick_that_is_not_announced_is_found(served: Served, conn: Connection) -> None:
    tick(conn)
    with reading(served) as stream:
        next_tick(stream)
        # The listening session is gone for a moment, and the notification with it.
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'pyupc serve' AND query LIKE 'LISTEN%'"
            " AND datname = current_database()"
        )
        number = tick(conn)
        assert next_tick(stream).data["tick_id"] == number


def test_a_symbol_that_is_deleted_ends_its_own_stream_alone(
    served: Served, conn: Connection
) -> None:
    conn.execute("SELECT upc.add_symbol('XRP', 0.05)")
    tick(conn)
    with reading(served) as stream, reading(served, "XRP") as gone:
        next_tick(stream)
        assert next(gone).data["tick_id"] is None
        conn.execute("DELETE FROM upc_data.symbol WHERE symbol = 'XRP'")
        # It ends.
        for _ in gone:
            pass
        served.problem("/api/stream/XRP", 404)
        pulses = [next(stream) for _ in range(2)]
    assert {pulse.data["database"] for pulse in pulses} == {"ok"}


def test_numbers_that_come_again_are_other_ticks(served: Served, conn: Connection) -> None:
    number = tick(conn)
    with reading(served) as stream:
        assert next_tick(stream).data["tick_id"] == number
        conn.execute(
            "UPDATE upc_data.tick SET ticked_at = ticked_at + interval '100 ms'"
            " WHERE symbol = 'BTC' AND tick_id = %s",
            (number,),
        )
        assert next_tick(stream).data["tick_id"] == number


def test_a_schema_of_another_version_is_reported_until_it_is_ours_again(
    served: Served, conn: Connection
) -> None:
    tick(conn)
    row = conn.execute("SELECT version_num FROM upc_data.alembic_version").fetchone()
    assert row is not None
    with reading(served) as stream:
        next_tick(stream)
        conn.execute("UPDATE upc_data.alembic_version SET version_num = '9999'")
        try:
            event = next(event for event in stream if event.data["problem"])
            assert "9999" in event.data["problem"]
            for path in ("/api/symbols", "/api/strike_table/BTC", "/ready", "/api/fingerprints"):
                problem = served.problem(path, 503)
                assert "9999" in problem["detail"]
                assert "pip install" in problem["hint"]
            assert served.get("/live").status_code == 200
            assert served.get("/metrics").status_code == 200
        finally:
            conn.execute("UPDATE upc_data.alembic_version SET version_num = %s", row)
        until(lambda: served.get("/api/symbols").status_code == 200)
        number = tick(conn)
        assert next_tick(stream).data["tick_id"] == number


def test_a_table_that_is_locked_is_no_mistake_of_the_server(
    served: Served, market_dsn: str, conn: Connection
) -> None:
    tick(conn)
    with connect(market_dsn, autocommit=False) as other:
        other.execute("LOCK TABLE upc_data.document IN ACCESS EXCLUSIVE MODE")
        problem = served.problem("/api/price/BTC", 503)
        assert problem["sqlstate"] == "55P03"
        assert problem["hint"]
        other.rollback()
    assert served.get("/api/price/BTC").status_code == 200


def test_too_many_readers(market_dsn: str, conn: Connection) -> None:
    tick(conn)
    with serving(market_dsn, "--max-readers", "1") as served:
        with reading(served) as stream:
            next_tick(stream)
            problem = served.problem("/api/stream/BTC", 503)
            assert "--max-readers" in problem["hint"]
        # A reader that leaves makes room.
        until(lambda: readers(served) == 0)
        with reading(served) as stream:
            next_tick(stream)


@contextmanager
def sleeping(served: Served) -> Iterator[socket.socket]:
    """It asks for the stream, and takes nothing of what it gets."""
    parts = urlsplit(served.address)
    with closing(socket.socket()) as sleeper:
        sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sleeper.settimeout(10)
        sleeper.connect((str(parts.hostname), parts.port or 0))
        sleeper.sendall(f"GET /api/stream/BTC HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
        yield sleeper


def test_one_client_cannot_have_them_all(market_dsn: str, conn: Connection) -> None:
    tick(conn)
    with serving(market_dsn, "--max-readers", "40") as served, ExitStack() as stack:
        # A stream that nobody refers to any more is closed.
        streams = [stack.enter_context(reading(served)) for _ in range(20)]
        for stream in streams:
            next_tick(stream)
        problem = served.problem("/api/stream/BTC", 429)
        assert problem["hint"]
        assert readers(served) == 20


def test_a_reader_who_takes_nothing_keeps_nobody_waiting(served: Served, conn: Connection) -> None:
    tick(conn)
    with sleeping(served), reading(served) as stream:
        next_tick(stream)
        for _ in range(12):
            began = time.monotonic()
            number = tick(conn)
            assert next_tick(stream).data["tick_id"] == number
            assert time.monotonic() - began < 2


@pytest.mark.slow
def test_a_reader_who_takes_nothing_is_let_go(served: Served, conn: Connection) -> None:
    """More ticks than all buffers hold; meanwhile another one reads on."""
    tick(conn)
    with sleeping(served) as sleeper, reading(served) as stream:
        next_tick(stream)
        for _ in range(800):
            number = tick(conn)
        while next_tick(stream).data["tick_id"] != number:
            pass
        assert readers(served) == 2
        until(lambda: readers(served) == 1, 40)
        # It received whole events, up to where it was cut off.
        received = b""
        with suppress(ConnectionError):
            while part := sleeper.recv(1 << 20):
                received += part
    documents = [line[6:] for line in received.split(b"\n") if line.startswith(b"data: ")]
    assert 10 < len(documents) < 800
    # The chunks of HTTP lie between events, never within one.
    for line in documents[:-1]:
        json.loads(line)


def readers(served: Served) -> int:
    text = served.get("/metrics").text
    [line] = [line for line in text.splitlines() if line.startswith("pyupc_stream_readers ")]
    return int(float(line.split()[1]))

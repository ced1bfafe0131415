"""Alive, ready, metrics; how it starts, heals and ends."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pyupc import __version__
from pyupc.database.connect import connect
from tests.support.cluster import Server
from tests.support.market import going, pyupc, until
from tests.support.warm_process import REPOSITORY
from tests.web.serving import Served, events, serving


def value_of(text: str, name: str) -> float:
    [line] = [line for line in text.splitlines() if line.startswith(name)]
    return float(line.rsplit(" ", 1)[1])


def test_alive(served: Served) -> None:
    response = served.get("/live")
    assert response.json() == {"status": "live"}
    assert response.headers["cache-control"] == "no-store"


def test_ready_is_what_the_status_says(
    served: Served, market_dsn: str, replay: tuple[str, ...], live: Path
) -> None:
    response = served.get("/ready")
    assert response.status_code == 503
    assert response.json()["state"] == "red"
    assert response.headers["retry-after"]
    with going(market_dsn, *replay, "--out", live):
        until(lambda: served.get("/ready").status_code == 200)
        document = served.document("/ready")
        assert document["state"] == "green"
        assert [row["light"] for row in document["symbols"]] == ["green", "green"]
        text = served.get("/metrics").text
        assert value_of(text, 'pyupc_status{light="green"}') == 1
        assert 0 <= value_of(text, 'pyupc_tick_age_seconds{symbol="BTC"}') < 5
    until(lambda: served.get("/ready").status_code == 503)


def test_metrics(served: Served) -> None:
    before = value_of(served.get("/metrics").text, 'pyupc_http_requests_total{path="/live"')
    served.get("/live")
    response = served.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    text = response.text
    assert value_of(text, 'pyupc_http_requests_total{path="/live"') == before + 1
    assert value_of(text, f'pyupc_build_info{{version="{__version__}"}}') == 1
    assert value_of(text, "pyupc_stream_readers") == 0
    assert value_of(text, "process_resident_memory_bytes") > 1e7
    # Paths that nobody serves are one, whatever they are called.
    served.get("/nothing/1")
    served.get("/nothing/2")
    assert "/nothing" not in served.get("/metrics").text
    # Nor is a symbol, which anybody may make up, the name of a path.
    served.get("/api/price/DOGE")
    assert 'path="/api/price/{symbol}",status="404"' in served.get("/metrics").text


def test_a_page_that_is_not_there(served: Served) -> None:
    served.problem("/nothing", 404)
    served.problem("/static/../app.py", 404)
    served.problem("/static/%2e%2e/app.py", 404)
    response = httpx.post(f"{served.address}/api/symbols", timeout=20)
    assert (response.status_code, response.headers["allow"]) == (405, "GET")
    assert response.headers["content-type"] == "application/problem+json"


def test_a_database_that_is_lost_comes_back(market_dsn: str) -> None:
    """Renamed: as a server that is gone, without taking the others' away."""
    name = psycopg.conninfo.conninfo_to_dict(market_dsn)["dbname"]
    other = sql.Identifier(f"{name}_away")
    ours = sql.Identifier(str(name))
    with (
        serving(market_dsn) as served,
        connect(make_conninfo(market_dsn, dbname="postgres")) as server,
    ):
        served.document("/api/symbols")
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
        )
        server.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(ours, other))
        try:
            problem = served.problem("/api/symbols", 503)
            assert problem["hint"]
            assert served.get("/live").status_code == 200
            assert served.get("/metrics").status_code == 200
            assert served.get("/ready").status_code == 503
        finally:
            server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE %s",
                (f"{name}%",),
            )
            server.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(other, ours))
        began = time.monotonic()
        until(lambda: served.get("/api/symbols").status_code == 200)
        assert time.monotonic() - began < 5


def test_a_hanging_server_is_reported_in_time(server: Server) -> None:
    with connect(server.dsn()) as conn:
        conn.execute("SELECT FROM upc.tick('BTC', 'simulated')")
    with (
        serving(server.dsn()) as served,
        httpx.Client(timeout=20) as client,
        client.stream("GET", f"{served.address}/api/stream/BTC") as response,
    ):
        stream = events(response)
        assert next(stream).name == "tick"
        server.freeze()
        try:
            began = time.monotonic()
            # A tick that grows old is sent again, and has no such key.
            assert any(event.data.get("database") == "lost" for event in stream)
            assert time.monotonic() - began < 6
            for path in ("/api/symbols", "/ready", "/api/price/BTC", "/api/fingerprints"):
                began = time.monotonic()
                served.problem(path, 503)
                assert time.monotonic() - began < 5
            assert served.get("/live").status_code == 200
            assert served.get("/metrics").status_code == 200
        finally:
            server.thaw()
        until(lambda: served.get("/api/symbols").status_code == 200)
        with connect(server.dsn()) as conn:
            conn.execute("SELECT FROM upc.tick('BTC', 'simulated')")
        assert any(event.name == "tick" for event in stream)


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_signal_ends_it_whoever_reads(market_dsn: str, sent: signal.Signals, code: int) -> None:
    with serving(market_dsn) as served, httpx.Client(timeout=20) as client:
        with client.stream("GET", f"{served.address}/api/stream/BTC") as stream:
            lines = stream.iter_lines()
            next(lines)
            served.process.send_signal(sent)
            # The stream ends as it ought to, and not in the middle of a chunk.
            list(lines)
        assert served.process.wait(10) == code
        assert served.process.communicate()[1] == ""


@pytest.mark.parametrize("is_closed", [True, False])
def test_attached_it_ends_with_its_standard_input(market_dsn: str, is_closed: bool) -> None:
    command = [sys.executable, "-m", "pyupc", "serve", "--attached", "--port", "0"]
    process = subprocess.Popen(
        ["sh", "-c", f"exec {shlex.join(command)} <&-"] if is_closed else command,
        env={**os.environ, "PYUPC_DSN": market_dsn},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert is_closed or process.stdout.readline().startswith("serving ")
    process.stdin.close()
    # With a closed input this is the time of its start, too.
    assert process.wait(60 if is_closed else 10) == 0
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stdout.close()
    process.stderr.close()


def test_an_address_that_is_taken(market_dsn: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = pyupc(market_dsn, "serve", "--port", str(port))
    assert (done.returncode, done.stdout) == (1, "")
    assert f"port {port}" in done.stderr
    assert "hint:" in done.stderr


def test_without_a_server_or_a_schema(server_dsn: str) -> None:
    done = pyupc(make_conninfo(server_dsn, host="/nowhere"), "serve", "--port", "0")
    assert (done.returncode, done.stdout) == (3, "")
    done = pyupc(make_conninfo(server_dsn, dbname="postgres"), "serve", "--port", "0")
    assert (done.returncode, done.stdout) == (4, "")

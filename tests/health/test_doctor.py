"""`pyupc doctor` as a process: findings, output and exit codes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pyupc.database.connect import connect
from tests.support.market import fill, pyupc, rows
from tests.support.warm_process import REPOSITORY

Rows = dict[str, dict[str, Any]]

OFFLINE = ("doctor", "--offline", "--json")


def doctor(dsn: str, *arguments: str | Path) -> tuple[int, Rows]:
    """Exit code, and the findings by check in their order."""
    done = pyupc(dsn, *OFFLINE, *arguments)
    found = json.loads(done.stdout)
    assert [list(each) for each in found] == [["check", "state", "seen", "repair"]] * len(found)
    assert all((each["repair"] is None) == (each["state"] == "ok") for each in found)
    assert all("\n" not in each["seen"] for each in found)
    return done.returncode, {each["check"]: each for each in found}


def states(found: Rows) -> dict[str, str]:
    return {check: row["state"] for check, row in found.items()}


def tick(dsn: str, age: str = "0 s", lease: str = "1 hour") -> None:
    """A tick of BTC that was so long ago, of a price that was a second old."""
    with connect(dsn) as conn:
        conn.execute(
            "INSERT INTO upc_data.price (symbol, exchange, price, received_at)"
            " VALUES ('BTC', 'coinbase', 97000, now() - %s::interval - interval '1 s')",
            (age,),
        )
        conn.execute(
            "SELECT FROM upc.tick('BTC', 'coinbase', at => now() - %s::interval,"
            " holder => 'somebody', lease => %s, every => '10 s')",
            (age, lease),
        )


def candles_until_now(dsn: str) -> None:
    with connect(dsn) as conn:
        conn.execute(
            "INSERT INTO upc_data.candle SELECT * FROM upc.simulated_candles('BTC',"
            " date_trunc('minute', now()) - interval '2 hours', date_trunc('minute', now()))"
        )


def test_a_symbol_that_is_ticked_is_well(market: str, tmp_path: Path) -> None:
    candles_until_now(market)
    tick(market)
    code, found = doctor(market, "--symbol", "btc", "--out", tmp_path)
    assert code == 0
    assert states(found) == {
        "server": "ok",
        "encoding": "ok",
        "latency": "ok",
        "connections": "ok",
        # The server of the tests is not made to last.
        "settings": "warn",
        "schema": "ok",
        "rights": "ok",
        # A copy of a database has none of its settings.
        "names": "warn",
        "rules": "ok",
        "symbols": "ok",
        "disk": "ok",
        # The fingerprints of the test end months ago.
        "tick BTC": "warn",
        "candles BTC": "ok",
        "candle values BTC": "ok",
        "basis BTC": "ok",
        "correction BTC": "ok",
        "seconds BTC": "ok",
        "intervals BTC": "ok",
        "fingerprints BTC": "ok",
        "files": "ok",
        "extras": found["extras"]["state"],
        "clock": "ok",
    }
    assert "somebody from coinbase" in found["tick BTC"]["seen"]
    assert "fsync" in found["settings"]["seen"]
    assert list(tmp_path.iterdir()) == []


def test_for_people_it_is_a_line_a_check(market: str) -> None:
    done = pyupc(market, "doctor", "--offline", "--out", "nowhere")
    _, found = doctor(market, "--out", "nowhere")
    lines = done.stdout.splitlines()
    assert [line[:4].strip() for line in lines] == list(states(found).values())
    repairs = [row["repair"] for row in found.values()]
    assert [line.partition("  → ")[2] or None for line in lines] == repairs


def test_the_write_is_committed(market: str) -> None:
    for _ in range(2):
        before = rows(market, "SELECT max(written_at) FROM upc_data.write_probe")[0][0]
        assert doctor(market)[1]["disk"]["state"] == "ok"
        [(after, count)] = rows(
            market, "SELECT max(written_at), count(*) FROM upc_data.write_probe"
        )
        assert before is None or after > before
        assert count == 1


def test_a_disk_that_is_full_fails(market: str) -> None:
    with connect(market) as conn:
        conn.execute(
            "CREATE OR REPLACE FUNCTION upc.prove_write() RETURNS void LANGUAGE plpgsql AS"
            " $$BEGIN RAISE disk_full USING MESSAGE = 'could not extend file'; END$$"
        )
    code, found = doctor(market)
    assert (code, found["disk"]["state"]) == (1, "fail")
    assert "53100" in found["disk"]["seen"]
    # The rest is looked at all the same.
    assert list(found)[-1] == "clock"


def test_who_ticks_and_whether_he_still_does(market: str) -> None:
    code, found = doctor(market)
    assert (code, found["tick BTC"]["state"], found["tick ETH"]["state"]) == (0, "warn", "warn")

    tick(market, age="30 s")
    code, found = doctor(market)
    assert (code, found["tick BTC"]["state"]) == (1, "fail")
    assert "somebody" in found["tick BTC"]["seen"]

    with connect(market) as conn:
        conn.execute("UPDATE upc_data.tick_lease SET expires_at = now() - interval '1 s'")
    code, found = doctor(market)
    assert (code, found["tick BTC"]["state"]) == (1, "fail")
    assert found["tick BTC"]["repair"] == "pyupc tick --feed coinbase --symbol BTC"
    assert found["tick ETH"]["state"] == "warn"

    with connect(market) as conn:
        conn.execute("DELETE FROM upc_data.tick_lease")
    tick(market)
    with connect(market) as conn:
        conn.execute("SELECT upc.report_problem('BTC', 'somebody', 'its disk is full')")
    code, found = doctor(market)
    assert (code, found["tick BTC"]["state"]) == (0, "warn")
    assert "its disk is full" in found["tick BTC"]["seen"]


def test_candles_and_fingerprints_may_be_missing_or_old(fresh_db: str, market: str) -> None:
    code, found = doctor(fresh_db)
    assert (code, found["candles BTC"]["state"], found["fingerprints BTC"]["state"]) == (
        1,
        "warn",
        "fail",
    )
    assert found["fingerprints BTC"]["repair"] == "pyupc fingerprints build --symbol BTC"
    fill(fresh_db, ("ETH",))
    code, found = doctor(fresh_db)
    assert (code, found["fingerprints BTC"]["state"], found["fingerprints ETH"]["state"]) == (
        0,
        "warn",
        "ok",
    )
    assert doctor(market)[1]["candles BTC"]["state"] == "warn"


def test_stored_candles_that_cannot_be_are_named(fresh_db: str) -> None:
    with connect(fresh_db) as conn:
        conn.execute("ALTER TABLE upc_data.candle DROP CONSTRAINT candle_open_high_low_close_check")
        conn.execute(
            "INSERT INTO upc_data.candle VALUES ('BTC', '2024-01-01 00:00Z', 7, 10, 8, 9, 1),"
            " ('BTC', '2024-01-01 00:01Z', 8, 10, 8, 10, 1),"
            " ('BTC', '2024-01-01 00:02Z', 9, 10, 8, 11, 1)"
        )
    found = doctor(fresh_db)[1]
    values = found["candle values BTC"]
    assert (values["state"], found["candle values ETH"]["state"]) == ("warn", "ok")
    assert values["seen"].startswith("2 ")
    assert "2024-01-01T00:00:00Z to 2024-01-01T00:02:00Z" in values["seen"]
    # The suggested repair works.
    statement = values["repair"].partition("or DELETE")[2].partition(", then pyupc")[0]
    with connect(fresh_db) as conn:
        conn.execute("DELETE" + statement)
        assert conn.execute("SELECT count(*) FROM upc_data.candle").fetchone() == (1,)
    assert doctor(fresh_db)[1]["candle values BTC"]["state"] == "ok"


def test_the_folder_of_the_files_is_written_to(market: str, tmp_path: Path) -> None:
    missing = doctor(market, "--out", tmp_path / "live")
    assert (missing[0], missing[1]["files"]["state"]) == (0, "warn")
    assert not (tmp_path / "live").exists()
    (tmp_path / "file").write_text("{}")
    for obstacle in (tmp_path / "file", Path("/proc/self")):
        code, found = doctor(market, "--out", obstacle)
        assert (code, found["files"]["state"]) == (1, "fail")


def test_a_schema_that_does_not_fit_fails(market: str, empty_db: str) -> None:
    code, found = doctor(empty_db)
    assert (code, found["schema"]["state"]) == (1, "fail")
    assert "pyupc db upgrade" in found["schema"]["repair"]
    # Checks that depend on it are left out, others are not.
    assert list(found)[-3:] == ["files", "extras", "clock"]
    assert not {"rights", "disk", "tick BTC"} & set(found)

    with connect(market) as conn:
        conn.execute(f"COMMENT ON SCHEMA upc IS '[pyupc 0005 {'0' * 64}]'".encode())
    code, found = doctor(market)
    assert (code, found["schema"]["state"]) == (1, "fail")


def test_a_symbol_that_is_not_registered_fails(market: str) -> None:
    code, found = doctor(market, "--symbol", "DOGE")
    assert (code, found["symbols"]["state"]) == (1, "fail")
    assert "tick DOGE" not in found


def test_without_a_database_the_rest_is_looked_at(tmp_path: Path) -> None:
    dsn = "postgresql://somebody:hunter2secret@127.0.0.1:1/upc"
    code, found = doctor(dsn, "--out", tmp_path)
    assert code == 3
    assert states(found) == {
        "server": "fail",
        "files": "ok",
        "extras": found["extras"]["state"],
        "clock": "warn",
    }
    assert "hunter2secret" not in json.dumps(found)
    assert doctor("not a conninfo")[1]["server"]["state"] == "fail"


def test_an_embedded_server_that_does_not_run_is_not_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("PYUPC_HOME", str(home))
    code, found = doctor("")
    assert (code, found["server"]["repair"]) == (3, "pyupc db start")
    assert found["home"]["state"] in ("ok", "warn", "fail")
    assert not home.exists()


@contextmanager
def silent() -> Iterator[int]:
    """Port of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.slow
def test_it_ends_in_time_whatever_hangs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    with silent() as port:
        monkeypatch.setenv("PYUPC_EXCHANGE_URL", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("PYUPC_KALSHI_URL", f"http://127.0.0.1:{port}")
        began = time.monotonic()
        dsn = f"host=127.0.0.1 port={port} dbname=upc connect_timeout=60"
        done = pyupc(dsn, "doctor", "--json", "--out", tmp_path)
        assert time.monotonic() - began < 20
    found = {each["check"]: each["state"] for each in json.loads(done.stdout)}
    assert done.returncode == 3
    assert found["server"] == "fail"
    assert found["files"] == "ok"
    assert {found["exchange"], found["kalshi"]} <= {"fail", "warn"}


@pytest.mark.slow
def test_a_database_that_stops_answering_is_none(market: str) -> None:
    with connect(market) as conn:
        # Runs longer than the limit of a statement, and ignores a cancel.
        conn.execute(
            "CREATE OR REPLACE FUNCTION upc.prove_write() RETURNS void LANGUAGE plpgsql AS"
            " $$BEGIN LOOP BEGIN PERFORM pg_sleep(30); EXCEPTION WHEN query_canceled THEN NULL;"
            " END; END LOOP; END$$"
        )
    began = time.monotonic()
    code, found = doctor(market)
    assert time.monotonic() - began < 20
    assert (code, found["disk"]["state"]) == (3, "fail")
    assert "tick BTC" not in found
    assert list(found)[-1] == "clock"
    rows(
        market,
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE application_name = 'pyupc doctor' AND datname = current_database()",
    )


def test_it_ends_although_a_library_waits_on(tmp_path: Path) -> None:
    # Like the resolution of a name: in a thread that the interpreter waits for.
    code = """if True:
        import sys, threading, time
        from pyupc.cli import main
        from pyupc.health.doctor import network
        from pyupc.health.doctor import run
        def hang(*_):
            thread = threading.Thread(target=time.sleep, args=(60,), daemon=False)
            thread.start()
            thread.join()
        network.exchange = hang
        run.NETWORK_SECONDS = 1.0
        sys.argv[1:] = ["doctor", "--no-kalshi", "--json"]
        main()
    """
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYUPC_DSN": "host=/nonexistent", "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=59,
    )
    assert time.monotonic() - began < 40
    assert done.returncode == 3
    found = {each["check"]: each["state"] for each in json.loads(done.stdout)}
    assert (found["exchange"], found["clock"]) == ("fail", "warn")


def test_many_symbols_have_one_finding_of_each_kind(fresh_db: str) -> None:
    with connect(fresh_db) as conn:
        for k in range(1, 20):
            conn.execute("SELECT upc.add_symbol(%s, 1)", [f"S{k:02}"])
    code, found = doctor(fresh_db)
    assert code == 1
    assert {"tick", "candles", "candle values", "fingerprints"} <= found.keys()
    assert not any(check.endswith(("BTC", "S01")) for check in found)
    assert (found["candle values"]["state"], found["tick"]["state"]) == ("ok", "warn")
    assert found["fingerprints"]["state"] == "fail"
    assert found["fingerprints"]["seen"].startswith("21 of 21 symbols: BTC, ETH, S01, S02, S03 and")
    # The repair is of the first that is named.
    assert found["fingerprints"]["repair"] == "pyupc fingerprints build --symbol BTC"
    code, found = doctor(fresh_db, "--symbol", "S07")
    assert "tick S07" in found

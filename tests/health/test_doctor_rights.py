"""The rights that `pyupc doctor` asks for are enough for all that ticks, feeds and notifies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pyupc.database.connect import connect
from pyupc.database.migrate import upgrade
from pyupc.health.doctor.finding import Finding
from pyupc.health.doctor.rights import WRITES, rights
from tests.support import kalshi_server
from tests.support.market import pyupc, rows
from tests.support.times_of_day import next_hour


@pytest.fixture
def market(btc_market: str) -> str:
    return btc_market


def doctor(dsn: str) -> tuple[int, dict[str, str]]:
    """Exit code, and the state of each check."""
    done = pyupc(dsn, "doctor", "--offline", "--json")
    return done.returncode, {each["check"]: each["state"] for each in json.loads(done.stdout)}


@contextmanager
def role(dsn: str, name: str, *, login: bool = False) -> Iterator[str]:
    """A role without rights, as the DSN of who works in it, or logs in as it."""
    identifier = sql.Identifier(name)
    with connect(dsn) as conn:
        conn.execute(sql.SQL("CREATE ROLE {}").format(identifier))
    try:
        if login:
            with connect(dsn) as conn:
                conn.execute(sql.SQL("ALTER ROLE {} LOGIN PASSWORD 'sesame'").format(identifier))
            yield make_conninfo(dsn, user=name, password="sesame")
        else:
            yield make_conninfo(dsn, options=f"-c role={name}")
    finally:
        with connect(dsn) as conn:
            conn.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(identifier))


def granted(dsn: str, name: str, *what: str) -> None:
    with connect(dsn) as conn:
        for each in what:
            conn.execute(sql.SQL(f"GRANT {each} TO {{}}").format(sql.Identifier(name)))


@pytest.mark.slow
def test_the_required_rights_are_enough_and_each_is_missed(market: str, name_prefix: str) -> None:
    name = f"{name_prefix}_role"
    with role(market, name) as dsn:
        code, found = doctor(dsn)
        assert (code, found["rights"]) == (1, "fail")
        granted(market, name, "USAGE ON SCHEMA upc, upc_data, analytics")
        code, found = doctor(dsn)
        assert (code, found["rights"]) == (1, "fail")
        granted(
            market,
            name,
            "SELECT ON ALL TABLES IN SCHEMA upc, upc_data",
            "EXECUTE ON ALL FUNCTIONS IN SCHEMA upc",
            *(f"{privileges} ON upc_data.{table}" for table, privileges in WRITES.items()),
        )
        code, found = doctor(dsn)
        # It is no owner, and may not refresh.
        assert (code, found["rights"], found["disk"]) == (0, "warn", "ok")

        with connect(dsn) as conn:
            for statement in WORK:
                conn.execute(statement)

        for table, privileges in WRITES.items():
            for privilege in privileges.split(", "):
                with connect(market) as conn:
                    conn.execute(f'REVOKE {privilege} ON upc_data.{table} FROM "{name}"'.encode())
                assert f"{privilege} on upc_data.{table}" in lacking(dsn)
                granted(market, name, f"{privilege} ON upc_data.{table}")
        with connect(market) as conn:
            conn.execute(f'REVOKE EXECUTE ON FUNCTION upc.momentum FROM "{name}"'.encode())
        assert "EXECUTE on upc.momentum" in lacking(dsn)
        granted(market, name, "EXECUTE ON FUNCTION upc.momentum")
        with connect(market) as conn:
            conn.execute(f'REVOKE SELECT ON upc.fingerprint_grid FROM "{name}"'.encode())
        assert "SELECT on upc.fingerprint_grid" in lacking(dsn)


def judged(dsn: str) -> Finding:
    with connect(dsn) as conn:
        return rights(conn)


def lacking(dsn: str) -> str:
    found = judged(dsn)
    assert (found.state, found.repair) == ("fail", f"GRANT upc_operator TO {current_user(dsn)}")
    return found.seen


def current_user(dsn: str) -> str:
    [(name,)] = rows(dsn, "SELECT current_user")
    return str(name)


def test_the_operator_has_the_required_rights(shared_database: str) -> None:
    found = rows(
        shared_database, "SELECT name, array_to_string(privileges, ', ') FROM upc.operator_writes()"
    )
    assert dict(found) == WRITES


def test_a_member_of_the_operators_can_do_all_of_it(
    market: str, name_prefix: str, tmp_path: Path
) -> None:
    """Runs the command line as a user who logs in."""
    name = f"{name_prefix}_operator"
    closes_at = next_hour()
    event, ticker = "KXBTCD-SOON", "KXBTCD-SOON-T97499.99"
    listed = {
        "event_ticker": event,
        "series_ticker": "KXBTCD",
        "markets": [kalshi_server.market(event, 97_500, closes_at)],
    }
    saved = tmp_path / "event.json"
    saved.write_text(json.dumps({"event": listed}), encoding="utf-8")
    candles = tmp_path / "candles.csv"
    candles.write_text(
        "timestamp,open,high,low,close,volume\n2026-03-07T00:00:00Z,97000,97010,96990,97005,1\n",
        encoding="utf-8",
    )
    trade = ("trades", "open", "--ticker", ticker, "--side", "yes", "--price", "0.85")
    out = ("--once", "--symbol", "BTC", "--out", str(tmp_path))
    commands = (
        ("tick", "--feed", "simulated", *out),
        ("tick", "--feed", "replay", *out),
        ("market", "load", str(saved)),
        (*trade, "--count", "10"),
        ("trades", "list"),
        ("trades", "close", "1", "--price", "0.9"),
        ("candles", "load", str(candles), "--symbol", "BTC"),
        ("candles", "gaps", "--symbol", "BTC"),
        ("strikes", "97000"),
        ("calibration",),
        ("db", "prune"),
    )
    with role(market, name, login=True) as dsn:
        assert judged(dsn).repair == f"GRANT upc_operator TO {name}"
        granted(market, name, "upc_operator")
        # A copy of a database has rights on its objects, and none of its own.
        upgrade(market)

        for command in commands:
            done = pyupc(dsn, *command)
            assert (done.returncode, command) == (0, command), done.stderr
        with connect(dsn) as conn:
            for statement in WORK:
                conn.execute(statement)
            conn.execute(
                "SELECT upc.record_candle_hole('BTC', 'coinbase', '2026-03-08', '2026-03-09')"
            )
        # No process ticks any more, so it is not green.
        result = pyupc(dsn, "status", "--json", "--symbol", "BTC")
        assert (result.returncode, "42501" in result.stderr) == (1, False)

        if rows(dsn, "SHOW server_version_num")[0][0] >= "170000":
            assert judged(dsn).state == "ok"
            assert pyupc(dsn, "fingerprints", "build", "--symbol", "BTC").returncode == 0
            [(through,)] = rows(dsn, "SELECT max(day) FROM upc_data.counted_day")
            assert through >= date(2026, 3, 7)
        else:
            assert judged(dsn).state == "warn"
            refused = pyupc(dsn, "fingerprints", "build", "--symbol", "BTC")
            assert (refused.returncode, "42501" in refused.stderr) == (1, True)


def test_what_an_upgrade_has_not_granted_is_its_owners_to_repair(
    fresh_db: str, name_prefix: str
) -> None:
    name = f"{name_prefix}_operator"
    with role(fresh_db, name) as dsn:
        granted(fresh_db, name, "upc_operator")
        with connect(fresh_db) as conn:
            conn.execute("REVOKE SELECT ON upc.fingerprint_list FROM upc_operator")
        found = judged(dsn)
        assert (found.state, found.repair) == ("fail", "as the owner: pyupc db upgrade")
        upgrade(fresh_db)
        assert judged(dsn).state != "fail"


EVENT = json.dumps(
    {
        "event": {
            "event_ticker": "KXBTCD-TEST",
            "series_ticker": "KXBTCD",
            "title": "Bitcoin?",
            "markets": [
                {
                    "ticker": f"KXBTCD-TEST-T{strike}.99",
                    "strike_type": "greater",
                    "status": "active",
                    "floor_strike": strike + 0.99,
                    "close_time": "CLOSE",
                    "yes_ask_dollars": "0.5600",
                    "no_ask_dollars": "0.4600",
                    "volume_fp": "10.00",
                }
                for strike in (96_749, 96_999, 97_249)
            ],
        }
    }
)

# Statements of a feed, a tick, its supervision of trades, retention and `pyupc notify`.
WORK = (
    "SELECT upc.record_price('BTC', 'coinbase', 97000)",
    "SELECT upc.record_candles('BTC', ARRAY[date_trunc('minute', now()) - interval '1 minute'],"
    " ARRAY[1.0], ARRAY[1.0], ARRAY[1.0], ARRAY[1.0], ARRAY[1.0])",
    "SELECT FROM upc.load_market(replace('" + EVENT + "', 'CLOSE', to_char((now()"
    " + interval '30 minutes') AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'))::jsonb,"
    " 'BTC')",
    "SELECT FROM upc.tick('BTC', 'coinbase', holder => 'somebody')",
    "SELECT upc.open_trade('KXBTCD-TEST-T96999.99', 'yes', 0.85, 10)",
    "SELECT FROM upc.tick('BTC', 'coinbase', holder => 'somebody')",
    "SELECT FROM upc.close_trade((SELECT max(trade_id) FROM upc_data.trade), 0.5)",
    "SELECT FROM upc.tick('BTC', 'coinbase', at => now() + interval '50 s', holder => 'somebody')",
    "SELECT upc.record_price('BTC', 'coinbase', 97001, received_at => clock_timestamp()"
    " + interval '55 s')",
    "SELECT FROM upc.tick('BTC', 'coinbase', at => now() + interval '56 s', holder => 'somebody')",
    "SELECT upc.subscribe('somebody')",
    "SELECT FROM upc.next_announcements('somebody', '{stale}')",
    "SELECT upc.acknowledge('somebody', 'BTC', 1)",
    "SELECT FROM upc.announce_silence()",
    "SELECT FROM upc.delete_expired()",
    "SELECT upc.prove_write()",
    "SELECT upc.release_lease('BTC', 'somebody')",
    "SELECT FROM upc.status()",
    "SELECT upc.begin_build('BTC')",
    "SELECT upc.count_days('BTC', ARRAY['2026-03-03'::date])",
    "SELECT upc.complete_build('BTC')",
)

"""The rights that `pyupc doctor` asks for are enough for all that ticks, feeds and notifies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pyupc.database.connect import connect
from tests.python.market import clone, fill, pyupc


@pytest.fixture
def market(server_dsn: str, name_prefix: str, template: str) -> Iterator[str]:
    with clone(server_dsn, template, f"{name_prefix}_rights") as dsn:
        fill(dsn, ("BTC",))
        yield dsn


def doctor(dsn: str) -> tuple[int, dict[str, str]]:
    """Exit code, and the state of each check."""
    done = pyupc(dsn, "doctor", "--offline", "--json")
    return done.returncode, {each["check"]: each["state"] for each in json.loads(done.stdout)}


@contextmanager
def role(dsn: str, name: str) -> Iterator[str]:
    """A role without rights, as the DSN of who works in it."""
    identifier = sql.Identifier(name)
    with connect(dsn) as conn:
        conn.execute(sql.SQL("CREATE ROLE {}").format(identifier))
    try:
        yield make_conninfo(dsn, options=f"-c role={name}")
    finally:
        with connect(dsn) as conn:
            conn.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(identifier))


def granted(dsn: str, name: str, *what: str) -> None:
    with connect(dsn) as conn:
        for each in what:
            conn.execute(sql.SQL(f"GRANT {each} TO {{}}").format(sql.Identifier(name)))


def test_the_rights_that_are_asked_for_are_enough_and_each_is_missed(
    market: str, name_prefix: str
) -> None:
    from pyupc.doctor.rights import WRITES

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
            conn.execute("REVOKE EXECUTE ON FUNCTION upc.momentum FROM public")
        assert "EXECUTE on upc.momentum" in lacking(dsn)
        with connect(market) as conn:
            conn.execute("GRANT EXECUTE ON FUNCTION upc.momentum TO public")
            conn.execute(f'REVOKE SELECT ON upc.fingerprint_grid FROM "{name}"'.encode())
        assert "SELECT on upc.fingerprint_grid" in lacking(dsn)


def lacking(dsn: str) -> str:
    from pyupc.doctor.rights import rights

    with connect(dsn) as conn:
        found = rights(conn)
    assert found.state == "fail"
    return found.seen


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

# What a feed, a tick, its supervision of trades, retention and `pyupc notify` do.
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

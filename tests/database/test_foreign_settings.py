"""Settings that databases, roles and environments have of their own change nothing of ours."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pyupc.database.connect import connect, with_search_path
from pyupc.database.migrate import upgrade
from pyupc.errors import PyupcError
from pyupc.health.doctor.server import judge_encoding
from tests.support.databases import Databases
from tests.support.market import pyupc, read, rows

FOREIGN = {
    "datestyle": "German, DMY",
    "intervalstyle": "sql_standard",
    "timezone": "Asia/Kolkata",
    "standard_conforming_strings": "off",
    "extra_float_digits": "-10",
    "client_encoding": "LATIN1",
    "bytea_output": "escape",
}
OURS = {
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "standard_conforming_strings": "on",
    "extra_float_digits": "1",
    "client_encoding": "UTF8",
    "search_path": '"$user",public,upc,analytics',
}
ENVIRONMENT = {
    "PGDATESTYLE": "SQL, DMY",
    "PGTZ": "Asia/Kolkata",
    "PGCLIENTENCODING": "LATIN1",
    "PGOPTIONS": "-c IntervalStyle=iso_8601 -c standard_conforming_strings=off",
}
AT = "2026-03-05 12:00:20+00"


def make_foreign(dsn: str, settings: Mapping[str, str] = FOREIGN) -> None:
    with connect(dsn) as conn:
        database = sql.Identifier(conn.info.dbname)
        for name, value in settings.items():
            conn.execute(
                sql.SQL("ALTER DATABASE {} SET {} TO {}").format(
                    database, sql.SQL(name), sql.SQL(", ").join(map(sql.Literal, value.split(", ")))
                )
            )


@pytest.fixture(scope="module")
def markets(databases: Databases, module_market: str) -> Iterator[tuple[str, str]]:
    """Two databases with the same candles and fingerprints; the second one has foreign settings."""
    with databases.clone("market") as foreign:
        make_foreign(foreign)
        yield module_market, foreign


# Connections.


def settings_of(conn: psycopg.Connection[Any]) -> dict[str, str]:
    return {
        name: conn.execute("SELECT current_setting(%s)", (name,)).fetchone()[0]  # type: ignore[index]
        for name in OURS
    }


@pytest.mark.parametrize("is_environment", [False, True])
def test_every_connection_sets_what_it_depends_on(
    markets: tuple[str, str], monkeypatch: pytest.MonkeyPatch, is_environment: bool
) -> None:
    if is_environment:
        for name, value in ENVIRONMENT.items():
            monkeypatch.setenv(name, value)
    for dsn in (markets[1], make_conninfo(markets[1], options="-c datestyle=German")):
        with connect(dsn) as conn:
            assert settings_of(conn) == OURS
        with connect(dsn, autocommit=False) as conn:
            assert settings_of(conn) == OURS
            conn.rollback()
            assert settings_of(conn) == OURS


def test_what_the_page_reads_with_does_too(markets: tuple[str, str]) -> None:
    pytest.importorskip("psycopg_pool", reason="needs the extra web")
    from pyupc.web.database import Database

    query = "SELECT " + ", ".join(f"current_setting('{name}')" for name in OURS)

    async def asks() -> list[tuple[Any, ...]]:
        database = Database(markets[1])
        await database.open()
        try:
            found = await database.rows(query)
            async with await database.listener() as conn:
                cursor = await conn.execute(query.encode())
                return [*found, *await cursor.fetchall()]
        finally:
            await database.close()

    assert asyncio.run(asks()) == 2 * [tuple(OURS.values())]


def test_the_uri_has_them_for_other_clients(markets: tuple[str, str]) -> None:
    with psycopg.connect(with_search_path(markets[1])) as conn:
        found = settings_of(conn)
    # A terminal's encoding is the terminal's.
    del found["client_encoding"]
    assert found == {name: value for name, value in OURS.items() if name != "client_encoding"}


# Commands.


def test_commands_answer_as_ever(
    markets: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[list[object]] = []
    for dsn, environment in ((markets[0], {}), (markets[1], ENVIRONMENT)):
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            found: list[object] = []
            for command in (
                ("fingerprints", "list", "--json"),
                ("strikes", "97250", "-7", "--ttc", "1200", "--json"),
                ("candles", "gaps", "--json"),
            ):
                done = pyupc(dsn, *command)
                found.append((done.returncode, json.loads(done.stdout)))
            checked = pyupc(dsn, "doctor", "--offline", "--json", "--out", tmp_path)
            found.append([(row["check"], row["state"]) for row in json.loads(checked.stdout)])
            ticked = pyupc(
                dsn, "tick", "--feed", "replay", "--from", AT, "--once", "--out", tmp_path
            )
            assert ticked.returncode == 0
            document = read(tmp_path, "BTC", "live_probabilities")
            found.append([document[key] for key in ("current_price", "probabilities")])
            assert document["timestamp"].endswith("+00:00")
            answers.append(found)
    assert answers[0] == answers[1]


def test_an_upgrade_builds_the_same(
    empty_db: str, fresh_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_foreign(empty_db)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    upgrade(empty_db)
    query = (
        "SELECT p.oid::regprocedure::text, p.prosrc, pg_get_function_arguments(p.oid)"
        " FROM pg_proc AS p WHERE p.pronamespace = 'upc'::regnamespace ORDER BY 1"
    )
    assert rows(empty_db, query) == rows(fresh_db, query)


# SQL that others call, in sessions of their own.


def test_no_text_of_ours_depends_on_a_session(markets: tuple[str, str]) -> None:
    for theirs, ours in zip(answers(markets[1], {}), answers(markets[1], OURS), strict=True):
        assert _NUMBERED.sub("", repr(theirs)) == _NUMBERED.sub("", repr(ours))


# Each session draws the next one.
_NUMBERED = re.compile(r"(?:tick_id|announcement_id|trade)\W*[0-9]+")


def answers(dsn: str, settings: Mapping[str, str]) -> list[object]:
    found: list[object] = []
    parameters = conninfo_to_dict(dsn)
    with psycopg.connect(make_conninfo("", **parameters)) as conn:
        # The digits of numbers are for the reader to choose.
        conn.execute("SET extra_float_digits = 1")
        for name, value in settings.items():
            conn.execute("SELECT set_config(%s, %s, false)", (name, value))
        for query in QUESTIONS:
            try:
                with conn.transaction():
                    found.append(conn.execute(query.encode()).fetchall())
                    raise psycopg.Rollback
            except psycopg.Error as error:
                diag = error.diag
                found.append(
                    (diag.sqlstate, diag.message_primary, diag.message_detail, diag.message_hint)
                )
    return found


_TICK = f"upc.tick('BTC', 'simulated', at => '{AT}'::timestamptz, holder => 'me', lease => '1 h')"
_OTHER_TICK = _TICK.replace("'me'", "'you'")
_EVENT = json.dumps(
    {
        "event": {"event_ticker": "KXBTCD-X", "series_ticker": "KXBTCD", "title": "BTC"},
        "markets": [
            {
                "ticker": "KXBTCD-X-T97249.99",
                "status": "active",
                "strike_type": "greater",
                "floor_strike": 97249.99,
                "close_time": "2026-03-05T13:00:00Z",
                "yes_ask_dollars": "0.5600",
                "no_ask_dollars": "0.4600",
                "volume_fp": "1500.00",
            }
        ],
    }
)
QUESTIONS = (
    "SELECT t.live_probabilities::text, t.strike_table::text, t.watchlist::text,"
    f" t.active_trades::text, t.contracts FROM {_TICK} AS t",
    "SELECT json_agg(c)::text FROM upc.compute_strikes(97250, 7, ttc_seconds => 1200) AS c",
    f"SELECT upc.status_document(at => '{AT}')",
    f"SELECT upc.symbols_document(at => '{AT}')",
    "SELECT upc.strikes_document(97250, 7, ttc_seconds => 1200)",
    "SELECT upc.calibration_document('BTC')",
    "SELECT upc.document_rules()",
    "SELECT upc._span_text(make_interval(secs => s))"
    " FROM unnest('{0,61.9,90000,-5,266400}'::float8[]) AS s",
    # Regular expressions and patterns.
    "SELECT upc._rule_text('fresh_for', '1  min 10 s'), upc._rule_text('stop_momentum', '12.50')",
    "SELECT upc._rule_text('fresh_for', '10')",
    "SELECT upc.percent_text(51.8049, 2), upc.percent_text(50, NULL)",
    "SELECT upc.candle_minute('2024-03-05T12:00:00.000+0530') = '2024-03-05 06:30Z'",
    f"SELECT upc._iso_utc(closes_at) FROM upc.load_market('{_EVENT}'::jsonb, read_at => '{AT}')",
    f"""SELECT upc.load_market('{_EVENT.replace('"0.5600"', '"5.6"')}'::jsonb)""",
    # Instants and lengths of time in messages.
    f"SELECT upc._note_condition('BTC', 'price', 'stale', '{AT}', '1 day 00:00:40.5')::text",
    f"SELECT FROM {_TICK}; UPDATE upc_data.tick_lease SET taken_at = '{AT}';"
    f" SELECT FROM {_OTHER_TICK}",
    f"SELECT upc.load_market('{_EVENT}'::jsonb, read_at => '{AT}');"
    " SELECT upc.open_trade('KXBTCD-X-T97249.99', 'yes', 0.5, 10, at => '2026-03-06 12:00Z')",
    f"SELECT upc.load_market('{_EVENT}'::jsonb, read_at => '{AT}');"
    f" SELECT upc.open_trade('KXBTCD-X-T97249.99', 'yes', 0.5, 10, at => '{AT}');"
    " SELECT upc.close_trade(trade_id, 0.6, at => '2026-03-05 11:00Z') FROM upc_data.trade",
)


def test_no_body_that_is_read_late_has_a_backslash(fresh_db: str) -> None:
    """A backslash would change the text without standard_conforming_strings."""
    query = (
        "SELECT p.oid::regprocedure::text FROM pg_proc AS p WHERE p.prosqlbody IS NULL"
        " AND p.pronamespace IN ('upc'::regnamespace, 'analytics'::regnamespace)"
        " AND position(chr(92) IN p.prosrc) > 0"
    )
    assert rows(fresh_db, query) == []


# Encodings.


@pytest.fixture
def encoded(
    server_dsn: str, name_prefix: str, request: pytest.FixtureRequest
) -> Iterator[tuple[str, str]]:
    encoding: str = request.param
    name = f"{name_prefix}_{encoding.lower()}"
    with connect(server_dsn) as server:
        server.execute(
            sql.SQL(
                "CREATE DATABASE {} ENCODING {} LOCALE_PROVIDER libc"
                " LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
            ).format(sql.Identifier(name), encoding)
        )
    yield encoding, make_conninfo(server_dsn, dbname=name)
    with connect(server_dsn) as server:
        server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.mark.parametrize("encoded", ["LATIN1", "WIN1252"], indirect=True)
def test_another_encoding_is_refused_before_anything_is_made(encoded: tuple[str, str]) -> None:
    encoding, dsn = encoded
    with pytest.raises(PyupcError) as caught:
        upgrade(dsn)
    assert caught.value.exit_code == 1
    assert encoding in caught.value.message
    assert caught.value.hint is not None
    query = "SELECT nspname FROM pg_namespace WHERE nspname IN ('upc', 'upc_data', 'analytics')"
    assert rows(dsn, query) == []
    assert judge_encoding(encoding).state == "fail"


@pytest.mark.parametrize("encoded", ["SQL_ASCII"], indirect=True)
def test_bytes_as_they_come_are_warned_of_once(
    encoded: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    encoding, dsn = encoded
    for _ in range(2):
        upgrade(dsn)
    warnings = [each for each in caplog.records if each.name == "pyupc.database.encoding"]
    assert [each.levelname for each in warnings] == ["WARNING"]
    assert judge_encoding(encoding).state == "warn"

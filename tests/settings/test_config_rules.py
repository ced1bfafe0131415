"""The rules reach every connection, as PostgreSQL understands them, and the feed beside a tick."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pyupc.database.connect import connect, with_search_path
from pyupc.errors import UsageProblem
from pyupc.settings.rules import RULES, connection_options, seconds
from tests.support.engine import Connection, scalar
from tests.support.feed_servers import Exchange, serving
from tests.support.market import start
from tests.support.settings_files import pyupc
from tests.support.warm_process import REPOSITORY, run


def setting(dsn: str, name: str, fallback: str = "none") -> Any:
    with connect(dsn) as conn:
        row = conn.execute("SELECT upc.setting(%s, %s)", (name, fallback)).fetchone()
    return row[0] if row else None


def sqlstate(conn: Connection, query: str, *parameters: Any) -> str | None:
    with pytest.raises(psycopg.Error) as caught, conn.transaction():
        conn.execute(query.encode(), parameters or None)
    return caught.value.sqlstate


def through_psql(query: str, *arguments: str | Path) -> str:
    done = run(*arguments, "db", "psql", "-XAtc", query)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def market(module_btc_market: str) -> str:
    return module_btc_market


def test_a_rule_that_is_set_is_stronger_than_the_databases_own(
    fresh_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert setting(fresh_db, "fresh_for") == "none"
    database = sql.Identifier(str(conninfo_to_dict(fresh_db)["dbname"]))
    with connect(fresh_db) as conn:
        conn.execute(sql.SQL("ALTER DATABASE {} SET upc.fresh_for = '20 s'").format(database))
    assert setting(fresh_db, "fresh_for") == "20 s"
    monkeypatch.setenv("PYUPC_RULES_FRESH_FOR", "1 min  30 s")
    assert setting(fresh_db, "fresh_for") == "1 min 30 s"
    assert setting(fresh_db, "warn_for") == "none"
    # A setting in the connection string is intended.
    dsn = make_conninfo(fresh_db, options="-c upc.fresh_for=5s -c geqo=off")
    assert setting(dsn, "fresh_for") == "5s"
    with psycopg.connect(with_search_path(fresh_db)) as conn:
        assert conn.execute("SHOW upc.fresh_for").fetchone() == ("1 min 30 s",)
    monkeypatch.setenv("PYUPC_RULES_FRESH_FOR", "")
    assert setting(fresh_db, "fresh_for") == "20 s"


# Value in the file, value for PostgreSQL, and another one that a variable overrides.
VALUES = {
    "fresh_for": ("'10 s'", "10 s", "'1 s'"),
    "min_probability": ("97.5", "97.5", "1"),
    "min_differential": ("-2", "-2", "1"),
    "stop_on_probability": ("false", "off", "true"),
    "stop_verify": ("'on'", "on", "false"),
    "stop_momentum": ("40", "40", "1"),
    "keep_prices": ("'infinity'", "infinity", "'2 days'"),
    "keep_ticks": ("'2 days 30 min'", "2 days 30 min", "'infinity'"),
    "keep_every_tick": ("'1 day'", "1 day", "'infinity'"),
    "keep_contracts": ("'1 day'", "1 day", "'infinity'"),
    "keep_events": ("'infinity'", "infinity", "'2 days'"),
    "stop_ttc": ("'0 s'", "0 s", "'1 min'"),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_rule_of_the_file_and_its_variable(
    name: str, fresh_db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYUPC_DSN", fresh_db)
    written, text, other = VALUES[name]
    query = f"SHOW upc.{name}"
    file = tmp_path / "config.toml"
    file.write_text(f"[rules]\n{name} = {written}\n")
    assert through_psql(query, "--config", file) == text
    monkeypatch.setenv(RULES[name].variable, f" {text} ")
    file.write_text(f"[rules]\n{name} = {other}\n")
    assert through_psql(query, "--config", file) == text


def test_the_rules_are_the_settings_that_the_database_reads() -> None:
    """Rule by its name; its default is defined in one place."""
    texts = [file.read_text() for file in (REPOSITORY / "sql").rglob("*.sql")]
    pattern = r"upc\.(?:setting|_retention_start)\('(\w+)'([,)])"
    calls = [found for text in texts for found in re.findall(pattern, text)]
    assert {name for name, _ in calls} == set(RULES)
    assert [name for name, end in calls if end == "," and not name.startswith("keep_")] == []


def test_the_same_rules_with_and_without_a_database(fresh_db: str) -> None:
    with connect(fresh_db) as conn:
        rows = conn.execute(
            "SELECT d.name, d.fallback, upc.setting(d.name) FROM upc.rule_definitions() AS d"
        ).fetchall()
    assert rows == [(rule.name, rule.fallback, rule.fallback) for rule in RULES.values()]


# For each kind and bound: a valid value, the stored one, and an invalid one.
TAKEN = [
    ("fresh_for", " 10   s ", "10 s"),
    ("fresh_for", "1 ms", "1 ms"),
    ("fresh_for", "1000 years", "1000 years"),
    ("fresh_for", "1 h 30 min", "1 h 30 min"),
    ("stop_ttc", "0 s", "0 s"),
    ("keep_ticks", "2 days", "2 days"),
    ("keep_ticks", "Infinity", "infinity"),
    ("min_probability", "0", "0"),
    ("min_probability", "100.0", "100"),
    ("min_differential", "-100", "-100"),
    ("stop_momentum", "1e1", "10"),
    ("account_precision", "0.0001", "0.0001"),
    ("account_precision", "0.010", "0.01"),
    ("edge_contracts", "0.5", "0.5"),
    ("stop_verify", "TRUE", "on"),
    ("stop_verify", "0", "off"),
]
REFUSED = [
    ("fresh_for", "0 s"),
    ("fresh_for", "-1 s"),
    ("fresh_for", "15"),
    ("fresh_for", "soon"),
    ("fresh_for", "15 parsecs"),
    ("fresh_for", "infinity"),
    ("fresh_for", "1001 years"),
    ("fresh_for", ""),
    ("keep_prices", "47 h"),
    ("min_probability", "100.01"),
    ("min_probability", "NaN"),
    ("min_probability", "1_0"),
    ("min_differential", "inf"),
    ("stop_momentum", "0"),
    ("account_precision", "0"),
    ("account_precision", "0.00001"),
    ("account_precision", "0.02"),
    ("edge_contracts", "0"),
    ("edge_contracts", "-10"),
    ("stop_verify", "maybe"),
]


@pytest.mark.parametrize(("name", "value", "stored"), TAKEN)
def test_both_take_it(name: str, value: str, stored: str, db: Connection) -> None:
    assert RULES[name].text(value, "here") == stored
    assert scalar(db, "SELECT upc.set_rule(%s, %s)", name, value) == stored
    assert scalar(db, "SELECT upc.setting(%s)", name) == stored


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_both_refuse_it(name: str, value: str, db: Connection) -> None:
    with pytest.raises(UsageProblem):
        RULES[name].text(value, "here")
    assert sqlstate(db, "SELECT upc.set_rule(%s, %s)", name, value) == "22023"
    assert scalar(db, "SELECT count(*) FROM upc_data.rule") == 0


def test_names_that_are_none(db: Connection) -> None:
    for name in ("fresh", "FRESH_FOR", None):
        assert sqlstate(db, "SELECT upc.set_rule(%s, '1 s')", name) == "UP029"
        assert sqlstate(db, "SELECT upc.unset_rule(%s)", name) == "UP029"
    assert sqlstate(db, "SELECT upc.set_rule('fresh_for', NULL)") == "22023"
    # A rule of a newer pyupc is ignored, and can be unset.
    db.execute("INSERT INTO upc_data.rule VALUES ('of_tomorrow', '1', 'me', now())")
    db.execute("SELECT FROM upc._cache_rules()")
    assert scalar(db, "SELECT upc.unset_rule('of_tomorrow')")


def test_what_goes_before_what(db: Connection) -> None:
    state = "SELECT upc.freshness('20 s')"
    assert scalar(db, state) == "warn"
    db.execute("SELECT upc.set_rule('fresh_for', '25 s')")
    assert scalar(db, state) == "fresh"
    row = db.execute(
        "SELECT value, source, set_by = session_user, set_at <= clock_timestamp()"
        " FROM upc.rules() WHERE name = 'fresh_for'"
    ).fetchone()
    assert row == ("25 s", "table", True, True)
    db.execute("SET upc.fresh_for = '19 s'")
    assert scalar(db, state) == "warn"
    source = "SELECT source FROM upc.rules() WHERE name = 'fresh_for'"
    assert scalar(db, source) == "setting"
    db.execute("SET upc.fresh_for = ''")
    assert scalar(db, state) == "fresh"
    assert scalar(db, "SELECT upc.unset_rule('fresh_for')") is True
    assert scalar(db, "SELECT upc.unset_rule('fresh_for')") is False
    assert (scalar(db, state), scalar(db, source)) == ("warn", "default")


def test_a_tick_takes_what_has_been_set_since_the_last(market: str) -> None:
    """Also within one transaction, and from another session's."""
    query = "SELECT t.state FROM upc.tick('BTC', 'database', at => %s) AS t"
    with connect(market) as other, connect(market) as conn, conn.transaction(force_rollback=True):
        at = scalar(conn, "SELECT clock_timestamp() - interval '1 day'")
        conn.execute(
            "SELECT upc.record_price('BTC', 'coinbase', 97000, NULL, %s)",
            (at - timedelta(seconds=20),),
        )
        assert scalar(conn, query, at) == "warn"
        try:
            other.execute("SELECT upc.set_rule('fresh_for', '20 s')")
            assert scalar(conn, query, at) == "fresh"
            assert scalar(conn, "SELECT upc.freshness('20 s')") == "fresh"
            other.execute("SELECT upc.set_rule('fresh_for', '19 s')")
            assert scalar(conn, query, at) == "warn"
            # Invalid by hand: every tick reports it, and writes nothing.
            for value in ("soon", "0 s", ""):
                other.execute("UPDATE upc_data.rule SET value = %s", (value,))
                for broken in (query, "SELECT upc.freshness(now() - %s)"):
                    assert sqlstate(conn, broken, at) == "22023"
            problem = "SELECT name FROM upc.rules() WHERE problem IS NOT NULL"
            assert scalar(other, problem) == "fresh_for"
            other.execute("SELECT upc.set_rule('fresh_for', '20 s')")
            assert scalar(conn, query, at) == "fresh"
        finally:
            other.execute("DELETE FROM upc_data.rule")
        assert scalar(conn, query, at) == "warn"


@pytest.mark.parametrize(
    "text",
    """15 s|15s|0.5 sec|2 min|5 m|1 hour|36 h|1 d|30 days|2 weeks|6 mons|1 month|1 year|250 ms
    |1 h 30 min|1 day 2 hours 3 secs|7 MINUTES""".replace("\n    ", "").split("|"),
)
def test_intervals_mean_what_postgresql_takes_them_for(text: str, server_dsn: str) -> None:
    with connect(server_dsn) as conn:
        row = conn.execute("SELECT extract(epoch FROM %s::interval)", (text,)).fetchone()
    assert row is not None
    assert seconds(text) == pytest.approx(float(row[0]))


@pytest.mark.parametrize(
    ("value", "text"),
    [(90, "90"), (90.0, "90"), (0.1, "0.1"), (1e-7, "1e-07"), (" 95.5 ", "95.5"), ("1e1", "10")],
)
def test_numbers_are_written_as_postgresql_reads_them(
    value: object, text: str, server_dsn: str
) -> None:
    assert RULES["min_probability"].text(value, "here") == text
    with connect(server_dsn) as conn:
        row = conn.execute("SELECT %s::text::double precision", (text,)).fetchone()
    assert row == (float(str(value)),)


def test_nothing_is_sent_of_what_is_not_set() -> None:
    assert connection_options({"PYUPC_RULES_FRESH_FOR": "", "PYUPC_RULES_X": "1"}) == []


def test_a_rule_changes_what_a_command_answers(
    fresh_db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A price of two minutes ago is stale after one, by default, and fresh for an hour here."""
    query = "SELECT upc.freshness('2 min')"
    monkeypatch.setenv("PYUPC_DSN", fresh_db)

    file = tmp_path / "config.toml"
    file.write_text('[rules]\nfresh_for = "1 hour"\n')
    assert through_psql(query) == "halted"
    assert through_psql(query, "--config", file) == "fresh"


# The feed that a tick starts.


def children(pid: int) -> list[int]:
    return [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]


def environment(pid: int) -> dict[str, str]:
    parts = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(part.split("=", 1) for part in parts if part)


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="there is no /proc here")
def test_the_feed_of_a_tick_has_the_same_settings(
    market: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its exchange is on the loopback: were the file not read there, it would ask another."""
    monkeypatch.setenv("NO_PROXY", "*")
    file = tmp_path / "config.toml"
    lines = []
    seen: dict[str, str] = {}
    with serving(Exchange()) as exchange:
        file.write_text(
            f"""
            dsn = '''{market}'''
            log_format = "json"
            exchange_url = "{exchange.url}"
            no_kalshi = true
            [rules]
            fresh_for = "11 s"
            [tick]
            feed = "coinbase"
            symbol = ["BTC"]
            interval = 0.2
            out = "{tmp_path}"
            """
        )
        with start("", "--config", file, "-v", "tick", "--count", "100") as process:
            assert process.stderr is not None
            for line in process.stderr:
                lines.append(json.loads(line))
                if lines[-1]["logger"].startswith("pyupc.feed") and not seen:
                    [child] = children(process.pid)
                    seen = environment(child)
                    process.terminate()
    assert process.returncode == 0, lines
    assert seen["PYUPC_CONFIG"] == str(file)
    assert seen["PYUPC_RULES_FRESH_FOR"] == "11 s"
    assert conninfo_to_dict(seen["PYUPC_DSN"])["dbname"] == conninfo_to_dict(market)["dbname"]
    assert exchange.requests
    assert {line["level"] for line in lines} <= {"INFO", "WARNING"}


def test_config_show_of_the_same_file(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[rules]\nkeep_prices = "infinity"\n')
    result = pyupc("--config", file, "config", "show", "rules.keep_prices", "--json")
    assert json.loads(result.stdout)[0]["value"] == "infinity"

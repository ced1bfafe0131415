"""The rules reach every connection, as PostgreSQL understands them, and the feed beside a tick."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pyupc.database.connect import connect, with_search_path
from pyupc.settings.rules import RULES, connection_options, seconds
from tests.python.feed_servers import Exchange, serving
from tests.python.market import REPOSITORY, clone, fill, start
from tests.python.settings_files import pyupc


def setting(dsn: str, name: str, fallback: str = "none") -> Any:
    with connect(dsn) as conn:
        row = conn.execute("SELECT upc.setting(%s, %s)", (name, fallback)).fetchone()
    return row[0] if row else None


def through_psql(query: str, *arguments: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pyupc", *arguments, "db", "psql", "-XAtc", query],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def market(server_dsn: str, name_prefix: str, template: str) -> Iterator[str]:
    with clone(server_dsn, template, f"{name_prefix}_rules") as dsn:
        fill(dsn, ("BTC",))
        yield dsn


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
    # Whoever names a setting in the connection string means it.
    dsn = make_conninfo(fresh_db, options="-c upc.fresh_for=5s -c geqo=off")
    assert setting(dsn, "fresh_for") == "5s"
    with psycopg.connect(with_search_path(fresh_db)) as conn:
        assert conn.execute("SHOW upc.fresh_for").fetchone() == ("1 min 30 s",)
    monkeypatch.setenv("PYUPC_RULES_FRESH_FOR", "")
    assert setting(fresh_db, "fresh_for") == "20 s"


# As the file has it, as PostgreSQL gets it, and another value, which a variable overrules.
VALUES = {
    "fresh_for": ("'10 s'", "10 s", "'1 s'"),
    "min_probability": ("97.5", "97.5", "1"),
    "min_differential": ("-2", "-2", "1"),
    "stop_on_probability": ("false", "off", "true"),
    "stop_verify": ("'on'", "on", "false"),
    "stop_momentum": ("40", "40", "1"),
    "keep_prices": ("'infinity'", "infinity", "'2 days'"),
    "keep_ticks": ("'2 days 30 min'", "2 days 30 min", "'infinity'"),
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
    texts = [file.read_text() for file in (REPOSITORY / "sql").glob("*.sql")]
    pattern = r"upc\.(?:setting|kept_since)\('(\w+)'"
    assert {name for text in texts for name in re.findall(pattern, text)} == set(RULES)


@pytest.mark.parametrize(
    "query",
    ["SELECT upc.stop_rules()", "SELECT upc.delete_expired()", "SELECT upc.freshness('1 s')"],
)
def test_the_database_takes_what_is_taken_here(
    query: str, fresh_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The least of every rule, and the most of it."""
    least = {"interval above": "1 ms", "interval such": "0 s", "interval of": "2 days"}
    most = {
        "interval above": "1000 years",
        "interval such": "1000 years",
        "interval of": "infinity",
    }
    for extreme, index in ((least, 0), (most, 1)):
        for rule in RULES.values():
            kind = " ".join(rule.expected.split()[1:3])
            bounds = [word for word in rule.expected.split() if word.lstrip("-").isdigit()]
            value = extreme.get(kind) or (bounds[index] if rule.is_number else "on")
            monkeypatch.setenv(rule.variable, value)
        with connect(fresh_db) as conn:
            conn.execute(query.encode())


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

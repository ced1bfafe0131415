"""`pyupc config set` and `unset`: rules in the database's table, and who may put them there."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from click.testing import Result
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pyupc.database.connect import connect
from pyupc.database.migrate import downgrade, upgrade
from pyupc.errors import PyupcError
from pyupc.health.doctor.server import rules as judged
from tests.support.engine import scalar
from tests.support.settings_files import pyupc, shown, value_and_source


@pytest.fixture
def dsn(fresh_db: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PYUPC_DSN", fresh_db)
    return fresh_db


def stored(dsn: str) -> dict[str, str]:
    with connect(dsn) as conn:
        return dict(conn.execute("SELECT name, value FROM upc_data.rule").fetchall())


def json_of(result: Result) -> dict[str, str]:
    assert result.exit_code == 0, result.stderr
    found: dict[str, str] = json.loads(result.stdout)
    return found


def test_set_show_and_unset(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert value_and_source(shown()["rules.fresh_for"]) == ("15 s", "default")
    before = datetime.now(UTC) - timedelta(seconds=1)
    assert json_of(pyupc("config", "set", "fresh_for", " 10  s", "--json"))["value"] == "10 s"
    assert pyupc("config", "set", "rules.min_differential", "-2.50").exit_code == 0
    assert stored(dsn) == {"fresh_for": "10 s", "min_differential": "-2.5"}

    value, source = value_and_source(shown()["rules.fresh_for"])
    with connect(dsn) as conn:
        who, at = conn.execute("SELECT set_by, set_at FROM upc_data.rule").fetchall()[0]
        assert who == scalar(conn, "SELECT session_user::text")
    assert before < at < datetime.now(UTC)
    assert value == "10 s"
    assert source.startswith("upc_data.rule")
    assert f" {who} " in source
    assert at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC") in source

    # A stronger setting is shown, and named when the rule is set.
    with connect(dsn) as conn:
        name = str(conninfo_to_dict(dsn)["dbname"])
        conn.execute(f"ALTER DATABASE \"{name}\" SET upc.fresh_for = '12 s'".encode())
    assert shown()["rules.fresh_for"]["value"] == "12 s"
    overruled = pyupc("config", "set", "fresh_for", "11 s", "--json")
    assert json_of(overruled)["value"] == "12 s"
    assert overruled.stderr
    monkeypatch.setenv("PYUPC_RULES_FRESH_FOR", "13 s")
    assert value_and_source(shown()["rules.fresh_for"]) == ("13 s", "PYUPC_RULES_FRESH_FOR")
    monkeypatch.delenv("PYUPC_RULES_FRESH_FOR")

    assert json_of(pyupc("config", "unset", "min_differential", "--json"))["source"] == "default"
    assert pyupc("config", "unset", "min_differential").exit_code == 0
    assert stored(dsn) == {"fresh_for": "11 s"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("set", "fresh_for", "0 s"),
        ("set", "fresh_for", "soon"),
        ("set", "min_probability", "101"),
        ("set", "stop_verify", "maybe"),
        ("set", "fresh", "1 s"),
        ("unset", "fresh"),
    ],
)
def test_what_is_refused(dsn: str, arguments: tuple[str, ...]) -> None:
    assert pyupc("config", *arguments).exit_code == 1
    assert stored(dsn) == {}


def test_without_a_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """Setting needs one, showing does not."""
    monkeypatch.setenv("PYUPC_DSN", "host=/nowhere")
    assert shown()["rules.fresh_for"]["value"] is None
    assert pyupc("config", "set", "fresh_for", "1 s").exit_code != 0


def test_who_may(dsn: str) -> None:
    """The owner. Who ticks reads rules, and must not be able to loosen what stops."""
    with connect(dsn) as conn:
        conn.execute("SELECT upc.set_rule('stop_verify', 'off')")
    for role in ("upc_operator", "upc_reader"):
        with connect(make_conninfo(dsn, options=f"-c role={role}")) as conn:
            assert scalar(conn, "SELECT upc.setting('stop_verify')") == "off"
            assert scalar(conn, "SELECT count(*) FROM upc.rules() WHERE source = 'table'") == 1
            for query in (
                "SELECT upc.set_rule('stop_verify', 'on')",
                "SELECT upc.unset_rule('stop_verify')",
                "UPDATE upc_data.rule SET value = 'on'",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    conn.execute(query.encode())
    assert stored(dsn) == {"stop_verify": "off"}


def test_doctor_names_what_was_broken_by_hand(dsn: str) -> None:
    with connect(dsn) as conn:
        conn.execute("SELECT upc.set_rule('fresh_for', '10 s')")
        assert judged(conn).state == "ok"
        conn.execute("UPDATE upc_data.rule SET value = 'soon'")
        found = judged(conn)
    assert (found.state, found.repair) == ("fail", "pyupc config unset fresh_for")
    assert pyupc("config", "unset", "fresh_for").exit_code == 0
    assert stored(dsn) == {}


def test_doctor_names_a_setting_that_cannot_be(dsn: str) -> None:
    with connect(dsn) as conn:
        for name, setting, is_fine in [
            ("fresh_for", "00:00:09.5", True),
            ("keep_ticks", "infinity", True),
            ("stop_verify", "t", True),
            ("min_probability", "9.5e1", True),
            ("fresh_for", "soon", False),
            ("warn_for", "-1 s", False),
            ("stop_verify", "maybe", False),
            ("min_probability", "101", False),
        ]:
            conn.execute("SELECT set_config('upc.' || %s::text, %s, false)", (name, setting))
            finding = judged(conn)
            assert finding.state == ("ok" if is_fine else "fail"), (name, setting)
            assert is_fine or (name in finding.seen and f"RESET upc.{name}" in str(finding.repair))
            conn.execute("SELECT set_config('upc.' || %s::text, '', false)", (name,))


def test_upgrades_keep_them(dsn: str) -> None:
    with connect(dsn) as conn:
        conn.execute("SELECT upc.set_rule('fresh_for', '10 s')")
        conn.execute(
            "COMMENT ON SCHEMA upc IS 'Made from another text [pyupc 0001 %s]'" % ("0" * 64)
        )
        before = conn.execute("SELECT * FROM upc_data.rule").fetchall()
    upgrade(dsn)
    downgrade(dsn, "0009")
    upgrade(dsn)
    with connect(dsn) as conn:
        assert conn.execute("SELECT * FROM upc_data.rule").fetchall() == before
    with pytest.raises(PyupcError):
        downgrade(dsn, "0008", keep_data=True)
    downgrade(dsn, "0008")
    upgrade(dsn)
    assert stored(dsn) == {}

"""`pyupc config show`: values with their sources, without secrets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pyupc.settings.rules import RULES
from pyupc.settings.secrets import shown as masked
from tests.support.settings_files import pyupc, shown, value_and_source


def test_every_setting_has_a_value_and_a_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        """
        home = "/srv/pyupc"
        kalshi_url = "demo"
        [rules]
        fresh_for = "10 s"
        min_probability = 90
        stop_verify = true
        [tick]
        feed = "coinbase"
        interval = 2
        """
    )
    monkeypatch.delenv("PYUPC_HOME")
    monkeypatch.setenv("PYUPC_RULES_FRESH_FOR", "7  s")
    monkeypatch.setenv("PYUPC_KALSHI_URL", "production")
    monkeypatch.setenv("PYUPC_TICK_INTERVAL", "3")
    found = shown("--config", file, "--log-format", "text", "-v")
    expected = {
        "dsn": (None, "default"),
        "home": ("/srv/pyupc", str(file)),
        "log_format": ("text", "--log-format"),
        "verbose": (1, "--verbose"),
        "quiet": (False, "default"),
        "kalshi_url": ("production", "PYUPC_KALSHI_URL"),
        "rules.fresh_for": ("7  s", "PYUPC_RULES_FRESH_FOR"),
        "rules.min_probability": ("90", str(file)),
        "rules.stop_verify": ("on", str(file)),
        "rules.warn_for": (None, "default or the database's own"),
        "tick.feed": ("coinbase", str(file)),
        "tick.interval": (3.0, "PYUPC_TICK_INTERVAL"),
        "tick.out": ("live", "default"),
        "tick.speed": (None, "default"),
        "candles.backfill.exchange": ("coinbase", "default"),
    }
    assert {name: value_and_source(found[name]) for name in expected} == expected
    assert found["candles.backfill.exchange"]["variable"] == "PYUPC_CANDLES_BACKFILL_EXCHANGE"
    assert found["rules.warn_for"]["variable"] == "PYUPC_RULES_WARN_FOR"


def test_a_part_of_them() -> None:
    def names(*wanted: str) -> list[str]:
        result = pyupc("config", "show", *wanted, "--json")
        return [each["name"] for each in json.loads(result.stdout)]

    assert names("tick.interval") == ["tick.interval"]
    assert "candles.load.skip_bad" in names("candles", "load")
    assert {name.partition(".")[0] for name in names("candles")} == {"candles"}
    assert names("rules") == [f"rules.{name}" for name in RULES]
    result = pyupc("config", "show", "tikc")
    assert (result.exit_code, result.stderr.split()[-1]) == (2, "tick")


def test_the_table_has_the_same_rows() -> None:
    lines = pyupc("config", "show").stdout.splitlines()
    assert lines[0].split() == ["setting", "value", "from"]
    assert [line.split()[0] for line in lines[1:]] == list(shown())


def test_variables_that_are_not_of_pyupc_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYUPC_TICK_INTERVALL", "PYUPC_DSN_2"):
        monkeypatch.setenv(name, "geheim")
    for name in ("PYUPC_TEST_ANYTHING", "PYUPC_SHARED", "PYUPC_DEBUG"):
        monkeypatch.setenv(name, "0")
    result = pyupc("config", "show")
    assert result.exit_code == 0
    assert [line.split()[4] for line in result.stderr.splitlines()] == [
        "PYUPC_DSN_2",
        "PYUPC_TICK_INTERVALL",
    ]
    assert "PYUPC_TICK_INTERVAL" in result.stderr.split()
    assert "geheim" not in result.output
    assert pyupc("config", "path").stderr == ""


DSNS = [
    "postgresql://me:geheim@host:5433/db?sslmode=require",
    "postgres://host/db?user=me&password=geheim",
    "postgresql://me:g%65heim@host/db?sslpassword=geheim",
    "host=h user=me password=geheim",
    "host=h password = 'ge\\'heim' dbname='a b'",
    "password='geheim",
    "postgresql://me:geheim@host:port/db",
    "geheim",
]


@pytest.mark.parametrize("place", ["file", "variable", "flag", "option"])
@pytest.mark.parametrize("dsn", DSNS)
def test_no_password_is_shown(
    dsn: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f"dsn = {json.dumps(dsn)}\n" if place == "file" else "")
    if place == "variable":
        monkeypatch.setenv("PYUPC_DSN", dsn)
    if place == "option":
        monkeypatch.setenv("PYUPC_FINGERPRINTS_IMPORT_FROM_DSN", dsn)
    flags = ["--dsn", dsn] if place == "flag" else []
    for format in ([], ["--json"]):
        result = pyupc("--config", file, *flags, "config", "show", *format)
        assert result.exit_code == 0
        assert "***" in result.stdout
        for secret in ("geheim", "heim"):
            assert secret not in result.output


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("dsn", "host=h dbname=d user=me", "host=h dbname=d user=me"),
        ("dsn", "", ""),
        ("kalshi_url", "https://a.example/v2", "https://a.example/v2"),
        ("kalshi_url", "https://me:pw@a.example:8/v2?k=pw", "https://***@a.example:8/v2?***"),
        ("notify.to", "https://hooks.example/T0/pw", "https://hooks.example/***"),
        ("notify.to", "slack://pw/pw", "slack://***"),
        ("notify.to", ["json://pw", "x"], ["json://***", "x"]),
        ("notify.token", "pw", "***"),
        ("tick.out", "live", "live"),
        ("tick.interval", 1.5, 1.5),
        ("notify.password", None, None),
    ],
)
def test_how_secrets_are_masked(key: str, value: object, expected: object) -> None:
    if key == "dsn" and value:
        from psycopg.conninfo import conninfo_to_dict

        assert conninfo_to_dict(str(masked(key, value))) == conninfo_to_dict(str(expected))
    else:
        assert masked(key, value) == expected

"""Flags before variables before config.toml before defaults, for options and for all commands."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pyupc.cli import COMMANDS, main
from pyupc.settings.config_path import default_path
from pyupc.settings.general import GENERAL
from pyupc.settings.options import commands_in, settings_of, variable
from pyupc.settings.rules import RULES
from tests.support.settings_files import pyupc, shown, value_and_source


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


@pytest.fixture(scope="module")
def market(module_btc_market: str) -> str:
    return module_btc_market


# The options of a command.


def test_each_is_stronger_than_the_next(
    market: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """10 strikes each way by default."""
    monkeypatch.setenv("PYUPC_DSN", market)

    def rows(*arguments: str) -> int:
        result = pyupc("--config", file, "strikes", "97250", "--json", *arguments)
        assert result.exit_code == 0, result.stderr
        return len(json.loads(result.stdout))

    file.write_text("")
    assert rows() == 21
    file.write_text("[strikes]\nlevels = 2\n")
    assert rows() == 5
    monkeypatch.setenv("PYUPC_STRIKES_LEVELS", "3")
    assert rows() == 7
    assert rows("--levels", "1") == 3
    # An empty variable is not set, as everywhere in Click.
    monkeypatch.setenv("PYUPC_STRIKES_LEVELS", "")
    assert rows() == 5


@pytest.mark.parametrize("text", ['["btc", "ETH", "btc"]', '"btc, eth"', '"BTC ETH"'])
def test_a_list_in_the_file(file: Path, text: str) -> None:
    file.write_text(f"[candles.backfill]\nsymbol = {text}\n")
    found = shown("--config", file)
    assert value_and_source(found["candles.backfill.symbol"]) == (["BTC", "ETH"], str(file))
    assert value_and_source(found["candles.gaps.symbol"]) == ([], "default")


@pytest.mark.parametrize("text", ["btc,eth", "BTC ETH", " btc , eth ", "BTC,ETH,BTC"])
def test_a_list_in_a_variable(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("PYUPC_TICK_SYMBOL", text)
    assert value_and_source(shown()["tick.symbol"]) == (["BTC", "ETH"], "PYUPC_TICK_SYMBOL")


def test_types_of_the_file(file: Path) -> None:
    file.write_text(
        """
        [tick]
        interval = 2
        out = "~/live"
        from = 2024-05-01T12:00:00Z
        json = true
        count = 7
        """
    )
    found = shown("--config", file)
    assert found["tick.interval"]["value"] == 2.0
    assert found["tick.out"]["value"] == os.path.expanduser("~/live")
    assert found["tick.from"]["value"] == "2024-05-01T12:00:00+00:00"
    assert found["tick.json"]["value"] is True
    assert found["tick.count"]["value"] == 7


def test_a_flag_in_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYUPC_FEED_NO_BUILD", "yes")
    assert value_and_source(shown()["feed.no_build"]) == (True, "PYUPC_FEED_NO_BUILD")
    monkeypatch.setenv("PYUPC_FEED_NO_BUILD", "off")
    assert value_and_source(shown()["feed.no_build"]) == (False, "PYUPC_FEED_NO_BUILD")


def test_the_table_of_a_command_is_stronger_than_the_top(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("no_kalshi = true\n")
    assert value_and_source(shown("--config", file)["feed.no_kalshi"]) == (True, str(file))
    file.write_text("no_kalshi = true\n[feed]\nno_kalshi = false\n")
    assert value_and_source(shown("--config", file)["feed.no_kalshi"]) == (False, str(file))
    monkeypatch.setenv("PYUPC_NO_KALSHI", "1")
    found = shown("--config", file)
    assert value_and_source(found["feed.no_kalshi"]) == (True, "PYUPC_NO_KALSHI")
    monkeypatch.setenv("PYUPC_FEED_NO_KALSHI", "0")
    found = shown("--config", file)
    assert value_and_source(found["feed.no_kalshi"]) == (False, "PYUPC_FEED_NO_KALSHI")


def test_consent_is_given_each_time_anew(
    fresh_db: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyupc.database.connect import connect

    with connect(fresh_db) as conn:
        conn.execute("SELECT upc.add_symbol('SOL', 5)")
    monkeypatch.setenv("PYUPC_DSN", fresh_db)
    monkeypatch.setenv("PYUPC_DB_DOWNGRADE_YES", "1")
    assert pyupc("db", "downgrade", "base").exit_code == 1
    file.write_text("[db.downgrade]\nyes = true\n")
    assert pyupc("--config", file, "db", "downgrade", "base").exit_code == 2


def test_no_two_settings_share_a_variable() -> None:
    context = click.Context(main)
    names = [general.variable for general in GENERAL.values()]
    names += [rule.variable for rule in RULES.values()]
    names += ["PYUPC_CONFIG", "PYUPC_DEBUG", "PYUPC_SHARED"]
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None
        for words, each in commands_in(command, (name,)):
            names += [variable(words, key) for key in settings_of(each)]
    assert len(names) == len(set(names)) > 50
    assert not [name for name in names if name.startswith("PYUPC_TEST_")]
    assert not set(COMMANDS) & {*GENERAL, "rules"}


# General settings


def test_the_server(file: Path, fresh_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def database(*arguments: str | Path) -> str:
        result = pyupc(*arguments, "db", "uri")
        assert result.exit_code == 0, result.stderr
        return str(conninfo_to_dict(result.stdout.strip())["dbname"])

    named = [make_conninfo(fresh_db, dbname=name) for name in ("file", "variable", "flag")]
    file.write_text(f'dsn = """{named[0]}"""\n')
    assert database("--config", file) == "file"
    assert "PYUPC_DSN" not in os.environ
    monkeypatch.setenv("PYUPC_DSN", named[1])
    assert database("--config", file) == "variable"
    assert database("--config", file, "--dsn", named[2]) == "flag"
    assert os.environ["PYUPC_DSN"] == named[1]


def test_the_home_of_the_embedded_server(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that cannot be created shows that it is the one that is used."""
    (tmp_path / "taken").write_text("")
    file.write_text(f'home = "{tmp_path}/taken/home"\n')
    monkeypatch.delenv("PYUPC_HOME")
    result = pyupc("--config", file, "db", "uri")
    assert result.exit_code == 3
    assert f"{tmp_path}/taken" in result.stderr


def test_how_much_is_logged(file: Path, market: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import logging

    monkeypatch.setenv("PYUPC_DSN", market)
    levels = []
    for text, variables, flags in (
        ("", {}, []),
        ("verbose = 2\n", {}, []),
        ("verbose = 2\n", {"PYUPC_VERBOSE": "1"}, []),
        ("verbose = 2\n", {"PYUPC_VERBOSE": "1"}, ["-vv"]),
        ("quiet = true\n", {}, []),
        ("quiet = true\n", {"PYUPC_QUIET": "0"}, []),
    ):
        file.write_text(text)
        with monkeypatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            assert pyupc("--config", file, *flags, "db", "current").exit_code == 0
        levels.append(logging.getLogger("pyupc").level)
    assert levels == [30, 10, 20, 10, 40, 30]


# Location of the file


def test_a_flag_names_the_file_before_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = tmp_path / "one.toml", tmp_path / "other.toml"
    one.write_text("[strikes]\nlevels = 1\n")
    other.write_text("[strikes]\nlevels = 2\n")
    monkeypatch.setenv("PYUPC_CONFIG", str(one))
    assert shown()["strikes.levels"]["value"] == 1
    assert shown("--config", other)["strikes.levels"]["value"] == 2
    assert shown("--config", "")["strikes.levels"]["value"] == 10
    assert pyupc("config", "path").stdout == f"{one}\n"
    assert pyupc("--config", other, "config", "path").stdout == f"{other}\n"


def test_a_file_that_is_named_has_to_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = tmp_path / "missing.toml"
    assert pyupc("--config", missing, "config", "show").exit_code == 2
    monkeypatch.setenv("PYUPC_CONFIG", str(missing))
    result = pyupc("config", "show")
    assert result.exit_code == 2
    assert str(missing) in result.stderr


def test_the_users_own_file_need_not_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYUPC_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert shown()["strikes.levels"]["value"] == 10
    assert pyupc("config", "path").stdout == f"{tmp_path}/pyupc/config.toml\n"
    (tmp_path / "pyupc").mkdir()
    (tmp_path / "pyupc" / "config.toml").write_text("[strikes]\nlevels = 4\n")
    assert shown()["strikes.levels"]["value"] == 4
    monkeypatch.setenv("PYUPC_CONFIG", "")
    assert shown()["strikes.levels"]["value"] == 10
    assert pyupc("config", "path").stdout == ""


@pytest.mark.parametrize(
    ("platform", "user", "xdg", "expected"),
    [
        ("linux", 0, "/x", "/etc/pyupc/config.toml"),
        ("linux", 7, "/x", "/x/pyupc/config.toml"),
        ("linux", 7, "", "/home/me/.config/pyupc/config.toml"),
        ("linux", 7, "relative", "/home/me/.config/pyupc/config.toml"),
        ("darwin", 7, "/x", "/home/me/Library/Application Support/pyupc/config.toml"),
        ("darwin", 0, "", "/etc/pyupc/config.toml"),
    ],
)
def test_the_folder_of_the_platform(
    platform: str, user: int, xdg: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr("os.geteuid", lambda: user)
    assert default_path({"XDG_CONFIG_HOME": xdg}) == Path(expected)


def test_nothing_is_left_behind(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also after a command that fails."""
    file.write_text('kalshi_url = "demo"\nlog_format = "json"\n[rules]\nfresh_for = "9 s"\n')
    before = dict(os.environ)
    assert pyupc("--config", file, "config", "show").exit_code == 0
    assert pyupc("--config", file, "db", "uri").exit_code == 3
    assert dict(os.environ) == before

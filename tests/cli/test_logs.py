"""Logs and errors as JSON: one object a line on stderr, whatever happens."""

from __future__ import annotations

import json
import logging
import math
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import psycopg
import pytest

from pyupc.cli import main
from pyupc.cli.common.logs import log_to_stderr
from pyupc.errors import PyupcError
from tests.support.settings_files import pyupc

ROOT = Path(__file__).parents[2]


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    log_to_stderr(2, log_format="json")
    yield logging.getLogger("pyupc.test")
    log_to_stderr()


def the_object(text: str) -> dict[str, Any]:
    assert text.endswith("\n")
    [line] = text.splitlines()
    assert line.isascii()
    found: dict[str, Any] = json.loads(line, parse_constant=lambda name: pytest.fail(name))
    return found


def test_a_record(logger: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    logger.warning("%s is late by %d s", "Bücher\n", 3)
    found = the_object(capsys.readouterr().err)
    at = datetime.fromisoformat(found.pop("timestamp"))
    assert at.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - at) < timedelta(seconds=60)
    assert found == {
        "level": "WARNING",
        "logger": "pyupc.test",
        "message": "Bücher\n is late by 3 s",
    }


def test_extra_fields(logger: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    extra = {"symbol": "BTC", "ticks": 3, "ask": [0.5, None], "at": moment, "level": "mine"}
    logger.info("done", extra=extra)
    found = the_object(capsys.readouterr().err)
    assert found["symbol"] == "BTC"
    assert found["ticks"] == 3
    assert found["ask"] == [0.5, None]
    assert found["at"] == str(moment)
    assert found["level"] == "INFO"


def test_what_json_has_no_word_for(
    logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    circle: list[Any] = []
    circle.append(circle)
    extra = {"a": math.nan, "b": math.inf, "c": circle, "d": {(1, 2): 3}, "e": b"\xff"}
    for name, value in extra.items():
        logger.info("odd", extra={name: value})
        found = the_object(capsys.readouterr().err)
        assert found["message"] == "odd"
        assert isinstance(found[name], str)


def test_an_exception(logger: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise ValueError("of this kind")
    except ValueError:
        logger.exception("it failed")
    found = the_object(capsys.readouterr().err)
    assert found["message"] == "it failed"
    assert found["level"] == "ERROR"
    assert found["exception"].endswith("ValueError: of this kind")


def test_text_stays_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr()
    logging.getLogger("pyupc.test").warning("hello")
    assert capsys.readouterr().err.endswith(" WARNING pyupc.test: hello\n")


# Errors that end a command.


@pytest.mark.parametrize(
    ("error", "code", "hint"),
    [
        (PyupcError("no\nmore", "do\tthis"), 1, "do this"),
        (PyupcError("no more"), 1, None),
        (psycopg.OperationalError("password=geheim"), 3, ...),
        (KeyboardInterrupt(), 130, None),
        (click.Abort(), 130, None),
        (OSError(5, "broken", "file\x1b"), 1, None),
        (RuntimeError("oh"), 1, ...),
    ],
)
def test_an_error_is_an_object(
    error: BaseException, code: int, hint: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command()
    def fails() -> None:
        raise error

    monkeypatch.setattr(type(main), "get_command", lambda *_: fails)
    result = pyupc("--log-format", "json", "fails")
    assert result.exit_code == code
    found = the_object(result.stderr)
    assert (found["level"], found["logger"], found["exit_code"]) == ("ERROR", "pyupc", code)
    assert "\n" not in found["message"]
    assert "geheim" not in result.stderr
    assert "exception" not in found
    assert found.get("hint") == (found["hint"] if hint is ... else hint)

    monkeypatch.setenv("PYUPC_DEBUG", "1")
    found = the_object(pyupc("--log-format", "json", "fails").stderr)
    assert "Traceback" in found["exception"]


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["db", "nonsense"], ["tick", "--nonsense"], ["config", "show", "x"]]
)
def test_a_usage_error_is_an_object(arguments: list[str], tmp_path: Path) -> None:
    assert the_object(pyupc("--log-format", "json", *arguments).stderr)["exit_code"] == 2
    file = tmp_path / "config.toml"
    file.write_text('log_format = "json"\n')
    assert the_object(pyupc("--config", file, *arguments).stderr)["exit_code"] == 2
    # The next command in this process logs text again.
    assert pyupc(*arguments).stderr.startswith("pyupc: ")


def test_a_variable_counts_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYUPC_LOG_FORMAT", "json")
    assert the_object(pyupc("--nonsense").stderr)["exit_code"] == 2
    assert the_object(pyupc("--config", tmp_path / "none", "tick").stderr)["exit_code"] == 2


def test_a_whole_run_logs_objects(fresh_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alembic's lines too."""
    monkeypatch.setenv("PYUPC_DSN", fresh_db)
    done = subprocess.run(
        [sys.executable, "-m", "pyupc", "-vv", "--log-format", "json", "db", "downgrade", "0001"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found = [json.loads(line) for line in done.stderr.splitlines()]
    assert any(each["logger"].startswith("alembic") for each in found)


def test_the_embedded_servers_own_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from pyupc.embedded import print_to_stderr

    print_to_stderr("starting")
    assert capsys.readouterr().err == "starting\n"
    monkeypatch.setenv("PYUPC_LOG_FORMAT", "json")
    print_to_stderr("starting")
    assert the_object(capsys.readouterr().err)["message"] == "starting"


@pytest.mark.parametrize("command", ["tick", "feed"])
@pytest.mark.parametrize("is_behind", [False, True])
def test_the_format_may_stand_behind_a_command_that_goes_on(
    command: str, is_behind: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYUPC_DSN", "host=/nowhere")
    chosen = ["--log-format", "json"]
    arguments = [command, *chosen] if is_behind else [*chosen, command]
    done = pyupc(*arguments)
    assert done.exit_code == 3
    assert [json.loads(line)["level"] for line in done.stderr.splitlines()] == ["ERROR"]


def test_the_format_behind_a_command_is_checked() -> None:
    assert pyupc("tick", "--log-format", "xml").exit_code == 2


def test_what_the_driver_ignores_is_shown_to_who_asks(capsys: pytest.CaptureFixture[str]) -> None:
    for verbose, is_shown in ((0, False), (1, False), (2, True)):
        log_to_stderr(verbose)
        logging.getLogger("psycopg").warning("rolled back")
        assert ("rolled back" in capsys.readouterr().err) is is_shown
    log_to_stderr()

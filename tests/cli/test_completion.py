"""A shell completes commands and options, and does not wait for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pyupc.cli import COMMANDS
from tests.support.settings_files import pyupc

ROOT = Path(__file__).parents[2]


def completed(words: str, **environment: str) -> list[str]:
    """Completions that bash gets for the last word of a line."""
    done = subprocess.run(
        [sys.executable, "-m", "pyupc"],
        cwd=ROOT,
        env={
            **os.environ,
            "_PYUPC_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(words.count(" ")),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


def test_names_of_commands() -> None:
    assert completed("pyupc ") == list(COMMANDS)
    assert completed("pyupc ti") == ["tick"]
    assert completed("pyupc candles ") == ["backfill", "gaps", "load"]
    assert completed("pyupc nonsense ") == list(COMMANDS)


def test_options_and_their_values() -> None:
    assert completed("pyupc --log") == ["--log-format"]
    assert completed("pyupc --log-format ") == ["text", "json"]
    assert completed("pyupc tick --inter") == ["--interval"]
    assert completed("pyupc completion ") == ["bash", "zsh", "fish"]
    assert completed("pyupc fingerprints export built/ --origin b") == ["built"]


def test_no_file_and_no_variable_stands_in_the_way(tmp_path: Path) -> None:
    broken = tmp_path / "config.toml"
    broken.write_text("= nonsense")
    for words in ("pyupc ti", "pyupc candles ba"):
        found = completed(words, PYUPC_CONFIG=str(broken), PYUPC_RULES_FRESH_FOR="nonsense")
        assert len(found) == 1
    assert completed("pyupc tick --inter", PYUPC_TICK_INTERVAL="nonsense") == ["--interval"]


def test_names_are_completed_without_loading_commands(tmp_path: Path) -> None:
    """config.toml is not read either."""
    file = tmp_path / "config.toml"
    file.write_text("verbose = 1\n")
    code = (
        "import sys\n"
        "from pyupc.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "print([name for name in sys.modules if name.startswith('pyupc.cli.')"
        " or name in ('psycopg', 'rich', 'tomllib', 'difflib')], file=sys.stderr)\n"
    )
    environment = {"_PYUPC_COMPLETE": "bash_complete", "COMP_WORDS": "pyupc ti", "COMP_CWORD": "1"}
    environment["PYUPC_CONFIG"] = str(file)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout == "plain,tick\n"
    modules = ("common", "common.logs", "common.options", "common.report")
    loaded = {f"pyupc.cli.{module}" for module in modules}
    assert set(done.stderr.strip("[]\n").replace("'", "").split(", ")) == loaded


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_that_the_shell_reads(shell: str, tmp_path: Path) -> None:
    result = pyupc("completion", shell)
    assert result.exit_code == 0
    assert "_PYUPC_COMPLETE" in result.stdout
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    script = tmp_path / "script"
    script.write_text(result.stdout)
    subprocess.run([shell, "-n", str(script)], check=True, timeout=30)


def test_bash_completes(tmp_path: Path) -> None:
    """The function of the script, called as bash does at a press of the Tab key."""
    bash = shutil.which("bash")
    assert bash is not None
    (tmp_path / "script").write_text(pyupc("completion", "bash").stdout)
    wrapper = tmp_path / "pyupc"
    wrapper.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pyupc "$@"\n')
    wrapper.chmod(0o755)
    code = f"""
        source {tmp_path}/script
        COMP_WORDS=(pyupc candles b) COMP_CWORD=2
        _pyupc_completion pyupc b candles
        printf '%s\\n' "${{COMPREPLY[@]}}"
        complete -p pyupc
    """
    done = subprocess.run(
        [bash, "--norc", "-c", code],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout.splitlines()[0] == "backfill"
    assert done.stdout.splitlines()[1].endswith("_pyupc_completion pyupc")


def test_another_shell_is_refused() -> None:
    assert pyupc("completion", "tcsh").exit_code == 2

"""Examples in the help: every command has some, and all of them run."""

from __future__ import annotations

import gzip
import math
import os
import random
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest

from pyupc import embedded
from pyupc.cli import main

# Commands that examples need before them, in the order in which a newcomer meets them.
FIRST = [
    "pyupc db downgrade",
    "pyupc db",
    "pyupc candles",
    "pyupc fingerprints build",
    "pyupc fingerprints import",
    "pyupc market load",
    "pyupc trades open",
]
# Commands that others would not expect before them: a new symbol has no candles.
LAST = "pyupc symbols add"
SLOW = ("pyupc bench", "pyupc demo")


def _commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from _commands(child, f"{path} {name}")


COMMANDS = dict(_commands(main, "pyupc"))


def _examples(command: click.Command) -> list[str]:
    lines = (command.epilog or "").splitlines()
    return [line.strip() for line in lines[lines.index("Examples:") + 1 :]] if lines else []


def _rank(example: str) -> int:
    if example.startswith(LAST):
        return len(FIRST) + 1
    return next((i for i, start in enumerate(FIRST) if example.startswith(start)), len(FIRST))


ALL = dict.fromkeys(example for command in COMMANDS.values() for example in _examples(command))
QUICK = sorted((e for e in ALL if not e.startswith(SLOW)), key=_rank)
LONG = [example for example in ALL if example.startswith(SLOW)]


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_has_an_example(path: str) -> None:
    assert _examples(COMMANDS[path])
    assert COMMANDS[path].help


def _candles() -> str:
    """Two lively days, so that there are minutes in every momentum bucket."""
    dice = random.Random(1)
    start = datetime(2024, 5, 1, tzinfo=UTC)
    lines = ["timestamp,open,high,low,close,volume"]
    price = 3000.0
    for minute in range(2880):
        close = round(price * math.exp(dice.gauss(0, 0.0008)), 2)
        opened_at = start + timedelta(minutes=minute)
        lines.append(
            f"{opened_at:%Y-%m-%dT%H:%M:%SZ},"
            f"{price},{max(price, close)},{min(price, close)},{close},1"
        )
        price = close
    return "\n".join(lines) + "\n"


def _binance(rows: str) -> str:
    """The same in Binance's format: no header, microseconds, and superfluous columns."""
    lines = []
    for place, row in enumerate(rows.splitlines()[1:]):
        at, *prices, _ = row.split(",")
        opened = int(datetime.fromisoformat(at).timestamp() * 1_000_000)
        volume = 1 + place % 7 / 8
        trades = f"{volume * float(prices[3]):.2f},{3 + place % 11},{volume / 2},{place % 13},0"
        lines.append(f"{opened},{','.join(prices)},{volume},{opened + 59_999_999},{trades}")
    return "\n".join(lines) + "\n"


def _fingerprint() -> str:
    """Two rows of a file of the predecessor."""
    return (
        ",>= +0.00%,<= -0.00%,>= +0.05%,<= -0.05%\n"
        "1m TTC,51.22,49.08,14.96,14.59\n"
        "15m TTC,48.3,51.7,37.56,40.93\n"
    )


def _event() -> str:
    """An event under way as Kalshi answers today; one of its asks is missing."""
    closes_at = datetime.now(UTC) + timedelta(hours=1)
    return f"""{{"event": {{"event_ticker": "KXBTCD-25JUL2615", "series_ticker": "KXBTCD",
        "title": "Bitcoin price on Jul 26, 2025 at 3pm EDT?", "markets": [
        {{"ticker": "KXBTCD-25JUL2615-T118499.99", "strike_type": "greater", "status": "active",
         "floor_strike": 118499.99, "close_time": "{closes_at:%Y-%m-%dT%H:%M:%SZ}",
         "volume_fp": "0.00", "yes_ask_dollars": "0.5600", "no_ask_dollars": "0.0000"}}]}}}}"""


class Shell:
    """A shell in an empty folder with a few files, and an embedded server of its own."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        programs = folder / "bin"
        programs.mkdir()
        wrapper = programs / "pyupc"
        wrapper.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pyupc "$@"\n')
        wrapper.chmod(0o755)
        self.environment = {
            **{k: v for k, v in os.environ.items() if k != "PYUPC_DSN"},
            "PATH": f"{programs}:{embedded.program('psql').parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "PYUPC_HOME": str(home),
        }
        rows = _candles()
        (folder / "event.json").write_text(_event())
        (folder / "symbols.csv").write_text("symbol,step,series\nDOGE,0.002,KXDOGED\nSHIB,1e-7,\n")
        (folder / "eth.csv").write_text(rows)
        (folder / "2024-05.csv").write_text(rows)
        (folder / "FILE.csv.gz").write_bytes(gzip.compress(rows.encode()))
        with zipfile.ZipFile(folder / "BTCUSDT-1m-2025-01.zip", "w") as archive:
            archive.writestr("BTCUSDT-1m-2025-01.csv", _binance(rows))
        (folder / "btc_1m_2022_2024.csv.gz").write_bytes(gzip.compress(rows.encode()))
        (folder / "symbol_fingerprints").mkdir()
        for kind in ("baseline", "momentum_-01", "momentum_000", "momentum_001"):
            file = folder / "symbol_fingerprints" / f"btc_fingerprint_directional_{kind}.csv"
            file.write_text(_fingerprint())

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
        )


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    memory = Path("/dev/shm")
    base = memory if os.access(memory, os.W_OK) else Path("/tmp")
    home = base / f"pyupc-examples-{os.getpid()}"
    try:
        yield Shell(tmp_path_factory.mktemp("examples"), home)
    finally:
        embedded.stop(home)
        subprocess.run(["rm", "-rf", str(home)], check=True)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_examples_run(shell: Shell) -> None:
    assert shell.run("pyupc db upgrade").returncode == 0
    is_current = True
    for example in QUICK:
        if _rank(example) > 0 and not is_current:
            shell.run("pyupc db upgrade")
        is_current = not example.startswith("pyupc db")
        done = shell.run(example)
        assert done.returncode == 0, f"{example}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("example", LONG)
def test_long_examples_run(shell: Shell, example: str) -> None:
    done = shell.run(example)
    assert done.returncode == 0, f"{example}\n{done.stdout}\n{done.stderr}"

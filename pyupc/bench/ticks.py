"""Whole ticks: the time of one, the symbols that fit in a second, the cost of the process."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pyupc.bench.figures import Row, interleaved, milliseconds
from pyupc.bench.scratch import Connection, Plan
from pyupc.database.connect import connect
from pyupc.errors import PyupcError

_TICK = "SELECT * FROM upc.tick(%s, %s, holder => 'bench')"
_SETTLING_SECONDS = 1.0


def ticks(plan: Plan) -> Iterator[Row]:
    with connect(plan.dsn) as conn:
        times = interleaved(
            {
                "simulated": lambda _: _tick(conn, "BTC", "simulated"),
                "replay": lambda _: _tick(conn, "BTC", "replay"),
            },
            plan.rounds(1000, 50),
        )
        _release(conn)
    for feed, own in times.items():
        found = milliseconds(own)
        yield Row(
            f"tick_{feed}",
            f"a whole tick, {feed} feed",
            found["p50"],
            "ms",
            "its second",
            1000.0,
            f"p50; p99 {found['p99']:.2f}; committed to disk",
            found,
        )


def symbols(plan: Plan) -> Iterator[Row]:
    """Symbols without a history of their own, which the pool answers for, beside BTC."""
    with connect(plan.dsn) as conn:
        for count in (1, 10) if plan.is_quick else (1, 10, 100):
            names = ["BTC", *(f"S{k:03}" for k in range(1, count))]
            for name in names:
                conn.execute(
                    "SELECT upc.add_symbol(%(symbol)s, 10) WHERE NOT EXISTS"
                    " (SELECT FROM upc_data.symbol AS s WHERE s.symbol = %(symbol)s)",
                    {"symbol": name},
                )
            least = max(2, plan.rounds(1000, 50) // count)
            began = time.perf_counter()
            for _ in range(least):
                for name in names:
                    _tick(conn, name, "simulated")
            rate = least * count / (time.perf_counter() - began)
            yield Row(
                f"symbols_{count}",
                f"ticks a second, {count} symbol{'s' if count > 1 else ''}, one connection",
                rate,
                "1/s",
                "one a second and symbol",
                float(count),
                f"{least * count:,} ticks, simulated feed",
            )
        _release(conn)


def process(plan: Plan) -> Iterator[Row]:
    """`pyupc tick` at one round a second, as the operating system sees it."""
    if not Path("/proc/self/stat").exists():
        raise PyupcError("the process can be measured on Linux only", "leave it out with --only")
    seconds = plan.rounds(30, 2)
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "pyupc", "-q", "tick", "--feed", "simulated"]
        command += ["--symbol", "BTC", "--symbol", "ETH", "--out", out]
        child = subprocess.Popen(
            command, env={**os.environ, "PYUPC_DSN": plan.dsn}, stdout=subprocess.DEVNULL
        )
        try:
            _wait_for(Path(out) / "eth_watchlist.json", child)
            time.sleep(_SETTLING_SECONDS)
            before, since = _cpu_seconds(child.pid), time.monotonic()
            time.sleep(seconds)
            used, lasted = _cpu_seconds(child.pid) - before, time.monotonic() - since
            peak = _peak_megabytes(child.pid)
        finally:
            child.terminate()
            child.wait()
    note = f"two symbols at 1 Hz over {lasted:.0f} s, the client's process alone"
    yield Row("process_cpu", "CPU share of pyupc tick", 100 * used / lasted, "%", note=note)
    yield Row("process_memory", "peak memory of pyupc tick", peak, "MB", note="VmHWM")


def _tick(conn: Connection, symbol: str, feed: str) -> object:
    return conn.execute(_TICK, [symbol, feed], prepare=True).fetchall()


def _release(conn: Connection) -> None:
    conn.execute("SELECT upc.release_lease(s.symbol, 'bench') FROM upc_data.symbol AS s")


def _wait_for(file: Path, child: subprocess.Popen[bytes]) -> None:
    while not file.exists():
        if child.poll() is not None:
            raise PyupcError("pyupc tick has ended by itself", "its message stands above")
        time.sleep(0.02)


def _cpu_seconds(pid: int) -> float:
    # The name, in brackets, may hold blanks; user and system time are the 14th and 15th field.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_megabytes(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024

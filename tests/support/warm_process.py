"""`python -m pyupc …` as a process that need not import anything first.

A process of the tests' own has imported pyupc and forks off one per command. That is a process like
any other: a child of the test's, with its own standard streams, environment, signals, exit code and
end of the interpreter. Only what Python does before it runs `pyupc.__main__` is left out. A command
whose environment would change that, and every command with PYUPC_TEST_COLD=1 (`make test-all`), is
started from scratch. Run as a module, this is the process that forks.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import gc
import importlib
import inspect
import io
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, AnyStr

REPOSITORY = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "pyupc")

# Not numpy and what needs it: it starts threads, which no fork survives.
PACKAGES = (
    *("cli", "runtime", "settings", "database", "health", "candles", "fingerprints", "kalshi"),
    *("feed", "tick", "notify", "web"),
)

# Modules that commands import on demand.
LATE = (
    *("apprise", "rich.progress", "rich.table", "uvicorn.lifespan.on", "uvicorn.loops.asyncio"),
    "uvicorn.protocols.http.h11_impl",
)

# Variables that affect a starting interpreter or the libraries loaded into it.
AT_START = ("PYTHON", "LC_", "LANG", "LD_", "TZ", "FAKETIME", "MALLOC_", "SSL_", "OPENSSL_")

PR_SET_CHILD_SUBREAPER = 36

# Tests start commands from several threads.
ONE_AT_A_TIME = threading.Lock()

# The forker has this one, whatever a test has changed in its own by the time the forker starts.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPOSITORY)}


class Pyupc(subprocess.Popen[AnyStr]):
    """Like `subprocess.Popen((*COMMAND, …), …)`, but forked where that makes no difference."""

    def _execute_child(self, *arguments: Any) -> None:
        start = super()._execute_child  # type: ignore[misc]
        given = inspect.signature(start).bind(*arguments).arguments
        environment = dict(os.environ if given["env"] is None else given["env"])
        if not (_is_plain(given) and _is_as_usual(environment)):
            start(*arguments)
            return
        request = {
            "arguments": list(given["args"][len(COMMAND) :]),
            "environment": environment,
            "folder": os.fspath(given["cwd"] or os.getcwd()),
        }
        theirs = (given["p2cread"], given["c2pwrite"], given["errwrite"])
        # Inherited streams stay as they are.
        streams = [own if each == -1 else each for own, each in enumerate(theirs)]
        self.pid = _forked(request, streams)
        self._child_created = True
        pipes = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(given[name] for name in pipes))  # type: ignore[attr-defined]


def run(
    *arguments: str | Path, env: Mapping[str, str] | None = None, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """`pyupc …` to its end, and what it printed."""
    command = [*COMMAND, *map(str, arguments)]
    pipe = subprocess.PIPE
    with Pyupc(
        command,
        env=env,
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=pipe,
        stderr=pipe,
        text=True,
    ) as process:
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


def _is_plain(given: Mapping[str, Any]) -> bool:
    """True if nothing is asked for but a command, streams, a folder and an environment."""
    args = given["args"]
    unusual = ("preexec_fn", "pass_fds", "shell", "gid", "gids", "uid", "start_new_session")
    return (
        sys.platform == "linux"
        and not isinstance(args, (str, bytes))
        and tuple(args[: len(COMMAND)]) == COMMAND
        and not any(given[name] for name in unusual)
        and given["umask"] == -1
    )


def _is_as_usual(environment: Mapping[str, str]) -> bool:
    def relevant(variables: Mapping[str, str]) -> dict[str, str]:
        return {
            name: value
            for name, value in variables.items()
            if name.startswith(AT_START) and name != "PYTHONPATH"
        }

    return "PYUPC_TEST_COLD" not in ENVIRONMENT and relevant(environment) == relevant(ENVIRONMENT)


def _forked(request: dict[str, Any], streams: Sequence[int]) -> int:
    """The process, which becomes a child of this one: its parent ends before it has begun."""
    with ONE_AT_A_TIME:
        forker = _forker()
    libc = ctypes.CDLL(None)
    with ONE_AT_A_TIME:
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        try:
            socket.send_fds(forker, [json.dumps(request).encode()], streams)
            answer = forker.recv(100)
        finally:
            libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
    assert answer, "the process that forks has ended"
    return int(answer)


@functools.cache
def _forker() -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.warm_process", str(theirs.fileno())],
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
        )

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def _serve(requests: socket.socket) -> dict[str, Any]:
    """Fork a process per request. Returns in each of them, with its request, and nowhere else."""
    while True:
        message, streams, _, _ = socket.recv_fds(requests, 1 << 20, 3)
        if not message:
            os._exit(0)
        reading, writing = os.pipe()
        between = os.fork()
        if between == 0:
            parent = os.getpid()
            pid = os.fork()
            if pid != 0:
                os.write(writing, str(pid).encode())
                os._exit(0)
            while os.getppid() == parent:
                os.sched_yield()
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
            os.closerange(3, os.sysconf("SC_OPEN_MAX"))
            request: dict[str, Any] = json.loads(message)
            return request
        os.waitpid(between, 0)
        requests.send(os.read(reading, 100))
        for each in (reading, writing, *streams):
            os.close(each)


def _become(request: dict[str, Any]) -> None:
    """Set up the environment that a starting interpreter would find."""
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.argv = [str(REPOSITORY / "pyupc" / "__main__.py"), *request["arguments"]]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        new = _stream(getattr(sys, name), number, mode)
        setattr(sys, name, new)
        setattr(sys, f"__{name}__", new)


def _stream(of_parent: Any, number: int, mode: str) -> io.TextIOWrapper:
    is_unbuffered = mode == "w" and of_parent.write_through
    binary = open(number, f"{mode}b", buffering=0 if is_unbuffered else -1, closefd=False)  # noqa: SIM115
    return io.TextIOWrapper(
        binary,
        of_parent.encoding,
        of_parent.errors,
        line_buffering=number == 2 or binary.isatty(),
        write_through=is_unbuffered,
    )


def _import_all() -> None:
    from pyupc.errors import PyupcError
    from pyupc.exchange.ccxt_class import exchange_class

    for package in PACKAGES:
        folder = REPOSITORY / "pyupc" / package
        for module in pkgutil.walk_packages([str(folder)], f"pyupc.{package}."):
            # Of an extra that is not installed.
            with suppress(ImportError):
                importlib.import_module(module.name)
    for name in LATE:
        with suppress(ImportError):
            importlib.import_module(name)
    with suppress(PyupcError):
        exchange_class("coinbase")
    assert "numpy" not in sys.modules
    gc.collect()
    gc.freeze()


def main() -> None:
    # A Ctrl-C is for the tests.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _import_all()
    _become(_serve(socket.socket(fileno=int(sys.argv[1]))))
    from pyupc.cli import main as command

    command()


if __name__ == "__main__":
    main()

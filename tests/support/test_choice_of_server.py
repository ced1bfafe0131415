"""The server that the tests choose, beside a Docker that answers, works or does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]

# The warning of testcontainers 4.15 in its module of the old name.
DEPRECATED = (
    "import warnings; warnings.warn('it is deprecated', DeprecationWarning, stacklevel=2)\n"
)
CONTAINER = """
import os
class PostgresContainer:
    def __init__(self, image, driver):
        print(f'made {image}')
    def with_command(self, command): pass
    def start(self): START
    def stop(self): print('stopped')
    def get_connection_url(self): return os.environ['FAKE_DSN']
"""
PULL = "raise OSError('no such host:\\nregistry')"


def header(folder: Path, start: str, names: tuple[str, ...], dsn: str) -> str:
    """Output of pytest for one test beside a made-up docker and testcontainers."""
    docker = folder / "docker"
    docker.write_text("#!/bin/sh\necho 28.0.0\n")
    docker.chmod(0o755)
    package = folder / "testcontainers"
    (package / "community").mkdir(parents=True)
    for name in ("", "community"):
        (package / name / "__init__.py").touch()
    for name in names:
        text = CONTAINER.replace("START", start)
        (package / f"{name}.py").write_text(text if "/" in name else DEPRECATED + text)
    test = "tests/embedded/test_embedded.py::test_the_home_is_what_the_environment_says"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "-s", test],
        cwd=REPOSITORY,
        env={
            **{name: value for name, value in os.environ.items() if name != "PYUPC_TEST_DSN"},
            "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(folder),
            "FAKE_DSN": dsn,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "made postgres:" in done.stdout
    assert "stopped" in done.stdout
    [line] = [line for line in done.stdout.splitlines() if line.startswith("server: ")]
    return line


def test_a_container_that_starts_is_used(tmp_path: Path, server_dsn: str) -> None:
    names = ("postgres", "community/postgres")
    assert "(container)" in header(tmp_path, "pass", names, server_dsn)


def test_where_no_container_starts_the_embedded_server_stands_in(tmp_path: Path) -> None:
    # Of an older testcontainers, which has but the one module.
    line = header(tmp_path, PULL, ("postgres",), "")
    assert "embedded" in line
    assert "OSError: no such host: registry" in line

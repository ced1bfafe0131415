"""Layout of the Python packages: a job each, and no two that import each other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pyupc"
MODULES = sorted(PACKAGE.rglob("*.py"))


def part_of(module: str) -> str | None:
    """`tick` of `pyupc.tick.run`, `errors` of `pyupc.errors`; None for other people's modules."""
    names = module.split(".")
    return names[1] if names[0] == "pyupc" and len(names) > 1 else None


def imported(path: Path) -> Iterator[str]:
    """Modules that a file imports, also inside of its functions."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            assert node.level == 0, f"{path} imports relative to itself"
            if node.module == "pyupc":
                yield from (f"pyupc.{alias.name}" for alias in node.names)
            else:
                yield node.module


def needed() -> dict[str, set[str]]:
    """Parts of pyupc, each with the parts that it imports."""
    parts: dict[str, set[str]] = {}
    for path in MODULES:
        own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        others = {part_of(module) for module in imported(path)}
        parts.setdefault(own, set()).update(
            other for other in others if other not in (None, own, "__version__")
        )
    return parts


def test_no_two_packages_import_each_other() -> None:
    """Nor do several in a circle: what is shared belongs into `runtime` or beside the packages."""
    parts = needed()
    assert {"tick", "feed", "runtime", "errors"} <= parts.keys()
    try:
        list(TopologicalSorter(parts).static_order())
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_every_package_says_what_it_is_for() -> None:
    silent = [
        path
        for path in PACKAGE.rglob("__init__.py")
        if ast.get_docstring(ast.parse(path.read_text("utf-8"))) is None
    ]
    assert silent == []


def test_the_types_are_shipped() -> None:
    assert (PACKAGE / "py.typed").is_file()


def test_tests_lie_in_folders_of_the_same_names() -> None:
    """A test of `pyupc/feed` is in `tests/feed`, one of `sql/60_market` in `tests/sql/market`."""
    packages = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    folders = {path.name for path in (ROOT / "tests").iterdir() if any(path.glob("test_*.py"))}
    assert folders - packages <= {"docs", "faults", "support"}
    subjects = {path.name.partition("_")[2] for path in (ROOT / "sql").iterdir() if path.is_dir()}
    tested = {path.name for path in (ROOT / "tests/sql").iterdir() if any(path.glob("test_*.py"))}
    assert tested <= subjects

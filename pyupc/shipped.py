"""Folders that come with the package: in a wheel inside of it, in a checkout beside it."""

from __future__ import annotations

from pathlib import Path


def folder(name: str) -> Path:
    package = Path(__file__).resolve().parent
    inside, beside = package / name, package.parent / name
    return inside if inside.is_dir() else beside

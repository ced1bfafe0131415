"""Suggestions for unknown names."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    # Imported only after a mistake.
    import difflib

    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)), None)


def suggestion(name: str, known: Iterable[str], otherwise: str) -> str:
    """Hint for an unknown name: the nearest known one, or else the caller's text."""
    found = nearest(name, known)
    return otherwise if found is None else f"the nearest name is {found}"

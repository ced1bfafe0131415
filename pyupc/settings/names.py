"""Names that nobody knows, and the one that was probably meant."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    # Only after a mistake: nothing else needs it.
    import difflib

    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)), None)


def suggestion(name: str, known: Iterable[str], otherwise: str) -> str:
    """A hint: the nearest name there is, else what the caller has to say."""
    found = nearest(name, known)
    return otherwise if found is None else f"the nearest name is {found}"

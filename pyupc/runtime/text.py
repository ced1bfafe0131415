"""Texts that every command writes alike: moments, and counts with their noun."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import overload


@overload
def as_text(at: datetime) -> str: ...
@overload
def as_text(at: datetime | None) -> str | None: ...
def as_text(at: datetime | None) -> str | None:
    """ISO 8601 in UTC, to the second: 2024-01-01T00:00:00Z."""
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def count_of(number: int, noun: str) -> str:
    """`1 page`, `1,234 pages`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"

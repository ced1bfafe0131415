"""Single values of a candle file: moments, numbers, and what stands for none."""

from __future__ import annotations

import csv
import re
from datetime import UTC, datetime

_NOTHING = frozenset({"", "nan", "null", "none", "na", "n/a", "nil", "#n/a", "<na>"})
_ISO = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2})(:00([.,]0+)?)?"
    r"([Zz]|[+-][0-9]{2}:?[0-9]{2}|[+-][0-9]{2})?"
)
_EPOCH = re.compile(r"([1-9][0-9]{9}|[1-9][0-9]{12}|[1-9][0-9]{15}|[1-9][0-9]{18})(\.0*)?")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([Ee][+-]?[0-9]{1,2})?")


def split(line: str, delimiter: str) -> list[str] | None:
    """The fields of one line, None if its quotes do not pair."""
    if '"' not in line:
        return line.split(delimiter)
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True, skipinitialspace=True))
    except csv.Error:
        return None


def is_nothing(value: str) -> bool:
    """True if a value is left out, as a minute without trades is written: NaN, null or blank."""
    return value.strip().lower() in _NOTHING


def minute_of(text: str) -> int | None:
    """Minutes since 1970, as `upc.candle_minute` reads a text; None if it names no minute."""
    if match := _EPOCH.fullmatch(text):
        digits = match[1]
        unit = 60 * 10 ** (len(digits) - 10)
        return None if int(digits) % unit else int(digits) // unit
    if not (match := _ISO.fullmatch(text)):
        return None
    offset = match[8] or ""
    try:
        at = datetime(*map(int, match.groups()[:5]), tzinfo=UTC)  # type: ignore[arg-type, misc]
    except ValueError:
        return None
    minutes = int(at.timestamp()) // 60
    if offset and offset not in "Zz":
        digits = offset[1:].replace(":", "").ljust(4, "0")
        ahead = 60 * int(digits[:2]) + int(digits[2:])
        minutes -= ahead if offset[0] == "+" else -ahead
    return minutes


def number_of(text: str) -> float | None:
    """The number that a text is; None for any other text, and for a very long one."""
    return float(text) if len(text) <= 60 and _NUMBER.fullmatch(text) else None

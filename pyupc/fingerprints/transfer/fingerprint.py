"""A fingerprint that is being moved: its numbers as they were written, and their layout."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from pyupc.errors import PyupcError
from pyupc.fingerprints.transfer.names import BASELINE, row_name, stem

# Notation of pandas: plain digits, or an exponent below 0.0001.
NUMBER = r"(?:(?:0|[1-9][0-9]{0,2})(?:\.[0-9]{1,40})?|[1-9](?:\.[0-9]{1,20})?e-[0-9]{2,3})"
HIGHEST = 100

# A rise over a whole column of fewer rows may be an accident.
_MANY_ROWS = 10

_NUMBER = re.compile(NUMBER)


@dataclass(frozen=True)
class Problem:
    """Something wrong with a file or table; `row` and `column` by their own names, if in one."""

    where: str
    reason: str
    row: str | None = None
    column: str | None = None

    def __str__(self) -> str:
        place = ", ".join(
            f"{kind} {name}"
            for kind, name in (("row", self.row), ("column", self.column))
            if name is not None
        )
        return ": ".join(part for part in (self.where, place, self.reason) if part)


class Refused(PyupcError):
    """A source that cannot be taken; `problems` holds one of each bad file at least."""

    def __init__(
        self,
        problems: Sequence[Problem],
        hint: str = "nothing was changed; mend the source and try again",
    ) -> None:
        self.problems = tuple(problems)
        first = str(problems[0])
        more = len(problems) - 1
        super().__init__(f"{first} (and {more:,} more)" if more else first, hint)


@dataclass(frozen=True)
class Fingerprint:
    """`positive` and `negative` have a row for each of `minutes`, a number for each threshold.

    Minutes are in the order of the source; thresholds ascend, in percent. `header` names the
    columns in the order of the source. Numbers are percent, as texts: nothing is rounded.
    """

    bucket: int
    thresholds: tuple[Decimal, ...]
    header: tuple[str, ...]
    minutes: tuple[int, ...]
    positive: tuple[tuple[str, ...], ...]
    negative: tuple[tuple[str, ...], ...]

    @property
    def cells(self) -> int:
        return 2 * len(self.thresholds) * len(self.minutes)


@dataclass(frozen=True)
class FingerprintSet:
    """The fingerprints of a symbol, sorted by bucket, the baseline last; all of one shape."""

    symbol: str
    source: str
    fingerprints: tuple[Fingerprint, ...]
    warnings: tuple[Problem, ...]

    @property
    def thresholds(self) -> tuple[Decimal, ...]:
        return self.fingerprints[0].thresholds

    @property
    def minutes(self) -> int:
        return len(self.fingerprints[0].minutes)

    @property
    def cells(self) -> int:
        return sum(each.cells for each in self.fingerprints)


def columns_of(thresholds: Iterable[str]) -> tuple[str, ...]:
    """The header in the predecessor's own order: `>= +0.05%`, `<= -0.05%`, …"""
    return tuple(
        name for threshold in thresholds for name in (f">= +{threshold}%", f"<= -{threshold}%")
    )


def bad_number(text: str) -> str | None:
    """The reason why a text is no probability in percent, None if it is one."""
    if _NUMBER.fullmatch(text):
        return None if Decimal(text) <= HIGHEST else f"{text} is not between 0 and 100"
    try:
        value = float(text)
    except ValueError:
        return f"{text[:40]!r} is not a number" if text.strip() else "the number is missing"
    if not 0 <= value <= HIGHEST and value == value:
        return f"{text[:40]} is not between 0 and 100"
    return f"{text[:40]!r} is not a number such as 12.5"


def assemble(
    symbol: str, source: str, found: Sequence[Fingerprint], *, suffix: str = ""
) -> FingerprintSet:
    """The set of these fingerprints, which is refused unless they fit together.

    `suffix` ends the names by which problems call them.
    """

    def name(fingerprint: Fingerprint) -> str:
        return stem(symbol, fingerprint.bucket) + suffix

    problems = [*_equal(found, name), *_of_other_shape(found, name), *_swapped(found, name)]
    if not any(each.bucket == BASELINE for each in found):
        problems.append(
            Problem(stem(symbol, BASELINE) + suffix, "is missing: no set is without a baseline")
        )
    if problems:
        raise Refused(problems)
    ordered = tuple(sorted(found, key=lambda each: each.bucket))
    warnings = [*_gaps(ordered, symbol, suffix)]
    for each in ordered:
        warnings += _rises(each, name(each))
    return FingerprintSet(symbol, source, ordered, tuple(warnings))


Naming = Callable[[Fingerprint], str]


def _of_other_shape(found: Sequence[Fingerprint], name: Naming) -> Iterator[Problem]:
    """Fingerprints whose thresholds or minutes differ from most: a part of them is missing."""
    shapes = Counter((each.thresholds, frozenset(each.minutes)) for each in found)
    usual = max(shapes, key=lambda shape: (shapes[shape], len(shape[0]), len(shape[1])))
    thresholds, minutes = usual
    for each in found:
        lacking = [t for t in thresholds if t not in each.thresholds]
        excess = [t for t in each.thresholds if t not in thresholds]
        if lacking or excess:
            yield Problem(
                name(each),
                "is missing, though others have it" if lacking else "others do not have it",
                column=f">= +{(lacking or excess)[0]:f}%",
            )
            continue
        missing = sorted(minutes - set(each.minutes))
        surplus = sorted(set(each.minutes) - minutes)
        if missing or surplus:
            yield Problem(
                name(each),
                "is missing: the file is cut short" if missing else "others do not have it",
                row=row_name((missing or surplus)[0]),
            )


def _equal(found: Sequence[Fingerprint], name: Naming) -> Iterator[Problem]:
    """Thresholds that differ as written, but are one double: curves are looked up by doubles."""
    for each in found:
        for smaller, larger in pairwise(each.thresholds):
            if float(smaller) == float(larger):
                yield Problem(
                    name(each), f"is too close to {smaller:f}%", column=f">= +{larger:f}%"
                )
                break


def _swapped(found: Sequence[Fingerprint], name: Naming) -> Iterator[Problem]:
    """Columns that are above the one of the next smaller move in every row: no data do that."""
    for each in found:
        if len(each.minutes) < _MANY_ROWS:
            continue
        for sign, rows in ((">= +", each.positive), ("<= -", each.negative)):
            columns = list(zip(*(map(float, row) for row in rows), strict=True))
            for k in range(1, len(columns)):
                if all(a < b for a, b in zip(columns[k - 1], columns[k], strict=True)):
                    smaller, larger = each.thresholds[k - 1], each.thresholds[k]
                    yield Problem(
                        name(each),
                        f"is above that of {smaller:f}% in every row: columns are swapped",
                        column=f"{sign}{larger:f}%",
                    )
                    break


def _rises(each: Fingerprint, name: str) -> Iterator[Problem]:
    """A larger move cannot be likelier than a smaller one."""
    for sign, rows in ((">= +", each.positive), ("<= -", each.negative)):
        for minutes, row in zip(each.minutes, rows, strict=True):
            numbers = list(map(float, row))
            if numbers == sorted(numbers, reverse=True):
                continue
            for k in range(1, len(numbers)):
                if numbers[k] > numbers[k - 1]:
                    yield Problem(
                        name,
                        f"{row[k]} is more than the {row[k - 1]} of the smaller move",
                        row_name(minutes),
                        f"{sign}{each.thresholds[k]:f}%",
                    )


def _gaps(ordered: Sequence[Fingerprint], symbol: str, suffix: str) -> Iterator[Problem]:
    """Buckets that are missing between others: a nearby one will answer."""
    buckets = [each.bucket for each in ordered if each.bucket != BASELINE]
    for bucket in range(min(buckets, default=0), max(buckets, default=0) + 1):
        if buckets and bucket not in buckets:
            yield Problem(
                stem(symbol, bucket) + suffix, "is missing: the nearest bucket will answer for it"
            )

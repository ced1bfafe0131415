"""Recognising the columns of a file of candles: by their names, or by what their numbers can be.

Nothing is guessed: names decide where they are known. Where they are not, a reading of the columns
is taken only if it is the only one that the first lines allow; else the file is refused.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pyupc.candles import evidence
from pyupc.candles.evidence import Sample, minute_of

ROLES = ("timestamp", "open", "high", "low", "close", "volume")
PRICES = ROLES[1:5]

# Lines that are looked at before any is taken.
SAMPLE_LINES = 4000

# A comma may be part of a number, the others are not.
DELIMITERS = ("\t", ";", "|", ",")

SKIP = "-"

# Of the seconds that a minute's opening is known by, the names in the order in which they count.
TIME_NAMES = (
    "timestamp",
    *("unix", "unixtimestamp", "unixtime", "unixms", "epoch", "epochtime", "mts", "timestampms"),
    *("opentime", "opentimestamp", "opentimems", "openedat", "starttime", "start", "startdate"),
    *("periodstart", "timeperiodstart", "windowstart", "timestamputc", "opentimeutc"),
    *("time", "datetime", "timeutc", "datetimeutc", "utctime", "utc", "dateutc", "utcdate"),
    *("gmttime", "date", "ts", "t"),
)
MONEY = (
    *("usd", "usdt", "usdc", "busd", "fdusd", "tusd", "dai", "eur", "gbp", "jpy", "krw", "try"),
    *("currency", "quote", "quoteasset", "to"),
)
TURNOVER_NAMES = {
    name for m in MONEY for name in (f"volume{m}", f"{m}volume", f"{m}assetvolume", f"vol{m}")
}
DOLLARS = ("usd", "usdt", "usdc", "busd", "fdusd", "tusd", "dai")
OTHER_NAMES = {"BTC": ("xbt",), "DOGE": ("xdg",)}

HINT = (
    f"the first line names the columns: {','.join(ROLES)}; or say what they are with --columns,"
    f" for example --columns time,open,high,low,close,volume,{SKIP}"
)

_NOTHING = frozenset({"", "nan", "null", "none", "na", "n/a", "nil", "#n/a", "<na>"})
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+([Ee][+-]?[0-9]+)?")
_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+")


class Unrecognised(Exception):
    """What is missing or ambiguous, in the words of a message; `line` is the line, from 1."""

    def __init__(self, message: str, line: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


@dataclass(frozen=True)
class Layout:
    """Where the values are.

    `skip` lines come before the first candle; `picks` are the columns of ROLES.
    """

    skip: int
    delimiter: str
    is_decimal_comma: bool
    width: int
    picks: tuple[int, ...]


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


def parse_columns(text: str) -> tuple[str, ...]:
    """What --columns says, as roles and SKIP. ValueError says why it cannot be."""
    names = [_plain(part) or SKIP for part in text.split(",")]
    letters = {role[0]: role for role in ROLES[1:]} | dict.fromkeys(TIME_NAMES, "timestamp")
    roles = [letters.get(name, name) for name in names]
    roles = [role if role in ROLES else SKIP for role in roles]
    for role in ROLES:
        if roles.count(role) != 1:
            what = "occurs more than once" if roles.count(role) else "is missing"
            raise ValueError(f"{role.replace('timestamp', 'time')} {what}")
    while roles[-1] == SKIP:
        roles.pop()
    return tuple(roles)


@dataclass(frozen=True)
class _Table:
    """The first lines, cut into fields; `first` is the header or, without one, the first row."""

    skip: int
    delimiter: str
    is_decimal_comma: bool
    has_header: bool
    first: list[str]
    rows: list[list[str]]

    @property
    def line(self) -> int:
        return self.skip + (not self.has_header)

    @classmethod
    def cut(cls, lines: Sequence[str], symbol: str, columns: tuple[str, ...] | None) -> _Table:
        start = _preamble(lines)
        if start == len(lines):
            raise Unrecognised("there is nothing but a title")
        delimiter = _delimiter(lines[start : start + 20])
        first = split(lines[start], delimiter)
        if first is None:
            raise Unrecognised("a quote in the header is not closed", start + 1)
        has_header = not _is_data(first)
        skip = start + has_header
        rows = [
            [field.strip() for field in fields]
            for line in lines[skip:]
            if line.strip() and (fields := split(line, delimiter)) and len(fields) == len(first)
        ]
        relevant = list(range(len(first)))
        if columns is not None:
            relevant = [c for c, role in enumerate(columns) if role != SKIP and c < len(first)]
        elif has_header:
            relevant = [c for found in _named(first, symbol).values() for c in found]
        is_decimal_comma = _is_decimal_comma(rows, relevant, skip)
        if is_decimal_comma:
            rows = [[_with_point(field) for field in row] for row in rows]
        return cls(skip, delimiter, is_decimal_comma, has_header, first, rows)

    def layout(self, picks: Sequence[int]) -> Layout:
        """Raises Unrecognised if these are candles of more than a minute."""
        step = evidence.step_of(minute_of(row[picks[0]]) for row in self.rows)
        if step is not None:
            raise Unrecognised(
                f"the candles are of {step:,} minutes, and those of one minute are needed",
                self.skip + 1,
            )
        return Layout(
            self.skip, self.delimiter, self.is_decimal_comma, len(self.first), tuple(picks)
        )


def recognise(lines: Sequence[str], symbol: str, columns: tuple[str, ...] | None = None) -> Layout:
    """The layout of a file from its first lines, at most SAMPLE_LINES; `columns` are the user's.

    Raises Unrecognised.
    """
    table = _Table.cut(lines, symbol, columns)
    if columns is not None:
        if len(columns) > len(table.first):
            raise Unrecognised(
                f"--columns names {len(columns)} columns, and the line has {len(table.first)}",
                table.line,
            )
        return table.layout([columns.index(role) for role in ROLES])
    if not table.has_header:
        every = list(range(len(table.first)))
        return _by_evidence(table, dict.fromkeys(ROLES, every), "no line names the columns")
    named = _named(table.first, symbol)
    named["timestamp"] = _times(named["timestamp"], table.rows, table.first, table.line)
    if all(len(found) == 1 for found in named.values()):
        picks = [named[role][0] for role in ROLES]
        _refuse_contradiction(table, picks)
        return table.layout(picks)
    problem = _missing(named)
    if not all(named.values()):
        raise Unrecognised(problem, table.line)
    return _by_evidence(table, named, problem)


def _by_evidence(table: _Table, candidates: dict[str, list[int]], problem: str) -> Layout:
    rows = [row for row in table.rows if len(row) - sum(map(is_nothing, row)) >= len(ROLES)]
    try:
        return table.layout(evidence.read(Sample(rows, len(table.first)), candidates))
    except evidence.Doubt as doubt:
        raise Unrecognised(f"{problem}, and {doubt}", table.line) from None


def _preamble(lines: Sequence[str]) -> int:
    """How many lines come before the header: an address, a comment, Excel's sep=, blank lines.

    A first line is the header even if it is blank.
    """
    for number, line in enumerate(lines[:20]):
        text = line.strip().strip('"').lower()
        if not text.startswith(("http://", "https://", "#", "sep=", "www.")) and (
            text or number == 0
        ):
            return number
    return min(len(lines), 20)


def _delimiter(lines: Sequence[str]) -> str:
    """Of those in the first line the one that gives all lines as many fields."""
    found = [d for d in DELIMITERS if d in lines[0]]
    for delimiter in found:
        widths = [
            len(fields) if (fields := split(line, delimiter)) else 0
            for line in lines
            if line.strip()
        ]
        if widths[0] >= len(ROLES) and widths.count(widths[0]) == len(widths):
            return delimiter
    return max(found, key=lines[0].count, default=",")


def _is_data(fields: Sequence[str]) -> bool:
    """True if a line is no header: none of its fields but a few could be a name."""
    values = [field.strip() for field in fields]
    numbers = sum(bool(re.fullmatch(r"[+-]?[0-9.,]+([Ee][+-]?[0-9]+)?", v)) for v in values)
    return numbers >= 2 or any(minute_of(value) is not None for value in values)


def _is_decimal_comma(rows: Sequence[Sequence[str]], columns: Sequence[int], skip: int) -> bool:
    """True if commas are decimal points: some number has one that cannot set thousands apart."""
    values = (row[column] for row in rows for column in columns)
    commas = [value for value in values if "," in value and _DECIMAL_COMMA.fullmatch(value)]
    if not commas:
        return False
    if all(_THOUSANDS.fullmatch(value) for value in commas):
        raise Unrecognised(
            f"'{commas[0][:40]}' may have a decimal comma, or one between thousands", skip + 1
        )
    return True


def _with_point(value: str) -> str:
    return value.replace(",", ".") if _DECIMAL_COMMA.fullmatch(value) else value


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", re.sub(r"^\s*[0-9]+[a-z]?\.\s*", "", name.lower()))


def _named(header: Sequence[str], symbol: str) -> dict[str, list[int]]:
    """The columns that each role's name is given to: the best names of those that are there."""
    names = [_plain(name) for name in header]
    units = (_plain(symbol), *OTHER_NAMES.get(symbol, ()))
    volumes: tuple[tuple[str, ...], ...] = (
        tuple(n for u in units for n in (f"volume{u}", f"{u}volume", f"vol{u}", f"{u}vol")),
        ("basevolume", "volumebase", "basevol", "volumebaseasset", "baseassetvolume", "volumefrom"),
        ("volume",),
        ("vol", "v", "volumetraded"),
    )
    ranks = {"timestamp": (TIME_NAMES,), "volume": volumes} | {
        role: (
            (role,),
            (f"{role}price", f"price{role}"),
            tuple(n for d in DOLLARS for n in (f"{role}{d}", f"{role}price{d}", f"{d}{role}")),
            (role[0],),
        )
        for role in PRICES
    }
    found: dict[str, list[int]] = {}
    for role, alternatives in ranks.items():
        each = ([i for i, name in enumerate(names) if name in some] for some in alternatives)
        found[role] = next((columns for columns in each if columns), [])
    return found


def _times(
    columns: list[int], rows: Sequence[Sequence[str]], header: Sequence[str], line: int
) -> list[int]:
    """Of the columns that are named as a time the one to read; they may say it twice."""
    if not columns:
        return []
    names = [_plain(name) for name in header]
    by_rank = sorted(columns, key=lambda column: TIME_NAMES.index(names[column]))
    best = [column for column in by_rank if names[column] == names[by_rank[0]]]
    if len(best) > 1:
        return best
    readable = [c for c in by_rank if rows and all(minute_of(row[c]) is not None for row in rows)]
    if len(readable) > 1 and names[readable[0]] != "timestamp":
        # An epoch and an offset are in no doubt; a text without one may be of any place.
        sure = [c for c in readable if all(_is_sure(row[c]) for row in rows)]
        if not sure and any(
            minute_of(row[a]) != minute_of(row[readable[0]]) for row in rows for a in readable[1:]
        ):
            both = " and ".join(header[c].strip() for c in readable[:2])
            raise Unrecognised(f"{both} name different minutes", line)
        return (sure or readable)[:1]
    return (readable or by_rank)[:1]


def _is_sure(value: str) -> bool:
    return value[:5].isdigit() or bool(re.search(r"([Zz]|[+-][0-9:]{2,5})$", value[16:]))


def _missing(named: dict[str, list[int]]) -> str:
    """The first role that the header does not give to exactly one column."""
    role = next(role for role in ROLES if len(named[role]) != 1)
    if named[role]:
        return f"column {role} occurs more than once"
    if role == "volume":
        return "a column of the volume in units of the symbol is missing"
    return f"column {role} is missing"


def _refuse_contradiction(table: _Table, picks: Sequence[int]) -> None:
    """Names of columns are believed, unless the numbers say that two of them are exchanged."""
    kept = [row for row in table.rows if not any(is_nothing(row[pick]) for pick in picks)]
    sample = Sample(kept, len(table.first))
    if evidence.order(sample, picks[0], picks[1], picks[4]) < 0:
        raise Unrecognised(
            "the numbers contradict the header: closes follow the opens of the minute before, as"
            " if open and close were exchanged",
            table.line,
        )
    volume = picks[5]
    for column, name in enumerate(map(_plain, table.first)):
        if column == volume or name not in TURNOVER_NAMES:
            continue
        if evidence.is_turnover(sample, picks, column, volume) and not evidence.is_turnover(
            sample, picks, volume, column
        ):
            raise Unrecognised(
                f"the numbers contradict the header: {table.first[volume].strip()} is"
                f" {table.first[column].strip()} times the price, as if they were exchanged",
                table.line,
            )

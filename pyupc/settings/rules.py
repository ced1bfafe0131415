"""Rules: settings that SQL reads as upc.<name>, passed with every connection.

A rule set in config.toml or in a variable PYUPC_RULES_<NAME> is passed; any other one comes from
the database (ALTER DATABASE … SET upc.<name>, else the table upc_data.rule), or is the default.
sql/00_core/04_rule_definitions.sql lists all rules.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pyupc.errors import UsageProblem
from pyupc.shipped import folder

TABLE = "rules"
PREFIX = "PYUPC_RULES_"

INFINITY = "infinity"

# Units of PostgreSQL's intervals, in seconds.
_UNITS = {
    **dict.fromkeys(("ms", "msec", "msecs", "millisecond", "milliseconds"), 0.001),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86_400.0),
    **dict.fromkeys(("w", "week", "weeks"), 604_800.0),
    **dict.fromkeys(("mon", "mons", "month", "months"), 2_592_000.0),
    **dict.fromkeys(("y", "yr", "yrs", "year", "years"), 31_557_600.0),
}
_LONGEST_SECONDS = 1000 * _UNITS["years"]
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)", re.ASCII | re.IGNORECASE)
_INTERVAL = re.compile(rf"{_PART.pattern}(?:\s+{_PART.pattern})*", re.ASCII | re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?", re.ASCII | re.IGNORECASE)

_ON = ("on", "true", "yes", "1")
_OFF = ("off", "false", "no", "0")


@dataclass(frozen=True)
class Rule:
    """Definition of a rule.

    `read` converts a value, which is a string if it comes from a variable, to text for PostgreSQL,
    or raises ValueError; `expected` describes valid values. `fallback` is the default.
    """

    name: str
    expected: str
    read: Callable[[object], str]
    fallback: str
    is_number: bool = False

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper()

    def text(self, value: object, where: str) -> str:
        """Value for PostgreSQL; UsageProblem names its source."""
        try:
            return self.read(value)
        except ValueError:
            raise UsageProblem(f"{where}: not {self.expected}") from None


@dataclass(frozen=True)
class StoredRule:
    """A rule in force in a database.

    `source` is setting (of the session, role or database), table or default;
    `set_by` and `set_at` are the table's; `problem` is None if the value is valid.
    """

    name: str
    value: str
    source: str
    set_by: str | None
    set_at: datetime | None
    problem: str | None


def seconds(interval: str) -> float:
    """Seconds of an interval, as PostgreSQL counts them: a number with a unit, or several."""
    if not _INTERVAL.fullmatch(interval.strip()):
        raise ValueError(interval)
    total = sum(
        float(number) * _UNITS.get(unit.lower(), math.nan)
        for number, unit in _PART.findall(interval)
    )
    if not total <= _LONGEST_SECONDS:
        raise ValueError(interval)
    return total


def _interval(least: float, *, is_above: bool, is_endless: bool) -> Callable[[object], str]:
    def read(value: object) -> str:
        if not isinstance(value, str):
            raise ValueError(value)
        if is_endless and value.strip().lower() == INFINITY:
            return INFINITY
        # PostgreSQL's resolution is a microsecond.
        if seconds(value) < (least + 1e-6 if is_above else least):
            raise ValueError(value)
        return " ".join(value.split())

    return read


def _switch(value: object) -> str:
    word = str(value).strip().lower()
    if isinstance(value, (bool, str)) and word in (*_ON, *_OFF):
        return "on" if word in _ON else "off"
    raise ValueError(value)


def _number(least: float, most: float, *, is_above: bool) -> Callable[[object], str]:
    def read(value: object) -> str:
        is_text = isinstance(value, str) and _NUMBER.fullmatch(value.strip())
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not (is_text or is_number) or not least <= float(value) <= most:  # type: ignore[arg-type]
            raise ValueError(value)
        if is_above and float(value) == least:  # type: ignore[arg-type]
            raise ValueError(value)
        return repr(float(value)).removesuffix(".0")  # type: ignore[arg-type]

    return read


def _rule(written: Mapping[str, Any]) -> Rule:
    """Definition from a line of sql/00_core/04_rule_definitions.sql."""
    name, kind, fallback = written["name"], written["kind"], written["fallback"]
    least, most = written.get("at_least", ""), written.get("at_most", "")
    is_above = bool(written.get("is_above"))
    if kind == "switch":
        return Rule(name, "true (on) or false (off)", _switch, fallback)
    if kind == "number":
        bounds = f"above {least}, at most {most}" if is_above else f"from {least} to {most}"
        read = _number(float(least), float(most), is_above=is_above)
        return Rule(name, f"a number {bounds}", read, fallback, is_number=True)
    is_endless = most == INFINITY
    expected = 'an interval such as "15 s", "2 min" or "0 s"'
    if is_above:
        expected = 'an interval above zero such as "15 s" or "2 min"'
    elif is_endless:
        expected = f'an interval of {least} or more such as "30 days", or "{INFINITY}"'
    read = _interval(seconds(least), is_above=is_above, is_endless=is_endless)
    return Rule(name, expected, read, fallback)


def _registry() -> Mapping[str, Rule]:
    text = (folder("sql") / "00_core" / "04_rule_definitions.sql").read_text("utf-8")
    _, listed, _ = text.split("$rules$")
    return {written["name"]: _rule(written) for written in json.loads(listed)}


RULES: Mapping[str, Rule] = _registry()


def from_environment(environ: Mapping[str, str]) -> Iterator[tuple[Rule, str]]:
    """Rules set by variables, as text for PostgreSQL; an empty variable sets nothing."""
    for rule in RULES.values():
        if value := environ.get(rule.variable):
            yield rule, rule.text(value, rule.variable)


def connection_options(environ: Mapping[str, str]) -> list[str]:
    """Rules set by variables, as server arguments for libpq's `options`."""
    return [f"-c upc.{rule.name}={_escaped(text)}" for rule, text in from_environment(environ)]


def _escaped(text: str) -> str:
    return re.sub(r"([\\\s])", r"\\\1", text)

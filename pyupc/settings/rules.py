"""The rules: settings that the SQL side reads as upc.<name>, and how a connection carries them.

A rule that is set in config.toml or in a variable PYUPC_RULES_<NAME> goes with every connection;
one that is not is the database's own (ALTER DATABASE … SET upc.<name>), or has its default.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from pyupc.errors import UsageProblem

TABLE = "rules"
PREFIX = "PYUPC_RULES_"

INFINITY = "infinity"

# Of the units that PostgreSQL knows in an interval, with the seconds that it counts them as.
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
# What upc.delete_expired asks for.
_SHORTEST_KEPT_SECONDS = 2 * _UNITS["days"]
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)", re.ASCII | re.IGNORECASE)
_INTERVAL = re.compile(rf"{_PART.pattern}(?:\s+{_PART.pattern})*", re.ASCII | re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?", re.ASCII | re.IGNORECASE)

_ON = ("on", "true", "yes", "1")
_OFF = ("off", "false", "no", "0")


@dataclass(frozen=True)
class Rule:
    """`read` makes text for PostgreSQL of a value, which is a string if a variable holds it.

    It raises ValueError; `expected` says then what it wants.
    """

    name: str
    expected: str
    read: Callable[[object], str]
    is_number: bool = False

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper()

    def text(self, value: object, where: str) -> str:
        """The value for PostgreSQL; UsageProblem names the place where it was found."""
        try:
            return self.read(value)
        except ValueError:
            raise UsageProblem(f"{where}: not {self.expected}") from None


def seconds(interval: str) -> float:
    """As PostgreSQL counts them: a number with a unit, or several."""
    if not _INTERVAL.fullmatch(interval.strip()):
        raise ValueError(interval)
    total = sum(
        float(number) * _UNITS.get(unit.lower(), math.nan)
        for number, unit in _PART.findall(interval)
    )
    if not total <= _LONGEST_SECONDS:
        raise ValueError(interval)
    return total


def _interval(value: object, least: float) -> str:
    if not isinstance(value, str) or seconds(value) < least:
        raise ValueError(value)
    return " ".join(value.split())


def _above_zero(value: object) -> str:
    # A microsecond is what PostgreSQL can tell from nothing.
    return _interval(value, 1e-6)


def _from_zero(value: object) -> str:
    return _interval(value, 0)


def _kept(value: object) -> str:
    is_infinite = isinstance(value, str) and value.strip().lower() == INFINITY
    return INFINITY if is_infinite else _interval(value, _SHORTEST_KEPT_SECONDS)


def _switch(value: object) -> str:
    word = str(value).strip().lower()
    if isinstance(value, (bool, str)) and word in (*_ON, *_OFF):
        return "on" if word in _ON else "off"
    raise ValueError(value)


def _number(least: float, most: float) -> Callable[[object], str]:
    def read(value: object) -> str:
        is_text = isinstance(value, str) and _NUMBER.fullmatch(value.strip())
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not (is_text or is_number) or not least <= float(value) <= most:  # type: ignore[arg-type]
            raise ValueError(value)
        return repr(float(value)).removesuffix(".0")  # type: ignore[arg-type]

    return read


def _intervals(*names: str) -> list[Rule]:
    expected = 'an interval above zero such as "15 s" or "2 min"'
    return [Rule(name, expected, _above_zero) for name in names]


def _delays(*names: str) -> list[Rule]:
    expected = 'an interval such as "15 s", "2 min" or "0 s"'
    return [Rule(name, expected, _from_zero) for name in names]


def _periods(*names: str) -> list[Rule]:
    expected = f'an interval of two days or more such as "30 days", nor "{INFINITY}"'
    return [Rule(name, expected, _kept) for name in names]


def _switches(*names: str) -> list[Rule]:
    return [Rule(name, "true (on) or false (off)", _switch) for name in names]


def _numbers(least: float, most: float, *names: str) -> list[Rule]:
    expected = f"a number from {least:g} to {most:g}"
    return [Rule(name, expected, _number(least, most), is_number=True) for name in names]


_ALL = (
    *_intervals("fresh_for", "warn_for", "stale_for", "frozen_after"),
    *_numbers(0, 100, "min_probability"),
    *_numbers(-100, 100, "min_differential"),
    *_switches("stop_on_probability"),
    *_numbers(0, 100, "stop_probability"),
    *_delays("stop_ttc"),
    *_switches("stop_verify"),
    *_delays("stop_verify_for"),
    *_switches("stop_on_momentum"),
    *_numbers(1, 10_000, "stop_momentum"),
    *_periods("keep_prices", "keep_ticks"),
)
RULES: Mapping[str, Rule] = {rule.name: rule for rule in _ALL}


def from_environment(environ: Mapping[str, str]) -> Iterator[tuple[Rule, str]]:
    """The rules that variables set, as text for PostgreSQL. An empty variable is none."""
    for rule in RULES.values():
        if value := environ.get(rule.variable):
            yield rule, rule.text(value, rule.variable)


def connection_options(environ: Mapping[str, str]) -> list[str]:
    """Those rules as arguments for the server, as libpq's `options` wants them."""
    return [f"-c upc.{rule.name}={_escaped(text)}" for rule, text in from_environment(environ)]


def _escaped(text: str) -> str:
    return re.sub(r"([\\\s])", r"\\\1", text)

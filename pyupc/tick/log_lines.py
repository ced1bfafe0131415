"""The log of the loop: a line per minute, and one whenever something changes."""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pyupc.errors import PyupcError
from pyupc.price_text import price_text
from pyupc.runtime.outage import DatabaseOutage, Outage
from pyupc.tick.statements import Tick

logger = logging.getLogger("pyupc.tick")

MINUTE = 60.0
FAILING = "failing"

# Slower than this is worth a line where the interval is shorter.
SLOW_SECONDS = 0.5
STEADY_SECONDS = 10.0

Kinds = tuple[str | None, str | None]
"""A model and a settlement."""

_KINDS = (("forecast", "model"), ("settlement", "settlement"))

_QUOTED = re.compile(r"\"[^\"]*\"")

# More symbols than this are not named one by one.
MOST_NAMES = 10

# Announcements that are warnings.
_LOUD = frozenset({"stop", "changed", "halted"})


class View(Protocol):
    """Shows the newest tick of every symbol."""

    def show(self, ticks: dict[str, Tick], status: str) -> None: ...


@dataclass
class Durations:
    """Durations of ticks, in milliseconds."""

    values: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        if not self.values:
            return "no tick"
        ordered = sorted(self.values)
        return f"p50 {ordered[len(ordered) // 2]:.1f} ms, max {ordered[-1]:.1f} ms"


@dataclass
class Report:
    """Counts ticks and remembers the state of every symbol, of the files and of the database."""

    now: Callable[[], float]
    feed: str
    interval: float = 1.0
    ticks: int = 0
    failures: int = 0
    _states: dict[str, str] = field(default_factory=dict)
    _prices: dict[str, float] = field(default_factory=dict)
    _replaced: dict[str, str] = field(default_factory=dict)
    _minute: Durations = field(default_factory=Durations)
    _minute_ticks: int = 0
    _minute_missed: int = 0
    _minute_failures: int = 0
    # The newest ones only, so that a process that runs for months does not grow.
    _newest: list[float] = field(default_factory=list)
    _files_failed: int = 0
    _is_unlocked: bool = False
    _slow_at: float | None = None
    is_crowd: bool = False
    """True for so many symbols that what they do is summed up once a round."""
    # Of this round: symbols by what has become of them.
    _changes: dict[str, list[str]] = field(default_factory=dict)
    _answers: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._minute_since = self.now()
        self._database = DatabaseOutage(logger.name, self.now)
        self._files = Outage(
            logger.name, self.now, "a file cannot be written", "files can be written again"
        )

    @property
    def states(self) -> dict[str, str]:
        """The state of every symbol, or why it is not ticked."""
        return dict(self._states)

    def has_ticked(self, symbol: str) -> bool:
        return symbol in self._prices

    def forget(self, symbols: Sequence[str]) -> None:
        """They are not ticked any more."""
        for symbol in symbols:
            for known in (self._states, self._prices, self._replaced):
                known.pop(symbol, None)

    def answer_took(self, seconds: float) -> None:
        """After every answer of the database, of one symbol or of a batch."""
        self._minute.values.append(1000 * seconds)

    def ticked(self, symbol: str, tick: Tick) -> None:
        self.ticks += 1
        self._minute_ticks += 1
        self._prices[symbol] = tick.price
        before = self._states.get(symbol)
        if before != tick.state:
            change = tick.state if before is None else f"{before} -> {tick.state}"
            if self.is_crowd:
                self._changes.setdefault(change, []).append(symbol)
            else:
                price = price_text(tick.price)
                logger.info("%s %s at %s (%s)", symbol, change, price, self.feed)
            self._states[symbol] = tick.state
        if tick.announced is not None:
            _log(symbol, tick.announced)

    def answered(self, symbol: str, asked: Kinds, used: Kinds) -> None:
        """A line when another model or settlement is used than was asked for, and when it ends."""
        replaced = "; ".join(
            f"no {wanted} {missing}; using {kind} {found}"
            for (missing, kind), wanted, found in zip(_KINDS, asked, used, strict=True)
            if None not in (found, wanted) and found != wanted
        )
        before, self._replaced[symbol] = self._replaced.get(symbol), replaced
        if replaced == (before or ""):
            return
        line = replaced or f"using {' and '.join(filter(None, asked))} again"
        if self.is_crowd:
            self._answers.setdefault(line, []).append(symbol)
        else:
            logger.warning("%s: %s", symbol, line)

    def took(self, symbols: Sequence[str], seconds: float) -> None:
        """A line when rounds begin to take longer than the interval, and when they no longer do."""
        if seconds > max(self.interval, SLOW_SECONDS):
            if self._slow_at is None:
                logger.warning(
                    "the tick of %s took %.1f s, longer than the interval: ticks skipped",
                    named(symbols),
                    seconds,
                )
            self._slow_at = self.now()
        elif self._slow_at is not None and self.now() - self._slow_at > STEADY_SECONDS:
            logger.warning("ticks are as fast as they were: %.0f ms", 1000 * seconds)
            self._slow_at = None

    def failed(self, failing: Mapping[str, PyupcError]) -> None:
        """Symbols of a round that have no tick: a line for each reason in a row, not every second.

        Text in quotation marks makes no other reason: a full disk is reported with the name of
        whatever file has no room this time.
        """
        self.failures += len(failing)
        new: dict[str, list[str]] = {}
        for symbol, problem in failing.items():
            state = f"{FAILING}: {_QUOTED.sub('…', problem.message)}"
            if self._states.get(symbol) != state:
                hint = f"; {problem.hint}" if problem.hint else ""
                new.setdefault(f"{problem.message}{hint}", []).append(symbol)
                self._states[symbol] = state
        for reason, symbols in new.items():
            is_one = len(symbols) == 1
            logger.error("%s %s not ticked: %s", named(symbols), "is" if is_one else "are", reason)

    def files(self, problem: str | None, failed: int) -> None:
        """The state of the files after a round: the problem, and failures so far."""
        if problem is not None:
            self._files.failed(problem)
        else:
            self._files.works(f"; {failed - self._files_failed} writes failed")
            self._files_failed = failed

    def unlocked(self, problem: str | None) -> None:
        """Once: ticks go on, and another process may put an older one over them for a moment."""
        if problem is not None and not self._is_unlocked:
            logger.warning("the folder cannot be locked against other processes: %s", problem)
        self._is_unlocked |= problem is not None

    def lost(self, problem: PyupcError) -> None:
        """Once, until it is back."""
        self._database.lost(problem)

    def back(self) -> None:
        self._database.back()

    def waits(self, holders: Mapping[str, str]) -> None:
        """Once, when a standby begins to wait."""
        # Many symbols are named by their holders.
        is_crowd = len(holders) > MOST_NAMES
        held_by: dict[str, list[str]] = {}
        for symbol, holder in holders.items():
            held_by.setdefault(holder if is_crowd else symbol, []).append(symbol)
        held = "; ".join(
            f"{named(those)} {'is' if len(those) == 1 else 'are'} ticked by {holders[those[0]]}"
            for those in held_by.values()
        )
        logger.info("standing by: %s", held)

    def took_over(self, symbols: Sequence[str]) -> None:
        logger.warning("took over: this process ticks %s now", named(symbols))

    def changed(self, added: Sequence[str], removed: Sequence[str]) -> None:
        """Symbols have been registered or retired."""
        if added:
            logger.info("registered since the start: %s", named(added))
        if removed:
            logger.warning("no longer registered: %s", named(removed))

    def stood_down(self, problem: PyupcError) -> None:
        logger.warning("standing by again: %s", problem.message)

    def round(self, missed: int) -> None:
        """After every round; `missed` is the sum since the start."""
        self._log_changes()
        if self.now() - self._minute_since >= MINUTE:
            logger.info("%s", self._minute_line(missed))
            self._newest = self._minute.values
            self._minute = Durations()
            self._minute_ticks = 0
            self._minute_missed = missed
            self._minute_failures = self.failures
            self._minute_since = self.now()

    def status(self, missed: int) -> str:
        """For the foot of a view."""
        recent = Durations((self._newest + self._minute.values)[-120:])
        return f"{self.ticks} ticks, {missed} missed, {recent}{self._trouble()}"

    def end(self, missed: int) -> None:
        """The last line: the whole run, durations of its last minute or two."""
        self._log_changes()
        recent = Durations(self._newest + self._minute.values)
        logger.info(
            "ended after %d ticks, %d missed, %d failed, %s, %d failed writes%s",
            self.ticks,
            missed,
            self.failures,
            recent,
            self._files_failed,
            self._symbols(),
        )

    def _minute_line(self, missed: int) -> str:
        return (
            f"{self._minute_ticks} ticks, {missed - self._minute_missed} missed, "
            f"{self.failures - self._minute_failures} failed, "
            f"{self._minute}{self._symbols()}{self._trouble()}"
        )

    def _log_changes(self) -> None:
        changes, self._changes = self._changes, {}
        for change, symbols in changes.items():
            logger.info("%s %s (%s)", named(symbols), change, self.feed)
        answers, self._answers = self._answers, {}
        for line, symbols in answers.items():
            logger.warning("%s: %s", named(symbols), line)

    @property
    def summary(self) -> str:
        """The state of each symbol, or how many are in each."""
        if len(self._states) <= MOST_NAMES:
            return ", ".join(f"{name} {state}" for name, state in self._states.items())
        counts = Counter(state.partition(":")[0] for state in self._states.values())
        return ", ".join(f"{count} {state}" for state, count in counts.most_common())

    def _symbols(self) -> str:
        if len(self._states) > MOST_NAMES:
            return f"; {self.summary}"
        return "".join(
            f"; {symbol} {price_text(self._prices[symbol])} {state.partition(':')[0]}"
            if symbol in self._prices
            else f"; {symbol} {state.partition(':')[0]}"
            for symbol, state in self._states.items()
        )

    def _trouble(self) -> str:
        return f"; {self._files.reason}" if self._files.reason else ""


def named(symbols: Sequence[str]) -> str:
    """`BTC and ETH`; of many, the first few and how many more."""
    if len(symbols) <= MOST_NAMES:
        return " and ".join(symbols)
    return f"{', '.join(symbols[:3])} and {len(symbols) - 3} more"


def _log(symbol: str, announced: str) -> None:
    """A line for each announcement of a tick; the fields go along for a log that has fields."""
    for each in json.loads(announced):
        logger.log(
            logging.WARNING if each["kind"] in _LOUD else logging.INFO,
            "%s",
            each["message"],
            extra={
                "symbol": symbol,
                **{name: each.get(name) for name in ("announcement_id", "kind", "subject")},
            },
        )

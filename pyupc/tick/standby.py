"""Standing by: a process waits for the right to tick until its holder counts as gone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pyupc.errors import Busy
from pyupc.runtime.clock import SYSTEM, Clock
from pyupc.runtime.connection import ConnectionLost
from pyupc.runtime.stop import Waiting
from pyupc.runtime.systemd import Notifier
from pyupc.tick.log_lines import Report
from pyupc.tick.maintenance import Revision
from pyupc.tick.mirror import Mirror
from pyupc.tick.reconnect import reconnect
from pyupc.tick.roster import Roster
from pyupc.tick.statements import Lease, Session
from pyupc.tick.status_file import Health

# From look to look: while the holder is in time, and while it is late.
LOOK_SECONDS = 0.2
LATE_LOOK_SECONDS = 0.1

# Looks that lie further apart have missed something, and so may the holder have.
_GAP_SECONDS = 0.75

# An expiry by the server's clock is believed once the row has stood almost as long by our own: a
# renewal is seen up to a look late.
_SLACK_SECONDS = LOOK_SECONDS + 0.1


@dataclass
class Watch:
    """Judges by successive looks at the leases which of them are over.

    A lease is over that had expired when the watch began, or that has not changed for its whole
    length. That is measured by our own clock: the server's may jump, in either way, under a holder
    that ticks on. Time in which no process could look, or renew, does not count.
    """

    now: Callable[[], float]
    is_late: bool = False
    """True if a lease was not renewed when its holder's next tick was due."""
    _since: dict[str, tuple[tuple[str, datetime], float]] = field(default_factory=dict)
    _looked_at: float | None = None

    def interrupt(self) -> None:
        """The connection was lost, so the holder's may have been too."""
        self._since.clear()

    def standing(self, leases: Sequence[Lease]) -> list[Lease]:
        """Leases that have not expired."""
        at = self.now()
        is_first = self._looked_at is None
        if self._looked_at is not None and at - self._looked_at > _GAP_SECONDS:
            self.interrupt()
        self._looked_at = at
        self.is_late = False
        standing = []
        for lease in leases:
            row = (lease.holder, lease.expires_at)
            known, since = self._since.get(lease.symbol, (None, 0.0))
            if known != row:
                since = -math.inf if is_first and lease.is_expired else at
                self._since[lease.symbol] = (row, since)
            self.is_late |= at - since > lease.every.total_seconds()
            length = lease.length.total_seconds()
            if at - since < length - (_SLACK_SECONDS if lease.is_expired else 0):
                standing.append(lease)
        return standing


class Standby:
    """Waits until no process has the right to tick any of the symbols."""

    def __init__(
        self,
        session: Session,
        stop: Waiting,
        report: Report,
        notifier: Notifier,
        mirror: Mirror,
        health: Health,
        clock: Clock = SYSTEM,
    ) -> None:
        self._session = session
        self._mirror = mirror
        self._health = health
        self._stop = stop
        self._report = report
        self._notifier = notifier
        self._clock = clock

    def wait(self, roster: Roster) -> bool | None:
        """True if another process had to be waited for; None if a signal came first.

        Several may come out of this at once: the first tick of one of them succeeds.
        """
        watch = Watch(self._clock.monotonic)
        revision = Revision(self._session.check, self._clock.monotonic)
        has_waited = False
        symbols = roster.symbols
        self._mirror.begin()
        while True:
            try:
                if revision.tend():
                    self._mirror.rebuilt()
                roster.look()
                symbols = roster.symbols
                leases = self._session.leases(symbols)
                standing = watch.standing(leases)
                self._report.back()
                if not standing and self._break(leases):
                    return has_waited
                self._mirror.look(symbols)
                self._health.stand_by(symbols)
            except Busy as error:
                # Leases that cannot be read may stand, or not.
                watch.interrupt()
                self._mirror.lost(symbols, error)
                self._report.lost(error)
                if self._stop.wait(LOOK_SECONDS):
                    return None
                continue
            except ConnectionLost as error:
                watch.interrupt()
                self._mirror.lost(symbols, error.problem)
                self._report.lost(error.problem)
                if not reconnect(self._session, self._stop, lambda: None):
                    return None
                self._report.back()
                continue
            if not has_waited:
                self._report.waits({lease.symbol: lease.holder for lease in standing or leases})
                has_waited = True
            self._notifier.waits()
            self._notifier.status("standing by")
            if self._stop.wait(LATE_LOOK_SECONDS if watch.is_late else LOOK_SECONDS):
                return None

    def _break(self, leases: Sequence[Lease]) -> bool:
        """True if none is left that a tick would meet. All have been found to be over."""
        return all(lease.is_expired or self._session.break_lease(lease) for lease in leases)

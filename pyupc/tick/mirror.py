"""The documents in the folder: those of our own ticks, and those of the process that ticks."""

from __future__ import annotations

from collections.abc import Sequence

from pyupc.errors import PyupcError
from pyupc.tick.document_age import Mark
from pyupc.tick.files import Folder
from pyupc.tick.predecessor_layout import SNAPSHOT
from pyupc.tick.stale_documents import StaleDocuments
from pyupc.tick.statements import Published, Session, Tick


class Publisher:
    """Writes documents unless there are newer ones of the same database in the folder.

    Two processes may have one folder, and one of them may go on after a while with a tick that has
    long had successors. A file with a later number stays therefore, unless the database knows no
    such tick: then the file is another database's, or this one was put back. With a snapshot the
    markets go with them, for consumers of the predecessor.
    """

    def __init__(
        self,
        session: Session,
        folder: Folder,
        stale: StaleDocuments,
        *,
        with_snapshot: bool = False,
    ) -> None:
        self._session = session
        self._folder = folder
        self._stale = stale
        self._with_snapshot = with_snapshot

    def publish(self, symbol: str, found: Tick | Published, born: float) -> None:
        """`born` is when the tick was, by the clock of the stale documents."""
        if found.limits is not None:
            self._stale.rules = self._stale.rules.limited(found.limits)
        if not self._folder.is_kept:
            return
        rules = self._stale.rules
        documents = rules.in_files(found.documents() | self._snapshot(symbol), found.state)
        mark = Mark(found.tick_id, rules.rank(found.state), found.valid_until)
        newer = self._folder.write(symbol, documents, mark, born)
        is_later = newer is not None and newer.order != mark.order
        if newer is not None and is_later and not self._session.has_tick(symbol, newer.order):
            self._folder.write(symbol, documents, mark, born, stranger=newer.order)

    def _snapshot(self, symbol: str) -> dict[str, str]:
        """Nothing if the server has no time for it: the file that is there grows old."""
        if not self._with_snapshot:
            return {}
        try:
            return {SNAPSHOT: self._session.market_snapshot(symbol)}
        except PyupcError:
            return {}


class Mirror:
    """Keeps the folder of a process that stands by as current as that of the one that ticks."""

    def __init__(
        self,
        session: Session,
        folder: Folder,
        stale: StaleDocuments,
        *,
        with_snapshot: bool = False,
    ) -> None:
        self._session = session
        self._folder = folder
        self._stale = stale
        self._publisher = Publisher(session, folder, stale, with_snapshot=with_snapshot)
        self._known: dict[str, int] = {}

    def begin(self) -> None:
        """Write everything again, no matter what is in the folder."""
        self._known.clear()

    def rebuilt(self) -> None:
        """Read the rules anew: rebuilt functions may have others."""
        self._stale.rules = self._session.document_rules()

    def lost(self, symbols: Sequence[str], problem: PyupcError) -> None:
        """Let documents that get no successor any more give the reason."""
        reason = f"the database is lost: {problem.message}"
        self._stale.explain(dict.fromkeys(symbols, reason))

    def look(self, symbols: Sequence[str]) -> None:
        """Write what has changed. Raises ConnectionLost, or PyupcError for any other refusal."""
        if not self._folder.is_kept:
            return
        asked_at = self._stale.now()
        known = {symbol: self._known.get(symbol, 0) for symbol in symbols}
        for found in self._session.published(known):
            self._publisher.publish(found.symbol, found, asked_at - found.age_seconds)
            if self._folder.problem_of(found.symbol) is None:
                self._known[found.symbol] = found.tick_id
        self._stale.explain({})

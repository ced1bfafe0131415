"""A tick that runs from a feed's prices, with a reader of its files: what a fault happens to."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg

from tests.support.cluster import Server
from tests.support.price_feed import Feed, feeding, lost
from tests.support.processes import Reader, Ticker, more_ticks, reading, ticking, until
from tests.support.status_readers import Light, becomes, light

# Longest wait of a consumer for the first tick after the cause has gone.
HEALED_SECONDS = 5.0

# Time for which a fault is watched once it shows; one line per second would be seen.
WATCHED_SECONDS = 1.0


@dataclass
class RunningTick:
    server: Server
    live: Path
    tick: Ticker
    reader: Reader
    feed: Feed
    has_files: bool = True
    """True if upc_status.json can be expected to be written."""

    @property
    def folder(self) -> Path | None:
        return self.live if self.has_files else None

    def shows(self, *words: str, seconds: float = 15) -> Light:
        """The fault that began shows: in one line with one of the words, and not in green."""
        until(lambda: self.tick.problems, seconds, why="nothing is logged")
        shown = becomes(self.server.dsn(), self.folder, healthy=False)
        end = time.monotonic() + WATCHED_SECONDS
        while time.monotonic() < end:
            assert not light(self.server.dsn(), self.folder).is_green
        assert len(self.tick.problems) == 1, self.tick.problems
        problem = self.tick.problems[0].lower()
        assert any(word in problem for word in words), problem
        return shown

    def heals(self, seconds: float = HEALED_SECONDS) -> None:
        """The cause has gone: it ticks again, logs that at most once, and is green."""
        more_ticks(self.reader, 3, seconds)
        becomes(self.server.dsn(), self.folder, healthy=True, seconds=2 * seconds)
        assert len(self.tick.problems) <= 2, self.tick.problems


@contextmanager
def running_tick(
    server: Server,
    tmp_path: Path,
    *,
    dsn: str | None = None,
    live: Path | None = None,
    interval: float = 0.2,
    more: Mapping[str, str] | None = None,
    feed_more: Mapping[str, str] | None = None,
) -> Iterator[RunningTick]:
    """Ticking, and green. `dsn`: the tick's own way to the server.

    `more` and `feed_more` are environments: the tick's, and the feed's.

    Afterwards: no price that was acknowledged and no tick that was seen in a file is lost.
    """
    live = live or tmp_path / "live"
    with (
        feeding(server.dsn(), tmp_path / "prices", "BTC", more=feed_more) as feed,
        reading(live) as reader,
    ):
        until(feed.acknowledged)
        with ticking(
            dsn or server.dsn(), live, tmp_path / "log", interval=interval, more=more
        ) as tick:
            more_ticks(reader)
            becomes(server.dsn(), live, healthy=True)
            assert tick.problems == []
            yield RunningTick(server, live, tick, reader, feed)
            if tick.is_running:
                assert tick.stop() == 0
    assert lost(server.dsn(), feed.acknowledged()) == []
    assert lost_ticks(server.dsn(), reader.times) == []


def lost_ticks(dsn: str, seen: list[datetime]) -> list[datetime]:
    """Ticks that were seen in a file but are missing in the database."""
    query = "SELECT ticked_at FROM upc_data.tick WHERE symbol = 'BTC'"
    with psycopg.connect(dsn) as conn:
        stored = {row[0] for row in conn.execute(query).fetchall()}
    return [at for at in seen if at not in stored]

"""One process ticks, others stand by: when one takes over, and that it is one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pyupc.database.connect import connect
from pyupc.tick.standby import LATE_LOOK_SECONDS, LOOK_SECONDS, Watch
from pyupc.tick.statements import LATE_SECONDS, Lease
from tests.support.market import SYMBOLS, fill, pyupc, read, rows
from tests.support.ticking import (
    SIMULATED,
    count,
    ended,
    home_of_its_own,
    in_place,
    instant,
    kill_server,
    ticking,
    until,
)

# End of a lease, with a clock that the test turns.

T = datetime(2026, 3, 5, 12, tzinfo=UTC)


@dataclass
class Holder:
    """A lease that is renewed, or not, on a server whose clock may be wrong."""

    every: float = 1.0
    expires_at: datetime = T
    is_expired: bool = False

    def renew(self) -> None:
        self.expires_at += timedelta(seconds=self.every)

    def lease(self) -> Lease:
        every = timedelta(seconds=self.every)
        length = every + timedelta(seconds=LATE_SECONDS)
        return Lease("BTC", "me", self.expires_at, self.is_expired, every, length)


class Looking:
    """A standby that looks as often as it ought to."""

    def __init__(self, holder: Holder) -> None:
        self.holder = holder
        self.time = 500.0
        self.watch = Watch(lambda: self.time)

    def is_standing(self) -> bool:
        return bool(self.watch.standing([self.holder.lease()]))

    def look_for(self, seconds: float) -> float | None:
        """Seconds until the lease is over; None if it is not."""
        began = self.time
        while self.time < began + seconds:
            if not self.is_standing():
                return self.time - began
            self.time += LATE_LOOK_SECONDS if self.watch.is_late else LOOK_SECONDS
        return None


def test_a_lease_that_has_expired_at_the_first_look_is_over() -> None:
    assert not Looking(Holder(is_expired=True)).is_standing()
    assert Looking(Holder()).is_standing()


@pytest.mark.parametrize("every", [0.2, 1.0, 10.0])
def test_a_lease_is_over_when_it_has_not_changed_for_its_length(every: float) -> None:
    looking = Looking(Holder(every))
    for _ in range(5):
        assert looking.look_for(every) is None
        looking.holder.renew()
    # Its last renewal is seen by the next look.
    over = looking.look_for(2 * every + 2)
    assert over == pytest.approx(every + 0.75, abs=0.11)


def test_an_expiry_by_the_clock_of_the_server_is_checked_by_our_own() -> None:
    looking = Looking(Holder())
    for _ in range(3):
        assert looking.look_for(1.0) is None
        looking.holder.renew()
        # The server's clock is an hour ahead: whatever is renewed has expired long since.
        looking.holder.is_expired = True
    # Expiry by our clock, less the delay that a look may have.
    assert looking.look_for(3) == pytest.approx(1.75 - 0.3, abs=0.11)


def test_a_clock_that_was_put_back_does_not_keep_a_lease_alive() -> None:
    looking = Looking(Holder(expires_at=T + timedelta(hours=1)))
    assert looking.look_for(5) == pytest.approx(1.75, abs=0.11)


def test_time_without_a_look_does_not_count() -> None:
    looking = Looking(Holder())
    assert looking.look_for(1.0) is None
    # The machine, or the server, stood still: the holder could not renew it either.
    looking.time += 5
    looking.holder.is_expired = True
    assert looking.look_for(1.0) is None
    looking.holder.renew()
    assert looking.look_for(1.0) is None
    assert looking.look_for(1.0) is not None


def test_a_lost_connection_begins_the_watch_anew() -> None:
    looking = Looking(Holder())
    assert looking.look_for(1.5) is None
    looking.watch.interrupt()
    assert looking.look_for(5) == pytest.approx(1.75, abs=0.11)


# Processes.


def waits(dsn: str, others: int = 1) -> None:
    """Wait until that many other processes look at the lease."""
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'pyupc tick' AND position('changed_documents' IN query) > 0"
    )
    until(lambda: rows(dsn, query)[0][0] >= others)


def until_more(dsn: str, ticks: int) -> None:
    enough = count(dsn) + ticks
    until(lambda: count(dsn) > enough)


def holders(dsn: str) -> set[str]:
    return {row[0] for row in rows(dsn, "SELECT holder FROM upc_data.tick_lease")}


def holds(dsn: str, process: subprocess.Popen[str]) -> bool:
    """All symbols."""
    found = rows(dsn, "SELECT holder FROM upc_data.tick_lease")
    return len(found) == len(SYMBOLS) and all(f":{process.pid} since" in row[0] for row in found)


def newest(folder: Path) -> int:
    """The number of the tick that the folder's file of BTC is of."""
    return int(read(folder, "BTC", "strike_table")["tick_id"])


def longest_gap(dsn: str) -> float:
    """Between two ticks of a symbol, in seconds."""
    query = (
        "SELECT max(extract(epoch FROM t.gap)) FROM (SELECT ticked_at"
        " - lag(ticked_at) OVER (PARTITION BY symbol ORDER BY ticked_at) AS gap"
        " FROM upc_data.tick) AS t"
    )
    return float(rows(dsn, query)[0][0])


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_it_takes_over_from_one_that_dies_or_hangs(
    market: str, tmp_path: Path, number: signal.Signals
) -> None:
    folders = [tmp_path / "first", tmp_path / "second"]
    options = (*SIMULATED, "--standby", "--out")
    with ticking(market, *options, folders[0]) as first:
        until(lambda: count(market) > 2)
        with ticking(market, *options, folders[1]) as second:
            waits(market)
            until_more(market, 2)
            # It has what the first one has.
            until(lambda: in_place(folders[1]))
            assert holds(market, first)
            before = newest(folders[1])

            first.send_signal(number)
            until(lambda: holds(market, second), 10)
            until(lambda: newest(folders[1]) > before)
            # On an idle machine 1.8 s: its lease, a look and a tick.
            assert longest_gap(market) < 4
            second.terminate()
            code, _ = ended(second)
            assert code == 0
        if number == signal.SIGSTOP:
            # It has lost the lease; nobody has it now.
            first.send_signal(signal.SIGCONT)
            until(lambda: holds(market, first))
            until(lambda: newest(folders[0]) > newest(folders[1]))
            first.terminate()
            assert ended(first)[0] == 0


def test_one_that_ends_hands_over_at_once(market: str, tmp_path: Path) -> None:
    with ticking(market, *SIMULATED, "--interval", "5", "--out", tmp_path / "first") as first:
        until(lambda: in_place(tmp_path / "first"))
        options = ("--standby", "--interval", "5", "--once", "--out", tmp_path / "second")
        with ticking(market, *SIMULATED, *options) as second:
            waits(market)
            # It has what the first one has.
            until(lambda: in_place(tmp_path / "second"))
            first.terminate()
            assert ended(first)[0] == 0
            # Its own round, and not those of the first.
            assert ended(second)[0] == 0
    assert count(market) == 4
    assert longest_gap(market) < 4


@pytest.mark.slow
def test_of_two_that_wait_one_takes_over(market: str, tmp_path: Path) -> None:
    with ExitStack() as stack:

        def begin(name: str, *options: str) -> subprocess.Popen[str]:
            every = ("--interval", "0.2")
            command = ticking(market, *SIMULATED, *every, *options, "--out", tmp_path / name)
            return stack.enter_context(command)

        first = begin("first")
        until(lambda: count(market) > 2)
        # Whatever order the symbols are named in.
        waiting = [
            begin("second", "--standby", "--symbol", "BTC", "--symbol", "ETH"),
            begin("third", "--standby", "--symbol", "ETH", "--symbol", "BTC"),
        ]
        waits(market, 2)
        for left in (2, 1):
            first.kill()
            until(lambda: any(holds(market, process) for process in waiting))
            [first] = [process for process in waiting if holds(market, process)]
            waiting.remove(first)
            until_more(market, 6)
            assert holds(market, first)
            assert [process.poll() for process in waiting] == [None] * (left - 1)
            waits(market, left - 1)
        first.terminate()
        assert ended(first)[0] == 0


def test_all_symbols_have_to_be_free(market: str, tmp_path: Path) -> None:
    eth = (*SIMULATED, "--symbol", "ETH", "--interval", "0.2", "--out", tmp_path / "eth")
    with ticking(market, *eth) as first:
        until(lambda: count(market) > 2)
        both = (*SIMULATED, "--standby", "--interval", "0.2", "--out", tmp_path / "both")
        with ticking(market, *both) as second:
            waits(market)
            until_more(market, 5)
            assert rows(market, "SELECT DISTINCT symbol FROM upc_data.tick") == [("ETH",)]
            first.kill()
            until(lambda: holds(market, second))
            second.terminate()
            assert ended(second)[0] == 0


def test_one_that_loses_the_lease_stands_by_again(market: str, tmp_path: Path) -> None:
    options = ("--standby", "--symbol", "BTC", "--interval", "0.1", "--out", tmp_path)
    with ticking(market, *SIMULATED, *options) as process:
        until(lambda: count(market))
        # For as long as its length says: nobody renews it.
        with connect(market) as conn:
            conn.execute(
                "UPDATE upc_data.tick_lease SET holder = 'someone', every = '1 second',"
                " expires_at = now() + interval '1 hour'"
            )
        waits(market)
        assert holders(market) == {"someone"}
        until_more(market, 3)
        assert holders(market) != {"someone"}
        process.terminate()
        code, _ = ended(process)
        assert code == 0
    assert count(market, "tick_lease") == 0


def test_a_signal_ends_the_wait(market: str, tmp_path: Path) -> None:
    with connect(market) as conn:
        conn.execute("SELECT upc._renew_lease('BTC', 'someone', '1 hour', every => '1 hour')")
    with ticking(market, *SIMULATED, "--standby", "--out", tmp_path / "live") as process:
        waits(market)
        process.send_signal(signal.SIGINT)
        assert ended(process) == (130, "")
    # Nobody has ticked: all there is is a status, and that is not green.
    assert [path.name for path in (tmp_path / "live").glob("*.json")] == ["upc_status.json"]
    assert json.loads((tmp_path / "live" / "upc_status.json").read_text())["state"] != "green"
    assert holders(market) == {"someone"}


def test_without_standby_it_is_refused_as_before(market: str, tmp_path: Path) -> None:
    with connect(market) as conn:
        conn.execute("SELECT upc._renew_lease('BTC', 'someone', '1 hour')")
    assert pyupc(market, *SIMULATED, "--once", "--out", tmp_path).returncode == 1


@pytest.mark.slow
def test_a_database_that_goes_away_is_waited_for_while_standing_by(tmp_path: Path) -> None:
    from pyupc import embedded
    from pyupc.database.migrate import upgrade

    with home_of_its_own() as home, ExitStack() as stack:
        dsn = embedded.ensure_running(home)
        upgrade(dsn)
        fill(dsn, ("BTC",))
        options = ("--standby", "--symbol", "BTC", "--interval", "0.2", "--out")
        first = stack.enter_context(ticking(dsn, *SIMULATED, *options, tmp_path / "first"))
        until(lambda: in_place(tmp_path / "first", ("BTC",)))
        second = stack.enter_context(ticking(dsn, *SIMULATED, *options, tmp_path / "second"))
        waits(dsn)
        kill_server(home)
        assert embedded.ensure_running(home) == dsn
        # Nobody loses the right to tick by that.
        until_more(dsn, 3)
        waits(dsn)
        assert f":{first.pid} since" in holders(dsn).pop()
        os.kill(first.pid, signal.SIGKILL)
        until(lambda: in_place(tmp_path / "second", ("BTC",)))
        newest = rows(dsn, "SELECT max(ticked_at) FROM upc_data.tick")[0][0]
        seen = instant(read(tmp_path / "second", "BTC", "live_probabilities")["timestamp"])
        assert abs(newest - seen) < timedelta(seconds=5)
        second.terminate()
        code, _ = ended(second)
        assert code == 0

"""Documents without a successor after 15, 30 and 60 seconds."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import threading
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pyupc import embedded
from pyupc.database.connect import connect
from pyupc.database.migrate import upgrade
from pyupc.tick.aging_rules import Rules
from pyupc.tick.document_age import Mark
from pyupc.tick.files import Folder
from pyupc.tick.job import Job
from pyupc.tick.mirror import Publisher
from pyupc.tick.run import run
from pyupc.tick.stale_documents import StaleDocuments
from pyupc.tick.statements import Session, Tick
from tests.support.market import WRITTEN, Document, fill, read
from tests.support.ticking import home_of_its_own, in_place, kill_server, until

ORDER = ("fresh", "warn", "stale", "halted")

# By what the keys are called in the documents.
PROBABILITIES = {
    *("probability", "prob_above", "prob_beyond", "prob_within"),
    *("prob_low", "prob_high", "positive_prob", "negative_prob", "current_probability"),
}
DIFFERENCES = {"yes_diff", "no_diff", "yes_edge", "no_edge", "yes_edge_low", "no_edge_low"}
QUOTES = {
    *("yes_ask", "no_ask", "volume", "yes_ask_dollars", "no_ask_dollars"),
    *("yes_bid_dollars", "no_bid_dollars", "current_close_price", "current_pnl"),
    *("close_value", "pnl", "pnl_per_contract"),
    *("pnl_after_fees", "pnl_per_contract_after_fees"),
    *("yes_bid", "no_bid", "yes_bid_size", "yes_ask_size", "no_bid_size", "no_ask_size"),
    *("yes_fee", "no_fee"),
}


@pytest.fixture(scope="module")
def documents(module_btc_market: str) -> dict[str, dict[str, Any]]:
    """Documents of a tick with a market and a trade, by name."""
    with connect(module_btc_market) as conn:
        conn.execute("SELECT upc.record_price('BTC', 'made up', 101000.5)")
        conn.execute(
            """
            INSERT INTO upc_data.market_event
                (symbol, event_ticker, series_ticker, title, closes_at, read_at)
            VALUES (
                'BTC', 'E', 'KXBTCD', 'T', date_trunc('hour', now()) + interval '1 hour', now()
            );
            INSERT INTO upc_data.market_quote
                (symbol, event_ticker, ticker, lower, status, yes_bid, yes_ask, no_bid,
                 no_ask, volume, yes_bid_size, yes_ask_size, no_bid_size, no_ask_size)
            SELECT 'BTC', 'E', 'E-' || k, 100000 + 250 * k, 'active', 0.4, 0.42, 0.58, 0.6,
                   5000, 7, 8, 8, 7
            FROM generate_series(0, 8) AS k;
            """
        )
        conn.execute("SELECT upc.open_trade('E-3', 'yes', 0.41, 10)")
        row = conn.execute(
            "SELECT live_probabilities, strike_table, watchlist, active_trades, contracts"
            " FROM upc.tick('BTC', 'made up', min_probability => 0, min_differential => -100)"
        ).fetchone()
    assert row is not None
    return {name: json.loads(text) for name, text in zip(WRITTEN, row, strict=True)}


@pytest.fixture(scope="module")
def rules(shared_database: str) -> Rules:
    with connect(shared_database) as conn:
        row = conn.execute("SELECT upc.document_rules()").fetchone()
    assert row is not None
    return Rules.read(row[0])


def texts(documents: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: json.dumps(document) for name, document in documents.items()}


def rows_of(document: Document) -> list[dict[str, Any]]:
    return [
        row
        for rows in document.values()
        if isinstance(rows, list)
        for row in rows
        if isinstance(row, dict)
    ]


def test_the_documents_hold_what_there_is_to_lose(documents: dict[str, dict[str, Any]]) -> None:
    known = {
        key
        for document in documents.values()
        for row in rows_of(document)
        for key, value in row.items()
        if value is not None
    }
    assert known >= PROBABILITIES | DIFFERENCES | QUOTES
    assert documents["watchlist"]["strikes"]
    assert documents["active_trades"]["count"] == 1


@pytest.mark.parametrize(
    ("age", "state"),
    [
        (0, "fresh"),
        (15, "fresh"),
        (15.01, "warn"),
        (30, "warn"),
        (30.01, "stale"),
        (60, "stale"),
        (60.01, "halted"),
        (1e6, "halted"),
    ],
)
def test_the_state_follows_from_the_age(rules: Rules, age: float, state: str) -> None:
    assert rules.state_at(age) == state
    # Other limits that have come into force.
    assert rules.limited((age / 2, age / 2, age)).state_at(age) == ("stale" if age else "fresh")


def without_bets(old: dict[str, Any], new: dict[str, Any], state: str) -> dict[str, Any]:
    """The old document as the new one is to be: from stale on without bets."""
    if "bets" not in old or state == "warn":
        return old
    assert old["bets"]
    assert (new["bets"], new["best_of_rest"]) == ([], None)
    return {**old, "bets": [], "best_of_rest": None}


@pytest.mark.parametrize("state", ["warn", "stale", "halted"])
def test_what_an_old_document_says(
    documents: dict[str, dict[str, Any]], rules: Rules, state: str
) -> None:
    unknown = {"warn": set(), "stale": DIFFERENCES}.get(state, DIFFERENCES | PROBABILITIES | QUOTES)
    found = rules.aged_documents(texts(documents), state, "gone")
    assert list(found) == list(documents)
    for name, text in found.items():
        new = json.loads(text)
        old = without_bets(documents[name], new, state)
        assert [key for key in new if key != "problem"] == list(old)
        assert (new["state"], new["problem"]) == (state, "gone")
        if "quote_state" in old:
            assert new["quote_state"] == state
        for key, value in old.items():
            if key == "valid_until":
                # It is warn for that much longer.
                more = timedelta(seconds=15 if state == "warn" else 0)
                assert datetime.fromisoformat(new[key]) == datetime.fromisoformat(value) + more
            elif key == "edge_reason" and state != "warn":
                assert new[key] == "price_stale"
            elif not isinstance(value, list) and key not in ("state", "quote_state"):
                assert new[key] == value
        if name == "watchlist" and state != "warn":
            assert new["strikes"] == []
            continue
        for before, after in zip(rows_of(old), rows_of(new), strict=True):
            assert after == {
                **{key: None if key in unknown else value for key, value in before.items()},
                **(
                    {"edge_reason": "price_stale"}
                    if state != "warn" and "edge_reason" in after
                    else {}
                ),
            }


@pytest.mark.parametrize("before", ORDER)
@pytest.mark.parametrize("state", ORDER)
def test_the_worse_state_stays(rules: Rules, before: str, state: str) -> None:
    text = json.dumps({"state": before, "quote_state": None, "strikes": []})
    document = json.loads(rules.aged("strike_table", text, state, "gone"))
    assert document["state"] == max(before, state, key=ORDER.index)
    assert document["quote_state"] is None


def test_a_key_that_nobody_registered_is_not_traded_on(rules: Rules) -> None:
    row = {"strike": 100, "yes_ask": 42, "new": 1.5}
    text = json.dumps({"state": "fresh", "new": 7, "more": {"new": 1}, "strikes": [row]})
    found = json.loads(rules.aged("strike_table", text, "stale", "gone"))
    assert (found["new"], found["more"]) == (None, {"new": None})
    assert found["strikes"] == [{"strike": 100, "yes_ask": 42, "new": None}]
    assert json.loads(rules.aged("strike_table", text, "warn", "gone"))["strikes"] == [row]


def test_why_there_is_no_edge(rules: Rules) -> None:
    paths = {**rules.documents["strike_table"], "strikes[].edge_reason": "edge_reason"}
    becomes = {"from": "stale", "value": "price_stale", "unless": ["closed", "paused"]}
    own = replace(
        rules,
        kinds={**rules.kinds, "edge_reason": {"becomes": becomes}},
        documents={"strike_table": paths},
    )
    reasons = (None, "no_offer", "closed", "paused")
    text = json.dumps({"strikes": [{"edge_reason": each} for each in reasons]})
    for state in ORDER:
        rows = json.loads(own.aged("strike_table", text, state, "gone"))["strikes"]
        found = [row["edge_reason"] for row in rows]
        is_old = state in ("stale", "halted")
        assert found == (["price_stale"] * 2 + ["closed", "paused"] if is_old else [*reasons])


def test_files_that_are_halted_have_no_rows(
    documents: dict[str, dict[str, Any]], rules: Rules
) -> None:
    """On a null the predecessor's page would stop, with what it showed before."""
    written = texts(documents)
    for state in ORDER[:-1]:
        assert rules.in_files(written, state) == written
    found = rules.in_files(written, "halted")
    lists = {"live_probabilities": ("strikes", "probabilities"), "strike_table": ("strikes",)}
    for name, text in found.items():
        emptied: dict[str, list[Any]] = {key: [] for key in lists.get(name, ())}
        assert json.loads(text) == {**documents[name], **emptied}


# In the folder, with a clock that the test turns.


class Scene:
    """The folder of a process, or of one of several."""

    def __init__(
        self, folder: Path, documents: dict[str, dict[str, Any]], rules: Rules, at: float = 100.0
    ) -> None:
        self.time = at
        self.rules = rules
        self.folder = Folder(folder, rules.rank)
        # The machine's clock shows the time of the documents.
        self.instant = datetime.fromisoformat(documents["strike_table"]["last_updated"])
        self.stale_documents = StaleDocuments(self.folder, rules, lambda: self.time, self.wall)
        self.documents = documents

    def wall(self) -> float:
        return self.instant.timestamp() + self.time - 100.0

    def tick(self, number: int = 1, symbol: str = "BTC", state: str | None = None) -> Mark | None:
        """A tick of now; the mark of a newer one, if one is there."""
        at = self.instant + timedelta(seconds=self.time - 100.0)
        until = (at + timedelta(seconds=15)).isoformat(timespec="microseconds")
        changes: dict[str, Any] = {
            "symbol": symbol,
            "timestamp": at.isoformat(timespec="microseconds"),
            "last_updated": at.isoformat(timespec="microseconds"),
            "valid_until": until,
            "tick_id": number,
            "state": state or "fresh",
        }
        written = {
            name: json.dumps({key: changes.get(key, value) for key, value in document.items()})
            for name, document in self.documents.items()
        }
        mark = Mark(number, self.rules.rank(changes["state"]), until)
        newer = self.folder.write(symbol, written, mark, self.time)
        for name in written:
            # Modification time of the file.
            os.utime(self.folder.path / f"{symbol.lower()}_{name}.json", (self.wall(),) * 2)
            self.folder.forget(f"{symbol.lower()}_{name}.json")
        return newer

    def states(self, symbol: str = "BTC") -> set[str]:
        return {read(self.folder.path, symbol, name)["state"] for name in WRITTEN}

    def numbers(self) -> set[int]:
        return {read(self.folder.path, "BTC", name)["tick_id"] for name in WRITTEN}


Documents = dict[str, dict[str, Any]]


def test_the_files_grow_old_once_each(tmp_path: Path, documents: Documents, rules: Rules) -> None:
    scene = Scene(tmp_path, documents, rules)
    scene.tick()
    scene.stale_documents.explain({"BTC": "the database is lost"})
    seen = []
    for age in range(0, 90, 5):
        scene.time = 100.0 + age
        before = os.stat(tmp_path / "btc_watchlist.json").st_ino
        scene.stale_documents.tend()
        is_new = os.stat(tmp_path / "btc_watchlist.json").st_ino != before
        [state] = scene.states()
        for name in WRITTEN:
            document = read(tmp_path, "BTC", name)
            until = datetime.fromisoformat(document["valid_until"]).timestamp()
            assert state in ("stale", "halted") or until >= scene.wall(), (name, age)
        seen.append((age, state, is_new))
    assert [(age, state) for age, state, is_new in seen if is_new] == [
        (20, "warn"),
        (35, "stale"),
        (65, "halted"),
    ]
    assert read(tmp_path, "BTC", "strike_table")["problem"] == "the database is lost"
    assert read(tmp_path, "BTC", "strike_table")["strikes"] == []
    # A tick at last: all is as it was.
    assert scene.tick(2) is None
    scene.stale_documents.tend()
    assert scene.states() == {"fresh"}
    assert "problem" not in read(tmp_path, "BTC", "strike_table")


def test_a_tick_that_was_late_itself_grows_older(
    tmp_path: Path, documents: Documents, rules: Rules
) -> None:
    scene = Scene(tmp_path, documents, rules)
    scene.tick(state="warn")
    scene.time += 20
    scene.stale_documents.tend()
    until = datetime.fromisoformat(read(tmp_path, "BTC", "strike_table")["valid_until"])
    assert (scene.states(), until) == ({"warn"}, scene.instant + timedelta(seconds=30))
    scene.time += 20
    scene.stale_documents.tend()
    assert scene.states() == {"stale"}


def test_files_of_symbols_that_nobody_ticks_any_more_grow_old(
    tmp_path: Path, documents: Documents, rules: Rules
) -> None:
    Scene(tmp_path, documents, rules).tick(7, "ETH")
    (tmp_path / "btc_legacy_strike_table.json").write_text('{"strikes": [1]}')
    (tmp_path / "btc_watchlist.json").write_text("no JSON")
    (tmp_path / "other.json").write_text("[]")
    later = Scene(tmp_path, documents, rules, at=200.0)
    later.stale_documents.tend()
    assert later.states("ETH") == {"halted"}
    assert read(tmp_path, "ETH", "live_probabilities")["tick_id"] == 7
    assert (tmp_path / "btc_legacy_strike_table.json").read_text() == '{"strikes": [1]}'
    assert (tmp_path / "btc_watchlist.json").read_text() == "no JSON"
    assert (tmp_path / "other.json").read_text() == "[]"


@pytest.mark.parametrize("offset", [-40, 40, 3600])
def test_a_clock_that_differs_does_not_make_files_old(
    tmp_path: Path, documents: Documents, rules: Rules, offset: float
) -> None:
    """The server's and ours; what another process writes every second stays fresh."""
    writer, other = Scene(tmp_path, documents, rules), Scene(tmp_path, documents, rules)
    other.instant += timedelta(seconds=offset)
    for k in range(60):
        writer.time = other.time = 100.0 + k
        writer.tick(k)
        if offset > 0:
            # Modification times by our clock.
            for name in WRITTEN:
                path = tmp_path / f"btc_{name}.json"
                os.utime(path, (other.wall(), other.wall()))
        other.stale_documents.tend()
        assert writer.states() == {"fresh"}
    for age, state in ((14, "fresh"), (16, "warn"), (31, "stale"), (61, "halted")):
        other.time = 159.0 + age
        other.stale_documents.tend()
        assert other.states() == {state}


def test_limits_that_are_in_force_count(tmp_path: Path, documents: Documents, rules: Rules) -> None:
    scene = Scene(tmp_path, documents, rules.limited((2, 4, 6)))
    scene.tick()
    for age, state in ((1.9, "fresh"), (2.1, "warn"), (4.1, "stale"), (6.1, "halted")):
        scene.time = 100.0 + age
        scene.stale_documents.tend()
        assert scene.states() == {state}


def test_a_file_that_cannot_be_written_is_tried_again(
    tmp_path: Path, documents: Documents, rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(tmp_path, documents, rules)
    scene.tick()
    scene.time += 20
    with monkeypatch.context() as patch:

        def replace(*_: object) -> None:
            raise OSError(errno.ENOSPC, "full")

        patch.setattr(os, "replace", replace)
        scene.stale_documents.tend()
        assert scene.folder.problem is not None
    scene.stale_documents.tend()
    assert scene.states() == {"warn"}
    assert scene.folder.problem is None


# Two processes that have one folder.


def test_an_older_tick_never_replaces_a_newer_one(
    tmp_path: Path, documents: Documents, rules: Rules
) -> None:
    first, second = Scene(tmp_path, documents, rules), Scene(tmp_path, documents, rules)
    assert first.tick(5) is None
    assert second.tick(6) is None
    found = first.tick(5)
    assert found is not None
    assert found.order == 6
    assert first.numbers() == {6}
    # Nor does its later state, whichever process finds it stale.
    for scene in (first, second):
        scene.time += 35
        scene.stale_documents.tend()
        assert (scene.states(), scene.numbers()) == ({"stale"}, {6})
    assert second.tick(6) is None or second.states() == {"stale"}
    assert second.states() == {"stale"}
    assert first.tick(7) is None
    assert (first.states(), first.numbers()) == ({"fresh"}, {7})


def test_a_tick_that_is_written_while_its_predecessor_is_aged_stays(
    tmp_path: Path, documents: Documents, rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at the old file and its reading, and between that and the writing."""
    for place in ("read", "rewrite"):
        folder = tmp_path / place
        folder.mkdir()
        slow, quick = Scene(folder, documents, rules), Scene(folder, documents, rules)
        quick.tick(1)
        slow.stale_documents.tend()
        slow.time = quick.time = 120.0
        plain = getattr(slow.folder, place)

        def late(*arguments: Any, plain: Any = plain, quick: Scene = quick) -> Any:
            quick.tick(2)
            return plain(*arguments)

        monkeypatch.setattr(slow.folder, place, late)
        slow.stale_documents.tend()
        assert (quick.states(), quick.numbers()) == ({"fresh"}, {2})


def test_of_another_database_a_later_number_says_nothing(
    tmp_path: Path, documents: Documents, rules: Rules
) -> None:
    scene = Scene(tmp_path, documents, rules)
    scene.tick(900)
    session = Ticks({5})
    publisher = Publisher(session, scene.folder, scene.stale_documents)
    text = json.dumps({"state": "fresh", "tick_id": 5, "valid_until": "2026"})
    tick = Tick(5, "fresh", 1.0, None, "f", text, text, text, text, text, valid_until="2026")
    publisher.publish("BTC", tick, scene.time)
    assert scene.numbers() == {5}
    # One that it knows is newer indeed.
    session.numbers = {5, 901}
    scene.tick(901)
    publisher.publish("BTC", tick, scene.time)
    assert scene.numbers() == {901}


class Ticks(Session):
    """A database with those ticks."""

    def __init__(self, numbers: set[int]) -> None:
        self.numbers = numbers

    def has_tick(self, symbol: str, tick_id: int) -> bool:
        return tick_id in self.numbers


@pytest.mark.parametrize("stops_at", ["before the lock", "under the lock"])
def test_one_that_was_stopped_cannot_put_back_what_it_had(
    tmp_path: Path,
    documents: Documents,
    rules: Rules,
    monkeypatch: pytest.MonkeyPatch,
    stops_at: str,
) -> None:
    """A process stands still just before it renames, with the lock or without."""
    stopped, other = Scene(tmp_path, documents, rules), Scene(tmp_path, documents, rules)
    stopped.tick(1)
    stands, goes_on = threading.Event(), threading.Event()
    plain_replace, plain_flock = os.replace, fcntl.flock
    main = threading.current_thread()

    def stand() -> None:
        if threading.current_thread() is not main and not stands.is_set():
            stands.set()
            assert goes_on.wait(20)

    def late_replace(*arguments: Any) -> None:
        stand()
        plain_replace(*arguments)

    def late_flock(*arguments: Any) -> None:
        stand()
        plain_flock(*arguments)

    if stops_at == "under the lock":
        monkeypatch.setattr(os, "replace", late_replace)
    else:
        monkeypatch.setattr(fcntl, "flock", late_flock)
    thread = threading.Thread(target=stopped.tick, args=(2,))
    thread.start()
    assert stands.wait(20)
    for number in (3, 4):
        assert other.tick(number) is None
        assert other.numbers() == {number}
    goes_on.set()
    thread.join()
    assert other.numbers() == {4}
    assert (stopped.folder.failed, other.folder.failed) == (0, 0)
    # And it goes on with the lock that there is now.
    assert stopped.tick(5) is None
    assert stopped.folder.lock_problem is other.folder.lock_problem is None


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EACCES])
def test_without_locks_files_are_written_all_the_same(
    tmp_path: Path,
    documents: Documents,
    rules: Rules,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
) -> None:
    def flock(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    scene, other = Scene(tmp_path, documents, rules), Scene(tmp_path, documents, rules)
    assert scene.tick(1) is None
    assert scene.folder.lock_problem is not None
    assert (scene.folder.problem, scene.folder.failed) == (None, 0)
    assert other.tick(2) is None
    assert scene.tick(1) is not None
    assert scene.numbers() == {2}


def test_a_tick_names_all_its_documents() -> None:
    tick = Tick(1, "fresh", 1.0, None, "f", "live", "table", "watch", "trades", "all")
    assert tuple(tick.documents()) == WRITTEN
    assert list(tick.documents().values()) == ["live", "table", "watch", "trades", "all"]


@pytest.mark.slow
def test_documents_grow_old_while_the_database_is_lost(tmp_path: Path) -> None:
    """By the limits that are in force, which are a fiftieth here."""
    limits = {"fresh_for": 0.3, "warn_for": 0.6, "stale_for": 1.2}
    options = " ".join(f"-cupc.{name}={seconds}s" for name, seconds in limits.items())
    seen: list[str] = []

    def state() -> str:
        return str(read(tmp_path, "BTC", "live_probabilities")["state"])

    def outage(home: Path) -> None:
        until(lambda: in_place(tmp_path, ("BTC",)))
        kill_server(home)
        try:
            until(lambda: state() == "halted")
            seen.extend(read(tmp_path, "BTC", name)["problem"] for name in WRITTEN)
        finally:
            # Whatever comes of it, the run below has an end.
            embedded.ensure_running(home)

    with home_of_its_own() as home:
        dsn = embedded.ensure_running(home)
        upgrade(dsn)
        fill(dsn, ("BTC",))
        thread = threading.Thread(target=outage, args=(home,))
        thread.start()
        job = Job(
            psycopg.conninfo.make_conninfo(dsn, options=options),
            "simulated",
            tmp_path,
            ("BTC",),
            interval=0.1,
            count=40,
        )
        assert run(job).exit_code == 0
        thread.join()
    assert len(seen) == len(WRITTEN)
    assert all("database" in problem for problem in seen)
    assert state() == "fresh"

"""Documents without a successor: what they say after 15, 30 and 60 seconds."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pyupc import embedded
from pyupc.database.connect import connect
from pyupc.database.migrate import upgrade
from pyupc.tick.aging import Aging
from pyupc.tick.files import Folder
from pyupc.tick.job import Job
from pyupc.tick.rules import Rules
from pyupc.tick.run import run
from pyupc.tick.session import Tick
from tests.python.market import WRITTEN, Document, clone, fill, read
from tests.python.ticking import home_of_its_own, in_place, kill_server, until

ORDER = ("fresh", "warn", "stale", "halted")

# By what the keys are called in the documents.
PROBABILITIES = {
    *("probability", "prob_above", "prob_beyond", "prob_within"),
    *("prob_low", "prob_high", "positive_prob", "negative_prob", "current_probability"),
}
DIFFERENCES = {"yes_diff", "no_diff", "yes_edge", "no_edge"}
QUOTES = {
    *("yes_ask", "no_ask", "volume", "yes_ask_dollars", "no_ask_dollars"),
    *("yes_bid_dollars", "no_bid_dollars", "current_close_price", "current_pnl"),
    *("current_pnl_per_contract", "current_pnl_after_fees", "current_pnl_per_contract_after_fees"),
}


@pytest.fixture(scope="module")
def documents(
    server_dsn: str, name_prefix: str, template: str
) -> Iterator[dict[str, dict[str, Any]]]:
    """Of a tick with a market and a trade, by name."""
    with clone(server_dsn, template, f"{name_prefix}_aging") as dsn:
        fill(dsn, ("BTC",))
        with connect(dsn) as conn:
            conn.execute("SELECT upc.record_price('BTC', 'made up', 101000.5)")
            conn.execute(
                """
                INSERT INTO upc_data.market_event
                    (symbol, event_ticker, series_ticker, title, closes_at, read_at)
                VALUES ('BTC', 'E', 'S', 'T', now() + interval '50 minutes', now());
                INSERT INTO upc_data.market_quote
                    (symbol, event_ticker, ticker, strike, status, yes_bid, yes_ask, no_bid,
                     no_ask, volume)
                SELECT 'BTC', 'E', 'E-' || k, 100000 + 250 * k, 'active', 0.4, 0.42, 0.58, 0.6,
                       5000
                FROM generate_series(0, 8) AS k;
                """
            )
            conn.execute("SELECT upc.open_trade('E-3', 'yes', 0.41, 10)")
            row = conn.execute(
                "SELECT live_probabilities, strike_table, watchlist, active_trades"
                " FROM upc.tick('BTC', 'made up', min_probability => 0, min_differential => -100)"
            ).fetchone()
        assert row is not None
        yield {name: json.loads(text) for name, text in zip(WRITTEN, row, strict=True)}


@pytest.fixture(scope="module")
def rules(server_dsn: str, template: str) -> Rules:
    with connect(psycopg.conninfo.make_conninfo(server_dsn, dbname=template)) as conn:
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


@pytest.mark.parametrize("state", ["warn", "stale", "halted"])
def test_what_an_old_document_says(
    documents: dict[str, dict[str, Any]], rules: Rules, state: str
) -> None:
    unknown = {"warn": set(), "stale": DIFFERENCES}.get(state, DIFFERENCES | PROBABILITIES | QUOTES)
    found = rules.aged_documents(texts(documents), state, "gone")
    assert list(found) == list(documents)
    for name, text in found.items():
        old, new = documents[name], json.loads(text)
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
    def __init__(self, folder: Path, documents: dict[str, dict[str, Any]], rules: Rules) -> None:
        self.time = 100.0
        self.folder = Folder(folder)
        self.aging = Aging(self.folder, lambda: self.time, rules)
        self.documents = documents

    def tick(self) -> None:
        written = texts(self.documents)
        self.folder.write("BTC", written)
        self.aging.ticked("BTC", written)

    def states(self) -> set[str]:
        return {read(self.folder.path, "BTC", name)["state"] for name in WRITTEN}


def test_the_files_grow_old_once_each(
    tmp_path: Path, documents: dict[str, dict[str, Any]], rules: Rules
) -> None:
    scene = Scene(tmp_path, documents, rules)
    scene.tick()
    seen = []
    for age in range(0, 90, 5):
        scene.time = 100.0 + age
        before = os.stat(tmp_path / "btc_watchlist.json").st_ino
        scene.aging.tend({"BTC": "the database is lost"})
        is_new = os.stat(tmp_path / "btc_watchlist.json").st_ino != before
        [state] = scene.states()
        seen.append((age, state, is_new))
    assert [(age, state) for age, state, is_new in seen if is_new] == [
        (20, "warn"),
        (35, "stale"),
        (65, "halted"),
    ]
    # A tick at last: all is as it was.
    scene.tick()
    scene.aging.tend({})
    assert scene.states() == {"fresh"}
    assert "problem" not in read(tmp_path, "BTC", "strike_table")


def test_only_those_without_a_tick_grow_old(
    tmp_path: Path, documents: dict[str, dict[str, Any]], rules: Rules
) -> None:
    scene = Scene(tmp_path, documents, rules)
    scene.tick()
    scene.time += 100
    scene.aging.tend({"ETH": "there is no price"})
    assert scene.states() == {"fresh"}
    scene.aging.forget()
    scene.aging.tend({"BTC": "there is no price"})
    assert scene.states() == {"fresh"}


def test_a_file_that_cannot_be_written_is_tried_again(
    tmp_path: Path, documents: dict[str, dict[str, Any]], rules: Rules
) -> None:
    scene = Scene(tmp_path, documents, rules)
    scene.tick()
    scene.time += 20
    obstacle = tmp_path / "btc_watchlist.json"
    obstacle.unlink()
    obstacle.mkdir()
    scene.aging.tend({"BTC": "gone"})
    obstacle.rmdir()
    scene.aging.tend({"BTC": "gone"})
    assert scene.states() == {"warn"}


def test_a_tick_names_all_its_documents() -> None:
    tick = Tick(1, "fresh", 1.0, None, "f", "live", "table", "watch", "trades")
    assert tuple(tick.documents()) == WRITTEN
    assert list(tick.documents().values()) == ["live", "table", "watch", "trades"]


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

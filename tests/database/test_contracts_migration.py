"""Upgrades to and downgrades from the revision of the contracts' document, with a tick stored."""

from __future__ import annotations

import json
from typing import Any

from pyupc.database.migrate import downgrade, upgrade
from tests.support.engine import build, open_db, put, scalar, walk
from tests.support.readings import table

OLD = "0028"
CLOSES = walk(110, "2026-03-02", 300)
TICK = "SELECT * FROM upc.tick('BTC', 'simulated', '2026-03-02 04:30+00')"
STORED = "SELECT * FROM upc_data.document"
SAME = ("symbol", "timestamp", "current_price", "momentum_bps", "state", "feed", "model", "tick_id")


def kept(dsn: str) -> dict[str, Any]:
    with open_db(dsn) as conn:
        [row] = table(conn, STORED)
    return row


def test_a_stored_tick_has_an_empty_list(fresh_db: str) -> None:
    """Until the next one: nobody knows what its contracts were."""
    with open_db(fresh_db) as conn:
        put(conn, "BTC", CLOSES)
        build(conn)
        [ticked] = table(conn, TICK)
    before = kept(fresh_db)
    assert before["contracts"] == ticked["contracts"]
    downgrade(fresh_db, OLD, keep_data=True)
    old = kept(fresh_db)
    assert old == {name: value for name, value in before.items() if name != "contracts"}
    upgrade(fresh_db)
    after = kept(fresh_db)
    assert {name: after[name] for name in old} == old
    document = json.loads(after["contracts"])
    assert set(document) <= set(json.loads(before["contracts"]))
    assert (document["contracts"], document["count"], document["open_count"]) == ([], 0, 0)
    live = after["live_probabilities"]
    assert {name: document[name] for name in SAME} == {name: live[name] for name in SAME}
    assert document["valid_until"] == live["valid_until"]
    with open_db(fresh_db) as conn:
        assert scalar(conn, "SELECT contracts FROM upc.latest_documents('BTC')")
        [again] = table(conn, TICK)
        assert json.loads(again["contracts"])["tick_id"] == ticked["tick_id"] + 1

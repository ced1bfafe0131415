"""The status of several symbols, as JSON; what is read and written for it."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.support.engine import Connection, build, open_db, scalar
from tests.support.healthy_symbol import LEASE, NOW, document, make_healthy, status
from tests.support.trading import (
    FINE,
    put_price,
    refused,
    table,
    tick,
)


@pytest.fixture(scope="module")
def module_dsn(healthy_dsn: str) -> str:
    return healthy_dsn


@pytest.fixture
def healthy(conn: Connection) -> Connection:
    """BTC as it should be."""
    return make_healthy(conn)


# Of several symbols


def test_expected_are_those_that_are_ticked(healthy: Connection) -> None:
    assert status(healthy, symbol="ETH")["is_expected"] is False
    assert document(healthy)["state"] == "green"
    expected = {row["symbol"]: row["is_expected"] for row in document(healthy)["symbols"]}
    assert expected == {"BTC": True, "ETH": False}
    # A symbol asked for is expected.
    found = document(healthy, "ETH")
    assert (found["state"], len(found["symbols"])) == ("red", 1)
    assert found["problems"][0].startswith("ETH: ")
    both = document(healthy, "ETH", "BTC")
    assert [row["symbol"] for row in both["symbols"]] == ["BTC", "ETH"]
    assert both["state"] == "red"


def test_a_symbol_stays_expected_for_an_hour(healthy: Connection) -> None:
    healthy.execute("SELECT upc.release_lease('BTC', 'one')")
    for minutes, is_expected in ((1, True), (59, True), (61, False)):
        row = status(healthy, NOW + timedelta(minutes=minutes))
        assert (row["is_expected"], row["light"]) == (is_expected, "red")
    found = document(healthy, at=NOW + timedelta(minutes=61))
    assert (found["state"], len(found["problems"])) == ("red", 1)


def test_nothing_at_all(own: Connection) -> None:
    """Red, with the reason."""
    found = document(own)
    assert found["state"] == "red"
    assert len(found["problems"]) == 1
    assert [row["light"] for row in found["symbols"]] == ["red", "red"]
    assert [row["light"] for row in table(own, "SELECT light FROM upc.status()")] == ["red", "red"]


def test_one_bad_of_two_is_enough(healthy: Connection) -> None:
    put_price(healthy, FINE, NOW, "ETH")
    tick(healthy, NOW, "ETH", holder="one", lease=LEASE)
    found = document(healthy)
    # Without candles and momentum.
    assert found["state"] == "yellow"
    assert {problem.partition(":")[0] for problem in found["problems"]} == {"ETH"}
    assert len(found["problems"]) == 2


@pytest.mark.parametrize("symbols", [["XYZ"], ["BTC", "btc"], [None]])
def test_unknown_symbols_are_refused(healthy: Connection, symbols: list[str]) -> None:
    assert refused(healthy, "SELECT upc.status_document(%s::text[])", symbols) == "UP002"
    if symbols[0] is not None:
        assert refused(healthy, "SELECT * FROM upc.status(%s)", symbols[-1]) == "UP002"


def test_the_document_is_json_to_its_last_number(healthy: Connection) -> None:
    row = document(healthy)["symbols"][0]
    assert row.keys() == status(healthy).keys()
    assert row["problems"] == []


# Writing, and how it is found


def test_a_write_is_proved(conn: Connection) -> None:
    query = "SELECT written_at, filler FROM upc_data.write_probe"
    conn.execute("SELECT upc.prove_write()")
    [(first_at, first)] = conn.execute(query.encode()).fetchall()
    conn.execute("SELECT upc.prove_write()")
    [(second_at, second)] = conn.execute(query.encode()).fetchall()
    assert len(first) == len(second) == 32 * 1024
    assert first != second
    assert second_at > first_at
    # Nothing of it is compressed away.
    assert scalar(conn, "SELECT pg_column_size(filler) FROM upc_data.write_probe") == 32 * 1024


def test_no_table_that_grows_is_read_as_a_whole(fresh_db: str, own: Connection) -> None:
    for symbol in ("BTC", "ETH"):
        arguments = {"symbol": symbol, "now": NOW}
        own.execute(
            "INSERT INTO upc_data.price SELECT %(symbol)s, 'coinbase',"
            " %(now)s::timestamptz - i * interval '1 s', 1e5 + i, NULL"
            " FROM generate_series(0, 20000) AS i",
            arguments,
        )
        own.execute(
            "INSERT INTO upc_data.candle SELECT %(symbol)s,"
            " %(now)s::timestamptz - i * interval '1 min', 1e5, 1e5, 1e5, 1e5, 1"
            " FROM generate_series(1, 20000) AS i",
            arguments,
        )
    build(own)
    tick(own, NOW, levels=0, holder="one", lease=LEASE)
    own.execute(
        "INSERT INTO upc_data.tick (symbol, tick_id, ticked_at, feed, state, market_at, price,"
        " priced_at, momentum, ttc_seconds, method, fingerprint, strikes, prob_above, done_count,"
        " missed_count, answered_count)"
        " SELECT o.symbol, 1000 + i, t.ticked_at - i * interval '1 s', t.feed, t.state,"
        " t.market_at, t.price, t.priced_at, t.momentum, t.ttc_seconds, t.method, t.fingerprint,"
        " t.strikes, t.prob_above, 20001 - i, 0, 20001 - i"
        " FROM upc_data.tick AS t, (VALUES ('BTC'), ('ETH')) AS o (symbol),"
        " generate_series(1, 20000) AS i"
    )
    own.execute("VACUUM ANALYZE")
    # Another session has read nothing yet.
    with open_db(fresh_db, autocommit=False) as reader:
        reader.execute("SELECT * FROM upc.status(at => %s)", (NOW,))
        reader.execute("SELECT upc.status_document(at => %s)", (NOW,))
        rows = reader.execute(
            "SELECT relname, seq_scan, idx_tup_fetch FROM pg_stat_xact_user_tables"
            " WHERE relname IN ('tick', 'price', 'candle') ORDER BY relname"
        ).fetchall()
    assert [(name, scans) for name, scans, _ in rows] == [("candle", 0), ("price", 0), ("tick", 0)]
    # A window that ends now is two rows of the log, however long it is.
    assert max(read for *_, read in rows) < 1000, rows


def test_a_price_that_a_clock_put_back_makes_old(own: Connection) -> None:
    """Order of arrival counts: once a clock is put back, the latest time is not the newest."""
    ahead, behind = timedelta(hours=1), timedelta(seconds=1)
    [(now,)] = own.execute("SELECT clock_timestamp()").fetchall()

    def state(at: datetime, priced_at: datetime, exchange: str | None = None) -> object:
        query = """
            SELECT upc._logged_state('BTC', %s, s.at, s.priced_at, s.priced_at, p.newest_at)
            FROM (SELECT %s::timestamptz, %s::timestamptz) AS s (at, priced_at)
            CROSS JOIN LATERAL upc._logged_price('BTC', s.at, %s) AS p
        """
        return scalar(own, query, exchange or "database", at, priced_at, exchange)

    put_price(own, FINE, now - behind)
    assert state(now, now - behind) == "fresh"
    put_price(own, FINE + 1, now + ahead)
    assert state(now, now - behind) == "halted"
    assert status(own, now)["price_state"] == "halted"
    # Another exchange is not asked where one is named.
    assert state(now, now - behind, "kraken") == "fresh"
    # A price that came in since shows that the clock is right again.
    put_price(own, FINE + 2, now)
    assert state(now, now) == "fresh"
    assert status(own, now)["price_state"] == "fresh"
    # Of long ago, whatever came later is no news.
    past = now - timedelta(minutes=5)
    assert state(past, past) == "fresh"

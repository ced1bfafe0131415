"""The log of ticks thins out: the first of each minute stays, and answers do not change."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.engine import Connection, open_db, scalar
from tests.support.trading import FINE, live, prepare, refused, set_to, table
from tests.support.trading import NOW as OPEN

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
SECOND, MICRO = timedelta(seconds=1), timedelta(microseconds=1)

# Midnight; three days before it are logged.
NOW = datetime(2026, 6, 10, tzinfo=UTC)
OLD = NOW - 3 * DAY

Tick = tuple[str, datetime]


@pytest.fixture
def conn(db: Connection) -> Connection:
    return db


def make(conn: Connection, first: datetime = OLD, days: int = 5) -> None:
    scalar(conn, "SELECT upc.make_partitions(%s, %s)", days - 1, first)


def put(conn: Connection, ticks: Sequence[Tick], **more: Any) -> None:
    """Live ticks in order, each with probabilities of two strikes and asks."""
    conn.cursor().executemany(
        "INSERT INTO upc_data.tick (symbol, tick_id, ticked_at, feed, state, market_at, price,"
        " priced_at, ttc_seconds, method, fingerprint, strikes, prob_above, closes_at, yes_ask,"
        " no_ask, yes_bid, no_bid, done_count, missed_count, answered_count)"
        " VALUES (%(symbol)s, upc._next_id(%(symbol)s, 'tick'), %(at)s, %(feed)s, 'fresh', %(at)s,"
        " 1e5, %(at)s, %(ttc)s, 'nearest', 'f', '{99000,101000}', ARRAY[%(p)s, %(p)s / 2],"
        " %(close)s,"
        " '{0.5,0.6}', '{0.5,0.4}', '{0.48,NULL}', '{0.49,0.3}', %(done)s, 0, %(done)s)",
        [
            {
                "symbol": symbol,
                "at": at,
                "feed": more.get("feed", "database"),
                "p": (at.second * 7 + at.minute * 3) % 100,
                "close": _close(at),
                "ttc": int((_close(at) - at).total_seconds()),
                "done": k,
            }
            for k, (symbol, at) in enumerate(ticks, 1)
        ],
    )


def _close(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0) + HOUR


def put_candles(conn: Connection) -> None:
    conn.execute(
        "INSERT INTO upc_data.candle SELECT s, g - interval '1 minute', p, p, p, p, 1"
        " FROM unnest('{BTC,ETH}'::text[]) AS s,"
        " generate_series(%s::timestamptz, %s, interval '1 hour') AS g,"
        " LATERAL (SELECT 98000 + 4000 * random()) AS r (p)",
        (OLD, NOW + DAY),
    )


def some(seed: int, count: int = 500) -> list[Tick]:
    """Ticks of both symbols at irregular times, many in one minute, or at its edges."""
    rng = random.Random(seed)
    ticks: list[Tick] = []
    for symbol in ("BTC", "ETH"):
        times: set[datetime] = set()
        while len(times) < count:
            at = OLD + timedelta(seconds=rng.randrange(3 * 86_400))
            times |= {at + k * rng.choice((MICRO, SECOND, 20 * SECOND)) for k in range(6)}
            times.add(at.replace(second=0))
            times.add(at.replace(second=0) - MICRO)
        ticks += [(symbol, at) for at in sorted(times) if OLD <= at < NOW]
    return ticks


def expected_minutes(ticks: Sequence[Tick], until: datetime) -> list[Tick]:
    """The first tick of each minute, of days that end by then."""
    first: dict[Tick, datetime] = {}
    for symbol, at in ticks:
        if at < until:
            minute = at.replace(second=0, microsecond=0)
            first[symbol, minute] = min(at, first.get((symbol, minute), at))
    return sorted((symbol, at) for (symbol, _), at in first.items())


def minutes(conn: Connection) -> list[Tick]:
    rows = table(
        conn, "SELECT symbol, ticked_at FROM upc_data.tick_minute ORDER BY symbol, ticked_at"
    )
    return [(row["symbol"], row["ticked_at"]) for row in rows]


def every(conn: Connection) -> list[Tick]:
    rows = table(conn, "SELECT symbol, ticked_at FROM upc_data.tick ORDER BY symbol, ticked_at")
    return [(row["symbol"], row["ticked_at"]) for row in rows]


def expire(conn: Connection, at: datetime = NOW, **more: int) -> dict[str, int]:
    """Sums of the calls until nothing is left to do."""
    total: dict[str, int] = {}
    for _ in range(60):
        [row] = table(
            conn, "SELECT * FROM upc.delete_expired(%s, %s)", (more.get("batch", 5000), at)
        )
        if not any(row.values()):
            return total
        total = {name: total.get(name, 0) + number for name, number in row.items()}
    raise AssertionError("there is always something left")


def partitions(conn: Connection, log: str = "tick") -> set[str]:
    rows = table(conn, "SELECT p.name FROM upc._log_partitions(%s) AS p WHERE p.is_day", (log,))
    return {row["name"] for row in rows}


# Rows that stay.


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("batch", [7, 5000])
@pytest.mark.parametrize("is_made", [True, False])
def test_the_first_of_each_minute(conn: Connection, seed: int, batch: int, is_made: bool) -> None:
    """With partitions of days, and all in the default one; and of two days every tick."""
    if is_made:
        make(conn)
    ticks = some(seed)
    put(conn, ticks)
    kept = sorted(tick for tick in ticks if tick[1] >= NOW - 2 * DAY)
    expire(conn, batch=batch)
    assert minutes(conn) == expected_minutes(ticks, NOW - 2 * DAY)
    assert every(conn) == kept
    rows = table(conn, "SELECT kept, count(*) FROM analytics.logged_tick GROUP BY 1")
    assert {row["kept"]: row["count"] for row in rows} == {
        "every tick": len(kept),
        "one a minute": len(minutes(conn)),
    }


def test_a_row_is_copied_as_it_is(conn: Connection) -> None:
    make(conn)
    put(conn, [("BTC", OLD + 5 * SECOND), ("BTC", OLD + 6 * SECOND)])
    [before, _] = table(conn, "SELECT * FROM upc_data.tick ORDER BY ticked_at")
    expire(conn)
    [after] = table(conn, "SELECT * FROM upc_data.tick_minute")
    assert after.pop("minute_at") == OLD
    assert after == before


@pytest.mark.parametrize(
    ("at", "is_thinned"), [(NOW - MICRO, False), (NOW, True), (NOW + MICRO, True)]
)
def test_a_day_is_thinned_when_all_of_it_is_two_days_old(
    conn: Connection, at: datetime, is_thinned: bool
) -> None:
    make(conn)
    put(conn, [("BTC", OLD), ("BTC", NOW - 2 * DAY - MICRO), ("BTC", NOW - 2 * DAY)])
    expire(conn, at)
    assert len(minutes(conn)) == (2 if is_thinned else 0)
    assert len(every(conn)) == (1 if is_thinned else 3)
    assert ("tick_20260607" in partitions(conn)) is not is_thinned


@pytest.mark.parametrize(
    ("value", "left"), [("1 day", 1), ("2 days", 2), ("3 days", 3), ("infinity", 3)]
)
def test_as_the_rule_says(conn: Connection, value: str, left: int) -> None:
    make(conn)
    put(conn, [("BTC", NOW - k * DAY) for k in (3, 2, 1)])
    set_to(conn, keep_every_tick=value)
    expire(conn)
    assert len(every(conn)) == left
    assert len(minutes(conn)) == 3 - left


@pytest.mark.parametrize("value", ["23:59:59", "soon", "-2 days"])
def test_less_than_a_day_is_refused(conn: Connection, value: str) -> None:
    set_to(conn, keep_every_tick=value)
    assert refused(conn, "SELECT upc.delete_expired()") == "22023"


def test_ticks_that_were_kept_for_less_are_not_kept_as_minutes(conn: Connection) -> None:
    make(conn)
    put(conn, [("BTC", OLD), ("BTC", NOW)])
    set_to(conn, keep_ticks="2 days", keep_every_tick="10 days")
    expire(conn)
    assert minutes(conn) == []
    assert every(conn) == [("BTC", NOW)]


def test_minutes_go_after_90_days(conn: Connection) -> None:
    """A whole day at a time, when all of it is older."""
    make(conn)
    put(conn, some(3, 60))
    expire(conn, NOW + DAY)
    before = minutes(conn)
    assert partitions(conn, "tick_minute") == {"tick_minute_20260607", "tick_minute_20260608"}
    expire(conn, OLD + 91 * DAY - MICRO)
    assert minutes(conn)[: len(before)] != []
    assert "tick_minute_20260607" in partitions(conn, "tick_minute")
    expire(conn, OLD + 91 * DAY)
    assert "tick_minute_20260607" not in partitions(conn, "tick_minute")
    assert min(at for _, at in minutes(conn)) >= OLD + DAY


# Answers.


def answers(conn: Connection) -> list[list[dict[str, Any]]]:
    """Sums of many floats are rounded: their order is the server's own."""
    return [
        [
            {
                name: round(value, 9) if isinstance(value, float) else value
                for name, value in row.items()
            }
            for row in table(conn, query)
        ]
        for symbol in ("BTC", "ETH")
        for query in (
            f"SELECT * FROM upc.calibration('{symbol}')",
            f"SELECT * FROM upc.edge_outcomes('{symbol}')",
            f"SELECT * FROM upc.calibration('{symbol}', '{OLD + HOUR}', '{NOW - HOUR}')",
            f"SELECT * FROM upc.unjudged_closes('{symbol}')",
            "SELECT strike, prob_above, yes_bid, no_bid, outcome FROM"
            f" upc.judged_strikes('{symbol}') WHERE is_first ORDER BY ticked_at, strike",
        )
    ]


@pytest.mark.parametrize("is_made", [True, False])
def test_calibration_and_edges_do_not_change(conn: Connection, is_made: bool) -> None:
    """At every stage: before, while and after days are thinned."""
    if is_made:
        make(conn)
    put_candles(conn)
    put(conn, some(4))
    before = answers(conn)
    assert before[0] != []
    assert before[1] != []
    assert before[4] != []
    for _ in range(6):
        conn.execute("SELECT upc.delete_expired(40, %s)", (NOW + DAY,))
        assert answers(conn) == before
    expire(conn, NOW + DAY)
    assert len(minutes(conn)) > 0
    assert answers(conn) == before


def test_a_question_is_one_a_minute(conn: Connection) -> None:
    put_candles(conn)
    put(conn, [("BTC", NOW - HOUR + k * SECOND) for k in range(180)])
    questions = (
        "SELECT sum(questions) FROM upc.calibration('BTC', every_tick => %s)"
        " WHERE bin IS NULL AND minutes_from IS NULL AND counted = %s"
    )
    assert scalar(conn, questions, False, "one a minute") == 3 * 2
    assert scalar(conn, questions, None, "one a minute") == 3 * 2
    assert scalar(conn, questions, True, "every tick") == 180 * 2
    assert scalar(conn, "SELECT count(*) FROM upc.judged_strikes('BTC')") == 180 * 2


@pytest.mark.parametrize("every_seconds", [1, 7, 90])
def test_availability_does_not_change(conn: Connection, every_seconds: int) -> None:
    """Windows that begin at any second, of ticks that came regularly but for an outage."""
    make(conn)
    step = timedelta(seconds=every_seconds)
    begin = NOW - 2 * DAY - 30 * MINUTE
    times = [begin + k * step for k in range(int(HOUR / step))]
    outage = begin + 10 * MINUTE
    times = [at for at in times if not outage <= at < outage + 10 * MINUTE]
    put(conn, [("BTC", at) for at in times])
    after = min(at for at in times if at >= outage)
    gap = after - max(at for at in times if at < outage)
    missed = math.floor(gap / step - 0.5)
    conn.execute(
        "UPDATE upc_data.tick SET missed_count = %s WHERE ticked_at >= %s", (missed, after)
    )
    conn.execute(
        "INSERT INTO upc_data.tick_count (symbol, done, missed, answered, every, last_at)"
        " VALUES ('BTC', %s, %s, %s, %s, %s)",
        (len(times), missed, len(times), step, times[-1]),
    )
    windows = [begin + k * 17 * SECOND for k in range(int(HOUR / (17 * SECOND)))]
    query = (
        "SELECT a.since, a.done, a.missed, a.answered, a.kept FROM unnest(%s::timestamptz[]) AS w"
        " CROSS JOIN LATERAL upc.availability('BTC', %s - w, %s) AS a ORDER BY w"
    )
    parameters = (windows, times[-1], times[-1])
    before = table(conn, query, parameters)
    expire(conn)
    thinned = table(conn, query, parameters)
    assert {row.pop("kept") for row in before} == {"every tick"}
    kept = [row.pop("kept") for row in thinned]
    last = [max(each for each in times if each <= at) for at in windows]
    assert kept == ["one a minute" if at < NOW - 2 * DAY else "every tick" for at in last]
    assert thinned == before


def test_the_tick_of_the_documents_stays(conn: Connection) -> None:
    """Of a symbol that has not been ticked since."""
    conn.execute("SELECT upc.make_partitions(2, %s)", (OPEN - DAY,))
    prepare(conn)
    live(conn, FINE)
    tick_id = scalar(conn, "SELECT tick_id FROM upc_data.document WHERE symbol = 'BTC'")
    put(conn, [("BTC", OPEN - k * SECOND) for k in (2, 1)])
    seen = table(conn, "SELECT * FROM upc.latest_documents('BTC', %s)", (OPEN + SECOND,))
    for days in (5, 30, 89):
        expire(conn, OPEN + days * DAY)
        at = OPEN + SECOND
        assert table(conn, "SELECT * FROM upc.latest_documents('BTC', %s)", (at,)) == seen
        rows = table(conn, "SELECT tick_id, kept FROM analytics.logged_tick WHERE symbol = 'BTC'")
        assert len({each["tick_id"] for each in rows}) == len(rows)
        assert tick_id in {each["tick_id"] for each in rows}
        assert scalar(conn, "SELECT count(*) FROM analytics.logged_tick WHERE is_first") == len(
            minutes(conn)
        ) + scalar(
            conn,
            "SELECT count(*) FROM upc_data.tick AS t WHERE NOT EXISTS (SELECT FROM"
            " upc_data.tick_minute AS m WHERE m.symbol = t.symbol"
            " AND m.minute_at = date_trunc('minute', t.ticked_at))",
        )


# Other sessions, and a process that ends halfway.


@pytest.fixture
def prepared_own(own: Connection) -> Connection:
    prepare(own)
    own.execute("SET lock_timeout = '5s'")
    return own


def test_work_that_was_not_committed(fresh_db: str, own: Connection) -> None:
    """A process that dies between copying and dropping has done nothing; it is done again, once."""
    make(own)
    ticks = some(5, 100)
    put(own, ticks)
    before = every(own)
    with open_db(fresh_db, autocommit=False) as dying:
        expire(dying)
        dying.rollback()
    assert (every(own), minutes(own)) == (before, [])
    expire(own)
    assert minutes(own) == expected_minutes(ticks, NOW - 2 * DAY)


def test_a_symbol_at_a_time(own: Connection) -> None:
    """No time is left after the first symbol: the other's ticks are copied the next time."""
    make(own)
    ticks = some(6, 60)
    put(own, ticks)
    copy = "SELECT c.copied, c.is_done FROM upc._copy_minutes('tick_20260607', %s, %s, {}) AS c"
    # The server's own clock is past the deadline at once.
    past = copy.format("'-infinity'")
    assert table(own, past, (OLD, OLD + DAY)) == [{"copied": 0, "is_done": False}]
    own.execute(
        "INSERT INTO upc_data.log_progress (symbol, thinned_until) VALUES ('ETH', 'infinity')"
    )
    [row] = table(own, copy.format("'infinity'"), (OLD, OLD + DAY))
    expected = expected_minutes(ticks, OLD + DAY)
    assert row["is_done"]
    assert minutes(own) == [tick for tick in expected if tick[0] == "BTC"]
    own.execute("UPDATE upc_data.log_progress SET thinned_until = '-infinity' WHERE symbol = 'ETH'")
    expire(own)
    assert minutes(own) == expected
    assert "tick_20260607" not in partitions(own)


def test_a_session_that_keeps_a_lock_on_an_old_day(fresh_db: str, own: Connection) -> None:
    """The day stays until it lets go; ticks go on, and nothing is there twice."""
    make(own)
    ticks = some(7, 100)
    put(own, ticks)
    put_candles(own)
    before = answers(own)
    with open_db(fresh_db, autocommit=False) as reader:
        reader.execute("SELECT FROM upc_data.tick_20260607 LIMIT 1")
        for _ in range(3):
            [row] = table(own, "SELECT * FROM upc.delete_expired(5000, %s)", (NOW,))
            assert row["partitions"] == 0
        assert minutes(own) == expected_minutes(ticks, OLD + DAY)
        assert len(every(own)) == len(ticks)
        assert answers(own) == before
        total = scalar(own, "SELECT count(*) FROM analytics.logged_tick")
        assert total == len(ticks)
        own.execute("SET statement_timeout = '3s'")
        put(own, [("BTC", NOW)])
        own.execute("DELETE FROM upc_data.tick WHERE ticked_at = %s", (NOW,))
        reader.rollback()
    expire(own)
    assert "tick_20260607" not in partitions(own)
    assert minutes(own) == expected_minutes(ticks, OLD + DAY)
    assert answers(own) == before


def test_a_clock_that_was_put_back_into_a_day_that_was_copied(
    fresh_db: str, own: Connection
) -> None:
    make(own)
    put(own, [("BTC", OLD + MINUTE)])
    with open_db(fresh_db, autocommit=False) as reader:
        reader.execute("SELECT FROM upc_data.tick_20260607 LIMIT 1")
        own.execute("SELECT upc.delete_expired(5000, %s)", (NOW,))
        reader.rollback()
    # Back to that day: another minute is ticked, and the retention runs.
    put(own, [("BTC", OLD + HOUR)])
    own.execute("SELECT upc.delete_expired(5000, %s)", (OLD + HOUR,))
    assert len(every(own)) == 2
    expire(own)
    assert minutes(own) == [("BTC", OLD + MINUTE), ("BTC", OLD + HOUR)]


def test_a_tick_of_a_day_that_is_gone(conn: Connection) -> None:
    """It goes to the default partition, and from there to the minutes unless its minute has one."""
    make(conn)
    put(conn, [("BTC", OLD + 30 * SECOND)])
    expire(conn)
    put(conn, [("BTC", OLD + 10 * SECOND), ("BTC", OLD + HOUR), ("BTC", OLD + HOUR + SECOND)])
    expire(conn)
    assert minutes(conn) == [("BTC", OLD + 30 * SECOND), ("BTC", OLD + HOUR)]
    assert every(conn) == []


def test_two_at_once(fresh_db: str, own: Connection) -> None:
    make(own)
    ticks = some(8, 60)
    put(own, ticks)
    with open_db(fresh_db, autocommit=False) as other:
        other.execute("SELECT upc.note_variances(%s)", (NOW,))
        other.execute("LOCK TABLE upc_data.log_progress IN SHARE UPDATE EXCLUSIVE MODE")
        [row] = table(own, "SELECT * FROM upc.delete_expired(5000, %s)", (NOW,))
        assert not any(row.values())
        other.commit()
    expire(own)
    assert minutes(own) == expected_minutes(ticks, NOW - 2 * DAY)


def test_an_operator_does_all_of_it(own: Connection) -> None:
    own.execute("SET ROLE upc_operator")
    make(own)
    ticks = some(9, 60)
    put(own, ticks)
    expire(own)
    assert minutes(own) == expected_minutes(ticks, NOW - 2 * DAY)
    assert "tick_20260607" not in partitions(own)
    own.execute("SET ROLE upc_reader")
    assert refused(own, "SELECT upc.delete_expired()") == "42501"
    assert scalar(own, "SELECT count(*) FROM analytics.logged_tick") > 0


def test_bids_and_asks_are_logged(prepared_own: Connection) -> None:
    """As the quotes have them, at each strike."""
    prepared_own.execute(
        "UPDATE upc_data.market_quote SET yes_bid = yes_ask - 0.02, no_bid = no_ask - 0.03"
        " WHERE lower <> (SELECT min(lower) FROM upc_data.market_quote)"
    )
    live(prepared_own, FINE, quotes=False)
    [row] = table(prepared_own, "SELECT * FROM upc_data.tick WHERE symbol = 'BTC'")
    quotes = {
        float(each["lower"]): each
        for each in table(prepared_own, "SELECT * FROM upc_data.market_quote WHERE symbol = 'BTC'")
    }
    for name in ("yes_bid", "no_bid", "yes_ask", "no_ask"):
        assert len(row[name]) == len(row["strikes"])
        for strike, value in zip(row["strikes"], row[name], strict=True):
            assert value == (quotes[strike][name] if strike in quotes else None)
    assert any(value is not None for value in row["yes_bid"])

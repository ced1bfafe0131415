"""The cost of a question: one probe of the index of the curves, and no table read as a whole."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
import pytest

from tests.support.engine import Connection, open_db, scalar, walk

INDEX = "fingerprint_curve_symbol_origin_bucket_minutes_pkey"
QUESTIONS = [
    "SELECT count(*) FROM upc.compute_strikes(40000)",
    "SELECT count(*) FROM upc.compute_strikes(40000, 7, ttc_seconds => 900)",
    "SELECT count(*) FROM upc.compute_strikes(40000, -1000000, 'BTC', 0, 100, 500)",
    "SELECT count(*) FROM upc.compute_strikes(2500, 3, 'ETH')",
    "SELECT count(*) FROM upc.probability(40000, 40100, 7, ttc_seconds => 900)",
]


@dataclass(frozen=True)
class Scans:
    of_index: int
    of_whole_tables: int


def scans(conn: Connection) -> Scans:
    """The counts so far; this session's own counts have to be handed in first."""
    conn.execute("SELECT pg_stat_force_next_flush()")
    [row] = conn.execute(
        "SELECT (SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = %s), "
        "(SELECT sum(seq_scan) FROM pg_stat_user_tables WHERE schemaname IN ('upc', 'upc_data'))",
        (INDEX,),
    ).fetchall()
    return Scans(*map(int, row))


# Nothing here has ever been analyzed, as right after an upgrade and a first build.
BUILT = {"BTC": walk(90, "2026-01-05", 2000)}


def assert_one_probe(session: Connection, question: str) -> None:
    # A plan is made anew up to five times, then kept.
    for _ in range(8):
        before = scans(session)
        assert scalar(session, question) > 0
        after = scans(session)
        assert after.of_index - before.of_index == 1
        assert after.of_whole_tables == before.of_whole_tables


@pytest.mark.parametrize("question", QUESTIONS)
def test_one_probe(module_dsn: str, question: str) -> None:
    with open_db(module_dsn) as session:
        assert (
            scalar(session, "SELECT count(*) FROM pg_stats WHERE schemaname IN ('upc', 'upc_data')")
            == 0
        )
        assert_one_probe(session, question)


@pytest.mark.parametrize("question", QUESTIONS)
def test_one_probe_with_statistics(module_dsn: str, question: str) -> None:
    """Comes second: what has been analyzed stays so."""
    with open_db(module_dsn) as session:
        session.execute("ANALYZE")
        assert_one_probe(session, question)


def test_the_counter_counts(module_dsn: str) -> None:
    """A look at the view as a whole shows where it would show."""
    with open_db(module_dsn) as session:
        before = scans(session)
        scalar(session, "SELECT count(positive) FROM upc.fingerprint_curve")
        scalar(session, "SELECT count(*) FROM upc.fingerprint_curve WHERE symbol = 'none'")
        after = scans(session)
        assert after.of_whole_tables == before.of_whole_tables + 1
        assert after.of_index == before.of_index + 1


def test_without_any_curve(own: Connection) -> None:
    """Right after an upgrade the question is refused, and not by reading the views as a whole."""
    query = (
        "SELECT relname, seq_scan FROM pg_stat_user_tables WHERE schemaname = 'upc_data'"
        " AND relname ~ '^(fingerprint|volatility)_(curve|grid)$' ORDER BY 1"
    )
    own.execute("SELECT pg_stat_force_next_flush()")
    before = own.execute(query).fetchall()
    with pytest.raises(psycopg.Error) as caught:
        own.execute(QUESTIONS[0].encode())
    assert caught.value.sqlstate == "UP006"
    own.execute("SELECT pg_stat_force_next_flush()")
    assert [name for name, _ in before] == [
        "fingerprint_curve",
        "fingerprint_grid",
        "volatility_curve",
    ]
    assert own.execute(query).fetchall() == before

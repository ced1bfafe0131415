"""Findings of doctor on a user's objects that psql finds in place of pyupc's."""

from __future__ import annotations

import psycopg
import pytest

from pyupc.database import search_path
from pyupc.database.connect import connect
from pyupc.health.doctor.names import names

MINE = "RETURNS text LANGUAGE sql AS $$ SELECT 'MINE'::text $$"
OURS_FIRST = "ALTER DATABASE {} SET search_path = upc, analytics, public"
STRIKES = "SELECT min(c::text) FROM compute_strikes(97250, 7) AS c"


def prepared(dsn: str, setup: str) -> None:
    with connect(dsn, autocommit=False) as conn:
        search_path.add(conn)
    with connect(dsn) as conn:
        conn.execute(setup.format(conn.info.dbname).encode())


@pytest.mark.parametrize(
    "setup",
    [
        f"CREATE FUNCTION public.compute_strikes(price float8, momentum float8) {MINE}",
        f"CREATE FUNCTION public.compute_strikes(a integer, b integer) {MINE}",
        f"CREATE FUNCTION public.compute_strikes(VARIADIC a float8[]) {MINE}",
        f"CREATE FUNCTION public.compute_strikes(a integer, b integer) {MINE}; {OURS_FIRST}",
    ],
)
def test_a_function_that_answers_in_place_of_ours_is_named(fresh_db: str, setup: str) -> None:
    prepared(fresh_db, setup)
    with psycopg.connect(fresh_db) as bare:
        assert bare.execute(STRIKES.encode()).fetchone() == ("MINE",)
    with connect(fresh_db) as conn:
        found = names(conn)
    assert found.state == "warn"
    assert "public.compute_strikes(" in found.seen
    assert found.repair is not None


@pytest.mark.parametrize(
    "setup",
    [
        "SELECT",
        f"CREATE FUNCTION public.compute_strikes(a date, b date) {MINE}",
        f"CREATE FUNCTION public.my_own(a float8, b float8) {MINE}",
        f"CREATE SCHEMA other; CREATE FUNCTION other.compute_strikes(a float8, b float8) {MINE}",
        f"CREATE FUNCTION public.compute_strikes(a float8, b float8) {MINE}; {OURS_FIRST}",
    ],
)
def test_what_does_not_answer_is_no_matter(fresh_db: str, setup: str) -> None:
    prepared(fresh_db, setup)
    with psycopg.connect(fresh_db) as bare, pytest.raises(psycopg.Error) as caught:
        bare.execute(STRIKES.encode())
    # Ours, which has no fingerprints.
    assert (caught.value.sqlstate or "").startswith("UP")
    with connect(fresh_db) as conn:
        assert names(conn).state == "ok"


@pytest.mark.parametrize(
    "kind", ["TABLE public.calibration (a integer)", "TYPE public.calibration"]
)
def test_a_relation_before_ours_is_named(fresh_db: str, kind: str) -> None:
    prepared(fresh_db, f"CREATE {kind}{' AS (a integer)' if kind.startswith('TYPE') else ''}")
    with connect(fresh_db) as conn:
        found = names(conn)
    assert found.state == "warn"
    assert "public.calibration" in found.seen


def test_a_relation_after_ours_is_no_matter(fresh_db: str) -> None:
    prepared(fresh_db, f"CREATE TABLE public.calibration (a integer); {OURS_FIRST}")
    with connect(fresh_db) as conn:
        assert names(conn).state == "ok"


def test_a_path_without_ours_is_reported(fresh_db: str) -> None:
    with connect(fresh_db) as conn:
        found = names(conn)
    assert (found.check, found.state) == ("names", "warn")

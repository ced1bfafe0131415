"""Changed formulas: the counts they renew, and the warnings until then."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from pyupc.database import schema
from pyupc.database.migrate import downgrade, upgrade
from pyupc.fingerprints.build import build as build_all
from pyupc.health.doctor import lease
from pyupc.runtime.progress import Progress
from pyupc.shipped import folder
from tests.support import brute_force
from tests.support.databases import Databases
from tests.support.engine import (
    Connection,
    assert_up_to_date,
    build,
    everything,
    open_db,
    put,
    scalar,
    stored_histogram,
)
from tests.support.volatile_candles import everything as everything_standardised
from tests.support.volatile_candles import volatile_candles

# Two days: enough for a fit.
CANDLES = volatile_candles(31, "2026-03-01", 3000)

WEIGHTS = ("'{0.30, 0.25, 0.20, 0.15, 0.05, 0.05}'", "'{0.40, 0.10, 0.20, 0.15, 0.10, 0.05}'")
LAGS = ("'{1, 2, 3, 4, 15, 30}'", "'{1, 2, 3, 7, 15, 25}'")

# The values of the revision that recorded them for existing counts. A deliberate change of a
# formula changes these, and every history is counted again; an accidental one fails here.
MOVES = "f7732ee4eb247af815c621af4db3fb565b6f0d33af7cc4072b6781fc1b8c135d"
STANDARDISED = "a0559326108dce82f09e9dd260c069e47da003452655660e30798c59f7a5c2c2"


class Engine:
    """A copy of sql/ in place of ours, which upgrades read."""

    def __init__(self, place: Path) -> None:
        shutil.copytree(folder("sql"), place)
        self.place = place

    def change(self, file: str, *pairs: tuple[str, str]) -> None:
        path = self.place / file
        text = path.read_text("utf-8")
        for old, new in pairs:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        path.write_text(text, "utf-8")


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    found = Engine(tmp_path / "sql")
    monkeypatch.setattr(
        schema, "folder", lambda name: found.place if name == "sql" else folder(name)
    )
    return found


@pytest.fixture(scope="module")
def volatile_dsn(module_dsn: str) -> str:
    with open_db(module_dsn) as conn:
        put(conn, "BTC", CANDLES)
        assert build(conn) > 0
        assert scalar(conn, "SELECT count(*) FROM upc_data.volatility_histogram") > 0
    return module_dsn


@pytest.fixture
def built(databases: Databases, volatile_dsn: str) -> Iterator[str]:
    with databases.clone_of(volatile_dsn) as dsn:
        yield dsn


def judged(conn: Connection) -> tuple[str, str | None, str]:
    """The finding of doctor about the fingerprints, and the problem in the symbol's status."""
    finding = lease.fingerprints(conn, lease.status(conn, "BTC"))
    is_reported = scalar(
        conn,
        "SELECT f.problem IS NOT NULL AND f.problem = ANY (s.problems) "
        "FROM upc.fingerprint_problem('BTC') AS f, upc.status('BTC') AS s",
    )
    return finding.state, finding.repair, "reported" if is_reported else "-"


REPAIR = "pyupc fingerprints build --symbol BTC"


def test_names_of_what_is_counted_today(db: Connection) -> None:
    for query in (
        "SELECT upc.counting_hash(), upc.volatility_hash()",
        "SELECT upc._probe_counting(), upc._probe_volatility()",
    ):
        assert db.execute(query.encode()).fetchone() == (MOVES, STANDARDISED)


@pytest.mark.slow
@pytest.mark.parametrize("by", ["command", "sql"])
def test_other_weights_and_distances(
    built: str, engine: Engine, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_db(built) as conn:
        assert judged(conn) == ("ok", None, "-")
    engine.change("20_momentum/01_momentum.sql", WEIGHTS, LAGS)
    upgrade(built)
    changed = {1: 0.40, 2: 0.10, 3: 0.20, 7: 0.15, 15: 0.10, 25: 0.05}
    before = brute_force.histogram(CANDLES.minutes, CANDLES.closes)
    monkeypatch.setattr(brute_force, "LAGS", changed)
    with open_db(built) as conn:
        # Live momentum is of the new formulas already.
        momentum = brute_force.momentum(CANDLES.minutes, CANDLES.closes)
        live = "SELECT momentum FROM upc.momentum('BTC', '2026-03-02 12:00+00')"
        assert scalar(conn, live) == pytest.approx(momentum[1440 + 719], abs=1e-9)
        assert stored_histogram(conn).keys() == before.keys()
        assert judged(conn) == ("fail", REPAIR, "reported")
        if by == "sql":
            assert build(conn) == 3
    if by == "command":
        assert build_all(built, (), Progress()).days == 3
    with open_db(built) as conn:
        assert_up_to_date(conn, CANDLES)
        assert judged(conn) == ("ok", None, "-")
        assert build(conn) == 0
        all_of_it = everything(conn), everything_standardised(conn)
        conn.execute("SELECT upc.reset_fingerprints('BTC')")
        assert build(conn) == 3
        assert (everything(conn), everything_standardised(conn)) == all_of_it
    assert build_all(built, (), Progress()).days == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("30_volatility/03_fit.sql", "least(20, s.y /", "least(2, s.y /"),
        (
            "30_volatility/06_counting.sql",
            "generate_series(1, 1440, 2)",
            "generate_series(1, 1440, 3)",
        ),
    ],
)
def test_standardised_moves_alone(
    built: str, engine: Engine, file: str, old: str, new: str
) -> None:
    with open_db(built) as conn:
        plain, before = everything(conn), everything_standardised(conn)
    engine.change(file, (old, new))
    upgrade(built)
    with open_db(built) as conn:
        assert judged(conn) == ("fail", REPAIR, "reported")
    assert build_all(built, (), Progress()).days == 0
    with open_db(built) as conn:
        after = everything_standardised(conn)
        assert everything(conn) == plain
        assert after != before
        assert judged(conn) == ("ok", None, "-")
        conn.execute("SELECT upc.reset_fingerprints('BTC')")
        build(conn)
        assert everything_standardised(conn) == after


def test_other_words_count_nothing_again(built: str, engine: Engine) -> None:
    engine.change(
        "20_momentum/01_momentum.sql", ("RETURN 10000 * (", "-- Of the price.\nRETURN 10000.0 * (")
    )
    engine.change(
        "25_histograms/02_bins.sql", ("'{2, 4, 6, 8, 10, 12}'", "'{0, 2, 4, 6, 8, 10, 12}'")
    )
    engine.change(
        "30_volatility/03_fit.sql",
        ("-- One sample's worth of doubt", "-- A sample's worth,\n        -- no more, of doubt"),
    )
    upgrade(built)
    with open_db(built) as conn:
        assert judged(conn) == ("ok", None, "-")
    assert build_all(built, (), Progress()).days == 0


def test_what_was_counted_before_it_was_noted(built: str) -> None:
    with open_db(built) as conn:
        before = everything(conn), everything_standardised(conn)
    downgrade(built, "0010")
    upgrade(built)
    assert build_all(built, (), Progress()).days == 0
    with open_db(built) as conn:
        assert (everything(conn), everything_standardised(conn)) == before
        assert judged(conn) == ("ok", None, "-")


@pytest.mark.parametrize("pairs", [(), (WEIGHTS, LAGS)], ids=["today", "changed"])
def test_correlations_follow_from_the_weights(
    empty_db: str, engine: Engine, pairs: tuple[tuple[str, str], ...]
) -> None:
    """By exact arithmetic: a move of a minute weighs in every sum that reaches as far."""
    engine.change("20_momentum/01_momentum.sql", *pairs)
    upgrade(empty_db)
    weights, lags = (pair[1] if pairs else pair[0] for pair in (WEIGHTS, LAGS))
    both = list(
        zip(
            map(int, lags.strip("'{}").split(", ")),
            map(Fraction, weights.strip("'{}").split(", ")),
            strict=True,
        )
    )
    a = [sum(w for lag, w in both if lag >= j) for j in range(1, 60)] + [Fraction(0)] * 60
    own = sum(x * x for x in a)
    c = [sum(a[j] * a[j + k] for j in range(59)) / own for k in range(60)]
    groups = [(1, 1), (2, 2), (3, 3), (4, 14), (15, 29), (30, 59)]
    expected = [round(float(sum(c[i : j + 1]) / (j - i + 1)), 6) for i, j in groups]
    with open_db(empty_db) as conn:
        found = scalar(conn, "SELECT upc.momentum_correlations()")
    assert [float(each) for each in found] == expected

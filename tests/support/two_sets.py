"""Two symbols with two sets each that share no number, and which of them is heard."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.support import brute_force
from tests.support.engine import Connection, build, put, walk
from tests.support.imported import coded, import_set
from tests.support.nearest_by_brute_force import Answer, Expected, Question, ask

HISTORIES = {
    "BTC": walk(160, "2026-03-02", 600),
    "ETH": walk(161, "2026-03-02", 200, price=3000),
}
SETS = {
    "BTC": coded([-31, -9, 0, 4, 31], [5, 20, 55], ["0.05", "0.4", "1.7"]),
    "ETH": coded([-2, 3], [10, 60], ["0.1", "0.2"], first=5000),
}
IMPORTED = {name: Expected.imported(found, name.lower()) for name, found in SETS.items()}
CURVES = {
    name: brute_force.fingerprints(candles.minutes, candles.closes)
    for name, candles in HISTORIES.items()
}
BUILT = {name: Expected.built(curves, name.lower()) for name, curves in CURVES.items()}
EXPECTED = {"built": BUILT, "imported": IMPORTED}

Sets = dict[str, str]


def questions(symbol: str, size: int = 100) -> list[Question]:
    dice = np.random.default_rng(162)
    moves = dice.uniform(-3, 3, size)
    momenta = dice.uniform(-40, 40, size)
    times = dice.integers(0, 3700, size)
    asked = [
        Question(100_000 + 1000 * move, None if k % 10 == 0 else momentum, ttc, symbol)
        for k, (move, momentum, ttc) in enumerate(
            zip(moves.tolist(), momenta.tolist(), times.tolist(), strict=True)
        )
    ]
    return [*asked, Question(100_100, 4.2, 300, symbol)]


def answers(conn: Connection, symbol: str = "BTC") -> list[Answer]:
    return ask(conn, questions(symbol))


def sets_in_use(conn: Connection) -> Sets:
    """Per symbol the answering origin according to the view."""
    query = "SELECT symbol, origin FROM upc.fingerprint_set WHERE is_in_use AND symbol <> '*'"
    return dict(conn.execute(query).fetchall())


def assert_in_use(conn: Connection, btc: str | None, eth: str | None = None) -> None:
    """Check the sets in use in the view and in the answers."""
    wanted = {name: origin for name, origin in (("BTC", btc), ("ETH", eth)) if origin}
    assert sets_in_use(conn) == wanted
    for symbol, origin in wanted.items():
        expected = EXPECTED[origin][symbol]
        assert answers(conn, symbol) == [expected.answer(q) for q in questions(symbol)]


def fill(conn: Connection) -> None:
    """Candles, which are not built yet."""
    for symbol, candles in HISTORIES.items():
        put(conn, symbol, candles)


def build_and_import(conn: Connection) -> None:
    """Build and import, first BTC and then ETH: the built sets answer."""
    for symbol in HISTORIES:
        build(conn, symbol)
        import_set(conn, SETS[symbol], symbol)


def strikes(conn: Connection) -> list[tuple[Any, ...]]:
    """Many tables of BTC."""
    return conn.execute(
        """
        SELECT m.momentum, t.ttc, c.*
        FROM generate_series(-35, 35, 3.5) AS m (momentum)
        CROSS JOIN generate_series(0, 3600, 450) AS t (ttc)
        CROSS JOIN LATERAL upc.compute_strikes(97333, m.momentum, 'BTC', t.ttc) AS c
        ORDER BY m.momentum, t.ttc, c.strike
        """
    ).fetchall()

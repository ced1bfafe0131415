"""compute_strikes beside a round trip that computes nothing, and beside griddata."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from pyupc.bench.figures import Row, interleaved, milliseconds
from pyupc.bench.scratch import Connection, Plan
from pyupc.database.connect import connect

_STRIKES = "SELECT * FROM upc.compute_strikes(%s, %s, %s, %s)"

# The same number of rows, of the same types and about the same width.
_CONSTANTS = """
    SELECT
        97250::float8 + k, 1.5::float8, 0.25::float8, 'above', 45.123456789::float8,
        54.876543211::float8, 45.123456789::float8, 44.123456789::float8, 45.123456789::float8,
        12345::bigint, 'btc_fingerprint_directional_momentum_007'
    FROM generate_series(1, 21) AS k
"""

_NOTE = "p50; one connection, prepared, binary, rows fetched as Python values"


def strikes(plan: Plan) -> Iterator[Row]:
    with connect(plan.dsn) as conn:
        questions = _questions(conn)

        def ask(query: str, parameters: Any = ()) -> object:
            return conn.execute(query, parameters, prepare=True, binary=True).fetchall()

        times = interleaved(
            {
                "strikes": lambda k: ask(_STRIKES, questions[k % len(questions)]),
                "one": lambda k: ask("SELECT 1"),
                "constants": lambda k: ask(_CONSTANTS),
            },
            plan.rounds(4000, 300),
        )
    found = {name: milliseconds(own) for name, own in times.items()}
    for other, words in (("one", "SELECT 1"), ("constants", "21 constant rows")):
        yield Row(
            f"strikes_{other}",
            "compute_strikes, 21 rows",
            found["strikes"]["p50"],
            "ms",
            words,
            found[other]["p50"],
            f"{_NOTE}; p99 {found['strikes']['p99']:.2f} beside {found[other]['p99']:.2f}",
            {"strikes": found["strikes"], other: found[other]},
        )


def griddata(plan: Plan) -> Iterator[Row]:
    """scipy over a table in memory: a call per strike and direction, and two calls in all."""
    import numpy as np
    from scipy.interpolate import griddata as interpolate

    with connect(plan.dsn) as conn:
        questions = [(price, None, "BTC", ttc) for price, _, _, ttc in _questions(conn)]
        minutes, positive, negative = _table(conn, "btc_fingerprint_directional_baseline")
        seconds, moves = np.meshgrid(60.0 * np.array(minutes), np.arange(60) / 20, indexing="ij")
        points = np.column_stack([seconds.ravel(), moves.ravel()])
        values = [np.array(side).ravel() for side in (positive, negative)]
        answers: dict[tuple[str, int], Any] = {}

        def ours(k: int) -> None:
            question = questions[k % len(questions)]
            rows = conn.execute(_STRIKES, question, prepare=True, binary=True).fetchall()
            answers["ours", k] = rows

        def wanted(k: int) -> Any:
            price, _, _, ttc = questions[k % len(questions)]
            strikes = 250 * (np.round(price / 250) + np.arange(-10, 11))
            return np.column_stack([np.full(21, ttc), 100 * np.abs(price - strikes) / price])

        def at_once(k: int) -> None:
            at = wanted(k)
            answers["theirs", k] = [interpolate(points, v, at, method="nearest") for v in values]

        def one_by_one(k: int) -> None:
            for at in wanted(k):
                for v in values:
                    interpolate(points, v, at, method="nearest")

        rounds = plan.rounds(300, 30)
        times = interleaved({"ours": ours, "at_once": at_once, "one_by_one": one_by_one}, rounds)
    differing = 0
    for k in range(rounds):
        rows, (up, down) = answers["ours", k], answers["theirs", k]
        differing += sum(
            (row[6], row[7]) != (float(u), float(d))
            for row, u, d in zip(rows, up, down, strict=True)
        )
    found = {name: milliseconds(own) for name, own in times.items()}
    agreement = "all answers equal" if differing == 0 else f"{differing} answers differ"
    for name, other, words in (
        ("strikes_griddata", "one_by_one", "griddata, nearest, a call per strike and direction"),
        ("strikes_griddata_at_once", "at_once", "griddata, nearest, all strikes in two calls"),
    ):
        yield Row(
            name,
            "compute_strikes, 21 rows",
            found["ours"]["p50"],
            "ms",
            words,
            found[other]["p50"],
            f"p50; 7,200 points in memory; {21 * rounds:,} strikes, {agreement}",
            {"ours": found["ours"], other: found[other], "differing": differing},
        )


def _questions(conn: Connection) -> list[tuple[float, float, str, int]]:
    """Prices around the last one, momenta and times to close, the same in every run."""
    row = conn.execute(
        "SELECT close FROM upc_data.candle WHERE symbol = 'BTC' ORDER BY opened_at DESC LIMIT 1"
    ).fetchone()
    assert row is not None
    dice = random.Random(1)
    return [
        (
            round(row[0] * dice.uniform(0.99, 1.01), 2),
            dice.gauss(0, 8),
            "BTC",
            dice.randint(1, 3600),
        )
        for _ in range(500)
    ]


def _table(conn: Connection, name: str) -> tuple[list[int], list[list[float]], list[list[float]]]:
    """The curves of a fingerprint at full precision."""
    rows = conn.execute(
        """
        SELECT c.minutes, c.positive, c.negative
        FROM upc.fingerprint_curve AS c
        JOIN upc.fingerprint_catalogue AS f USING (symbol, bucket)
        WHERE f.fingerprint = %s
        ORDER BY c.minutes
        """,
        [name],
    ).fetchall()
    return [r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows]

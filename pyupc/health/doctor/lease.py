"""Checks of a symbol: its lease, fingerprints and candles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg.rows import dict_row

from pyupc.exchange.names import DEFAULT_EXCHANGE
from pyupc.health.doctor.finding import Finding, State
from pyupc.health.doctor.server import Connection
from pyupc.runtime.text import as_text

Status = Mapping[str, Any]

# Momentum uses the last half hour, and a minute's candle closes a minute later.
OLD_CANDLE_SECONDS = 300

# Up to here prices are as near to what settles as those of a single exchange can be.
MOST_BASIS_BP = 2.0
# Drift from months of fewer than two years is a rough guess.
YEARS_OF_MONTHS = 24

_LIGHTS: Mapping[str, State] = {"green": "ok", "yellow": "warn", "red": "fail"}


def status(conn: Connection, symbol: str) -> Status:
    query = "SELECT s.* FROM upc.status(symbol => %s::text) AS s"
    with conn.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(query, (symbol,)).fetchone()
    assert row is not None
    return row


def tick(found: Status) -> Finding:
    """Holder of the lease, and age of the last tick."""
    symbol = found["symbol"]
    name = f"tick {symbol}"
    start = f"pyupc tick --feed {found['feed'] or DEFAULT_EXCHANGE} --symbol {symbol}"
    if found["lease_state"] == "none":
        state: State = "fail" if found["is_expected"] else "warn"
        return Finding(name, state, f"no process ticks it{_last(found)}", start)
    holder = f"{found['holder']} from {found['feed']}{_last(found)}"
    if found["lease_state"] == "expired":
        return Finding(name, "fail", f"the process that ticked it is dead: {holder}", start)
    if found["light"] == "green":
        return Finding(name, "ok", holder)
    repair = f"pyupc status --symbol {symbol}"
    if found["price_state"] not in ("fresh", None) or found["quote_state"] not in ("fresh", None):
        repair = f"pyupc feed --symbol {symbol}"
    seen = f"{holder}; {'; '.join(found['problems'])}"
    return Finding(name, _LIGHTS[found["light"]], seen, repair)


def fingerprints(conn: Connection, found: Status) -> Finding:
    symbol, origin = found["symbol"], found["fingerprint_origin"]
    name = f"fingerprints {symbol}"
    build = f"pyupc fingerprints build --symbol {symbol}"
    query = "SELECT f.problem, f.is_warning FROM upc.fingerprint_problem(%s) AS f"
    for problem, is_warning in conn.execute(query, (symbol,)).fetchall():
        if problem is not None:
            return Finding(name, "warn" if is_warning else "fail", problem, build)
    if origin is None:
        return Finding(name, "fail", "none: no probabilities", build)
    if origin == "pooled":
        return Finding(name, "warn", "none of its own: those of all symbols are used", build)
    through = found["fingerprint_through"]
    counted = f", candles to {through} counted" if origin == "built" and through else ""
    return Finding(name, "ok", f"{origin}{counted}")


def candles(found: Status) -> Finding:
    symbol, seconds = found["symbol"], found["candle_age_seconds"]
    name = f"candles {symbol}"
    if seconds is None:
        load = f"pyupc candles backfill --symbol {symbol}"
        return Finding(name, "warn", "none: momentum is unknown", load)
    seen = f"the newest closed {_lasting(seconds)} ago"
    if seconds <= OLD_CANDLE_SECONDS:
        return Finding(name, "ok", seen)
    repair = f"pyupc feed --symbol {symbol}; pyupc candles backfill --symbol {symbol}"
    return Finding(name, "warn", seen, repair)


def impossible_candles(conn: Connection, symbol: str) -> Finding:
    """Check stored candles from before loading refused impossible ones; none is deleted."""
    query = """
        SELECT count(*), min(i.opened_at), max(i.opened_at)
        FROM upc.impossible_candles(%s::text) AS i
    """
    row = conn.execute(query, (symbol,)).fetchone()
    assert row is not None
    count, first, last = row
    name = f"candle values {symbol}"
    if not count:
        return Finding(name, "ok", "every open and close lies between low and high")
    seen = (
        f"{count:,} stored {'candle has' if count == 1 else 'candles have'} an open or close"
        f" outside low to high, {as_text(first)} to {as_text(last)}"
    )
    repair = (
        f"load the right file: pyupc candles load FILE --symbol {symbol}; or DELETE FROM"
        f" upc_data.candle WHERE symbol = '{symbol}' AND NOT upc.is_candle(open, high, low, close,"
        f" volume), then pyupc candles backfill --symbol {symbol}; then"
        f" pyupc fingerprints build --symbol {symbol}"
    )
    return Finding(name, "warn", seen, repair)


def basis(conn: Connection, symbol: str) -> Finding:
    """Check how near the prices of each source are to what Kalshi settles on."""
    rows = conn.execute(
        "SELECT b.source, b.mean_bp, b.spread_bp FROM upc.basis(%s) AS b"
        " WHERE b.mean_bp IS NOT NULL ORDER BY b.source",
        (symbol,),
    ).fetchall()
    name = f"basis {symbol}"
    if not rows:
        return Finding(name, "ok", "not known: fewer than 12 settlements in the last day")
    is_used = bool(conn.execute("SELECT upc.setting('use_basis')::boolean").fetchall()[0][0])
    seen = ", ".join(
        f"{source} {mean:+.1f} bp (spread {spread:.1f})" for source, mean, spread in rows
    )
    seen += f"; probabilities {'allow' if is_used else 'do not allow'} for it"
    if all(abs(mean) <= MOST_BASIS_BP for _, mean, _ in rows):
        return Finding(name, "ok", seen)
    repair = "take prices in USD, of an exchange of the index: pyupc feed --exchange coinbase"
    if not is_used:
        repair += "; until then pyupc config set use_basis on"
    return Finding(name, "warn", f"away from what Kalshi settles on: {seen}", repair)


def correction(conn: Connection, symbol: str) -> Finding:
    """Check that the volatility model is corrected by the weeks before the newest candle."""
    row = conn.execute(
        """
        SELECT r.week, r.weeks, r.answers, r.week + 14 <= c.newest
        FROM upc.recalibration(%(symbol)s) AS r
        CROSS JOIN (
            SELECT (max(k.opened_at) AT TIME ZONE 'UTC')::date AS newest
            FROM upc_data.candle AS k
            WHERE k.symbol = %(symbol)s
        ) AS c
        LIMIT 1
        """,
        {"symbol": symbol},
    ).fetchone()
    name = f"correction {symbol}"
    if row is None:
        return Finding(name, "ok", "none: it takes a week, and 60 days of a year before it")
    week, weeks, answers, is_old = row
    seen = f"since {week} by {answers:,} answers of {weeks} weeks"
    if is_old:
        return Finding(name, "warn", f"of long ago: {seen}", "pyupc fingerprints build")
    return Finding(name, "ok", seen)


def seconds(conn: Connection, symbol: str) -> Finding:
    """Check that one-second prices correct the forecast where it was fitted on them."""
    row = conn.execute(
        """
        SELECT s.exchange, s.fitted_until, s.days, s.is_corrected,
            s.known_at > now() - interval '10 minutes', upc.setting('use_seconds')::boolean
        FROM upc.seconds_in_use(%s) AS s
        """,
        (symbol,),
    ).fetchone()
    name = f"seconds {symbol}"
    if row is None:
        seen = "not in the forecast: it takes 30 days of them before the first of a month"
        return Finding(name, "ok", seen)
    exchange, until, days, is_corrected, is_live, is_on = row
    seen = f"of {exchange}, {days} days before {until}"
    if not is_on:
        return Finding(name, "ok", f"not in the forecast, by the rule use_seconds; fitted: {seen}")
    if is_live and not is_corrected:
        repair = f"log prices again: pyupc feed --exchange {exchange}"
        return Finding(name, "warn", f"missing, candles alone forecast; fitted: {seen}", repair)
    return Finding(name, "ok", f"correct the forecast: {seen}")


def intervals(conn: Connection, symbol: str) -> Finding:
    """Say how many months the drift in the volatility model's intervals is known from."""
    row = conn.execute(
        "SELECT min(d.months), bool_and(d.positive IS NOT NULL) FROM upc.volatility_drift AS d"
        " WHERE d.symbol = %s",
        (symbol,),
    ).fetchone()
    months, is_known = row or (None, None)
    name = f"intervals {symbol}"
    if not is_known:
        return Finding(name, "ok", "about sampling alone: drift takes two months of candles")
    seen = f"about sampling, and drift between {months:.0f} months"
    if months < YEARS_OF_MONTHS:
        seen += f": fewer than {YEARS_OF_MONTHS} are a rough guess"
    return Finding(name, "ok", seen)


def _last(found: Status) -> str:
    seconds = found["tick_age_seconds"]
    return ", no tick yet" if seconds is None else f", last tick {_lasting(seconds)} ago"


def _lasting(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} d"

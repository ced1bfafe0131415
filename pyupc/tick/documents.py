"""Names of the documents of a tick: columns of its row, files, paths of the API, keys of a stream.

One more has its field in statements.Tick and statements.Published, too; sql/80_tick/
08_tick_documents.sql says where it has its places in SQL.
"""

from __future__ import annotations

DOCUMENTS = ("live_probabilities", "strike_table", "watchlist", "active_trades", "contracts")


def columns(alias: str) -> str:
    """Columns of a SELECT, in the order of DOCUMENTS."""
    return ", ".join(f"{alias}.{name}" for name in DOCUMENTS)

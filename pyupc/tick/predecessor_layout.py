"""The predecessor's folders: its names as links to our files, so that they never differ."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from pyupc.errors import PyupcError
from pyupc.tick.files import file_name

SNAPSHOT = "market_snapshot"

_FOLDERS = {
    "live_probabilities": "live_probabilities",
    "strike_table": "strike_tables",
    "watchlist": "strike_tables",
    "active_trades": "active_trades",
    SNAPSHOT: "kalshi",
}

# These the predecessor has of BTC alone, and calls so.
_OF_BTC = {"active_trades": "active_trades.json", SNAPSHOT: "latest_market_snapshot.json"}


def legacy_name(symbol: str, document: str) -> str:
    """`strike_tables/btc_watchlist.json` for BTC and watchlist, below the predecessor's data."""
    name = file_name(symbol, document)
    if symbol == "BTC":
        name = _OF_BTC.get(document, name)
    return f"{_FOLDERS[document]}/{name}"


def link(folder: Path, symbols: Iterable[str]) -> None:
    """Put the predecessor's names into the folder, as links to the files there.

    Raises PyupcError if something else has one of the names, or no link can be made.
    """
    for symbol in symbols:
        for document in _FOLDERS:
            path = folder / legacy_name(symbol, document)
            target = f"../{file_name(symbol, document)}"
            try:
                _link(path, target)
            except OSError as error:
                raise PyupcError(
                    f"{path} cannot be a link to {target}: {error.strerror or error}",
                    "name a folder of its own with --out",
                ) from error


def _link(path: Path, target: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.symlink(target, path)
    except FileExistsError:
        if not path.is_symlink() or os.readlink(path) != target:
            raise

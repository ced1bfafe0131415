"""Model, method and settlement of the predecessor, for --legacy.

Without it the database chooses them, as it knows how a symbol is settled.
"""

from __future__ import annotations

LEGACY = {"model": "momentum", "method": "nearest", "settlement": "close"}

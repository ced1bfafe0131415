"""Model, method and settlement as the predecessor answered, which --legacy means.

Without it they are left to the database, which knows what settles a symbol.
"""

from __future__ import annotations

LEGACY = {"model": "momentum", "method": "nearest", "settlement": "close"}

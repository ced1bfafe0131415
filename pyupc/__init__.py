"""A probability engine for short-dated binary event contracts, inside PostgreSQL."""

from __future__ import annotations

__version__ = "0.1.0"

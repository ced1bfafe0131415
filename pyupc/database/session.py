"""What every session of pyupc's depends on, whatever its database, role or environment prefers."""

from __future__ import annotations

# The driver reads instants in ISO alone, and floats by the digits that the server writes. Text in
# sql/ is written for standard strings. Times are UTC everywhere.
SETTINGS = {
    "DateStyle": "ISO,YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "standard_conforming_strings": "on",
    "extra_float_digits": "1",
}

# One statement, since it is one round trip more for every connection. libpq sends PGDATESTYLE and
# the like after the options of a connection string, so that options alone would lose.
ESTABLISH = "SELECT " + ", ".join(
    f"pg_catalog.set_config('{name}', '{value}', false)"
    for name, value in {**SETTINGS, "client_encoding": "UTF8"}.items()
)

OPTIONS = tuple(f"-c {name}={value}" for name, value in SETTINGS.items())
"""For the connection string of somebody else's client, whose encoding is its own affair."""

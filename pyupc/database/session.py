"""Settings of every session of pyupc, overriding those of database, role and environment."""

from __future__ import annotations

# The driver only reads instants in ISO format, and floats as the server prints them. Strings in
# sql/ are standard strings. All times are UTC.
SETTINGS = {
    "DateStyle": "ISO,YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "standard_conforming_strings": "on",
    "extra_float_digits": "1",
}

# One statement, since every connection pays its round trip. Options alone would not do: libpq sends
# PGDATESTYLE and the like after them.
ESTABLISH = "SELECT " + ", ".join(
    f"pg_catalog.set_config('{name}', '{value}', false)"
    for name, value in {**SETTINGS, "client_encoding": "UTF8"}.items()
)

OPTIONS = tuple(f"-c {name}={value}" for name, value in SETTINGS.items())
"""Options for the connection strings of other clients, which choose their encoding themselves."""

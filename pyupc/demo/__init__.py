"""The demo: `sources` of its history, and the `database` that it works in."""

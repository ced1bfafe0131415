"""The tick: once a second the database is asked, and its answers are written to files."""

"""The tick: once a second the database is asked, and what it answers is written to files."""

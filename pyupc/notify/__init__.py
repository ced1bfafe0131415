"""Passing announcements on to people: an outbox, a cursor for each receiver, at least once."""

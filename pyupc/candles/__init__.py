"""Candles: reading them from files and loading them into the database."""

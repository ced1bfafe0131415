"""Kalshi: its HTTP interface, market files, and how a market is shown."""

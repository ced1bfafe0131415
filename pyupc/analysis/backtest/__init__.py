"""Backtests from the command line's side: running them, and reporting what came out."""

"""Backtests against the market: recorded quotes in files, and running what they are asked about."""

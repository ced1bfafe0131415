"""Kalshi's events with their markets, from files, and what is stored of them."""

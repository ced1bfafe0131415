"""Trades: what was bought, to be watched over. No orders are placed."""

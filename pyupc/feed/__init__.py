"""The feed: prices, candles and Kalshi's markets, written to the database as they come in."""

"""Exchanges by ccxt: candles of the past, prices and candles as they come."""

"""Symbols: registering, listing and retiring them."""

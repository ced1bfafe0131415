"""Kalshi: `http` makes requests, `api` asks for events, `load` stores saved ones, `show` reads."""

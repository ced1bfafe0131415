"""The page and the API of `pyupc serve`: they read, and compute nothing."""

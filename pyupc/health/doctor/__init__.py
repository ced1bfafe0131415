"""Checks of `pyupc doctor`: one finding each, with its repair."""

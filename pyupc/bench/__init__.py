"""Measurements of pyupc beside its alternatives, all in one run on one machine."""

"""Measurements of pyupc beside what else could be done, all in one run on one machine."""

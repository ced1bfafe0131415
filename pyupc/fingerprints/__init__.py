"""Fingerprints: `build` counts `pieces` of the candles by two `workers`; `catalogue` reads them.

`transfer` imports, exports and compares the predecessor's files and tables.
"""

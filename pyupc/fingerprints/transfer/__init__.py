"""Fingerprints in and out: `folder` and `tables` read the predecessor's, `store` keeps them.

`fingerprint` is one of them, and the check that a set is whole; `csv_file` and `names` know the
predecessor's format.
"""

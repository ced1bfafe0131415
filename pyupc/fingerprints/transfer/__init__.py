"""Fingerprints in and out: the predecessor's files and tables, read, stored, compared, written."""

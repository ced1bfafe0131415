"""Fingerprints from the command line's side: building them, listing them, showing one."""

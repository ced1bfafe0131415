"""The predecessor's calculation over its files, beside compute_strikes: differences and times."""

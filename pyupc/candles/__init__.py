"""Candles: loaded from files, or fetched from an exchange.

`load` stages, judges and merges files: `compression` and `files` read their lines, `columns`
recognises what is in them, `rows` hands them to COPY. `backfill` asks an exchange for the minutes
that `gaps` finds missing, in `pages`.
"""

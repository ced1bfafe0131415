"""Recognising the columns of a candle file: by their names, or by what their numbers can be.

Nothing is guessed: names decide where they are known. Where they are not, a reading of the columns
is taken only if it is the only one that the first lines allow; else the file is refused.

`recognise` is the entry; `table` cuts the first lines into fields, `header` knows the names, and
`numbers` and `volume` read columns without names.
"""

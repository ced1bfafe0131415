"""`python -m pyupc` is `pyupc`."""

from __future__ import annotations

from pyupc.cli import main

if __name__ == "__main__":
    main()

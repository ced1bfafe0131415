"""Names of exchanges: the default, and which ones there are. Nothing of ccxt is imported."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from pyupc.errors import PyupcError

DEFAULT_EXCHANGE = "coinbase"
"""The exchange of every command that is given none."""

EXAMPLES = (DEFAULT_EXCHANGE, "kraken", "bitstamp")

INSTALL_HINT = "pip install 'pyupc[feeds]'"

# Sub-packages of ccxt: every exchange has a module for requests, many one for websockets.
WEBSOCKETS = "ccxt.pro"
REQUESTS = "ccxt.async_support"


def exchange_ids() -> tuple[str, ...]:
    """All exchanges that ccxt knows; empty without ccxt."""
    return modules_in(REQUESTS)


def require_exchange(name: str) -> None:
    """Raise PyupcError unless ccxt knows the exchange; the hint lists those spelled alike."""
    known = exchange_ids()
    if not known:
        raise PyupcError(f"the exchange {name} needs ccxt, which is not installed", INSTALL_HINT)
    if name not in known:
        # Only after a mistake: nothing else needs it.
        import difflib

        alike = ", ".join(difflib.get_close_matches(name, known, 3))
        hint = f"did you mean {alike}?" if alike else f"for example {', '.join(EXAMPLES)}"
        raise PyupcError(f"ccxt knows no exchange {name!r}", hint)


def modules_in(package: str) -> tuple[str, ...]:
    """The exchanges that a sub-package of ccxt has a module for."""
    root = ccxt_folder()
    if root is None:
        return ()
    files = root.joinpath(*package.split(".")[1:]).glob("[a-z]*.py")
    return tuple(sorted(file.stem for file in files))


def ccxt_folder() -> Path | None:
    found = importlib.util.find_spec("ccxt")
    return None if found is None or found.origin is None else Path(found.origin).parent

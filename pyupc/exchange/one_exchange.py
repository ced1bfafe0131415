"""The class of one exchange from ccxt, without the hundred others.

Importing `ccxt` imports every exchange: 90 MB. A module of one exchange needs only the names of
its base classes, so that three lazy packages stand in for the real ones. If a release of ccxt
is made in another way, it is imported as it is.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from pyupc.errors import PyupcError

INSTALL_HINT = "pip install 'pyupc[feeds]'"

# Sub-package of ccxt, by what it is for: websockets where there are any, else requests only.
_WEBSOCKETS = "ccxt.pro"
_REQUESTS = "ccxt.async_support"

# Where the names are defined that the real packages offer.
_SOURCES = ("ccxt.base.exchange", "ccxt.base.errors", "ccxt.base.decimal_to_precision")


def exchange_ids() -> tuple[str, ...]:
    """Every exchange that ccxt knows; nothing of ccxt is imported. Empty without ccxt."""
    return _names(_REQUESTS)


def require_exchange(name: str) -> None:
    """PyupcError unless it is the id of an exchange, with those that are spelled alike."""
    known = exchange_ids()
    if not known:
        raise PyupcError(f"prices of {name} need ccxt", INSTALL_HINT)
    if name not in known:
        alike = ", ".join(difflib.get_close_matches(name, known, 3))
        hint = f"did you mean {alike}?" if alike else "for example coinbase, kraken, bitstamp"
        raise PyupcError(f"ccxt knows no exchange {name!r}", hint)


def exchange_class(name: str) -> Any:
    """The asynchronous class, with websockets if ccxt has them for it."""
    require_exchange(name)
    module = f"{_WEBSOCKETS if name in _names(_WEBSOCKETS) else _REQUESTS}.{name}"
    try:
        if "ccxt" not in sys.modules:
            return _alone(module, name)
        return getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise PyupcError(f"prices of {name} need {error.name}", INSTALL_HINT) from error


def _alone(module: str, name: str) -> Any:
    root = _folder()
    assert root is not None
    for package in ("ccxt", _WEBSOCKETS, _REQUESTS):
        sys.modules[package] = _Package(package, root.joinpath(*package.split(".")[1:]))
    for package in (_WEBSOCKETS, _REQUESTS):
        setattr(sys.modules["ccxt"], package.partition(".")[2], sys.modules[package])
    try:
        return getattr(importlib.import_module(module), name)
    except Exception:
        for loaded in [each for each in sys.modules if each.partition(".")[0] == "ccxt"]:
            del sys.modules[loaded]
        return getattr(importlib.import_module(module), name)


def _names(package: str) -> tuple[str, ...]:
    root = _folder()
    if root is None:
        return ()
    files = root.joinpath(*package.split(".")[1:]).glob("[a-z]*.py")
    return tuple(sorted(file.stem for file in files))


def _folder() -> Path | None:
    found = importlib.util.find_spec("ccxt")
    return None if found is None or found.origin is None else Path(found.origin).parent


class _Package(ModuleType):
    """As ccxt's own packages, an exchange's name means its class; but it is loaded when needed."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name)
        self.__path__ = [str(folder)]
        self.__package__ = name
        origin = str(folder / "__init__.py")
        self.__spec__ = ModuleSpec(name, None, origin=origin, is_package=True)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        for source in _SOURCES:
            module = importlib.import_module(source)
            if hasattr(module, name):
                return getattr(module, name)
        try:
            module = importlib.import_module(f"{self.__name__}.{name}")
        except ModuleNotFoundError as error:
            raise AttributeError(name) from error
        return vars(module).get(name, module)

    def __setattr__(self, name: str, value: Any) -> None:
        """Python sets the attribute of a package to the submodule that it has imported."""
        if isinstance(value, ModuleType) and name in vars(value):
            value = vars(value)[name]
        super().__setattr__(name, value)

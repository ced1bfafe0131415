"""The class of one exchange from ccxt, without the hundred others.

Importing `ccxt` imports every exchange: 90 MB. A module of one exchange needs only the names of
its base classes, so that three lazy packages stand in for the real ones. If a release of ccxt
is made in another way, it is imported as it is.
"""

from __future__ import annotations

import importlib
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from pyupc.errors import PyupcError
from pyupc.exchange.names import (
    INSTALL_HINT,
    REQUESTS,
    WEBSOCKETS,
    ccxt_folder,
    modules_in,
    require_exchange,
)

# Modules that define the names which the real packages offer.
_SOURCES = ("ccxt.base.exchange", "ccxt.base.errors", "ccxt.base.decimal_to_precision")


def exchange_class(name: str) -> Any:
    """The asynchronous class, with websockets if ccxt has them for the exchange."""
    require_exchange(name)
    module = f"{WEBSOCKETS if name in modules_in(WEBSOCKETS) else REQUESTS}.{name}"
    try:
        if "ccxt" not in sys.modules:
            return _import_alone(module, name)
        return getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise PyupcError(
            f"the exchange {name} needs {error.name}, which is not installed", INSTALL_HINT
        ) from error


def _import_alone(module: str, name: str) -> Any:
    root = ccxt_folder()
    assert root is not None
    for package in ("ccxt", WEBSOCKETS, REQUESTS):
        sys.modules[package] = _LazyPackage(package, root.joinpath(*package.split(".")[1:]))
    for package in (WEBSOCKETS, REQUESTS):
        setattr(sys.modules["ccxt"], package.partition(".")[2], sys.modules[package])
    try:
        return getattr(importlib.import_module(module), name)
    except Exception:
        for loaded in [each for each in sys.modules if each.partition(".")[0] == "ccxt"]:
            del sys.modules[loaded]
        return getattr(importlib.import_module(module), name)


class _LazyPackage(ModuleType):
    """A package like ccxt's own, where an exchange's name is its class, loaded on first use."""

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
        """Keep the class: Python sets a package's attribute to the submodule it has imported."""
        if isinstance(value, ModuleType) and name in vars(value):
            value = vars(value)[name]
        super().__setattr__(name, value)

"""Models, methods and settlements that a question can name."""

from __future__ import annotations

from typing import Literal, get_args

Model = Literal["momentum", "baseline", "volatility"]
Method = Literal["nearest", "linear"]
Settlement = Literal["close", "average"]

MODELS: tuple[str, ...] = get_args(Model)
METHODS: tuple[str, ...] = get_args(Method)
SETTLEMENTS: tuple[str, ...] = get_args(Settlement)

# Retired ones, which a file of settings may still name, with what to use.
RETIRED = {"shrunk": "momentum or volatility"}

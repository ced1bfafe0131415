"""Keys of a strike in the strike table, from the list that SQL makes its register of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from pyupc.shipped import folder

_LISTED_IN = "04_document_keys.sql"


def fields(types: Mapping[str, Any]) -> dict[str, Any]:
    """Fields for pydantic's create_model, in order; `types` by the words that the list has."""
    text = (folder("sql") / "80_tick" / _LISTED_IN).read_text("utf-8")
    _, listed, _ = text.split("$keys$")
    return {
        key["name"]: (types[key["type"]], Field(description=key["meaning"]))
        for key in json.loads(listed)
    }

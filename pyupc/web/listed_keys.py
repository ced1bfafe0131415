"""Keys of the rows of documents, from the lists that SQL makes its register of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from pyupc.shipped import folder

STRIKE = "80_tick/04_document_keys.sql"
BET = "75_bets/01_bet_rows.sql"
CONTRACT = "60_market/11_contract_entries.sql"


def fields(file: str, types: Mapping[str, Any]) -> dict[str, Any]:
    """Fields for pydantic's create_model, in order; `types` by the words that the list has."""
    text = (folder("sql") / file).read_text("utf-8")
    _, listed, _ = text.split("$keys$")
    return {
        key["name"]: (types[key["type"]], Field(description=key["meaning"]))
        for key in json.loads(listed)
    }

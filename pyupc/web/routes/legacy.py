"""The paths of the system before this one: its consumers only change the host."""

from __future__ import annotations

import json

from fastapi import APIRouter, Response

from pyupc.web import schemas
from pyupc.web.answers import fleeting
from pyupc.web.documented import NOT_MODIFIED, answers
from pyupc.web.routes import documents
from pyupc.web.served import AskedSymbol, Shared

router = APIRouter(tags=["legacy"])


# Those that are called otherwise now.
router.get(
    "/api/strike_tables/{symbol}",
    summary="As /api/strike_table/{symbol}",
    responses=answers(schemas.StrikeTable, "SYMBOL_strike_table.json", 404) | NOT_MODIFIED,
)(documents.strike_table)
router.get(
    "/api/unified_ttc/{symbol}",
    summary="As /api/ttc/{symbol}",
    responses=answers(schemas.TimeToClose, "Whole seconds, as of now.", 404),
)(documents.ttc)


@router.get(
    "/api/momentum_score",
    summary="Momentum in percent",
    responses=answers(schemas.LegacyMomentum, "null where it is not known.", 404),
)
async def momentum_score(shared: Shared, symbol: AskedSymbol) -> Response:
    text = await shared.database.text("SELECT upc.momentum_document(%s)", (symbol,))
    told = json.loads(text)
    score = told["weighted_score"]
    return fleeting(
        json.dumps(
            {
                "status": "ok",
                "weighted_score": score,
                "momentum_score": score,
                "symbol": symbol,
                "state": told["state"],
            }
        )
    )


@router.get(
    "/api/btc_price",
    summary="The price of BTC",
    responses=answers(schemas.LegacyPrice, "null from halted on.", 404),
)
async def btc_price(shared: Shared) -> Response:
    told = json.loads(await shared.database.text("SELECT upc.price_document('BTC')"))
    return fleeting(
        json.dumps(
            {
                "price": told["price"],
                "source": told["feed"],
                "symbol": "BTC",
                "state": told["state"],
                "timestamp": told["timestamp"],
            }
        )
    )

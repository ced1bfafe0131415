"""The paths of the system before this one: its consumers only change the host.

Without a symbol they speak of BTC. From halted on their lists are empty, as in the files: pages of
the predecessor throw on a null, and would keep what they showed before.
"""

from __future__ import annotations

import json

from fastapi import APIRouter, Request, Response

from pyupc.tick.aging_rules import Rules
from pyupc.web import schemas
from pyupc.web.json_response import tagged, uncached
from pyupc.web.openapi import NOT_MODIFIED, responses_of
from pyupc.web.parameters import AskedSymbol, ServerState, Shared, SymbolInPath
from pyupc.web.problems import Problem
from pyupc.web.routes import documents

router = APIRouter(tags=["legacy"])

# Trading, preferences and accounts of the predecessor.
_NOT_OURS = (
    "/trades",
    "/trades/{rest:path}",
    "/api/account/{rest:path}",
    "/api/db/{rest:path}",
    "/api/get_account_mode",
    "/api/set_account_mode",
    "/api/get_preferences",
    "/api/set_auto_stop",
    "/api/set_reco",
    "/api/set_diff_mode",
    "/api/set_position_size",
    "/api/set_multiplier",
    "/api/update_preferences",
    "/api/trigger_open_trade",
    "/api/trigger_close_trade",
)


async def _as_file(request: Request, shared: ServerState, symbol: str, name: str) -> Response:
    text = (await documents.latest_of(shared, symbol, name)).documents[name]
    if (state := json.loads(text)["state"]) != "fresh":
        rules = Rules.read(await shared.database.text("SELECT upc.document_rules()"))
        text = rules.in_files({name: text}, state)[name]
    return tagged(request, text)


@router.get(
    "/api/strike_tables/{symbol}",
    summary="SYMBOL_strike_table.json, of which no row is left from halted on",
    responses=responses_of(schemas.StrikeTable, "SYMBOL_strike_table.json", 404) | NOT_MODIFIED,
)
async def strike_tables(request: Request, shared: Shared, symbol: SymbolInPath) -> Response:
    return await _as_file(request, shared, symbol, "strike_table")


@router.get(
    "/api/strike_table",
    summary="SYMBOL_strike_table.json, of which no row is left from halted on",
    responses=responses_of(schemas.StrikeTable, "SYMBOL_strike_table.json", 404) | NOT_MODIFIED,
)
async def strike_table(request: Request, shared: Shared, symbol: AskedSymbol) -> Response:
    return await _as_file(request, shared, symbol, "strike_table")


@router.get(
    "/api/live_probabilities",
    summary="SYMBOL_live_probabilities.json, of which no row is left from halted on",
    responses=responses_of(schemas.LiveProbabilities, "SYMBOL_live_probabilities.json", 404)
    | NOT_MODIFIED,
)
async def live_probabilities(request: Request, shared: Shared, symbol: AskedSymbol) -> Response:
    return await _as_file(request, shared, symbol, "live_probabilities")


router.get(
    "/api/unified_ttc/{symbol}",
    name="unified_ttc",
    summary="As /api/ttc/{symbol}",
    responses=responses_of(schemas.TimeToClose, "Whole seconds, as of now.", 404),
)(documents.ttc)


@router.get(
    "/api/ttc",
    summary="As /api/ttc/{symbol}",
    responses=responses_of(schemas.TimeToClose, "Whole seconds, as of now.", 404),
)
async def ttc(shared: Shared, symbol: AskedSymbol) -> Response:
    return uncached(await shared.database.text("SELECT upc.ttc_document(%s)", (symbol,)))


@router.get(
    "/api/momentum",
    summary="Momentum in whole basis points",
    responses=responses_of(schemas.LegacyMomentumNow, "null where it is not known.", 404),
)
async def momentum(shared: Shared, symbol: AskedSymbol) -> Response:
    text = await shared.database.text("SELECT upc.momentum_document(%s)", (symbol,))
    document = json.loads(text)
    score = document["momentum_bps"]
    whole = None if score is None else round(score)
    return uncached(json.dumps({"status": "ok", "momentum_score": whole, **document}))


@router.get(
    "/api/momentum_score",
    summary="Momentum in percent",
    responses=responses_of(schemas.LegacyMomentum, "null where it is not known.", 404),
)
async def momentum_score(shared: Shared, symbol: AskedSymbol) -> Response:
    text = await shared.database.text("SELECT upc.momentum_document(%s)", (symbol,))
    document = json.loads(text)
    score = document["weighted_score"]
    return uncached(
        json.dumps(
            {
                "status": "ok",
                "weighted_score": score,
                "momentum_score": score,
                "symbol": symbol,
                "state": document["state"],
            }
        )
    )


@router.get(
    "/api/btc_price",
    summary="The price of BTC",
    responses=responses_of(schemas.LegacyPrice, "null from halted on.", 404),
)
async def btc_price(shared: Shared) -> Response:
    document = json.loads(await shared.database.text("SELECT upc.price_document('BTC')"))
    return uncached(
        json.dumps(
            {
                "price": document["price"],
                "source": document["feed"],
                "symbol": "BTC",
                "state": document["state"],
                "timestamp": document["timestamp"],
            }
        )
    )


@router.get(
    "/core",
    summary="Price, time and momentum of BTC",
    responses=responses_of(schemas.LegacyCore, "null where it is not known.", 404),
)
async def core(shared: Shared) -> Response:
    return uncached(await shared.database.text("SELECT upc.legacy_core()"))


@router.get(
    "/btc_price_changes",
    summary="Moves of BTC over 1 h, 3 h and 1 day",
    responses=responses_of(schemas.LegacyPriceChanges, "null where it is not known.", 404),
)
async def btc_price_changes(shared: Shared) -> Response:
    return uncached(await shared.database.text("SELECT upc.legacy_price_changes()"))


@router.get(
    "/api/current_fingerprint",
    summary="The fingerprint that the last tick was near to",
    responses=responses_of(schemas.LegacyFingerprint, "By the name of its file.", 404),
)
async def current_fingerprint(shared: Shared, symbol: AskedSymbol) -> Response:
    return uncached(await shared.database.text("SELECT upc.legacy_fingerprint(%s)", (symbol,)))


@router.get(
    "/kalshi_market_snapshot",
    summary="All markets of the event, in cents",
    responses=responses_of(schemas.MarketSnapshot, "No market from halted on.", 404),
)
async def kalshi_market_snapshot(shared: Shared, symbol: AskedSymbol) -> Response:
    return uncached(await shared.database.text("SELECT upc.market_snapshot(%s)", (symbol,)))


async def not_ours() -> Response:
    raise Problem(
        501,
        "pyupc has no trading, preferences or accounts",
        "keep that part of the predecessor; pyupc trades records what was bought",
    )


for each in _NOT_OURS:
    router.add_api_route(each, not_ours, methods=["GET", "POST"], include_in_schema=False)

"""Checks of the exchange and of Kalshi, through the clients of the feed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime

from pyupc.errors import PyupcError
from pyupc.health.doctor.clock import Clock, of_answers
from pyupc.health.doctor.finding import Finding, State
from pyupc.price_text import grouped_price
from pyupc.symbols import names

CLOSE_SECONDS = 1.0

NETWORK_REPAIR = "check this machine's connection to the internet; HTTPS_PROXY is used"

# Each symbol's pair at the exchange, and its series at Kalshi.
Registered = Mapping[str, tuple[str | None, tuple[str, ...]]]


def exchange(name: str, symbols: Registered, clocks: list[Clock]) -> Finding:
    """Ask for a price of each symbol; the exchange's clock is added to `clocks`."""
    from pyupc.exchange.names import exchange_ids, require_exchange

    if not exchange_ids():
        return Finding("exchange", "warn", "ccxt is not installed", "pip install 'pyupc[feeds]'")
    require_exchange(name)
    return asyncio.run(_ask_exchange(name, symbols, clocks))


def kalshi(setting: str | None, symbols: Registered, clocks: list[Clock]) -> Finding:
    """Ask for the next event of each series; Kalshi's clock is added to `clocks`."""
    try:
        import httpx  # noqa: F401
    except ImportError:
        return Finding("kalshi", "warn", "httpx is not installed", "pip install 'pyupc[feeds]'")
    return asyncio.run(_ask_kalshi(setting, symbols, clocks))


async def _ask_exchange(name: str, symbols: Registered, clocks: list[Clock]) -> Finding:
    from pyupc.exchange.live import Exchange
    from pyupc.exchange.problems import ExchangeProblem

    client = Exchange(name)
    began = time.monotonic()
    try:
        pairs = await client.pairs({symbol: pair for symbol, (pair, _) in symbols.items()})
        prices = {symbol: (await client.ask(pair)).price for symbol, pair in pairs.items()}
    except ExchangeProblem as problem:
        return Finding("exchange", "fail", f"{name}: {problem.reason}", NETWORK_REPAIR)
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await client.close()
    if clock := of_answers(name, client.skew):
        clocks.append(clock)
    known = [
        f"{symbol} {grouped_price(price)}" for symbol, price in prices.items() if price is not None
    ]
    seen = f"{name}: {', '.join(known) or 'no price'}, {time.monotonic() - began:.1f} s"
    unknown = [symbol for symbol in symbols if prices.get(symbol) is None]
    if unknown:
        state: State = "warn" if known else "fail"
        more = f"; no price of {', '.join(unknown)}"
        return Finding("exchange", state, seen + more, "try another exchange with --exchange")
    return Finding("exchange", "ok", seen)


async def _ask_kalshi(setting: str | None, symbols: Registered, clocks: list[Clock]) -> Finding:
    from pyupc.kalshi.api import Kalshi
    from pyupc.kalshi.http import KalshiError

    found = []
    began = time.monotonic()
    async with Kalshi(setting) as client:
        try:
            for symbol, (_, series) in symbols.items():
                for name in series:
                    event = await client.next_event(name, datetime.now(UTC))
                    found.append(f"{symbol} {event.ticker if event else 'no event in the hour'}")
        except KalshiError as problem:
            where = client.url.partition("://")[2].partition("/")[0]
            seen = f"{where}: {problem.message}"
            return Finding("kalshi", "fail", seen, NETWORK_REPAIR)
        if clock := of_answers("Kalshi", client.skew):
            clocks.append(clock)
    seen = f"{', '.join(found) or 'no symbol has a series'}, {time.monotonic() - began:.1f} s"
    return Finding("kalshi", "ok", seen)


def registered_without_database(symbols: tuple[str, ...]) -> Registered:
    """Symbols to ask for without a database: BTC unless some are named."""
    if symbols:
        return dict.fromkeys(symbols, (None, ()))
    return {"BTC": ("BTC/USD", ("KXBTCD",))}


def chosen(symbols: tuple[str, ...], registered: Registered) -> Registered:
    for symbol in symbols:
        if symbol not in registered:
            raise PyupcError(f"unknown symbol {symbol!r}", names.registered(registered))
    return {symbol: registered[symbol] for symbol in symbols or registered}

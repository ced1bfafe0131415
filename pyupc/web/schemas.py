"""The shapes of the answers, for OpenAPI: SQL writes them, and a test holds them to this."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from pyupc.web import listed_keys

State = Literal["fresh", "warn", "stale", "halted"]

# Listed by upc.edge_reasons().
EdgeReason = Literal[
    "closed",
    "paused",
    "price_stale",
    "source_left_out",
    "quotes_stale",
    "awaiting_strike",
    "rules_unclear",
    "no_model",
    "last_minute",
    "no_offer",
]


def _open(schema: dict[str, Any]) -> None:
    """Shape that allows more keys: documents get new ones over time."""
    schema.pop("additionalProperties", None)


class Shape(BaseModel):
    """Refuses a key that it does not know: a test holds what SQL writes to it."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_open)


VALID_UNTIL: Any = Field(description="an instant; from then on the document is old")
PROBLEM: Any = Field(None, description="why there is no newer one")
BASIS: Any = Field(
    description="basis points by which such prices lie above what settles, as the last 12"
    " settlements show: probabilities are of current_price less this; null where they are of"
    " current_price"
)
SETTLEMENTS: Any = Field(description="how many settlements the basis rests on")


class ProblemDetails(Shape):
    """RFC 9457. `hint` says what to do, `sqlstate` is PostgreSQL's or pyupc's own code, `errors`
    are the arguments that were refused.
    """

    type: str
    title: str
    status: int
    detail: str
    hint: str | None = None
    sqlstate: str | None = None
    errors: list[dict[str, str]] | None = None


class Probability(Shape):
    strike: float
    buffer: float
    move_percent: float
    prob_beyond: float | None
    prob_within: float | None
    direction: Literal["above", "below"]
    positive_prob: float | None
    negative_prob: float | None


class LiveProbabilities(Shape):
    """SYMBOL_live_probabilities.json: probabilities in percent, null from halted on."""

    timestamp: str
    current_price: float
    base_strike: float
    ttc_seconds: int
    momentum_score: float | None = Field(description="percent")
    strikes: list[float]
    probabilities: list[Probability]
    fingerprint_csv: str
    symbol: str
    momentum_bps: float | None = Field(description="basis points")
    fingerprint: str
    method: str
    model: str
    settlement: str
    volatility: float | None = Field(description="forecast until the close, percent of the price")
    basis_bps: float | None = BASIS
    basis_settlements: int | None = SETTLEMENTS
    state: State
    feed: str
    market_at: str
    valid_until: str = VALID_UNTIL
    tick_id: int
    problem: str | None = PROBLEM


Side = Literal["yes", "no"]

_TYPES_OF_KEYS: Mapping[str, Any] = {
    "number": float,
    "number or null": float | None,
    "integer": int,
    "integer or null": int | None,
    "text": str,
    "text or null": str | None,
    "side": Side,
    "reason or null": EdgeReason | None,
}

if TYPE_CHECKING:

    class StrikeRow(Shape): ...

    class ContractRow(Shape): ...

    class BetRow(Shape): ...

else:
    StrikeRow = create_model(
        "StrikeRow", __base__=Shape, **listed_keys.fields(listed_keys.STRIKE, _TYPES_OF_KEYS)
    )
    ContractRow = create_model(
        "ContractRow", __base__=Shape, **listed_keys.fields(listed_keys.CONTRACT, _TYPES_OF_KEYS)
    )
    BetRow = create_model(
        "BetRow", __base__=Shape, **listed_keys.fields(listed_keys.BET, _TYPES_OF_KEYS)
    )

SUGGEST: Any = Field(description="false while the rule suggest_bets is off")
REST: Any = Field(description="the best of what is not worth its price")


class Deltas(Shape):
    """Moves of the price over so many minutes, percent."""

    delta_1m: float | None
    delta_2m: float | None
    delta_3m: float | None
    delta_4m: float | None
    delta_15m: float | None
    delta_30m: float | None


class Momentum(Shape):
    weighted_score: float | None = Field(description="percent")
    deltas: Deltas


class StrikeTable(Shape):
    """SYMBOL_strike_table.json and SYMBOL_watchlist.json."""

    symbol: str
    current_price: float
    ttc: int = Field(description="seconds to the close")
    broker: str
    event_ticker: str | None
    market_title: str | None
    strike_tier: float
    market_status: str | None
    last_updated: str
    strikes: list[StrikeRow]
    momentum: Momentum
    fingerprint: str
    state: State
    quote_state: State | None
    quotes_read_at: str | None
    feed: str
    market_at: str
    valid_until: str = VALID_UNTIL
    tick_id: int
    edge_reason: EdgeReason | None = Field(description="null where a strike has an edge")
    basis_bps: float | None = BASIS
    basis_settlements: int | None = SETTLEMENTS
    problem: str | None = PROBLEM


class Contracts(Shape):
    """SYMBOL_contracts.json: contracts with a quote, or with a probability from 0.5 to 99.5 %."""

    symbol: str
    timestamp: str
    current_price: float
    momentum_bps: float | None = Field(description="basis points")
    state: State
    feed: str
    market_at: str
    model: str = Field(description="that answers up to an hour")
    basis_bps: float | None = BASIS
    basis_settlements: int | None = SETTLEMENTS
    valid_until: str = VALID_UNTIL
    tick_id: int
    count: int = Field(description="contracts in the list")
    open_count: int = Field(description="open contracts of all followed events")
    suggest_bets: bool = SUGGEST
    bets: list[BetRow] = Field(description="what is worth buying, the best first")
    best_of_rest: BetRow | None = REST
    contracts: list[ContractRow]
    problem: str | None = PROBLEM


class Bets(Shape):
    """What is worth buying of the contracts of the last tick: empty from stale on."""

    symbol: str
    timestamp: str
    current_price: float
    model: str = Field(description="that answers up to an hour")
    state: State
    feed: str
    market_at: str
    valid_until: str = VALID_UNTIL
    tick_id: int
    suggest_bets: bool = SUGGEST
    bankroll: float | None = Field(description="USD, which sizes are worked out from")
    count: int = Field(description="bets that there are, listed or not")
    bets: list[BetRow] = Field(description="the best first")
    best_of_rest: BetRow | None = REST


class ActiveTrade(Shape):
    """Prices and profits in USD, null where they are not known.

    The predecessor's keys mean what they meant to it: trade_id, ticket_id, side, strike, status,
    current_close_price and current_pnl; the others are pyupc's own.
    """

    id: int
    trade_id: int
    ticket_id: str
    ticker: str
    symbol: str
    side: Literal["Y", "N"]
    strike: str | None = Field(
        description="$118,750; of a range $86,000 to $86,100; null while it is awaited"
    )
    buy_price: float
    position: float
    current_symbol_price: float
    current_probability: float | None = Field(description="that it pays, percent")
    buffer_from_entry: float | None = Field(
        description="distance from the nearer bound; below zero where the side would not pay"
    )
    current_close_price: float | None = Field(description="the ask of the other side")
    current_pnl: str | None = Field(description="per contract that is held, before fees")
    time_since_entry: int = Field(description="seconds")
    status: Literal["active"]
    stop_reason: str | None
    stopped_at: str | None
    ttc_seconds: int
    event_ticker: str
    opened_at: str
    state: Literal["open", "stopped"]
    contract_side: Literal["yes", "no"]
    strike_price: float | None = Field(description="the lower bound of what has no upper one")
    close_value: float | None = Field(description="the best bid: what a contract would bring")
    pnl: float | None = Field(description="of the whole trade, of what was sold before, too")
    pnl_per_contract: float | None
    pnl_after_fees: float | None
    pnl_per_contract_after_fees: float | None
    sold_count: float = Field(description="contracts that were sold before")
    realised_pnl: float = Field(description="what these brought less their cost, before fees")
    lower: float | None = Field(description="yes pays from there on, USD")
    upper: float | None = Field(description="and below there, USD")
    kind: Literal["above", "range", "updown"]


class ActiveTrades(Shape):
    """The trades that are held, of one symbol or of all."""

    timestamp: str
    valid_until: str = VALID_UNTIL
    active_trades: list[ActiveTrade]
    count: int
    states: dict[str, State] = Field(description="of each symbol's last tick")


class TimeToClose(Shape):
    """It counts down between ticks, and without them."""

    symbol: str
    ttc_seconds: int | None = Field(ge=0)
    closes_at: str | None
    event_ticker: str | None
    market_title: str | None
    market_status: str | None
    state: State
    feed: str
    market_at: str
    tick_id: int
    valid_until: str = VALID_UNTIL
    timestamp: str


class Price(Shape):
    """null from halted on."""

    symbol: str
    price: float | None = Field(description="USD")
    age_seconds: float
    priced_at: str
    state: State
    feed: str
    market_at: str
    tick_id: int
    valid_until: str = VALID_UNTIL
    timestamp: str


class MomentumNow(Shape):
    symbol: str
    momentum_bps: float | None = Field(description="basis points")
    weighted_score: float | None = Field(description="percent")
    deltas: Deltas | None
    fingerprint: str
    state: State
    feed: str
    market_at: str
    tick_id: int
    valid_until: str = VALID_UNTIL
    timestamp: str


class Symbol(Shape):
    symbol: str
    strike_step: float
    tick_id: int | None
    age_seconds: float | None
    state: State | None
    feed: str | None
    valid_until: str | None = VALID_UNTIL


class Symbols(Shape):
    symbols: list[Symbol]


class FingerprintEntry(Shape):
    fingerprint: str
    symbol: str
    bucket: int = Field(description="basis points; 99 is the baseline")
    origin: Literal["built", "imported"] | None
    is_in_use: bool
    minutes: int
    smallest_sample: int | None
    largest_sample: int | None
    made_at: str | None


class Fingerprints(Shape):
    fingerprints: list[FingerprintEntry]


class Fingerprint(Shape):
    """A matrix of 60 minutes to the close by 120 moves, probabilities in percent."""

    fingerprint: str
    symbol: str
    bucket: int | None = Field(description="basis points; null is the baseline")
    origin: Literal["built", "imported"] | None
    made_at: str | None
    minutes: list[int]
    columns: list[str]
    moves: list[float] = Field(description="in the unit")
    unit: Literal["percent", "deviations"] = Field(
        description="percent of the price, or forecast standard deviations"
    )
    matrix: list[list[float | None]]
    sample_sizes: list[int | None]


class Score(Shape):
    model: str
    method: str
    settlement: str
    minutes_from: int | None
    minutes_to: int | None
    bin: int | None
    prob_from: int | None
    prob_to: int | None
    questions: int
    events: int
    mean_probability: float
    observed_frequency: float
    frequency_low: float
    frequency_high: float
    calibration_error: float
    brier_score: float
    log_loss: float
    counted: str


class Calibration(Shape):
    """Rows without minutes are of all times to the close, rows without bin of all probabilities."""

    symbol: str
    since: str | None
    until: str | None
    unjudged_closes: int
    scores: list[Score]


class TickColumns(Shape):
    """The first tick of every step, a list for each column."""

    at: list[str]
    price: list[float]
    momentum_bps: list[float | None]
    ttc_seconds: list[int]
    model: list[str]
    event_ticker: list[str | None]
    feed: list[str]
    state: list[str]


class ContractColumns(Shape):
    """A contract as it was logged, a list for each column; prices in USD per contract."""

    ticker: str
    at: list[str]
    probability: list[float | None] = Field(description="percent")
    prob_low: list[float | None] = Field(description="low end of its interval")
    prob_high: list[float | None]
    yes_bid: list[float | None]
    yes_ask: list[float | None]
    no_bid: list[float | None]
    no_ask: list[float | None]


class PastTrade(Shape):
    """A trade that was held; prices and profit in USD, null while it is."""

    id: int
    ticker: str
    contract: str | None = Field(description="$118,750; null while its bounds are awaited")
    side: Literal["yes", "no"]
    position: float
    opened_at: str
    buy_price: float
    ended_at: str | None
    end_price: float | None
    profit: float | None = Field(description="after fees")


class History(Shape):
    symbol: str
    since: str
    until: str
    every_seconds: int
    ticks: TickColumns
    contracts: list[ContractColumns]
    trades: list[PastTrade]


class ClosestContract(Shape):
    """The contract that was most open: its price was the nearest to 50 cents."""

    ticker: str
    contract: str | None
    model_probability: float = Field(description="percent")
    market_probability: float = Field(description="percent, the middle between bid and ask")
    result: Literal["yes", "no"]


class EventScore(Shape):
    """Brier scores, 0 to 1, over the contracts that model and market both priced."""

    minutes: int = Field(description="before the close")
    contracts: int
    model_brier: float | None
    market_brier: float | None
    closest: ClosestContract | None


class ClosedEvent(Shape):
    event_ticker: str
    series: str | None
    kind: Literal["above", "range", "updown"] | None
    title: str | None
    closes_at: str
    settlement_value: float | None = Field(description="USD; null until it has settled")
    is_provisional: bool
    contracts: int
    results: int
    scores: list[EventScore]
    trades: int
    profit: float | None = Field(description="USD, after fees; null while a trade is held")


class DayOfTrades(Shape):
    day: str = Field(description="UTC")
    trades: int = Field(description="that ended on it")
    profit: float = Field(description="USD, after fees")


class ClosedEvents(Shape):
    symbol: str
    before: str
    events: list[ClosedEvent]
    days: list[DayOfTrades] = Field(description="the last 30 on which trades ended, oldest first")


class Strike(Shape):
    strike: float
    buffer: float
    move_percent: float
    direction: Literal["above", "below"]
    prob_beyond: float
    prob_within: float
    positive_prob: float
    negative_prob: float
    prob_above: float
    sample_size: int | None
    fingerprint: str
    prob_low: float | None
    prob_high: float | None
    deviation: float | None


class Strikes(Shape):
    """Rows of compute_strikes, at full precision."""

    symbol: str
    price: float
    momentum_bps: float | None
    ttc_seconds: int
    method: str
    model: str
    settlement: str
    stand_in: str | None = Field(
        description="replacement of a default that cannot answer; else null"
    )
    strikes: list[Strike]


class Live(Shape):
    status: Literal["live"]


class Ready(Shape):
    timestamp: str
    state: Literal["green", "yellow", "red"]
    problems: list[str]
    symbols: list[dict[str, object]]
    valid_until: str = VALID_UNTIL


class LegacyMomentum(Shape):
    status: Literal["ok"]
    weighted_score: float | None = Field(description="percent")
    momentum_score: float | None = Field(description="percent")
    symbol: str
    state: State


class LegacyPrice(Shape):
    price: float | None = Field(description="USD")
    source: str
    symbol: str
    state: State
    timestamp: str


class LegacyMomentumNow(MomentumNow):
    status: Literal["ok"]
    momentum_score: int | None = Field(description="whole basis points")


class LegacyPriceChanges(Shape):
    """Percent."""

    change1h: float | None
    change3h: float | None
    change1d: float | None
    symbol: str
    state: State
    timestamp: str


class LegacyCore(Shape):
    """Deltas and changes in percent; null where they are not known."""

    date: str = Field(description="in New York")
    time: str = Field(description="in New York")
    ttc_seconds: int | None = Field(ge=0)
    btc_price: float | None = Field(description="USD")
    latest_db_price: float | None = Field(description="of the newest trade, USD per contract")
    timestamp: str
    delta_1m: float | None
    delta_2m: float | None
    delta_3m: float | None
    delta_4m: float | None
    delta_15m: float | None
    delta_30m: float | None
    weighted_momentum_score: float | None = Field(description="percent")
    status: Literal["online", "offline"]
    volScore: None
    volSpike: None
    change1h: float | None
    change3h: float | None
    change1d: float | None
    kalshi_markets: list[None] = Field(max_length=0)
    symbol: str
    state: State


class LegacyFingerprint(Shape):
    symbol: str
    current_momentum_bucket: int | None
    last_used_momentum_bucket: int | None
    fingerprint: str
    fingerprint_file: str
    available_buckets: list[int]
    state: State


class SnapshotMarket(Shape):
    """Whole cents: asks are rounded up, bids down."""

    ticker: str
    floor_strike: float
    status: str | None
    yes_ask: int | None
    no_ask: int | None
    yes_bid: int | None
    no_bid: int | None
    volume: int | None


class MarketSnapshot(Shape):
    """SYMBOL_market_snapshot.json."""

    symbol: str
    event_ticker: str | None
    market_title: str | None
    timestamp: str
    markets: list[SnapshotMarket]
    state: State
    feed: str
    market_at: str
    valid_until: str = VALID_UNTIL
    tick_id: int
    problem: str | None = PROBLEM

"""The shapes of the answers, for OpenAPI: SQL writes them, and a test holds them to this."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

State = Literal["fresh", "warn", "stale", "halted"]


class ProblemDetails(BaseModel):
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


class Probability(BaseModel):
    strike: float
    buffer: float
    move_percent: float
    prob_beyond: float | None
    prob_within: float | None
    direction: Literal["above", "below"]
    positive_prob: float | None
    negative_prob: float | None


class LiveProbabilities(BaseModel):
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
    state: State
    feed: str
    market_at: str


class StrikeRow(BaseModel):
    strike: float
    buffer: float
    buffer_pct: float = Field(description="buffer in steps between strikes")
    probability: float | None = Field(description="not to cross the strike, percent")
    yes_ask: int | None = Field(description="cents, rounded up")
    no_ask: int | None = Field(description="cents, rounded up")
    yes_diff: float | None
    no_diff: float | None
    volume: float | None
    ticker: str | None
    active_side: Literal["yes", "no"]
    yes_ask_dollars: str | None
    no_ask_dollars: str | None
    yes_bid_dollars: str | None
    no_bid_dollars: str | None
    yes_edge: float | None = Field(description="cents per contract, after the taker fee")
    no_edge: float | None = Field(description="cents per contract, after the taker fee")
    prob_above: float | None = Field(description="to close at or above the strike, percent")
    sample_size: int | None
    prob_low: float | None
    prob_high: float | None


class Deltas(BaseModel):
    """Moves of the price over so many minutes, percent."""

    delta_1m: float | None
    delta_2m: float | None
    delta_3m: float | None
    delta_4m: float | None
    delta_15m: float | None
    delta_30m: float | None


class Momentum(BaseModel):
    weighted_score: float | None = Field(description="percent")
    deltas: Deltas


class StrikeTable(BaseModel):
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


class ActiveTrades(BaseModel):
    """The trades that are held, of one symbol or of all."""

    timestamp: str
    active_trades: list[dict[str, object]]
    count: int
    states: dict[str, State] = Field(description="of each symbol's last tick")


class TimeToClose(BaseModel):
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
    timestamp: str


class Price(BaseModel):
    """null from halted on."""

    symbol: str
    price: float | None = Field(description="USD")
    age_seconds: float
    priced_at: str
    state: State
    feed: str
    market_at: str
    tick_id: int
    timestamp: str


class MomentumNow(BaseModel):
    symbol: str
    momentum_bps: float | None = Field(description="basis points")
    weighted_score: float | None = Field(description="percent")
    deltas: Deltas | None
    fingerprint: str
    state: State
    feed: str
    market_at: str
    tick_id: int
    timestamp: str


class Symbol(BaseModel):
    symbol: str
    strike_step: float
    tick_id: int | None
    age_seconds: float | None
    state: State | None
    feed: str | None


class Symbols(BaseModel):
    symbols: list[Symbol]


class FingerprintEntry(BaseModel):
    fingerprint: str
    symbol: str
    bucket: int = Field(description="basis points; 99 is the baseline")
    origin: Literal["built", "imported"] | None
    is_in_use: bool
    minutes: int
    smallest_sample: int | None
    largest_sample: int | None
    made_at: str | None


class Fingerprints(BaseModel):
    fingerprints: list[FingerprintEntry]


class Fingerprint(BaseModel):
    """A matrix of 60 minutes to the close by 120 moves, probabilities in percent."""

    fingerprint: str
    symbol: str
    bucket: int | None = Field(description="basis points; null is the baseline")
    origin: Literal["built", "imported"] | None
    made_at: str | None
    minutes: list[int]
    columns: list[str]
    moves: list[float] = Field(description="percent")
    matrix: list[list[float | None]]
    sample_sizes: list[int | None]


class Score(BaseModel):
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


class Calibration(BaseModel):
    """Rows without minutes are of all times to the close, rows without bin of all probabilities."""

    symbol: str
    since: str | None
    until: str | None
    unjudged_closes: int
    scores: list[Score]


class Strike(BaseModel):
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


class Strikes(BaseModel):
    """What compute_strikes answers, at full precision."""

    symbol: str
    price: float
    momentum_bps: float | None
    ttc_seconds: int
    method: str
    model: str
    settlement: str
    strikes: list[Strike]


class Live(BaseModel):
    status: Literal["live"]


class Ready(BaseModel):
    timestamp: str
    state: Literal["green", "yellow", "red"]
    problems: list[str]
    symbols: list[dict[str, object]]


class LegacyMomentum(BaseModel):
    status: Literal["ok"]
    weighted_score: float | None = Field(description="percent")
    momentum_score: float | None = Field(description="percent")
    symbol: str
    state: State


class LegacyPrice(BaseModel):
    price: float | None = Field(description="USD")
    source: str
    symbol: str
    state: State
    timestamp: str

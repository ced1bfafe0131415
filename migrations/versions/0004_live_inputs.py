"""Tables of live inputs: prices, Kalshi events with their markets, holes in the candles."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SYMBOL = """
ALTER TABLE upc_data.symbol
    ADD COLUMN fee_multiplier numeric NOT NULL DEFAULT 1,
    ADD CONSTRAINT symbol_fee_multiplier_check
        CHECK (fee_multiplier >= 0 AND fee_multiplier <= 100);
COMMENT ON COLUMN upc_data.symbol.fee_multiplier IS
    'What the taker fee of the Kalshi series is multiplied by';
COMMENT ON CONSTRAINT symbol_fee_multiplier_check ON upc_data.symbol IS
    'NaN sorts above every number, so that it is refused too';
"""

PRICE = """
CREATE TABLE upc_data.price (
    symbol text COLLATE "C" NOT NULL,
    exchange text COLLATE "C" NOT NULL,
    received_at timestamptz NOT NULL,
    price double precision NOT NULL,
    exchange_at timestamptz,
    CONSTRAINT price_symbol_exchange_received_at_pkey PRIMARY KEY (symbol, exchange, received_at),
    CONSTRAINT price_price_check CHECK (price > 0 AND price < 'Infinity')
);
COMMENT ON TABLE upc_data.price IS 'the price log: what an exchange said, as it came in';
COMMENT ON COLUMN upc_data.price.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.price.received_at IS 'when it came in, on the clock of the feed';
COMMENT ON COLUMN upc_data.price.exchange IS 'ccxt id of the exchange, e.g. coinbase';
COMMENT ON COLUMN upc_data.price.price IS 'price of the last trade, USD';
COMMENT ON COLUMN upc_data.price.exchange_at IS
    'when it was so, on the clock of the exchange; NULL where the exchange does not say';
COMMENT ON CONSTRAINT price_symbol_exchange_received_at_pkey ON upc_data.price IS
    'the newest price of an exchange by an instant';
COMMENT ON CONSTRAINT price_price_check ON upc_data.price IS
    'NaN sorts above infinity, so that it is refused too';
CREATE INDEX price_symbol_received_at_idx ON upc_data.price (symbol, received_at);
COMMENT ON INDEX upc_data.price_symbol_received_at_idx IS
    'the newest price by an instant, of any exchange; and what is old enough to delete';
"""

MARKET_EVENT = """
CREATE TABLE upc_data.market_event (
    symbol text COLLATE "C" NOT NULL,
    event_ticker text COLLATE "C" NOT NULL,
    series_ticker text NOT NULL,
    title text,
    closes_at timestamptz NOT NULL,
    read_at timestamptz NOT NULL,
    CONSTRAINT market_event_symbol_event_ticker_pkey PRIMARY KEY (symbol, event_ticker)
) WITH (fillfactor = 50);
COMMENT ON TABLE upc_data.market_event IS 'Kalshi events: all strikes of a symbol at one close';
COMMENT ON COLUMN upc_data.market_event.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.market_event.event_ticker IS 'e.g. KXBTCD-25JUL2615';
COMMENT ON COLUMN upc_data.market_event.series_ticker IS 'series of the event, e.g. KXBTCD';
COMMENT ON COLUMN upc_data.market_event.title IS 'title, as Kalshi words it';
COMMENT ON COLUMN upc_data.market_event.closes_at IS
    'when trading ends: the close of its markets, in whose last minute the outcome is averaged';
COMMENT ON COLUMN upc_data.market_event.read_at IS
    'when its markets were read last, on the clock of the feed';
CREATE INDEX market_event_symbol_closes_at_idx ON upc_data.market_event (symbol, closes_at);
COMMENT ON INDEX upc_data.market_event_symbol_closes_at_idx IS 'the event that closes next';
"""

MARKET_QUOTE = """
CREATE TABLE upc_data.market_quote (
    symbol text COLLATE "C" NOT NULL,
    event_ticker text COLLATE "C" NOT NULL,
    ticker text COLLATE "C" NOT NULL,
    strike numeric NOT NULL,
    status text,
    yes_bid numeric,
    yes_ask numeric,
    no_bid numeric,
    no_ask numeric,
    volume numeric,
    result text,
    CONSTRAINT market_quote_symbol_event_ticker_ticker_pkey
        PRIMARY KEY (symbol, event_ticker, ticker),
    CONSTRAINT market_quote_symbol_event_ticker_fkey
        FOREIGN KEY (symbol, event_ticker)
        REFERENCES upc_data.market_event (symbol, event_ticker) ON DELETE CASCADE,
    CONSTRAINT market_quote_price_check CHECK (
        yes_bid BETWEEN 0 AND 1 AND yes_ask BETWEEN 0 AND 1
        AND no_bid BETWEEN 0 AND 1 AND no_ask BETWEEN 0 AND 1
    ),
    CONSTRAINT market_quote_volume_check CHECK (volume >= 0 AND volume < 'Infinity')
) WITH (fillfactor = 50);
COMMENT ON TABLE upc_data.market_quote IS
    'the markets of the events as they were read last; NULL where Kalshi says nothing';
COMMENT ON COLUMN upc_data.market_quote.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.market_quote.event_ticker IS 'event of the market';
COMMENT ON COLUMN upc_data.market_quote.ticker IS 'e.g. KXBTCD-25JUL2615-T117999.99';
COMMENT ON COLUMN upc_data.market_quote.strike IS
    'the market pays if the price ends at or above it, USD: mostly floor_strike + 0.01';
COMMENT ON COLUMN upc_data.market_quote.status IS 'as Kalshi words it; active while it is traded';
COMMENT ON COLUMN upc_data.market_quote.yes_bid IS 'best bid for yes, USD per contract, exact';
COMMENT ON COLUMN upc_data.market_quote.yes_ask IS 'best ask for yes, USD per contract, exact';
COMMENT ON COLUMN upc_data.market_quote.no_bid IS 'best bid for no, USD per contract, exact';
COMMENT ON COLUMN upc_data.market_quote.no_ask IS 'best ask for no, USD per contract, exact';
COMMENT ON COLUMN upc_data.market_quote.volume IS 'contracts traded so far; fractions occur';
COMMENT ON COLUMN upc_data.market_quote.result IS 'yes or no once it is settled';
COMMENT ON CONSTRAINT market_quote_price_check ON upc_data.market_quote IS
    'a contract pays one dollar; NaN sorts above every number, so that it is refused too';
"""

CANDLE_HOLE = """
CREATE TABLE upc_data.candle_hole (
    symbol text COLLATE "C" NOT NULL,
    exchange text COLLATE "C" NOT NULL,
    opened_from timestamptz NOT NULL,
    opened_until timestamptz NOT NULL,
    CONSTRAINT candle_hole_symbol_exchange_opened_from_pkey
        PRIMARY KEY (symbol, exchange, opened_from),
    CONSTRAINT candle_hole_opened_until_check CHECK (opened_until > opened_from)
);
COMMENT ON TABLE upc_data.candle_hole IS
    'minutes for which an exchange was asked and has no candle, so that nobody asks again';
COMMENT ON COLUMN upc_data.candle_hole.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.candle_hole.exchange IS 'ccxt id of the exchange';
COMMENT ON COLUMN upc_data.candle_hole.opened_from IS 'opening time of the first missing candle';
COMMENT ON COLUMN upc_data.candle_hole.opened_until IS
    'opening time of the first candle after the hole';
"""


TICK = """
ALTER TABLE upc_data.tick ADD COLUMN event_ticker text;
COMMENT ON COLUMN upc_data.tick.event_ticker IS
    'the Kalshi event whose close the tick spoke of; NULL where it was the next full hour';
"""


def upgrade() -> None:
    run_sql(SYMBOL)
    run_sql(PRICE)
    run_sql(MARKET_EVENT)
    run_sql(MARKET_QUOTE)
    run_sql(CANDLE_HOLE)
    run_sql(TICK)


def downgrade() -> None:
    run_sql("""
    DROP TABLE upc_data.candle_hole;
    DROP TABLE upc_data.market_quote;
    DROP TABLE upc_data.market_event;
    DROP TABLE upc_data.price;
    ALTER TABLE upc_data.tick DROP COLUMN event_ticker;
    ALTER TABLE upc_data.symbol DROP COLUMN fee_multiplier;
    """)

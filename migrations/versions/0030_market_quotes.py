"""Recorded quotes of Kalshi's contracts, and backtests against them."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

BACKTEST = """
ALTER TABLE upc_data.backtest
    ADD COLUMN prices text COLLATE "C",
    DROP CONSTRAINT backtest_kind_check,
    ADD CONSTRAINT backtest_kind_check CHECK (kind IN ('above', 'range', 'updown', 'market')),
    ADD CONSTRAINT backtest_prices_check CHECK (
        CASE kind
            WHEN 'market' THEN prices IS NOT NULL AND prices IN ('recorded', 'basis', 'candles')
            ELSE prices IS NULL
        END
    );
COMMENT ON COLUMN upc_data.backtest.kind IS
    'what its contracts ask: above a strike, a range, or updown: not below the average of the '
    'minute before the quarter of an hour; market: what Kalshi quoted';
COMMENT ON COLUMN upc_data.backtest.prices IS
    'of kind market the prices that were asked about: recorded beside the quotes where there is '
    'one, else as basis; basis: closes of candles less the basis of the last 12 settlements; '
    'candles: closes as they are';
"""

OBSERVED_EVENT = """
CREATE TABLE upc_data.observed_event (
    symbol text COLLATE "C" NOT NULL,
    backtest_id bigint NOT NULL DEFAULT 0,
    event_ticker text COLLATE "C" NOT NULL,
    series text COLLATE "C" NOT NULL,
    closes_at timestamptz NOT NULL,
    value numeric,
    markets integer,
    read_at timestamptz NOT NULL,
    CONSTRAINT observed_event_symbol_backtest_id_event_ticker_pkey
        PRIMARY KEY (symbol, backtest_id, event_ticker),
    CONSTRAINT observed_event_value_check CHECK (value > 0 AND value < 'Infinity'),
    CONSTRAINT observed_event_markets_check CHECK (markets >= 0)
);
CREATE INDEX observed_event_symbol_backtest_id_closes_at_idx
    ON upc_data.observed_event (symbol, backtest_id, closes_at);
COMMENT ON INDEX upc_data.observed_event_symbol_backtest_id_closes_at_idx IS
    'the last settlements before an instant';
COMMENT ON TABLE upc_data.observed_event IS
    'past events of Kalshi with what they settled on';
COMMENT ON COLUMN upc_data.observed_event.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.observed_event.backtest_id IS
    'the backtest whose files it comes from; 0: read from Kalshi, and kept';
COMMENT ON COLUMN upc_data.observed_event.event_ticker IS 'ticker of the event';
COMMENT ON COLUMN upc_data.observed_event.series IS 'ticker of its series';
COMMENT ON COLUMN upc_data.observed_event.closes_at IS 'close of its contracts';
COMMENT ON COLUMN upc_data.observed_event.value IS
    'what it settled on, USD; NULL where it is not known';
COMMENT ON COLUMN upc_data.observed_event.markets IS
    'markets of which all quotes were read; NULL while they are being read, and of events from '
    'files';
COMMENT ON COLUMN upc_data.observed_event.read_at IS 'time of reading';
"""

MARKET_OBSERVATION = """
CREATE TABLE upc_data.market_observation (
    symbol text COLLATE "C" NOT NULL,
    backtest_id bigint NOT NULL DEFAULT 0,
    closes_at timestamptz NOT NULL,
    event_ticker text COLLATE "C" NOT NULL,
    ticker text COLLATE "C" NOT NULL,
    observed_at timestamptz NOT NULL,
    lower numeric,
    upper numeric,
    yes_bid numeric,
    yes_ask numeric,
    later_yes_ask numeric,
    later_no_ask numeric,
    price double precision,
    outcome boolean NOT NULL,
    CONSTRAINT market_observation_pkey
        PRIMARY KEY (symbol, backtest_id, closes_at, event_ticker, ticker, observed_at),
    CONSTRAINT market_observation_observed_at_check CHECK (observed_at < closes_at),
    CONSTRAINT market_observation_lower_check
        CHECK (coalesce(lower, upper) IS NOT NULL AND coalesce(lower < upper, true)),
    CONSTRAINT market_observation_yes_bid_check CHECK (yes_bid > 0 AND yes_bid < 1),
    CONSTRAINT market_observation_yes_ask_check CHECK (yes_ask > 0 AND yes_ask < 1),
    CONSTRAINT market_observation_later_yes_ask_check
        CHECK (later_yes_ask > 0 AND later_yes_ask < 1),
    CONSTRAINT market_observation_later_no_ask_check
        CHECK (later_no_ask > 0 AND later_no_ask < 1),
    CONSTRAINT market_observation_price_check CHECK (price > 0 AND price < 'Infinity')
);
COMMENT ON TABLE upc_data.market_observation IS
    'recorded quotes of contracts of past events, and whether the contracts paid';
COMMENT ON COLUMN upc_data.market_observation.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.market_observation.backtest_id IS
    'the backtest whose files it comes from, until that is complete; 0: read from Kalshi, and kept';
COMMENT ON COLUMN upc_data.market_observation.closes_at IS 'close of the contract';
COMMENT ON COLUMN upc_data.market_observation.event_ticker IS 'ticker of the event';
COMMENT ON COLUMN upc_data.market_observation.ticker IS 'ticker of the contract''s market';
COMMENT ON COLUMN upc_data.market_observation.observed_at IS 'instant of the quotes';
COMMENT ON COLUMN upc_data.market_observation.lower IS
    'USD: the contract pays yes iff the settlement value is at least this; NULL: no lower bound';
COMMENT ON COLUMN upc_data.market_observation.upper IS
    'USD: and below this; NULL: no upper bound';
COMMENT ON COLUMN upc_data.market_observation.yes_bid IS
    'best bid for yes, USD per contract; NULL: nobody bids';
COMMENT ON COLUMN upc_data.market_observation.yes_ask IS
    'best ask of yes, USD per contract; NULL: nobody offers';
COMMENT ON COLUMN upc_data.market_observation.later_yes_ask IS
    'ask of yes at which is bought what was decided on these quotes, USD per contract: a minute '
    'later, or of a recorder the same; NULL: nobody offers';
COMMENT ON COLUMN upc_data.market_observation.later_no_ask IS
    'the same of no, USD per contract';
COMMENT ON COLUMN upc_data.market_observation.price IS
    'price that was recorded beside the quotes, USD; NULL without one';
COMMENT ON COLUMN upc_data.market_observation.outcome IS 'true where the contract paid yes';
"""

MARKET_ANSWER = """
CREATE TABLE upc_data.market_answer (
    symbol text COLLATE "C" NOT NULL,
    backtest_id bigint NOT NULL,
    closes_at timestamptz NOT NULL,
    event_ticker text COLLATE "C" NOT NULL,
    ticker text COLLATE "C" NOT NULL,
    observed_at timestamptz NOT NULL,
    ttc_seconds integer NOT NULL,
    lower numeric,
    upper numeric,
    price double precision NOT NULL,
    volatility double precision NOT NULL,
    gaussian double precision NOT NULL,
    market double precision,
    blend double precision,
    yes_cost double precision,
    no_cost double precision,
    later_yes_cost double precision,
    later_no_cost double precision,
    outcome boolean NOT NULL,
    CONSTRAINT market_answer_pkey
        PRIMARY KEY (symbol, backtest_id, closes_at, event_ticker, ticker, observed_at),
    CONSTRAINT market_answer_symbol_backtest_id_fkey
        FOREIGN KEY (symbol, backtest_id)
        REFERENCES upc_data.backtest (symbol, backtest_id) ON DELETE CASCADE
);
COMMENT ON TABLE upc_data.market_answer IS
    'answers of a backtest against the market: a row per contract and instant';
COMMENT ON COLUMN upc_data.market_answer.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.market_answer.backtest_id IS 'the backtest';
COMMENT ON COLUMN upc_data.market_answer.closes_at IS 'close of the contract';
COMMENT ON COLUMN upc_data.market_answer.event_ticker IS 'ticker of the event';
COMMENT ON COLUMN upc_data.market_answer.ticker IS 'ticker of the contract''s market';
COMMENT ON COLUMN upc_data.market_answer.observed_at IS 'instant of the quotes';
COMMENT ON COLUMN upc_data.market_answer.ttc_seconds IS 'whole seconds from it to the close';
COMMENT ON COLUMN upc_data.market_answer.lower IS 'lower bound of the contract, USD';
COMMENT ON COLUMN upc_data.market_answer.upper IS 'upper bound of the contract, USD';
COMMENT ON COLUMN upc_data.market_answer.price IS 'price that was asked about, USD';
COMMENT ON COLUMN upc_data.market_answer.volatility IS
    'probability of yes by the model volatility, linear, 0 to 1';
COMMENT ON COLUMN upc_data.market_answer.gaussian IS 'probability of yes by the Gaussian, 0 to 1';
COMMENT ON COLUMN upc_data.market_answer.market IS
    'middle of bid and ask, 0 to 1; NULL where one of them is missing: such a row is not scored';
COMMENT ON COLUMN upc_data.market_answer.blend IS
    'mixture of the log-odds of volatility and market, 0 to 1, by the weight of the days before';
COMMENT ON COLUMN upc_data.market_answer.yes_cost IS
    'cost of a yes contract at the ask of the quotes with its part of the fee, cents; NULL: no '
    'offer';
COMMENT ON COLUMN upc_data.market_answer.no_cost IS 'the same of a no contract, cents';
COMMENT ON COLUMN upc_data.market_answer.later_yes_cost IS
    'cost of a yes contract when it is bought, cents; NULL: no offer then';
COMMENT ON COLUMN upc_data.market_answer.later_no_cost IS 'the same of a no contract, cents';
COMMENT ON COLUMN upc_data.market_answer.outcome IS 'true where the contract paid yes';
"""

BACKTEST_PROFIT = """
CREATE TABLE upc_data.backtest_profit (
    symbol text COLLATE "C" NOT NULL,
    backtest_id bigint NOT NULL,
    model text COLLATE "C" NOT NULL,
    min_edge double precision NOT NULL,
    day date NOT NULL,
    contracts integer NOT NULL,
    wins integer NOT NULL,
    cost double precision NOT NULL,
    edge double precision NOT NULL,
    profit double precision NOT NULL,
    CONSTRAINT backtest_profit_pkey PRIMARY KEY (symbol, backtest_id, model, min_edge, day),
    CONSTRAINT backtest_profit_symbol_backtest_id_fkey
        FOREIGN KEY (symbol, backtest_id)
        REFERENCES upc_data.backtest (symbol, backtest_id) ON DELETE CASCADE
);
COMMENT ON TABLE upc_data.backtest_profit IS
    'sums over the contracts that a backtest against the market buys, by day: one of every edge';
COMMENT ON COLUMN upc_data.backtest_profit.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.backtest_profit.backtest_id IS 'the backtest';
COMMENT ON COLUMN upc_data.backtest_profit.model IS 'model whose edges are bought';
COMMENT ON COLUMN upc_data.backtest_profit.min_edge IS
    'edges above this are bought, cents per contract';
COMMENT ON COLUMN upc_data.backtest_profit.day IS 'UTC day of the close';
COMMENT ON COLUMN upc_data.backtest_profit.contracts IS 'contracts bought';
COMMENT ON COLUMN upc_data.backtest_profit.wins IS 'those of them that paid';
COMMENT ON COLUMN upc_data.backtest_profit.cost IS 'what was paid for them with fees, cents';
COMMENT ON COLUMN upc_data.backtest_profit.edge IS
    'sum of the edges that they were bought for, cents';
COMMENT ON COLUMN upc_data.backtest_profit.profit IS
    'what they paid less what was paid for them, cents';
"""


def upgrade() -> None:
    for each in (BACKTEST, OBSERVED_EVENT, MARKET_OBSERVATION, MARKET_ANSWER, BACKTEST_PROFIT):
        run_sql(each)


def downgrade() -> None:
    run_sql(
        """
        DROP TABLE upc_data.backtest_profit;
        DROP TABLE upc_data.market_answer;
        DROP TABLE upc_data.market_observation;
        DROP TABLE upc_data.observed_event;
        DELETE FROM upc_data.backtest WHERE kind = 'market';
        ALTER TABLE upc_data.backtest
            DROP CONSTRAINT backtest_kind_check,
            DROP COLUMN prices,
            ADD CONSTRAINT backtest_kind_check CHECK (kind IN ('above', 'range', 'updown'));
        """
    )

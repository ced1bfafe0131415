"""The log of contracts: what each was worth and cost, once a minute and at every stop."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

# Arrays of an event's contracts, one row an event and instant: a row for each contract would be
# 576,000 a day and symbol.
CONTRACT_LOG = """
CREATE TABLE upc_data.contract_log (
    symbol text COLLATE "C" NOT NULL,
    logged_at timestamptz NOT NULL,
    tick_id bigint NOT NULL,
    event_ticker text COLLATE "C" NOT NULL,
    is_minute boolean NOT NULL,
    price double precision NOT NULL,
    model text,
    tickers text[] NOT NULL,
    probabilities double precision[] NOT NULL,
    yes_bids numeric[] NOT NULL,
    yes_asks numeric[] NOT NULL,
    no_bids numeric[] NOT NULL,
    no_asks numeric[] NOT NULL,
    yes_bid_sizes numeric[] NOT NULL,
    yes_ask_sizes numeric[] NOT NULL,
    no_bid_sizes numeric[] NOT NULL,
    no_ask_sizes numeric[] NOT NULL,
    CONSTRAINT contract_log_pkey PRIMARY KEY (symbol, logged_at, tick_id, event_ticker)
) PARTITION BY RANGE (logged_at);
CREATE INDEX contract_log_symbol_event_ticker_logged_at_idx
    ON upc_data.contract_log (symbol, event_ticker, logged_at);
COMMENT ON TABLE upc_data.contract_log IS
    'contracts with a quote, once a minute and at every stop: a row for each event, with arrays of '
    'one element a contract; a partition a day (UTC)';
COMMENT ON COLUMN upc_data.contract_log.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.contract_log.logged_at IS 'clock of the tick';
COMMENT ON COLUMN upc_data.contract_log.tick_id IS 'the tick that logged them';
COMMENT ON COLUMN upc_data.contract_log.event_ticker IS 'their event';
COMMENT ON COLUMN upc_data.contract_log.is_minute IS
    'true for what is logged once in its minute; false where a stop fired after that';
COMMENT ON COLUMN upc_data.contract_log.price IS 'price that they were answered by, USD';
COMMENT ON COLUMN upc_data.contract_log.model IS
    'that answered; NULL where none does so far from the close';
COMMENT ON COLUMN upc_data.contract_log.tickers IS 'contracts with a quote, by their bounds';
COMMENT ON COLUMN upc_data.contract_log.probabilities IS
    'that yes pays, percent; NULL where that is not known';
COMMENT ON COLUMN upc_data.contract_log.yes_bids IS
    'the best bid for yes, USD per contract, exact; NULL where nobody bids';
COMMENT ON COLUMN upc_data.contract_log.yes_asks IS 'the best ask for yes, like yes_bids';
COMMENT ON COLUMN upc_data.contract_log.no_bids IS 'the best bid for no, like yes_bids';
COMMENT ON COLUMN upc_data.contract_log.no_asks IS 'the best ask for no, like yes_bids';
COMMENT ON COLUMN upc_data.contract_log.yes_bid_sizes IS
    'contracts wanted at the best bid for yes; NULL where that is not known';
COMMENT ON COLUMN upc_data.contract_log.yes_ask_sizes IS
    'contracts offered at the best ask for yes';
COMMENT ON COLUMN upc_data.contract_log.no_bid_sizes IS 'contracts wanted at the best bid for no';
COMMENT ON COLUMN upc_data.contract_log.no_ask_sizes IS 'contracts offered at the best ask for no';
COMMENT ON CONSTRAINT contract_log_pkey ON upc_data.contract_log IS
    'contracts of a span of time; a tick logs an event once';
COMMENT ON INDEX upc_data.contract_log_symbol_event_ticker_logged_at_idx IS
    'events that the log has, which are kept';
CREATE TABLE upc_data.contract_log_default (
    LIKE upc_data.contract_log
    INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING COMMENTS INCLUDING STORAGE
);
ALTER TABLE upc_data.contract_log ATTACH PARTITION upc_data.contract_log_default DEFAULT;
COMMENT ON TABLE upc_data.contract_log_default IS
    'rows of upc_data.contract_log of days without a partition';
COMMENT ON CONSTRAINT contract_log_default_pkey ON upc_data.contract_log_default IS
    'contracts of a span of time; a tick logs an event once';
COMMENT ON INDEX upc_data.contract_log_default_symbol_event_ticker_logged_at_idx IS
    'events that the log has, which are kept';
ALTER TABLE upc_data.tick_count ADD COLUMN contracts_minute timestamptz;
COMMENT ON COLUMN upc_data.tick_count.contracts_minute IS
    'beginning of the minute whose contracts were logged last';
"""


def upgrade() -> None:
    run_sql(CONTRACT_LOG)


def downgrade() -> None:
    run_sql(
        """
        DROP TABLE upc_data.contract_log;
        ALTER TABLE upc_data.tick_count DROP COLUMN contracts_minute;
        """
    )

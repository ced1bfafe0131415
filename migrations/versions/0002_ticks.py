"""Tables of the tick: its log, the lease, and the documents that it publishes."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TICK = """
CREATE TABLE upc_data.tick (
    symbol text COLLATE "C" NOT NULL,
    tick_id bigint GENERATED ALWAYS AS IDENTITY,
    ticked_at timestamptz NOT NULL,
    feed text NOT NULL,
    state text NOT NULL,
    market_at timestamptz NOT NULL,
    price double precision NOT NULL,
    priced_at timestamptz NOT NULL,
    momentum double precision,
    ttc_seconds integer NOT NULL,
    method text NOT NULL,
    fingerprint text NOT NULL,
    strikes double precision[] NOT NULL,
    prob_above double precision[],
    CONSTRAINT tick_symbol_tick_id_pkey PRIMARY KEY (symbol, tick_id),
    CONSTRAINT tick_state_check CHECK (state IN ('fresh', 'warn', 'stale', 'halted')),
    CONSTRAINT tick_price_check CHECK (price > 0 AND price < 'Infinity'),
    -- A probability that is published is backed by a price that was not too old.
    CONSTRAINT tick_prob_above_check CHECK ((prob_above IS NULL) = (state = 'halted'))
);
COMMENT ON TABLE upc_data.tick IS 'every tick: what it saw and what it answered';
COMMENT ON COLUMN upc_data.tick.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.tick.tick_id IS 'ascending number, also in the notification upc_tick';
COMMENT ON COLUMN upc_data.tick.ticked_at IS 'when the tick was computed';
COMMENT ON COLUMN upc_data.tick.feed IS 'where the price came from, e.g. replay or simulated';
COMMENT ON COLUMN upc_data.tick.state IS 'freshness of the price: fresh, warn, stale or halted';
COMMENT ON COLUMN upc_data.tick.market_at IS
    'the instant that the tick speaks of: now, or the stored instant that a replay shows';
COMMENT ON COLUMN upc_data.tick.price IS 'price, USD';
COMMENT ON COLUMN upc_data.tick.priced_at IS 'when the price was seen, on the clock of market_at';
COMMENT ON COLUMN upc_data.tick.momentum IS 'momentum, basis points; NULL where it is not known';
COMMENT ON COLUMN upc_data.tick.ttc_seconds IS 'whole seconds to the close of the contracts';
COMMENT ON COLUMN upc_data.tick.method IS 'how the probabilities were read off the grid';
COMMENT ON COLUMN upc_data.tick.fingerprint IS 'the fingerprint that answered';
COMMENT ON COLUMN upc_data.tick.strikes IS 'strikes, USD, ascending';
COMMENT ON COLUMN upc_data.tick.prob_above IS
    'probability in percent to close at or above each strike; NULL from halted on';
COMMENT ON CONSTRAINT tick_symbol_tick_id_pkey ON upc_data.tick IS
    'finds the tick that a notification names';
COMMENT ON CONSTRAINT tick_state_check ON upc_data.tick IS 'the four states of upc.freshness';

CREATE INDEX tick_symbol_ticked_at_idx ON upc_data.tick (symbol, ticked_at);
COMMENT ON INDEX upc_data.tick_symbol_ticked_at_idx IS
    'ticks of the last minutes, for the status and for analysis';
"""

TICK_LEASE = """
CREATE TABLE upc_data.tick_lease (
    symbol text COLLATE "C" NOT NULL,
    holder text NOT NULL,
    taken_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT tick_lease_symbol_pkey PRIMARY KEY (symbol)
) WITH (fillfactor = 50);
COMMENT ON TABLE upc_data.tick_lease IS
    'who may tick a symbol; renewed by every tick in its own transaction';
COMMENT ON COLUMN upc_data.tick_lease.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.tick_lease.holder IS 'the process that ticks, in words';
COMMENT ON COLUMN upc_data.tick_lease.taken_at IS 'when the holder began';
COMMENT ON COLUMN upc_data.tick_lease.expires_at IS 'from then on anyone may take the lease';
COMMENT ON CONSTRAINT tick_lease_symbol_pkey ON upc_data.tick_lease IS
    'one process ticks a symbol at a time';
"""

DOCUMENT = """
CREATE TABLE upc_data.document (
    symbol text COLLATE "C" NOT NULL,
    tick_id bigint NOT NULL,
    live_probabilities json NOT NULL,
    strike_table json NOT NULL,
    watchlist json NOT NULL,
    CONSTRAINT document_symbol_pkey PRIMARY KEY (symbol)
) WITH (fillfactor = 50);
-- A second's life is not worth compressing for.
ALTER TABLE upc_data.document
    ALTER COLUMN live_probabilities SET STORAGE EXTERNAL,
    ALTER COLUMN strike_table SET STORAGE EXTERNAL,
    ALTER COLUMN watchlist SET STORAGE EXTERNAL;
COMMENT ON TABLE upc_data.document IS 'what the last tick of each symbol published';
COMMENT ON COLUMN upc_data.document.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.document.tick_id IS 'the tick in upc_data.tick';
COMMENT ON COLUMN upc_data.document.live_probabilities IS
    'content of <symbol>_live_probabilities.json';
COMMENT ON COLUMN upc_data.document.strike_table IS 'content of <symbol>_strike_table.json';
COMMENT ON COLUMN upc_data.document.watchlist IS 'content of <symbol>_watchlist.json';
COMMENT ON CONSTRAINT document_symbol_pkey ON upc_data.document IS 'readers ask by symbol';
"""


def upgrade() -> None:
    run_sql(TICK)
    run_sql(TICK_LEASE)
    run_sql(DOCUMENT)


def downgrade() -> None:
    run_sql("""
    DROP TABLE upc_data.document;
    DROP TABLE upc_data.tick_lease;
    DROP TABLE upc_data.tick;
    """)

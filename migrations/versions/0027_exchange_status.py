"""The exchange's status by shard; events keep their settlement and statuses that nobody knows."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

STATUS = """
CREATE TABLE upc_data.exchange_status (
    exchange_index integer NOT NULL,
    description text,
    is_exchange_active boolean NOT NULL,
    is_trading_active boolean NOT NULL,
    resumes_at timestamptz,
    read_at timestamptz NOT NULL,
    CONSTRAINT exchange_status_exchange_index_pkey PRIMARY KEY (exchange_index),
    CONSTRAINT exchange_status_exchange_index_check CHECK (exchange_index >= 0)
) WITH (fillfactor = 50);
COMMENT ON TABLE upc_data.exchange_status IS
    'shards of Kalshi''s exchange and whether they trade, as the exchange said last';
COMMENT ON COLUMN upc_data.exchange_status.exchange_index IS
    'number of the shard; 0 is the default one, and stands for every shard that is not listed';
COMMENT ON COLUMN upc_data.exchange_status.description IS 'name that the exchange has for it';
COMMENT ON COLUMN upc_data.exchange_status.is_exchange_active IS
    'false while it takes nothing at all: maintenance';
COMMENT ON COLUMN upc_data.exchange_status.is_trading_active IS 'false while trading is paused';
COMMENT ON COLUMN upc_data.exchange_status.resumes_at IS
    'when the exchange expects to be back; NULL where it does not say';
COMMENT ON COLUMN upc_data.exchange_status.read_at IS 'when it was received';
COMMENT ON CONSTRAINT exchange_status_exchange_index_pkey ON upc_data.exchange_status IS
    'the shard of an event';
"""

# Events that were read before have the settlement of their series until they are read again.
EVENT = """
ALTER TABLE upc_data.market_event
    ADD COLUMN exchange_index integer,
    ADD COLUMN has_rules boolean NOT NULL DEFAULT false,
    ADD COLUMN settlement text COLLATE "C",
    ADD COLUMN unknown_status text,
    ADD CONSTRAINT market_event_settlement_check
        CHECK (settlement IN ('average', 'trimmed', 'close'));
COMMENT ON COLUMN upc_data.market_event.exchange_index IS
    'shard of the exchange that it is traded on; NULL is the default one';
COMMENT ON COLUMN upc_data.market_event.has_rules IS
    'true once its rules were read; until then its series says what settles it';
COMMENT ON COLUMN upc_data.market_event.settlement IS
    'what settles it by its own rules: average, trimmed or close; NULL where they do not say '
    'clearly, or were not read';
COMMENT ON COLUMN upc_data.market_event.unknown_status IS
    'a status of some of its markets that is none of those known; such markets are not traded';
COMMENT ON COLUMN upc_data.series.settlement IS
    'what settles its events by the rules of the one that closes last: the average of the last '
    'minute, its trimmed average, or the close; NULL where the rules do not say clearly';
"""

ANNOUNCED = """
ALTER TABLE upc_data.condition
    DROP CONSTRAINT condition_subject_check,
    DROP CONSTRAINT condition_state_check,
    ADD CONSTRAINT condition_subject_check
        CHECK (subject IN ('price', 'quotes', 'tick', 'exchange')),
    ADD CONSTRAINT condition_state_check CHECK (state IN ('stale', 'halted', 'paused'));
COMMENT ON COLUMN upc_data.condition.subject IS 'price, quotes, tick or exchange';
COMMENT ON COLUMN upc_data.condition.state IS 'stale or halted; of the exchange paused';
ALTER TABLE upc_data.announcement
    DROP CONSTRAINT announcement_kind_check,
    DROP CONSTRAINT announcement_subject_check,
    ADD CONSTRAINT announcement_kind_check
        CHECK (kind IN ('stop', 'settled', 'stale', 'halted', 'paused', 'recovered')),
    ADD CONSTRAINT announcement_subject_check
        CHECK (subject IN ('trade', 'price', 'quotes', 'tick', 'exchange'));
COMMENT ON COLUMN upc_data.announcement.kind IS
    'stop or settled, of a trade; stale, halted, paused or recovered, of what a tick depends on';
COMMENT ON COLUMN upc_data.announcement.subject IS 'trade, price, quotes, tick or exchange';
"""

DOWNGRADE = """
DELETE FROM upc_data.announcement WHERE subject = 'exchange';
ALTER TABLE upc_data.announcement
    DROP CONSTRAINT announcement_kind_check,
    DROP CONSTRAINT announcement_subject_check,
    ADD CONSTRAINT announcement_kind_check
        CHECK (kind IN ('stop', 'settled', 'stale', 'halted', 'recovered')),
    ADD CONSTRAINT announcement_subject_check
        CHECK (subject IN ('trade', 'price', 'quotes', 'tick'));
COMMENT ON COLUMN upc_data.announcement.kind IS
    'stop or settled, of a trade; stale, halted or recovered, of what a tick depends on';
COMMENT ON COLUMN upc_data.announcement.subject IS 'trade, price, quotes or tick';
DELETE FROM upc_data.condition WHERE subject = 'exchange';
ALTER TABLE upc_data.condition
    DROP CONSTRAINT condition_subject_check,
    DROP CONSTRAINT condition_state_check,
    ADD CONSTRAINT condition_subject_check CHECK (subject IN ('price', 'quotes', 'tick')),
    ADD CONSTRAINT condition_state_check CHECK (state IN ('stale', 'halted'));
COMMENT ON COLUMN upc_data.condition.subject IS 'price, quotes or tick';
COMMENT ON COLUMN upc_data.condition.state IS 'stale or halted';
COMMENT ON COLUMN upc_data.series.settlement IS
    'what settles its events by their rules: the average of the last minute, its trimmed average, '
    'or the close; NULL where the rules do not say clearly';
ALTER TABLE upc_data.market_event
    DROP COLUMN unknown_status,
    DROP COLUMN settlement,
    DROP COLUMN has_rules,
    DROP COLUMN exchange_index;
DROP TABLE upc_data.exchange_status;
"""


def upgrade() -> None:
    run_sql(STATUS)
    run_sql(EVENT)
    run_sql(ANNOUNCED)


def downgrade() -> None:
    run_sql(DOWNGRADE)

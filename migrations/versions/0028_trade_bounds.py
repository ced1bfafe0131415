"""Trades of contracts of every kind."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

# Contracts that were traded so far pay above a strike, which is their lower bound.
TRADE = """
ALTER TABLE upc_data.trade RENAME COLUMN strike TO lower;
ALTER TABLE upc_data.trade
    ALTER COLUMN lower DROP NOT NULL,
    ADD COLUMN upper numeric,
    ADD COLUMN kind text COLLATE "C" NOT NULL DEFAULT 'above',
    ADD CONSTRAINT trade_lower_upper_check CHECK (lower < upper),
    ADD CONSTRAINT trade_kind_check CHECK (kind IN ('above', 'range', 'updown'));
UPDATE upc_data.trade AS t
SET kind = s.kind
FROM upc_data.market_event AS e
JOIN upc_data.series AS s ON s.symbol = e.symbol AND s.series = e.series_ticker
WHERE e.symbol = t.symbol AND e.event_ticker = t.event_ticker AND s.kind <> 'above';
ALTER TABLE upc_data.trade ALTER COLUMN kind DROP DEFAULT;
COMMENT ON COLUMN upc_data.trade.lower IS
    'yes pays if the value that settles it is at or above it, USD; as the market had it last. NULL '
    'where it is open downwards, and with upper while the strike is awaited';
COMMENT ON COLUMN upc_data.trade.upper IS
    'yes pays if the value that settles it is below it, USD; as the market had it last. NULL where '
    'it is open upwards';
COMMENT ON COLUMN upc_data.trade.kind IS
    'what its contract asks: above a strike, a range, or updown; as its series was when the trade '
    'was opened';
COMMENT ON CONSTRAINT trade_lower_upper_check ON upc_data.trade IS
    'Nothing pays where the bounds meet or cross';
"""

ANNOUNCEMENT = """
ALTER TABLE upc_data.announcement
    DROP CONSTRAINT announcement_kind_check,
    ADD CONSTRAINT announcement_kind_check
        CHECK (
            kind IN ('stop', 'settled', 'changed', 'stale', 'halted', 'paused', 'recovered')
        );
COMMENT ON COLUMN upc_data.announcement.kind IS
    'stop or settled, of a trade; changed, of its market; stale, halted, paused or recovered, of '
    'what a tick depends on';
COMMENT ON COLUMN upc_data.market_quote.status IS
    'as Kalshi words it: initialized, active, inactive, closed, determined, disputed, amended, '
    'finalized or another; active while it is traded. left_out: it is held and cannot be read';
"""

# The revision before knows strikes alone; fills go with their trade.
DOWNGRADE = """
DELETE FROM upc_data.announcement WHERE kind = 'changed';
ALTER TABLE upc_data.announcement
    DROP CONSTRAINT announcement_kind_check,
    ADD CONSTRAINT announcement_kind_check
        CHECK (kind IN ('stop', 'settled', 'stale', 'halted', 'paused', 'recovered'));
COMMENT ON COLUMN upc_data.announcement.kind IS
    'stop or settled, of a trade; stale, halted, paused or recovered, of what a tick depends on';
COMMENT ON COLUMN upc_data.market_quote.status IS
    'as Kalshi words it: initialized, active, inactive, closed, determined, disputed, amended, '
    'finalized or another; active while it is traded';
DELETE FROM upc_data.trade WHERE lower IS NULL OR upper IS NOT NULL;
ALTER TABLE upc_data.trade
    DROP COLUMN kind,
    DROP COLUMN upper,
    ALTER COLUMN lower SET NOT NULL;
ALTER TABLE upc_data.trade RENAME COLUMN lower TO strike;
COMMENT ON COLUMN upc_data.trade.strike IS
    'yes pays if the price ends at or above it, USD; as the market said when the trade was opened';
"""


def upgrade() -> None:
    run_sql(TRADE)
    run_sql(ANNOUNCEMENT)


def downgrade() -> None:
    run_sql(DOWNGRADE)

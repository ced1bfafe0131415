"""Settlements that are provisional until the result is final, and corrections of them."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0024"
down_revision = "0022"
branch_labels = None
depends_on = None

TRADE = """
ALTER TABLE upc_data.trade
    ADD COLUMN is_provisional boolean NOT NULL DEFAULT false,
    DROP CONSTRAINT trade_ended_at_check,
    ADD CONSTRAINT trade_ended_at_check CHECK (
        (ended_at IS NOT NULL) = (status IN ('closed', 'settled'))
        AND (ended_at IS NULL) = (end_price IS NULL)
        AND (ended_at IS NULL) = (end_fee IS NULL)
        AND (result IS NULL) = (status <> 'settled')
        AND (result IS NULL OR result IN ('yes', 'no', 'scalar', 'void'))
        AND (NOT is_provisional OR status = 'settled')
    );
CREATE INDEX trade_symbol_provisional_idx ON upc_data.trade (symbol) WHERE is_provisional;
COMMENT ON COLUMN upc_data.trade.is_provisional IS
    'settled by a result that is not final: Kalshi may still amend it';
COMMENT ON COLUMN upc_data.trade.result IS
    'yes, no, scalar or void, of the market; NULL unless settled';
COMMENT ON INDEX upc_data.trade_symbol_provisional_idx IS
    'the trades whose result a tick looks at until it is final';
"""

FILL = """
ALTER TABLE upc_data.fill
    ADD COLUMN note text,
    DROP CONSTRAINT fill_kind_check,
    ADD CONSTRAINT fill_kind_check CHECK (kind IN ('buy', 'sale', 'settlement', 'correction'));
COMMENT ON COLUMN upc_data.fill.note IS 'why the ledger was corrected; NULL but for corrections';
COMMENT ON COLUMN upc_data.fill.kind IS
    'buy, sale, settlement, or correction: it takes the place of the settlement before it';
"""

# A trade that paid neither one nor nothing is one that the revision before does not know.
DOWNGRADE = """
DELETE FROM upc_data.fill WHERE kind = 'correction';
UPDATE upc_data.trade
SET status = 'closed', result = NULL, is_provisional = false
WHERE result NOT IN ('yes', 'no');
ALTER TABLE upc_data.fill
    DROP COLUMN note,
    DROP CONSTRAINT fill_kind_check,
    ADD CONSTRAINT fill_kind_check CHECK (kind IN ('buy', 'sale', 'settlement'));
COMMENT ON COLUMN upc_data.fill.kind IS 'buy, sale or settlement';
DROP INDEX upc_data.trade_symbol_provisional_idx;
ALTER TABLE upc_data.trade
    DROP CONSTRAINT trade_ended_at_check,
    DROP COLUMN is_provisional,
    ADD CONSTRAINT trade_ended_at_check CHECK (
        (ended_at IS NOT NULL) = (status IN ('closed', 'settled'))
        AND (ended_at IS NULL) = (end_price IS NULL)
        AND (ended_at IS NULL) = (end_fee IS NULL)
        AND (result IS NULL) = (status <> 'settled')
        AND (result IS NULL OR result IN ('yes', 'no'))
    );
COMMENT ON COLUMN upc_data.trade.result IS 'yes or no, of the market; NULL unless settled';
"""


def upgrade() -> None:
    run_sql(TRADE)
    run_sql(FILL)


def downgrade() -> None:
    run_sql(DOWNGRADE)

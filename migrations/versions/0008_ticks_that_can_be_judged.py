"""Columns by which a tick's probabilities are judged later: model, asks, and time of the close."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TICK = """
ALTER TABLE upc_data.tick
    ADD COLUMN model text NOT NULL DEFAULT 'momentum',
    ADD COLUMN settlement text NOT NULL DEFAULT 'close',
    ADD COLUMN volatility double precision,
    ADD COLUMN closes_at timestamptz,
    ADD COLUMN yes_ask numeric[],
    ADD COLUMN no_ask numeric[],
    ADD CONSTRAINT tick_settlement_check CHECK (settlement IN ('close', 'average'));
COMMENT ON COLUMN upc_data.tick.model IS 'the model that the probabilities come from';
COMMENT ON COLUMN upc_data.tick.settlement IS
    'what the contracts are taken to be settled by: the close, or the average of the last minute';
COMMENT ON COLUMN upc_data.tick.volatility IS
    'forecast of the standard deviation of the move until the close, percent of the price; NULL '
    'where it could not be forecast';
COMMENT ON COLUMN upc_data.tick.closes_at IS
    'when the contracts close; NULL for ticks that were logged before it was';
COMMENT ON COLUMN upc_data.tick.yes_ask IS
    'what yes cost at each of the strikes, USD per contract, exact; elements are NULL where there '
    'is no ask, all of it is where no edge may be told: no event, a stale price or stale quotes';
COMMENT ON COLUMN upc_data.tick.no_ask IS 'what no cost at each of the strikes, like yes_ask';
"""


def upgrade() -> None:
    run_sql(TICK)


def downgrade() -> None:
    run_sql("""
    ALTER TABLE upc_data.tick
        DROP COLUMN no_ask,
        DROP COLUMN yes_ask,
        DROP COLUMN closes_at,
        DROP COLUMN volatility,
        DROP COLUMN settlement,
        DROP COLUMN model;
    """)

"""An event keeps its strikes: each tick takes the nearest ones of them."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

STRIKES = """
ALTER TABLE upc_data.market_event ADD COLUMN strikes double precision[];
COMMENT ON COLUMN upc_data.market_event.strikes IS
    'lower bounds of its contracts, USD, ascending, each once; NULL where none has one';

UPDATE upc_data.market_event AS e
SET strikes = (
    SELECT array_agg(DISTINCT q.lower::double precision ORDER BY q.lower::double precision)
    FROM upc_data.market_quote AS q
    WHERE q.symbol = e.symbol AND q.event_ticker = e.event_ticker AND q.lower IS NOT NULL
)
WHERE e.closes_at > now() - interval '1 day';
"""


def upgrade() -> None:
    run_sql(STRIKES)


def downgrade() -> None:
    run_sql("ALTER TABLE upc_data.market_event DROP COLUMN strikes;")

"""The documents of a symbol's newest tick have the one of its contracts."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

DOCUMENT = """
ALTER TABLE upc_data.document ADD COLUMN contracts text;
ALTER TABLE upc_data.document ALTER COLUMN contracts SET STORAGE EXTERNAL;
COMMENT ON COLUMN upc_data.document.contracts IS
    'content of <symbol>_contracts.json, as text: to read it as json takes as long as to make it';

-- Nobody knows what the contracts were at that tick.
UPDATE upc_data.document AS d
SET contracts = json_build_object(
    'symbol', d.symbol,
    'timestamp', d.live_probabilities -> 'timestamp',
    'current_price', d.live_probabilities -> 'current_price',
    'momentum_bps', d.live_probabilities -> 'momentum_bps',
    'state', d.live_probabilities -> 'state',
    'feed', d.live_probabilities -> 'feed',
    'market_at', d.live_probabilities -> 'market_at',
    'model', d.live_probabilities -> 'model',
    'valid_until', d.live_probabilities -> 'valid_until',
    'tick_id', d.tick_id,
    'count', 0,
    'open_count', 0,
    'contracts', '[]'::json
)::text;
ALTER TABLE upc_data.document ALTER COLUMN contracts SET NOT NULL;
"""


def upgrade() -> None:
    run_sql(DOCUMENT)


def downgrade() -> None:
    run_sql("ALTER TABLE upc_data.document DROP COLUMN contracts;")

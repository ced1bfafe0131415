"""Comments on the tables of candles and of their notes: nothing is written by triggers any more."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

COMMENTS = """
COMMENT ON TABLE upc_data.candle IS
    'one-minute candles; the history that fingerprints and momentum are computed from. After SQL '
    'of your own that writes them: SELECT note_candle_changes(symbol, since, until)';
COMMENT ON TABLE upc_data.candle_change IS
    'days whose candles changed since they were counted; written by what writes candles, consumed '
    'by the build; rows are only appended, so that a writer never waits for a build';
COMMENT ON TABLE upc_data.volatility_change IS
    'days whose standardised moves changed since they were counted; written by what writes '
    'candles, consumed by the build';
COMMENT ON TABLE upc_data.fit_change IS
    'days whose candles changed since the last build looked for something to fit; written by what '
    'writes candles, consumed by the build';
"""

COMMENTS_BEFORE = """
COMMENT ON TABLE upc_data.candle IS
    'one-minute candles; the history that fingerprints and momentum are computed from';
COMMENT ON TABLE upc_data.candle_change IS
    'days whose candles changed since they were counted; written by triggers, consumed '
    'by the build; rows are only appended, so that a writer never waits for a build';
COMMENT ON TABLE upc_data.volatility_change IS
    'days whose standardised moves changed since they were counted; written by the triggers on '
    'upc_data.candle, consumed by the build';
COMMENT ON TABLE upc_data.fit_change IS
    'days whose candles changed since the last build looked for something to fit; written by the '
    'triggers on upc_data.candle, consumed by the build';
"""


def upgrade() -> None:
    run_sql(COMMENTS)


def downgrade() -> None:
    run_sql(COMMENTS_BEFORE)

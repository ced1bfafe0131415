"""Several Kalshi series of a symbol, and symbols whose rows are being removed."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

# Not ALTER COLUMN TYPE: it rewrites the table, and whoever waits for it with an older snapshot
# would see no symbol at all.
SERIES = """
ALTER TABLE upc_data.symbol ADD COLUMN series_list text[];
UPDATE upc_data.symbol SET series_list = ARRAY[kalshi_series] WHERE kalshi_series <> '';
ALTER TABLE upc_data.symbol DROP COLUMN kalshi_series;
ALTER TABLE upc_data.symbol RENAME COLUMN series_list TO kalshi_series;
ALTER TABLE upc_data.symbol
    ADD CONSTRAINT symbol_kalshi_series_check CHECK (
        cardinality(kalshi_series) > 0
        AND array_position(kalshi_series, NULL) IS NULL
        AND array_position(kalshi_series, '') IS NULL
    );
COMMENT ON COLUMN upc_data.symbol.kalshi_series IS
    'Kalshi series of its events, e.g. {KXBTCD}; NULL without markets';
COMMENT ON CONSTRAINT symbol_kalshi_series_check ON upc_data.symbol IS
    'What has no series is NULL: there is one way to say it';
"""

RETIREMENT = """
CREATE TABLE upc_data.retirement (
    symbol text COLLATE "C" NOT NULL,
    begun_at timestamptz NOT NULL,
    removed jsonb NOT NULL,
    CONSTRAINT retirement_symbol_pkey PRIMARY KEY (symbol)
);
COMMENT ON TABLE upc_data.retirement IS
    'symbols that are registered no more and whose rows are being removed, batch by batch';
COMMENT ON COLUMN upc_data.retirement.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.retirement.begun_at IS 'when it was taken out of upc_data.symbol';
COMMENT ON COLUMN upc_data.retirement.removed IS 'rows removed so far: table and number';
COMMENT ON CONSTRAINT retirement_symbol_pkey ON upc_data.retirement IS
    'Nobody registers a symbol while its old rows are there';
"""


def upgrade() -> None:
    run_sql(SERIES)
    run_sql(RETIREMENT)


def downgrade() -> None:
    # A symbol that is being retired keeps its remaining rows; its name is free again.
    run_sql("""
    DROP TABLE upc_data.retirement;
    ALTER TABLE upc_data.symbol DROP CONSTRAINT symbol_kalshi_series_check;
    ALTER TABLE upc_data.symbol ADD COLUMN one_series text;
    UPDATE upc_data.symbol SET one_series = kalshi_series[1] WHERE kalshi_series IS NOT NULL;
    ALTER TABLE upc_data.symbol DROP COLUMN kalshi_series;
    ALTER TABLE upc_data.symbol RENAME COLUMN one_series TO kalshi_series;
    COMMENT ON COLUMN upc_data.symbol.kalshi_series IS
        'Kalshi series of the hourly events, e.g. KXBTCD';
    """)

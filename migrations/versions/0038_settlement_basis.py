"""The basis of each settlement, and the one that a tick's price was asked about without."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None

BASIS = """
CREATE TABLE upc_data.settlement_basis (
    symbol text COLLATE "C" NOT NULL,
    source text COLLATE "C" NOT NULL,
    closes_at timestamptz NOT NULL,
    basis double precision NOT NULL,
    known_at timestamptz NOT NULL,
    CONSTRAINT settlement_basis_pkey PRIMARY KEY (symbol, closes_at, source)
);
COMMENT ON TABLE upc_data.settlement_basis IS
    'by how much the prices of a source lay above what settled: once for each close';
COMMENT ON COLUMN upc_data.settlement_basis.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.settlement_basis.source IS
    'of the prices: an exchange of the price log, or candles';
COMMENT ON COLUMN upc_data.settlement_basis.closes_at IS 'when the contracts closed';
COMMENT ON COLUMN upc_data.settlement_basis.basis IS
    'average of the minute before over the settlement value, less 1';
COMMENT ON COLUMN upc_data.settlement_basis.known_at IS
    'when the settlement came to be known: nothing before stands on it';
COMMENT ON CONSTRAINT settlement_basis_pkey ON upc_data.settlement_basis IS
    'the last settlements of a source by an instant';
"""

# At the end of both, in one order: a row of the one is copied to the other as it is.
COLUMNS = """
ALTER TABLE upc_data.{table}
    ADD COLUMN source text,
    ADD COLUMN basis double precision,
    ADD COLUMN basis_settlements integer;
"""
COMMENTS = """
COMMENT ON COLUMN upc_data.{table}.source IS
    'where the price came from: an exchange of the price log, or candles; NULL for made-up prices '
    'and in ticks from before it was logged';
COMMENT ON COLUMN upc_data.{table}.basis IS
    'the share by which such prices lie above what settles: probabilities are of price / (1 + '
    'basis); NULL where they are of the price as it is';
COMMENT ON COLUMN upc_data.{table}.basis_settlements IS
    'how many settlements the basis rests on';
"""


def upgrade() -> None:
    run_sql(BASIS)
    for table in ("tick", "tick_minute"):
        run_sql(COLUMNS.format(table=table))
        run_sql(COMMENTS.format(table=table))
        run_sql(COMMENTS.format(table=f"{table}_default"))


def downgrade() -> None:
    for table in ("tick_minute", "tick"):
        run_sql(
            f"""
            ALTER TABLE upc_data.{table}
                DROP COLUMN basis_settlements,
                DROP COLUMN basis,
                DROP COLUMN source;
            """
        )
    run_sql("DROP TABLE upc_data.settlement_basis;")

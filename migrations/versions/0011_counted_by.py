"""Columns that name the formulas and constants of counts."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# Hashes of counts from before this revision: upc.counting_hash(), upc.volatility_hash().
MOVES = "f7732ee4eb247af815c621af4db3fb565b6f0d33af7cc4072b6781fc1b8c135d"
STANDARDISED = "5c429fef22e8fe9b4c24c8295228e1ec1244a70ae22fb5af3e8682aef4938065"

COUNTED_BY = f"""
ALTER TABLE upc_data.fingerprint_build ADD COLUMN counted_by text NOT NULL DEFAULT '{MOVES}';
ALTER TABLE upc_data.fingerprint_build ALTER COLUMN counted_by DROP DEFAULT;
COMMENT ON COLUMN upc_data.fingerprint_build.counted_by IS
    'names the formulas and constants that the histogram was counted by: upc.counting_hash() '
    'of then';
ALTER TABLE upc_data.volatility_fit
    ADD COLUMN counted_by text NOT NULL DEFAULT '{STANDARDISED}';
ALTER TABLE upc_data.volatility_fit ALTER COLUMN counted_by DROP DEFAULT;
COMMENT ON COLUMN upc_data.volatility_fit.counted_by IS
    'names the formulas and constants of the fit and of the counts that stand on it: '
    'upc.volatility_hash() of then';
"""


def upgrade() -> None:
    run_sql(COUNTED_BY)


def downgrade() -> None:
    run_sql("""
    ALTER TABLE upc_data.volatility_fit DROP COLUMN counted_by;
    ALTER TABLE upc_data.fingerprint_build DROP COLUMN counted_by;
    """)

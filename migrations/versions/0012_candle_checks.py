"""Checks with which the table, too, refuses impossible candles."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


# Without VALIDATE: what is stored already is the user's, and is neither read under a lock nor a
# reason for an upgrade to fail. `pyupc doctor` names it.
CHECK = """
ALTER TABLE upc_data.candle
    ADD CONSTRAINT candle_open_high_low_close_check CHECK (
        open BETWEEN low AND high AND close BETWEEN low AND high
    ) NOT VALID;
COMMENT ON CONSTRAINT candle_open_high_low_close_check ON upc_data.candle IS
    'what was stored before it is not checked: upc.impossible_candles lists it';
"""


def upgrade() -> None:
    run_sql(CHECK)


def downgrade() -> None:
    run_sql("ALTER TABLE upc_data.candle DROP CONSTRAINT candle_open_high_low_close_check;")

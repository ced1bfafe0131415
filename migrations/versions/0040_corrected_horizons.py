"""Corrected curves beyond an hour."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None


# The next refresh corrects what is there.
def upgrade() -> None:
    run_sql(
        """
        ALTER TABLE upc_data.horizon_curve
            ADD COLUMN recalibrated_positive double precision[],
            ADD COLUMN recalibrated_negative double precision[];
        COMMENT ON COLUMN upc_data.horizon_curve.recalibrated_positive IS
            'positive, corrected as that of 60 minutes is; NULL where there is no correction';
        COMMENT ON COLUMN upc_data.horizon_curve.recalibrated_negative IS
            'negative, corrected like positive';
        """
    )


def downgrade() -> None:
    run_sql(
        """
        ALTER TABLE upc_data.horizon_curve
            DROP COLUMN recalibrated_positive,
            DROP COLUMN recalibrated_negative;
        """
    )

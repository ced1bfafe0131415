"""Table of rules, with the role that set each, and the time."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

RULE = """
CREATE TABLE upc_data.rule (
    name text COLLATE "C" NOT NULL,
    value text NOT NULL,
    set_by text NOT NULL,
    set_at timestamptz NOT NULL,
    CONSTRAINT rule_name_pkey PRIMARY KEY (name)
);
COMMENT ON TABLE upc_data.rule IS
    'the rules that somebody has set for everybody; upc.rule_definitions() has all that there are';
COMMENT ON COLUMN upc_data.rule.name IS 'name of the rule';
COMMENT ON COLUMN upc_data.rule.value IS 'its value, as upc.rule_text writes it';
COMMENT ON COLUMN upc_data.rule.set_by IS 'the role that was logged in';
COMMENT ON COLUMN upc_data.rule.set_at IS 'when it was set';
"""


def upgrade() -> None:
    run_sql(RULE)


def downgrade() -> None:
    run_sql("DROP TABLE upc_data.rule;")

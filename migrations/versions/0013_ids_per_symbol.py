"""Ids of ticks and announcements, counted per symbol in the order of commits."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

# Counters begin behind the highest id that there is when they are asked first: upc._next_id.
ID_COUNTER = """
CREATE TABLE upc_data.id_counter (
    symbol text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    last_id bigint NOT NULL,
    CONSTRAINT id_counter_symbol_kind_pkey PRIMARY KEY (symbol, kind),
    CONSTRAINT id_counter_kind_check CHECK (kind IN ('tick', 'announcement')),
    CONSTRAINT id_counter_last_id_check CHECK (last_id >= 0)
) WITH (fillfactor = 50);
COMMENT ON TABLE upc_data.id_counter IS
    'the last ids of each symbol; whoever takes the next one keeps its row locked until it commits';
COMMENT ON COLUMN upc_data.id_counter.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.id_counter.kind IS 'tick or announcement';
COMMENT ON COLUMN upc_data.id_counter.last_id IS 'the last id that was given, 0 for none';
COMMENT ON CONSTRAINT id_counter_symbol_kind_pkey ON upc_data.id_counter IS
    'the row that the next tick or announcement of a symbol locks';
COMMENT ON CONSTRAINT id_counter_kind_check ON upc_data.id_counter IS
    'the tables whose ids are counted';
"""

IDS = """
ALTER TABLE upc_data.tick ALTER COLUMN tick_id DROP IDENTITY;
ALTER TABLE upc_data.announcement ALTER COLUMN announcement_id DROP IDENTITY;
COMMENT ON COLUMN upc_data.tick.tick_id IS
    'ascending number of the symbol, in the order of commits; notification upc_tick has it';
COMMENT ON COLUMN upc_data.announcement.announcement_id IS
    'ascending number of the symbol, in the order of commits; notification upc_announcement has it';
"""

IDENTITIES = """
ALTER TABLE upc_data.tick ALTER COLUMN tick_id ADD GENERATED ALWAYS AS IDENTITY;
ALTER TABLE upc_data.announcement ALTER COLUMN announcement_id ADD GENERATED ALWAYS AS IDENTITY;
SELECT setval(
    pg_get_serial_sequence('upc_data.tick', 'tick_id'),
    1 + greatest(
        (SELECT max(c.last_id) FROM upc_data.id_counter AS c WHERE c.kind = 'tick'),
        (SELECT max(d.tick_id) FROM upc_data.document AS d),
        (SELECT max(n.last_id) FROM upc_data.symbol AS s CROSS JOIN LATERAL (
            SELECT max(t.tick_id) AS last_id FROM upc_data.tick AS t WHERE t.symbol = s.symbol
        ) AS n),
        0
    ),
    false
);
SELECT setval(
    pg_get_serial_sequence('upc_data.announcement', 'announcement_id'),
    1 + greatest(
        (SELECT max(c.last_id) FROM upc_data.id_counter AS c WHERE c.kind = 'announcement'),
        (SELECT max(r.announcement_id) FROM upc_data.announcement_cursor AS r),
        (SELECT max(n.last_id) FROM upc_data.symbol AS s CROSS JOIN LATERAL (
            SELECT max(a.announcement_id) AS last_id FROM upc_data.announcement AS a
            WHERE a.symbol = s.symbol
        ) AS n),
        0
    ),
    false
);
COMMENT ON COLUMN upc_data.tick.tick_id IS 'ascending number, also in the notification upc_tick';
COMMENT ON COLUMN upc_data.announcement.announcement_id IS
    'ascending number, also in the notification upc_announcement';
DROP TABLE upc_data.id_counter;
"""


def upgrade() -> None:
    run_sql(ID_COUNTER)
    run_sql(IDS)


def downgrade() -> None:
    run_sql(IDENTITIES)

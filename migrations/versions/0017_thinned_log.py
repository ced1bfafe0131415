"""Logs that thin out: prices and ticks by day, one tick a minute, and each minute's variance."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

# The logs become other tables of the same names, and a view of somebody's on them would go on
# reading a part of them alone.
REFUSE_DEPENDENTS = """
DO $do$
DECLARE
    v_names text;
BEGIN
    SELECT string_agg(
        DISTINCT format('view %s depends on table %s', r.ev_class::regclass, d.refobjid::regclass),
        E'\\n'
    )
    INTO v_names
    FROM pg_depend AS d
    JOIN pg_rewrite AS r ON r.oid = d.objid
    WHERE d.classid = 'pg_rewrite'::regclass
        AND d.refclassid = 'pg_class'::regclass
        AND d.refobjid IN ('upc_data.price'::regclass, 'upc_data.tick'::regclass)
        AND r.ev_class <> d.refobjid;
    IF v_names IS NOT NULL THEN
        RAISE EXCEPTION 'views depend on the logs'
            USING ERRCODE = 'dependent_objects_still_exist', DETAIL = v_names;
    END IF;
END;
$do$;
"""

TICK_BIDS = """
ALTER TABLE upc_data.tick
    ADD COLUMN yes_bid numeric[],
    ADD COLUMN no_bid numeric[];
COMMENT ON COLUMN upc_data.tick.yes_bid IS
    'what yes could be sold for at each of the strikes, USD per contract, exact; elements are NULL '
    'where nobody bids, all of it is where yes_ask is, and in ticks from before it was logged';
COMMENT ON COLUMN upc_data.tick.no_bid IS 'what no could be sold for, like yes_bid';
"""

# A key has to have what decides on the partition. `pyupc db upgrade` makes its index beforehand,
# without a lock, so that nothing here takes longer for a longer log.
TICK_KEY = """
ALTER TABLE upc_data.tick ALTER COLUMN tick_id SET NOT NULL;
ALTER TABLE upc_data.tick DROP CONSTRAINT tick_symbol_tick_id_pkey;
DO $do$
BEGIN
    IF EXISTS (
        SELECT FROM pg_index AS i
        WHERE i.indexrelid = to_regclass('upc_data.tick_symbol_tick_id_ticked_at_idx')
            AND i.indrelid = 'upc_data.tick'::regclass
            AND i.indisvalid
    ) THEN
        ALTER TABLE upc_data.tick ADD CONSTRAINT tick_default_pkey
            PRIMARY KEY USING INDEX tick_symbol_tick_id_ticked_at_idx;
    ELSE
        DROP INDEX IF EXISTS upc_data.tick_symbol_tick_id_ticked_at_idx;
        ALTER TABLE upc_data.tick ADD CONSTRAINT tick_default_pkey
            PRIMARY KEY (symbol, tick_id, ticked_at);
    END IF;
END;
$do$;
"""

# The old table becomes the default partition, by its name alone. upc.make_partitions sets it aside.
TICK = """
ALTER TABLE upc_data.tick RENAME TO tick_default;
ALTER INDEX upc_data.tick_symbol_ticked_at_idx RENAME TO tick_default_symbol_ticked_at_idx;
ALTER INDEX upc_data.tick_symbol_ticked_at_live_idx
    RENAME TO tick_default_symbol_ticked_at_live_idx;
CREATE TABLE upc_data.tick (
    LIKE upc_data.tick_default
    INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING COMMENTS INCLUDING STORAGE,
    CONSTRAINT tick_symbol_tick_id_ticked_at_pkey PRIMARY KEY (symbol, tick_id, ticked_at)
) PARTITION BY RANGE (ticked_at);
CREATE INDEX tick_symbol_ticked_at_idx ON upc_data.tick (symbol, ticked_at);
CREATE INDEX tick_symbol_ticked_at_live_idx ON upc_data.tick (symbol, ticked_at)
    WHERE done_count IS NOT NULL;
ALTER TABLE upc_data.tick ATTACH PARTITION upc_data.tick_default DEFAULT;
COMMENT ON TABLE upc_data.tick IS
    'every tick of the last days: what it saw and what it answered; a partition a day (UTC)';
COMMENT ON TABLE upc_data.tick_default IS
    'rows of upc_data.tick of days without a partition';
COMMENT ON CONSTRAINT tick_symbol_tick_id_ticked_at_pkey ON upc_data.tick IS
    'finds the tick that a notification names';
COMMENT ON CONSTRAINT tick_default_pkey ON upc_data.tick_default IS
    'finds the tick that a notification names';
COMMENT ON INDEX upc_data.tick_symbol_ticked_at_idx IS
    'ticks of the last minutes, for the status and for analysis';
COMMENT ON INDEX upc_data.tick_symbol_ticked_at_live_idx IS 'counts of live ticks at an instant';
"""

PRICE = """
ALTER TABLE upc_data.price RENAME TO price_default;
ALTER TABLE upc_data.price_default
    RENAME CONSTRAINT price_symbol_exchange_received_at_pkey TO price_default_pkey;
ALTER INDEX upc_data.price_symbol_received_at_idx RENAME TO price_default_symbol_received_at_idx;
CREATE TABLE upc_data.price (
    LIKE upc_data.price_default
    INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING COMMENTS INCLUDING STORAGE,
    CONSTRAINT price_symbol_exchange_received_at_pkey PRIMARY KEY (symbol, exchange, received_at)
) PARTITION BY RANGE (received_at);
CREATE INDEX price_symbol_received_at_idx ON upc_data.price (symbol, received_at);
ALTER TABLE upc_data.price ATTACH PARTITION upc_data.price_default DEFAULT;
COMMENT ON TABLE upc_data.price IS
    'the price log: what an exchange said, as it came in; a partition a day (UTC)';
COMMENT ON TABLE upc_data.price_default IS
    'rows of upc_data.price of days without a partition';
COMMENT ON CONSTRAINT price_symbol_exchange_received_at_pkey ON upc_data.price IS
    'the newest price of an exchange by an instant';
COMMENT ON INDEX upc_data.price_symbol_received_at_idx IS
    'the newest price by an instant, of any exchange';
"""

# Its columns are those of upc_data.tick after the first: a row is copied as it is.
TICK_MINUTE = """
CREATE TABLE upc_data.tick_minute (
    minute_at timestamptz NOT NULL,
    LIKE upc_data.tick
    INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING COMMENTS INCLUDING STORAGE,
    CONSTRAINT tick_minute_symbol_minute_at_pkey PRIMARY KEY (symbol, minute_at)
) PARTITION BY RANGE (minute_at);
COMMENT ON COLUMN upc_data.tick_minute.minute_at IS 'beginning of the minute';
CREATE INDEX tick_minute_symbol_ticked_at_idx ON upc_data.tick_minute (symbol, ticked_at);
CREATE TABLE upc_data.tick_minute_default (
    LIKE upc_data.tick_minute
    INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING COMMENTS INCLUDING STORAGE
);
ALTER TABLE upc_data.tick_minute ATTACH PARTITION upc_data.tick_minute_default DEFAULT;
COMMENT ON INDEX upc_data.tick_minute_symbol_ticked_at_idx IS
    'ticks of a span of time, for analysis';
COMMENT ON INDEX upc_data.tick_minute_default_symbol_ticked_at_idx IS
    'ticks of a span of time, for analysis';
COMMENT ON TABLE upc_data.tick_minute IS
    'the first tick of each minute of the days before those of upc_data.tick; a partition a day';
COMMENT ON CONSTRAINT tick_minute_symbol_minute_at_pkey ON upc_data.tick_minute IS
    'one tick a minute';
COMMENT ON TABLE upc_data.tick_minute_default IS
    'rows of upc_data.tick_minute of days without a partition';
"""

MINUTE_VARIANCE = """
CREATE TABLE upc_data.minute_variance (
    symbol text COLLATE "C" NOT NULL,
    exchange text COLLATE "C" NOT NULL,
    minute_at timestamptz NOT NULL,
    variance double precision NOT NULL,
    seconds smallint NOT NULL,
    CONSTRAINT minute_variance_symbol_exchange_minute_at_pkey
        PRIMARY KEY (symbol, exchange, minute_at),
    CONSTRAINT minute_variance_variance_check CHECK (variance >= 0 AND variance < 'Infinity'),
    CONSTRAINT minute_variance_seconds_check CHECK (seconds BETWEEN 1 AND 60)
);
COMMENT ON TABLE upc_data.minute_variance IS
    'realised variance of each minute of the price log; kept for good';
COMMENT ON COLUMN upc_data.minute_variance.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.minute_variance.exchange IS 'ccxt id of the exchange';
COMMENT ON COLUMN upc_data.minute_variance.minute_at IS 'beginning of the minute';
COMMENT ON COLUMN upc_data.minute_variance.variance IS
    'sum of the squared log returns from second to second of the minute, each second with its last '
    'price; the first from the second before, a second without a price is passed over for up to 5';
COMMENT ON COLUMN upc_data.minute_variance.seconds IS
    'seconds of the minute that had a price; of 60';
COMMENT ON CONSTRAINT minute_variance_symbol_exchange_minute_at_pkey ON upc_data.minute_variance IS
    'the minutes of a span of time';
"""

LOG_PROGRESS = """
CREATE TABLE upc_data.log_progress (
    symbol text COLLATE "C" NOT NULL,
    thinned_until timestamptz NOT NULL DEFAULT '-infinity',
    variance_until timestamptz NOT NULL DEFAULT '-infinity',
    CONSTRAINT log_progress_symbol_pkey PRIMARY KEY (symbol)
) WITH (fillfactor = 50);
COMMENT ON TABLE upc_data.log_progress IS 'how far the logs of a symbol have been worked through';
COMMENT ON COLUMN upc_data.log_progress.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.log_progress.thinned_until IS
    'the ticks of the days before have been copied to upc_data.tick_minute, one a minute';
COMMENT ON COLUMN upc_data.log_progress.variance_until IS
    'the minutes before are in upc_data.minute_variance';
COMMENT ON CONSTRAINT log_progress_symbol_pkey ON upc_data.log_progress IS 'one row a symbol';
"""

# Into tables as they were; ticks that have been thinned out by then stay so.
UNPARTITION = """
CREATE TABLE upc_data.tick_plain (
    LIKE upc_data.tick
    INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING COMMENTS INCLUDING STORAGE
);
INSERT INTO upc_data.tick_plain SELECT t.* FROM upc_data.tick AS t;
DO $do$
BEGIN
    EXECUTE (
        SELECT format(
            'INSERT INTO upc_data.tick_plain (%1$s) SELECT %1$s FROM upc_data.tick_minute AS m'
            ' WHERE NOT EXISTS (SELECT FROM upc_data.tick AS t'
            ' WHERE t.symbol = m.symbol AND t.tick_id = m.tick_id)',
            string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
        )
        FROM pg_attribute AS a
        WHERE a.attrelid = 'upc_data.tick_plain'::regclass AND a.attnum > 0 AND NOT a.attisdropped
    );
END;
$do$;
DROP TABLE upc_data.tick_minute;
DROP TABLE upc_data.tick;
ALTER TABLE upc_data.tick_plain RENAME TO tick;
ALTER TABLE upc_data.tick
    DROP COLUMN no_bid,
    DROP COLUMN yes_bid,
    ADD CONSTRAINT tick_symbol_tick_id_pkey PRIMARY KEY (symbol, tick_id);
CREATE INDEX tick_symbol_ticked_at_idx ON upc_data.tick (symbol, ticked_at);
CREATE INDEX tick_symbol_ticked_at_live_idx ON upc_data.tick (symbol, ticked_at)
    WHERE done_count IS NOT NULL;

CREATE TABLE upc_data.price_plain (
    LIKE upc_data.price
    INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING COMMENTS INCLUDING STORAGE
);
INSERT INTO upc_data.price_plain SELECT p.* FROM upc_data.price AS p;
DROP TABLE upc_data.price;
ALTER TABLE upc_data.price_plain RENAME TO price;
ALTER TABLE upc_data.price
    ADD CONSTRAINT price_symbol_exchange_received_at_pkey
        PRIMARY KEY (symbol, exchange, received_at);
CREATE INDEX price_symbol_received_at_idx ON upc_data.price (symbol, received_at);

COMMENT ON TABLE upc_data.tick IS 'every tick: what it saw and what it answered';
COMMENT ON CONSTRAINT tick_symbol_tick_id_pkey ON upc_data.tick IS
    'finds the tick that a notification names';
COMMENT ON INDEX upc_data.tick_symbol_ticked_at_idx IS
    'ticks of the last minutes, for the status and for analysis';
COMMENT ON INDEX upc_data.tick_symbol_ticked_at_live_idx IS 'counts of live ticks at an instant';
COMMENT ON TABLE upc_data.price IS 'the price log: what an exchange said, as it came in';
COMMENT ON CONSTRAINT price_symbol_exchange_received_at_pkey ON upc_data.price IS
    'the newest price of an exchange by an instant';
COMMENT ON INDEX upc_data.price_symbol_received_at_idx IS
    'the newest price by an instant, of any exchange; and what is old enough to delete';
DROP TABLE upc_data.minute_variance;
DROP TABLE upc_data.log_progress;
"""


def upgrade() -> None:
    run_sql(REFUSE_DEPENDENTS)
    run_sql(TICK_BIDS)
    run_sql(TICK_KEY)
    run_sql(TICK)
    run_sql(PRICE)
    run_sql(TICK_MINUTE)
    run_sql(MINUTE_VARIANCE)
    run_sql(LOG_PROGRESS)


def downgrade() -> None:
    run_sql(REFUSE_DEPENDENTS)
    run_sql(UNPARTITION)

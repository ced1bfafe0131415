"""Tables of candles and fingerprints."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

VERSION_TABLE = """
COMMENT ON TABLE upc_data.alembic_version IS 'The revision of the tables, kept by Alembic';
COMMENT ON COLUMN upc_data.alembic_version.version_num IS 'Revision, e.g. 0001';
"""

ENGINE_OBJECT = """
CREATE TABLE upc_data.engine_object (
    identity text COLLATE "C" CONSTRAINT engine_object_identity_pkey PRIMARY KEY
);

COMMENT ON TABLE upc_data.engine_object IS
    'What the last rebuild created; whatever else depends on it belongs to a user and is kept';
COMMENT ON COLUMN upc_data.engine_object.identity IS
    'Type and qualified name, as pg_identify_object writes them';
COMMENT ON CONSTRAINT engine_object_identity_pkey ON upc_data.engine_object IS
    'An upgrade looks up every object that it is about to drop';
"""

SYMBOL = """
CREATE TABLE upc_data.symbol (
    symbol text COLLATE "C" CONSTRAINT symbol_symbol_pkey PRIMARY KEY,
    strike_step double precision NOT NULL,
    exchange_pair text,
    kalshi_series text,
    CONSTRAINT symbol_symbol_check CHECK (symbol ~ '^[A-Z0-9]+$'),
    CONSTRAINT symbol_strike_step_check
        CHECK (strike_step > 0 AND strike_step < 'infinity'::double precision)
);

COMMENT ON TABLE upc_data.symbol IS 'The symbols that the engine knows';
COMMENT ON COLUMN upc_data.symbol.symbol IS 'Upper-case name, e.g. BTC';
COMMENT ON COLUMN upc_data.symbol.strike_step IS
    'Distance between two strikes, in quote currency (USD)';
COMMENT ON COLUMN upc_data.symbol.exchange_pair IS
    'Spot pair whose prices are read, e.g. BTC/USD';
COMMENT ON COLUMN upc_data.symbol.kalshi_series IS
    'Kalshi series of the hourly events, e.g. KXBTCD';
COMMENT ON CONSTRAINT symbol_symbol_pkey ON upc_data.symbol IS
    'Every function that takes a symbol looks it up here';
COMMENT ON CONSTRAINT symbol_symbol_check ON upc_data.symbol IS
    'Upper-case letters and digits: the symbol becomes part of view and file names';
COMMENT ON CONSTRAINT symbol_strike_step_check ON upc_data.symbol IS
    'Finite and positive (NaN sorts above infinity): strikes are multiples of it';

INSERT INTO upc_data.symbol (symbol, strike_step, exchange_pair, kalshi_series)
VALUES
    ('BTC', 250, 'BTC/USD', 'KXBTCD'),
    ('ETH', 20, 'ETH/USD', 'KXETHD');
"""

CANDLE = """
CREATE TABLE upc_data.candle (
    symbol text COLLATE "C" NOT NULL,
    opened_at timestamptz NOT NULL,
    open double precision NOT NULL,
    high double precision NOT NULL,
    low double precision NOT NULL,
    close double precision NOT NULL,
    volume double precision NOT NULL,
    CONSTRAINT candle_symbol_opened_at_pkey PRIMARY KEY (symbol, opened_at),
    -- A candle is named by its minute; seconds would shift every pair that it is part of.
    CONSTRAINT candle_opened_at_check CHECK (
        opened_at = date_bin('1 minute', opened_at, '2000-01-01 00:00:00+00')
    ),
    -- NaN sorts above infinity, so these bounds refuse both.
    CONSTRAINT candle_low_check CHECK (low > 0),
    CONSTRAINT candle_high_check CHECK (high >= low AND high < 'Infinity'),
    CONSTRAINT candle_open_check CHECK (open > 0 AND open < 'Infinity'),
    CONSTRAINT candle_close_check CHECK (close > 0 AND close < 'Infinity'),
    CONSTRAINT candle_volume_check CHECK (volume >= 0 AND volume < 'Infinity')
);
COMMENT ON TABLE upc_data.candle IS
    'one-minute candles; the history that fingerprints and momentum are computed from';
COMMENT ON COLUMN upc_data.candle.symbol IS 'symbol of upc_data.symbol';
COMMENT ON COLUMN upc_data.candle.opened_at IS
    'opening time, UTC, on the minute; close is the price one minute later';
COMMENT ON COLUMN upc_data.candle.open IS 'first price of the minute, USD';
COMMENT ON COLUMN upc_data.candle.high IS 'highest price of the minute, USD';
COMMENT ON COLUMN upc_data.candle.low IS 'lowest price of the minute, USD';
COMMENT ON COLUMN upc_data.candle.close IS
    'last price of the minute, USD; 15 significant digits are exact';
COMMENT ON COLUMN upc_data.candle.volume IS 'traded amount in units of the symbol';
"""

CANDLE_CHANGE = """
CREATE TABLE upc_data.candle_change (
    symbol text COLLATE "C" NOT NULL,
    day date NOT NULL,
    change_id bigint GENERATED ALWAYS AS IDENTITY,
    CONSTRAINT candle_change_symbol_day_change_id_pkey PRIMARY KEY (symbol, day, change_id)
);
COMMENT ON TABLE upc_data.candle_change IS
    'days whose candles changed since they were counted; written by triggers, consumed '
    'by the build; rows are only appended, so that a writer never waits for a build';
COMMENT ON COLUMN upc_data.candle_change.symbol IS 'symbol whose candles changed';
COMMENT ON COLUMN upc_data.candle_change.day IS 'UTC day of the changed candles';
COMMENT ON COLUMN upc_data.candle_change.change_id IS
    'makes two changes of one day two rows';
"""

COUNTED_DAY = """
CREATE TABLE upc_data.counted_day (
    symbol text COLLATE "C" NOT NULL,
    day date NOT NULL,
    closes double precision[] NOT NULL,
    CONSTRAINT counted_day_symbol_day_pkey PRIMARY KEY (symbol, day),
    CONSTRAINT counted_day_closes_check CHECK (cardinality(closes) = 1530)
);
-- Doubles hardly compress, and trying costs more than the disk is worth.
ALTER TABLE upc_data.counted_day ALTER COLUMN closes SET STORAGE EXTERNAL;
COMMENT ON TABLE upc_data.counted_day IS
    'the closes that a day''s counts in the histogram were made from, so that the '
    'counts can be taken back exactly';
COMMENT ON COLUMN upc_data.counted_day.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.counted_day.day IS
    'UTC day whose 1,440 starting minutes were counted';
COMMENT ON COLUMN upc_data.counted_day.closes IS
    'closes in USD from 30 minutes before the day to 60 minutes after it, one element a '
    'minute, NaN where there is no candle';
"""

FINGERPRINT_HISTOGRAM = """
CREATE TABLE upc_data.fingerprint_histogram (
    symbol text COLLATE "C" NOT NULL,
    year smallint NOT NULL,
    bucket smallint NOT NULL,
    minutes smallint NOT NULL,
    pairs integer NOT NULL,
    positive integer[] NOT NULL,
    negative integer[] NOT NULL,
    CONSTRAINT fingerprint_histogram_symbol_year_bucket_minutes_pkey
        PRIMARY KEY (symbol, year, bucket, minutes),
    CONSTRAINT fingerprint_histogram_bucket_check CHECK (bucket BETWEEN -30 AND 30 OR bucket = 99),
    CONSTRAINT fingerprint_histogram_minutes_check CHECK (minutes BETWEEN 1 AND 60),
    -- A count below zero would mean that something was taken back that was never counted.
    CONSTRAINT fingerprint_histogram_pairs_check CHECK (
        pairs >= 0
        AND pairs >= positive[1] AND positive[60] >= 0
        AND pairs >= negative[1] AND negative[60] >= 0
    )
);
COMMENT ON TABLE upc_data.fingerprint_histogram IS
    'additive counts of moves: how many starting minutes of a year were followed by a '
    'move of at least each threshold';
COMMENT ON COLUMN upc_data.fingerprint_histogram.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.fingerprint_histogram.year IS
    'UTC year of the starting minutes';
COMMENT ON COLUMN upc_data.fingerprint_histogram.bucket IS
    'momentum bucket of the starting minutes, basis points, -30 to 30; 99 is the '
    'baseline: all minutes, whatever their momentum';
COMMENT ON COLUMN upc_data.fingerprint_histogram.minutes IS
    'minutes from the starting minute''s close to the later close, 1 to 60';
COMMENT ON COLUMN upc_data.fingerprint_histogram.pairs IS
    'number of pairs of closes, unweighted';
COMMENT ON COLUMN upc_data.fingerprint_histogram.positive IS
    'element k: pairs whose move is at least +0.05 (k - 1) percent';
COMMENT ON COLUMN upc_data.fingerprint_histogram.negative IS
    'element k: pairs whose move is at most -0.05 (k - 1) percent';
"""

FINGERPRINT_BUILD = """
CREATE TABLE upc_data.fingerprint_build (
    symbol text COLLATE "C" NOT NULL,
    started_at timestamptz NOT NULL,
    completed_at timestamptz,
    CONSTRAINT fingerprint_build_symbol_pkey PRIMARY KEY (symbol),
    CONSTRAINT fingerprint_build_symbol_fkey
        FOREIGN KEY (symbol) REFERENCES upc_data.symbol (symbol)
);
COMMENT ON TABLE upc_data.fingerprint_build IS
    'the last build of each symbol; without completed_at the histogram holds a part of '
    'the history and the symbol has no curves';
COMMENT ON COLUMN upc_data.fingerprint_build.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.fingerprint_build.started_at IS 'when the build began';
COMMENT ON COLUMN upc_data.fingerprint_build.completed_at IS
    'when its last piece was committed; NULL while pieces are missing';
"""


def upgrade() -> None:
    run_sql(VERSION_TABLE)
    run_sql(ENGINE_OBJECT)
    run_sql(SYMBOL)
    run_sql(CANDLE)
    run_sql(CANDLE_CHANGE)
    run_sql(COUNTED_DAY)
    run_sql(FINGERPRINT_HISTOGRAM)
    run_sql(FINGERPRINT_BUILD)


def downgrade() -> None:
    run_sql("""
    DROP TABLE upc_data.fingerprint_build;
    DROP TABLE upc_data.fingerprint_histogram;
    DROP TABLE upc_data.counted_day;
    DROP TABLE upc_data.candle_change;
    DROP TABLE upc_data.candle;
    DROP TABLE upc_data.symbol;
    DROP TABLE upc_data.engine_object;
    """)

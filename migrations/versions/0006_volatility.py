"""Tables of volatility forecasts, and of counts of moves in units of them."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

VOLATILITY_CHANGE = """
CREATE TABLE upc_data.volatility_change (
    symbol text COLLATE "C" NOT NULL,
    day date NOT NULL,
    change_id bigint GENERATED ALWAYS AS IDENTITY,
    CONSTRAINT volatility_change_symbol_day_change_id_pkey PRIMARY KEY (symbol, day, change_id)
);
COMMENT ON TABLE upc_data.volatility_change IS
    'days whose standardised moves changed since they were counted; written by the triggers on '
    'upc_data.candle, consumed by the build';
COMMENT ON COLUMN upc_data.volatility_change.symbol IS 'symbol whose candles changed';
COMMENT ON COLUMN upc_data.volatility_change.day IS
    'UTC day whose starting minutes depend on a changed candle';
COMMENT ON COLUMN upc_data.volatility_change.change_id IS
    'makes two changes of one day two rows';
-- What is stored already has to be counted.
INSERT INTO upc_data.volatility_change (symbol, day)
SELECT d.symbol, d.day FROM upc_data.counted_day AS d
UNION
SELECT n.symbol, n.day FROM upc_data.candle_change AS n;
"""

FIT_CHANGE = """
CREATE TABLE upc_data.fit_change (
    symbol text COLLATE "C" NOT NULL,
    day date NOT NULL,
    change_id bigint GENERATED ALWAYS AS IDENTITY,
    CONSTRAINT fit_change_symbol_day_change_id_pkey PRIMARY KEY (symbol, day, change_id)
);
COMMENT ON TABLE upc_data.fit_change IS
    'days whose candles changed since the last build looked for something to fit; written by the '
    'triggers on upc_data.candle, consumed by the build';
COMMENT ON COLUMN upc_data.fit_change.symbol IS 'symbol whose candles changed';
COMMENT ON COLUMN upc_data.fit_change.day IS 'UTC day in which a changed candle opened';
COMMENT ON COLUMN upc_data.fit_change.change_id IS 'makes two changes of one day two rows';
"""

VOLATILITY_FIT = """
CREATE TABLE upc_data.volatility_fit (
    symbol text COLLATE "C" NOT NULL,
    fitted_until date NOT NULL,
    factors smallint[] NOT NULL,
    coefficients double precision[] NOT NULL,
    completed_at timestamptz,
    used_factors smallint[],
    used_coefficients double precision[],
    CONSTRAINT volatility_fit_symbol_pkey PRIMARY KEY (symbol),
    CONSTRAINT volatility_fit_factors_check CHECK (cardinality(factors) = 10080),
    CONSTRAINT volatility_fit_coefficients_check CHECK (cardinality(coefficients) = 360),
    CONSTRAINT volatility_fit_used_factors_check CHECK (
        (used_factors IS NULL) = (used_coefficients IS NULL)
        AND (completed_at IS NULL OR used_factors IS NOT NULL)
    )
);
COMMENT ON TABLE upc_data.volatility_fit IS
    'how the volatility of each symbol is forecast: log-linear in the mean ranges of the last '
    'minutes, times a factor for the minute of the week';
COMMENT ON COLUMN upc_data.volatility_fit.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.volatility_fit.fitted_until IS
    'UTC day: candles that opened before it were fitted, later ones were not looked at';
COMMENT ON COLUMN upc_data.volatility_fit.factors IS
    'element m: volatility of the m-th minute of the week (Monday 00:00 UTC is the first) in '
    'hundredths of the average minute''s';
COMMENT ON COLUMN upc_data.volatility_fit.coefficients IS
    'six a minute of time left, 1 to 60: the constant, and the weights of the logarithms of the '
    'mean squared ranges of the last 5, 20, 60, 240 and 1440 minutes, each plus 14';
COMMENT ON COLUMN upc_data.volatility_fit.completed_at IS
    'when the last piece of the last build was committed; NULL while pieces are missing';
COMMENT ON COLUMN upc_data.volatility_fit.used_factors IS
    'the factors that forecasts are made with: those of the last complete build';
COMMENT ON COLUMN upc_data.volatility_fit.used_coefficients IS
    'the coefficients that forecasts are made with: those of the last complete build';
COMMENT ON CONSTRAINT volatility_fit_used_factors_check ON upc_data.volatility_fit IS
    'forecasts go on with the old fit until what stands on the new one is counted';
"""

VOLATILITY_DAY = """
CREATE TABLE upc_data.volatility_day (
    symbol text COLLATE "C" NOT NULL,
    day date NOT NULL,
    closes double precision[] NOT NULL,
    ranges integer[] NOT NULL,
    CONSTRAINT volatility_day_symbol_day_pkey PRIMARY KEY (symbol, day),
    CONSTRAINT volatility_day_closes_check CHECK (cardinality(closes) = 1530),
    CONSTRAINT volatility_day_ranges_check CHECK (cardinality(ranges) = 2880)
);
ALTER TABLE upc_data.volatility_day
    ALTER COLUMN closes SET STORAGE EXTERNAL,
    ALTER COLUMN ranges SET STORAGE EXTERNAL;
COMMENT ON TABLE upc_data.volatility_day IS
    'the candles that a day''s standardised moves were counted from, so that the counts can be '
    'taken back exactly';
COMMENT ON COLUMN upc_data.volatility_day.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.volatility_day.day IS
    'UTC day whose 1,440 starting minutes were counted';
COMMENT ON COLUMN upc_data.volatility_day.closes IS
    'closes in USD from 30 minutes before the day to 60 minutes after it, NaN where there is no '
    'candle';
COMMENT ON COLUMN upc_data.volatility_day.ranges IS
    'ln(high / low) in units of 1e-8 from a day before the day to its end, -1 where there is no '
    'candle';
"""

VOLATILITY_HISTOGRAM = """
CREATE TABLE upc_data.volatility_histogram (
    symbol text COLLATE "C" NOT NULL,
    year smallint NOT NULL,
    bucket smallint NOT NULL,
    minutes smallint NOT NULL,
    pairs integer NOT NULL,
    positive integer[] NOT NULL,
    negative integer[] NOT NULL,
    CONSTRAINT volatility_histogram_symbol_year_bucket_minutes_pkey
        PRIMARY KEY (symbol, year, bucket, minutes),
    CONSTRAINT volatility_histogram_bucket_check CHECK (bucket BETWEEN -30 AND 30 OR bucket = 99),
    CONSTRAINT volatility_histogram_minutes_check CHECK (minutes BETWEEN 1 AND 60),
    CONSTRAINT volatility_histogram_pairs_check CHECK (
        pairs >= 0
        AND pairs >= positive[1] AND positive[60] >= 0
        AND pairs >= negative[1] AND negative[60] >= 0
    )
);
COMMENT ON TABLE upc_data.volatility_histogram IS
    'additive counts of standardised moves: moves divided by the volatility that was forecast for '
    'the time until then';
COMMENT ON COLUMN upc_data.volatility_histogram.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.volatility_histogram.year IS 'UTC year of the starting minutes';
COMMENT ON COLUMN upc_data.volatility_histogram.bucket IS
    'momentum bucket of the starting minutes, basis points, -30 to 30; 99 is the baseline';
COMMENT ON COLUMN upc_data.volatility_histogram.minutes IS
    'minutes from the starting minute''s close to the later close, 1 to 60';
COMMENT ON COLUMN upc_data.volatility_histogram.pairs IS 'number of pairs of closes, unweighted';
COMMENT ON COLUMN upc_data.volatility_histogram.positive IS
    'element k: pairs whose standardised move is at least the k-th of upc.volatility_thresholds()';
COMMENT ON COLUMN upc_data.volatility_histogram.negative IS
    'element k: pairs whose standardised move is at most minus the k-th threshold';
"""

VOLATILITY_STATE = """
CREATE TABLE upc_data.volatility_state (
    symbol text COLLATE "C" NOT NULL,
    known_at timestamptz NOT NULL,
    variances double precision[] NOT NULL,
    CONSTRAINT volatility_state_symbol_pkey PRIMARY KEY (symbol),
    CONSTRAINT volatility_state_variances_check CHECK (cardinality(variances) = 60)
) WITH (fillfactor = 50);
COMMENT ON TABLE upc_data.volatility_state IS
    'the last forecast of each symbol''s volatility, so that it is computed once a minute';
COMMENT ON COLUMN upc_data.volatility_state.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.volatility_state.known_at IS
    'full minute: it was computed from candles that had closed by then';
COMMENT ON COLUMN upc_data.volatility_state.variances IS
    'element t: variance of the move of the next t minutes, the move as a share of the price';
COMMENT ON CONSTRAINT volatility_state_symbol_pkey ON upc_data.volatility_state IS
    'compute_strikes asks by symbol';
"""


def upgrade() -> None:
    run_sql(VOLATILITY_CHANGE)
    run_sql(FIT_CHANGE)
    run_sql(VOLATILITY_FIT)
    run_sql(VOLATILITY_DAY)
    run_sql(VOLATILITY_HISTOGRAM)
    run_sql(VOLATILITY_STATE)


def downgrade() -> None:
    run_sql("""
    DROP TABLE upc_data.volatility_state;
    DROP TABLE upc_data.volatility_histogram;
    DROP TABLE upc_data.volatility_day;
    DROP TABLE upc_data.volatility_fit;
    DROP TABLE upc_data.fit_change;
    DROP TABLE upc_data.volatility_change;
    """)

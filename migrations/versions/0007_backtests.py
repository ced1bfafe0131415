"""Tables of backtests: settings, trained curves, and scores."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

BACKTEST = """
CREATE TABLE upc_data.backtest (
    symbol text COLLATE "C" NOT NULL,
    backtest_id bigint GENERATED ALWAYS AS IDENTITY,
    train_from timestamptz NOT NULL,
    train_to timestamptz NOT NULL,
    test_from timestamptz NOT NULL,
    test_to timestamptz NOT NULL,
    models text[] NOT NULL,
    minutes smallint[] NOT NULL,
    step double precision NOT NULL,
    levels integer NOT NULL,
    settlement text NOT NULL,
    close_minute smallint NOT NULL,
    version text NOT NULL,
    started_at timestamptz NOT NULL,
    completed_at timestamptz,
    steps_done integer[] NOT NULL DEFAULT '{}',
    factors smallint[],
    coefficients double precision[],
    regime_edges double precision[],
    CONSTRAINT backtest_symbol_backtest_id_pkey PRIMARY KEY (symbol, backtest_id),
    CONSTRAINT backtest_train_to_check CHECK (train_from < train_to),
    CONSTRAINT backtest_test_from_check CHECK (train_to <= test_from),
    CONSTRAINT backtest_test_to_check CHECK (test_from < test_to),
    CONSTRAINT backtest_models_check CHECK (cardinality(models) > 0),
    CONSTRAINT backtest_minutes_check CHECK (
        cardinality(minutes) > 0 AND 1 <= ALL (minutes) AND 60 >= ALL (minutes)
    ),
    CONSTRAINT backtest_step_check CHECK (step > 0 AND step < 'Infinity'),
    CONSTRAINT backtest_levels_check CHECK (levels BETWEEN 0 AND 500),
    CONSTRAINT backtest_settlement_check CHECK (settlement IN ('close', 'average')),
    CONSTRAINT backtest_close_minute_check CHECK (close_minute BETWEEN 0 AND 59)
);
COMMENT ON TABLE upc_data.backtest IS
    'backtests: trained on one span of candles, tested on a later one';
COMMENT ON COLUMN upc_data.backtest.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.backtest.backtest_id IS 'ascending number';
COMMENT ON COLUMN upc_data.backtest.train_from IS 'the first opening time that is trained on';
COMMENT ON COLUMN upc_data.backtest.train_to IS
    'candles that opened at it or later are not trained on';
COMMENT ON COLUMN upc_data.backtest.test_from IS
    'contracts that close before it are not tested, nor one that a candle before train_to settles';
COMMENT ON COLUMN upc_data.backtest.test_to IS 'contracts that close at it or later are not tested';
COMMENT ON COLUMN upc_data.backtest.models IS
    'what was tested: model:method, e.g. momentum:nearest or volatility:linear; gaussian';
COMMENT ON COLUMN upc_data.backtest.minutes IS 'times to the close at which was asked, minutes';
COMMENT ON COLUMN upc_data.backtest.step IS 'USD between two strikes';
COMMENT ON COLUMN upc_data.backtest.levels IS
    'strikes below and above the one nearest to the price';
COMMENT ON COLUMN upc_data.backtest.settlement IS
    'what decides: close, the last price; average, the mean of open, high, low and close of the '
    'last minute';
COMMENT ON COLUMN upc_data.backtest.close_minute IS 'minute of the hour at which contracts close';
COMMENT ON COLUMN upc_data.backtest.version IS 'version of pyupc that computed it';
COMMENT ON COLUMN upc_data.backtest.started_at IS 'when it was begun';
COMMENT ON COLUMN upc_data.backtest.completed_at IS
    'when its last score was stored; NULL while it is not complete';
COMMENT ON COLUMN upc_data.backtest.steps_done IS
    'numbers of the steps whose results are stored: none is counted twice';
COMMENT ON COLUMN upc_data.backtest.factors IS
    'of the forecast of volatility, as in upc_data.volatility_fit, fitted on the training span';
COMMENT ON COLUMN upc_data.backtest.coefficients IS
    'of the forecast of volatility, as in upc_data.volatility_fit, fitted on the training span';
COMMENT ON COLUMN upc_data.backtest.regime_edges IS
    'quartiles of the volatility of an hour on the training span, percent: they divide the '
    'regimes 1 to 4';
"""

BACKTEST_HISTOGRAM = """
CREATE TABLE upc_data.backtest_histogram (
    symbol text COLLATE "C" NOT NULL,
    backtest_id bigint NOT NULL,
    moves text COLLATE "C" NOT NULL,
    year smallint NOT NULL,
    bucket smallint NOT NULL,
    minutes smallint NOT NULL,
    pairs integer NOT NULL,
    positive integer[] NOT NULL,
    negative integer[] NOT NULL,
    CONSTRAINT backtest_histogram_pkey
        PRIMARY KEY (symbol, backtest_id, moves, year, bucket, minutes),
    CONSTRAINT backtest_histogram_symbol_backtest_id_fkey
        FOREIGN KEY (symbol, backtest_id)
        REFERENCES upc_data.backtest (symbol, backtest_id) ON DELETE CASCADE,
    CONSTRAINT backtest_histogram_moves_check CHECK (
        moves IN ('plain', 'standardised', 'tested plain', 'tested standardised')
    )
);
COMMENT ON TABLE upc_data.backtest_histogram IS
    'what a backtest was trained on: counts as in the histograms of the same names, of pairs of '
    'closes inside of the training span; and of the test span, to be held against it';
COMMENT ON COLUMN upc_data.backtest_histogram.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.backtest_histogram.backtest_id IS 'the backtest';
COMMENT ON COLUMN upc_data.backtest_histogram.moves IS
    'plain, as in upc_data.fingerprint_histogram, or standardised, as in '
    'upc_data.volatility_histogram; tested: of the test span';
COMMENT ON COLUMN upc_data.backtest_histogram.year IS 'UTC year of the starting minutes';
COMMENT ON COLUMN upc_data.backtest_histogram.bucket IS
    'momentum bucket, basis points; 99 is the baseline';
COMMENT ON COLUMN upc_data.backtest_histogram.minutes IS
    'minutes from the starting minute''s close to the later close';
COMMENT ON COLUMN upc_data.backtest_histogram.pairs IS 'number of pairs of closes, unweighted';
COMMENT ON COLUMN upc_data.backtest_histogram.positive IS
    'element k: pairs that moved by at least the k-th threshold';
COMMENT ON COLUMN upc_data.backtest_histogram.negative IS
    'element k: pairs that moved by at most minus the k-th threshold';
"""

BACKTEST_SCORE = """
CREATE TABLE upc_data.backtest_score (
    symbol text COLLATE "C" NOT NULL,
    backtest_id bigint NOT NULL,
    model text COLLATE "C" NOT NULL,
    dimension text COLLATE "C" NOT NULL,
    part smallint NOT NULL,
    day date NOT NULL,
    bin smallint NOT NULL,
    questions integer NOT NULL,
    outcomes integer NOT NULL,
    probability double precision NOT NULL,
    squared_probability double precision NOT NULL,
    squared_error double precision NOT NULL,
    log_loss double precision NOT NULL,
    CONSTRAINT backtest_score_pkey
        PRIMARY KEY (symbol, backtest_id, model, dimension, part, day, bin),
    CONSTRAINT backtest_score_symbol_backtest_id_fkey
        FOREIGN KEY (symbol, backtest_id)
        REFERENCES upc_data.backtest (symbol, backtest_id) ON DELETE CASCADE,
    CONSTRAINT backtest_score_dimension_check
        CHECK (dimension IN ('all', 'minutes', 'distance', 'hour', 'regime')),
    CONSTRAINT backtest_score_bin_check CHECK (bin BETWEEN 0 AND 19)
);
COMMENT ON TABLE upc_data.backtest_score IS
    'sums over the questions of a backtest, by day and bin of probability: every score and every '
    'interval of the report comes from them';
COMMENT ON COLUMN upc_data.backtest_score.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.backtest_score.backtest_id IS 'the backtest';
COMMENT ON COLUMN upc_data.backtest_score.model IS 'element of upc_data.backtest.models';
COMMENT ON COLUMN upc_data.backtest_score.dimension IS
    'what the questions are divided by: all (not at all), minutes to the close, distance of the '
    'strike, hour of the day (UTC) of the close, regime of volatility';
COMMENT ON COLUMN upc_data.backtest_score.part IS
    'of the dimension: 0 for all; minutes; distance from the price in steps of the strikes, '
    'rounded; hour 0 to 23; regime 1 (calm) to 4';
COMMENT ON COLUMN upc_data.backtest_score.day IS 'UTC day of the close';
COMMENT ON COLUMN upc_data.backtest_score.bin IS
    'bin of the probability: 0 is below 5 percent, 19 is 95 percent and more';
COMMENT ON COLUMN upc_data.backtest_score.questions IS 'questions: one a strike, close and time';
COMMENT ON COLUMN upc_data.backtest_score.outcomes IS
    'how many of them ended at or above the strike';
COMMENT ON COLUMN upc_data.backtest_score.probability IS 'sum of the probabilities, each 0 to 1';
COMMENT ON COLUMN upc_data.backtest_score.squared_probability IS
    'sum of the squares of the probabilities';
COMMENT ON COLUMN upc_data.backtest_score.squared_error IS
    'sum of (probability - outcome)²: divided by questions, the Brier score';
COMMENT ON COLUMN upc_data.backtest_score.log_loss IS
    'sum of minus the logarithm of the probability of what happened, clipped to 0.0001 … 0.9999';
"""


def upgrade() -> None:
    run_sql(BACKTEST)
    run_sql(BACKTEST_HISTOGRAM)
    run_sql(BACKTEST_SCORE)


def downgrade() -> None:
    run_sql("""
    DROP TABLE upc_data.backtest_score;
    DROP TABLE upc_data.backtest_histogram;
    DROP TABLE upc_data.backtest;
    """)

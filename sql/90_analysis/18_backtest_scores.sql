-- Scores and reliability of a backtest, with intervals.

-- Mean scores of a backtest, by model and part of a dimension.
--
-- In SQL and without settings, so that it becomes a part of the query that calls it.
CREATE FUNCTION upc._mean_scores(
    symbol text,
    backtest_id bigint,
    dimension text,
    OUT model text,
    OUT part smallint,
    OUT questions bigint,
    OUT base_rate double precision,
    OUT brier double precision,
    OUT log_loss double precision,
    OUT calibration_error double precision,
    OUT resolution double precision,
    OUT sharpness double precision
)
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    WITH bin AS (
        SELECT
            s.model,
            s.part,
            sum(s.questions) AS questions,
            sum(s.outcomes)::double precision AS outcomes,
            sum(s.probability) AS probability,
            sum(s.squared_probability) AS squared_probability,
            sum(s.squared_error) AS squared_error,
            sum(s.log_loss) AS log_loss
        FROM upc_data.backtest_score AS s
        WHERE s.symbol = _mean_scores.symbol
          AND s.backtest_id = _mean_scores.backtest_id
          AND s.dimension = _mean_scores.dimension
        GROUP BY s.model, s.part, s.bin
    )
    SELECT
        b.model,
        b.part,
        sum(b.questions)::bigint AS questions,
        sum(b.outcomes) / sum(b.questions) AS base_rate,
        sum(b.squared_error) / sum(b.questions) AS brier,
        sum(b.log_loss) / sum(b.questions) AS log_loss,
        100 * sum(abs(b.probability - b.outcomes)) / sum(b.questions) AS calibration_error,
        -- The mean square of the shares less the square of their mean.
        sum(b.outcomes ^ 2 / b.questions) / sum(b.questions)
            - (sum(b.outcomes) / sum(b.questions)) ^ 2 AS resolution,
        sum(b.squared_probability) / sum(b.questions)
            - (sum(b.probability) / sum(b.questions)) ^ 2 AS sharpness
    FROM bin AS b
    GROUP BY b.model, b.part;
END;
COMMENT ON FUNCTION upc._mean_scores IS
    'mean scores of a backtest, by model and part of a dimension';


-- Scores of a backtest, a row per model and part, with 95 % intervals.
--
-- dimension: all, minutes (to the close), distance (of the strike), hour (of the close, UTC) or
-- regime (of volatility). resamples, seed: of the intervals. Whole days are drawn with
-- replacement, the same ones for all models; without resamples the intervals are NULL.
-- Returns base_rate: share of questions that came true, percent. brier: mean squared error. log_loss:
-- natural logarithm. calibration_error: distance of the 20 bins from the shares that came true,
-- percentage points, weighted by questions. resolution: of Murphy's decomposition over the bins, the
-- distance of the shares in the bins from the base rate. sharpness: variance of the probabilities; of
-- a calibrated model it is the resolution.
-- A resample errs by chance as the days have before, which adds to the calibration error: its
-- interval is the spread of the resamples around their median, laid around the error itself.
-- Errors: UP002 symbol, UP022 no such backtest, dimension, resamples or seed.
--
-- Example:
--   SELECT model, log_loss, log_loss_low, log_loss_high FROM backtest_scores('BTC', 1);
CREATE FUNCTION upc.backtest_scores(
    symbol text,
    backtest_id bigint,
    dimension text DEFAULT 'all',
    resamples integer DEFAULT 1000,
    seed bigint DEFAULT 1
)
RETURNS TABLE (
    model text,
    part smallint,
    questions bigint,
    base_rate double precision,
    brier double precision,
    brier_low double precision,
    brier_high double precision,
    log_loss double precision,
    log_loss_low double precision,
    log_loss_high double precision,
    calibration_error double precision,
    calibration_error_low double precision,
    calibration_error_high double precision,
    resolution double precision,
    sharpness double precision
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET work_mem = '64MB'
SET max_parallel_workers_per_gather = 0
AS $fn$
BEGIN
    PERFORM upc.require_backtest(symbol, backtest_id);
    PERFORM upc._require_resampling(dimension, resamples, seed);
    RETURN QUERY
    WITH score AS (
        SELECT m.*
        FROM upc._mean_scores(
            backtest_scores.symbol, backtest_scores.backtest_id, backtest_scores.dimension
        ) AS m
    ),
    spread AS (
        SELECT
            r.model,
            r.part,
            percentile_cont(ARRAY[0.025, 0.975]) WITHIN GROUP (ORDER BY r.brier) AS brier,
            percentile_cont(ARRAY[0.025, 0.975]) WITHIN GROUP (ORDER BY r.log_loss) AS log_loss,
            percentile_cont(ARRAY[0.025, 0.5, 0.975])
                WITHIN GROUP (ORDER BY r.calibration_error) AS calibration_error
        FROM upc._backtest_resampled(symbol, backtest_id, dimension, resamples, seed, true) AS r
        GROUP BY r.model, r.part
    )
    SELECT
        s.model,
        s.part,
        s.questions,
        100 * s.base_rate,
        s.brier,
        d.brier[1],
        d.brier[2],
        s.log_loss,
        d.log_loss[1],
        d.log_loss[2],
        s.calibration_error,
        CASE WHEN d.calibration_error IS NOT NULL THEN
            greatest(0, s.calibration_error + d.calibration_error[1] - d.calibration_error[2])
        END,
        s.calibration_error + d.calibration_error[3] - d.calibration_error[2],
        greatest(0, s.resolution),
        greatest(0, s.sharpness)
    FROM score AS s
    LEFT JOIN spread AS d ON d.model = s.model AND d.part = s.part
    JOIN upc_data.backtest AS b
        ON b.symbol = backtest_scores.symbol AND b.backtest_id = backtest_scores.backtest_id
    ORDER BY array_position(b.models, s.model), s.part;
END
$fn$;
COMMENT ON FUNCTION upc.backtest_scores IS
    'the scores of a backtest, a row per model and part, with 95 % intervals';


-- Reliability of a backtest by the bins of a dimension, numbered from 0: by its parts, or where it has none by
-- the bins of all probabilities. Intervals are drawn from whole periods: day or week.
CREATE FUNCTION upc._reliability(
    symbol text,
    backtest_id bigint,
    dimension text,
    bins integer,
    period text,
    resamples integer,
    seed bigint
)
RETURNS TABLE (
    model text,
    bin smallint,
    questions bigint,
    probability double precision,
    observed double precision,
    observed_low double precision,
    observed_high double precision
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET work_mem = '64MB'
SET max_parallel_workers_per_gather = 0
AS $fn$
DECLARE
    v_models text[];
    v_sums double precision[];
BEGIN
    SELECT b.models
    INTO v_models
    FROM upc_data.backtest AS b
    WHERE b.symbol = _reliability.symbol AND b.backtest_id = _reliability.backtest_id;

    WITH score AS (
        SELECT
            date_trunc(period, s.day::timestamp) AS drawn,
            s.model,
            CASE s.dimension WHEN 'all' THEN s.bin ELSE s.part END AS bin,
            sum(s.questions) AS questions,
            sum(s.outcomes) AS outcomes
        FROM upc_data.backtest_score AS s
        WHERE s.symbol = _reliability.symbol
          AND s.backtest_id = _reliability.backtest_id
          AND s.dimension = _reliability.dimension
        GROUP BY 1, 2, 3
    )
    SELECT array_agg(r.sums ORDER BY r.drawn)
    INTO v_sums
    FROM (
        SELECT
            d.drawn,
            array_agg(
                ARRAY[s.questions, s.outcomes]::double precision[] ORDER BY m.place, b.bin
            ) AS sums
        FROM (SELECT DISTINCT s.drawn FROM score AS s) AS d
        CROSS JOIN unnest(v_models) WITH ORDINALITY AS m(model, place)
        CROSS JOIN generate_series(0, bins - 1) AS b(bin)
        LEFT JOIN score AS s ON s.drawn = d.drawn AND s.model = m.model AND s.bin = b.bin
        GROUP BY d.drawn
    ) AS r;
    IF v_sums IS NULL THEN
        RETURN;
    END IF;

    RETURN QUERY
    WITH spread AS (
        SELECT
            r.block,
            percentile_cont(ARRAY[0.025, 0.975])
                WITHIN GROUP (ORDER BY r.sums[2] / nullif(round(r.sums[1]), 0)) AS observed
        FROM upc._resampled_sums(v_sums, resamples, seed) AS r
        GROUP BY r.block
    ),
    score AS (
        SELECT
            s.model,
            CASE s.dimension WHEN 'all' THEN s.bin ELSE s.part END AS bin,
            sum(s.questions)::bigint AS questions,
            100 * sum(s.probability) / sum(s.questions) AS probability,
            100.0::double precision * sum(s.outcomes) / sum(s.questions) AS observed
        FROM upc_data.backtest_score AS s
        WHERE s.symbol = _reliability.symbol
          AND s.backtest_id = _reliability.backtest_id
          AND s.dimension = _reliability.dimension
        GROUP BY 1, 2
    )
    SELECT
        s.model,
        s.bin,
        s.questions,
        s.probability,
        s.observed,
        -- Of digits that were rounded.
        CASE WHEN d.observed IS NOT NULL THEN greatest(0, 100 * d.observed[1]) END,
        CASE WHEN d.observed IS NOT NULL THEN least(100, 100 * d.observed[2]) END
    FROM score AS s
    LEFT JOIN spread AS d
        ON d.block = bins * (array_position(v_models, s.model) - 1) + 1 + s.bin
    ORDER BY array_position(v_models, s.model), s.bin;
END
$fn$;
COMMENT ON FUNCTION upc._reliability IS
    'the reliability of a backtest, percent: a row per model and bin of a dimension, with 95 % intervals from whole days or weeks';


-- Reliability of a backtest: a row per model and bin of probability, with 95 % intervals.
--
-- probability: the mean of those in the bin, percent. observed: share that came true, percent.
-- resamples, seed: as in backtest_scores. Bins without a question are left out.
-- Errors: UP002 symbol, UP022 no such backtest, resamples or seed.
--
-- Example:
--   SELECT model, probability, observed FROM backtest_reliability('BTC', 1);
CREATE FUNCTION upc.backtest_reliability(
    symbol text,
    backtest_id bigint,
    resamples integer DEFAULT 1000,
    seed bigint DEFAULT 1
)
RETURNS TABLE (
    model text,
    bin smallint,
    questions bigint,
    probability double precision,
    observed double precision,
    observed_low double precision,
    observed_high double precision
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    PERFORM upc.require_backtest(symbol, backtest_id);
    PERFORM upc._require_resampling('all', resamples, seed);
    RETURN QUERY
    SELECT r.* FROM upc._reliability(symbol, backtest_id, 'all', 20, 'day', resamples, seed) AS r;
END
$fn$;
COMMENT ON FUNCTION upc.backtest_reliability IS
    'the reliability of a backtest: a row per model and bin of probability, with 95 % intervals';

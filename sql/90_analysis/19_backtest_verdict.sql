-- Verdict of a backtest: its best model against each other one.

-- Verdict of a backtest: the model with the lowest log loss of all questions against each other
-- one, overall and by the minutes to the close.
--
-- minutes: NULL is overall. difference: of the log losses, the model's less the opponent's; below
-- zero the model is better. Its 95 % interval is that of the differences on the same days.
-- resamples, seed: as in backtest_scores. Of a single model there is no verdict and no row.
-- Errors: UP002 symbol, UP022 no such backtest, resamples or seed.
--
-- Example:
--   SELECT model, opponent, difference, difference_low, difference_high
--   FROM backtest_verdict('BTC', 1) WHERE minutes IS NULL;
CREATE FUNCTION upc.backtest_verdict(
    symbol text,
    backtest_id bigint,
    resamples integer DEFAULT 1000,
    seed bigint DEFAULT 1
)
RETURNS TABLE (
    model text,
    opponent text,
    minutes smallint,
    log_loss double precision,
    opponent_log_loss double precision,
    difference double precision,
    difference_low double precision,
    difference_high double precision
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET work_mem = '64MB'
SET max_parallel_workers_per_gather = 0
AS $fn$
BEGIN
    PERFORM upc.require_backtest(symbol, backtest_id);
    PERFORM upc._require_resampling('all', resamples, seed);
    RETURN QUERY
    WITH score AS (
        SELECT
            s.model,
            CASE s.dimension WHEN 'minutes' THEN s.part END AS minutes,
            sum(s.log_loss) / sum(s.questions) AS log_loss
        FROM upc_data.backtest_score AS s
        WHERE s.symbol = backtest_verdict.symbol
          AND s.backtest_id = backtest_verdict.backtest_id
          AND s.dimension IN ('all', 'minutes')
        GROUP BY s.model, s.dimension, s.part
    ),
    best AS (
        SELECT s.model
        FROM score AS s
        JOIN upc_data.backtest AS b
            ON b.symbol = backtest_verdict.symbol
            AND b.backtest_id = backtest_verdict.backtest_id
        WHERE s.minutes IS NULL
        ORDER BY s.log_loss, array_position(b.models, s.model)
        LIMIT 1
    ),
    resampled AS MATERIALIZED (
        SELECT r.resample, r.model, NULL::smallint AS minutes, r.log_loss
        FROM upc._backtest_resampled(symbol, backtest_id, 'all', resamples, seed, false) AS r
        UNION ALL
        SELECT r.resample, r.model, r.part, r.log_loss
        FROM upc._backtest_resampled(symbol, backtest_id, 'minutes', resamples, seed, false) AS r
    ),
    spread AS (
        SELECT
            o.model AS opponent,
            coalesce(o.minutes, 0) AS minutes,
            percentile_cont(ARRAY[0.025, 0.975])
                WITHIN GROUP (ORDER BY m.log_loss - o.log_loss) AS difference
        FROM best AS b
        JOIN resampled AS m ON m.model = b.model
        JOIN resampled AS o
            ON o.resample = m.resample
            AND coalesce(o.minutes, 0) = coalesce(m.minutes, 0)
            AND o.model <> m.model
        GROUP BY o.model, coalesce(o.minutes, 0)
    )
    SELECT
        b.model,
        o.model,
        o.minutes,
        m.log_loss,
        o.log_loss,
        m.log_loss - o.log_loss,
        s.difference[1],
        s.difference[2]
    FROM best AS b
    JOIN score AS m ON m.model = b.model
    JOIN score AS o
        ON o.minutes IS NOT DISTINCT FROM m.minutes AND o.model <> b.model
    LEFT JOIN spread AS s ON s.opponent = o.model AND s.minutes = coalesce(o.minutes, 0)
    JOIN score AS overall ON overall.model = o.model AND overall.minutes IS NULL
    ORDER BY overall.log_loss, o.model, o.minutes NULLS FIRST;
END
$fn$;
COMMENT ON FUNCTION upc.backtest_verdict IS
    'the verdict of a backtest: the model with the lowest log loss against each other one';

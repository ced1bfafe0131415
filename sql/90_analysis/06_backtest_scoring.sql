-- The scores of a backtest: every model is asked about every strike, and its answers are summed up.

CREATE FUNCTION upc._backtest_readings(symbol text, backtest_id bigint)
RETURNS TABLE (
    model text,
    bucket integer,
    minutes integer,
    positive double precision[],
    negative double precision[],
    thresholds double precision[],
    edges double precision[],
    is_linear boolean,
    is_standardised boolean
)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 2000
SET work_mem = '64MB'
SET jit = off
AS $fn$
DECLARE
    v_plain double precision[] := ARRAY(SELECT k::double precision / 20 FROM generate_series(0, 59) AS k ORDER BY k);
BEGIN
    FOR
        model, bucket, minutes, positive, negative, thresholds, edges, is_linear, is_standardised
    IN EXECUTE format(
        $sql$
        WITH test AS (
            SELECT b.* FROM upc_data.backtest AS b WHERE b.symbol = $1 AND b.backtest_id = $2
        ),
        plain AS MATERIALIZED (%1$s),
        standardised AS MATERIALIZED (%2$s),
        curve AS MATERIALIZED (
            SELECT 'plain' AS moves, p.bucket::integer AS bucket, p.minutes::integer AS minutes,
                p.positive, p.negative, p.shrinkage
            FROM plain AS p WHERE p.symbol <> '*'
            UNION ALL
            SELECT 'standardised', s.bucket, s.minutes, s.positive, s.negative, s.shrinkage
            FROM standardised AS s WHERE s.symbol <> '*'
        ),
        -- The nearest bucket that there is, the one nearer to zero on a tie, as in the grid. A
        -- bucket of standardised moves that nothing was seen of is as the baseline.
        bucket_key AS MATERIALIZED (
            SELECT DISTINCT ON (m.moves, m.minutes, b.bucket)
                m.moves, m.minutes, b.bucket AS asked, m.bucket
            FROM (SELECT generate_series(-30, 30) UNION ALL SELECT 99) AS b (bucket)
            CROSS JOIN (SELECT c.moves, c.minutes, c.bucket FROM curve AS c) AS m
            ORDER BY m.moves, m.minutes, b.bucket,
                CASE m.moves
                    WHEN 'standardised' THEN m.bucket NOT IN (b.bucket, 99)
                    ELSE (b.bucket = 99) <> (m.bucket = 99)
                END,
                abs(m.bucket - b.bucket), abs(m.bucket)
        ),
        bucket_curve AS (
            SELECT k.asked, c.*
            FROM bucket_key AS k
            JOIN curve AS c USING (moves, minutes, bucket)
        ),
        asked AS (
            SELECT
                m AS model,
                split_part(m, ':', 1) AS kind,
                split_part(m, ':', 2) = 'linear' AS is_linear
            FROM test, unnest(test.models) AS m
            WHERE m <> 'gaussian'
        ),
        shrunk AS (
            SELECT
                a.model,
                a.kind = 'volatility' AS is_standardised,
                a.is_linear,
                c.asked AS bucket,
                c.minutes,
                CASE a.kind
                    WHEN 'momentum' THEN c.positive
                    WHEN 'baseline' THEN b.positive
                    ELSE upc._blend(b.positive, c.positive, coalesce(c.shrinkage, 1))
                END AS positive,
                CASE a.kind
                    WHEN 'momentum' THEN c.negative
                    WHEN 'baseline' THEN b.negative
                    ELSE upc._blend(b.negative, c.negative, coalesce(c.shrinkage, 1))
                END AS negative
            FROM asked AS a
            JOIN bucket_curve AS c
                ON c.moves = CASE a.kind WHEN 'volatility' THEN 'standardised' ELSE 'plain' END
            JOIN curve AS b
                ON b.moves = c.moves AND b.minutes = c.minutes AND b.bucket = 99
        ),
        -- Of the average of the last minute 39.5 seconds less are open than until its end.
        timed AS (
            SELECT
                s.model, s.is_standardised, s.is_linear, s.bucket, t.minutes,
                CASE WHEN test.settlement = 'average' AND s.is_linear AND t.minutes > 1
                    THEN upc._blend(e.positive, s.positive, 61 * 121 / 21600.0)
                    WHEN test.settlement = 'average' THEN e.positive
                    ELSE s.positive
                END AS positive,
                CASE WHEN test.settlement = 'average' AND s.is_linear AND t.minutes > 1
                    THEN upc._blend(e.negative, s.negative, 61 * 121 / 21600.0)
                    WHEN test.settlement = 'average' THEN e.negative
                    ELSE s.negative
                END AS negative
            FROM test
            CROSS JOIN unnest(test.minutes::integer[]) AS t (minutes)
            JOIN shrunk AS s ON s.minutes = t.minutes
            JOIN shrunk AS e
                ON e.model = s.model AND e.bucket = s.bucket
                AND e.minutes = CASE WHEN test.settlement = 'average'
                    THEN greatest(1, t.minutes - 1) ELSE t.minutes END
        )
        SELECT
            t.model,
            t.bucket,
            t.minutes,
            CASE WHEN w.is_met
                THEN ARRAY[(t.positive[1] + 100 - t.negative[1]) / 2] || t.positive[2:60]
                ELSE t.positive
            END,
            CASE WHEN w.is_met
                THEN ARRAY[100 - (t.positive[1] + 100 - t.negative[1]) / 2] || t.negative[2:60]
                ELSE t.negative
            END,
            CASE WHEN t.is_standardised THEN upc.volatility_thresholds() ELSE $3 END,
            CASE WHEN t.is_standardised THEN upc._volatility_edges() ELSE $4 END,
            t.is_linear,
            t.is_standardised
        FROM timed AS t
        CROSS JOIN LATERAL (SELECT t.is_linear OR t.is_standardised AS is_met) AS w
        $sql$,
        upc._curve_query(upc._backtest_counts('plain')),
        upc._curve_query(upc._backtest_counts('standardised'), 2)
    )
    USING symbol, backtest_id, v_plain,
        ARRAY(
            -- A hair up, as in the grid.
            SELECT (v_plain[k] + v_plain[k + 1]) / 2 + 1e-9 FROM generate_series(1, 59) AS k ORDER BY k
        )
    LOOP
        RETURN NEXT;
    END LOOP;
END
$fn$;
COMMENT ON FUNCTION upc._backtest_readings IS
    'internal: the curves that a backtest''s models read, by momentum bucket (99: baseline) and minutes to the close, as compute_strikes would read them';


CREATE FUNCTION upc._score_backtest(symbol text, backtest_id bigint, first_day date, last_day date)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET work_mem = '128MB'
SET jit = off
AS $fn$
DECLARE
    v_test upc_data.backtest;
    v_models integer;
BEGIN
    SELECT b.* INTO v_test FROM upc_data.backtest AS b
    WHERE b.symbol = _score_backtest.symbol AND b.backtest_id = _score_backtest.backtest_id;
    -- The Gaussian reads no curve.
    v_models := cardinality(array_remove(v_test.models, 'gaussian'));

    INSERT INTO upc_data.backtest_score (
        symbol, backtest_id, model, dimension, part, day, bin, questions, outcomes, probability,
        squared_probability, squared_error, log_loss
    )
    WITH reading AS MATERIALIZED (
        SELECT r.* FROM upc._backtest_readings(symbol, backtest_id) AS r
    ),
    question AS MATERIALIZED (
        SELECT
            q.*,
            round(q.price / v_test.step) AS nearest,
            -- How much of the variance until a minute before the close, and until it, is open.
            CASE v_test.settlement WHEN 'average' THEN 61 * 121 / 21600.0::double precision ELSE 1 END AS open_share,
            width_bucket(q.hour_deviation, v_test.regime_edges) + 1 AS regime
        FROM upc._backtest_questions(symbol, backtest_id, first_day, last_day) AS q
        -- What one model cannot answer is asked of none.
        WHERE q.hour_deviation IS NOT NULL
          AND (v_test.factors IS NULL OR q.variance IS NOT NULL)
          AND (
              v_models = 0
              OR (q.minutes, q.bucket) IN (
                  SELECT r.minutes, r.bucket
                  FROM reading AS r
                  GROUP BY r.minutes, r.bucket
                  HAVING count(*) = v_models
              )
          )
    ),
    strike AS (
        SELECT
            q.*,
            (q.nearest + k) * v_test.step AS strike,
            abs(k)::smallint AS distance
        FROM question AS q
        CROSS JOIN generate_series(-v_test.levels, v_test.levels) AS k
        WHERE q.nearest + k > 0
    ),
    answer AS (
        SELECT
            r.model,
            q.closes_at, q.minutes, q.distance, q.regime,
            q.settled >= q.strike AS outcome,
            0.01 * CASE WHEN q.strike > q.price
                THEN upc._curve_value(r.positive, r.thresholds, p.place, m.move, r.is_linear)
                ELSE 100 - upc._curve_value(r.negative, r.thresholds, p.place, m.move, r.is_linear)
            END AS probability
        FROM strike AS q
        JOIN reading AS r
            ON r.minutes = q.minutes
            AND r.bucket = q.bucket
        CROSS JOIN LATERAL (
            SELECT
                abs(q.price - q.strike) / q.price / CASE
                    WHEN r.is_standardised
                    THEN sqrt(q.earlier_variance + q.open_share * (q.variance - q.earlier_variance))
                    -- Below a minute the first one's curve, by the square root of time.
                    WHEN r.is_linear AND v_test.settlement = 'average' AND q.minutes = 1
                    THEN 0.01 * sqrt(q.open_share)
                    ELSE 0.01
                END AS move
            OFFSET 0
        ) AS m
        CROSS JOIN LATERAL (
            SELECT upc._threshold_index(r.thresholds, r.edges, m.move, r.is_linear) AS place
            OFFSET 0
        ) AS p

        UNION ALL

        SELECT
            'gaussian', q.closes_at, q.minutes, q.distance, q.regime, q.settled >= q.strike,
            upc._normal_tail(
                ln(q.strike / q.price)
                / sqrt(greatest(q.squared_move, 1e-14) * (q.minutes - 1 + q.open_share))
            )
        FROM strike AS q
        WHERE 'gaussian' = ANY (v_test.models)
    ),
    scored AS (
        SELECT
            a.model,
            (a.closes_at AT TIME ZONE 'UTC')::date AS day,
            a.minutes::smallint AS minutes,
            a.distance,
            extract(hour FROM a.closes_at AT TIME ZONE 'UTC')::smallint AS hour,
            a.regime::smallint AS regime,
            greatest(0, least(19, floor(20 * a.probability)))::smallint AS bin,
            a.outcome::integer AS outcome,
            a.probability,
            -ln(least(0.9999, greatest(0.0001,
                CASE WHEN a.outcome THEN a.probability ELSE 1 - a.probability END
            ))) AS log_loss
        FROM answer AS a
    ),
    summed AS (
        SELECT
            s.model, s.day, s.bin, s.minutes, s.distance, s.hour, s.regime,
            grouping(s.minutes, s.distance, s.hour, s.regime) AS dimension,
            count(*)::integer AS questions,
            sum(s.outcome)::integer AS outcomes,
            sum(s.probability) AS probability,
            sum(s.probability ^ 2) AS squared_probability,
            sum((s.probability - s.outcome) ^ 2) AS squared_error,
            sum(s.log_loss) AS log_loss
        FROM scored AS s
        GROUP BY GROUPING SETS (
            (s.model, s.day, s.bin),
            (s.model, s.day, s.bin, s.minutes),
            (s.model, s.day, s.bin, s.distance),
            (s.model, s.day, s.bin, s.hour),
            (s.model, s.day, s.bin, s.regime)
        )
    )
    SELECT
        v_test.symbol,
        v_test.backtest_id,
        s.model,
        CASE s.dimension
            WHEN 15 THEN 'all' WHEN 7 THEN 'minutes' WHEN 11 THEN 'distance'
            WHEN 13 THEN 'hour' ELSE 'regime'
        END,
        CASE s.dimension
            WHEN 15 THEN 0 WHEN 7 THEN s.minutes WHEN 11 THEN s.distance
            WHEN 13 THEN s.hour ELSE s.regime
        END,
        s.day, s.bin, s.questions, s.outcomes, s.probability, s.squared_probability,
        s.squared_error, s.log_loss
    FROM summed AS s;
END
$fn$;
COMMENT ON FUNCTION upc._score_backtest IS
    'internal: asks every model of a backtest about the contracts that close on some UTC days, and keeps the sums';


-- Run one step of a backtest, in the order of backtest_steps; nothing, if it was run before.
-- Errors: UP022 no such backtest or step, one that comes too early, or too little to train on.
CREATE FUNCTION upc.run_backtest_step(symbol text, backtest_id bigint, step integer)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_stages text[] := '{fit, train, test, complete}'::text[];
    v_step record;
    v_done integer[];
BEGIN
    SELECT p.*
    INTO v_step
    FROM upc._backtest_plan(symbol, backtest_id) AS p
    WHERE p.step = run_backtest_step.step;

    -- Whoever runs the same step at the same time waits, and finds that it is done.
    PERFORM pg_advisory_xact_lock(
        hashtextextended(format('pyupc backtest %s step %s', backtest_id, step), 0)
    );
    SELECT b.steps_done INTO v_done FROM upc_data.backtest AS b
    WHERE b.symbol = run_backtest_step.symbol AND b.backtest_id = run_backtest_step.backtest_id;
    IF run_backtest_step.step = ANY (v_done) THEN
        RETURN;
    END IF;
    IF EXISTS (
        SELECT FROM upc._backtest_plan(symbol, backtest_id) AS p
        WHERE array_position(v_stages, p.stage) < array_position(v_stages, v_step.stage)
          AND p.step <> ALL (v_done)
    ) THEN
        PERFORM upc._refuse_backtest(
            format('step %s comes too early', step), 'It needs what earlier stages compute.',
            'Run all steps of a stage before the next one: fit, train, test, complete.'
        );
    END IF;

    CASE v_step.stage
        WHEN 'fit' THEN
            PERFORM upc._fit_backtest(symbol, backtest_id);
        WHEN 'train' THEN
            PERFORM upc._count_backtest(
                symbol, backtest_id, v_step.first_day, v_step.last_day, false
            );
        WHEN 'test' THEN
            PERFORM upc._score_backtest(symbol, backtest_id, v_step.first_day, v_step.last_day);
            PERFORM upc._count_backtest(
                symbol, backtest_id, v_step.first_day, v_step.last_day, true
            );
        WHEN 'complete' THEN
            UPDATE upc_data.backtest AS b
            SET completed_at = clock_timestamp()
            WHERE b.symbol = run_backtest_step.symbol
              AND b.backtest_id = run_backtest_step.backtest_id;
        ELSE
            PERFORM upc._refuse_backtest(
                format('there is no step %s', coalesce(step::text, 'NULL')),
                'Steps are numbered from 1.', 'See upc.backtest_steps.'
            );
    END CASE;
    UPDATE upc_data.backtest AS b
    SET steps_done = b.steps_done || run_backtest_step.step
    WHERE b.symbol = run_backtest_step.symbol AND b.backtest_id = run_backtest_step.backtest_id;
END
$fn$;
COMMENT ON FUNCTION upc.run_backtest_step IS
    'runs one step of a backtest, by its number in backtest_steps, if it was not run before';

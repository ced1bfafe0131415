-- Steps of a backtest: fit, train, answer, recalibrate, test, complete.

CREATE FUNCTION upc._backtest_plan(symbol text, backtest_id bigint)
RETURNS TABLE (step integer, stage text, first_day date, last_day date)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_test upc_data.backtest;
BEGIN
    SELECT b.* INTO v_test FROM upc_data.backtest AS b
    WHERE b.symbol = _backtest_plan.symbol AND b.backtest_id = _backtest_plan.backtest_id;
    IF NOT FOUND THEN
        PERFORM upc._refuse_backtest(
            format('there is no backtest %s of %s', backtest_id, symbol),
            'Backtests are numbered over all symbols.', 'See "pyupc backtest --list".'
        );
    END IF;
    RETURN QUERY
    SELECT (row_number() OVER (ORDER BY p.place, p.first_day))::integer, p.stage, p.first_day, p.last_day
    FROM (
        SELECT 1 AS place, 'fit' AS stage,
            (v_test.train_from AT TIME ZONE 'UTC')::date AS first_day,
            ((v_test.train_to - interval '1 minute') AT TIME ZONE 'UTC')::date AS last_day
        UNION ALL
        -- Quarters and months: a few seconds each.
        SELECT 2, 'train', min(d)::date, max(d)::date
        FROM generate_series(
            date_trunc('day', v_test.train_from AT TIME ZONE 'UTC'),
            (v_test.train_to - interval '1 minute') AT TIME ZONE 'UTC',
            interval '1 day'
        ) AS d
        GROUP BY date_trunc('quarter', d)
        UNION ALL
        -- Whole weeks: what is counted of one is written once.
        SELECT 3, 'answer', min(d)::date, max(d)::date
        FROM generate_series(
            date_trunc('day', v_test.test_from AT TIME ZONE 'UTC'),
            (v_test.test_to - interval '1 minute') AT TIME ZONE 'UTC',
            interval '1 day'
        ) AS d
        WHERE v_test.is_recalibrated
        GROUP BY floor((date_trunc('week', d)::date - date '2000-01-03') / 28.0)
        UNION ALL
        SELECT 4, 'recalibrate', NULL, NULL
        WHERE v_test.is_recalibrated
        UNION ALL
        SELECT 5, 'test', min(d)::date, max(d)::date
        FROM generate_series(
            date_trunc('day', v_test.test_from AT TIME ZONE 'UTC'),
            (v_test.test_to - interval '1 minute') AT TIME ZONE 'UTC',
            interval '1 day'
        ) AS d
        GROUP BY date_trunc('month', d)
        UNION ALL
        SELECT 6, 'complete', NULL, NULL
    ) AS p
    -- Quotes are scored as a whole, by upc.score_market.
    WHERE v_test.kind <> 'market' OR p.place <= 2;
END
$fn$;
COMMENT ON FUNCTION upc._backtest_plan IS
    'the steps of a backtest with their UTC days';


-- Steps of a backtest, in their order: fit, train, answer and recalibrate where it is, test, complete; those of
-- one stage may run at the same time.
--
-- Returns a row per step. days: how many UTC days of candles it covers.
-- Errors: UP022 no such backtest.
--
-- Example:
--   SELECT array_agg(DISTINCT s.stage) @> '{complete,fit,test,train}' FROM backtest_steps('BTC', 1) AS s;
CREATE FUNCTION upc.backtest_steps(symbol text, backtest_id bigint)
RETURNS TABLE (step integer, stage text, days integer)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT p.step, p.stage, coalesce(p.last_day - p.first_day + 1, 0)
    FROM upc._backtest_plan(backtest_steps.symbol, backtest_steps.backtest_id) AS p
    ORDER BY p.step;
END;
COMMENT ON FUNCTION upc.backtest_steps IS
    'the steps of a backtest, in their order: fit, train, answer, recalibrate, test, complete; those of one stage may be run at the same time';


-- Run one step of a backtest, in the order of backtest_steps; a step that was run before is left out.
--
-- Errors: UP022 no such backtest or step, one that comes too early, or too little to train on.
--
-- Example:
--   SELECT begin_backtest('BTC', test_from => '2024-01-01 13:00+00', models => '{gaussian}');
--   SELECT run_backtest_step(b.symbol, b.backtest_id, 1) FROM backtest_list AS b
--   ORDER BY b.backtest_id DESC LIMIT 1;
CREATE FUNCTION upc.run_backtest_step(symbol text, backtest_id bigint, step integer)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_stages text[] := '{fit, train, answer, recalibrate, test, complete}'::text[];
    v_step record;
    v_done integer[];
BEGIN
    SELECT p.*
    INTO v_step
    FROM upc._backtest_plan(symbol, backtest_id) AS p
    WHERE p.step = run_backtest_step.step;

    -- Another one that runs the same step at the same time waits, and finds that it is done.
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
            'Run all steps of a stage before the next one: fit, train, answer, recalibrate, test, complete.'
        );
    END IF;

    CASE v_step.stage
        WHEN 'fit' THEN
            PERFORM upc._fit_backtest(symbol, backtest_id);
        WHEN 'train' THEN
            PERFORM upc._count_backtest(symbol, backtest_id, min(d)::date, max(d)::date, false)
            FROM generate_series(
                v_step.first_day::timestamp, v_step.last_day, interval '1 day'
            ) AS d
            GROUP BY date_trunc('month', d);
        WHEN 'answer' THEN
            PERFORM upc._count_backtest_answers(
                symbol, backtest_id, v_step.first_day, v_step.last_day
            );
        WHEN 'recalibrate' THEN
            PERFORM upc._recalibrate_backtest(symbol, backtest_id);
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

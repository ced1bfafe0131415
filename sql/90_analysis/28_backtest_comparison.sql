-- Comparison of two backtests: the same questions, answered by each of them.

CREATE FUNCTION upc._question_settings(symbol text, backtest_id bigint)
RETURNS TABLE (place integer, name text, value text)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT v.place, v.name, coalesce(v.value, 'none')
    FROM upc_data.backtest AS b
    CROSS JOIN LATERAL (
        VALUES
            (1, 'kind', b.kind),
            (2, 'test_from', upc._iso_utc(b.test_from)),
            (3, 'test_to', upc._iso_utc(b.test_to)),
            (4, 'minutes', array_to_string(b.minutes, ' ')),
            (5, 'settlement', b.settlement),
            (6, 'close_minute', b.close_minute::text),
            (7, 'step', b.step::text),
            (8, 'levels', b.levels::text),
            (9, 'prices', b.prices)
    ) AS v (place, name, value)
    WHERE b.symbol = _question_settings.symbol AND b.backtest_id = _question_settings.backtest_id;
END;
COMMENT ON FUNCTION upc._question_settings IS
    'the settings of a backtest that its questions depend on';


-- The days of which two backtests do not have as many questions and outcomes at every time to the close, in
-- words; NULL where there is none.
CREATE FUNCTION upc._differing_days(symbol text, backtest_id bigint, other_id bigint)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    WITH counted AS (
        SELECT DISTINCT
            s.backtest_id, s.day, s.part, sum(s.questions) AS questions, sum(s.outcomes) AS outcomes
        FROM upc_data.backtest_score AS s
        WHERE s.symbol = _differing_days.symbol
          AND s.backtest_id IN (_differing_days.backtest_id, _differing_days.other_id)
          AND s.dimension = 'minutes'
        GROUP BY s.backtest_id, s.model, s.day, s.part
    ),
    differing AS (
        SELECT c.day
        FROM counted AS c
        WHERE _differing_days.backtest_id <> _differing_days.other_id
        GROUP BY c.day, c.part, c.questions, c.outcomes
        HAVING count(*) <> 2
    )
    SELECT format('the questions of %s days, the first one %s', count(DISTINCT d.day), min(d.day))
    FROM differing AS d
    HAVING count(*) > 0;
END;
COMMENT ON FUNCTION upc._differing_days IS
    'the days of which two backtests do not have the same questions, in words; NULL where there is none';


-- Refuse two backtests that did not ask the same questions; the error names what differs.
--
-- Errors: UP002 symbol, UP022 no such backtest, not complete, or other questions.
CREATE FUNCTION upc._require_same_questions(symbol text, backtest_id bigint, other_id bigint)
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_other text;
    v_differing text;
BEGIN
    PERFORM upc.require_backtest(symbol, backtest_id);
    SELECT b.symbol
    INTO v_other
    FROM upc_data.backtest AS b
    WHERE b.backtest_id = other_id
    ORDER BY b.symbol <> _require_same_questions.symbol
    LIMIT 1;
    IF v_other <> symbol THEN
        v_differing := format('symbol (%s and %s)', symbol, v_other);
    ELSE
        PERFORM upc.require_backtest(symbol, other_id);
        SELECT string_agg(format('%s (%s and %s)', a.name, a.value, b.value), ', ' ORDER BY a.place)
        INTO v_differing
        FROM upc._question_settings(symbol, backtest_id) AS a
        JOIN upc._question_settings(symbol, other_id) AS b USING (name)
        WHERE a.value <> b.value;
        v_differing := coalesce(v_differing, upc._differing_days(symbol, backtest_id, other_id));
    END IF;
    IF v_differing IS NOT NULL THEN
        PERFORM upc._refuse_backtest(
            format('backtests %s and %s did not ask the same questions', backtest_id, other_id),
            format('They differ in %s.', v_differing),
            'They may differ in training that ends an hour before the test, in models and in version.'
        );
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._require_same_questions IS
    'raises UP022 unless two backtests asked the same questions, and names what differs';


-- Losses of one backtest less those of another by day, model and time to the close, as
-- upc._resampled_sums takes it: a block is a model, and 0 for all questions or minutes, in the order of both.
-- Its sums are questions, squared error and log loss.
CREATE FUNCTION upc._daily_differences(
    symbol text,
    backtest_id bigint,
    other_id bigint,
    models text[],
    parts smallint[]
)
RETURNS double precision[]
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_daily double precision[];
BEGIN
    WITH total AS (
        SELECT
            s.day,
            s.model,
            CASE s.dimension WHEN 'all' THEN 0 ELSE s.part END AS part,
            ARRAY[
                sum(s.questions) FILTER (WHERE w.sign = 1),
                sum(w.sign * s.squared_error),
                sum(w.sign * s.log_loss)
            ] AS sums
        FROM (
            VALUES (_daily_differences.backtest_id, 1), (_daily_differences.other_id, -1)
        ) AS w (backtest_id, sign)
        JOIN upc_data.backtest_score AS s USING (backtest_id)
        WHERE s.symbol = _daily_differences.symbol
          AND s.dimension IN ('all', 'minutes')
          AND s.model = ANY (models)
        GROUP BY 1, 2, 3
    ),
    row_of_day AS (
        SELECT
            d.day,
            array_agg(
                coalesce(t.sums, array_fill(0::double precision, ARRAY[3]))
                ORDER BY m.place, p.place
            ) AS sums
        FROM (SELECT DISTINCT t.day FROM total AS t) AS d
        CROSS JOIN unnest(models) WITH ORDINALITY AS m(model, place)
        CROSS JOIN unnest(parts) WITH ORDINALITY AS p(part, place)
        LEFT JOIN total AS t ON t.day = d.day AND t.part = p.part AND t.model = m.model
        GROUP BY d.day
    )
    SELECT array_agg(r.sums ORDER BY r.day)
    INTO v_daily
    FROM row_of_day AS r;
    RETURN v_daily;
END
$fn$;
COMMENT ON FUNCTION upc._daily_differences IS
    'the losses of one backtest less those of another by day, model and time to the close, as upc._resampled_sums takes it';


-- Scores of two backtests side by side: of every model that both have, on the same questions.
--
-- minutes: NULL is overall. Differences are the first backtest's score less the other one's; below zero the
-- first is better. Their 95 % intervals come from the same days, drawn anew for both. resamples, seed: as in
-- backtest_scores.
-- The backtests may differ in their training, their models and the version that ran them.
-- Returns a row per model and time to the close, models in the order of the first. None where they have no
-- model in common.
-- Errors: UP002 symbol, UP022 no such backtest, other questions, resamples or seed.
--
-- Example:
--   SELECT model, difference, difference_low, difference_high
--   FROM backtest_comparison('BTC', 1, 1) WHERE minutes IS NULL;
CREATE FUNCTION upc.backtest_comparison(
    symbol text,
    backtest_id bigint,
    other_id bigint,
    resamples integer DEFAULT 1000,
    seed bigint DEFAULT 1
)
RETURNS TABLE (
    model text,
    minutes smallint,
    questions bigint,
    log_loss double precision,
    other_log_loss double precision,
    difference double precision,
    difference_low double precision,
    difference_high double precision,
    brier double precision,
    other_brier double precision,
    brier_difference double precision,
    brier_difference_low double precision,
    brier_difference_high double precision
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET work_mem = '64MB'
SET max_parallel_workers_per_gather = 0
AS $fn$
DECLARE
    v_models text[];
    v_parts smallint[];
BEGIN
    PERFORM upc._require_same_questions(symbol, backtest_id, other_id);
    PERFORM upc._require_resampling('all', resamples, seed);
    SELECT
        ARRAY(
            SELECT m.model FROM unnest(b.models) WITH ORDINALITY AS m (model, place)
            WHERE m.model = ANY (o.models) ORDER BY m.place
        ),
        0::smallint || b.minutes
    INTO v_models, v_parts
    FROM upc_data.backtest AS b
    JOIN upc_data.backtest AS o ON o.symbol = b.symbol AND o.backtest_id = other_id
    WHERE b.symbol = backtest_comparison.symbol
      AND b.backtest_id = backtest_comparison.backtest_id;
    IF v_models = '{}' THEN
        RETURN;
    END IF;

    RETURN QUERY
    WITH score AS (
        SELECT
            s.backtest_id,
            s.model,
            CASE s.dimension WHEN 'all' THEN 0 ELSE s.part END AS part,
            sum(s.questions)::bigint AS questions,
            sum(s.log_loss) / sum(s.questions) AS log_loss,
            sum(s.squared_error) / sum(s.questions) AS brier
        FROM upc_data.backtest_score AS s
        WHERE s.symbol = backtest_comparison.symbol
          AND s.backtest_id IN (backtest_comparison.backtest_id, other_id)
          AND s.dimension IN ('all', 'minutes')
        GROUP BY 1, 2, 3
    ),
    spread AS (
        SELECT
            r.block,
            percentile_cont(ARRAY[0.025, 0.975]) WITHIN GROUP (ORDER BY r.sums[3] / q.questions) AS losses,
            percentile_cont(ARRAY[0.025, 0.975]) WITHIN GROUP (ORDER BY r.sums[2] / q.questions) AS briers
        FROM upc._resampled_sums(
            upc._daily_differences(symbol, backtest_id, other_id, v_models, v_parts),
            resamples, seed
        ) AS r
        -- No day with a question may have been drawn; of zero the digits are rounded.
        CROSS JOIN LATERAL (SELECT nullif(round(r.sums[1]), 0) AS questions) AS q
        GROUP BY r.block
    )
    SELECT
        a.model, nullif(a.part, 0)::smallint, a.questions,
        a.log_loss, o.log_loss, a.log_loss - o.log_loss, s.losses[1], s.losses[2],
        a.brier, o.brier, a.brier - o.brier, s.briers[1], s.briers[2]
    FROM unnest(v_models) WITH ORDINALITY AS m (model, place)
    CROSS JOIN unnest(v_parts) WITH ORDINALITY AS p (part, place)
    JOIN score AS a
        ON a.backtest_id = backtest_comparison.backtest_id
        AND a.model = m.model AND a.part = p.part
    JOIN score AS o ON o.backtest_id = other_id AND o.model = m.model AND o.part = p.part
    LEFT JOIN spread AS s ON s.block = (m.place - 1) * cardinality(v_parts) + p.place
    ORDER BY m.place, p.place;
END
$fn$;
COMMENT ON FUNCTION upc.backtest_comparison IS
    'the scores of two backtests side by side, of every model that both have, on the same questions';

-- Recalibration of a backtest: what its volatility model said is counted week by week, and each week's
-- answers are corrected by those of the 26 weeks before. Only the test is counted: of its training
-- the model has seen the outcomes.

CREATE TYPE upc._bucket_curve AS (
    bucket integer,
    minutes integer,
    positive double precision[],
    negative double precision[]
);
COMMENT ON TYPE upc._bucket_curve IS
    'a curve of standardised moves as it answers for a momentum bucket (99: none) and time to the close';


-- Answers about all strikes of contracts that close on some UTC days, by week, time to the close and tenth of
-- log-odds, from 0.2 to 99.8 percent. test: of kind above, whether stored or not.
CREATE FUNCTION upc._counted_answers(
    test upc_data.backtest,
    first_day date,
    last_day date,
    curves upc._bucket_curve[],
    is_linear boolean
)
RETURNS TABLE (
    week date,
    minutes integer,
    questions integer[],
    outcomes integer[],
    log_odds double precision[]
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET work_mem = '64MB'
SET jit = off
AS $fn$
DECLARE
    v_thresholds double precision[] := upc.volatility_thresholds();
    v_edges double precision[] := upc._volatility_edges();
BEGIN
    RETURN QUERY
    WITH curve AS MATERIALIZED (SELECT c.* FROM unnest(curves) AS c),
    counted AS MATERIALIZED (
        SELECT
            date_trunc('week', a.closes_at AT TIME ZONE 'UTC')::date AS week,
            a.minutes,
            upc._odds_place(a.log_odds) AS place,
            count(*)::integer AS questions,
            count(*) FILTER (WHERE a.outcome)::integer AS outcomes,
            -- In one order, so that the last digit is always the same.
            sum(round(a.log_odds::numeric, 9))::double precision AS log_odds
        FROM (
            SELECT
                q.closes_at, q.minutes, q.outcome,
                CASE WHEN v.above > 0 AND v.above < 100 THEN ln(v.above / (100 - v.above)) END
                    AS log_odds
            FROM upc._contract_questions(test, first_day, last_day) AS q
            JOIN curve AS r ON r.minutes = q.minutes AND r.bucket = q.bucket
            CROSS JOIN LATERAL (
                SELECT abs(q.price - q.lower) / q.price / sqrt(
                    q.earlier_variance + q.open_share * (q.variance - q.earlier_variance)
                ) AS move
                OFFSET 0
            ) AS m
            CROSS JOIN LATERAL (
                SELECT upc._threshold_index(v_thresholds, v_edges, m.move, is_linear) AS place
                OFFSET 0
            ) AS p
            CROSS JOIN LATERAL (
                SELECT CASE WHEN q.lower > q.price
                    THEN upc._curve_value(r.positive, v_thresholds, p.place, m.move, is_linear)
                    ELSE 100 - upc._curve_value(r.negative, v_thresholds, p.place, m.move, is_linear)
                END AS above
                OFFSET 0
            ) AS v
            OFFSET 0
        ) AS a
        WHERE upc._odds_place(a.log_odds) IS NOT NULL
        GROUP BY 1, 2, 3
    )
    SELECT
        w.week,
        w.minutes,
        array_agg(coalesce(c.questions, 0) ORDER BY k.place),
        array_agg(coalesce(c.outcomes, 0) ORDER BY k.place),
        array_agg(coalesce(c.log_odds, 0) ORDER BY k.place)
    FROM (SELECT DISTINCT d.week, d.minutes FROM counted AS d) AS w
    CROSS JOIN generate_series(1, 126) AS k (place)
    LEFT JOIN counted AS c
        ON c.week = w.week AND c.minutes = w.minutes AND c.place = k.place
    GROUP BY w.week, w.minutes;
END
$fn$;
COMMENT ON FUNCTION upc._counted_answers IS
    'answers about the strikes of contracts that close on some UTC days, counted by week, time to the close and tenth of log-odds';


CREATE FUNCTION upc._count_backtest_answers(
    symbol text,
    backtest_id bigint,
    first_day date,
    last_day date
)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_test upc_data.backtest;
    v_curves upc._bucket_curve[];
    v_is_linear boolean;
BEGIN
    SELECT b.* INTO v_test FROM upc_data.backtest AS b
    WHERE b.symbol = _count_backtest_answers.symbol
      AND b.backtest_id = _count_backtest_answers.backtest_id;
    v_is_linear := 'volatility:linear' = ANY (v_test.models);
    SELECT array_agg(
        ROW(r.bucket, r.minutes, r.positive, r.negative)::upc._bucket_curve
        ORDER BY r.minutes, r.bucket
    )
    INTO v_curves
    FROM upc._backtest_readings(symbol, backtest_id, '{-infinity}') AS r
    WHERE r.is_standardised AND r.is_linear = v_is_linear AND r.minutes <= 60;
    -- A range is the difference of two answers about strikes.
    v_test.kind := 'above';
    v_test.minutes := ARRAY(SELECT m FROM unnest(v_test.minutes) AS m WHERE m <= 60 ORDER BY m);
    INSERT INTO upc_data.backtest_answer (
        symbol, backtest_id, week, minutes, questions, outcomes, log_odds
    )
    SELECT
        v_test.symbol, v_test.backtest_id, a.week, a.minutes, a.questions, a.outcomes, a.log_odds
    FROM upc._counted_answers(v_test, first_day, last_day, v_curves, v_is_linear) AS a;
END
$fn$;
COMMENT ON FUNCTION upc._count_backtest_answers IS
    'counts what the volatility model of a backtest says of contracts that close in some whole weeks, before it is corrected';


CREATE FUNCTION upc._recalibrate_backtest(symbol text, backtest_id bigint)
RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    INSERT INTO upc_data.backtest_recalibration (
        symbol, backtest_id, week, lifts, stretches, bends
    )
    SELECT
        _recalibrate_backtest.symbol, _recalibrate_backtest.backtest_id, w.week, f.lifts,
        f.stretches, f.bends
    FROM (
        SELECT
            d.week + 7 AS week,
            (
                SELECT array_agg(
                    ROW(a.minutes, a.questions, a.outcomes, a.log_odds)::upc._counted_odds
                    ORDER BY a.week, a.minutes
                )
                FROM upc_data.backtest_answer AS a
                WHERE a.symbol = _recalibrate_backtest.symbol
                  AND a.backtest_id = _recalibrate_backtest.backtest_id
                  AND a.week <= d.week
                  AND a.week > d.week - 7 * upc._recalibration_weeks()
            ) AS counts
        FROM (
            SELECT DISTINCT k.week
            FROM upc_data.backtest_answer AS k
            WHERE k.symbol = _recalibrate_backtest.symbol
              AND k.backtest_id = _recalibrate_backtest.backtest_id
        ) AS d
    ) AS w
    CROSS JOIN LATERAL upc._fit_recalibration(w.counts) AS f;
END;
COMMENT ON FUNCTION upc._recalibrate_backtest IS
    'fits the correction of each week of a backtest to the answers of the 26 weeks before';

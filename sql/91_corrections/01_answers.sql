-- Answers that the live model would have given in the weeks before: by the forecasts of the fit in use, and by
-- curves that are counted from the years before alone, so that it has not seen what came.

CREATE FUNCTION upc._recalibrated_minutes()
RETURNS integer[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '{2, 5, 10, 15, 30, 45, 60}'::integer[];
COMMENT ON FUNCTION upc._recalibrated_minutes IS
    'the times to the close, in minutes, at which the live model''s answers are counted';


-- Curves of standardised moves by a symbol's counts of the years before a year, for each momentum bucket: one that
-- nothing was seen of is as the baseline.
--
-- Returns NULL where these years have less than 60 days.
CREATE FUNCTION upc._earlier_curves(symbol text, before_year integer)
RETURNS upc._bucket_curve[]
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET work_mem = '64MB'
SET jit = off
AS $fn$
DECLARE
    v_generation integer;
    v_curves upc._bucket_curve[];
BEGIN
    SELECT f.used_generation INTO v_generation
    FROM upc_data.volatility_fit AS f
    WHERE f.symbol = _earlier_curves.symbol;
    IF 60 > (
        SELECT count(*)
        FROM upc_data.volatility_day AS d
        WHERE d.symbol = _earlier_curves.symbol
          AND d.generation = v_generation
          AND d.day < make_date(before_year, 1, 1)
    ) THEN
        RETURN NULL;
    END IF;
    EXECUTE format(
        $sql$
        WITH curve AS MATERIALIZED (%s),
        asked AS (
            SELECT b.bucket, m.minutes::integer AS minutes
            FROM (SELECT generate_series(-30, 30) UNION ALL SELECT upc._baseline()) AS b (bucket)
            CROSS JOIN unnest(upc._recalibrated_minutes()) AS m (minutes)
        )
        SELECT array_agg(
            ROW(
                a.bucket,
                a.minutes,
                upc._blend(b.positive, coalesce(c.positive, b.positive), coalesce(c.shrinkage, 1)),
                upc._blend(b.negative, coalesce(c.negative, b.negative), coalesce(c.shrinkage, 1))
            )::upc._bucket_curve
            ORDER BY a.minutes, a.bucket
        )
        FROM asked AS a
        JOIN curve AS b ON b.bucket = upc._baseline() AND b.minutes = a.minutes
        LEFT JOIN curve AS c ON c.bucket = a.bucket AND c.minutes = a.minutes
        $sql$,
        upc._curve_query(
            $sql$
            SELECT
                h.symbol, h.year, h.bucket, h.minutes, h.pairs, h.positive, h.negative,
                greatest(1, 6 - ($3 - h.year)) AS weight
            FROM upc_data.volatility_histogram AS h
            WHERE h.symbol = $1
              AND h.generation = $2
              AND h.year < $3
              -- Of the first minute all starts are there, which effective sizes are made of.
              AND h.minutes = ANY (1 || upc._recalibrated_minutes())
            $sql$,
            2
        )
    )
    INTO v_curves
    USING symbol, v_generation, before_year;
    -- Where a side has more than one number for no move at all, the sides meet in the middle.
    RETURN ARRAY(
        SELECT ROW(
            c.bucket,
            c.minutes,
            ARRAY[(c.positive[1] + 100 - c.negative[1]) / 2] || c.positive[2:60],
            ARRAY[100 - (c.positive[1] + 100 - c.negative[1]) / 2] || c.negative[2:60]
        )::upc._bucket_curve
        FROM unnest(v_curves) AS c
    );
END
$fn$;
COMMENT ON FUNCTION upc._earlier_curves IS
    'the curves of standardised moves by a symbol''s counts of the years before a year; NULL where they have less than 60 days';


-- Weeks whose answers a correction from a Monday on is fitted on, with what they stand on: the fit, and the
-- versions of the days counted by their end.
CREATE FUNCTION upc._answered_weeks(symbol text, monday date)
RETURNS TABLE (week date, generation integer, versions numeric)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 26
BEGIN ATOMIC
    SELECT w.week, f.used_generation, d.versions
    FROM upc_data.volatility_fit AS f
    CROSS JOIN LATERAL (
        SELECT _answered_weeks.monday - 7 * k AS week
        FROM generate_series(1, upc._recalibration_weeks()) AS k
    ) AS w
    CROSS JOIN LATERAL (
        SELECT sum(c.version) AS versions
        FROM upc_data.volatility_day AS c
        WHERE c.symbol = f.symbol
          AND c.generation = f.used_generation
          AND c.day < w.week + 7
    ) AS d
    WHERE f.symbol = _answered_weeks.symbol AND d.versions IS NOT NULL;
END;
COMMENT ON FUNCTION upc._answered_weeks IS
    'the weeks whose answers a correction from a Monday on is fitted on, with the fit and the versions of the days that they stand on';


-- Count what the live model would have said of contracts that close in a week, hourly and above strikes.
CREATE FUNCTION upc._count_live_answers(
    symbol text,
    week date,
    curves upc._bucket_curve[]
)
RETURNS TABLE (
    minutes integer,
    questions integer[],
    outcomes integer[],
    log_odds double precision[]
)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 7
AS $fn$
DECLARE
    v_test upc_data.backtest;
BEGIN
    -- A backtest that is stored nowhere: what is asked is the same.
    SELECT
        s.symbol, s.strike_step, f.used_factors, f.used_coefficients
    INTO v_test.symbol, v_test.step, v_test.factors, v_test.coefficients
    FROM upc_data.symbol AS s
    JOIN upc_data.volatility_fit AS f ON f.symbol = s.symbol
    WHERE s.symbol = _count_live_answers.symbol;
    v_test.kind := 'above';
    v_test.settlement := 'close';
    v_test.close_minute := 0;
    v_test.levels := 10;
    v_test.minutes := upc._recalibrated_minutes();
    v_test.train_to := '-infinity';
    v_test.test_from := '-infinity';
    v_test.test_to := 'infinity';
    RETURN QUERY
    SELECT a.minutes, a.questions, a.outcomes, a.log_odds
    FROM upc._counted_answers(v_test, week, week + 6, curves, true) AS a
    WHERE a.week = _count_live_answers.week;
END
$fn$;
COMMENT ON FUNCTION upc._count_live_answers IS
    'what the live model would have said of contracts that close in a week, counted by time to the close and log-odds';

-- Questions of a backtest: for every close and time before it the price then, the momentum and the
-- volatility that were known, and the price that settles the contract.

CREATE TYPE upc.backtest_question AS (
    closes_at timestamptz,
    minutes integer,
    price double precision,
    settled double precision,
    bucket integer,
    squared_move double precision,
    hour_deviation double precision,
    variance double precision,
    earlier_variance double precision,
    price_to_beat double precision
);
COMMENT ON TYPE upc.backtest_question IS
    'a question of a backtest: when its contracts close, minutes before; the price then and the one that settles, USD; momentum bucket (99: none); the EWMA of squared moves of a minute; the standard deviation of the hour before in percent; the forecast of the variance of the move until then, and until a minute earlier; of updown the price to beat, USD';


-- Squared moves of a minute, the newer the more: half as much each hour back.
CREATE FUNCTION upc._recent_moves(symbol text, day date)
RETURNS TABLE (minute integer, ewma double precision, hour_sum double precision)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1440
AS $fn$
DECLARE
    v_from timestamptz := day::timestamp AT TIME ZONE 'UTC' - interval '24 hours';
BEGIN
    -- A day back an hour's weight is a sixteen-millionth.
    RETURN QUERY
    SELECT s.i - 1440, s.weighted / s.weight, s.hour_sum
    FROM (
        SELECT
            m.i,
            sum(m.squared * 2 ^ (m.i / 60.0::double precision)) OVER w AS weighted,
            sum((m.squared IS NOT NULL)::integer * 2 ^ (m.i / 60.0::double precision)) OVER w
                AS weight,
            sum(m.squared) OVER (ORDER BY m.i ROWS 59 PRECEDING) AS hour_sum
        FROM (
            SELECT
                i,
                ln(c.close / lag(c.close) OVER (ORDER BY i)) ^ 2 AS squared
            FROM generate_series(0, 2880) AS i
            LEFT JOIN upc_data.candle AS c
                ON c.symbol = _recent_moves.symbol
                AND c.opened_at = v_from + interval '1 minute' * (i - 1)
        ) AS m
        WINDOW w AS (ORDER BY m.i)
    ) AS s
    WHERE s.i > 1440 AND s.weight > 0;
END
$fn$;
COMMENT ON FUNCTION upc._recent_moves IS
    'for the minutes of a UTC day, from 1: the exponentially weighted mean of the squared logarithmic moves of a minute (half-life 60 minutes), and their sum over the last hour';


-- Questions of a UTC day about contracts that close from first_day to last_day. minute: the number of
-- the candle of that day that closes when is asked.
CREATE FUNCTION upc._backtest_asks(
    test upc_data.backtest,
    day date,
    first_day date,
    last_day date
)
RETURNS TABLE (closes_at timestamptz, minutes integer, minute integer)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 200
BEGIN ATOMIC
    SELECT
        c,
        t.minutes::integer,
        (extract(epoch FROM c - d.starts_at) / 60)::integer - t.minutes
    FROM (SELECT _backtest_asks.day::timestamp AT TIME ZONE 'UTC' AS starts_at) AS d
    CROSS JOIN generate_series(
        d.starts_at + make_interval(mins => (_backtest_asks.test).close_minute),
        -- Beyond an hour they close up to a day after the last minute of the day.
        d.starts_at + CASE WHEN 60 < ANY ((_backtest_asks.test).minutes)
            THEN interval '48 hours' ELSE interval '25 hours' END,
        upc._close_interval((_backtest_asks.test).kind)
    ) AS c
    CROSS JOIN unnest((_backtest_asks.test).minutes) AS t (minutes)
    WHERE c >= greatest(
            (_backtest_asks.test).test_from, _backtest_asks.first_day::timestamp AT TIME ZONE 'UTC'
        )
      -- The training has not seen the price that settles it.
      AND c - interval '1 minute' >= (_backtest_asks.test).train_to
      AND c < least(
          (_backtest_asks.test).test_to,
          (_backtest_asks.last_day + 1)::timestamp AT TIME ZONE 'UTC'
      )
      AND c - make_interval(mins => t.minutes) > d.starts_at
      AND c - make_interval(mins => t.minutes) <= d.starts_at + interval '24 hours';
END;
COMMENT ON FUNCTION upc._backtest_asks IS
    'what is asked on a UTC day about the contracts of a backtest: their close, minutes to it, and the minute of the day';


-- Variances of the move from minutes of a UTC day until 60 minutes (NULL where not with_hour) and each of
-- upc._long_horizons() later, at places 60 to 69: as upc._long_variance reads them.
CREATE FUNCTION upc._day_long_variances(
    test upc_data.backtest,
    day date,
    minutes integer[],
    with_hour boolean
)
RETURNS TABLE (minute integer, variances double precision[])
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1440
AS $fn$
DECLARE
    v_test upc_data.backtest := test;
    v_listed integer[] := upc._long_horizons();
    v_season double precision[];
BEGIN
    SELECT array_agg(s.total / 10000 ORDER BY s.p)
    INTO v_season
    FROM (
        SELECT w.p, sum(v_test.factors[1 + w.minute]::double precision ^ 2) OVER (ORDER BY w.p) AS total
        FROM unnest(upc._week_minutes(day::timestamp AT TIME ZONE 'UTC', 2880))
            WITH ORDINALITY AS w (minute, p)
    ) AS s;
    RETURN QUERY
    SELECT
        f.place,
        array_fill(NULL::double precision, '{59}')
            || upc._forecast_of(h.forecasts, 60) * (v_season[f.place + 60] - v_season[f.place])
            || ARRAY(
                SELECT exp(0.001::double precision * f.forecasts[k.i])
                    * (v_season[f.place + k.minutes] - v_season[f.place])
                FROM unnest(v_listed) WITH ORDINALITY AS k (minutes, i)
                ORDER BY k.i
            )
    FROM upc._long_forecasts(
        v_test.symbol, day, day, v_test.factors, upc._long_coefficients(v_test.coefficients), minutes
    ) AS f
    LEFT JOIN upc._corrected_minute_forecasts(
        v_test.symbol, day, day, v_test.factors, v_test.coefficients,
        CASE WHEN with_hour THEN minutes ELSE '{}' END
    ) AS h ON h.place = f.place;
END
$fn$;
COMMENT ON FUNCTION upc._day_long_variances IS
    'the variances of the move from minutes of a UTC day on, at 60 minutes and upc._long_horizons(), by the fit of a backtest';


-- upc._backtest_questions beyond an hour.
CREATE FUNCTION upc._long_questions(test upc_data.backtest, first_day date, last_day date)
RETURNS SETOF upc.backtest_question
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 5000
SET jit = off
AS $fn$
DECLARE
    v_test upc_data.backtest := test;
    v_day date;
    v_closes double precision[];
BEGIN
    v_test.minutes := ARRAY(SELECT m FROM unnest(v_test.minutes) AS m WHERE m > 60 ORDER BY m);
    -- By the day on which is asked: contracts that close at the day's first instant are asked about two days
    -- before, a day ahead of its last one.
    FOR v_day IN
        SELECT d::date
        FROM generate_series(
            (first_day - 2)::timestamp, last_day::timestamp, interval '1 day'
        ) AS d
        WHERE cardinality(v_test.minutes) > 0
    LOOP
        v_closes := upc._candle_window(v_test.symbol, v_day);
        RETURN QUERY
        WITH asked AS MATERIALIZED (
            SELECT a.* FROM upc._backtest_asks(v_test, v_day, first_day, last_day) AS a
        ),
        forecast AS MATERIALIZED (
            SELECT f.*
            FROM upc._day_long_variances(
                v_test, v_day, ARRAY(SELECT DISTINCT a.minute FROM asked AS a),
                75 >= ANY (v_test.minutes)
            ) AS f
            WHERE v_test.factors IS NOT NULL AND EXISTS (SELECT FROM asked)
        )
        SELECT
            a.closes_at,
            a.minutes,
            v_closes[30 + a.minute],
            CASE v_test.settlement WHEN 'close' THEN k.close ELSE upc._minute_average(k) END,
            coalesce(s.slot - 30, upc._baseline()),
            r.ewma,
            100 * sqrt(r.hour_sum),
            upc._long_variance(f.variances, 60 * a.minutes),
            upc._long_variance(f.variances, 60 * (a.minutes - 1)),
            NULL::double precision
        FROM asked AS a
        JOIN upc_data.candle AS k
            ON k.symbol = v_test.symbol AND k.opened_at = a.closes_at - interval '1 minute'
        LEFT JOIN upc._momentum_slots(
            v_closes, ARRAY(SELECT DISTINCT 30 + q.minute FROM asked AS q)
        ) AS s ON s.i = 30 + a.minute AND s.slot < 61
        LEFT JOIN upc._recent_moves(v_test.symbol, v_day) AS r ON r.minute = a.minute
        LEFT JOIN forecast AS f ON f.minute = a.minute
        WHERE v_closes[30 + a.minute] <> 'NaN';
    END LOOP;
END
$fn$;
COMMENT ON FUNCTION upc._long_questions IS
    'the questions of a backtest more than an hour before the contracts close';


CREATE FUNCTION upc._backtest_questions(
    test upc_data.backtest,
    first_day date,
    last_day date
)
RETURNS SETOF upc.backtest_question
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 5000
SET jit = off
AS $fn$
DECLARE
    -- A copy: what is read of an argument that is a row is decompressed each time.
    v_test upc_data.backtest := test;
    v_day date;
    v_season double precision[];
    v_closes double precision[];
BEGIN
    PERFORM upc._require_own_forecast(v_test);
    RETURN QUERY SELECT q.* FROM upc._long_questions(v_test, first_day, last_day) AS q;
    v_test.minutes := ARRAY(SELECT m FROM unnest(v_test.minutes) AS m WHERE m <= 60 ORDER BY m);

    -- By the day on which is asked: contracts that close in the first hour are asked about the day
    -- before.
    FOR v_day IN
        SELECT d::date
        FROM generate_series(
            (first_day - 1)::timestamp, last_day::timestamp, interval '1 day'
        ) AS d
        WHERE cardinality(v_test.minutes) > 0
    LOOP
        v_season := upc._season_sums(ARRAY[v_day], v_test.factors);
        v_closes := upc._candle_window(v_test.symbol, v_day);
        RETURN QUERY
        WITH asked AS MATERIALIZED (
            SELECT a.* FROM upc._backtest_asks(v_test, v_day, first_day, last_day) AS a
        ),
        forecast AS MATERIALIZED (
            SELECT f.*
            FROM upc._corrected_minute_forecasts(
                v_test.symbol, v_day, v_day, v_test.factors, v_test.coefficients,
                ARRAY(SELECT DISTINCT a.minute FROM asked AS a)
            ) AS f
            WHERE v_test.factors IS NOT NULL
        )
        SELECT
            a.closes_at,
            a.minutes,
            v_closes[30 + a.minute],
            CASE v_test.settlement
                WHEN 'close' THEN v_closes[30 + a.minute + a.minutes]
                ELSE upc._minute_average(k)
            END,
            coalesce(s.slot - 30, upc._baseline()),
            r.ewma,
            100 * sqrt(r.hour_sum),
            upc._forecast_of(f.forecasts, a.minutes)
                * (v_season[30 + a.minute + a.minutes] - v_season[30 + a.minute]),
            CASE WHEN a.minutes = 1 THEN 0 ELSE
                upc._forecast_of(f.forecasts, a.minutes - 1)
                    * (v_season[29 + a.minute + a.minutes] - v_season[30 + a.minute])
            END,
            upc._minute_average(b)
        FROM asked AS a
        LEFT JOIN upc._momentum_slots(
            v_closes, ARRAY(SELECT DISTINCT 30 + q.minute FROM asked AS q)
        ) AS s ON s.i = 30 + a.minute AND s.slot < 61
        LEFT JOIN upc._recent_moves(v_test.symbol, v_day) AS r ON r.minute = a.minute
        LEFT JOIN forecast AS f ON f.place = a.minute
        LEFT JOIN upc_data.candle AS k
            ON k.symbol = v_test.symbol AND k.opened_at = a.closes_at - interval '1 minute'
        -- The price to beat is the average of the minute before the contract opened.
        LEFT JOIN upc_data.candle AS b
            ON v_test.kind = 'updown'
            AND b.symbol = v_test.symbol
            AND b.opened_at = a.closes_at - upc._close_interval(v_test.kind) - interval '1 minute'
        WHERE v_closes[30 + a.minute] <> 'NaN'
          AND v_closes[30 + a.minute + a.minutes] <> 'NaN'
          AND (v_test.kind <> 'updown' OR b.opened_at IS NOT NULL);
    END LOOP;
END
$fn$;
COMMENT ON FUNCTION upc._backtest_questions IS
    'the questions of a backtest about the contracts that close on some UTC days; those without a price then or at the close are left out';

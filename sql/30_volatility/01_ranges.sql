-- Ranges: the span of the price within each minute, from which its volatility is forecast.
--
-- A range is ln(high / low) in whole units of 1e-8, so that sums of ranges are exact: a day can be
-- counted, taken back and counted again in any company. The window of a UTC day has 2,880 ranges,
-- from a day before the day to its end; -1 where there is no candle.

CREATE FUNCTION upc._range_of(high double precision, low double precision)
RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- Not least(), which would take a missing candle for the largest of ranges.
RETURN CASE
    WHEN _range_of.high / _range_of.low < 4e8
    THEN round(1e8 * ln(_range_of.high / _range_of.low))
    WHEN _range_of.high / _range_of.low >= 4e8 THEN 2e9
END::integer;
COMMENT ON FUNCTION upc._range_of IS
    'the range of a candle from its high and low: ln(high / low) in units of 1e-8';


CREATE FUNCTION upc._minute_of_week(at timestamptz)
RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- 1970 began on a Thursday.
RETURN ((extract(epoch FROM _minute_of_week.at)::bigint / 60 + 4320) % 10080)::integer;
COMMENT ON FUNCTION upc._minute_of_week IS
    'the minute of the week of an instant, 0 to 10079: 0 is Monday 00:00 UTC';


CREATE FUNCTION upc._range_window(
    symbol text,
    day date,
    since timestamptz DEFAULT '-infinity',
    until timestamptz DEFAULT 'infinity'
)
RETURNS integer[]
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    -- In hours: how long a day is depends on the session's time zone.
    v_from timestamptz := day::timestamp AT TIME ZONE 'UTC' - interval '24 hours';
    v_window integer[];
BEGIN
    SELECT array_agg(upc._range_of(c.high, c.low) ORDER BY c.opened_at)
    INTO v_window
    FROM upc_data.candle AS c
    WHERE c.symbol = _range_window.symbol
      AND c.opened_at >= greatest(v_from, since)
      AND c.opened_at < least(v_from + interval '48 hours', until);

    IF cardinality(v_window) = 2880 THEN
        RETURN v_window;
    END IF;

    RETURN (
        SELECT array_agg(coalesce(c.range, -1) ORDER BY m.opened_at)
        FROM generate_series(
            v_from, v_from + interval '2879 minutes', interval '1 minute'
        ) AS m (opened_at)
        LEFT JOIN (
            SELECT k.opened_at, upc._range_of(k.high, k.low) AS range
            FROM upc_data.candle AS k
            WHERE k.symbol = _range_window.symbol
              AND k.opened_at >= greatest(v_from, since)
              AND k.opened_at < least(v_from + interval '48 hours', until)
            -- A plan for all calls would read the whole history.
            OFFSET 0
        ) AS c USING (opened_at)
    );
END
$fn$;
COMMENT ON FUNCTION upc._range_window IS
    'the window of ranges of a UTC day as the candles are now, those opened in [since, until): 2,880 elements, -1 for a missing candle';


-- Features that a forecast is made from, for starting minutes of one UTC day.
--
-- ranges: the day's window. factors: of the minutes of the week, hundredths. weekday: 0 is Monday.
-- minutes: which of the day's 1,440, by their number from 1.
-- Returns a row for each of them that has half of the candles of each span behind it: the logarithm
-- of the squared mean range of the last 5, 20, 60, 240 and 1440 minutes, each candle divided by its
-- minute's factor, plus 14, which leaves numbers around zero.
CREATE FUNCTION upc._range_features(
    ranges integer[],
    factors smallint[],
    weekday integer,
    minutes integer[]
)
RETURNS TABLE (
    minute integer,
    f5 double precision,
    f20 double precision,
    f60 double precision,
    f240 double precision,
    f1440 double precision
)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE ROWS 1440
AS $fn$
DECLARE
    v_sums bigint[];
    v_counts integer[];
BEGIN
    SELECT array_agg(r.total ORDER BY r.i), array_agg(r.candles ORDER BY r.i)
    INTO v_sums, v_counts
    FROM (
        SELECT
            w.i,
            sum(
                CASE WHEN w.range >= 0 THEN
                    round(
                        w.range * 100.0::double precision
                        / factors[1 + ((weekday + 6) * 1440 + w.i::integer - 1) % 10080]
                    )::bigint
                ELSE 0 END
            ) OVER (ORDER BY w.i) AS total,
            sum((w.range >= 0)::integer) OVER (ORDER BY w.i)::integer AS candles
        FROM unnest(ranges) WITH ORDINALITY AS w (range, i)
    ) AS r;

    RETURN QUERY
    SELECT
        s.minute,
        -- A minute in which nothing moved is taken for one of a hundredth of a basis point.
        14 + 2 * ln(greatest(s.s5 / s.n5, 100) * 1e-8),
        14 + 2 * ln(greatest(s.s20 / s.n20, 100) * 1e-8),
        14 + 2 * ln(greatest(s.s60 / s.n60, 100) * 1e-8),
        14 + 2 * ln(greatest(s.s240 / s.n240, 100) * 1e-8),
        14 + 2 * ln(greatest(s.s1440 / s.n1440, 100) * 1e-8)
    FROM (
        SELECT
            m AS minute,
            (v_sums[1440 + m] - v_sums[1435 + m])::double precision AS s5,
            (v_sums[1440 + m] - v_sums[1420 + m])::double precision AS s20,
            (v_sums[1440 + m] - v_sums[1380 + m])::double precision AS s60,
            (v_sums[1440 + m] - v_sums[1200 + m])::double precision AS s240,
            (v_sums[1440 + m] - v_sums[m])::double precision AS s1440,
            v_counts[1440 + m] - v_counts[1435 + m] AS n5,
            v_counts[1440 + m] - v_counts[1420 + m] AS n20,
            v_counts[1440 + m] - v_counts[1380 + m] AS n60,
            v_counts[1440 + m] - v_counts[1200 + m] AS n240,
            v_counts[1440 + m] - v_counts[m] AS n1440
        FROM unnest(_range_features.minutes) AS m
        OFFSET 0
    ) AS s
    WHERE s.n5 >= 3 AND s.n20 >= 10 AND s.n60 >= 30 AND s.n240 >= 120 AND s.n1440 >= 720;
END
$fn$;
COMMENT ON FUNCTION upc._range_features IS
    'the features that forecasts of volatility are made from, for starting minutes of one UTC day: the logarithms of the squared mean ranges of the last 5, 20, 60, 240 and 1440 minutes, plus 14';

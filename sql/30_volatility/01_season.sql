-- The season: how much of a week's volatility falls to each of its minutes, by the clock of New York,
-- whose markets make the pattern.
--
-- A range is ln(high / low) in whole units of 1e-8, so that sums of ranges are exact.

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


-- Minutes of the week of New York that follow an instant. Its clocks change on full hours of UTC.
CREATE FUNCTION upc._week_minutes(since timestamptz, minutes integer)
RETURNS integer[]
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_from timestamptz := date_bin('30 minutes', since, '2000-01-01 00:00+00');
    v_skipped integer := extract(epoch FROM since - v_from)::integer / 60;
    v_minutes integer[];
BEGIN
    SELECT array_agg((h.minute + m) % 10080 ORDER BY h.i, m)
    INTO v_minutes
    FROM (
        SELECT
            i,
            (
                (
                    extract(
                        epoch FROM (v_from + i * interval '30 minutes')
                            AT TIME ZONE 'America/New_York'
                    )::bigint / 60 + 4320
                ) % 10080
            )::integer AS minute
        FROM generate_series(0, (v_skipped + minutes - 1) / 30) AS i
        OFFSET 0
    ) AS h
    CROSS JOIN generate_series(0, 29) AS m;
    RETURN v_minutes[v_skipped + 1:v_skipped + minutes];
END
$fn$;
COMMENT ON FUNCTION upc._week_minutes IS
    'the minutes of the week by the clock of New York, 0 to 10079 (0 is Monday 00:00), of so many minutes from an instant on';


CREATE FUNCTION upc._week_factors(symbol text, since timestamptz, until timestamptz)
RETURNS smallint[]
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET work_mem = '64MB'
SET jit = off
AS $fn$
BEGIN
    -- An hour of the week that was seen for two hours counts half, a minute of the day after an
    -- hour's worth of days: what was hardly seen is taken to be average.
    RETURN (
        WITH candle AS MATERIALIZED (
            SELECT
                extract(epoch FROM c.opened_at AT TIME ZONE 'America/New_York')::bigint / 60
                    + 4320 AS minute,
                upc._range_of(c.high, c.low)::double precision AS range
            FROM upc_data.candle AS c
            WHERE c.symbol = _week_factors.symbol
              AND c.opened_at >= since
              AND c.opened_at < until
        ),
        -- Beside the mean of its own week, so that calm and wild weeks count alike.
        week AS (
            SELECT c.minute / 10080 AS week, nullif(avg(c.range), 0) AS mean
            FROM candle AS c
            GROUP BY c.minute / 10080
        ),
        minute AS MATERIALIZED (
            SELECT
                (c.minute % 10080)::integer AS slot,
                sum(c.range / w.mean) AS total,
                count(w.mean) AS candles
            FROM candle AS c
            JOIN week AS w ON w.week = c.minute / 10080
            GROUP BY c.minute % 10080
        ),
        hour AS (
            SELECT
                m.slot / 60 AS hour,
                (sum(m.total) + 120) / (sum(m.candles) + 120) AS factor
            FROM minute AS m
            GROUP BY m.slot / 60
        ),
        minute_of_day AS (
            SELECT
                m.slot % 1440 AS minute,
                (sum(m.total / h.factor) + 60) / (sum(m.candles) + 60) AS factor
            FROM minute AS m
            JOIN hour AS h ON h.hour = m.slot / 60
            GROUP BY m.slot % 1440
        )
        SELECT
            array_agg(
                least(
                    32767,
                    greatest(1, round(100 * coalesce(h.factor, 1) * coalesce(d.factor, 1)))
                )::smallint
                ORDER BY s
            )
        FROM generate_series(0, 10079) AS s
        LEFT JOIN hour AS h ON h.hour = s / 60
        LEFT JOIN minute_of_day AS d ON d.minute = s % 1440
    );
END
$fn$;
COMMENT ON FUNCTION upc._week_factors IS
    'the volatility of each minute of the week of New York, in hundredths of the average minute: a factor for the hour of the week times one for the minute of the day, from the candles opened in [since, until)';


-- Running sums of squared factors along the windows of closes of some UTC days.
--
-- Element i + t less element i is the variance of the t minutes after place i, in that of average minutes.
CREATE FUNCTION upc._season_sums(days date[], factors smallint[])
RETURNS double precision[]
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_sums double precision[];
BEGIN
    -- Squares of whole numbers: the sums are exact.
    SELECT array_agg(r.total / 10000 ORDER BY r.k, r.p)
    INTO v_sums
    FROM (
        SELECT
            s.k, s.p,
            sum(s.square) OVER (ORDER BY s.k, s.p ROWS UNBOUNDED PRECEDING) AS total
        FROM (
            SELECT d.k, w.p, factors[1 + w.minute]::double precision ^ 2 AS square
            FROM unnest(days) WITH ORDINALITY AS d (day, k)
            CROSS JOIN LATERAL unnest(
                upc._week_minutes(
                    d.day::timestamp AT TIME ZONE 'UTC' - interval '30 minutes', 1530
                )
            ) WITH ORDINALITY AS w (minute, p)
            OFFSET 0
        ) AS s
    ) AS r;
    RETURN v_sums;
END
$fn$;
COMMENT ON FUNCTION upc._season_sums IS
    'running sums of the squared factors along the windows of closes of some UTC days laid end to end: element i + t less element i is the variance of the t minutes after place i, in that of average minutes';

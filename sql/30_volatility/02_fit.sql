-- The fit: how the volatility of the next minutes follows from the ranges of the last ones, by
-- least squares over a span of candles. Nothing outside of the span is looked at.

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
                extract(epoch FROM c.opened_at)::bigint / 60 + 4320 AS minute,
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
    'the volatility of each minute of the week, in hundredths of the average minute: a factor for the hour of the week times one for the minute of the day, from the candles opened in [since, until)';


CREATE FUNCTION upc._week_variances(factors smallint[])
RETURNS double precision[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY(
    -- Squares of whole numbers: the sums are exact. An hour of the next week follows.
    SELECT sum(_week_variances.factors[1 + w % 10080]::double precision ^ 2)
        OVER (ORDER BY w) / 10000
    FROM generate_series(0, 10139) AS w
    ORDER BY w
);
COMMENT ON FUNCTION upc._week_variances IS
    'running sums of the squared factors of the minutes of the week: element b less element a is the variance of the minutes a to b - 1, the first minute of the week being 0, in that of average minutes';


CREATE FUNCTION upc._solve_least_squares(
    products double precision[],
    targets double precision[]
)
RETURNS double precision[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_size integer := array_length(products, 1);
    v_a double precision[] := products;
    v_b double precision[] := targets;
    v_factor double precision;
BEGIN
    -- Gauss' elimination; the products are positive definite, so that no row is exchanged.
    FOR k IN 1..v_size LOOP
        FOR i IN 1..v_size LOOP
            CONTINUE WHEN i = k;
            v_factor := v_a[i][k] / v_a[k][k];
            FOR j IN k..v_size LOOP
                v_a[i][j] := v_a[i][j] - v_factor * v_a[k][j];
            END LOOP;
            v_b[i] := v_b[i] - v_factor * v_b[k];
        END LOOP;
    END LOOP;
    RETURN ARRAY(SELECT v_b[i] / v_a[i][i] FROM generate_series(1, v_size) AS i ORDER BY i);
END
$fn$;
COMMENT ON FUNCTION upc._solve_least_squares IS
    'the coefficients of a least squares fit from its normal equations: products of the regressors, and their products with the target';


CREATE FUNCTION upc._fit_samples(
    symbol text,
    day date,
    since timestamptz,
    until timestamptz,
    factors smallint[],
    variances double precision[],
    stride integer,
    horizons integer[]
)
RETURNS TABLE (
    horizon integer,
    regressors double precision[],
    target double precision
)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 5000
AS $fn$
DECLARE
    v_weekday integer := extract(isodow FROM day)::integer - 1;
    v_closes double precision[] := upc._candle_window(symbol, day, since, until);
    v_moves double precision[];
    v_missing integer[];
BEGIN
    SELECT array_agg(m.moves ORDER BY m.i), array_agg(m.missing ORDER BY m.i)
    INTO v_moves, v_missing
    FROM (
        SELECT
            r.i,
            sum(CASE WHEN r.is_there THEN ln(r.close / r.before) ^ 2 ELSE 0 END)
                OVER (ORDER BY r.i) AS moves,
            sum((NOT r.is_there)::integer) OVER (ORDER BY r.i)::integer AS missing
        FROM (
            SELECT
                w.i,
                w.close,
                lag(w.close) OVER (ORDER BY w.i) AS before,
                coalesce(w.close <> 'NaN' AND lag(w.close) OVER (ORDER BY w.i) <> 'NaN', false)
                    AS is_there
            FROM unnest(v_closes) WITH ORDINALITY AS w (close, i)
        ) AS r
    ) AS m;

    -- Minutes with a hole in the hour after them are left out, so that all horizons have the same
    -- ones. A part of the last hour's variance is added: the logarithm of nothing is no number.
    RETURN QUERY
    SELECT
        h,
        ARRAY[1, f.f5, f.f20, f.f60, f.f240, f.f1440],
        ln(
            (v_moves[30 + f.minute + h] - v_moves[30 + f.minute])
            / (
                variances[v_weekday * 1440 + f.minute + h]
                - variances[v_weekday * 1440 + f.minute]
            )
            + 0.009 * exp(f.f60 - 14)
        )
    FROM upc._range_features(
        upc._range_window(symbol, day, since, until),
        factors,
        v_weekday,
        ARRAY(
            SELECT m
            FROM generate_series(1, 1440) AS m
            WHERE (extract(epoch FROM day::timestamp)::bigint / 60 + m) % stride = 0
              AND v_missing[90 + m] = v_missing[30 + m]
              AND v_closes[30 + m] <> 'NaN'
        )
    ) AS f
    CROSS JOIN unnest(_fit_samples.horizons) AS h;
END
$fn$;
COMMENT ON FUNCTION upc._fit_samples IS
    'the samples that a fit of volatility takes from a UTC day: per starting minute and horizon in minutes the regressors, and the logarithm of the variance that came';


CREATE FUNCTION upc._coefficients_between(
    horizons integer[],
    coefficients double precision[]
)
RETURNS double precision[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY(
    SELECT
        round(
            (
                a.share * _coefficients_between.coefficients[6 * a.k + c]
                + (1 - a.share) * _coefficients_between.coefficients[6 * a.k - 6 + c]
            )::numeric,
            2
        )::double precision
    FROM (
        SELECT
            t,
            k.k,
            ln(t::double precision / _coefficients_between.horizons[k.k])
                / ln(
                    _coefficients_between.horizons[k.k + 1]::double precision
                    / _coefficients_between.horizons[k.k]
                ) AS share
        FROM generate_series(1, 60) AS t
        CROSS JOIN LATERAL (
            SELECT
                least(
                    width_bucket(t, _coefficients_between.horizons),
                    cardinality(_coefficients_between.horizons) - 1
                ) AS k
        ) AS k
    ) AS a
    CROSS JOIN generate_series(1, 6) AS c
    ORDER BY a.t, c
);
COMMENT ON FUNCTION upc._coefficients_between IS
    'six coefficients for each of 1 to 60 minutes from those of some horizons, the first 1 and the last 60 minutes: straight lines over the logarithm of time, rounded to hundredths';


-- Fit the forecast of a symbol's volatility on the candles opened in [since, until).
--
-- Returns the factors of the minutes of the week in hundredths, and six coefficients for each of 1
-- to 60 minutes of time left: the logarithm of the variance of a move is their product with 1 and
-- the five features of upc._range_features, plus the logarithm of the variance of the minutes of the
-- week ahead. They are rounded to hundredths, so that a small correction of old candles mostly
-- changes nothing. NULL where there are too few candles: fewer than 200 starting minutes with a day
-- behind them.
CREATE FUNCTION upc._fit_volatility(
    symbol text,
    since timestamptz,
    until timestamptz,
    OUT factors smallint[],
    OUT coefficients double precision[]
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET work_mem = '64MB'
SET jit = off
AS $fn$
DECLARE
    v_first date;
    v_last date;
    v_stride integer;
    v_variances double precision[];
    v_sums record;
    v_products double precision[];
    -- Between them all changes smoothly.
    v_horizons integer[] := '{1, 2, 3, 5, 10, 15, 30, 60}'::integer[];
BEGIN
    SELECT (min(c.opened_at) AT TIME ZONE 'UTC')::date, (max(c.opened_at) AT TIME ZONE 'UTC')::date
    INTO v_first, v_last
    FROM upc_data.candle AS c
    WHERE c.symbol = _fit_volatility.symbol AND c.opened_at >= since AND c.opened_at < until;
    IF v_first IS NULL THEN
        RETURN;
    END IF;
    factors := upc._week_factors(symbol, since, until);
    v_variances := upc._week_variances(factors);
    -- Neighbouring minutes are alike. A prime, so that every minute of the hour is looked at.
    v_stride := CASE WHEN v_last - v_first > 100 THEN 17 WHEN v_last - v_first > 20 THEN 7 ELSE 1 END;

    FOR v_sums IN
        SELECT
            s.horizon,
            count(*) AS samples,
            sum(s.regressors[2]) AS x1,
            sum(s.regressors[3]) AS x2,
            sum(s.regressors[4]) AS x3,
            sum(s.regressors[5]) AS x4,
            sum(s.regressors[6]) AS x5,
            sum(s.regressors[2] * s.regressors[2]) AS x11,
            sum(s.regressors[2] * s.regressors[3]) AS x12,
            sum(s.regressors[2] * s.regressors[4]) AS x13,
            sum(s.regressors[2] * s.regressors[5]) AS x14,
            sum(s.regressors[2] * s.regressors[6]) AS x15,
            sum(s.regressors[3] * s.regressors[3]) AS x22,
            sum(s.regressors[3] * s.regressors[4]) AS x23,
            sum(s.regressors[3] * s.regressors[5]) AS x24,
            sum(s.regressors[3] * s.regressors[6]) AS x25,
            sum(s.regressors[4] * s.regressors[4]) AS x33,
            sum(s.regressors[4] * s.regressors[5]) AS x34,
            sum(s.regressors[4] * s.regressors[6]) AS x35,
            sum(s.regressors[5] * s.regressors[5]) AS x44,
            sum(s.regressors[5] * s.regressors[6]) AS x45,
            sum(s.regressors[6] * s.regressors[6]) AS x55,
            ARRAY[
                sum(s.target),
                sum(s.target * s.regressors[2]),
                sum(s.target * s.regressors[3]),
                sum(s.target * s.regressors[4]),
                sum(s.target * s.regressors[5]),
                sum(s.target * s.regressors[6])
            ] AS targets
        FROM generate_series(v_first::timestamp, v_last::timestamp, interval '1 day') AS d
        CROSS JOIN LATERAL upc._fit_samples(
            _fit_volatility.symbol, d::date, since, until, factors, v_variances, v_stride,
            v_horizons
        ) AS s
        GROUP BY s.horizon
        ORDER BY s.horizon
    LOOP
        IF v_sums.samples < 200 THEN
            factors := NULL;
            RETURN;
        END IF;
        -- One sample's worth of doubt in every weight keeps candles that never move solvable.
        v_products := ARRAY[
            [v_sums.samples, v_sums.x1, v_sums.x2, v_sums.x3, v_sums.x4, v_sums.x5],
            [v_sums.x1, v_sums.x11 + 1, v_sums.x12, v_sums.x13, v_sums.x14, v_sums.x15],
            [v_sums.x2, v_sums.x12, v_sums.x22 + 1, v_sums.x23, v_sums.x24, v_sums.x25],
            [v_sums.x3, v_sums.x13, v_sums.x23, v_sums.x33 + 1, v_sums.x34, v_sums.x35],
            [v_sums.x4, v_sums.x14, v_sums.x24, v_sums.x34, v_sums.x44 + 1, v_sums.x45],
            [v_sums.x5, v_sums.x15, v_sums.x25, v_sums.x35, v_sums.x45, v_sums.x55 + 1]
        ];
        coefficients := coefficients
            || upc._solve_least_squares(v_products, v_sums.targets);
    END LOOP;
    IF coefficients IS NULL THEN
        factors := NULL;
    ELSE
        coefficients := upc._coefficients_between(v_horizons, coefficients);
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._fit_volatility IS
    'fits the forecast of a symbol''s volatility on the candles opened in [since, until), by least squares; NULL where they are too few';

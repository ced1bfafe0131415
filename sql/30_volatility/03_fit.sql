-- The fit: how the volatility of the next minutes follows from what was seen, over a span of candles.
-- Nothing outside of the span is looked at.
--
-- With x the constant and the features, and y the variance that came beside the season's, coefficients b
-- of a horizon make the sum of x b + y / exp(x b) small (QLIKE), where y counts 20 times its forecast at
-- the most: the forecast is then a variance, and not the mean of a logarithm. Newton's steps begin at
-- least squares of the logarithm, and take the second derivative that is expected, the sum of x x'.
--
-- Beyond an hour windows overlap so much that a few days decide. Of n samples a horizon of t minutes has
-- n t / 10000 samples' worth of doubt in every weight, and its steps begin at what is known of an hour.

CREATE TYPE upc.fit_sample AS (
    day date,
    place integer,
    f5 double precision,
    f20 double precision,
    f60 double precision,
    f240 double precision,
    f1440 double precision,
    v1 double precision,
    v5 double precision,
    v20 double precision,
    v60 double precision,
    v240 double precision,
    c5 double precision,
    c20 double precision,
    c60 double precision,
    c240 double precision,
    a5 double precision,
    a20 double precision,
    a60 double precision,
    a240 double precision,
    sd double precision,
    m20 double precision,
    m60 double precision,
    y1 double precision,
    y2 double precision,
    y3 double precision,
    y4 double precision,
    y5 double precision,
    y6 double precision,
    y7 double precision,
    y8 double precision,
    y9 double precision,
    y10 double precision,
    y11 double precision,
    y12 double precision,
    y13 double precision,
    y14 double precision,
    y15 double precision,
    y16 double precision,
    y17 double precision
);
COMMENT ON TYPE upc.fit_sample IS
    'a starting minute that is fitted: the first day of its run, its place in it, its features, and the variance that came over each of upc._fitted_horizons(), beside the season''s, and over each of upc._long_horizons(), NULL where the day after has a hole';


-- A variance of nothing is taken for one of a hundredth of a basis point a minute.
CREATE FUNCTION upc._variance_that_came(
    moves double precision[],
    season double precision[],
    place integer,
    minutes integer
)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN greatest(
    (
        _variance_that_came.moves[_variance_that_came.place + _variance_that_came.minutes]
        - _variance_that_came.moves[_variance_that_came.place]
    ) / (
        _variance_that_came.season[_variance_that_came.place + _variance_that_came.minutes]
        - _variance_that_came.season[_variance_that_came.place]
    ),
    1e-12
);
COMMENT ON FUNCTION upc._variance_that_came IS
    'the sum of squared moves of some minutes after a place, beside the season''s variance, from running sums of both';


CREATE FUNCTION upc._fit_samples(
    symbol text,
    first_day date,
    last_day date,
    since timestamptz,
    until timestamptz,
    factors smallint[],
    stride integer
)
RETURNS SETOF upc.fit_sample
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 5000
SET work_mem = '64MB'
SET jit = off
SET enable_nestloop = off
AS $fn$
DECLARE
    v_from timestamptz := first_day::timestamp AT TIME ZONE 'UTC' - interval '1 minute';
    v_until timestamptz := last_day::timestamp AT TIME ZONE 'UTC' + interval '48 hours';
    v_minutes integer := extract(epoch FROM v_until - v_from)::integer / 60;
    v_first bigint := extract(epoch FROM first_day::timestamp)::bigint / 60;
    v_moves double precision[];
    v_missing integer[];
    v_season double precision[];
BEGIN
    -- Element i + 1 is what is known i minutes after the first day has begun.
    SELECT
        array_agg(r.moves ORDER BY r.i), array_agg(r.missing ORDER BY r.i),
        array_agg(r.season / 10000 ORDER BY r.i)
    INTO v_moves, v_missing, v_season
    FROM (
        SELECT
            m.i,
            sum(CASE WHEN m.move IS NULL THEN 0 ELSE m.move ^ 2 END) OVER w AS moves,
            sum((m.move IS NULL)::integer) OVER w::integer AS missing,
            sum(factors[1 + m.minute]::double precision ^ 2) OVER w AS season
        FROM (
            SELECT w.i, w.minute, ln(c.close / lag(c.close) OVER (ORDER BY w.i)) AS move
            FROM unnest(upc._week_minutes(v_from, v_minutes)) WITH ORDINALITY AS w (minute, i)
            LEFT JOIN (
                SELECT extract(epoch FROM o.opened_at - v_from)::bigint / 60 + 1 AS i, o.close
                FROM upc_data.candle AS o
                WHERE o.symbol = _fit_samples.symbol
                  AND o.opened_at >= greatest(v_from, since)
                  AND o.opened_at < least(v_until, until)
                OFFSET 0
            ) AS c ON c.i = w.i
        ) AS m
        WINDOW w AS (ORDER BY m.i ROWS UNBOUNDED PRECEDING)
    ) AS r;

    -- Minutes with a hole in the hour after them are left out, so that all horizons have the same ones;
    -- beyond an hour, those with a hole in the day after them.
    RETURN QUERY
    SELECT
        _fit_samples.first_day,
        f.*,
        upc._variance_that_came(v_moves, v_season, 1 + f.place, 1),
        upc._variance_that_came(v_moves, v_season, 1 + f.place, 2),
        upc._variance_that_came(v_moves, v_season, 1 + f.place, 3),
        upc._variance_that_came(v_moves, v_season, 1 + f.place, 5),
        upc._variance_that_came(v_moves, v_season, 1 + f.place, 10),
        upc._variance_that_came(v_moves, v_season, 1 + f.place, 15),
        upc._variance_that_came(v_moves, v_season, 1 + f.place, 30),
        upc._variance_that_came(v_moves, v_season, 1 + f.place, 60),
        k.came[1], k.came[2], k.came[3], k.came[4], k.came[5], k.came[6], k.came[7], k.came[8], k.came[9]
    FROM upc._forecast_features(
        symbol,
        first_day,
        last_day,
        factors,
        ARRAY(
            SELECT m
            FROM generate_series(1, v_minutes - 1441) AS m
            WHERE (v_first + m) % stride = 0 AND v_missing[61 + m] = v_missing[1 + m]
        ),
        since,
        until
    ) AS f
    CROSS JOIN LATERAL (
        SELECT CASE WHEN v_missing[1441 + f.place] = v_missing[1 + f.place] THEN ARRAY(
            SELECT upc._variance_that_came(v_moves, v_season, 1 + f.place, h.minutes)
            FROM unnest(upc._long_horizons()) WITH ORDINALITY AS h (minutes, i)
            ORDER BY h.i
        ) END AS came
    ) AS k;
END
$fn$;
COMMENT ON FUNCTION upc._fit_samples IS
    'the samples that a fit of volatility takes from UTC days that follow each other: every stride-th minute with a complete hour after it';


CREATE FUNCTION upc._inverse(products double precision[])
RETURNS double precision[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_size integer := array_length(products, 1);
    v_a double precision[] := products;
    v_pivot double precision;
    v_factor double precision;
BEGIN
    -- Gauss and Jordan in place; the products are positive definite, so that no row is exchanged.
    FOR k IN 1..v_size LOOP
        v_pivot := v_a[k][k];
        v_a[k][k] := 1::double precision;
        FOR j IN 1..v_size LOOP
            v_a[k][j] := v_a[k][j] / v_pivot;
        END LOOP;
        FOR i IN 1..v_size LOOP
            CONTINUE WHEN i = k;
            v_factor := v_a[i][k];
            v_a[i][k] := 0::double precision;
            FOR j IN 1..v_size LOOP
                v_a[i][j] := v_a[i][j] - v_factor * v_a[k][j];
            END LOOP;
        END LOOP;
    END LOOP;
    RETURN v_a;
END
$fn$;
COMMENT ON FUNCTION upc._inverse IS 'the inverse of a positive definite matrix';


CREATE FUNCTION upc._newton_step(
    inverse double precision[],
    gradients double precision[]
)
RETURNS double precision[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_size integer := array_length(inverse, 1);
    v_step double precision[] := '{}'::double precision[];
    v_sum double precision;
BEGIN
    FOR h IN 0..cardinality(gradients) / v_size - 1 LOOP
        FOR i IN 1..v_size LOOP
            v_sum := 0::double precision;
            FOR j IN 1..v_size LOOP
                v_sum := v_sum + inverse[i][j] * gradients[h * v_size + j];
            END LOOP;
            v_step := v_step || v_sum;
        END LOOP;
    END LOOP;
    RETURN v_step;
END
$fn$;
COMMENT ON FUNCTION upc._newton_step IS
    'the step of each horizon, laid end to end: the inverse of the products times its gradient';


-- Sums of the samples of a fit that its steps are made of.
--
-- residual: an expression of a horizon's variance s.y and log_forecast, as text. first, horizons: the number
-- of the first variance, and how many; coefficients begin with those of the first.
CREATE FUNCTION upc._residual_sums(residual text, first integer DEFAULT 1, horizons integer DEFAULT 8)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
    SELECT format(
        'SELECT ARRAY[%s] FROM (SELECT s.*, %s FROM unnest(samples) AS s OFFSET 0) AS s',
        (
            SELECT string_agg(
                format(
                    'sum(s.e%1$s), %2$s',
                    h,
                    (
                        SELECT string_agg(format('sum(s.e%s * s.%s)', h, x.name), ', ' ORDER BY x.i)
                        FROM unnest(upc._feature_names()) WITH ORDINALITY AS x (name, i)
                    )
                ),
                ', ' ORDER BY h
            )
            FROM generate_series(1, horizons) AS h
        ),
        (
            SELECT string_agg(
                format(
                    '%s AS e%s',
                    replace(
                        replace(_residual_sums.residual, 's.y', 's.y' || first - 1 + h),
                        'log_forecast',
                        upc._log_forecast(h, 's')
                    ),
                    h
                ),
                ', ' ORDER BY h
            )
            FROM generate_series(1, horizons) AS h
        )
    )
);
COMMENT ON FUNCTION upc._residual_sums IS
    'a query, as text, for sums over the samples of a fit: of a residual of each horizon, and of its products with the features';


CREATE FUNCTION upc._likelihood_residual()
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 'least(20, s.y / exp(log_forecast)) - 1'::text;
COMMENT ON FUNCTION upc._likelihood_residual IS
    'the residual of QLIKE as upc._residual_sums takes it: the variance that came as a multiple of the forecast, 20 at the most, less 1';


DO $do$
BEGIN
    EXECUTE format(
        $sql$
        CREATE FUNCTION upc._sample_products(samples upc.fit_sample[])
        RETURNS double precision[]
        LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
        AS $fn$
        BEGIN
            RETURN (SELECT ARRAY[%s] FROM unnest(samples) AS s);
        END
        $fn$
        $sql$,
        (
            SELECT string_agg(r.columns, ', ' ORDER BY r.i)
            FROM (
                SELECT
                    x.i,
                    -- One sample's worth of doubt in every weight.
                    format('ARRAY[%s]', string_agg(
                        format(
                            'sum(%s * %s) + %s', x.name, y.name, (x.i = y.i AND x.i > 1)::integer
                        ),
                        ', ' ORDER BY y.i
                    )) AS columns
                FROM unnest('{1}' || ARRAY(
                    SELECT 's.' || n.name
                    FROM unnest(upc._feature_names()) WITH ORDINALITY AS n (name, i)
                    ORDER BY n.i
                )) WITH ORDINALITY AS x (name, i)
                CROSS JOIN unnest('{1}' || ARRAY(
                    SELECT 's.' || n.name
                    FROM unnest(upc._feature_names()) WITH ORDINALITY AS n (name, i)
                    ORDER BY n.i
                )) WITH ORDINALITY AS y (name, i)
                GROUP BY x.i, x.name
            ) AS r
        )
    );
    EXECUTE format(
        $sql$
        CREATE FUNCTION upc._least_squares_sums(samples upc.fit_sample[])
        RETURNS double precision[]
        LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
        AS $fn$
        BEGIN
            RETURN (%s);
        END
        $fn$
        $sql$,
        -- A part of the last hour's variance is added: samples near nothing would count most.
        upc._residual_sums('ln(s.y + 0.009 * exp(s.f60 - 14))')
    );
    EXECUTE format(
        $sql$
        CREATE FUNCTION upc._likelihood_sums(
            samples upc.fit_sample[],
            coefficients double precision[]
        )
        RETURNS double precision[]
        LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
        AS $fn$
        BEGIN
            RETURN (%s);
        END
        $fn$
        $sql$,
        upc._residual_sums(upc._likelihood_residual())
    );
    EXECUTE format(
        $sql$
        CREATE FUNCTION upc._long_likelihood_sums(
            samples upc.fit_sample[],
            coefficients double precision[]
        )
        RETURNS double precision[]
        LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
        AS $fn$
        BEGIN
            RETURN (%s);
        END
        $fn$
        $sql$,
        upc._residual_sums(upc._likelihood_residual(), 9, 9)
    );
END
$do$;
COMMENT ON FUNCTION upc._sample_products IS
    'the products of the constant and the features, summed over the samples of a fit, and 1 in the diagonal for all but the constant';
COMMENT ON FUNCTION upc._least_squares_sums IS
    'for the horizons of a fit, laid end to end: the logarithm of the variance that came, and its products with the features, summed over the samples';
COMMENT ON FUNCTION upc._likelihood_sums IS
    'for the horizons of a fit, laid end to end: the variance that came as a multiple of the forecast, 20 at the most, less 1, and its products with the features, summed over the samples';
COMMENT ON FUNCTION upc._long_likelihood_sums IS
    'upc._likelihood_sums for upc._long_horizons(): samples have a complete day after them';


-- Coefficients for upc._long_horizons(), laid end to end, unrounded.
--
-- samples: with a complete day after them. hour: the coefficients of 60 minutes.
-- Returns NULL where there are fewer than 200 samples.
CREATE FUNCTION upc._fit_long_horizons(samples upc.fit_sample[], hour double precision[])
RETURNS double precision[]
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_horizons integer[] := upc._long_horizons();
    v_size integer := cardinality(hour);
    v_products double precision[];
    v_doubts double precision[] := ARRAY(
        SELECT 1 + cardinality(samples) * h.minutes / 10000.0::double precision
        FROM unnest(upc._long_horizons()) WITH ORDINALITY AS h (minutes, i)
        ORDER BY h.i
    );
    v_inverses double precision[] := '{}'::double precision[];
    v_coefficients double precision[] := '{}'::double precision[];
    v_sums double precision[];
    v_before double precision[];
    v_step double precision;
    v_largest double precision;
BEGIN
    IF coalesce(cardinality(samples), 0) < 200 THEN
        RETURN NULL;
    END IF;
    v_products := upc._sample_products(samples);
    FOR h IN 1..cardinality(v_horizons) LOOP
        FOR k IN 2..v_size LOOP
            -- One sample's worth is in them.
            v_products[k][k] := v_products[k][k] + v_doubts[h] - coalesce(v_doubts[h - 1], 1);
        END LOOP;
        v_inverses := v_inverses || ARRAY[upc._inverse(v_products)];
        v_coefficients := v_coefficients || hour;
    END LOOP;
    FOR v_round IN 1..50 LOOP
        v_sums := upc._long_likelihood_sums(samples, v_coefficients);
        v_before := v_coefficients;
        v_largest := 0::double precision;
        FOR h IN 1..cardinality(v_horizons) LOOP
            FOR i IN 1..v_size LOOP
                v_step := 0::double precision;
                FOR k IN 1..v_size LOOP
                    v_step := v_step + v_inverses[h][i][k] * (
                        v_sums[(h - 1) * v_size + k]
                        - CASE WHEN k > 1 THEN v_doubts[h] * v_before[(h - 1) * v_size + k] ELSE 0 END
                    );
                END LOOP;
                v_coefficients[(h - 1) * v_size + i] := v_before[(h - 1) * v_size + i] + v_step;
                v_largest := greatest(v_largest, abs(v_step));
            END LOOP;
        END LOOP;
        EXIT WHEN v_largest < 1e-6;
    END LOOP;
    RETURN v_coefficients;
END
$fn$;
COMMENT ON FUNCTION upc._fit_long_horizons IS
    'fits the forecast for upc._long_horizons() by QLIKE on samples with a complete day after them; NULL where they are too few';


-- Fit the forecast of a symbol's volatility on the candles opened in [since, until).
--
-- Returns the factors of the minutes of the week in hundredths, and for each of upc._fitted_horizons(), and
-- where there are 200 starting minutes with a complete day after them each of upc._long_horizons(), a
-- constant and the coefficients of the features: the logarithm of the variance of a move is their sum,
-- plus the logarithm of the variance of the minutes of the week ahead. They are rounded to hundredths, so
-- that a small correction of old candles mostly changes nothing. NULL where there are too few candles:
-- fewer than 200 starting minutes with half a day behind them.
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
    v_samples upc.fit_sample[];
    v_long_samples upc.fit_sample[];
    v_inverse double precision[];
    v_doubt double precision[];
    v_step double precision[];
BEGIN
    SELECT (min(c.opened_at) AT TIME ZONE 'UTC')::date, (max(c.opened_at) AT TIME ZONE 'UTC')::date
    INTO v_first, v_last
    FROM upc_data.candle AS c
    WHERE c.symbol = _fit_volatility.symbol AND c.opened_at >= since AND c.opened_at < until;
    IF v_first IS NULL THEN
        RETURN;
    END IF;
    factors := upc._week_factors(symbol, since, until);
    -- Neighbouring minutes are alike. A prime, so that every minute of the hour is looked at.
    v_stride := CASE
        WHEN v_last - v_first > 400 THEN 37
        WHEN v_last - v_first > 100 THEN 17
        WHEN v_last - v_first > 20 THEN 7
        WHEN v_last - v_first > 2 THEN 3
        ELSE 1
    END;
    SELECT
        array_agg(s ORDER BY s.day, s.place),
        array_agg(s ORDER BY s.day, s.place) FILTER (WHERE s.y9 IS NOT NULL)
    INTO v_samples, v_long_samples
    FROM generate_series(v_first::timestamp, v_last::timestamp, interval '60 days') AS d
    CROSS JOIN LATERAL upc._fit_samples(
        _fit_volatility.symbol, d::date, least(d::date + 59, v_last), since, until, factors, v_stride
    ) AS s;
    IF coalesce(cardinality(v_samples), 0) < 200 THEN
        factors := NULL;
        RETURN;
    END IF;

    v_inverse := upc._inverse(upc._sample_products(v_samples));
    coefficients := upc._newton_step(v_inverse, upc._least_squares_sums(v_samples));
    v_doubt := ARRAY(
        SELECT (i % 22 <> 0)::integer FROM generate_series(0, cardinality(coefficients) - 1) AS i
        ORDER BY i
    );
    FOR v_round IN 1..50 LOOP
        SELECT upc._newton_step(v_inverse, array_agg(g.gradient - g.doubt * g.coefficient ORDER BY g.i))
        INTO v_step
        FROM unnest(upc._likelihood_sums(v_samples, coefficients), v_doubt, coefficients)
            WITH ORDINALITY AS g (gradient, doubt, coefficient, i);
        SELECT array_agg(c.coefficient + c.step ORDER BY c.i)
        INTO coefficients
        FROM unnest(coefficients, v_step) WITH ORDINALITY AS c (coefficient, step, i);
        EXIT WHEN 1e-6 > ALL (ARRAY(SELECT abs(s) FROM unnest(v_step) AS s));
    END LOOP;
    coefficients := coefficients
        || upc._fit_long_horizons(v_long_samples, coefficients[155:176]);
    coefficients := ARRAY(
        SELECT round(c.coefficient::numeric, 2)::double precision
        FROM unnest(coefficients) WITH ORDINALITY AS c (coefficient, i)
        ORDER BY c.i
    );
END
$fn$;
COMMENT ON FUNCTION upc._fit_volatility IS
    'fits the forecast of a symbol''s volatility on the candles opened in [since, until), by QLIKE; NULL where they are too few';

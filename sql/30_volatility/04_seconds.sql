-- One-second prices: the realised variances of the last minutes correct the forecast of up to 15 minutes.
--
-- A correction is a sum of features times coefficients, added to the logarithm of the variance that was
-- forecast from candles. It is fitted like the forecast, by QLIKE, on the days that have seconds, and stands
-- behind the coefficients of the fit: the number of the exchange, and six coefficients for each of the
-- first six of upc._fitted_horizons(). A fit without them is as long as before, and nothing is corrected.

CREATE TYPE upc.second_features AS (
    place integer,
    s1 double precision,
    s5 double precision,
    s15 double precision,
    f5 double precision,
    f20 double precision
);
COMMENT ON TYPE upc.second_features IS
    'the features of a correction, each around zero: the logarithms of the mean realised variance of one-second prices (s) and of the squared mean range (f) of the last so many minutes';


CREATE FUNCTION upc._has_seconds(coefficients double precision[])
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN cardinality(_has_seconds.coefficients) IN (213, 411);
COMMENT ON FUNCTION upc._has_seconds IS 'true where one-second prices correct what coefficients forecast';


CREATE FUNCTION upc._scaled_variance(variance double precision, factor double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- Not least() alone, which would take a missing variance for the limit.
RETURN CASE
    WHEN _scaled_variance.variance IS NOT NULL
    THEN round(1e19 * least(_scaled_variance.variance, 1e-3) / _scaled_variance.factor ^ 2)
END;
COMMENT ON FUNCTION upc._scaled_variance IS
    'a minute''s variance beside its squared factor, in hundredths: whole units of 1e-15';


-- Variances of the minutes of a span that can be relied upon: with prices in 20 seconds or more, and with a
-- price that moved, since one that stands still for a minute may not be seen. The newest ones, as long as
-- they are not noted, are read from the price log.
CREATE FUNCTION upc._second_variances(
    symbol text,
    exchange text,
    since timestamptz,
    until timestamptz
)
RETURNS TABLE (minute_at timestamptz, variance double precision)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1000
-- Whoever joins their rows may have turned it off, and each of them would be looked at.
SET enable_nestloop = on
AS $fn$
DECLARE
    v_noted_until timestamptz;
BEGIN
    RETURN QUERY
    SELECT v.minute_at, v.robust_variance
    FROM upc_data.minute_variance AS v
    WHERE v.symbol = _second_variances.symbol
      AND v.exchange = _second_variances.exchange
      AND v.minute_at >= since
      AND v.minute_at < until
      AND v.robust_variance > 0
      AND v.seconds >= 20;
    SELECT k.variance_until INTO v_noted_until
    FROM upc_data.log_progress AS k
    WHERE k.symbol = _second_variances.symbol;
    v_noted_until := greatest(v_noted_until, since, until - interval '3 minutes');
    IF v_noted_until < until THEN
        RETURN QUERY
        SELECT v.minute_at, v.robust_variance
        FROM upc._span_variances(symbol, v_noted_until, until, exchange) AS v
        WHERE v.robust_variance > 0
          AND v.seconds >= 20
          AND NOT EXISTS (
              SELECT FROM upc_data.minute_variance AS n
              WHERE n.symbol = _second_variances.symbol
                AND n.exchange = _second_variances.exchange
                AND n.minute_at = v.minute_at
          );
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._second_variances IS
    'the realised variances of the minutes of a span by the one-second prices of an exchange, jumps cut, as far as they can be relied upon';


-- Features of corrections for the minutes from an instant on, place 1 being the one that begins with it.
-- Candles opened and prices received in [since, until) are known.
--
-- Returns the places whose newest minute has seconds, as four of the last 5 and twelve of the last 15 have,
-- with half of the candles of each span.
CREATE FUNCTION upc._second_features(
    symbol text,
    exchange text,
    first_at timestamptz,
    minutes integer,
    factors smallint[],
    since timestamptz DEFAULT '-infinity',
    until timestamptz DEFAULT 'infinity'
)
RETURNS SETOF upc.second_features
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1440
SET work_mem = '64MB'
SET jit = off
SET enable_nestloop = off
AS $fn$
DECLARE
    v_from timestamptz := first_at - interval '59 minutes';
    v_until timestamptz := first_at + make_interval(mins => minutes);
    v_week integer[] := upc._week_minutes(v_from, minutes + 59);
BEGIN
    -- Whole numbers: differences of running sums are exact.
    RETURN QUERY
    WITH minute AS (
        SELECT
            w.i::integer AS i,
            upc._scaled_range(k.range, f.factor) AS range,
            upc._scaled_variance(v.variance, f.factor) AS variance
        FROM unnest(v_week) WITH ORDINALITY AS w (minute, i)
        CROSS JOIN LATERAL (SELECT factors[1 + w.minute]::double precision AS factor) AS f
        LEFT JOIN (
            SELECT
                extract(epoch FROM o.opened_at - v_from)::bigint / 60 + 1 AS i,
                upc._range_of(o.high, o.low)::double precision AS range
            FROM upc_data.candle AS o
            WHERE o.symbol = _second_features.symbol
              AND o.opened_at >= greatest(v_from, since)
              AND o.opened_at < least(v_until, until)
            OFFSET 0
        ) AS k ON k.i = w.i
        LEFT JOIN (
            SELECT extract(epoch FROM o.minute_at - v_from)::bigint / 60 + 1 AS i, o.variance
            FROM upc._second_variances(
                symbol, exchange, greatest(v_from, since), least(v_until, until)
            ) AS o
        ) AS v ON v.i = w.i
    ),
    total AS (
        SELECT
            m.i,
            m.variance,
            count(m.range) OVER w AS n,
            coalesce(sum(m.range) OVER w, 0) AS r,
            count(m.variance) OVER w AS k,
            coalesce(sum(m.variance) OVER w, 0) AS q
        FROM minute AS m
        WINDOW w AS (ORDER BY m.i ROWS UNBOUNDED PRECEDING)
    ),
    span AS (
        SELECT
            t.i - 59 AS place,
            t.variance AS q1,
            t.k - lag(t.k, 5, 0::bigint) OVER w AS k5,
            t.q - lag(t.q, 5, 0::double precision) OVER w AS q5,
            t.k - lag(t.k, 15, 0::bigint) OVER w AS k15,
            t.q - lag(t.q, 15, 0::double precision) OVER w AS q15,
            t.n - lag(t.n, 5, 0::bigint) OVER w AS n5,
            t.r - lag(t.r, 5, 0::double precision) OVER w AS r5,
            t.n - lag(t.n, 20, 0::bigint) OVER w AS n20,
            t.r - lag(t.r, 20, 0::double precision) OVER w AS r20,
            t.n - lag(t.n, 60, 0::bigint) OVER w AS n60,
            t.r - lag(t.r, 60, 0::double precision) OVER w AS r60
        FROM total AS t
        WINDOW w AS (ORDER BY t.i)
    )
    SELECT
        b.place,
        14 + ln(b.q1 * 1e-15 + b.bottom),
        14 + ln(b.q5 / b.k5 * 1e-15 + b.bottom),
        14 + ln(b.q15 / b.k15 * 1e-15 + b.bottom),
        14 + 2 * ln(greatest(b.r5 / b.n5, 100) * 1e-8),
        14 + 2 * ln(greatest(b.r20 / b.n20, 100) * 1e-8)
    FROM (
        SELECT s.*, 0.02 * (greatest(s.r60 / s.n60, 100) * 1e-8) ^ 2 AS bottom
        FROM span AS s
        WHERE s.place > 0 AND s.q1 IS NOT NULL AND s.k5 >= 4 AND s.k15 >= 12
          AND s.n5 >= 3 AND s.n20 >= 10 AND s.n60 >= 30
        OFFSET 0
    ) AS b;
END
$fn$;
COMMENT ON FUNCTION upc._second_features IS
    'the features of corrections for so many minutes from an instant on, by their number from 1';


-- The correction of a horizon, by its number from 1, as text: of the logarithm of a variance.
CREATE FUNCTION upc._log_correction(horizon integer, source text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN format(
    '(coefficients[%1$s] + coefficients[%2$s] * %7$s.s1 + coefficients[%3$s] * %7$s.s5 '
    '+ coefficients[%4$s] * %7$s.s15 + coefficients[%5$s] * %7$s.f5 + coefficients[%6$s] * %7$s.f20)',
    172 + 6 * _log_correction.horizon, 173 + 6 * _log_correction.horizon,
    174 + 6 * _log_correction.horizon, 175 + 6 * _log_correction.horizon,
    176 + 6 * _log_correction.horizon, 177 + 6 * _log_correction.horizon,
    _log_correction.source
);
COMMENT ON FUNCTION upc._log_correction IS
    'an expression, as text: what coefficients add to the logarithm of the variance of a horizon, by its number from 1, from the features of source';


-- forecasts: whole thousandths, one for each fitted horizon. They change by 1 at the most, a factor of 2.7.
-- Between 15 and 30 minutes the correction fades, since that of 30 is none.
DO $do$
BEGIN
    EXECUTE format(
        $sql$
        CREATE FUNCTION upc._corrected(
            forecasts smallint[],
            features upc.second_features,
            coefficients double precision[]
        )
        RETURNS smallint[]
        LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
        AS $fn$
        BEGIN
            RETURN ARRAY[%s, forecasts[7], forecasts[8]];
        END
        $fn$
        $sql$,
        (
            SELECT string_agg(
                format(
                    'greatest(-32767, least(32767, forecasts[%s] '
                    '+ greatest(-1000, least(1000, round(1000 * %s)))))::smallint',
                    h, upc._log_correction(h, 'features')
                ),
                ', ' ORDER BY h
            )
            FROM generate_series(1, 6) AS h
        )
    );
END
$do$;
COMMENT ON FUNCTION upc._corrected IS
    'the forecasts of the fitted horizons, corrected by what one-second prices say';


-- The exchange whose seconds coefficients speak of; NULL without them, and while the rule use_seconds is off.
CREATE FUNCTION upc._second_exchange(symbol text, coefficients double precision[])
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    IF NOT coalesce(upc._has_seconds(coefficients), false) OR NOT upc.setting('use_seconds')::boolean THEN
        RETURN NULL;
    END IF;
    RETURN (
        SELECT s.exchange
        FROM upc_data.second_source AS s
        WHERE s.symbol = _second_exchange.symbol AND s.number = coefficients[177]
    );
END
$fn$;
COMMENT ON FUNCTION upc._second_exchange IS
    'the exchange whose one-second prices correct what coefficients forecast; NULL where none does';


CREATE FUNCTION upc._corrected_forecasts(
    symbol text,
    known_at timestamptz,
    factors smallint[],
    coefficients double precision[],
    forecasts smallint[]
)
RETURNS smallint[]
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_exchange text := upc._second_exchange(symbol, coefficients);
BEGIN
    IF v_exchange IS NULL OR forecasts IS NULL THEN
        RETURN forecasts;
    END IF;
    RETURN coalesce(
        (
            SELECT upc._corrected(forecasts, f, coefficients)
            FROM upc._second_features(
                symbol, v_exchange, known_at - interval '1 minute', 1, factors
            ) AS f
        ),
        forecasts
    );
END
$fn$;
COMMENT ON FUNCTION upc._corrected_forecasts IS
    'the forecasts of the fitted horizons for one full minute, corrected by one-second prices where they are there';


-- The fit.

CREATE TYPE upc.second_sample AS (
    s1 double precision,
    s5 double precision,
    s15 double precision,
    f5 double precision,
    f20 double precision,
    o1 double precision,
    o2 double precision,
    o3 double precision,
    o4 double precision,
    o5 double precision,
    o6 double precision,
    y1 double precision,
    y2 double precision,
    y3 double precision,
    y4 double precision,
    y5 double precision,
    y6 double precision
);
COMMENT ON TYPE upc.second_sample IS
    'a starting minute that a correction is fitted on: its features, the logarithm of the variance that was forecast for each horizon (o), and the variance that came (y)';


-- The exchange whose seconds are fitted: of those with 30 whole days in the 90 before, the one that has
-- the newest; a day is whole with three quarters of its minutes. NULL where there is none.
CREATE FUNCTION upc._newest_source(symbol text, since timestamptz, until timestamptz)
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    RETURN (
        SELECT d.exchange
        FROM (
            SELECT v.exchange, (v.minute_at AT TIME ZONE 'UTC')::date AS day
            FROM upc_data.minute_variance AS v
            WHERE v.symbol = _newest_source.symbol
              AND v.minute_at >= greatest(since, until - interval '90 days')
              AND v.minute_at < until
              AND v.robust_variance > 0
              AND v.seconds >= 20
            GROUP BY v.exchange, (v.minute_at AT TIME ZONE 'UTC')::date
            HAVING count(*) >= 1080
        ) AS d
        GROUP BY d.exchange
        HAVING count(*) >= 30
        ORDER BY max(d.day) DESC, count(*) DESC, d.exchange
        LIMIT 1
    );
END
$fn$;
COMMENT ON FUNCTION upc._newest_source IS
    'the exchange whose one-second prices of the 90 days before an instant can be fitted; NULL where none has 30 days';


DO $do$
BEGIN
    EXECUTE format(
        $sql$
        CREATE FUNCTION upc._second_samples(
            symbol text,
            exchange text,
            since timestamptz,
            until timestamptz,
            factors smallint[],
            coefficients double precision[]
        )
        RETURNS upc.second_sample[]
        LANGUAGE plpgsql STABLE PARALLEL SAFE
        SET work_mem = '64MB'
        SET jit = off
        AS $fn$
        DECLARE
            v_first date;
            v_last date;
            v_samples upc.second_sample[];
        BEGIN
            SELECT
                (min(v.minute_at) AT TIME ZONE 'UTC')::date, (max(v.minute_at) AT TIME ZONE 'UTC')::date
            INTO v_first, v_last
            FROM upc_data.minute_variance AS v
            WHERE v.symbol = _second_samples.symbol
              AND v.exchange = _second_samples.exchange
              AND v.minute_at >= greatest(since, until - interval '90 days')
              AND v.minute_at < until
              AND v.robust_variance > 0;
            -- At most 26,000: the ridge goes with them.
            SELECT array_agg(
                (f.s1, f.s5, f.s15, f.f5, f.f20, %1$s, s.y1, s.y2, s.y3, s.y4, s.y5, s.y6)
                    ::upc.second_sample
                ORDER BY s.day, s.place
            )
            INTO v_samples
            FROM generate_series(v_first::timestamp, v_last::timestamp, interval '45 days') AS d
            CROSS JOIN LATERAL upc._fit_samples(
                symbol, d::date, least(d::date + 44, v_last), since, until, factors,
                CASE WHEN v_last - v_first < 36 THEN 2 WHEN v_last - v_first < 54 THEN 3 ELSE 5 END
            ) AS s
            JOIN LATERAL upc._second_features(
                symbol, exchange, d AT TIME ZONE 'UTC',
                1440 * (least(d::date + 44, v_last) - d::date + 1), factors, since, until
            ) AS f ON f.place = s.place;
            RETURN v_samples;
        END
        $fn$
        $sql$,
        (
            SELECT string_agg(upc._log_forecast(h, 's'), ', ' ORDER BY h)
            FROM generate_series(1, 6) AS h
        )
    );
END
$do$;
COMMENT ON FUNCTION upc._second_samples IS
    'the samples that a correction is fitted on, of the 90 days before an instant';


-- Around their means, so that the ridge on a weight does not move the level.
DO $do$
BEGIN
    EXECUTE format(
        $sql$
        CREATE FUNCTION upc._second_products(samples upc.second_sample[])
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
                    format('ARRAY[%s]', string_agg(
                        format('sum(%s * %s) + %s', x.name, y.name, 300 * (x.i = y.i)::integer),
                        ', ' ORDER BY y.i
                    )) AS columns
                FROM unnest('{1, s.s1, s.s5, s.s15, s.f5, s.f20}'::text[])
                    WITH ORDINALITY AS x (name, i)
                CROSS JOIN unnest('{1, s.s1, s.s5, s.s15, s.f5, s.f20}'::text[])
                    WITH ORDINALITY AS y (name, i)
                GROUP BY x.i, x.name
            ) AS r
        )
    );
    EXECUTE format(
        $sql$
        CREATE FUNCTION upc._second_sums(
            samples upc.second_sample[],
            weights double precision[]
        )
        RETURNS double precision[]
        LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
        AS $fn$
        BEGIN
            RETURN (
                SELECT ARRAY[%s]
                FROM (SELECT s.*, %s FROM unnest(samples) AS s OFFSET 0) AS s
            );
        END
        $fn$
        $sql$,
        (
            SELECT string_agg(
                format(
                    'sum(s.e%1$s), sum(s.e%1$s * s.s1), sum(s.e%1$s * s.s5), sum(s.e%1$s * s.s15), '
                    'sum(s.e%1$s * s.f5), sum(s.e%1$s * s.f20)',
                    h
                ),
                ', ' ORDER BY h
            )
            FROM generate_series(1, 6) AS h
        ),
        (
            SELECT string_agg(
                format(
                    'least(20, s.y%1$s / exp(s.o%1$s + weights[%2$s] + weights[%3$s] * s.s1 '
                    '+ weights[%4$s] * s.s5 + weights[%5$s] * s.s15 + weights[%6$s] * s.f5 '
                    '+ weights[%7$s] * s.f20)) - 1 AS e%1$s',
                    h, 6 * h - 5, 6 * h - 4, 6 * h - 3, 6 * h - 2, 6 * h - 1, 6 * h
                ),
                ', ' ORDER BY h
            )
            FROM generate_series(1, 6) AS h
        )
    );
END
$do$;
COMMENT ON FUNCTION upc._second_products IS
    'the products of the constant and the features, summed over the samples of a correction, and a ridge of 300 in the diagonal';
COMMENT ON FUNCTION upc._second_sums IS
    'for the horizons of a correction, laid end to end: the variance that came as a multiple of the corrected forecast, 20 at the most, less 1, and its products with the features, summed over the samples';


-- Fit the correction of what coefficients forecast on samples, by QLIKE: a constant and five coefficients
-- for each of six horizons, in thousandths.
CREATE FUNCTION upc._fit_correction(samples upc.second_sample[])
RETURNS double precision[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET work_mem = '64MB'
SET jit = off
AS $fn$
DECLARE
    v_means double precision[];
    v_samples upc.second_sample[];
    v_inverse double precision[];
    v_weights double precision[] := array_fill(0::double precision, '{36}'::integer[]);
    v_step double precision[];
BEGIN
    SELECT ARRAY[0, avg(s.s1), avg(s.s5), avg(s.s15), avg(s.f5), avg(s.f20)]
    INTO v_means
    FROM unnest(samples) AS s;
    SELECT array_agg(
        (
            s.s1 - v_means[2], s.s5 - v_means[3], s.s15 - v_means[4], s.f5 - v_means[5],
            s.f20 - v_means[6], s.o1, s.o2, s.o3, s.o4, s.o5, s.o6, s.y1, s.y2, s.y3, s.y4, s.y5, s.y6
        )::upc.second_sample
        ORDER BY s.ordinality
    )
    INTO v_samples
    FROM unnest(samples) WITH ORDINALITY AS s;
    v_inverse := upc._inverse(upc._second_products(v_samples));
    FOR v_round IN 1..50 LOOP
        SELECT upc._newton_step(v_inverse, array_agg(g.gradient - 300 * g.weight ORDER BY g.i))
        INTO v_step
        FROM unnest(upc._second_sums(v_samples, v_weights), v_weights)
            WITH ORDINALITY AS g (gradient, weight, i);
        SELECT array_agg(w.weight + w.step ORDER BY w.i)
        INTO v_weights
        FROM unnest(v_weights, v_step) WITH ORDINALITY AS w (weight, step, i);
        EXIT WHEN 1e-6 > ALL (ARRAY(SELECT abs(s) FROM unnest(v_step) AS s));
    END LOOP;
    RETURN ARRAY(
        SELECT
            round(
                (
                    CASE WHEN w.i % 6 = 1 THEN w.weight - sum(w.weight * v_means[1 + (w.i - 1) % 6])
                        OVER (PARTITION BY (w.i - 1) / 6)
                    ELSE w.weight END
                )::numeric,
                3
            )::double precision
        FROM unnest(v_weights) WITH ORDINALITY AS w (weight, i)
        ORDER BY w.i
    );
END
$fn$;
COMMENT ON FUNCTION upc._fit_correction IS
    'fits a correction by QLIKE on its samples: a constant and five coefficients for each of six horizons';


CREATE FUNCTION upc._source_number(symbol text, exchange text)
RETURNS integer
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    INSERT INTO upc_data.second_source AS s (symbol, number, exchange)
    SELECT
        _source_number.symbol,
        1 + coalesce(
            (SELECT max(k.number) FROM upc_data.second_source AS k WHERE k.symbol = _source_number.symbol),
            0
        ),
        _source_number.exchange
    WHERE NOT EXISTS (
        SELECT FROM upc_data.second_source AS k
        WHERE k.symbol = _source_number.symbol AND k.exchange = _source_number.exchange
    )
    ON CONFLICT DO NOTHING;
    RETURN (
        SELECT k.number FROM upc_data.second_source AS k
        WHERE k.symbol = _source_number.symbol AND k.exchange = _source_number.exchange
    );
END
$fn$;
COMMENT ON FUNCTION upc._source_number IS
    'the number of an exchange in the coefficients of a symbol''s fits, given where it has none';


-- Coefficients of a fit with those of a correction behind those of up to an hour, where an exchange has 30 days of seconds
-- before an instant and the rule use_seconds is on; else as they are.
CREATE FUNCTION upc._with_seconds(
    symbol text,
    since timestamptz,
    until timestamptz,
    factors smallint[],
    coefficients double precision[]
)
RETURNS double precision[]
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_exchange text;
    v_samples upc.second_sample[];
BEGIN
    IF coefficients IS NULL OR NOT upc.setting('use_seconds')::boolean THEN
        RETURN coefficients;
    END IF;
    v_exchange := upc._newest_source(symbol, since, until);
    IF v_exchange IS NULL THEN
        RETURN coefficients;
    END IF;
    v_samples := upc._second_samples(symbol, v_exchange, since, until, factors, coefficients);
    -- Candles may be missing where seconds are not.
    IF coalesce(cardinality(v_samples), 0) < 5000 THEN
        RETURN coefficients;
    END IF;
    RETURN coefficients[:176] || upc._source_number(symbol, v_exchange)::double precision
        || upc._fit_correction(v_samples) || coefficients[177:];
END
$fn$;
COMMENT ON FUNCTION upc._with_seconds IS
    'the coefficients of a fit with those of a correction by one-second prices behind those of up to an hour, where they can be fitted';


-- One-second prices in the forecast of a symbol: since when they correct it, and whether they do now.
--
-- Returns one row, or none where the fit in use stands on candles alone: the exchange; the UTC day before
-- which they were fitted; the days of it that were; the close of the newest forecast that is cached, and
-- whether its minutes have the seconds that it takes. While they do not, or the rule use_seconds is off,
-- the forecast is that of the candles.
-- Errors: UP002 symbol.
--
-- Example:
--   SELECT count(*) = 0 FROM seconds_in_use('ETH');
CREATE FUNCTION upc.seconds_in_use(symbol text)
RETURNS TABLE (
    exchange text,
    fitted_until date,
    days integer,
    known_at timestamptz,
    is_corrected boolean
)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1
AS $fn$
DECLARE
    v_factors smallint[];
    v_coefficients double precision[];
BEGIN
    PERFORM upc.require_symbol(symbol);
    SELECT f.used_factors, f.used_coefficients, f.fitted_until
    INTO v_factors, v_coefficients, fitted_until
    FROM upc_data.volatility_fit AS f
    WHERE f.symbol = seconds_in_use.symbol;
    IF NOT coalesce(upc._has_seconds(v_coefficients), false) THEN
        RETURN;
    END IF;
    SELECT s.exchange INTO exchange
    FROM upc_data.second_source AS s
    WHERE s.symbol = seconds_in_use.symbol AND s.number = v_coefficients[177];
    SELECT count(DISTINCT (v.minute_at AT TIME ZONE 'UTC')::date) INTO days
    FROM upc_data.minute_variance AS v
    WHERE v.symbol = seconds_in_use.symbol
      AND v.exchange = seconds_in_use.exchange
      AND v.minute_at >= fitted_until::timestamp AT TIME ZONE 'UTC' - interval '90 days'
      AND v.minute_at < fitted_until::timestamp AT TIME ZONE 'UTC'
      AND v.robust_variance > 0;
    SELECT s.known_at INTO known_at
    FROM upc_data.volatility_state AS s
    WHERE s.symbol = seconds_in_use.symbol;
    is_corrected := upc._second_exchange(symbol, v_coefficients) IS NOT NULL AND EXISTS (
        SELECT FROM upc._second_features(
            symbol, exchange, known_at - interval '1 minute', 1, v_factors
        )
    );
    RETURN NEXT;
END
$fn$;
COMMENT ON FUNCTION upc.seconds_in_use IS
    'since when one-second prices correct the forecast of a symbol, by which exchange, and whether they correct the newest one';

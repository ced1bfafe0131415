-- The forecast: the likely size of the move in the time left.

-- Between two fitted horizons the logarithm of the variance follows that of time in straight lines.
DO $do$
BEGIN
    EXECUTE (
        SELECT format(
            $sql$
            CREATE FUNCTION upc._horizon_places()
            RETURNS integer[]
            LANGUAGE sql IMMUTABLE PARALLEL SAFE
            RETURN %1$L::integer[];
            CREATE FUNCTION upc._horizon_shares()
            RETURNS double precision[]
            LANGUAGE sql IMMUTABLE PARALLEL SAFE
            RETURN %2$L::double precision[]
            $sql$,
            array_agg(k.place ORDER BY t),
            array_agg(
                ln(t::double precision / h.horizons[k.place])
                    / ln(h.horizons[k.place + 1]::double precision / h.horizons[k.place])
                ORDER BY t
            )
        )
        FROM (SELECT upc._fitted_horizons() AS horizons) AS h
        CROSS JOIN generate_series(1, 60) AS t
        CROSS JOIN LATERAL (
            SELECT least(width_bucket(t, h.horizons), cardinality(h.horizons) - 1) AS place
        ) AS k
    );
END
$do$;
COMMENT ON FUNCTION upc._horizon_places IS
    'for 1 to 60 minutes: the place in upc._fitted_horizons() of the one that lies before, or of the last but one';
COMMENT ON FUNCTION upc._horizon_shares IS
    'for 1 to 60 minutes: how far the logarithm of time has got to the fitted horizon after that of upc._horizon_places';


-- Forecasts are whole thousandths of the logarithm of a variance: what is counted is what was forecast,
-- whoever computed it.
--
-- horizons: how many there are coefficients of.
CREATE FUNCTION upc._whole_forecasts(source text, horizons integer DEFAULT 8)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
    SELECT string_agg(
        format(
            'greatest(-32767, least(32767, round(1000 * %s)))::smallint',
            upc._log_forecast(h, _whole_forecasts.source)
        ),
        ', ' ORDER BY h
    )
    FROM generate_series(1, horizons) AS h
);
COMMENT ON FUNCTION upc._whole_forecasts IS
    'expressions, as text: the forecasts of coefficients from the features of source, one for each of some horizons';


CREATE FUNCTION upc._forecast_of(forecasts smallint[], minutes integer)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN exp(
    0.001::double precision * (
        (1 - (upc._horizon_shares())[_forecast_of.minutes])
            * _forecast_of.forecasts[(upc._horizon_places())[_forecast_of.minutes]]
        + (upc._horizon_shares())[_forecast_of.minutes]
            * _forecast_of.forecasts[(upc._horizon_places())[_forecast_of.minutes] + 1]
    )
);
COMMENT ON FUNCTION upc._forecast_of IS
    'the variance of the move of some minutes of average weight, from the forecasts of the fitted horizons';


-- Coefficients for upc._long_horizons(), 22 each: the last ones of a fit.
CREATE FUNCTION upc._long_coefficients(coefficients double precision[])
RETURNS double precision[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
BEGIN
    RETURN CASE WHEN cardinality(coefficients) IN (374, 411)
        THEN coefficients[cardinality(coefficients) - 197:]
    END;
END
$fn$;
COMMENT ON FUNCTION upc._long_coefficients IS
    'those of the coefficients of a fit that are for upc._long_horizons(); NULL where these are not fitted';


DO $do$
BEGIN
    EXECUTE format(
        $sql$
        CREATE FUNCTION upc._minute_forecasts(
            symbol text,
            first_day date,
            last_day date,
            factors smallint[],
            coefficients double precision[],
            places integer[],
            since timestamptz DEFAULT '-infinity',
            until timestamptz DEFAULT 'infinity'
        )
        RETURNS TABLE (place integer, forecasts smallint[])
        LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1440
        AS $fn$
        BEGIN
            RETURN QUERY
            SELECT f.place, ARRAY[%1$s]
            FROM upc._forecast_features(
                symbol, first_day, last_day, factors, places, since, until
            ) AS f;
        END
        $fn$
        $sql$,
        upc._whole_forecasts('f')
    );
    EXECUTE format(
        $sql$
        CREATE FUNCTION upc._newest_forecasts(
            symbol text,
            known_at timestamptz,
            factors smallint[],
            coefficients double precision[],
            long_coefficients double precision[],
            week integer[]
        )
        RETURNS smallint[]
        LANGUAGE plpgsql STABLE PARALLEL SAFE
        AS $fn$
        BEGIN
            RETURN (
                SELECT ARRAY[%1$s] || CASE WHEN long_coefficients IS NOT NULL THEN ARRAY[%2$s] END
                FROM upc._newest_features(symbol, known_at, factors, week) AS f
            );
        END
        $fn$
        $sql$,
        upc._whole_forecasts('f'),
        replace(upc._whole_forecasts('f', 9), 'coefficients', 'long_coefficients')
    );
    EXECUTE format(
        $sql$
        CREATE FUNCTION upc._long_forecasts(
            symbol text,
            first_day date,
            last_day date,
            factors smallint[],
            coefficients double precision[],
            places integer[],
            since timestamptz DEFAULT '-infinity',
            until timestamptz DEFAULT 'infinity'
        )
        RETURNS TABLE (place integer, forecasts smallint[])
        LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1440
        AS $fn$
        BEGIN
            RETURN QUERY
            SELECT f.place, ARRAY[%1$s]
            FROM upc._forecast_features(
                symbol, first_day, last_day, factors, places, since, until
            ) AS f;
        END
        $fn$
        $sql$,
        upc._whole_forecasts('f', 9)
    );
END
$do$;
COMMENT ON FUNCTION upc._minute_forecasts IS
    'the forecasts, one for each fitted horizon, for starting minutes, by their number from 1, of UTC days that follow each other';
COMMENT ON FUNCTION upc._newest_forecasts IS
    'the forecasts, one for each fitted horizon, and for each of upc._long_horizons() that is fitted, for one full minute; week: minutes of the week from a day before it on';
COMMENT ON FUNCTION upc._long_forecasts IS
    'upc._minute_forecasts for each of upc._long_horizons(), by coefficients of these alone';


-- Forecasts of the starting minutes that are counted, every other one: 720 times eight for each day.
CREATE FUNCTION upc._day_forecasts(
    symbol text,
    days date[],
    factors smallint[],
    coefficients double precision[],
    since timestamptz DEFAULT '-infinity',
    until timestamptz DEFAULT 'infinity'
)
RETURNS TABLE (day date, forecasts smallint[])
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 30
SET work_mem = '64MB'
AS $fn$
DECLARE
    v_run record;
BEGIN
    FOR v_run IN
        SELECT min(r.day) AS first, max(r.day) AS last
        FROM (
            SELECT d AS day, d - (row_number() OVER (ORDER BY d))::integer AS run
            FROM unnest(days) AS d
        ) AS r
        GROUP BY r.run
        ORDER BY r.run
    LOOP
        RETURN QUERY
        SELECT
            v_run.first + (m.place - 1) / 1440,
            array_agg(v.forecast ORDER BY m.place, v.k)
        FROM generate_series(1, 1440 * (v_run.last - v_run.first + 1), 2) AS m (place)
        LEFT JOIN upc._minute_forecasts(
            _day_forecasts.symbol, v_run.first, v_run.last, factors, coefficients,
            ARRAY(SELECT generate_series(1, 1440 * (v_run.last - v_run.first + 1), 2)),
            since, until
        ) AS f ON f.place = m.place
        CROSS JOIN LATERAL unnest(
            coalesce(f.forecasts, array_fill((-32768)::smallint, '{8}'))
        ) WITH ORDINALITY AS v (forecast, k)
        GROUP BY (m.place - 1) / 1440;
    END LOOP;
END
$fn$;
COMMENT ON FUNCTION upc._day_forecasts IS
    'the forecasts, eight each, of every other starting minute of some UTC days, from the first on; -32768 where nothing can be forecast';


-- upc._minute_forecasts, corrected by one-second prices where they are there.
CREATE FUNCTION upc._corrected_minute_forecasts(
    symbol text,
    first_day date,
    last_day date,
    factors smallint[],
    coefficients double precision[],
    places integer[],
    since timestamptz DEFAULT '-infinity',
    until timestamptz DEFAULT 'infinity'
)
RETURNS TABLE (place integer, forecasts smallint[])
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1440
AS $fn$
DECLARE
    v_exchange text := upc._second_exchange(symbol, coefficients);
BEGIN
    IF v_exchange IS NULL THEN
        RETURN QUERY
        SELECT m.place, m.forecasts
        FROM upc._minute_forecasts(
            symbol, first_day, last_day, factors, coefficients, places, since, until
        ) AS m;
        RETURN;
    END IF;
    RETURN QUERY
    SELECT
        m.place,
        CASE WHEN f.place IS NULL THEN m.forecasts
            ELSE upc._corrected(m.forecasts, f, coefficients)
        END
    FROM upc._minute_forecasts(
        symbol, first_day, last_day, factors, coefficients, places, since, until
    ) AS m
    LEFT JOIN upc._second_features(
        symbol, v_exchange, first_day::timestamp AT TIME ZONE 'UTC',
        1440 * (last_day - first_day + 1), factors, since, until
    ) AS f ON f.place = m.place;
END
$fn$;
COMMENT ON FUNCTION upc._corrected_minute_forecasts IS
    'the forecasts of upc._minute_forecasts, corrected by one-second prices where they are there';


CREATE FUNCTION upc._corrected_day(
    day_forecasts smallint[],
    features upc.second_features[],
    coefficients double precision[]
)
RETURNS smallint[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
BEGIN
    RETURN (
        SELECT array_agg(v.forecast ORDER BY m.place, v.k)
        FROM (
            SELECT p AS place, day_forecasts[4 * p - 3:4 * p + 4] AS forecasts
            FROM generate_series(1, 1440, 2) AS p
        ) AS m
        LEFT JOIN unnest(features) AS f ON f.place = m.place
        CROSS JOIN LATERAL unnest(
            CASE WHEN f.place IS NULL OR m.forecasts[1] = -32768 THEN m.forecasts
                ELSE upc._corrected(m.forecasts, f, coefficients)
            END
        ) WITH ORDINALITY AS v (forecast, k)
    );
END
$fn$;
COMMENT ON FUNCTION upc._corrected_day IS
    'the forecasts of every other starting minute of a UTC day, corrected by the features of some of its minutes';


-- upc._day_forecasts, corrected by one-second prices where they are there: moves are counted beside the
-- forecast that is asked with.
CREATE FUNCTION upc._corrected_day_forecasts(
    symbol text,
    days date[],
    factors smallint[],
    coefficients double precision[],
    since timestamptz DEFAULT '-infinity',
    until timestamptz DEFAULT 'infinity'
)
RETURNS TABLE (day date, forecasts smallint[])
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 30
AS $fn$
DECLARE
    v_exchange text := upc._second_exchange(symbol, coefficients);
    v_seconds_from timestamptz;
    v_features upc.second_features[];
BEGIN
    IF v_exchange IS NULL THEN
        RETURN QUERY
        SELECT d.day, d.forecasts
        FROM upc._day_forecasts(symbol, days, factors, coefficients, since, until) AS d;
        RETURN;
    END IF;
    SELECT min(v.minute_at) INTO v_seconds_from
    FROM upc_data.minute_variance AS v
    WHERE v.symbol = _corrected_day_forecasts.symbol AND v.exchange = v_exchange;
    FOR day, forecasts IN
        SELECT d.day, d.forecasts
        FROM upc._day_forecasts(symbol, days, factors, coefficients, since, until) AS d
    LOOP
        IF (day + 1)::timestamp AT TIME ZONE 'UTC' > v_seconds_from THEN
            v_features := ARRAY(
                SELECT f
                FROM upc._second_features(
                    symbol, v_exchange, day::timestamp AT TIME ZONE 'UTC', 1440, factors, since, until
                ) AS f
            );
            forecasts := upc._corrected_day(forecasts, v_features, coefficients);
        END IF;
        RETURN NEXT;
    END LOOP;
END
$fn$;
COMMENT ON FUNCTION upc._corrected_day_forecasts IS
    'the forecasts of upc._day_forecasts, corrected by one-second prices where they are there';


-- Forecasts of a fit that was made before forecasts were standard deviations: it answers until another one
-- is counted. Its week is that of UTC.
CREATE FUNCTION upc._first_variances(
    symbol text,
    known_at timestamptz,
    factors smallint[],
    coefficients double precision[]
)
RETURNS double precision[]
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_minute integer := upc._minute_of_week(known_at);
    v_features double precision[];
BEGIN
    SELECT CASE
        WHEN count(*) FILTER (WHERE c.age <= 5) >= 3
            AND count(*) FILTER (WHERE c.age <= 20) >= 10
            AND count(*) FILTER (WHERE c.age <= 60) >= 30
            AND count(*) FILTER (WHERE c.age <= 240) >= 120
            AND count(*) >= 720
        THEN ARRAY[
            14 + 2 * ln(greatest(avg(c.range) FILTER (WHERE c.age <= 5), 100) * 1e-8),
            14 + 2 * ln(greatest(avg(c.range) FILTER (WHERE c.age <= 20), 100) * 1e-8),
            14 + 2 * ln(greatest(avg(c.range) FILTER (WHERE c.age <= 60), 100) * 1e-8),
            14 + 2 * ln(greatest(avg(c.range) FILTER (WHERE c.age <= 240), 100) * 1e-8),
            14 + 2 * ln(greatest(avg(c.range), 100) * 1e-8)
        ]
    END
    INTO v_features
    FROM (
        SELECT
            upc._scaled_range(
                upc._range_of(k.high, k.low), factors[1 + upc._minute_of_week(k.opened_at)]
            ) AS range,
            extract(epoch FROM _first_variances.known_at - k.opened_at)::integer / 60 AS age
        FROM upc_data.candle AS k
        WHERE k.symbol = _first_variances.symbol
          AND k.opened_at >= _first_variances.known_at - interval '1440 minutes'
          AND k.opened_at < _first_variances.known_at
        OFFSET 0
    ) AS c;
    IF v_features IS NULL THEN
        RETURN NULL;
    END IF;
    RETURN ARRAY(
        SELECT
            w.variance * exp(
                coefficients[6 * w.t - 5] + coefficients[6 * w.t - 4] * v_features[1]
                + coefficients[6 * w.t - 3] * v_features[2]
                + coefficients[6 * w.t - 2] * v_features[3]
                + coefficients[6 * w.t - 1] * v_features[4]
                + coefficients[6 * w.t] * v_features[5]
            )
        FROM (
            SELECT
                t,
                sum(factors[1 + (v_minute + t - 1) % 10080]::double precision ^ 2)
                    OVER (ORDER BY t) / 10000 AS variance
            FROM generate_series(1, 60) AS t
        ) AS w
        ORDER BY w.t
    );
END
$fn$;
COMMENT ON FUNCTION upc._first_variances IS
    'upc._forecast_variances by a fit of the five ranges alone, with six coefficients for each of 60 minutes';


CREATE FUNCTION upc._long_variances(known_at timestamptz, factors smallint[], forecasts smallint[])
RETURNS double precision[]
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_week integer[] := upc._week_minutes(known_at, 1440);
    v_horizons integer[] := upc._long_horizons();
    v_variances double precision[] := '{}'::double precision[];
    v_total bigint := 0;
    v_done integer := 0;
BEGIN
    FOR h IN 1..cardinality(v_horizons) LOOP
        v_total := v_total + (
            SELECT sum(factors[1 + w.minute]::bigint ^ 2)::bigint
            FROM unnest(v_week[v_done + 1:v_horizons[h]]) AS w (minute)
        );
        v_done := v_horizons[h];
        v_variances := v_variances
            || v_total::double precision / 10000 * exp(0.001::double precision * forecasts[h]);
    END LOOP;
    RETURN v_variances;
END
$fn$;
COMMENT ON FUNCTION upc._long_variances IS
    'the variances of the move of the next upc._long_horizons() minutes, from their forecasts at a full minute';


-- factors, coefficients: of a fit, whoever's; NULL where nothing was fitted.
CREATE FUNCTION upc._fitted_variances(
    symbol text,
    known_at timestamptz,
    factors smallint[],
    coefficients double precision[]
)
RETURNS double precision[]
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_week integer[];
    v_forecasts smallint[];
BEGIN
    IF factors IS NULL OR known_at IS NULL THEN
        RETURN NULL;
    END IF;
    IF cardinality(coefficients) = 360 THEN
        RETURN upc._first_variances(symbol, known_at, factors, coefficients);
    END IF;
    v_week := upc._week_minutes(known_at - interval '24 hours', 1500);
    v_forecasts := upc._newest_forecasts(
        symbol, known_at, factors, coefficients, upc._long_coefficients(coefficients), v_week
    );
    IF v_forecasts IS NULL THEN
        RETURN NULL;
    END IF;
    IF upc._has_seconds(coefficients) THEN
        v_forecasts := upc._corrected_forecasts(
            symbol, known_at, factors, coefficients, v_forecasts[:8]
        ) || v_forecasts[9:];
    END IF;

    -- The minutes ahead, each with its own factor.
    RETURN ARRAY(
        SELECT
            sum(factors[1 + v_week[1440 + t]]::double precision ^ 2) OVER (ORDER BY t) / 10000
                * upc._forecast_of(v_forecasts, t)
        FROM generate_series(1, 60) AS t
        ORDER BY t
    ) || CASE WHEN cardinality(v_forecasts) = 17 THEN
        upc._long_variances(known_at, factors, v_forecasts[9:17])
    END;
END
$fn$;
COMMENT ON FUNCTION upc._fitted_variances IS
    'the variances of the move of the next 1 to 60 minutes, and of upc._long_horizons() where they are fitted, by a fit, the move as a share of the price, from candles closed by a full minute; NULL where nothing was fitted, or where less than half of the last 5, 20, 60, 240 or 1440 candles are there';


CREATE FUNCTION upc._forecast_variances(symbol text, known_at timestamptz)
RETURNS double precision[]
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    -- Variables of their own: an array in a record is decompressed each time that it is read.
    v_factors smallint[];
    v_coefficients double precision[];
BEGIN
    SELECT f.used_factors, f.used_coefficients
    INTO v_factors, v_coefficients
    FROM upc_data.volatility_fit AS f
    WHERE f.symbol = _forecast_variances.symbol;
    RETURN upc._fitted_variances(symbol, known_at, v_factors, v_coefficients);
END
$fn$;
COMMENT ON FUNCTION upc._forecast_variances IS
    'the variances of upc._fitted_variances by the fit in use';


CREATE FUNCTION upc._newest_close(symbol text, at timestamptz)
RETURNS timestamptz
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_opened_at timestamptz;
BEGIN
    SELECT c.opened_at
    INTO v_opened_at
    FROM upc_data.candle AS c
    WHERE c.symbol = _newest_close.symbol
      AND c.opened_at <= coalesce(_newest_close.at, 'infinity') - interval '1 minute'
      AND c.opened_at >= coalesce(_newest_close.at, '-infinity') - interval '6 minutes'
    ORDER BY c.opened_at DESC
    LIMIT 1;
    RETURN v_opened_at + interval '1 minute';
END
$fn$;
COMMENT ON FUNCTION upc._newest_close IS
    'the instant at which the newest candle closed, by another and no more than five minutes before it; NULL without one; an instant of NULL asks for the newest of all';


CREATE FUNCTION upc._known_variances(symbol text, at timestamptz DEFAULT NULL)
RETURNS double precision[]
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_variances double precision[];
BEGIN
    IF at IS NULL THEN
        SELECT s.variances
        INTO v_variances
        FROM upc_data.volatility_state AS s
        WHERE s.symbol = _known_variances.symbol
          AND s.known_at = (
              SELECT c.opened_at + interval '1 minute'
              FROM upc_data.candle AS c
              WHERE c.symbol = _known_variances.symbol
              ORDER BY c.opened_at DESC
              LIMIT 1
          );
    ELSE
        SELECT s.variances
        INTO v_variances
        FROM upc_data.volatility_state AS s
        WHERE s.symbol = _known_variances.symbol
          AND s.known_at = upc._newest_close(_known_variances.symbol, at);
    END IF;
    IF FOUND THEN
        RETURN v_variances;
    END IF;
    RETURN upc._forecast_variances(symbol, upc._newest_close(symbol, at));
END
$fn$;
COMMENT ON FUNCTION upc._known_variances IS
    'the variances of upc._forecast_variances as of the last close by an instant, cached or computed; NULL asks for the newest close';


CREATE FUNCTION upc._cached_forecast(symbol text, at timestamptz DEFAULT NULL)
RETURNS double precision[]
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_cached upc_data.volatility_state;
    v_known_at timestamptz;
    v_variances double precision[];
BEGIN
    SELECT s.*
    INTO v_cached
    FROM upc_data.volatility_state AS s
    WHERE s.symbol = _cached_forecast.symbol;
    -- No candle can have closed since: there is no need to look.
    IF v_cached.known_at <= at AND v_cached.known_at > at - interval '1 minute' THEN
        RETURN v_cached.variances;
    END IF;
    v_known_at := upc._newest_close(symbol, at);
    IF v_cached.known_at = v_known_at THEN
        RETURN v_cached.variances;
    END IF;
    v_variances := upc._forecast_variances(symbol, v_known_at);

    -- Another writer writes the same: nobody waits.
    PERFORM FROM upc_data.volatility_state AS s
    WHERE s.symbol = _cached_forecast.symbol
    FOR UPDATE SKIP LOCKED;
    IF NOT FOUND AND EXISTS (
        SELECT FROM upc_data.volatility_state AS s WHERE s.symbol = _cached_forecast.symbol
    ) THEN
        RETURN v_variances;
    END IF;
    INSERT INTO upc_data.volatility_state AS s (symbol, known_at, variances)
    SELECT _cached_forecast.symbol, v_known_at, v_variances
    WHERE v_variances IS NOT NULL
    ON CONFLICT ON CONSTRAINT volatility_state_symbol_pkey
        DO UPDATE SET known_at = excluded.known_at, variances = excluded.variances
        -- A build may have cached one of a newer fit. A replay goes back in time.
        WHERE s.known_at <> excluded.known_at;
    RETURN v_variances;
END
$fn$;
COMMENT ON FUNCTION upc._cached_forecast IS
    'the variances of upc._known_variances, cached for those who ask next';


-- Seconds beyond an hour, and variances with those of upc._long_horizons() in them.
CREATE FUNCTION upc._long_variance(variances double precision[], seconds double precision)
RETURNS double precision
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_minutes integer[] := 60 || upc._long_horizons();
    v_place integer := greatest(1, width_bucket(seconds / 60, v_minutes::double precision[]));
BEGIN
    IF seconds >= 86400 THEN
        RETURN variances[69] * seconds / 86400;
    END IF;
    RETURN variances[59 + v_place] + (variances[60 + v_place] - variances[59 + v_place])
        * (seconds / 60 - v_minutes[v_place]) / (v_minutes[v_place + 1] - v_minutes[v_place]);
END
$fn$;
COMMENT ON FUNCTION upc._long_variance IS
    'upc.variance_until beyond an hour: straight lines between the variances of 60 minutes and of upc._long_horizons(), in proportion to time beyond a day';


-- Variance of the move of the next seconds, from the variances of 1 to 60 minutes, and beyond an hour
-- those of 75, 90, 120, 180, 240, 360, 480, 720 and 1440 minutes, if they are there: straight lines
-- between them, in proportion to time outside.
--
-- Example:
--   SELECT upc.variance_until(array_fill(4.0::double precision, '{60}'), 30) = 2;
CREATE FUNCTION upc.variance_until(variances double precision[], seconds double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN variance_until.seconds <= 60
    THEN variance_until.variances[1] * variance_until.seconds / 60
    WHEN variance_until.seconds > 3600 AND cardinality(variance_until.variances) > 60
    THEN upc._long_variance(variance_until.variances, variance_until.seconds)
    WHEN variance_until.seconds >= 3600
    THEN variance_until.variances[60] * variance_until.seconds / 3600
    ELSE
        variance_until.variances[floor(variance_until.seconds / 60)::integer]
        + (
            variance_until.variances[floor(variance_until.seconds / 60)::integer + 1]
            - variance_until.variances[floor(variance_until.seconds / 60)::integer]
        ) * (variance_until.seconds / 60 - floor(variance_until.seconds / 60))
END;
COMMENT ON FUNCTION upc.variance_until IS
    'the variance of the move of the next seconds from those of 1 to 60 minutes, and of 75 to 1440 where they are: straight lines between them, in proportion to time outside';


-- The forecast of a symbol's volatility: the standard deviation of the move of the time left.
--
-- at: candles that had closed by then are known; NULL means all that are stored. ttc_seconds: of time
-- left.
-- Returns percent of the price; NULL where it cannot be forecast: no complete build, no candle of the
-- five minutes before, or fewer than half of the candles of the last five minutes to the last day.
-- Errors: UP002 symbol, UP008 ttc_seconds.
--
-- Example:
--   SELECT volatility('BTC', '2024-01-01 12:00+00', 900);
CREATE FUNCTION upc.volatility(
    symbol text DEFAULT 'BTC',
    at timestamptz DEFAULT NULL,
    ttc_seconds integer DEFAULT 3600
)
RETURNS double precision
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    PERFORM upc.require_symbol(symbol);
    IF NOT coalesce(ttc_seconds >= 0, false) THEN
        RAISE EXCEPTION 'ttc_seconds must not be negative, got %',
            coalesce(ttc_seconds::text, 'NULL')
            USING
                ERRCODE = 'UP008',
                DETAIL = 'It is the whole seconds until the contract closes.',
                HINT = 'Leave it out for an hour.';
    END IF;
    RETURN 100 * sqrt(upc.variance_until(upc._known_variances(symbol, at), ttc_seconds));
END
$fn$;
COMMENT ON FUNCTION upc.volatility IS
    'forecast of the standard deviation of the move in the time left, percent of the price; NULL where it cannot be forecast';

-- Features: what a forecast is made from, all known when a minute is over.
--
-- Everything is summed in whole numbers, exactly: the sums of a minute are the same in any company.

CREATE TYPE upc.volatility_features AS (
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
    m60 double precision
);
COMMENT ON TYPE upc.volatility_features IS
    'the features of a forecast, each around zero: the logarithms of the squared mean range (f) and of the mean squared move (c) of the last so many minutes, of the mean volume beside that of a week (v), the size of the move (a), the spread of the ranges of an hour (sd), and their largest beside their mean (m)';


-- Number of features and of coefficients of a horizon, and horizons that are fitted. Between them all
-- changes smoothly.
CREATE FUNCTION upc._feature_names()
RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '{f5, f20, f60, f240, f1440, v1, v5, v20, v60, v240, c5, c20, c60, c240, a5, a20, a60, a240, sd, m20, m60}'::text[];
COMMENT ON FUNCTION upc._feature_names IS 'the features of a forecast in the order of their coefficients, after the constant';


CREATE FUNCTION upc._fitted_horizons()
RETURNS integer[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '{1, 2, 3, 5, 10, 15, 30, 60}'::integer[];
COMMENT ON FUNCTION upc._fitted_horizons IS 'the horizons, in minutes, that a forecast is fitted for';


CREATE FUNCTION upc._long_horizons()
RETURNS integer[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '{75, 90, 120, 180, 240, 360, 480, 720, 1440}'::integer[];
COMMENT ON FUNCTION upc._long_horizons IS
    'the horizons beyond an hour, in minutes, that a forecast is fitted and moves are counted for';


CREATE FUNCTION upc._log_forecast(horizon integer, source text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN format(
    '(coefficients[%s] + %s)',
    22 * _log_forecast.horizon - 21,
    (
        SELECT string_agg(
            format(
                'coefficients[%s] * %s.%s',
                22 * _log_forecast.horizon - 21 + x.i, _log_forecast.source, x.name
            ),
            ' + ' ORDER BY x.i
        )
        FROM unnest(upc._feature_names()) WITH ORDINALITY AS x (name, i)
    )
);
COMMENT ON FUNCTION upc._log_forecast IS
    'an expression, as text: the logarithm of the variance that coefficients forecast for a horizon, by its number from 1, from the features of source';


CREATE FUNCTION upc._scaled_range(range double precision, factor double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN round(_scaled_range.range * 100 / _scaled_range.factor);
COMMENT ON FUNCTION upc._scaled_range IS
    'a range beside its minute''s factor, in hundredths: whole units of 1e-8';


CREATE FUNCTION upc._scaled_move(
    close double precision,
    close_before double precision,
    factor double precision
)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- Not least(), which would take a missing close for a large move.
RETURN CASE
    WHEN abs(ln(_scaled_move.close / _scaled_move.close_before)) < 0.01 * _scaled_move.factor
    THEN round(1e19 * (ln(_scaled_move.close / _scaled_move.close_before) / _scaled_move.factor) ^ 2)
    WHEN abs(ln(_scaled_move.close / _scaled_move.close_before)) >= 0.01 * _scaled_move.factor
    THEN 1e15
END;
COMMENT ON FUNCTION upc._scaled_move IS
    'the squared logarithmic move of a minute beside its squared factor, in hundredths: whole units of 1e-15; NULL without both closes';


CREATE FUNCTION upc._scaled_volume(
    volume double precision,
    is_moving boolean,
    factor double precision
)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- A price that moved without volume: the source does not know it.
RETURN CASE
    WHEN _scaled_volume.volume > 0 OR NOT _scaled_volume.is_moving
    THEN round(least(_scaled_volume.volume, 1e10) * 1e6 / _scaled_volume.factor)
END;
COMMENT ON FUNCTION upc._scaled_volume IS
    'the volume of a minute beside its factor, in hundredths: whole units of 0.0001; NULL where it is not known';


-- The logarithm of a range, whole units of 0.0001. A minute in which nothing moved is taken for one of a
-- hundredth of a basis point.
CREATE FUNCTION upc._log_range(scaled double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- Not greatest() alone, which would take a missing candle for the smallest of ranges.
RETURN CASE
    WHEN _log_range.scaled IS NOT NULL THEN round(1e4 * ln(greatest(_log_range.scaled, 100) * 1e-8))
END;
COMMENT ON FUNCTION upc._log_range IS 'the logarithm of a scaled range, whole units of 0.0001';


-- The query that makes features from sums, as text.
--
-- sums: a query with place; for spans of 5, 20, 60, 240 and 1440 minutes the candles n and the sum of
-- scaled ranges r; for 1, 5, 20, 60 and 240 the candles k whose volume is known and the sum of scaled
-- volumes u, and kw, uw of plain volumes over a week; for 5, 20, 60 and 240 the moves j and the sum of
-- scaled moves q; over an hour the sums l of logarithms of ranges and ll of their squares; x20 and x60,
-- the largest scaled ranges; and the closes c now and c5, c20, c60 and c240 so many minutes ago.
-- Returns a query for upc.volatility_features, of places with half of the candles of each span.
CREATE FUNCTION upc._features_query(sums text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN format(
    $sql$
    SELECT
        b.place,
        %1$s,
        %2$s,
        %3$s,
        %4$s,
        sqrt(greatest(0, b.ll / b.n60 - (b.l / b.n60) ^ 2)) * 1e-4,
        2 * ln(greatest(b.x20, 100) / b.mean20),
        2 * ln(greatest(b.x60, 100) / b.mean60)
    FROM (
        SELECT s.*, %5$s
        FROM (%6$s) AS s
        WHERE s.n5 >= 3 AND s.n20 >= 10 AND s.n60 >= 30 AND s.n240 >= 120 AND s.n1440 >= 720
        OFFSET 0
    ) AS b
    $sql$,
    (
        SELECT string_agg(format('14 + 2 * ln(b.mean%s * 1e-8)', w), ', ' ORDER BY w)
        FROM unnest('{5, 20, 60, 240, 1440}'::integer[]) AS w
    ),
    (
        SELECT string_agg(
            format(
                'CASE WHEN b.k%1$s > 0 AND b.uw > 0 '
                'THEN ln(b.u%1$s / b.k%1$s / (b.uw / b.kw) + 0.001) ELSE 0 END',
                w
            ),
            ', ' ORDER BY w
        )
        FROM unnest('{1, 5, 20, 60, 240}'::integer[]) AS w
    ),
    (
        SELECT string_agg(
            format(
                '14 + ln(b.q%1$s / greatest(b.j%1$s, 1) * 1e-15 + 0.02 * (b.mean60 * 1e-8) ^ 2)', w
            ),
            ', ' ORDER BY w
        )
        FROM unnest('{5, 20, 60, 240}'::integer[]) AS w
    ),
    (
        SELECT string_agg(
            format('least(5, abs(ln(b.c / b.c%1$s)) / (0.8 * sqrt(%1$s) * b.mean60 * 1e-8))', w),
            ', ' ORDER BY w
        )
        FROM unnest('{5, 20, 60, 240}'::integer[]) AS w
    ),
    (
        -- A minute in which nothing moved is taken for one of a hundredth of a basis point.
        SELECT string_agg(format('greatest(s.r%1$s / s.n%1$s, 100) AS mean%1$s', w), ', ' ORDER BY w)
        FROM unnest('{5, 20, 60, 240, 1440}'::integer[]) AS w
    ),
    _features_query.sums
);
COMMENT ON FUNCTION upc._features_query IS 'the query, as text, that makes features of forecasts from sums over spans of minutes';


-- Features for starting minutes of UTC days that follow each other. Candles opened in [since, until) are
-- known.
--
-- places: which minutes, by their number from 1 on the first day.
DO $do$
BEGIN
    EXECUTE format(
        $sql$
        CREATE FUNCTION upc._forecast_features(
            symbol text,
            first_day date,
            last_day date,
            factors smallint[],
            places integer[],
            since timestamptz DEFAULT '-infinity',
            until timestamptz DEFAULT 'infinity'
        )
        RETURNS SETOF upc.volatility_features
        LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1440
        SET work_mem = '64MB'
        SET jit = off
        SET enable_nestloop = off
        AS $fn$
        DECLARE
            -- In hours: how long a day is depends on the session's time zone.
            v_week_from timestamptz := first_day::timestamp AT TIME ZONE 'UTC' - interval '168 hours';
            v_from timestamptz := v_week_from + interval '144 hours';
            v_until timestamptz := last_day::timestamp AT TIME ZONE 'UTC' + interval '24 hours';
            v_minutes integer := extract(epoch FROM v_until - v_from)::integer / 60;
            v_week integer[] := upc._week_minutes(v_from, v_minutes);
            v_candles integer[];
            v_ranges double precision[];
            v_known integer[];
            v_week_known integer[];
            v_volumes double precision[];
            v_week_volumes double precision[];
            v_moves integer[];
            v_squares double precision[];
            v_logs double precision[];
            v_log_squares double precision[];
            v_largest double precision[];
            v_closes double precision[];
            v_places integer[];
        BEGIN
            -- Of the week before, volume is all that is looked at.
            SELECT array_agg(s.known ORDER BY s.i), array_agg(s.volume ORDER BY s.i)
            INTO v_week_known, v_week_volumes
            FROM (
                SELECT
                    m.i,
                    count(k.volume) OVER w::integer AS known,
                    coalesce(sum(k.volume) OVER w, 0) AS volume
                FROM generate_series(1::bigint, v_minutes + 8640) AS m (i)
                LEFT JOIN (
                    SELECT
                        extract(epoch FROM o.opened_at - v_week_from)::bigint / 60 + 1 AS i,
                        upc._scaled_volume(o.volume, o.high <> o.low, 100) AS volume
                    FROM upc_data.candle AS o
                    WHERE o.symbol = _forecast_features.symbol
                      AND o.opened_at >= greatest(v_week_from, since)
                      AND o.opened_at < least(v_until, until)
                    OFFSET 0
                ) AS k ON k.i = m.i
                WINDOW w AS (ORDER BY m.i ROWS UNBOUNDED PRECEDING)
            ) AS s;

            SELECT
                array_agg(s.n ORDER BY s.i), array_agg(s.r ORDER BY s.i),
                array_agg(s.k ORDER BY s.i), array_agg(s.u ORDER BY s.i),
                array_agg(s.j ORDER BY s.i), array_agg(s.q ORDER BY s.i),
                array_agg(s.l ORDER BY s.i), array_agg(s.ll ORDER BY s.i),
                array_agg(s.x ORDER BY s.i),
                array_agg(s.c ORDER BY s.i), array_agg(s.p ORDER BY s.i)
            INTO
                v_candles, v_ranges, v_known, v_volumes, v_moves, v_squares, v_logs,
                v_log_squares, v_largest, v_closes, v_places
            FROM (
                SELECT
                    m.i,
                    count(m.range) OVER w::integer AS n,
                    coalesce(sum(m.range) OVER w, 0) AS r,
                    count(m.volume) OVER w::integer AS k,
                    coalesce(sum(m.volume) OVER w, 0) AS u,
                    count(m.move) OVER w::integer AS j,
                    coalesce(sum(m.move) OVER w, 0) AS q,
                    coalesce(sum(m.log_range) OVER w, 0) AS l,
                    coalesce(sum(m.log_range ^ 2) OVER w, 0) AS ll,
                    coalesce(max(m.range) OVER (ORDER BY m.i ROWS 4 PRECEDING), 0) AS x,
                    coalesce(m.close, 'NaN') AS c,
                    -- The newest close by then.
                    coalesce(max(CASE WHEN m.close IS NOT NULL THEN m.i END) OVER w, 0) AS p
                FROM (
                    SELECT
                        g.i, g.close, g.range, g.volume, g.move,
                        upc._log_range(g.range) AS log_range
                    FROM (
                        SELECT
                            f.i::integer AS i,
                            k.close,
                            upc._scaled_range(k.range, f.factor) AS range,
                            upc._scaled_volume(k.volume, k.is_moving, f.factor) AS volume,
                            upc._scaled_move(
                                k.close, lag(k.close) OVER (ORDER BY f.i), f.factor
                            ) AS move
                        FROM (
                            SELECT w.i, factors[1 + w.minute]::double precision AS factor
                            FROM unnest(v_week) WITH ORDINALITY AS w (minute, i)
                        ) AS f
                        LEFT JOIN (
                            SELECT
                                extract(epoch FROM o.opened_at - v_from)::bigint / 60 + 1 AS i,
                                o.close,
                                o.volume,
                                o.high <> o.low AS is_moving,
                                upc._range_of(o.high, o.low)::double precision AS range
                            FROM upc_data.candle AS o
                            WHERE o.symbol = _forecast_features.symbol
                              AND o.opened_at >= greatest(v_from, since)
                              AND o.opened_at < least(v_until, until)
                            OFFSET 0
                        ) AS k ON k.i = f.i
                    ) AS g
                ) AS m
                WINDOW w AS (ORDER BY m.i ROWS UNBOUNDED PRECEDING)
            ) AS s;

            RETURN QUERY
            %s;
        END
        $fn$
        $sql$,
        upc._features_query(
            $sql$
            SELECT
                a.i - 1440 AS place,
                v_candles[a.i] - v_candles[a.i - 5] AS n5, v_candles[a.i] - v_candles[a.i - 20] AS n20,
                v_candles[a.i] - v_candles[a.i - 60] AS n60, v_candles[a.i] - v_candles[a.i - 240] AS n240,
                v_candles[a.i] - v_candles[a.i - 1440] AS n1440,
                v_ranges[a.i] - v_ranges[a.i - 5] AS r5, v_ranges[a.i] - v_ranges[a.i - 20] AS r20,
                v_ranges[a.i] - v_ranges[a.i - 60] AS r60, v_ranges[a.i] - v_ranges[a.i - 240] AS r240,
                v_ranges[a.i] - v_ranges[a.i - 1440] AS r1440,
                v_known[a.i] - v_known[a.i - 1] AS k1, v_known[a.i] - v_known[a.i - 5] AS k5,
                v_known[a.i] - v_known[a.i - 20] AS k20, v_known[a.i] - v_known[a.i - 60] AS k60,
                v_known[a.i] - v_known[a.i - 240] AS k240,
                v_volumes[a.i] - v_volumes[a.i - 1] AS u1, v_volumes[a.i] - v_volumes[a.i - 5] AS u5,
                v_volumes[a.i] - v_volumes[a.i - 20] AS u20, v_volumes[a.i] - v_volumes[a.i - 60] AS u60,
                v_volumes[a.i] - v_volumes[a.i - 240] AS u240,
                v_week_known[a.i + 8640] - v_week_known[a.i - 1440] AS kw,
                v_week_volumes[a.i + 8640] - v_week_volumes[a.i - 1440] AS uw,
                v_moves[a.i] - v_moves[a.i - 5] AS j5, v_moves[a.i] - v_moves[a.i - 20] AS j20,
                v_moves[a.i] - v_moves[a.i - 60] AS j60, v_moves[a.i] - v_moves[a.i - 240] AS j240,
                v_squares[a.i] - v_squares[a.i - 5] AS q5, v_squares[a.i] - v_squares[a.i - 20] AS q20,
                v_squares[a.i] - v_squares[a.i - 60] AS q60, v_squares[a.i] - v_squares[a.i - 240] AS q240,
                v_logs[a.i] - v_logs[a.i - 60] AS l, v_log_squares[a.i] - v_log_squares[a.i - 60] AS ll,
                greatest(v_largest[a.i], v_largest[a.i - 5], v_largest[a.i - 10], v_largest[a.i - 15]) AS x20,
                greatest(
                    v_largest[a.i], v_largest[a.i - 5], v_largest[a.i - 10], v_largest[a.i - 15], v_largest[a.i - 20], v_largest[a.i - 25],
                    v_largest[a.i - 30], v_largest[a.i - 35], v_largest[a.i - 40], v_largest[a.i - 45], v_largest[a.i - 50], v_largest[a.i - 55]
                ) AS x60,
                v_closes[v_places[a.i]] AS c, v_closes[v_places[a.i - 5]] AS c5, v_closes[v_places[a.i - 20]] AS c20,
                v_closes[v_places[a.i - 60]] AS c60, v_closes[v_places[a.i - 240]] AS c240
            FROM (SELECT 1440 + m AS i FROM unnest(places) AS m) AS a
            $sql$
        )
    );
END
$do$;
COMMENT ON FUNCTION upc._forecast_features IS
    'the features of forecasts for starting minutes, by their number from 1, of UTC days that follow each other';



-- The same of one minute: without the running sums, which take longer than what they are made from.
DO $do$
BEGIN
    EXECUTE format(
        $sql$
        CREATE FUNCTION upc._newest_features(
            symbol text,
            known_at timestamptz,
            factors smallint[],
            week integer[]
        )
        RETURNS SETOF upc.volatility_features
        LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1
        AS $fn$
        BEGIN
            RETURN QUERY
            %s;
        END
        $fn$
        $sql$,
        upc._features_query(
            format(
                $sql$
                SELECT 0 AS place, y.*, d.*, z.*
                FROM (
                    SELECT count(*) AS n1440, sum(m.range) AS r1440
                    FROM (
                        SELECT upc._scaled_range(
                            upc._range_of(o.high, o.low),
                            factors[
                                1 + week[
                                    1441 - extract(epoch FROM known_at - o.opened_at)::integer / 60
                                ]
                            ]
                        ) AS range
                        FROM upc_data.candle AS o
                        WHERE o.symbol = _newest_features.symbol
                          AND o.opened_at >= known_at - interval '24 hours'
                          AND o.opened_at < known_at
                        OFFSET 0
                    ) AS m
                ) AS d
                CROSS JOIN (
                    SELECT
                        count(*) FILTER (WHERE o.volume > 0 OR o.high = o.low) AS kw,
                        coalesce(
                            sum(round(least(o.volume, 1e10) * 1e6 / 100))
                                FILTER (WHERE o.volume > 0 OR o.high = o.low),
                            0
                        ) AS uw
                    FROM upc_data.candle AS o
                    WHERE o.symbol = _newest_features.symbol
                      AND o.opened_at >= known_at - interval '168 hours'
                      AND o.opened_at < known_at
                ) AS y
                CROSS JOIN (
                    SELECT
                        %s,
                        %s,
                        (
                            SELECT o.close FROM upc_data.candle AS o
                            WHERE o.symbol = _newest_features.symbol AND o.opened_at < known_at
                            ORDER BY o.opened_at DESC LIMIT 1
                        ) AS c,
                        coalesce(sum(m.log_range) FILTER (WHERE m.age <= 60), 0) AS l,
                        coalesce(sum(m.log_range ^ 2) FILTER (WHERE m.age <= 60), 0) AS ll,
                        max(m.range) FILTER (WHERE m.age <= 20) AS x20,
                        max(m.range) FILTER (WHERE m.age <= 60) AS x60
                    FROM (
                        SELECT
                            k.age, k.close, k.range, k.volume,
                            CASE WHEN lag(k.age) OVER w = k.age + 1 THEN
                                upc._scaled_move(k.close, lag(k.close) OVER w, k.factor)
                            END AS move,
                            upc._log_range(k.range) AS log_range
                        FROM (
                            SELECT
                                f.age, f.close, f.factor,
                                upc._scaled_range(f.range, f.factor) AS range,
                                upc._scaled_volume(f.volume, f.is_moving, f.factor) AS volume
                            FROM (
                                SELECT
                                    o.age, o.close, o.volume, o.is_moving, o.range,
                                    factors[1 + week[1441 - o.age]]::double precision AS factor
                                FROM (
                                    SELECT
                                        extract(epoch FROM known_at - c.opened_at)::integer / 60
                                            AS age,
                                        c.close,
                                        c.volume,
                                        c.high <> c.low AS is_moving,
                                        upc._range_of(c.high, c.low)::double precision AS range
                                    FROM upc_data.candle AS c
                                    WHERE c.symbol = _newest_features.symbol
                                      AND c.opened_at >= known_at - interval '241 minutes'
                                      AND c.opened_at < known_at
                                    OFFSET 0
                                ) AS o
                            ) AS f
                            OFFSET 0
                        ) AS k
                        WINDOW w AS (ORDER BY k.age DESC)
                    ) AS m
                    -- The candle before tells how far the price had got, and no more.
                    WHERE m.age <= 241
                ) AS z
                $sql$,
                (
                    SELECT string_agg(
                        format(
                            'count(*) FILTER (WHERE m.age <= %1$s) AS n%1$s, '
                            'coalesce(sum(m.range) FILTER (WHERE m.age <= %1$s), 0) AS r%1$s, '
                            'count(m.move) FILTER (WHERE m.age <= %1$s) AS j%1$s, '
                            'coalesce(sum(m.move) FILTER (WHERE m.age <= %1$s), 0) AS q%1$s, '
                            '(SELECT o.close FROM upc_data.candle AS o '
                            'WHERE o.symbol = _newest_features.symbol '
                            'AND o.opened_at < known_at - interval ''%1$s minutes'' '
                            'ORDER BY o.opened_at DESC LIMIT 1) AS c%1$s',
                            w
                        ),
                        ', ' ORDER BY w
                    )
                    FROM unnest('{5, 20, 60, 240}'::integer[]) AS w
                ),
                (
                    SELECT string_agg(
                        format(
                            'count(m.volume) FILTER (WHERE m.age <= %1$s) AS k%1$s, '
                            'coalesce(sum(m.volume) FILTER (WHERE m.age <= %1$s), 0) AS u%1$s',
                            w
                        ),
                        ', ' ORDER BY w
                    )
                    FROM unnest('{1, 5, 20, 60, 240}'::integer[]) AS w
                )
            )
        )
    );
END
$do$;
COMMENT ON FUNCTION upc._newest_features IS
    'the features of forecasts for one full minute, as upc._forecast_features has them; week: minutes of the week from a day before it on';

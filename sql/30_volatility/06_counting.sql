-- Counting standardised moves: moves divided by the volatility that was forecast for the time until
-- then. In these units a calm night and a wild afternoon look alike, and one curve serves both.

-- The 60 thresholds of standardised moves, in standard deviations: 0 to 2.925, each 0.075 further,
-- then 3 to 40.
--
-- Example:
--   SELECT (upc.volatility_thresholds())[2] = 0.075;
CREATE FUNCTION upc.volatility_thresholds()
RETURNS double precision[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- Close together where most moves end; then each 15 % further, to where hardly any does.
RETURN ARRAY(
    SELECT
        CASE
            WHEN k < 40 THEN 0.075::double precision * k
            ELSE round((3 * (40.0::double precision / 3) ^ ((k - 40) / 19.0::double precision))::numeric, 3)::double precision
        END
    FROM generate_series(0, 59) AS k
    ORDER BY k
);
COMMENT ON FUNCTION upc.volatility_thresholds IS
    'the 60 thresholds of standardised moves, in standard deviations: 0 to 2.925, each 0.075 further, then 3 to 40';


CREATE FUNCTION upc._volatility_bins()
RETURNS double precision[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- The edges of upc._move_bins: each is the first number that lies above it, which for "at most
-- minus a threshold" is the next one after that.
RETURN ARRAY(
    SELECT e.edge
    FROM (
        SELECT -t + 1e-12 FROM unnest(upc.volatility_thresholds()) AS t WHERE t > 0
        UNION ALL
        SELECT 5e-324::double precision
        UNION ALL
        SELECT t FROM unnest(upc.volatility_thresholds()) AS t
        UNION ALL
        SELECT 'Infinity'
    ) AS e (edge)
    ORDER BY e.edge
);
COMMENT ON FUNCTION upc._volatility_bins IS
    'edges for width_bucket of standardised moves: 122 bins, numbered like those of move_bins';


CREATE FUNCTION upc._standardised_starts()
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN format(
    $sql$
    feature AS MATERIALIZED (
        SELECT s.i, %s
        FROM (
            SELECT
                ((d.k - 1) * 1530 + 30 + m)::integer AS i,
                ((d.k - 1) * 5760 + 4 * m - 4)::integer AS place
            FROM (
                SELECT d.*
                FROM unnest(days) WITH ORDINALITY AS d (day, k)
                WHERE firsts[d.k] > lasts[d.k] IS NOT TRUE
                OFFSET 0
            ) AS d
            -- Neighbouring minutes share nearly all that follows them: every other one is as good.
            CROSS JOIN generate_series(1, 1440, 2) AS m
            WHERE m >= coalesce(firsts[d.k], 1) AND m <= coalesce(lasts[d.k], 1440)
            OFFSET 0
        ) AS s
        WHERE forecasts[s.place + 1] <> -32768
    )
    $sql$,
    (
        SELECT string_agg(
            format('forecasts[s.place + %1$s]::double precision AS g%1$s', h), ', ' ORDER BY h
        )
        FROM generate_series(1, 8) AS h
    )
);
COMMENT ON FUNCTION upc._standardised_starts IS
    'part of a query that counts: the starting minutes of standardised moves, every other one, and their forecasts';


CREATE FUNCTION upc._standardised_totals(later text DEFAULT 'h.t%1$s')
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
    SELECT string_agg(
        format(
            replace(
                $sql$
                sum(
                    v_counters[s.sign + width_bucket(
                        (closes[s.i + later] - s.price) / s.price
                        * exp(%2$s::double precision * s.g%3$s %4$s)
                        / sqrt(v_season[s.i + later] - s.season),
                        (SELECT v_bins)
                    )]
                ) FILTER (WHERE s.g1 IS NOT NULL AND later IS NOT NULL) AS s%1$s
                $sql$,
                'later', _standardised_totals.later
            ),
            t.minutes,
            -0.0005 * (1 - t.share),
            t.place,
            CASE WHEN t.share > 0 THEN
                format('+ %s::double precision * s.g%s', -0.0005 * t.share, t.place + 1)
            END
        ),
        ', ' ORDER BY t.minutes
    )
    FROM unnest(upc._horizon_places(), upc._horizon_shares()) WITH ORDINALITY
        AS t (place, share, minutes)
);
COMMENT ON FUNCTION upc._standardised_totals IS
    'columns of a query that counts: packed counters of standardised moves; later: the number of minutes, as part of a template with it as its first argument';


DO $do$
BEGIN
    EXECUTE format(
        $sql$
        CREATE FUNCTION upc._count_standardised_moves(
            days date[],
            closes double precision[],
            forecasts smallint[],
            factors smallint[],
            horizons integer[] DEFAULT NULL,
            firsts integer[] DEFAULT NULL,
            lasts integer[] DEFAULT NULL,
            removed_from integer DEFAULT NULL
        )
        RETURNS TABLE (
            bucket smallint,
            minutes smallint,
            pairs integer,
            positive integer[],
            negative integer[]
        )
        LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 3720
        SET work_mem = '128MB'
        SET jit = off
        SET plan_cache_mode = force_generic_plan
        AS $fn$
        DECLARE
            v_counters numeric[] := upc._bin_counters();
            v_bins double precision[] := upc._volatility_bins();
            v_season double precision[] := upc._season_sums(days, factors);
        BEGIN
            RETURN QUERY
            WITH %1$s,
            start AS (
                SELECT
                    m.i, m.slot, CASE WHEN m.i >= removed_from THEN 128 ELSE 0 END AS sign,
                    closes[m.i] AS price, v_season[m.i] AS season,
                    f.g1, f.g2, f.g3, f.g4, f.g5, f.g6, f.g7, f.g8
                FROM upc._momentum_slots(closes, ARRAY(SELECT f.i FROM feature AS f ORDER BY f.i)) AS m
                JOIN feature AS f ON f.i = m.i
                ORDER BY m.slot, m.i
            ),
            total AS MATERIALIZED (
                SELECT s.slot, %2$s
                FROM (SELECT %4$s OFFSET 0) AS h
                CROSS JOIN start AS s
                GROUP BY s.slot
            ),
            curve_of AS (%3$s)
            SELECT c.bucket, c.minutes, c.pairs, c.positive, c.negative
            FROM curve_of AS c (kind, bucket, minutes, pairs, positive, negative);
        END
        $fn$
        $sql$,
        upc._standardised_starts(),
        upc._standardised_totals(),
        'WITH ' || upc._curves_of_totals(upc._per_horizon('(''standardised'', %1$s, t.s%1$s)')),
        upc._asked_minutes()
    );
END
$do$;
COMMENT ON FUNCTION upc._count_standardised_moves IS
    'upc._count_moves for standardised moves: closes and forecasts are those of some UTC days laid end to end (upc._candle_window, upc._day_forecasts), factors those of their fit; firsts and lasts: of which starting minutes of each day, 1 to 1440 if NULL; removed_from: the place in closes from which on they are taken out';


-- One pass over the pairs: the later close of each is looked up once per kind, and the starting
-- minutes, their momentum and the windows are there once.
DO $do$
BEGIN
    EXECUTE format(
        $sql$
        CREATE FUNCTION upc._count_both_moves(
            days date[],
            closes double precision[],
            forecasts smallint[],
            factors smallint[],
            starts integer[] DEFAULT NULL,
            firsts integer[] DEFAULT NULL,
            lasts integer[] DEFAULT NULL,
            removed_from integer DEFAULT NULL
        )
        RETURNS TABLE (
            kind text,
            bucket smallint,
            minutes smallint,
            pairs integer,
            positive integer[],
            negative integer[]
        )
        LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 7440
        SET work_mem = '128MB'
        SET jit = off
        SET plan_cache_mode = force_generic_plan
        AS $fn$
        DECLARE
            v_counters numeric[] := upc._bin_counters();
            v_scale double precision := 10.0 ^ upc._price_decimals(closes);
            v_prices double precision[];
            v_move_bins double precision[];
            v_bins double precision[] := upc._volatility_bins();
            v_season double precision[] := upc._season_sums(days, factors);
            v_starts integer[] := coalesce(starts, upc._all_starts(cardinality(days)));
        BEGIN
            IF v_scale IS NULL THEN
                RETURN QUERY
                SELECT 'plain', m.*
                FROM upc._count_moves(closes, v_starts, removed_from => removed_from) AS m
                UNION ALL
                SELECT 'standardised', m.*
                FROM upc._count_standardised_moves(
                    days, closes, forecasts, factors,
                    firsts => firsts, lasts => lasts, removed_from => removed_from
                ) AS m;
                RETURN;
            END IF;

            v_prices := upc._whole_prices(closes, v_scale);
            SELECT upc._move_bins(max(p)) INTO v_move_bins
            FROM unnest(v_prices) AS p
            WHERE p <> 'NaN';
            RETURN QUERY
            WITH %1$s,
            start AS (
                SELECT
                    m.i, m.slot, CASE WHEN m.i >= removed_from THEN 128 ELSE 0 END AS sign,
                    closes[m.i] AS price, CASE WHEN starts IS NULL OR p.i = m.i THEN 2000 / v_prices[m.i] END AS per_price,
                    v_season[m.i] AS season, f.g1, f.g2, f.g3, f.g4, f.g5, f.g6, f.g7, f.g8
                FROM upc._momentum_slots(
                    closes,
                    ARRAY(SELECT p FROM unnest(v_starts) AS p UNION SELECT f.i FROM feature AS f)
                ) AS m
                LEFT JOIN feature AS f ON f.i = m.i
                LEFT JOIN unnest(starts) AS p (i) ON p.i = m.i
                ORDER BY m.slot, m.i
            ),
            total AS MATERIALIZED (
                SELECT s.slot, %2$s
                FROM start AS s
                GROUP BY s.slot
            ),
            curve_of AS (%3$s)
            SELECT c.kind, c.bucket, c.minutes, c.pairs, c.positive, c.negative
            FROM curve_of AS c (kind, bucket, minutes, pairs, positive, negative);
        END
        $fn$
        $sql$,
        upc._standardised_starts(),
        upc._plain_totals('%1$s') || ', ' || upc._standardised_totals('%1$s'),
        'WITH ' || upc._curves_of_totals(
            upc._per_horizon(
                '(''plain'', %1$s, t.n%1$s), (''standardised'', %1$s, t.s%1$s)'
            )
        )
    );
END
$do$;
COMMENT ON FUNCTION upc._count_both_moves IS
    'upc._count_moves and upc._count_standardised_moves in one pass, over all starting minutes of some UTC days, or plain moves of starts and standardised ones of firsts to lasts; removed_from: the place in closes from which on they are taken out';


-- Beyond an hour a start every quarter of an hour is as good: 96 a day, of which all closes are looked at a
-- day ahead. Momentum says nothing about what comes so late, so that there is a baseline alone.
DO $do$
BEGIN
    EXECUTE format(
        $sql$
        CREATE FUNCTION upc._count_long_moves(
            symbol text,
            first_day date,
            last_day date,
            factors smallint[],
            long_coefficients double precision[],
            since timestamptz DEFAULT '-infinity',
            until timestamptz DEFAULT 'infinity'
        )
        RETURNS TABLE (day date, counters numeric[])
        LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 90
        SET work_mem = '64MB'
        SET jit = off
        SET enable_nestloop = off
        AS $fn$
        DECLARE
            v_from timestamptz := first_day::timestamp AT TIME ZONE 'UTC';
            v_until timestamptz := last_day::timestamp AT TIME ZONE 'UTC' + interval '48 hours';
            v_quarters integer := extract(epoch FROM v_until - v_from)::integer / 900;
            v_counters numeric[] := upc._bin_counters();
            v_bins double precision[] := upc._volatility_bins();
            v_closes double precision[];
            v_season double precision[];
        BEGIN
            -- Element q is the close of the q-th quarter of an hour, and the season until then.
            SELECT array_agg(coalesce(c.close, 'NaN') ORDER BY w.q), array_agg(w.total / 10000 ORDER BY w.q)
            INTO v_closes, v_season
            FROM (
                SELECT m.q, sum(m.squares) OVER (ORDER BY m.q) AS total
                FROM (
                    SELECT (k.p + 14) / 15 AS q, sum(factors[1 + k.minute]::double precision ^ 2) AS squares
                    FROM unnest(upc._week_minutes(v_from, 15 * v_quarters))
                        WITH ORDINALITY AS k (minute, p)
                    GROUP BY 1
                ) AS m
            ) AS w
            LEFT JOIN (
                SELECT (extract(epoch FROM o.opened_at - v_from)::bigint / 60 + 1) / 15 AS q, o.close
                FROM upc_data.candle AS o
                WHERE o.symbol = _count_long_moves.symbol
                  AND o.opened_at >= greatest(v_from, since)
                  AND o.opened_at < least(v_until, until)
                  AND (extract(epoch FROM o.opened_at - v_from)::bigint / 60 + 1) %% 15 = 0
                OFFSET 0
            ) AS c ON c.q = w.q;

            RETURN QUERY
            SELECT
                _count_long_moves.first_day + (s.q - 1) / 96,
                ARRAY[%1$s]
            FROM (
                SELECT f.place / 15 AS q, v_closes[f.place / 15] AS price,
                    v_season[f.place / 15] AS season, f.forecasts
                FROM upc._long_forecasts(
                    symbol, first_day, last_day, factors, long_coefficients,
                    ARRAY(SELECT generate_series(15, 15 * (v_quarters - 96), 15)), since, until
                ) AS f
                OFFSET 0
            ) AS s
            WHERE s.price <> 'NaN'
            GROUP BY 1;
        END
        $fn$
        $sql$,
        (
            SELECT string_agg(
                format(
                    $part$
                    coalesce(sum(v_counters[width_bucket(
                        (v_closes[s.q + %1$s] - s.price) / s.price
                        * exp(-0.0005::double precision * s.forecasts[%2$s])
                        / sqrt(v_season[s.q + %1$s] - s.season),
                        (SELECT v_bins)
                    )]), 0)
                    $part$,
                    h.minutes / 15, h.i
                ),
                ', ' ORDER BY h.i
            )
            FROM unnest(upc._long_horizons()) WITH ORDINALITY AS h (minutes, i)
        )
    );
END
$do$;
COMMENT ON FUNCTION upc._count_long_moves IS
    'packed counters (upc._bin_counters) of the standardised moves of UTC days that follow each other over each of upc._long_horizons(), from a start every quarter of an hour; of candles opened in [since, until)';


-- Name of the formulas that standardised moves are counted by, as upc._probe_counting has it for plain
-- ones, and of those that their forecast is fitted by. A fit reads candles, so that it is known by its
-- text, without comments.
CREATE FUNCTION upc._probe_volatility()
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_factors smallint[] := ARRAY(SELECT 60 + n % 83 FROM generate_series(1, 10080) AS n ORDER BY n);
    v_counts text;
    v_fit text;
BEGIN
    SELECT string_agg(c::text, ' ' ORDER BY c.bucket, c.minutes)
    INTO v_counts
    FROM upc._count_standardised_moves(
        '{2024-01-03}',
        upc._probe_closes(),
        ARRAY(
            SELECT (-14500 + n * 7919 % 3001)::smallint FROM generate_series(1, 5760) AS n ORDER BY n
        ),
        v_factors,
        '{1, 7, 30, 60}'
    ) AS c;
    -- Comments, white space and the underscore of an internal name do not change what is fitted.
    SELECT string_agg(
        regexp_replace(
            regexp_replace(
                regexp_replace(p.prosrc, '--[^' || chr(10) || ']*', '', 'g'), '[[:space:]]+', ' ', 'g'
            ),
            '[[:<:]]_', '', 'g'
        ),
        '; '
        ORDER BY p.proname COLLATE "C"
    )
    INTO v_fit
    FROM pg_catalog.pg_proc AS p
    WHERE p.pronamespace = 'upc'::regnamespace
      AND p.proname IN (
          '_count_long_moves', '_day_forecasts', '_fit_long_horizons', '_fit_samples',
          '_fit_volatility', '_forecast_features', '_inverse', '_least_squares_sums',
          '_likelihood_sums', '_long_forecasts', '_long_likelihood_sums', '_minute_forecasts',
          '_newton_step', '_sample_products', '_week_factors', '_week_minutes'
      );
    RETURN encode(
        sha256(
            convert_to(
                concat_ws(
                    '; ', 3, upc.counting_hash(), v_counts, v_fit,
                    ARRAY(
                        SELECT round(t::numeric, 6) FROM unnest(upc.volatility_thresholds()) AS t
                    ),
                    (upc._season_sums('{2024-03-10}', v_factors))[1530],
                    upc._fitted_horizons(), upc._long_horizons(), upc._feature_names(), upc._scaled_range(54321, 83),
                    upc._scaled_move(100.7, 100, 83), upc._scaled_volume(12.5, true, 83),
                    upc._log_range(54321), upc._variance_that_came('{1, 2, 4}', '{1, 3, 9}', 1, 2),
                    ARRAY(
                        SELECT upc._range_of(h, 100) FROM unnest('{100, 101.5, 1e12}'::double precision[]) AS h
                    )
                ),
                'UTF8'
            )
        ),
        'hex'
    );
END
$fn$;
COMMENT ON FUNCTION upc._probe_volatility IS
    'names the formulas that standardised moves are fitted and counted by';


-- Computed once per upgrade: every build, list and status asks for it.
DO $do$
BEGIN
    EXECUTE format(
        'CREATE FUNCTION upc._volatility_hash() RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN %L',
        upc._probe_volatility()
    );
END
$do$;
COMMENT ON FUNCTION upc._volatility_hash IS
    'volatility_hash as the upgrade computed it';


-- The name of the formulas and constants that standardised moves are fitted and counted by.
--
-- Returns 64 hexadecimal digits. Where a symbol was counted by others, its next build fits and
-- counts its whole history again.
-- Errors: none.
--
-- Example:
--   SELECT volatility_hash() ~ '^[0-9a-f]{64}$';
CREATE FUNCTION upc.volatility_hash()
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN upc._volatility_hash();
COMMENT ON FUNCTION upc.volatility_hash IS
    'the name of the formulas and constants that standardised moves are fitted and counted by';

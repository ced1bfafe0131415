-- Standardised moves of UTC days, counted for a generation of counts: taken out as they were, put in as
-- they are.

CREATE FUNCTION upc._counted_volatility(
    symbol text,
    generation integer,
    days date[],
    OUT counted integer,
    OUT closes double precision[],
    OUT forecasts smallint[]
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    SELECT
        count(c.day),
        ARRAY(
            SELECT unnest(
                array_agg(coalesce(c.closes, array_fill('NaN'::double precision, '{1530}')) ORDER BY d.i)
            )
        ),
        ARRAY(
            SELECT unnest(
                array_agg(coalesce(c.forecasts, array_fill((-32768)::smallint, '{5760}')) ORDER BY d.i)
            )
        )
    INTO counted, closes, forecasts
    FROM unnest(days) WITH ORDINALITY AS d (day, i)
    LEFT JOIN upc_data.volatility_day AS c
        ON c.symbol = _counted_volatility.symbol
        AND c.generation = _counted_volatility.generation
        AND c.day = d.day;
END
$fn$;
COMMENT ON FUNCTION upc._counted_volatility IS
    'how many of some UTC days a generation of counts has, and the closes and forecasts that they were counted from, laid end to end; NaN and -32768 where nothing was counted';


CREATE FUNCTION upc._changed_minutes(
    days integer,
    closes double precision[],
    forecasts smallint[],
    other_closes double precision[],
    other_forecasts smallint[],
    OUT firsts integer[],
    OUT lasts integer[]
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    -- Minute m looks at closes m to m + 90 of its window; minute 2 s - 1 has the s-th eight forecasts.
    SELECT
        array_agg(coalesce(least(c.first - 90, f.first), 1441) ORDER BY d.k),
        array_agg(coalesce(greatest(c.last, f.last), 0) ORDER BY d.k)
    INTO firsts, lasts
    FROM generate_series(1, days) AS d (k)
    LEFT JOIN LATERAL (
        SELECT min(w.i)::integer AS first, max(w.i)::integer AS last
        FROM unnest(
            closes[d.k * 1530 - 1529:d.k * 1530], other_closes[d.k * 1530 - 1529:d.k * 1530]
        ) WITH ORDINALITY AS w (own, other, i)
        WHERE w.own <> w.other
    ) AS c ON true
    LEFT JOIN LATERAL (
        SELECT min((w.i - 1) / 8)::integer * 2 + 1 AS first, max((w.i - 1) / 8)::integer * 2 + 1 AS last
        FROM unnest(
            forecasts[d.k * 5760 - 5759:d.k * 5760], other_forecasts[d.k * 5760 - 5759:d.k * 5760]
        ) WITH ORDINALITY AS w (own, other, i)
        WHERE w.own <> w.other
    ) AS f ON true;
END
$fn$;
COMMENT ON FUNCTION upc._changed_minutes IS
    'the first and the last starting minute, 1 to 1440, of each of some UTC days whose standardised moves differ between two states of closes and forecasts; 1441 and 0 where none does';


CREATE FUNCTION upc._has_candles(symbol text, day date)
RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    RETURN EXISTS (
        SELECT FROM upc_data.candle AS c
        WHERE c.symbol = _has_candles.symbol
          AND c.opened_at >= day::timestamp AT TIME ZONE 'UTC'
          AND c.opened_at < day::timestamp AT TIME ZONE 'UTC' + interval '24 hours'
    );
END
$fn$;
COMMENT ON FUNCTION upc._has_candles IS 'true where there is a candle of a UTC day';


CREATE FUNCTION upc._forget_empty_standardised(symbol text, generation integer, year smallint)
RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    DELETE FROM upc_data.volatility_histogram AS h
    WHERE h.symbol = _forget_empty_standardised.symbol
      AND h.generation = _forget_empty_standardised.generation
      AND h.year = _forget_empty_standardised.year
      AND h.pairs = 0;
    DELETE FROM upc_data.volatility_month AS h
    WHERE h.symbol = _forget_empty_standardised.symbol
      AND h.generation = _forget_empty_standardised.generation
      AND h.pairs = 0;
END;
COMMENT ON FUNCTION upc._forget_empty_standardised IS
    'deletes the rows of a year, and of months, in which no pair is left';


CREATE FUNCTION upc._take_out_standardised(
    symbol text,
    generation integer,
    year smallint,
    bucket smallint,
    minutes smallint,
    pairs integer,
    positive integer[],
    negative integer[]
)
RETURNS integer
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_left integer;
BEGIN
    UPDATE upc_data.volatility_histogram AS h
    SET
        pairs = h.pairs + _take_out_standardised.pairs,
        positive = upc._add_counts(h.positive, _take_out_standardised.positive),
        negative = upc._add_counts(h.negative, _take_out_standardised.negative)
    WHERE h.symbol = _take_out_standardised.symbol
      AND h.generation = _take_out_standardised.generation
      AND h.year = _take_out_standardised.year
      AND h.bucket = _take_out_standardised.bucket
      AND h.minutes = _take_out_standardised.minutes
    RETURNING h.pairs INTO v_left;
    RETURN v_left;
END
$fn$;
COMMENT ON FUNCTION upc._take_out_standardised IS
    'adds counts of standardised moves that are no row of their own (upc._is_whole) to the row that is there; returns the pairs that are left in it';


CREATE FUNCTION upc._add_standardised(
    symbol text,
    generation integer,
    factors smallint[],
    days date[],
    closes double precision[],
    forecasts smallint[],
    firsts integer[] DEFAULT NULL,
    lasts integer[] DEFAULT NULL,
    removed_from integer DEFAULT NULL
)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_year smallint := extract(year FROM days[1]);
    v_month date := date_trunc('month', days[1]::timestamp);
    v_has_empty boolean;
BEGIN
    WITH counted AS MATERIALIZED (
        SELECT m.*
        FROM upc._count_standardised_moves(
            _add_standardised.days, _add_standardised.closes, _add_standardised.forecasts,
            _add_standardised.factors,
            firsts => _add_standardised.firsts, lasts => _add_standardised.lasts,
            removed_from => _add_standardised.removed_from
        ) AS m
    ),
    added AS (
        INSERT INTO upc_data.volatility_histogram AS h
            (symbol, generation, year, bucket, minutes, pairs, positive, negative)
        SELECT
            _add_standardised.symbol, _add_standardised.generation,
            v_year, c.bucket, c.minutes, c.pairs, c.positive, c.negative
        FROM counted AS c
        WHERE upc._is_whole(c.pairs, c.positive, c.negative)
        -- In one order: two pieces of a year wait for each other at most once.
        ORDER BY c.bucket, c.minutes
        ON CONFLICT ON CONSTRAINT volatility_histogram_symbol_generation_year_bucket_minutes_pkey
            DO UPDATE SET
                pairs = h.pairs + excluded.pairs,
                positive = upc._add_counts(h.positive, excluded.positive),
                negative = upc._add_counts(h.negative, excluded.negative)
    ),
    -- The order is that of the rows above: two pieces of a month wait for each other at most once.
    month AS (
        INSERT INTO upc_data.volatility_month AS h
            (symbol, generation, month, minutes, pairs, positive, negative)
        SELECT
            _add_standardised.symbol, _add_standardised.generation, v_month,
            c.minutes, c.pairs, c.positive, c.negative
        FROM counted AS c
        WHERE c.bucket = upc._baseline()
        ORDER BY c.minutes
        ON CONFLICT ON CONSTRAINT volatility_month_pkey DO UPDATE SET
            pairs = h.pairs + excluded.pairs,
            positive = upc._add_counts(h.positive, excluded.positive),
            negative = upc._add_counts(h.negative, excluded.negative)
        RETURNING h.pairs
    ),
    less AS (
        SELECT upc._take_out_standardised(
            _add_standardised.symbol, _add_standardised.generation, v_year,
            c.bucket, c.minutes, c.pairs, c.positive, c.negative
        ) AS pairs
        FROM counted AS c
        WHERE NOT upc._is_whole(c.pairs, c.positive, c.negative)
    )
    SELECT bool_or(l.pairs = 0) INTO v_has_empty
    FROM (SELECT m.pairs FROM month AS m UNION ALL SELECT k.pairs FROM less AS k) AS l;
    IF v_has_empty THEN
        PERFORM upc._forget_empty_standardised(symbol, generation, v_year);
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._add_standardised IS
    'counts standardised moves of some days of one month as upc._count_standardised_moves does, and adds them to a generation of counts';


CREATE FUNCTION upc._replace_volatility_days(
    symbol text,
    generation integer,
    factors smallint[],
    coefficients double precision[],
    days date[],
    source integer DEFAULT NULL
)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_old record;
    v_new record;
    v_changed record;
BEGIN
    SELECT c.* INTO v_old FROM upc._counted_volatility(symbol, generation, days) AS c;
    DELETE FROM upc_data.volatility_day AS d
    WHERE d.symbol = _replace_volatility_days.symbol
      AND d.generation = _replace_volatility_days.generation
      AND d.day = ANY (days)
      AND NOT upc._has_candles(d.symbol, d.day);
    -- The version of the source is read before the candles are: what changes them meanwhile, changes it
    -- later.
    INSERT INTO upc_data.volatility_day AS d (symbol, generation, day, closes, forecasts, version)
    SELECT
        _replace_volatility_days.symbol, _replace_volatility_days.generation, f.day,
        upc._candle_window(_replace_volatility_days.symbol, f.day), f.forecasts, coalesce(s.version, 1)
    FROM upc._corrected_day_forecasts(
        _replace_volatility_days.symbol,
        ARRAY(
            SELECT k
            FROM unnest(days) AS k
            WHERE upc._has_candles(_replace_volatility_days.symbol, k)
            ORDER BY k
        ),
        factors,
        coefficients
    ) AS f
    LEFT JOIN upc_data.volatility_day AS s
        ON s.symbol = _replace_volatility_days.symbol AND s.generation = source AND s.day = f.day
    ON CONFLICT ON CONSTRAINT volatility_day_symbol_generation_day_pkey
        DO UPDATE SET
            closes = excluded.closes,
            forecasts = excluded.forecasts,
            version = CASE WHEN source IS NULL THEN d.version + 1 ELSE excluded.version END;
    SELECT c.* INTO v_new FROM upc._counted_volatility(symbol, generation, days) AS c;
    IF v_old.counted = 0 THEN
        IF v_new.counted > 0 THEN
            PERFORM upc._add_standardised(
                symbol, generation, factors, days, v_new.closes, v_new.forecasts
            );
        END IF;
        RETURN;
    END IF;
    SELECT
        m.firsts || m.firsts AS firsts, m.lasts || m.lasts AS lasts
    INTO v_changed
    FROM upc._changed_minutes(
        cardinality(days), v_new.closes, v_new.forecasts, v_old.closes, v_old.forecasts
    ) AS m;
    IF 0 < ANY (v_changed.lasts) THEN
        PERFORM upc._add_standardised(
            symbol, generation, factors, days || days,
            v_new.closes || v_old.closes, v_new.forecasts || v_old.forecasts,
            v_changed.firsts, v_changed.lasts, cardinality(v_new.closes) + 1
        );
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._replace_volatility_days IS
    'counts the standardised moves of some UTC days of one month for a generation of counts: what it has of them is taken out, what the candles are now is put in; source: the generation in use, which they are counted beside';


-- Keep the counts beyond an hour of some UTC days, and of the days before them, whose pairs end in them, as
-- the candles are now: a day's counts stand for themselves, so that they are replaced as a whole.
--
-- The caller has counted all else: whoever comes later waits for the end of this transaction, and so sees
-- candles that are at least as new.
CREATE FUNCTION upc._store_long_days(
    symbol text,
    generation integer,
    factors smallint[],
    coefficients double precision[],
    days date[]
)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_coefficients double precision[] := upc._long_coefficients(coefficients);
    v_days date[];
BEGIN
    IF v_coefficients IS NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(
        hashtextextended(format('pyupc long days of %s, %s', symbol, generation), 0)
    );
    v_days := ARRAY(SELECT DISTINCT d - k FROM unnest(days) AS d, generate_series(0, 1) AS k ORDER BY 1);
    WITH run AS (
        SELECT min(r.day) AS first, max(r.day) AS last
        FROM (
            SELECT d AS day, d - (row_number() OVER (ORDER BY d))::integer AS run
            FROM unnest(v_days) AS d
            WHERE upc._has_candles(_store_long_days.symbol, d)
            OFFSET 0
        ) AS r
        GROUP BY r.run
    ),
    fresh AS MATERIALIZED (
        SELECT c.day, c.counters
        FROM run AS r
        CROSS JOIN LATERAL upc._count_long_moves(
            _store_long_days.symbol, r.first, r.last, _store_long_days.factors,
            v_coefficients
        ) AS c
        WHERE 0 <> ANY (c.counters)
    ),
    gone AS (
        DELETE FROM upc_data.horizon_day AS d
        WHERE d.symbol = _store_long_days.symbol
          AND d.generation = _store_long_days.generation
          AND d.day = ANY (v_days)
          AND NOT EXISTS (SELECT FROM fresh AS f WHERE f.day = d.day)
    )
    INSERT INTO upc_data.horizon_day AS d (symbol, generation, day, counters)
    SELECT _store_long_days.symbol, _store_long_days.generation, f.day, f.counters
    FROM fresh AS f
    ON CONFLICT ON CONSTRAINT horizon_day_symbol_generation_day_pkey
        DO UPDATE SET counters = excluded.counters
        WHERE d.counters <> excluded.counters;
END
$fn$;
COMMENT ON FUNCTION upc._store_long_days IS
    'keeps the counts over upc._long_horizons() of some UTC days, and of the days before them, for a generation of counts, as the candles are now';


CREATE FUNCTION upc._counting_fit(
    symbol text,
    OUT generation integer,
    OUT factors smallint[],
    OUT coefficients double precision[]
)
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    -- Another fit begins to answer before this transaction or after it.
    SELECT
        coalesce(f.used_generation, f.generation),
        CASE WHEN f.used_generation IS NULL THEN f.factors ELSE f.used_factors END,
        CASE WHEN f.used_generation IS NULL THEN f.coefficients ELSE f.used_coefficients END
    INTO generation, factors, coefficients
    FROM upc_data.volatility_fit AS f
    WHERE f.symbol = _counting_fit.symbol
      -- What others have fitted cannot be counted: prepare_volatility fits anew, and notes all days.
      AND f.counted_by = upc.volatility_hash()
    FOR KEY SHARE;
END
$fn$;
COMMENT ON FUNCTION upc._counting_fit IS
    'the fit of a symbol''s volatility that a build counts days for, held until the end of the transaction: the one in use, or the first one; NULL where there is none by today''s formulas';


-- Bring the counts of standardised moves of a symbol up to its candles, for a piece of a build: the
-- counts that answer, or the first ones of all.
--
-- days: UTC days, all of one month, as volatility_pieces has them.
--
-- Example:
--   SELECT upc.count_volatility_days('ETH', '{2024-01-01}');
CREATE FUNCTION upc.count_volatility_days(symbol text, days date[])
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_fit record;
    v_days date[];
BEGIN
    SELECT f.* INTO v_fit FROM upc._counting_fit(symbol) AS f;
    IF v_fit.generation IS NULL THEN
        RETURN;
    END IF;
    -- The notes go first: whatever is committed meanwhile is noted for the next time as well.
    DELETE FROM upc_data.volatility_change AS n
    WHERE n.symbol = count_volatility_days.symbol AND n.day = ANY (days);

    -- A candle is noted for a week ahead, of which most is mostly not there yet.
    SELECT array_agg(d ORDER BY d)
    INTO v_days
    FROM unnest(days) AS d
    WHERE upc._has_candles(count_volatility_days.symbol, d) OR EXISTS (
        SELECT FROM upc_data.volatility_day AS c
        WHERE c.symbol = count_volatility_days.symbol
          AND c.generation = v_fit.generation
          AND c.day = d
    );
    IF v_days IS NOT NULL THEN
        PERFORM upc._replace_volatility_days(
            symbol, v_fit.generation, v_fit.factors, v_fit.coefficients, v_days
        );
    END IF;
    PERFORM upc._store_long_days(
        symbol, v_fit.generation, v_fit.factors, v_fit.coefficients, days
    );
END
$fn$;
COMMENT ON FUNCTION upc.count_volatility_days IS
    'brings the counts of standardised moves of a symbol up to its candles for some UTC days of one month';


-- UTC days whose standardised moves a build of a symbol has to count, in pieces that can be counted and
-- committed independently.
--
-- Returns a row per piece.
--
-- Example:
--   SELECT count(*) = 0 FROM upc.volatility_pieces('ETH');
CREATE FUNCTION upc.volatility_pieces(symbol text)
RETURNS TABLE (days date[])
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT array_agg(c.day ORDER BY c.day)
    FROM (
        SELECT DISTINCT n.day
        FROM upc_data.volatility_change AS n
        WHERE n.symbol = volatility_pieces.symbol
    ) AS c
    GROUP BY date_trunc('month', c.day::timestamp)
    ORDER BY 1;
END;
COMMENT ON FUNCTION upc.volatility_pieces IS
    'the UTC days whose standardised moves a build of a symbol has to count, in pieces that can be counted and committed independently';

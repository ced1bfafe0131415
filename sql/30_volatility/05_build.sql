-- The build of standardised moves: a fit of the forecast, and the counts that stand on it. A fit is
-- made of whole months, so that a day more costs a day's work; where it changes, all is counted again.

CREATE FUNCTION upc._fit_boundary(first_day date, last_day date)
RETURNS date
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN _fit_boundary.first_day + 60 <= date_trunc('month', _fit_boundary.last_day::timestamp)::date
        THEN date_trunc('month', _fit_boundary.last_day::timestamp)::date
    WHEN _fit_boundary.first_day < _fit_boundary.last_day THEN _fit_boundary.last_day
    ELSE _fit_boundary.last_day + 1
END;
COMMENT ON FUNCTION upc._fit_boundary IS
    'the UTC day before which candles are fitted: the first of the newest month if it has 60 days before it, else the newest day, or what there is of the only one';


CREATE FUNCTION upc._reset_volatility(symbol text)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    INSERT INTO upc_data.volatility_change (symbol, day)
    SELECT d.symbol, d.day
    FROM upc_data.volatility_day AS d
    WHERE d.symbol = _reset_volatility.symbol;
    DELETE FROM upc_data.volatility_day AS d WHERE d.symbol = _reset_volatility.symbol;
    DELETE FROM upc_data.volatility_histogram AS h WHERE h.symbol = _reset_volatility.symbol;
END
$fn$;
COMMENT ON FUNCTION upc._reset_volatility IS
    'forgets all counts of standardised moves of a symbol, so that the next build counts its whole history again';


-- Fit the forecast of a symbol's volatility if a month has gone by, a fitted candle has changed or the
-- formulas are others, and forget the counts that stood on another fit: the first step of a build.
--
-- Returns false where there is too little to fit.
--
-- Example:
--   SELECT NOT upc.prepare_volatility('ETH');
CREATE FUNCTION upc.prepare_volatility(symbol text)
RETURNS boolean
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_until date;
    v_changed_from date;
    v_old upc_data.volatility_fit;
    v_new record;
BEGIN
    -- The notes go first: whatever is committed from now on is fitted the next time.
    WITH note AS (
        DELETE FROM upc_data.fit_change AS n
        WHERE n.symbol = prepare_volatility.symbol
        RETURNING n.day
    )
    SELECT min(n.day) INTO v_changed_from FROM note AS n;

    SELECT upc._fit_boundary(
        (min(c.opened_at) AT TIME ZONE 'UTC')::date, (max(c.opened_at) AT TIME ZONE 'UTC')::date
    )
    INTO v_until
    FROM upc_data.candle AS c
    WHERE c.symbol = prepare_volatility.symbol;

    SELECT f.* INTO v_old FROM upc_data.volatility_fit AS f WHERE f.symbol = prepare_volatility.symbol;
    IF v_old.fitted_until = v_until AND v_old.counted_by = upc.volatility_hash()
        AND coalesce(v_changed_from >= v_until, true)
    THEN
        RETURN true;
    END IF;

    SELECT f.*
    INTO v_new
    FROM upc._fit_volatility(
        prepare_volatility.symbol, '-infinity', v_until::timestamp AT TIME ZONE 'UTC'
    ) AS f;
    IF v_new.factors IS NULL THEN
        PERFORM upc._reset_volatility(symbol);
        DELETE FROM upc_data.volatility_fit AS f WHERE f.symbol = prepare_volatility.symbol;
        RETURN false;
    END IF;
    IF v_old.factors IS DISTINCT FROM v_new.factors
        OR v_old.coefficients IS DISTINCT FROM v_new.coefficients
        OR v_old.counted_by IS DISTINCT FROM upc.volatility_hash()
    THEN
        PERFORM upc._reset_volatility(symbol);
    END IF;
    INSERT INTO upc_data.volatility_fit AS f
        (symbol, fitted_until, factors, coefficients, counted_by)
    VALUES (
        prepare_volatility.symbol, v_until, v_new.factors, v_new.coefficients,
        upc.volatility_hash()
    )
    ON CONFLICT ON CONSTRAINT volatility_fit_symbol_pkey
        DO UPDATE SET
            fitted_until = excluded.fitted_until,
            factors = excluded.factors,
            coefficients = excluded.coefficients,
            counted_by = excluded.counted_by,
            completed_at = NULL;
    RETURN true;
END
$fn$;
COMMENT ON FUNCTION upc.prepare_volatility IS
    'fits the forecast of a symbol''s volatility if a month has gone by or a fitted candle has changed, or if it was made by other formulas, and forgets the counts that stood on another one; returns whether there is a fit';


CREATE FUNCTION upc._counted_volatility(
    symbol text,
    days date[],
    OUT counted_days date[],
    OUT closes double precision[],
    OUT ranges integer[]
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    counted_days := ARRAY(
        SELECT d.day
        FROM upc_data.volatility_day AS d
        WHERE d.symbol = _counted_volatility.symbol AND d.day = ANY (days)
        ORDER BY d.day
    );
    closes := ARRAY(
        SELECT unnest(array_agg(d.closes ORDER BY d.day))
        FROM upc_data.volatility_day AS d
        WHERE d.symbol = _counted_volatility.symbol AND d.day = ANY (counted_days)
    );
    ranges := ARRAY(
        SELECT unnest(array_agg(d.ranges ORDER BY d.day))
        FROM upc_data.volatility_day AS d
        WHERE d.symbol = _counted_volatility.symbol AND d.day = ANY (counted_days)
    );
END
$fn$;
COMMENT ON FUNCTION upc._counted_volatility IS
    'those of some UTC days whose standardised moves were counted, and the windows that they were counted from, laid end to end';


-- Bring the counts of standardised moves of a symbol up to its candles, for a piece of a build.
--
-- days: UTC days, all of one year, as volatility_pieces has them.
--
-- Example:
--   SELECT upc.count_volatility_days('ETH', '{2024-01-01}');
CREATE FUNCTION upc.count_volatility_days(symbol text, days date[])
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_year smallint := extract(year FROM days[1]);
    v_fit upc_data.volatility_fit;
    v_changed date[];
    v_old record;
    v_new record;
BEGIN
    SELECT f.* INTO v_fit FROM upc_data.volatility_fit AS f WHERE f.symbol = count_volatility_days.symbol;
    -- The notes go first: whatever is committed meanwhile is noted for the next time as well.
    DELETE FROM upc_data.volatility_change AS n
    WHERE n.symbol = count_volatility_days.symbol AND n.day = ANY (days);

    SELECT array_agg(d.day)
    INTO v_changed
    FROM unnest(days) AS d (day)
    LEFT JOIN upc_data.volatility_day AS c
        ON c.symbol = count_volatility_days.symbol AND c.day = d.day
    WHERE c.closes IS DISTINCT FROM upc._candle_window(count_volatility_days.symbol, d.day)
       OR c.ranges IS DISTINCT FROM upc._range_window(count_volatility_days.symbol, d.day);
    IF v_changed IS NULL THEN
        RETURN;
    END IF;

    SELECT c.* INTO v_old FROM upc._counted_volatility(symbol, v_changed) AS c;
    DELETE FROM upc_data.volatility_day AS c
    WHERE c.symbol = count_volatility_days.symbol AND c.day = ANY (v_changed);
    INSERT INTO upc_data.volatility_day (symbol, day, closes, ranges)
    SELECT count_volatility_days.symbol, w.day, w.closes, w.ranges
    FROM (
        SELECT
            d.day,
            upc._candle_window(count_volatility_days.symbol, d.day) AS closes,
            upc._range_window(count_volatility_days.symbol, d.day) AS ranges
        FROM unnest(v_changed) AS d (day)
        OFFSET 0
    ) AS w
    WHERE array_fill('NaN'::double precision, '{1440}') <> w.closes[31:1470];
    SELECT c.* INTO v_new FROM upc._counted_volatility(symbol, v_changed) AS c;

    -- In one order: two pieces of a year wait for each other at most once.
    INSERT INTO upc_data.volatility_histogram AS h
        (symbol, year, bucket, minutes, pairs, positive, negative)
    SELECT
        count_volatility_days.symbol, v_year, m.bucket, m.minutes, m.pairs, m.positive, m.negative
    FROM upc._count_standardised_moves(
        v_new.counted_days, v_new.closes, v_new.ranges, v_fit.factors, v_fit.coefficients
    ) AS m
    WHERE v_new.counted_days <> '{}'
    ORDER BY m.bucket, m.minutes
    ON CONFLICT ON CONSTRAINT volatility_histogram_symbol_year_bucket_minutes_pkey
        DO UPDATE SET
            pairs = h.pairs + excluded.pairs,
            positive = upc._add_counts(h.positive, excluded.positive, 1),
            negative = upc._add_counts(h.negative, excluded.negative, 1);

    IF v_old.counted_days <> '{}' THEN
        UPDATE upc_data.volatility_histogram AS h
        SET
            pairs = h.pairs - m.pairs,
            positive = upc._add_counts(h.positive, m.positive, -1),
            negative = upc._add_counts(h.negative, m.negative, -1)
        FROM upc._count_standardised_moves(
            v_old.counted_days, v_old.closes, v_old.ranges, v_fit.factors, v_fit.coefficients
        ) AS m
        WHERE h.symbol = count_volatility_days.symbol
          AND h.year = v_year
          AND h.bucket = m.bucket
          AND h.minutes = m.minutes;
        DELETE FROM upc_data.volatility_histogram AS h
        WHERE h.symbol = count_volatility_days.symbol AND h.year = v_year AND h.pairs = 0;
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc.count_volatility_days IS
    'brings the counts of standardised moves of a symbol up to its candles for some UTC days of one year';


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
    -- A quarter's windows are a few megabytes.
    GROUP BY extract(year FROM c.day), extract(quarter FROM c.day)
    ORDER BY 1;
END;
COMMENT ON FUNCTION upc.volatility_pieces IS
    'the UTC days whose standardised moves a build of a symbol has to count, in pieces that can be counted and committed independently';


-- Number of UTC days of standardised moves that the next build of a symbol has to count at the most.
--
-- Example:
--   SELECT upc.volatility_pending('ETH') = 0;
CREATE FUNCTION upc.volatility_pending(symbol text)
RETURNS integer
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_first date;
    v_last date;
BEGIN
    SELECT (min(c.opened_at) AT TIME ZONE 'UTC')::date, (max(c.opened_at) AT TIME ZONE 'UTC')::date
    INTO v_first, v_last
    FROM upc_data.candle AS c
    WHERE c.symbol = volatility_pending.symbol;
    IF EXISTS (
        SELECT FROM upc_data.volatility_fit AS f
        WHERE f.symbol = volatility_pending.symbol
          AND f.fitted_until = upc._fit_boundary(v_first, v_last)
          AND f.counted_by = upc.volatility_hash()
          AND NOT EXISTS (
              SELECT FROM upc_data.fit_change AS n
              WHERE n.symbol = volatility_pending.symbol AND n.day < f.fitted_until
          )
    ) THEN
        RETURN (
            SELECT count(DISTINCT n.day)
            FROM upc_data.volatility_change AS n
            WHERE n.symbol = volatility_pending.symbol
        );
    END IF;
    -- Another fit: all may have to be counted again, and the days on either side looked at.
    RETURN coalesce(v_last - v_first + 3, 0);
END
$fn$;
COMMENT ON FUNCTION upc.volatility_pending IS
    'the number of UTC days of standardised moves that the next build of a symbol has to count at the most';


-- Note that every piece of a build of standardised moves is counted, and cache the newest forecast.
--
-- Example:
--   SELECT upc.complete_volatility('ETH');
CREATE FUNCTION upc.complete_volatility(symbol text)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    UPDATE upc_data.volatility_fit AS f
    SET
        completed_at = clock_timestamp(),
        used_factors = f.factors,
        used_coefficients = f.coefficients
    WHERE f.symbol = complete_volatility.symbol;
    -- It may be another one by now.
    DELETE FROM upc_data.volatility_state AS s WHERE s.symbol = complete_volatility.symbol;
    PERFORM upc._cached_forecast(complete_volatility.symbol);
END
$fn$;
COMMENT ON FUNCTION upc.complete_volatility IS
    'notes that every piece of a build of standardised moves is counted, and caches the newest forecast';


CREATE FUNCTION upc._build_volatility(symbol text)
RETURNS boolean
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_days date[];
    v_is_new boolean := false;
BEGIN
    IF NOT upc.prepare_volatility(symbol) THEN
        RETURN false;
    END IF;
    FOR v_days IN SELECT p.days FROM upc.volatility_pieces(_build_volatility.symbol) AS p LOOP
        PERFORM upc.count_volatility_days(symbol, v_days);
        v_is_new := true;
    END LOOP;
    IF v_is_new OR EXISTS (
        SELECT FROM upc_data.volatility_fit AS f
        WHERE f.symbol = _build_volatility.symbol AND f.completed_at IS NULL
    ) THEN
        PERFORM upc.complete_volatility(symbol);
        RETURN true;
    END IF;
    RETURN false;
END
$fn$;
COMMENT ON FUNCTION upc._build_volatility IS
    'brings fit and counts of the standardised moves of a symbol up to its candles; returns whether anything has changed';

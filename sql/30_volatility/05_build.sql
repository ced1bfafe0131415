-- The build of standardised moves: a fit of the forecast, and the counts that stand on it. A fit is
-- made of whole months, so that a day more costs a day's work. Where it changes, all is counted again
-- in pieces, as another generation of counts, while the fit before goes on answering and its counts go
-- on taking in new days.

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
    SELECT DISTINCT d.symbol, d.day
    FROM upc_data.volatility_day AS d
    WHERE d.symbol = _reset_volatility.symbol;
    DELETE FROM upc_data.volatility_day AS d WHERE d.symbol = _reset_volatility.symbol;
    DELETE FROM upc_data.volatility_histogram AS h WHERE h.symbol = _reset_volatility.symbol;
    -- Forecasts go on with what was fitted before until all is counted.
    UPDATE upc_data.volatility_fit AS f
    SET fitted_until = '-infinity', used_generation = NULL, completed_at = NULL
    WHERE f.symbol = _reset_volatility.symbol;
END
$fn$;
COMMENT ON FUNCTION upc._reset_volatility IS
    'forgets all counts of standardised moves of a symbol, so that the next build counts its whole history again';


-- Forget the counts of standardised moves that stand on no fit any more: those of the fit before,
-- and those of one that was made again before it was counted.
--
-- Example:
--   SELECT upc.forget_old_fits('ETH');
CREATE FUNCTION upc.forget_old_fits(symbol text)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_fit upc_data.volatility_fit;
BEGIN
    SELECT f.* INTO v_fit
    FROM upc_data.volatility_fit AS f
    WHERE f.symbol = forget_old_fits.symbol
    FOR KEY SHARE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    DELETE FROM upc_data.volatility_day AS d
    WHERE d.symbol = forget_old_fits.symbol
      AND d.generation <> v_fit.generation
      AND d.generation IS DISTINCT FROM v_fit.used_generation;
    DELETE FROM upc_data.volatility_histogram AS h
    WHERE h.symbol = forget_old_fits.symbol
      AND h.generation <> v_fit.generation
      AND h.generation IS DISTINCT FROM v_fit.used_generation;
END
$fn$;
COMMENT ON FUNCTION upc.forget_old_fits IS
    'forgets the counts of standardised moves of a symbol that stand on no fit any more';


CREATE FUNCTION upc._store_fit(
    symbol text,
    until date,
    factors smallint[],
    coefficients double precision[]
)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_old upc_data.volatility_fit;
    v_generation integer;
BEGIN
    SELECT f.* INTO v_old
    FROM upc_data.volatility_fit AS f
    WHERE f.symbol = _store_fit.symbol
    FOR UPDATE;
    IF v_old.counted_by <> upc.volatility_hash() THEN
        PERFORM upc._reset_volatility(symbol);
        v_old.used_generation := NULL;
    ELSIF v_old.used_generation IS NULL
        AND (v_old.factors, v_old.coefficients)
            IS DISTINCT FROM (_store_fit.factors, _store_fit.coefficients)
    THEN
        PERFORM upc._reset_volatility(symbol);
    END IF;

    v_generation := CASE
        WHEN v_old.used_generation IS NULL THEN coalesce(v_old.generation, 1)
        WHEN (v_old.used_factors, v_old.used_coefficients)
            IS NOT DISTINCT FROM (_store_fit.factors, _store_fit.coefficients)
            THEN v_old.used_generation
        WHEN (v_old.factors, v_old.coefficients)
            IS NOT DISTINCT FROM (_store_fit.factors, _store_fit.coefficients)
            THEN v_old.generation
        ELSE greatest(v_old.generation, v_old.used_generation) + 1
    END;
    INSERT INTO upc_data.volatility_fit AS f
        (symbol, fitted_until, factors, coefficients, counted_by, generation)
    VALUES (
        _store_fit.symbol, until, _store_fit.factors, _store_fit.coefficients,
        upc.volatility_hash(), v_generation
    )
    ON CONFLICT ON CONSTRAINT volatility_fit_symbol_pkey
        DO UPDATE SET
            fitted_until = excluded.fitted_until,
            factors = excluded.factors,
            coefficients = excluded.coefficients,
            counted_by = excluded.counted_by,
            generation = excluded.generation;
    -- A number is given again only where nothing is left of it.
    PERFORM upc.forget_old_fits(symbol);
END
$fn$;
COMMENT ON FUNCTION upc._store_fit IS
    'stores a fit of the forecast of a symbol''s volatility, with the number of the counts that stand on it: a new one if it differs from the fit in use';


-- Fit the forecast of a symbol's volatility if a month has gone by, a fitted candle has changed or the
-- formulas are others: the first step of a build or of a recount.
--
-- Another fit than the one in use is counted beside it (recount_volatility_days), and answers once all
-- is counted (switch_fit). Counts by other formulas are forgotten.
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
    IF coalesce(v_changed_from >= v_until, true) AND EXISTS (
        SELECT FROM upc_data.volatility_fit AS f
        WHERE f.symbol = prepare_volatility.symbol
          AND f.fitted_until = v_until
          AND f.counted_by = upc.volatility_hash()
    ) THEN
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
    PERFORM upc._store_fit(symbol, v_until, v_new.factors, v_new.coefficients);
    RETURN true;
END
$fn$;
COMMENT ON FUNCTION upc.prepare_volatility IS
    'fits the forecast of a symbol''s volatility if a month has gone by or a fitted candle has changed, or if it was made by other formulas; returns whether there is a fit';


CREATE FUNCTION upc._counted_volatility(
    symbol text,
    generation integer,
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
        WHERE d.symbol = _counted_volatility.symbol
          AND d.generation = _counted_volatility.generation
          AND d.day = ANY (days)
        ORDER BY d.day
    );
    closes := ARRAY(
        SELECT unnest(array_agg(d.closes ORDER BY d.day))
        FROM upc_data.volatility_day AS d
        WHERE d.symbol = _counted_volatility.symbol
          AND d.generation = _counted_volatility.generation
          AND d.day = ANY (counted_days)
    );
    ranges := ARRAY(
        SELECT unnest(array_agg(d.ranges ORDER BY d.day))
        FROM upc_data.volatility_day AS d
        WHERE d.symbol = _counted_volatility.symbol
          AND d.generation = _counted_volatility.generation
          AND d.day = ANY (counted_days)
    );
END
$fn$;
COMMENT ON FUNCTION upc._counted_volatility IS
    'those of some UTC days whose standardised moves a generation of counts has, and the windows that they were counted from, laid end to end';


CREATE FUNCTION upc._changed_minutes(
    days date[],
    closes double precision[],
    ranges integer[],
    other_days date[],
    other_closes double precision[],
    other_ranges integer[],
    OUT firsts integer[],
    OUT lasts integer[]
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    -- Minute m looks at closes m to m + 90 and at ranges m + 1 to m + 1440 of the windows.
    SELECT
        array_agg(
            CASE WHEN o.k IS NULL THEN 1 ELSE coalesce(least(c.first - 90, r.first - 1440), 1441) END
            ORDER BY d.k
        ),
        array_agg(
            CASE WHEN o.k IS NULL THEN 1440 ELSE coalesce(greatest(c.last, r.last - 1), 0) END
            ORDER BY d.k
        )
    INTO firsts, lasts
    FROM unnest(_changed_minutes.days) WITH ORDINALITY AS d (day, k)
    LEFT JOIN unnest(_changed_minutes.other_days) WITH ORDINALITY AS o (day, k) ON o.day = d.day
    LEFT JOIN LATERAL (
        SELECT min(w.i)::integer AS first, max(w.i)::integer AS last
        FROM unnest(
            closes[d.k * 1530 - 1529:d.k * 1530], other_closes[o.k * 1530 - 1529:o.k * 1530]
        ) WITH ORDINALITY AS w (own, other, i)
        WHERE w.own <> w.other
    ) AS c ON o.k IS NOT NULL
    LEFT JOIN LATERAL (
        SELECT min(w.i)::integer AS first, max(w.i)::integer AS last
        FROM unnest(
            ranges[d.k * 2880 - 2879:d.k * 2880], other_ranges[o.k * 2880 - 2879:o.k * 2880]
        ) WITH ORDINALITY AS w (own, other, i)
        WHERE w.own <> w.other
    ) AS r ON o.k IS NOT NULL;
END
$fn$;
COMMENT ON FUNCTION upc._changed_minutes IS
    'the first and the last starting minute, 1 to 1440, of each of some UTC days whose standardised moves differ between two states of the windows; all where the other state lacks the day';


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
    v_year smallint := extract(year FROM days[1]);
    v_old record;
    v_new record;
    v_added record;
    v_removed record;
BEGIN
    SELECT c.* INTO v_old FROM upc._counted_volatility(symbol, generation, days) AS c;
    DELETE FROM upc_data.volatility_day AS d
    WHERE d.symbol = _replace_volatility_days.symbol
      AND d.generation = _replace_volatility_days.generation
      AND d.day = ANY (days);
    IF source IS NOT NULL THEN
        INSERT INTO upc_data.volatility_day (symbol, generation, day, closes, ranges)
        SELECT d.symbol, _replace_volatility_days.generation, d.day, d.closes, d.ranges
        FROM upc_data.volatility_day AS d
        WHERE d.symbol = _replace_volatility_days.symbol
          AND d.generation = source
          AND d.day = ANY (days);
    ELSE
        INSERT INTO upc_data.volatility_day (symbol, generation, day, closes, ranges)
        SELECT
            _replace_volatility_days.symbol, _replace_volatility_days.generation,
            w.day, w.closes, w.ranges
        FROM (
            SELECT
                d.day,
                upc._candle_window(_replace_volatility_days.symbol, d.day) AS closes,
                upc._range_window(_replace_volatility_days.symbol, d.day) AS ranges
            FROM unnest(days) AS d (day)
            OFFSET 0
        ) AS w
        WHERE array_fill('NaN'::double precision, '{1440}') <> w.closes[31:1470];
    END IF;
    SELECT c.* INTO v_new FROM upc._counted_volatility(symbol, generation, days) AS c;
    SELECT m.* INTO v_added FROM upc._changed_minutes(
        v_new.counted_days, v_new.closes, v_new.ranges,
        v_old.counted_days, v_old.closes, v_old.ranges
    ) AS m;
    SELECT m.* INTO v_removed FROM upc._changed_minutes(
        v_old.counted_days, v_old.closes, v_old.ranges,
        v_new.counted_days, v_new.closes, v_new.ranges
    ) AS m;

    -- In one order: two pieces of a year wait for each other at most once.
    INSERT INTO upc_data.volatility_histogram AS h
        (symbol, generation, year, bucket, minutes, pairs, positive, negative)
    SELECT
        _replace_volatility_days.symbol, _replace_volatility_days.generation,
        v_year, m.bucket, m.minutes, m.pairs, m.positive, m.negative
    FROM upc._count_standardised_moves(
        v_new.counted_days, v_new.closes, v_new.ranges,
        _replace_volatility_days.factors, _replace_volatility_days.coefficients,
        firsts => v_added.firsts, lasts => v_added.lasts
    ) AS m
    WHERE v_new.counted_days <> '{}'
    ORDER BY m.bucket, m.minutes
    ON CONFLICT ON CONSTRAINT volatility_histogram_symbol_generation_year_bucket_minutes_pkey
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
            v_old.counted_days, v_old.closes, v_old.ranges,
            _replace_volatility_days.factors, _replace_volatility_days.coefficients,
            firsts => v_removed.firsts, lasts => v_removed.lasts
        ) AS m
        WHERE h.symbol = _replace_volatility_days.symbol
          AND h.generation = _replace_volatility_days.generation
          AND h.year = v_year
          AND h.bucket = m.bucket
          AND h.minutes = m.minutes;
        DELETE FROM upc_data.volatility_histogram AS h
        WHERE h.symbol = _replace_volatility_days.symbol
          AND h.generation = _replace_volatility_days.generation
          AND h.year = v_year
          AND h.pairs = 0;
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._replace_volatility_days IS
    'counts the standardised moves of some UTC days of one year for a generation of counts: what it has of them is taken out, what the candles are now is put in, or what another generation, source, was counted from';


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
    FOR KEY SHARE;
END
$fn$;
COMMENT ON FUNCTION upc._counting_fit IS
    'the fit of a symbol''s volatility that a build counts days for, held until the end of the transaction: the one in use, or the first one; NULL where there is none';


-- Bring the counts of standardised moves of a symbol up to its candles, for a piece of a build: the
-- counts that answer, or the first ones of all.
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
    v_fit record;
    v_changed date[];
BEGIN
    SELECT f.* INTO v_fit FROM upc._counting_fit(symbol) AS f;
    -- The notes go first: whatever is committed meanwhile is noted for the next time as well.
    DELETE FROM upc_data.volatility_change AS n
    WHERE n.symbol = count_volatility_days.symbol AND n.day = ANY (days);

    SELECT array_agg(d.day)
    INTO v_changed
    FROM unnest(days) AS d (day)
    LEFT JOIN upc_data.volatility_day AS c
        ON c.symbol = count_volatility_days.symbol
        AND c.generation = v_fit.generation
        AND c.day = d.day
    WHERE c.closes IS DISTINCT FROM upc._candle_window(count_volatility_days.symbol, d.day)
       OR c.ranges IS DISTINCT FROM upc._range_window(count_volatility_days.symbol, d.day);
    IF v_changed IS NOT NULL THEN
        PERFORM upc._replace_volatility_days(
            symbol, v_fit.generation, v_fit.factors, v_fit.coefficients, v_changed
        );
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


-- UTC days that the newest fit of a symbol's volatility has not counted as the fit in use has, in pieces
-- that can be counted and committed independently.
--
-- Returns a row per piece; none where no fit is being counted beside the one in use.
--
-- Example:
--   SELECT count(*) = 0 FROM upc.recount_pieces('ETH');
CREATE FUNCTION upc.recount_pieces(symbol text)
RETURNS TABLE (days date[])
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT array_agg(c.day ORDER BY c.day)
    FROM (
        SELECT d.day
        FROM upc_data.volatility_fit AS f
        JOIN upc_data.volatility_day AS d
            ON d.symbol = f.symbol AND d.generation IN (f.used_generation, f.generation)
        WHERE f.symbol = recount_pieces.symbol AND f.generation <> f.used_generation
        GROUP BY d.day
        HAVING count(*) <> 2
            OR min(d.closes) IS DISTINCT FROM max(d.closes)
            OR min(d.ranges) IS DISTINCT FROM max(d.ranges)
    ) AS c
    GROUP BY extract(year FROM c.day), extract(quarter FROM c.day)
    ORDER BY 1;
END;
COMMENT ON FUNCTION upc.recount_pieces IS
    'the UTC days that the newest fit of a symbol''s volatility has not counted as the fit in use has, in pieces that can be counted and committed independently';


-- Count some UTC days for the newest fit of a symbol's volatility, beside the counts of the fit in use.
--
-- days: all of one year, as recount_pieces has them. They are counted from what the counts in use were
-- counted from; what their candles have become since then is counted there first (volatility_pieces).
--
-- Example:
--   SELECT upc.recount_volatility_days('ETH', '{2024-01-01}');
CREATE FUNCTION upc.recount_volatility_days(symbol text, days date[])
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_fit upc_data.volatility_fit;
BEGIN
    SELECT f.* INTO v_fit
    FROM upc_data.volatility_fit AS f
    WHERE f.symbol = recount_volatility_days.symbol
    FOR KEY SHARE;
    IF v_fit.generation <> v_fit.used_generation THEN
        PERFORM upc._replace_volatility_days(
            symbol, v_fit.generation, v_fit.factors, v_fit.coefficients, days,
            v_fit.used_generation
        );
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc.recount_volatility_days IS
    'counts the standardised moves of some UTC days of one year for the newest fit, beside the counts of the fit in use';


CREATE FUNCTION upc._use_newest_fit(symbol text)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    UPDATE upc_data.volatility_fit AS f
    SET
        completed_at = clock_timestamp(),
        used_factors = f.factors,
        used_coefficients = f.coefficients,
        used_generation = f.generation
    WHERE f.symbol = _use_newest_fit.symbol;
    -- It may be another one by now.
    DELETE FROM upc_data.volatility_state AS s WHERE s.symbol = _use_newest_fit.symbol;
    PERFORM upc._cached_forecast(_use_newest_fit.symbol);
END
$fn$;
COMMENT ON FUNCTION upc._use_newest_fit IS
    'lets the newest fit of a symbol''s volatility and its counts answer, and caches the newest forecast';


-- Let the newest fit of a symbol's volatility answer, if all is counted for it.
--
-- The curves follow with the next refresh, in the same transaction: a forecast and curves of different
-- fits do not belong together.
-- Returns true where it begins to answer; false where days are left to be counted, or where it answers
-- already.
--
-- Example:
--   SELECT NOT upc.switch_fit('ETH');
CREATE FUNCTION upc.switch_fit(symbol text)
RETURNS boolean
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    -- Builds that are counting now are waited for, and what they have counted is seen then.
    PERFORM FROM upc_data.volatility_fit AS f
    WHERE f.symbol = switch_fit.symbol AND f.generation <> f.used_generation
    FOR UPDATE;
    IF NOT FOUND OR EXISTS (SELECT FROM upc.recount_pieces(switch_fit.symbol)) THEN
        RETURN false;
    END IF;
    PERFORM upc._use_newest_fit(symbol);
    RETURN true;
END
$fn$;
COMMENT ON FUNCTION upc.switch_fit IS
    'lets the newest fit of a symbol''s volatility answer, if all is counted for it; returns whether it begins to';


-- Number of UTC days that a refit of a symbol's volatility has to count at the most.
--
-- Returns 0 where the fit in use is of today's candles and formulas.
--
-- Example:
--   SELECT upc.refit_pending('ETH') = 0;
CREATE FUNCTION upc.refit_pending(symbol text)
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
    WHERE c.symbol = refit_pending.symbol;
    IF EXISTS (
        SELECT FROM upc_data.volatility_fit AS f
        WHERE f.symbol = refit_pending.symbol
          AND f.generation IS NOT DISTINCT FROM f.used_generation
          AND f.fitted_until = upc._fit_boundary(v_first, v_last)
          AND f.counted_by = upc.volatility_hash()
          AND NOT EXISTS (
              SELECT FROM upc_data.fit_change AS n
              WHERE n.symbol = refit_pending.symbol AND n.day < f.fitted_until
          )
    ) THEN
        RETURN 0;
    END IF;
    -- Another fit: all may have to be counted again, and the days on either side looked at.
    RETURN coalesce(v_last - v_first + 3, 0);
END
$fn$;
COMMENT ON FUNCTION upc.refit_pending IS
    'the number of UTC days that a refit of a symbol''s volatility has to count at the most; 0 where the fit in use is of today''s candles and formulas';


-- Number of UTC days of standardised moves that the next build of a symbol has to count at the most, a
-- refit included.
--
-- Example:
--   SELECT upc.volatility_pending('ETH') = 0;
CREATE FUNCTION upc.volatility_pending(symbol text)
RETURNS integer
LANGUAGE sql STABLE PARALLEL SAFE
RETURN greatest(
    upc.refit_pending(volatility_pending.symbol),
    (
        SELECT count(DISTINCT n.day)::integer
        FROM upc_data.volatility_change AS n
        WHERE n.symbol = volatility_pending.symbol
    )
);
COMMENT ON FUNCTION upc.volatility_pending IS
    'the number of UTC days of standardised moves that the next build of a symbol has to count at the most';


-- Note that every piece of a build of standardised moves is counted, and cache the newest forecast.
--
-- A fit that is counted beside the one in use is not concerned: switch_fit.
--
-- Example:
--   SELECT upc.complete_volatility('ETH');
CREATE FUNCTION upc.complete_volatility(symbol text)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    IF EXISTS (
        SELECT FROM upc_data.volatility_fit AS f
        WHERE f.symbol = complete_volatility.symbol
          AND coalesce(f.used_generation, f.generation) = f.generation
    ) THEN
        PERFORM upc._use_newest_fit(symbol);
    ELSE
        UPDATE upc_data.volatility_fit AS f
        SET completed_at = clock_timestamp()
        WHERE f.symbol = complete_volatility.symbol;
        PERFORM upc._cached_forecast(complete_volatility.symbol);
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc.complete_volatility IS
    'notes that every piece of a build of standardised moves is counted, and caches the newest forecast';


CREATE FUNCTION upc._build_volatility(symbol text, refits boolean)
RETURNS boolean
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_days date[];
    v_is_new boolean := false;
BEGIN
    IF refits AND NOT upc.prepare_volatility(symbol) OR NOT EXISTS (
        SELECT FROM upc_data.volatility_fit AS f
        WHERE f.symbol = _build_volatility.symbol AND (refits OR f.used_generation IS NOT NULL)
    ) THEN
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
        v_is_new := true;
    END IF;
    IF refits THEN
        FOR v_days IN SELECT p.days FROM upc.recount_pieces(_build_volatility.symbol) AS p LOOP
            PERFORM upc.recount_volatility_days(symbol, v_days);
        END LOOP;
        IF upc.switch_fit(symbol) THEN
            PERFORM upc.forget_old_fits(symbol);
            v_is_new := true;
        END IF;
    END IF;
    RETURN v_is_new;
END
$fn$;
COMMENT ON FUNCTION upc._build_volatility IS
    'brings the counts of the standardised moves of a symbol up to its candles, and the fit, too, if asked to; returns whether anything has changed';

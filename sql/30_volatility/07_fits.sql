-- Fits of the forecast. A fit is made of whole months, so that a day more costs a day's work. Where it
-- changes, all is counted again in pieces, as another generation of counts, while the fit before goes on
-- answering and its counts go on taking in new days.

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
    DELETE FROM upc_data.volatility_month AS h WHERE h.symbol = _reset_volatility.symbol;
    DELETE FROM upc_data.horizon_day AS d WHERE d.symbol = _reset_volatility.symbol;
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
    DELETE FROM upc_data.volatility_month AS h
    WHERE h.symbol = forget_old_fits.symbol
      AND h.generation <> v_fit.generation
      AND h.generation IS DISTINCT FROM v_fit.used_generation;
    DELETE FROM upc_data.horizon_day AS d
    WHERE d.symbol = forget_old_fits.symbol
      AND d.generation <> v_fit.generation
      AND d.generation IS DISTINCT FROM v_fit.used_generation;
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
    PERFORM upc._store_fit(
        symbol, v_until, v_new.factors,
        upc._with_seconds(
            symbol, '-infinity', v_until::timestamp AT TIME ZONE 'UTC', v_new.factors, v_new.coefficients
        )
    );
    RETURN true;
END
$fn$;
COMMENT ON FUNCTION upc.prepare_volatility IS
    'fits the forecast of a symbol''s volatility if a month has gone by or a fitted candle has changed, or if it was made by other formulas; returns whether there is a fit';

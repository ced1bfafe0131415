-- The build of standardised moves, from the fit to the newest forecast.

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


CREATE FUNCTION upc._build_volatility(symbol text, refits boolean, is_counted boolean)
RETURNS boolean
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_days date[];
    v_is_new boolean := is_counted;
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
    'brings the counts of the standardised moves of a symbol up to its candles, and the fit, too, if asked to; is_counted: count_days has counted some already; returns whether anything has changed';

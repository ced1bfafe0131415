-- The refit: the counts of a new fit, made beside those that answer, and the switch to them.

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
        -- A version is given again to each day that is counted anew.
        HAVING count(*) <> 2 OR min(d.version) <> max(d.version)
    ) AS c
    GROUP BY date_trunc('month', c.day::timestamp)
    ORDER BY 1;
END;
COMMENT ON FUNCTION upc.recount_pieces IS
    'the UTC days that the newest fit of a symbol''s volatility has not counted as the fit in use has, in pieces that can be counted and committed independently';


-- Count some UTC days for the newest fit of a symbol's volatility, beside the counts of the fit in use.
--
-- days: all of one month, as recount_pieces has them. They are counted as the candles are now, and again if
-- the counts in use are brought up to other candles later (volatility_pieces).
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
        PERFORM upc._store_long_days(
            symbol, v_fit.generation, v_fit.factors, v_fit.coefficients, days
        );
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc.recount_volatility_days IS
    'counts the standardised moves of some UTC days of one month for the newest fit, beside the counts of the fit in use';


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

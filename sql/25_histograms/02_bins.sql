-- Bins of moves, horizons, and the slot of momentum that each minute is in.

CREATE FUNCTION upc._price_decimals(closes double precision[])
RETURNS integer
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_decimals integer;
    v_highest double precision;
    v_is_whole boolean;
BEGIN
    FOREACH v_decimals IN ARRAY '{2, 4, 6, 8, 10, 12}'::integer[] LOOP
        -- One division by a power of ten is correctly rounded, so this holds exactly when every
        -- close is the double nearest to a decimal with so many places.
        SELECT
            bool_and(round(c * 10.0 ^ v_decimals) / 10.0 ^ v_decimals = c),
            max(c) * 10.0 ^ v_decimals
        INTO v_is_whole, v_highest
        FROM unnest(_price_decimals.closes) AS c
        WHERE c <> 'NaN';

        EXIT WHEN v_highest >= 2.0 ^ 38;
        IF v_is_whole THEN
            RETURN v_decimals;
        END IF;
    END LOOP;
    RETURN NULL;
END
$fn$;
COMMENT ON FUNCTION upc._price_decimals IS
    'a number of decimal places that makes every close a whole number below 2^38, or NULL where there is none';


CREATE FUNCTION upc._move_bins(highest double precision)
RETURNS double precision[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
    -- The bins of 2000 × later price / price, which is 2000 + k at a move of exactly k × 0.05 %.
    -- Between whole prices up to `highest` a move that is not exactly k × 0.05 % is at least
    -- 1 / highest away from it, and below 2^38 the quotient in double precision is wrong by less
    -- than 1e-12; half of that distance therefore separates "exactly" from "nearly" without doubt.
    -- Bin 0: k <= -59; 1 to 59: up to and including k = -58 … 0 from below; 60: no move;
    -- 61 to 119: from 0, 1, … 58 upward; 120: k >= 59; 121: not a number.
    SELECT array_agg(b.edge ORDER BY b.edge)
    FROM (
        SELECT 2000 + k + 0.5 / _move_bins.highest FROM generate_series(-59, 0) AS k
        UNION ALL
        SELECT 2000 + k - 0.5 / _move_bins.highest FROM generate_series(0, 59) AS k
        UNION ALL
        SELECT 'Infinity'
    ) AS b (edge)
);
COMMENT ON FUNCTION upc._move_bins IS
    'edges for width_bucket of 2000 × later price / price between whole prices up to a highest one: 122 bins that decide a move of exactly k × 0.05 % exactly';


CREATE FUNCTION upc._move_bin(price numeric, later_price numeric)
RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN _move_bin.later_price = 'NaN' THEN 121
    WHEN _move_bin.later_price = _move_bin.price THEN 60
    WHEN _move_bin.later_price > _move_bin.price THEN
        61 + least(59, div((_move_bin.later_price - _move_bin.price) * 2000, _move_bin.price))
    ELSE 59 + greatest(-59, div((_move_bin.later_price - _move_bin.price) * 2000, _move_bin.price))
END::integer;
COMMENT ON FUNCTION upc._move_bin IS
    'the bin of move_bins for a price and a later one, in exact decimal arithmetic: for prices with too many digits for the fast way';


CREATE FUNCTION upc._all_horizons()
RETURNS integer[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY(SELECT generate_series(1, 60));
COMMENT ON FUNCTION upc._all_horizons IS 'the distances of a fingerprint, minutes: 1 to 60';


-- A piece of a query, once for each of 1 to 60 minutes.
--
-- template: text in which %1$s is the number of minutes.
--
-- Example:
--   SELECT _per_horizon('n%1$s', ' + ') LIKE 'n1 + n2 + %';
CREATE FUNCTION upc._per_horizon(template text, separator text DEFAULT ', ')
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
    SELECT string_agg(format(_per_horizon.template, t), _per_horizon.separator ORDER BY t)
    FROM generate_series(1, 60) AS t
);
COMMENT ON FUNCTION upc._per_horizon IS
    'a piece of a query, once for each of 1 to 60 minutes: pairs in columns cost a third of pairs in rows';


CREATE FUNCTION upc._momentum_slots(windows double precision[], starts integer[])
RETURNS TABLE (i integer, slot integer)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100000
AS $fn$
BEGIN
    RETURN QUERY
    SELECT
        m.i,
        CASE WHEN m.momentum = 'NaN' THEN 61 ELSE 30 + upc.momentum_bucket(m.momentum) END
    FROM (
        SELECT
            s AS i,
            upc._momentum_bps(
                windows[s],
                windows[s - (upc._momentum_lags())[1]],
                windows[s - (upc._momentum_lags())[2]],
                windows[s - (upc._momentum_lags())[3]],
                windows[s - (upc._momentum_lags())[4]],
                windows[s - (upc._momentum_lags())[5]],
                windows[s - (upc._momentum_lags())[6]]
            ) AS momentum
        FROM unnest(_momentum_slots.starts) AS s
        WHERE windows[s] <> 'NaN'
        OFFSET 0
    ) AS m;
END
$fn$;
COMMENT ON FUNCTION upc._momentum_slots IS
    'the momentum bucket of starting minutes given by their places in an array of windows, those without a close left out: slot 0 is bucket -30, slot 60 is bucket +30, slot 61 is a minute without momentum';

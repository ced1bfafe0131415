-- Recalibrations that are or were in use, and the curves that answer by the newest.

-- Corrections of a symbol's volatility model, the newest first.
--
-- A probability with log-odds x becomes one with lift + stretch x + bend x^3 / 20.
-- Returns a row for each week that one answers from and each knot: minutes to the close, between which
-- they change in straight lines over the logarithm of time. weeks, answers: what it was fitted on.
-- Errors: UP002 symbol.
--
-- Example:
--   SELECT count(*) = 0 FROM recalibration('ETH') WHERE stretch NOT BETWEEN 0.5 AND 2;
CREATE FUNCTION upc.recalibration(symbol text)
RETURNS TABLE (
    week date,
    minutes integer,
    lift double precision,
    stretch double precision,
    bend double precision,
    weeks integer,
    answers bigint
)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100
AS $fn$
BEGIN
    PERFORM upc.require_symbol(symbol);
    RETURN QUERY
    SELECT r.week, k.minutes, k.lift, k.stretch, k.bend, r.weeks, r.answers
    FROM upc_data.recalibration AS r
    CROSS JOIN LATERAL unnest(upc._recalibration_knots(), r.lifts, r.stretches, r.bends)
        AS k (minutes, lift, stretch, bend)
    WHERE r.symbol = recalibration.symbol
    ORDER BY r.week DESC, k.minutes;
END
$fn$;
COMMENT ON FUNCTION upc.recalibration IS
    'the corrections of a symbol''s volatility model by week and time to the close, the newest first';


-- The query for curves of the symbol $1 with those that are corrected by the newest recalibration, as text. Beyond the
-- last knot it goes on level, up to a day.
--
-- curves: a query with positive, negative and minutes.
CREATE FUNCTION upc._corrected_query(curves text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN format(
    $sql$
    SELECT
        v.*,
        CASE WHEN k.stretch IS NOT NULL
            THEN upc._recalibrated_curve(v.positive, k.lift, k.stretch, k.bend)
        END AS recalibrated_positive,
        CASE WHEN k.stretch IS NOT NULL
            THEN upc._recalibrated_curve(v.negative, -k.lift, k.stretch, k.bend)
        END AS recalibrated_negative
    FROM (%s) AS v
    LEFT JOIN (
        SELECT m.minutes, a.lift, a.stretch, a.bend
        FROM (
            SELECT r.lifts, r.stretches, r.bends
            FROM upc_data.recalibration AS r
            WHERE r.symbol = $1
            ORDER BY r.week DESC
            LIMIT 1
        ) AS n
        CROSS JOIN unnest(upc._all_horizons() || upc._long_horizons()) AS m (minutes)
        CROSS JOIN LATERAL upc._recalibration_at(n.lifts, n.stretches, n.bends, m.minutes) AS a
    ) AS k ON k.minutes = v.minutes
    $sql$,
    _corrected_query.curves
);
COMMENT ON FUNCTION upc._corrected_query IS
    'the query, as text, for curves of the symbol $1 with those that are corrected';


-- The query for the rows of upc_data.volatility_curve of the symbol $1, as text: curves as they were counted,
-- and corrected by the newest recalibration where there is one.
CREATE FUNCTION upc._recalibrated_curve_query()
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN upc._corrected_query(upc._volatility_curve_query(true));
COMMENT ON FUNCTION upc._recalibrated_curve_query IS
    'the query, as text, for the curves of standardised moves of the symbol $1, with those that are corrected';


-- The same for the rows of upc_data.horizon_curve.
CREATE FUNCTION upc._recalibrated_long_query()
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN upc._corrected_query(upc._long_curve_query());
COMMENT ON FUNCTION upc._recalibrated_long_query IS
    'the query, as text, for the curves of the symbol $1 beyond an hour, with those that are corrected';

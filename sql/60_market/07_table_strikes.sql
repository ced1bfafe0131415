-- Strikes of a strike table: those of its event, and where there are not enough those of a grid.

-- A strike of a grid, so many steps from zero. The product with a step like 0.002 has digits in its last
-- places that no strike has: a numeric leaves them out.
CREATE FUNCTION upc._grid_strike(place double precision, step double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (_grid_strike.place * _grid_strike.step)::numeric::double precision;
COMMENT ON FUNCTION upc._grid_strike IS 'a strike in USD of a grid, so many steps from zero';


-- Strikes of the grid around a price: as compute_strikes has them by itself, which is what NULL means.
CREATE FUNCTION upc._grid_strikes(
    price double precision,
    step double precision,
    levels integer
)
RETURNS double precision[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
BEGIN
    -- What makes no sense is refused with the question.
    IF coalesce(
        price > 0 AND price < 'Infinity'
        AND step > 0 AND step < 'Infinity' AND step <> floor(step)
        AND levels BETWEEN 0 AND 500,
        false
    ) THEN
        RETURN ARRAY(
            SELECT upc._grid_strike(round(price / step) + k, step)
            FROM generate_series(-levels, levels) AS k
            WHERE round(price / step) + k > 0
            ORDER BY k
        );
    END IF;
    RETURN NULL;
END
$fn$;
COMMENT ON FUNCTION upc._grid_strikes IS
    'the strikes in USD of the grid around a price, where compute_strikes would have them with digits that no strike has; else NULL';

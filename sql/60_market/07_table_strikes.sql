-- Strikes of a strike table: those of its event, and where there are not enough those of a grid.

-- A strike of a grid, so many steps from zero. The product with a step like 0.002 has digits in its last
-- places that no strike has: a numeric leaves them out.
CREATE FUNCTION upc._grid_strike(place double precision, step double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (_grid_strike.place * _grid_strike.step)::numeric::double precision;
COMMENT ON FUNCTION upc._grid_strike IS 'a strike in USD of a grid, so many steps from zero';


-- Strikes of the grid around a price, ascending, `levels` below and above the one that is nearest.
CREATE FUNCTION upc._grid_strikes(
    price double precision,
    step double precision,
    levels integer
)
RETURNS double precision[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY(
    SELECT upc._grid_strike(round(_grid_strikes.price / _grid_strikes.step) + k, _grid_strikes.step)
    FROM generate_series(-_grid_strikes.levels, _grid_strikes.levels) AS k
    WHERE round(_grid_strikes.price / _grid_strikes.step) + k > 0
    ORDER BY k
);
COMMENT ON FUNCTION upc._grid_strikes IS
    'the strikes in USD of the grid around a price, without digits that no strike has';


-- Strikes of an event that are nearest to a price.
--
-- known: all of them, ascending, without NULL; base: of two at the same distance the one nearer to it
-- goes first. Returns as many as `count` of them, ascending, or all where there are fewer.
CREATE FUNCTION upc._nearest_strikes(
    known double precision[],
    price double precision,
    base double precision,
    count integer
)
RETURNS double precision[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_last integer := cardinality(known) - count + 1;
    v_first integer := greatest(1, least(width_bucket(price, known) - count / 2, v_last));
    v_below double precision;
    v_above double precision;
BEGIN
    -- The window moves to where what is beyond its one end is nearer than what is at the other.
    LOOP
        v_below := price - known[v_first - 1];
        v_above := known[v_first + count - 1] - price;
        EXIT WHEN v_first = 1 OR v_below > v_above
            OR v_below = v_above AND base > price;
        v_first := v_first - 1;
    END LOOP;
    LOOP
        v_below := price - known[v_first];
        v_above := known[v_first + count] - price;
        EXIT WHEN v_first >= v_last OR v_above > v_below
            OR v_above = v_below AND base <= price;
        v_first := v_first + 1;
    END LOOP;
    RETURN known[v_first : v_first + count - 1];
END
$fn$;
COMMENT ON FUNCTION upc._nearest_strikes IS
    'the strikes in USD of an event that are nearest to a price, ascending';


-- Strikes of a strike table, ascending.
--
-- known: those of its event, ascending; NULL without one. The nearest 2 · levels + 1 of them are in the
-- table. Where the event has fewer, strikes of the grid that are nearest to the price fill it up.
-- Returns NULL for those that compute_strikes has by itself, and for a question that it refuses.
CREATE FUNCTION upc._table_strikes(
    known double precision[],
    price double precision,
    step double precision,
    levels integer
)
RETURNS double precision[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_count integer := 2 * levels + 1;
BEGIN
    IF NOT coalesce(
        price > 0 AND price < 'Infinity'
        AND step > 0 AND step < 'Infinity'
        AND levels BETWEEN 0 AND 500,
        false
    ) THEN
        RETURN NULL;
    END IF;
    IF cardinality(known) >= v_count THEN
        RETURN upc._nearest_strikes(known, price, round(price / step) * step, v_count);
    END IF;
    IF cardinality(known) > 0 THEN
        RETURN ARRAY(
            SELECT n.strike
            FROM (
                SELECT s.strike
                FROM (
                    SELECT k AS strike, true AS is_known FROM unnest(known) AS k
                    UNION ALL
                    SELECT g, false
                    FROM unnest(upc._grid_strikes(price, step, levels)) AS g
                    WHERE g <> ALL (known)
                ) AS s
                ORDER BY s.is_known DESC, abs(s.strike - price), s.strike
                LIMIT v_count
            ) AS n
            ORDER BY n.strike
        );
    END IF;
    IF step <> floor(step) THEN
        RETURN upc._grid_strikes(price, step, levels);
    END IF;
    RETURN NULL;
END
$fn$;
COMMENT ON FUNCTION upc._table_strikes IS
    'the strikes in USD of a strike table: the nearest ones of its event, filled up from the grid; NULL for those of compute_strikes';


-- Step that most of the newest six events above strikes have, of those that closed within a week or will within
-- the hour, or of later ones where there is no other: Kalshi changes its grids, and daily events have a wider
-- one. NULL where there is none, and for a symbol whose step somebody has set: BTC comes with 250, ETH with 20.
CREATE FUNCTION upc._seen_step(symbol text, at timestamptz)
RETURNS double precision
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    IF NOT EXISTS (
        SELECT FROM upc_data.symbol AS s
        WHERE s.symbol = _seen_step.symbol
          AND (s.symbol, s.strike_step) IN (('BTC', 250), ('ETH', 20))
    ) THEN
        RETURN NULL;
    END IF;
    RETURN (
        SELECT coalesce(
            mode() WITHIN GROUP (ORDER BY n.strike_step) FILTER (WHERE NOT n.is_later),
            mode() WITHIN GROUP (ORDER BY n.strike_step)
        )
        FROM (
            SELECT e.strike_step, e.closes_at > at + interval '1 hour' AS is_later
            FROM upc_data.market_event AS e
            JOIN upc_data.series AS s ON s.symbol = e.symbol AND s.series = e.series_ticker
            WHERE e.symbol = _seen_step.symbol
              AND e.closes_at > at - interval '7 days'
              AND e.read_at <= at
              AND e.strike_step > 0
              AND s.kind = 'above'
            ORDER BY is_later, e.closes_at DESC, e.read_at DESC
            LIMIT 6
        ) AS n
    );
END
$fn$;
COMMENT ON FUNCTION upc._seen_step IS
    'the distance in USD between strikes that most of the newest events have; NULL without one, and where somebody has set one for the symbol';


-- The step and the strikes of a question for a strike table. A step that was asked for is of a grid of its
-- own; else they are the event's. Without one the step is that of the events seen, or the symbol's.
CREATE FUNCTION upc._with_strikes(question upc._question, event upc._event)
RETURNS upc._question
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_strikes double precision[];
BEGIN
    IF question.step IS NULL THEN
        v_strikes := event.strikes;
    END IF;
    question.step := coalesce(
        question.step, event.step, upc._seen_step(question.symbol, question.at)
    );
    IF question.step IS NULL THEN
        SELECT s.strike_step INTO question.step
        FROM upc_data.symbol AS s
        WHERE s.symbol = question.symbol;
    END IF;
    question.strikes := upc._table_strikes(
        v_strikes, question.price, question.step, question.levels
    );
    RETURN question;
END
$fn$;
COMMENT ON FUNCTION upc._with_strikes IS
    'a question for a strike table with its step and strikes filled in';

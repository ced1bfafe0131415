-- Bounds: the probability that the value at the close lies between two of them.
--
-- Of a contract that pays iff lower <= value < upper the probability is above(lower) - above(upper), where
-- above(K) is the probability that the value is at least K: 100 without a lower bound, 0 without an upper
-- one. So a range is the difference of two aboves, and the ranges of an event with their open ends sum to
-- 100. above(K) is the prob_above of compute_strikes but for what is not coherent there: it never rises
-- with K. Two things can make it rise, and _coherent_reading takes them out:
--
-- - The nearest cell beside the price. Above the price it is the share of moves of at least zero, below
--   it that of moves above zero, which is less: what did not move is counted on both sides. They meet
--   in the middle, at the mean of the two. That is the isotonic regression of the two cells, and what
--   linear questions and standardised moves do anyhow.
-- - Imported numbers, which may be anything. From the price outward no side rises again.

CREATE FUNCTION upc._falling_curve(curve double precision[])
RETURNS double precision[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
BEGIN
    FOR v_k IN 2..cardinality(curve) LOOP
        IF curve[v_k] > curve[v_k - 1] THEN
            curve[v_k] := curve[v_k - 1];
        END IF;
    END LOOP;
    RETURN curve;
END
$fn$;
COMMENT ON FUNCTION upc._falling_curve IS
    'a curve with every number at most the one before it: the least of those so far';


CREATE FUNCTION upc._coherent_reading(reading upc._reading)
RETURNS upc._reading
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_middle double precision := (reading.positive[1] + 100 - reading.negative[1]) / 2;
BEGIN
    -- Sides that meet already may differ in the last digit.
    IF reading.positive[1] + reading.negative[1] > 100.000000001::double precision THEN
        reading.positive[1] := v_middle;
        reading.negative[1] := 100 - v_middle;
    END IF;
    IF reading.weighted_size IS NULL THEN
        reading.positive := upc._falling_curve(reading.positive);
        reading.negative := upc._falling_curve(reading.negative);
    END IF;
    RETURN reading;
END
$fn$;
COMMENT ON FUNCTION upc._coherent_reading IS
    'a reading by which the probability that the value is at least a strike never rises with the strike';


-- The model that answers for bounds, which may be further away than an hour.
--
-- Fingerprints end at 60 minutes. Those of standardised moves go on by the forecast of the time left:
-- that is the model volatility_60m. Beyond a day there is no forecast worth the name.
CREATE FUNCTION upc._model_of_bounds(model text, ttc_seconds integer)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN _model_of_bounds.ttc_seconds <= 3600 THEN _model_of_bounds.model
    WHEN _model_of_bounds.ttc_seconds <= 86400 AND _model_of_bounds.model = 'volatility'
    THEN 'volatility_60m'
END;
COMMENT ON FUNCTION upc._model_of_bounds IS
    'the model that answers for bounds with so much time left: the one asked for up to an hour, volatility_60m up to a day where that is volatility, else NULL';


-- The probability that the value is at least a bound, for each distinct one of a list, in percent.
--
-- reading: coherent. bounds: USD; NULLs are left out. It is part of the query that calls it.
CREATE FUNCTION upc._bound_readings(
    reading upc._reading,
    is_linear boolean,
    price double precision,
    bounds double precision[]
)
RETURNS TABLE (bound double precision, above double precision)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 100
BEGIN ATOMIC
    SELECT
        c.bound,
        CASE
            WHEN (_bound_readings.reading).decided IS NOT NULL THEN
                CASE WHEN (_bound_readings.reading).decided >= c.bound THEN 100 ELSE 0 END
            WHEN c.x > 0 THEN upc._curve_value(
                (_bound_readings.reading).positive, (_bound_readings.reading).thresholds,
                c.place, c.x, _bound_readings.is_linear
            )
            ELSE 100 - upc._curve_value(
                (_bound_readings.reading).negative, (_bound_readings.reading).thresholds,
                c.place, -c.x, _bound_readings.is_linear
            )
        END
    FROM (
        SELECT
            m.bound,
            m.x,
            upc._threshold_index(
                (_bound_readings.reading).thresholds, (_bound_readings.reading).edges, abs(m.x),
                _bound_readings.is_linear
            ) AS place
        FROM (
            -- Moves with their sign, as they are looked up; no curve reaches as far as a million prices.
            SELECT
                b.bound,
                (
                    100 * (least(b.bound, 1e6 * _bound_readings.price) - _bound_readings.price)
                    / _bound_readings.price * (_bound_readings.reading).slope
                    + (_bound_readings.reading).shift
                ) / nullif((_bound_readings.reading).unit, 0) AS x
            FROM unnest(_bound_readings.bounds) AS b (bound)
            WHERE b.bound IS NOT NULL
            GROUP BY b.bound
            OFFSET 0
        ) AS m
        OFFSET 0
    ) AS c;
END;
COMMENT ON FUNCTION upc._bound_readings IS
    'the probability in percent that the value at the close is at least a bound, one row for each distinct one';


-- Probabilities of many pairs of bounds, from one reading, each distinct bound read once.
--
-- question: with its time to the close. lowers, uppers: USD, of equal length, lower < upper; NULL where
-- there is none; where both are NULL, so is the probability.
-- Returns one row per pair, place being its place in the lists, probabilities in percent; NULL where no
-- model answers. prob_low and prob_high: the interval of the pair's own probability, at the sizes of the
-- curve.
-- Errors: those of compute_strikes.
CREATE FUNCTION upc._bounds_probabilities(
    question upc._question,
    lowers double precision[],
    uppers double precision[]
)
RETURNS TABLE (
    place bigint,
    probability double precision,
    prob_low double precision,
    prob_high double precision,
    sample_size bigint,
    fingerprint text,
    deviation double precision
)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100
AS $fn$
DECLARE
    v_reading upc._reading;
    v_is_linear boolean := question.method = 'linear';
BEGIN
    IF NOT upc._is_question(question) THEN
        PERFORM upc._refuse_question(question);
    END IF;
    IF upc._model_of_bounds(question.model, question.ttc_seconds) IS NOT NULL THEN
        v_reading := upc._coherent_reading(upc._question_reading(question));
    END IF;

    RETURN QUERY
    WITH reading AS MATERIALIZED (
        SELECT r.bound, r.above
        FROM upc._bound_readings(v_reading, v_is_linear, question.price, lowers || uppers) AS r
    )
    SELECT
        p.place,
        p.probability,
        -- Of what is decided there is nothing to be uncertain about.
        CASE
            WHEN v_reading.decided IS NOT NULL THEN p.probability
            ELSE upc._interval_low(p.probability, p.spread)
        END,
        CASE
            WHEN v_reading.decided IS NOT NULL THEN p.probability
            ELSE upc._interval_high(p.probability, p.spread)
        END,
        v_reading.sample_size,
        v_reading.fingerprint,
        v_reading.deviation
    FROM (
        SELECT
            s.place,
            s.probability,
            upc._interval_spread(
                s.probability, v_reading.effective_size, v_reading.weighted_size
            ) AS spread
        FROM (
            SELECT
                c.place,
                CASE
                    WHEN c.lower IS NULL THEN 100 - u.above
                    WHEN c.upper IS NULL THEN l.above
                    -- Sides that meet may differ in the last digit.
                    WHEN l.above < u.above THEN 0
                    ELSE l.above - u.above
                END AS probability
            FROM unnest(lowers, uppers) WITH ORDINALITY AS c (lower, upper, place)
            LEFT JOIN reading AS l ON l.bound = c.lower
            LEFT JOIN reading AS u ON u.bound = c.upper
            OFFSET 0
        ) AS s
        OFFSET 0
    ) AS p;
END
$fn$;
COMMENT ON FUNCTION upc._bounds_probabilities IS
    'the probability of every pair of bounds with its interval, in percent: one row per pair; NULL where no model answers';

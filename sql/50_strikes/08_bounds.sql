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
-- Fingerprints end at 60 minutes; standardised moves are counted up to a day. Where only those of 60 minutes
-- are, they go on by the forecast of the time left: that is the model volatility_60m. Beyond a day there is no
-- forecast worth the name. is_stretched: of the reading.
CREATE FUNCTION upc._model_of_bounds(
    model text,
    ttc_seconds integer,
    is_stretched boolean DEFAULT false
)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN _model_of_bounds.ttc_seconds <= 3600 THEN _model_of_bounds.model
    WHEN _model_of_bounds.ttc_seconds <= 86400 AND _model_of_bounds.model = 'volatility'
    THEN CASE WHEN _model_of_bounds.is_stretched THEN 'volatility_60m' ELSE 'volatility' END
END;
COMMENT ON FUNCTION upc._model_of_bounds IS
    'the model that answers for bounds with so much time left: the one asked for up to an hour; up to a day volatility, or volatility_60m where it reads what is known of 60 minutes; else NULL';


-- The curve that bounds are read off: coherent, and NULL where no model answers so far from the close.
--
-- question: with its time to the close.
-- Errors: those of compute_strikes.
CREATE FUNCTION upc._bounds_reading(question upc._question)
RETURNS upc._reading
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    IF NOT upc._is_question(question) THEN
        PERFORM upc._refuse_question(question);
    END IF;
    IF upc._model_of_bounds(question.model, question.ttc_seconds) IS NULL THEN
        PERFORM upc.require_symbol(question.symbol);
        RETURN NULL;
    END IF;
    RETURN upc._coherent_reading(upc._mixed_reading(upc._question_reading(question)));
END
$fn$;
COMMENT ON FUNCTION upc._bounds_reading IS
    'the coherent curve that the bounds of contracts are read off; NULL where no model answers';


-- A bound as a move with its sign, in the unit of the curve. slope, shift, unit: of the reading.
CREATE FUNCTION upc._bound_move(
    slope double precision,
    shift double precision,
    unit double precision,
    price double precision,
    bound double precision
)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
    100 * (
        -- No curve reaches as far as a million times the price.
        CASE
            WHEN _bound_move.bound > 1e6::double precision * _bound_move.price
            THEN 1e6::double precision * _bound_move.price
            ELSE _bound_move.bound
        END - _bound_move.price
    ) / _bound_move.price * _bound_move.slope + _bound_move.shift
) / nullif(_bound_move.unit, 0);
COMMENT ON FUNCTION upc._bound_move IS
    'the move to a bound, negative below the price, as it is looked up on a curve; NULL without a bound';


-- decided, thresholds, positive, negative: of the reading. move, place: of the bound, as _bound_move and
-- _threshold_index have them. What is looked up for every contract comes as a value of its own: to take
-- it out of the reading each time takes longer than to look it up.
CREATE FUNCTION upc._above(
    decided double precision,
    thresholds double precision[],
    positive double precision[],
    negative double precision[],
    is_linear boolean,
    bound double precision,
    move double precision,
    place integer
)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN _above.bound IS NULL THEN NULL
    WHEN _above.decided IS NOT NULL THEN CASE WHEN _above.decided >= _above.bound THEN 100 ELSE 0 END
    WHEN _above.move > 0 THEN upc._curve_value(
        _above.positive, _above.thresholds, _above.place, _above.move, _above.is_linear
    )
    ELSE 100 - upc._curve_value(
        _above.negative, _above.thresholds, _above.place, -_above.move, _above.is_linear
    )
END;
COMMENT ON FUNCTION upc._above IS
    'the probability in percent that the value at the close is at least a bound, by a coherent curve';


CREATE FUNCTION upc._between(
    lower double precision,
    upper double precision,
    above_lower double precision,
    above_upper double precision
)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN _between.lower IS NULL THEN 100 - _between.above_upper
    WHEN _between.upper IS NULL THEN _between.above_lower
    -- Sides that meet may differ in the last digit.
    WHEN _between.above_lower < _between.above_upper THEN 0
    ELSE _between.above_lower - _between.above_upper
END;
COMMENT ON FUNCTION upc._between IS
    'the probability in percent that the value is at least lower and below upper, from those that it is at least each of them';


-- How far an interval may reach beyond its probability: see 04_intervals.sql.
CREATE FUNCTION upc._interval_reach(percent double precision, spread double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 50 * _interval_reach.spread + sqrt(
    _interval_reach.spread * (
        _interval_reach.percent * (100 - _interval_reach.percent) + 2500 * _interval_reach.spread
    )
);
COMMENT ON FUNCTION upc._interval_reach IS
    'the part that both ends of the interval of a probability share, from its spread';


-- Drift of a pair of bounds: of the bound that has more of it, or the one that there is. The share of moves
-- between two bounds varies less from month to month than that beyond either.
CREATE FUNCTION upc._bounds_drift(
    positive_drift double precision[],
    negative_drift double precision[],
    thresholds double precision[],
    lower_place integer,
    lower_move double precision,
    upper_place integer,
    upper_move double precision,
    is_linear boolean
)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(
    greatest(
        upc._drift_at(
            _bounds_drift.positive_drift, _bounds_drift.negative_drift, _bounds_drift.thresholds,
            _bounds_drift.lower_place, _bounds_drift.lower_move, _bounds_drift.is_linear
        ),
        upc._drift_at(
            _bounds_drift.positive_drift, _bounds_drift.negative_drift, _bounds_drift.thresholds,
            _bounds_drift.upper_place, _bounds_drift.upper_move, _bounds_drift.is_linear
        )
    ),
    0
);
COMMENT ON FUNCTION upc._bounds_drift IS
    'what drift adds to the spread of the interval of a pair of bounds; 0 where nothing is known of it';


-- Of what is decided there is nothing to be uncertain about.
CREATE FUNCTION upc._reached_low(
    percent double precision,
    reach double precision,
    decided double precision
)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN _reached_low.decided IS NOT NULL THEN _reached_low.percent
    ELSE _reached_low.percent * _reached_low.percent / (_reached_low.percent + _reached_low.reach)
END;
COMMENT ON FUNCTION upc._reached_low IS
    'the lower end of the interval of a probability in percent, by its reach; decided: of the reading';


CREATE FUNCTION upc._reached_high(
    percent double precision,
    reach double precision,
    decided double precision
)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN _reached_high.decided IS NOT NULL THEN _reached_high.percent
    ELSE 100 - (100 - _reached_high.percent) * (100 - _reached_high.percent)
        / (100 - _reached_high.percent + _reached_high.reach)
END;
COMMENT ON FUNCTION upc._reached_high IS
    'the upper end of the interval of a probability in percent, by its reach; decided: of the reading';


-- Probabilities of pairs of bounds, from one coherent curve, without their intervals, and where on the
-- curve each bound lies: _bound_move, _threshold_index.
--
-- It is part of the query that calls it, in steps, each of which is worked out once.
CREATE FUNCTION upc._pair_probabilities(
    reading upc._reading,
    is_linear boolean,
    price double precision,
    lowers double precision[],
    uppers double precision[]
)
RETURNS TABLE (
    place bigint,
    probability double precision,
    lower_move double precision,
    upper_move double precision,
    lower_place integer,
    upper_place integer
)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 100
BEGIN ATOMIC
    SELECT
        p.place, upc._between(p.lower, p.upper, p.above_lower, p.above_upper),
        p.lower_move, p.upper_move, p.lower_place, p.upper_place
    FROM (
        SELECT
            k.*,
            upc._above(
                (_pair_probabilities.reading).decided, (_pair_probabilities.reading).thresholds,
                (_pair_probabilities.reading).positive, (_pair_probabilities.reading).negative,
                _pair_probabilities.is_linear, k.lower, k.lower_move, k.lower_place
            ) AS above_lower,
            upc._above(
                (_pair_probabilities.reading).decided, (_pair_probabilities.reading).thresholds,
                (_pair_probabilities.reading).positive, (_pair_probabilities.reading).negative,
                _pair_probabilities.is_linear, k.upper, k.upper_move, k.upper_place
            ) AS above_upper
        FROM (
            SELECT
                m.*,
                upc._threshold_index(
                    (_pair_probabilities.reading).thresholds, (_pair_probabilities.reading).edges,
                    abs(m.lower_move), _pair_probabilities.is_linear
                ) AS lower_place,
                upc._threshold_index(
                    (_pair_probabilities.reading).thresholds, (_pair_probabilities.reading).edges,
                    abs(m.upper_move), _pair_probabilities.is_linear
                ) AS upper_place
            FROM (
                SELECT
                    b.place,
                    b.lower,
                    b.upper,
                    upc._bound_move(
                        (_pair_probabilities.reading).slope, (_pair_probabilities.reading).shift,
                        (_pair_probabilities.reading).unit, _pair_probabilities.price, b.lower
                    ) AS lower_move,
                    upc._bound_move(
                        (_pair_probabilities.reading).slope, (_pair_probabilities.reading).shift,
                        (_pair_probabilities.reading).unit, _pair_probabilities.price, b.upper
                    ) AS upper_move
                FROM unnest(_pair_probabilities.lowers, _pair_probabilities.uppers)
                    WITH ORDINALITY AS b (lower, upper, place)
                OFFSET 0
            ) AS m
            OFFSET 0
        ) AS k
        OFFSET 0
    ) AS p;
END;
COMMENT ON FUNCTION upc._pair_probabilities IS
    'the probability in percent of every pair of bounds by a coherent curve, one row per pair';


-- Probabilities of pairs of bounds with their intervals, from one curve.
--
-- reading: as _bounds_reading has it. lowers, uppers: USD, of equal length, lower < upper; NULL where there
-- is none; where both are NULL, so is the probability.
-- Returns one row per pair, place being its place in the lists, in percent. prob_low and prob_high: the
-- interval of the pair's own probability at the sizes of the curve, by the formula of 04_intervals.sql, with the
-- drift of the bound that drifts more.
-- It is part of the query that calls it.
CREATE FUNCTION upc._bounds_probabilities(
    reading upc._reading,
    is_linear boolean,
    price double precision,
    lowers double precision[],
    uppers double precision[]
)
RETURNS TABLE (
    place bigint,
    probability double precision,
    prob_low double precision,
    prob_high double precision
)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 100
BEGIN ATOMIC
    SELECT
        r.place,
        r.probability,
        upc._reached_low(
            r.probability, r.reach, (_bounds_probabilities.reading).decided
        ),
        upc._reached_high(
            r.probability, r.reach, (_bounds_probabilities.reading).decided
        )
    FROM (
        SELECT
            s.place,
            s.probability,
            upc._interval_reach(s.probability, s.spread) AS reach
        FROM (
            SELECT
                p.place,
                p.probability,
                upc._interval_spread(
                    p.probability, (_bounds_probabilities.reading).effective_size,
                    (_bounds_probabilities.reading).weighted_size
                ) + upc._bounds_drift(
                    (_bounds_probabilities.reading).positive_drift,
                    (_bounds_probabilities.reading).negative_drift,
                    (_bounds_probabilities.reading).thresholds, p.lower_place, p.lower_move,
                    p.upper_place, p.upper_move, _bounds_probabilities.is_linear
                ) AS spread
            FROM upc._pair_probabilities(
                _bounds_probabilities.reading, _bounds_probabilities.is_linear,
                _bounds_probabilities.price, _bounds_probabilities.lowers,
                _bounds_probabilities.uppers
            ) AS p
            OFFSET 0
        ) AS s
        OFFSET 0
    ) AS r;
END;
COMMENT ON FUNCTION upc._bounds_probabilities IS
    'the probability of every pair of bounds with its interval, in percent, by one curve: one row per pair';

-- Readings: the curve that a question is read off, whatever its model, method and settlement.

CREATE TYPE upc._reading AS (
    strike_step double precision,
    fingerprint text,
    thresholds double precision[],
    edges double precision[],
    positive double precision[],
    negative double precision[],
    sample_size bigint,
    effective_size double precision,
    weighted_size double precision,
    unit double precision,
    slope double precision,
    shift double precision,
    decided double precision,
    deviation double precision,
    positive_drift double precision[],
    negative_drift double precision[],
    is_stretched boolean,
    other_positive double precision[],
    other_negative double precision[],
    share double precision
);
COMMENT ON TYPE upc._reading IS
    'a curve, and how moves of the price are looked up on it: s percent at (slope * s + shift) / unit; where decided, a price, is not NULL, the outcome is known and no curve is needed; deviation: the forecast standard deviation of the move, percent; the drifts: what is added to the spread of intervals at each threshold, NULL for nothing; is_stretched: true where what is known of 60 minutes answers beyond them; share: how far it lies on the way to the other curve, NULL where it is mixed already (upc._mixed_reading)';


CREATE FUNCTION upc._volatility_edges()
RETURNS double precision[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY(
    SELECT (t.threshold + lead(t.threshold) OVER (ORDER BY t.k)) / 2
    FROM unnest(upc.volatility_thresholds()) WITH ORDINALITY AS t (threshold, k)
    ORDER BY t.k
    LIMIT 59
);
COMMENT ON FUNCTION upc._volatility_edges IS
    'midpoints between the thresholds of standardised moves';


CREATE FUNCTION upc._threshold_index(
    thresholds double precision[],
    edges double precision[],
    move double precision,
    is_linear boolean
)
RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN _threshold_index.is_linear THEN greatest(1, least(
        width_bucket(_threshold_index.move, _threshold_index.thresholds),
        cardinality(_threshold_index.thresholds) - 1
    ))
    ELSE 1 + width_bucket(_threshold_index.move, _threshold_index.edges)
END;
COMMENT ON FUNCTION upc._threshold_index IS
    'the threshold at which a move is read off a curve, counted from 1: the last one up to it, or the nearest one';


CREATE FUNCTION upc._curve_value(
    curve double precision[],
    thresholds double precision[],
    index integer,
    move double precision,
    is_linear boolean
)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- Beyond the last threshold, and where there is only one, the curve goes on level.
RETURN CASE
    WHEN _curve_value.is_linear THEN
        _curve_value.curve[_curve_value.index]
        + (
            coalesce(_curve_value.curve[_curve_value.index + 1], _curve_value.curve[_curve_value.index])
            - _curve_value.curve[_curve_value.index]
        ) * least(1, greatest(0,
            (_curve_value.move - _curve_value.thresholds[_curve_value.index])
            / (
                _curve_value.thresholds[_curve_value.index + 1] - _curve_value.thresholds[_curve_value.index]
            )
        ))
    ELSE _curve_value.curve[_curve_value.index]
END;
COMMENT ON FUNCTION upc._curve_value IS
    'a curve''s probability at a move with its _threshold_index: in straight lines between thresholds, or that of the nearest one';


-- What drift adds to the spread of the interval of a probability that is read at a move with its sign; place:
-- _threshold_index of its size.
CREATE FUNCTION upc._drift_at(
    positive_drift double precision[],
    negative_drift double precision[],
    thresholds double precision[],
    place integer,
    move double precision,
    is_linear boolean
)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN _drift_at.positive_drift IS NULL OR _drift_at.move IS NULL THEN NULL
    WHEN _drift_at.move > 0 THEN upc._curve_value(
        _drift_at.positive_drift, _drift_at.thresholds, _drift_at.place, _drift_at.move,
        _drift_at.is_linear
    )
    ELSE upc._curve_value(
        _drift_at.negative_drift, _drift_at.thresholds, _drift_at.place, -_drift_at.move,
        _drift_at.is_linear
    )
END;
COMMENT ON FUNCTION upc._drift_at IS
    'what drift adds to the spread of an interval, at a move with its sign; NULL where nothing is known of it';


CREATE FUNCTION upc._curve_between(
    curve double precision[],
    other double precision[],
    share double precision
)
RETURNS double precision[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
-- The expression that upc._blend is made of would be set up anew in every transaction, which takes
-- several times as long as to evaluate it once.
DECLARE
    v_curve double precision[] := curve;
BEGIN
    FOR v_k IN 1..cardinality(curve) LOOP
        v_curve[v_k] := curve[v_k] + share * (other[v_k] - curve[v_k]);
    END LOOP;
    RETURN v_curve;
END
$fn$;
COMMENT ON FUNCTION upc._curve_between IS
    'upc._blend for a single question';


-- The mixture of two readings of one grid, `share` of the way from the one to the other.
CREATE FUNCTION upc._reading_between(
    reading upc._reading,
    other upc._reading,
    share double precision
)
RETURNS upc._reading
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
BEGIN
    reading.positive := upc._curve_between(reading.positive, other.positive, share);
    reading.negative := upc._curve_between(reading.negative, other.negative, share);
    reading.sample_size := least(reading.sample_size, other.sample_size);
    reading.effective_size := reading.effective_size
        + share * (other.effective_size - reading.effective_size);
    reading.weighted_size := reading.weighted_size
        + share * (other.weighted_size - reading.weighted_size);
    RETURN reading;
END
$fn$;
COMMENT ON FUNCTION upc._reading_between IS
    'a reading between those of two minutes, a share of the way from the one to the other';


CREATE FUNCTION upc._minute_reading(symbol text, origin text, bucket integer, minutes integer)
RETURNS upc._reading
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_reading upc._reading;
BEGIN
    SELECT c.positive, c.negative, c.sample_size, c.effective_size, c.weighted_size
    INTO v_reading.positive, v_reading.negative, v_reading.sample_size,
        v_reading.effective_size, v_reading.weighted_size
    FROM upc.fingerprint_curve AS c
    WHERE c.symbol = _minute_reading.symbol
      AND c.origin = _minute_reading.origin
      AND c.bucket = _minute_reading.bucket
      AND c.minutes = _minute_reading.minutes;
    RETURN v_reading;
END
$fn$;
COMMENT ON FUNCTION upc._minute_reading IS
    'a fingerprint''s curve of one minute, without the grid that it is read on';


-- The reading of a question about plain moves: one curve, between two minutes where the method is linear.
--
-- seconds: of time left. Moves in percent are divided by `unit` before they are looked up: below one
-- minute the first minute's curve answers linear questions, in proportion to the square root of time.
-- Returns NULL where no fingerprint answers.
CREATE FUNCTION upc._plain_reading(
    symbol text,
    momentum double precision,
    seconds double precision,
    is_linear boolean
)
RETURNS upc._reading
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_grid record;
    v_index integer;
    v_share double precision := 0;
    v_unit double precision := 1;
    v_reading upc._reading;
BEGIN
    SELECT g.strike_step, g.fingerprint, g.curve_symbol, g.curve_origin, g.curve_bucket, g.minutes,
        g.ttc_edges, g.thresholds, g.move_edges
    INTO v_grid
    FROM upc.fingerprint_grid AS g
    WHERE g.symbol = _plain_reading.symbol
      AND g.bucket >= upc._asked_bucket(_plain_reading.momentum)
    ORDER BY g.bucket
    LIMIT 1;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF is_linear THEN
        v_index := greatest(1, width_bucket(seconds / 60, v_grid.minutes::double precision[]));
        IF seconds < 60 * v_grid.minutes[1] THEN
            v_unit := sqrt(seconds / (60 * v_grid.minutes[1]));
        ELSIF v_index < cardinality(v_grid.minutes) THEN
            v_share := (seconds / 60 - v_grid.minutes[v_index])
                / (v_grid.minutes[v_index + 1] - v_grid.minutes[v_index]);
        END IF;
    ELSE
        v_index := 1 + width_bucket(seconds, v_grid.ttc_edges);
    END IF;

    v_reading := upc._minute_reading(
        v_grid.curve_symbol, v_grid.curve_origin, v_grid.curve_bucket, v_grid.minutes[v_index]
    );
    IF v_share > 0 THEN
        v_reading := upc._reading_between(
            v_reading,
            upc._minute_reading(
                v_grid.curve_symbol, v_grid.curve_origin, v_grid.curve_bucket,
                v_grid.minutes[v_index + 1]
            ),
            v_share
        );
    END IF;
    v_reading.strike_step := v_grid.strike_step;
    v_reading.fingerprint := v_grid.fingerprint;
    v_reading.thresholds := v_grid.thresholds;
    v_reading.edges := v_grid.move_edges;
    v_reading.unit := v_unit;
    v_reading.slope := 1;
    v_reading.shift := 0;
    RETURN v_reading;
END
$fn$;
COMMENT ON FUNCTION upc._plain_reading IS
    'the curve that a question about plain moves is read off, between two minutes where the method is linear';


-- The reading of a question about moves in units of their forecast.
--
-- ttc_seconds: to the close; seconds: of time left to the price that decides, fewer where the average
-- does. A volatility is that of the whole time left: of the part of it that decides it is a share, by
-- the forecast where there is one.
-- Errors: UP002 symbol, UP020 no forecast.
CREATE FUNCTION upc._volatility_reading(
    question upc._question,
    ttc_seconds integer,
    seconds double precision
)
RETURNS upc._reading
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    -- Nothing moves in no time, whatever can be forecast.
    v_deviation double precision := CASE WHEN ttc_seconds = 0 THEN 0 ELSE question.volatility END;
    v_variances double precision[] := question.variances;
    v_bucket integer := coalesce(upc.momentum_bucket(question.momentum), upc._baseline());
    v_minutes integer;
    v_share double precision := 0;
    v_curve record;
    v_unit double precision;
    -- A volatility that is passed in is no forecast, whose errors would be known.
    v_is_corrected boolean := question.recalibrate AND question.volatility IS NULL;
BEGIN
    -- Of less than a minute the variance is in proportion to the time: no forecast is needed.
    IF v_variances IS NULL
        AND (v_deviation IS NULL OR seconds <> ttc_seconds AND ttc_seconds > 60)
    THEN
        v_variances := upc._known_variances(question.symbol, question.at);
    END IF;
    IF v_deviation IS NULL THEN
        v_deviation := 100 * sqrt(upc.variance_until(v_variances, ttc_seconds));
        IF v_deviation IS NULL THEN
            PERFORM upc._refuse_forecast(question.symbol);
        END IF;
    END IF;
    IF question.method = 'linear' THEN
        v_minutes := least(60, greatest(1, floor(seconds / 60)));
        v_share := CASE WHEN v_minutes < 60 THEN greatest(0, seconds / 60 - v_minutes) ELSE 0 END;
    ELSE
        -- On a tie the shorter time, as everywhere.
        v_minutes := least(60, greatest(1, ceil(seconds / 60 - 0.5)));
    END IF;
    LOOP
        SELECT c.fingerprint, c.sample_size, c.effective_size, c.weighted_size,
            CASE WHEN v_is_corrected THEN coalesce(c.recalibrated_positive, c.positive)
                ELSE c.positive END AS positive,
            CASE WHEN v_is_corrected THEN coalesce(c.recalibrated_negative, c.negative)
                ELSE c.negative END AS negative,
            CASE WHEN v_is_corrected THEN coalesce(o.recalibrated_positive, o.positive)
                ELSE o.positive END AS other_positive,
            CASE WHEN v_is_corrected THEN coalesce(o.recalibrated_negative, o.negative)
                ELSE o.negative END AS other_negative,
            o.effective_size AS other_size,
            d.positive AS positive_drift, d.negative AS negative_drift
        INTO v_curve
        FROM upc.volatility_curve AS c
        LEFT JOIN upc.volatility_curve AS o
            ON v_share > 0
            AND o.symbol = c.symbol
            AND o.bucket = c.bucket
            AND o.minutes = c.minutes + 1
        -- It hardly changes from a minute to the next.
        LEFT JOIN upc.volatility_drift AS d
            ON d.symbol = c.symbol
            AND d.minutes = c.minutes
        WHERE c.symbol = question.symbol
          AND c.bucket = v_bucket
          AND c.minutes = v_minutes;
        EXIT WHEN v_bucket = upc._baseline() OR v_curve.positive IS NOT NULL
            AND (v_share = 0 OR v_curve.other_positive IS NOT NULL);
        -- A bucket that nothing was seen of is as the baseline.
        v_bucket := upc._baseline();
    END LOOP;
    IF v_curve.positive IS NULL THEN
        PERFORM upc._refuse_forecast(question.symbol);
    END IF;
    IF v_share > 0 THEN
        v_curve.effective_size := v_curve.effective_size
            + v_share * (v_curve.other_size - v_curve.effective_size);
    END IF;
    IF seconds <> ttc_seconds THEN
        v_unit := v_deviation * sqrt(coalesce(
            upc.variance_until(v_variances, seconds) / upc.variance_until(v_variances, ttc_seconds),
            seconds / ttc_seconds
        ));
    END IF;
    RETURN ROW(
        NULL, v_curve.fingerprint, upc.volatility_thresholds(), upc._volatility_edges(),
        v_curve.positive, v_curve.negative, v_curve.sample_size, v_curve.effective_size,
        v_curve.weighted_size, coalesce(v_unit, v_deviation), 1, 0, NULL, v_deviation,
        v_curve.positive_drift, v_curve.negative_drift,
        ttc_seconds > 3600 AND cardinality(v_variances) = 60,
        v_curve.other_positive, v_curve.other_negative, nullif(v_share, 0)
    )::upc._reading;
END
$fn$;
COMMENT ON FUNCTION upc._volatility_reading IS
    'the curve that a question about moves in units of their forecast is read off, and that unit in percent';


CREATE FUNCTION upc._listed_reading(
    symbol text,
    bucket integer,
    minutes integer,
    is_corrected boolean
)
RETURNS upc._reading
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_reading upc._reading;
BEGIN
    IF minutes > 60 THEN
        SELECT
            CASE WHEN is_corrected THEN coalesce(c.recalibrated_positive, c.positive) ELSE c.positive END,
            CASE WHEN is_corrected THEN coalesce(c.recalibrated_negative, c.negative) ELSE c.negative END,
            c.sample_size, c.effective_size, c.weighted_size
        INTO v_reading.positive, v_reading.negative, v_reading.sample_size,
            v_reading.effective_size, v_reading.weighted_size
        FROM upc.horizon_curve AS c
        WHERE c.symbol = _listed_reading.symbol AND c.minutes = _listed_reading.minutes;
        RETURN v_reading;
    END IF;
    SELECT
        CASE WHEN is_corrected THEN coalesce(c.recalibrated_positive, c.positive) ELSE c.positive END,
        CASE WHEN is_corrected THEN coalesce(c.recalibrated_negative, c.negative) ELSE c.negative END,
        c.sample_size, c.effective_size, c.weighted_size
    INTO v_reading.positive, v_reading.negative, v_reading.sample_size,
        v_reading.effective_size, v_reading.weighted_size
    FROM upc.volatility_curve AS c
    WHERE c.symbol = _listed_reading.symbol
      AND c.bucket IN (_listed_reading.bucket, upc._baseline())
      AND c.minutes = 60
    ORDER BY c.bucket = upc._baseline()
    LIMIT 1;
    RETURN v_reading;
END
$fn$;
COMMENT ON FUNCTION upc._listed_reading IS
    'the curve of standardised moves of 60 minutes, of a momentum bucket or else the baseline, or of one of upc._long_horizons()';


-- The reading of a question about moves in units of their forecast beyond an hour: between the curves of 60
-- minutes and of upc._long_horizons() in straight lines, or that of the nearest one.
--
-- Arguments as of _volatility_reading. Where there is no such curve or forecast, what is known of 60 minutes
-- answers: is_stretched.
-- Errors: UP002 symbol, UP020 no forecast.
CREATE FUNCTION upc._long_reading(
    question upc._question,
    ttc_seconds integer,
    seconds double precision
)
RETURNS upc._reading
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_minutes integer[] := 60 || upc._long_horizons();
    v_bucket integer := coalesce(upc.momentum_bucket(question.momentum), upc._baseline());
    v_is_corrected boolean := question.recalibrate AND question.volatility IS NULL;
    v_place integer := least(
        width_bucket(seconds / 60, v_minutes::double precision[]), cardinality(v_minutes) - 1
    );
    v_share double precision := least(
        1, (seconds / 60 - v_minutes[v_place]) / (v_minutes[v_place + 1] - v_minutes[v_place])
    );
    v_reading upc._reading;
BEGIN
    IF question.variances IS NULL AND (question.volatility IS NULL OR seconds <> ttc_seconds) THEN
        question.variances := upc._known_variances(question.symbol, question.at);
    END IF;
    IF question.method = 'nearest' THEN
        v_share := (v_share > 0.5)::integer;
    END IF;
    IF question.volatility IS NOT NULL OR cardinality(question.variances) > 60 THEN
        v_reading := upc._listed_reading(
            question.symbol, v_bucket, v_minutes[v_place + (v_share = 1)::integer], v_is_corrected
        );
        IF v_share > 0 AND v_share < 1 AND v_reading.positive IS NOT NULL THEN
            v_reading := upc._reading_between(
                v_reading,
                upc._listed_reading(
                    question.symbol, v_bucket, v_minutes[v_place + 1], v_is_corrected
                ),
                v_share
            );
        END IF;
    END IF;
    IF v_reading.positive[1] IS NULL THEN
        v_reading := upc._volatility_reading(question, ttc_seconds, seconds);
        v_reading.is_stretched := true;
        RETURN v_reading;
    END IF;
    v_reading.deviation := coalesce(
        question.volatility, 100 * sqrt(upc.variance_until(question.variances, ttc_seconds))
    );
    v_reading.unit := v_reading.deviation * CASE WHEN seconds = ttc_seconds THEN 1 ELSE sqrt(coalesce(
        upc.variance_until(question.variances, seconds)
            / upc.variance_until(question.variances, ttc_seconds),
        seconds / ttc_seconds
    )) END;
    -- Of the longer times there are too few in a month: what drifts in an hour drifts there, too.
    SELECT d.positive, d.negative
    INTO v_reading.positive_drift, v_reading.negative_drift
    FROM upc.volatility_drift AS d
    WHERE d.symbol = question.symbol AND d.minutes = 60;
    v_reading.fingerprint := upc._long_name(question.symbol);
    v_reading.thresholds := upc.volatility_thresholds();
    v_reading.edges := upc._volatility_edges();
    v_reading.slope := 1;
    v_reading.shift := 0;
    v_reading.is_stretched := false;
    RETURN v_reading;
END
$fn$;
COMMENT ON FUNCTION upc._long_reading IS
    'the curve that a question about moves in units of their forecast beyond an hour is read off, and that unit in percent';


-- A reading whose curve and the other one are mixed by its share. A few strikes are mixed one by one in less
-- time than all 60 thresholds are, contracts by the hundred are not.
CREATE FUNCTION upc._mixed_reading(reading upc._reading)
RETURNS upc._reading
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
BEGIN
    IF reading.share > 0 THEN
        reading.positive := upc._curve_between(
            reading.positive, reading.other_positive, reading.share
        );
        reading.negative := upc._curve_between(
            reading.negative, reading.other_negative, reading.share
        );
        reading.share := NULL;
    END IF;
    RETURN reading;
END
$fn$;
COMMENT ON FUNCTION upc._mixed_reading IS
    'a reading whose two curves are mixed to one, which is all that is looked up then';


-- The reading of a question: a curve, or two to be mixed, and how moves of the price are looked up on it.
--
-- Errors: those of compute_strikes.
CREATE FUNCTION upc._question_reading(question upc._question)
RETURNS upc._reading
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_at timestamptz := coalesce(question.at, statement_timestamp());
    v_ttc integer := coalesce(question.ttc_seconds, upc._seconds_to_hour(v_at));
    v_is_linear boolean := question.method = 'linear';
    v_seconds double precision := v_ttc;
    v_slope double precision := 1;
    v_shift double precision := 0;
    v_decided double precision;
    v_middle double precision;
    v_reading upc._reading;
BEGIN
    IF NOT upc._is_question(question) THEN
        PERFORM upc._refuse_question(question);
    END IF;
    -- Only the nearest cell of a minute knows no such time.
    IF v_ttc = 0 AND (v_is_linear OR question.model = 'volatility') THEN
        v_decided := question.price;
    END IF;
    IF question.settlement = 'average' AND v_ttc >= 60 THEN
        -- The mean of 60 values a second apart has the variance that the price has after 20.5 s.
        v_seconds := v_ttc - 60 + 61 * 121 / 360.0;
    ELSIF question.settlement = 'average' THEN
        v_decided := coalesce(
            question.observed,
            upc._observed_average(question.symbol, v_at + make_interval(secs => v_ttc - 60), v_at)
        );
        IF v_decided IS NULL THEN
            PERFORM upc._refuse_observed(question.symbol);
        END IF;
        IF v_ttc > 0 THEN
            v_seconds := (v_ttc + 1) * (2 * v_ttc + 1) / (6.0 * v_ttc);
            v_slope := 60.0 / v_ttc;
            v_shift := 100 * (60 - v_ttc) * (question.price - v_decided) / (v_ttc * question.price);
            v_decided := NULL;
        END IF;
    END IF;

    IF question.model = 'volatility' AND v_seconds > 3600 THEN
        v_reading := upc._long_reading(question, v_ttc, v_seconds);
    ELSIF question.model = 'volatility' THEN
        v_reading := upc._volatility_reading(question, v_ttc, v_seconds);
    ELSE
        v_reading := upc._plain_reading(
            question.symbol,
            CASE WHEN question.model <> 'baseline' THEN question.momentum END,
            v_seconds,
            v_is_linear
        );
        IF v_reading.positive IS NULL THEN
            PERFORM upc._refuse_fingerprint(question.symbol);
        END IF;
    END IF;
    IF v_ttc < 60 THEN
        v_reading.slope := v_slope;
        v_reading.shift := v_shift;
        v_reading.decided := v_decided;
    END IF;

    -- Between the strikes below the price and those above it lies what does not move at all. Half
    -- of it on either side lets the probabilities meet there.
    IF v_reading.thresholds[1] = 0 AND (v_is_linear OR question.model = 'volatility') THEN
        v_middle := (v_reading.positive[1] + 100 - v_reading.negative[1]) / 2;
        v_reading.positive[1] := v_middle;
        v_reading.negative[1] := 100 - v_middle;
        IF v_reading.share > 0 THEN
            v_middle := (v_reading.other_positive[1] + 100 - v_reading.other_negative[1]) / 2;
            v_reading.other_positive[1] := v_middle;
            v_reading.other_negative[1] := 100 - v_middle;
        END IF;
    END IF;
    RETURN v_reading;
END
$fn$;
COMMENT ON FUNCTION upc._question_reading IS
    'the curve that a question is read off, whatever the model, the method and what settles it, and how moves are looked up on it';

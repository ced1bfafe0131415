-- Readings: a curve as a question needs it, whatever the model, the method and what settles it.

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


CREATE FUNCTION upc._curve_place(
    thresholds double precision[],
    edges double precision[],
    move double precision,
    is_linear boolean
)
RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN _curve_place.is_linear THEN greatest(1, least(
        width_bucket(_curve_place.move, _curve_place.thresholds),
        cardinality(_curve_place.thresholds) - 1
    ))
    ELSE 1 + width_bucket(_curve_place.move, _curve_place.edges)
END;
COMMENT ON FUNCTION upc._curve_place IS
    'where on its curve a move is read: the place of the threshold before it, or of the nearest one';


CREATE FUNCTION upc._curve_at(
    curve double precision[],
    thresholds double precision[],
    place integer,
    move double precision,
    is_linear boolean
)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- Beyond the last threshold, and where there is only one, the curve goes on level.
RETURN CASE
    WHEN _curve_at.is_linear THEN
        _curve_at.curve[_curve_at.place]
        + (
            coalesce(_curve_at.curve[_curve_at.place + 1], _curve_at.curve[_curve_at.place])
            - _curve_at.curve[_curve_at.place]
        ) * least(1, greatest(0,
            (_curve_at.move - _curve_at.thresholds[_curve_at.place])
            / (
                _curve_at.thresholds[_curve_at.place + 1] - _curve_at.thresholds[_curve_at.place]
            )
        ))
    ELSE _curve_at.curve[_curve_at.place]
END;
COMMENT ON FUNCTION upc._curve_at IS
    'what a curve says at a move with the place of curve_place: in straight lines between thresholds, or the nearest one''s number';


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


-- What a question reads off the plain fingerprints: one curve, between two minutes where the method
-- is linear.
--
-- seconds: of time left. Moves in percent are divided by `unit` before they are looked up: below one
-- minute the first minute's curve answers linear questions, in proportion to the square root of time.
CREATE FUNCTION upc._plain_reading(
    symbol text,
    momentum double precision,
    seconds double precision,
    is_linear boolean,
    is_shrunk boolean,
    OUT strike_step double precision,
    OUT fingerprint text,
    OUT thresholds double precision[],
    OUT edges double precision[],
    OUT positive double precision[],
    OUT negative double precision[],
    OUT unit double precision,
    OUT sample_size bigint,
    OUT effective_size double precision,
    OUT weighted_size double precision
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_grid record;
    v_place integer;
    v_share double precision := 0;
    v_one record;
    v_other record;
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
        RETURN;
    END IF;
    strike_step := v_grid.strike_step;
    fingerprint := v_grid.fingerprint;
    thresholds := v_grid.thresholds;
    edges := v_grid.move_edges;
    unit := 1;
    IF is_linear THEN
        v_place := greatest(1, width_bucket(seconds / 60, v_grid.minutes::double precision[]));
        IF seconds < 60 * v_grid.minutes[1] THEN
            unit := sqrt(seconds / (60 * v_grid.minutes[1]));
        ELSIF v_place < cardinality(v_grid.minutes) THEN
            v_share := (seconds / 60 - v_grid.minutes[v_place])
                / (v_grid.minutes[v_place + 1] - v_grid.minutes[v_place]);
        END IF;
    ELSE
        v_place := 1 + width_bucket(seconds, v_grid.ttc_edges);
    END IF;
    IF is_shrunk AND v_share > 0 AND v_grid.curve_bucket <> 99 THEN
        -- Each minute is trusted as far as it is backed: between them nothing jumps.
        SELECT r.*
        INTO v_one
        FROM upc._plain_reading(symbol, momentum, 60 * v_grid.minutes[v_place], true, true) AS r;
        SELECT r.*
        INTO v_other
        FROM upc._plain_reading(symbol, momentum, 60 * v_grid.minutes[v_place + 1], true, true) AS r;
        positive := upc._curve_between(v_one.positive, v_other.positive, v_share);
        negative := upc._curve_between(v_one.negative, v_other.negative, v_share);
        sample_size := least(v_one.sample_size, v_other.sample_size);
        effective_size := v_one.effective_size
            + v_share * (v_other.effective_size - v_one.effective_size);
        weighted_size := v_one.weighted_size
            + v_share * (v_other.weighted_size - v_one.weighted_size);
        RETURN;
    END IF;

    SELECT c.positive, c.negative, c.sample_size, c.effective_size, c.weighted_size, c.shrinkage
    INTO v_one
    FROM upc.fingerprint_curve AS c
    WHERE c.symbol = v_grid.curve_symbol
      AND c.origin = v_grid.curve_origin
      AND c.bucket = v_grid.curve_bucket
      AND c.minutes = v_grid.minutes[v_place];
    positive := v_one.positive;
    negative := v_one.negative;
    sample_size := v_one.sample_size;
    effective_size := v_one.effective_size;
    weighted_size := v_one.weighted_size;
    IF v_share > 0 THEN
        SELECT c.positive, c.negative, c.sample_size, c.effective_size, c.weighted_size
        INTO v_other
        FROM upc.fingerprint_curve AS c
        WHERE c.symbol = v_grid.curve_symbol
          AND c.origin = v_grid.curve_origin
          AND c.bucket = v_grid.curve_bucket
          AND c.minutes = v_grid.minutes[v_place + 1];
        positive := upc._curve_between(positive, v_other.positive, v_share);
        negative := upc._curve_between(negative, v_other.negative, v_share);
        sample_size := least(sample_size, v_other.sample_size);
        effective_size := effective_size + v_share * (v_other.effective_size - effective_size);
        weighted_size := weighted_size + v_share * (v_other.weighted_size - weighted_size);
    END IF;

    IF is_shrunk AND v_grid.curve_bucket <> 99 AND v_one.shrinkage < 1 THEN
        SELECT b.positive, b.negative, b.effective_size, b.weighted_size
        INTO v_other
        FROM upc._plain_reading(symbol, NULL, seconds, is_linear, false) AS b
        WHERE b.thresholds = _plain_reading.thresholds;
        IF FOUND THEN
            positive := upc._curve_between(v_other.positive, positive, v_one.shrinkage);
            negative := upc._curve_between(v_other.negative, negative, v_one.shrinkage);
            effective_size := upc._mixed_size(
                effective_size, v_other.effective_size, v_one.shrinkage
            );
            weighted_size := upc._mixed_size(
                weighted_size, v_other.weighted_size, v_one.shrinkage
            );
        END IF;
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._plain_reading IS
    'internal: the curve that a question about plain moves is read off, between two minutes where the method is linear, shrunk towards the baseline if asked to';


-- What a question is read off: a curve, and how moves of the price become places on it.
--
-- Arguments as in compute_strikes, which has refused those that make no sense. A volatility is that of
-- the whole time left: of the part of it that decides it is a share, by the forecast where there is one.
-- A move of the price to s percent is one of (slope · s + shift) / unit on the curve; from
-- `decided` on, which is not NULL once nothing is open any more, no curve is needed.
CREATE FUNCTION upc._question_reading(
    price double precision,
    momentum double precision,
    symbol text,
    ttc_seconds integer,
    method text,
    model text,
    settlement text,
    volatility double precision,
    observed double precision,
    variances double precision[],
    OUT strike_step double precision,
    OUT fingerprint text,
    OUT thresholds double precision[],
    OUT edges double precision[],
    OUT positive double precision[],
    OUT negative double precision[],
    OUT unit double precision,
    OUT sample_size bigint,
    OUT effective_size double precision,
    OUT weighted_size double precision,
    OUT slope double precision,
    OUT shift double precision,
    OUT decided double precision,
    OUT deviation double precision
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_ttc integer := coalesce(ttc_seconds, upc._seconds_to_hour(statement_timestamp()));
    v_is_linear boolean := method = 'linear';
    v_seconds double precision := v_ttc;
    v_variances double precision[] := variances;
    v_bucket integer := coalesce(upc.momentum_bucket(momentum), 99);
    v_minutes integer;
    v_share double precision := 0;
    v_curve record;
    v_middle double precision;
BEGIN
    slope := 1;
    shift := 0;
    -- Only the nearest cell of a minute knows no such time.
    IF v_ttc = 0 AND (v_is_linear OR model = 'volatility') THEN
        decided := price;
    END IF;
    IF settlement = 'average' AND v_ttc >= 60 THEN
        -- The mean of 60 values a second apart has the variance that the price has after 20.5 s.
        v_seconds := v_ttc - 60 + 61 * 121 / 360.0;
    ELSIF settlement = 'average' THEN
        decided := coalesce(
            observed,
            upc._observed_average(
                symbol,
                statement_timestamp() + make_interval(secs => v_ttc - 60),
                statement_timestamp()
            )
        );
        IF decided IS NULL THEN
            PERFORM upc._refuse_observed(symbol);
        END IF;
        IF v_ttc > 0 THEN
            v_seconds := (v_ttc + 1) * (2 * v_ttc + 1) / (6.0 * v_ttc);
            slope := 60.0 / v_ttc;
            shift := 100 * (60 - v_ttc) * (price - decided) / (v_ttc * price);
            decided := NULL;
        END IF;
    END IF;

    IF model = 'volatility' THEN
        -- Nothing moves in no time, whatever can be forecast.
        deviation := CASE WHEN v_ttc = 0 THEN 0 ELSE volatility END;
        -- Of less than a minute the variance is in proportion to the time: no forecast is needed.
        IF v_variances IS NULL AND (deviation IS NULL OR v_seconds <> v_ttc AND v_ttc > 60) THEN
            v_variances := upc._known_variances(symbol);
        END IF;
        IF deviation IS NULL THEN
            deviation := 100 * sqrt(upc.variance_until(v_variances, v_ttc));
        END IF;
        IF deviation IS NULL THEN
            PERFORM upc._refuse_forecast(symbol);
        END IF;
        IF v_is_linear THEN
            v_minutes := least(60, greatest(1, floor(v_seconds / 60)));
            v_share := CASE WHEN v_minutes < 60 THEN greatest(0, v_seconds / 60 - v_minutes) ELSE 0 END;
        ELSE
            -- On a tie the shorter time, as everywhere.
            v_minutes := least(60, greatest(1, ceil(v_seconds / 60 - 0.5)));
        END IF;
        LOOP
            SELECT c.fingerprint, c.positive, c.negative, c.sample_size, c.effective_size,
                c.weighted_size, o.positive AS other_positive, o.negative AS other_negative,
                o.effective_size AS other_size
            INTO v_curve
            FROM upc.volatility_curve AS c
            LEFT JOIN upc.volatility_curve AS o
                ON v_share > 0
                AND o.symbol = c.symbol
                AND o.bucket = c.bucket
                AND o.minutes = c.minutes + 1
            WHERE c.symbol = _question_reading.symbol
              AND c.bucket = v_bucket
              AND c.minutes = v_minutes;
            EXIT WHEN v_bucket = 99 OR v_curve.positive IS NOT NULL
                AND (v_share = 0 OR v_curve.other_positive IS NOT NULL);
            -- A bucket that nothing was seen of is as the baseline.
            v_bucket := 99;
        END LOOP;
        fingerprint := v_curve.fingerprint;
        thresholds := upc.volatility_thresholds();
        edges := upc._volatility_edges();
        unit := CASE
            WHEN v_seconds = v_ttc THEN deviation
            ELSE deviation * sqrt(coalesce(
                upc.variance_until(v_variances, v_seconds) / upc.variance_until(v_variances, v_ttc),
                v_seconds / v_ttc
            ))
        END;
        sample_size := v_curve.sample_size;
        effective_size := v_curve.effective_size;
        weighted_size := v_curve.weighted_size;
        positive := v_curve.positive;
        negative := v_curve.negative;
        IF v_share > 0 THEN
            positive := upc._curve_between(positive, v_curve.other_positive, v_share);
            negative := upc._curve_between(negative, v_curve.other_negative, v_share);
            effective_size := effective_size + v_share * (v_curve.other_size - effective_size);
        END IF;
        IF positive IS NULL THEN
            PERFORM upc._refuse_forecast(symbol);
        END IF;
    ELSE
        SELECT r.*
        INTO strike_step, fingerprint, thresholds, edges, positive, negative, unit, sample_size,
            effective_size, weighted_size
        FROM upc._plain_reading(
            symbol,
            CASE WHEN model <> 'baseline' THEN momentum END,
            v_seconds,
            v_is_linear,
            model = 'shrunk'
        ) AS r;
        IF positive IS NULL THEN
            PERFORM upc._refuse_question(
                price, momentum, symbol, ttc_seconds, method, model, settlement
            );
        END IF;
    END IF;

    -- Between the strikes below the price and those above it lies what does not move at all. Half
    -- of it on either side lets the probabilities meet there.
    IF thresholds[1] = 0 AND (v_is_linear OR model = 'volatility') THEN
        v_middle := (positive[1] + 100 - negative[1]) / 2;
        positive[1] := v_middle;
        negative[1] := 100 - v_middle;
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._question_reading IS
    'internal: the curve that a question is read off, whatever the model, the method and what settles it, and how moves become places on it';

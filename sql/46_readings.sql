-- Readings: a curve as a question needs it, whatever the model, the method and what settles it.

CREATE FUNCTION upc.volatility_edges()
RETURNS double precision[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY(
    SELECT (t.threshold + lead(t.threshold) OVER (ORDER BY t.k)) / 2
    FROM unnest(upc.volatility_thresholds()) WITH ORDINALITY AS t (threshold, k)
    ORDER BY t.k
    LIMIT 59
);
COMMENT ON FUNCTION upc.volatility_edges IS
    'midpoints between the thresholds of standardised moves';


CREATE FUNCTION upc.curve_place(
    thresholds double precision[],
    edges double precision[],
    move double precision,
    is_linear boolean
)
RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN curve_place.is_linear THEN greatest(1, least(
        width_bucket(curve_place.move, curve_place.thresholds),
        cardinality(curve_place.thresholds) - 1
    ))
    ELSE 1 + width_bucket(curve_place.move, curve_place.edges)
END;
COMMENT ON FUNCTION upc.curve_place IS
    'where on its curve a move is read: the place of the threshold before it, or of the nearest one';


CREATE FUNCTION upc.curve_at(
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
    WHEN curve_at.is_linear THEN
        curve_at.curve[curve_at.place]
        + (
            coalesce(curve_at.curve[curve_at.place + 1], curve_at.curve[curve_at.place])
            - curve_at.curve[curve_at.place]
        ) * least(1, greatest(0,
            (curve_at.move - curve_at.thresholds[curve_at.place])
            / (
                curve_at.thresholds[curve_at.place + 1] - curve_at.thresholds[curve_at.place]
            )
        ))
    ELSE curve_at.curve[curve_at.place]
END;
COMMENT ON FUNCTION upc.curve_at IS
    'what a curve says at a move with the place of curve_place: in straight lines between thresholds, or the nearest one''s number';


-- What a question reads off the plain fingerprints: one curve, between two minutes where the method
-- is linear.
--
-- seconds: of time left. Moves in percent are divided by `unit` before they are looked up: below one
-- minute the first minute's curve answers linear questions, in proportion to the square root of time.
CREATE FUNCTION upc.plain_reading(
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
    WHERE g.symbol = plain_reading.symbol
      AND g.bucket >= upc.asked_bucket(plain_reading.momentum)
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
        positive := upc.blend(positive, v_other.positive, v_share);
        negative := upc.blend(negative, v_other.negative, v_share);
        sample_size := least(sample_size, v_other.sample_size);
        effective_size := effective_size + v_share * (v_other.effective_size - effective_size);
        weighted_size := weighted_size + v_share * (v_other.weighted_size - weighted_size);
    END IF;

    IF is_shrunk AND v_grid.curve_bucket <> 99 AND v_one.shrinkage < 1 THEN
        SELECT b.positive, b.negative, b.effective_size, b.weighted_size
        INTO v_other
        FROM upc.plain_reading(symbol, NULL, seconds, is_linear, false) AS b
        WHERE b.thresholds = plain_reading.thresholds;
        IF FOUND THEN
            positive := upc.blend(v_other.positive, positive, v_one.shrinkage);
            negative := upc.blend(v_other.negative, negative, v_one.shrinkage);
            effective_size := upc.mixed_size(
                effective_size, v_other.effective_size, v_one.shrinkage
            );
            weighted_size := upc.mixed_size(
                weighted_size, v_other.weighted_size, v_one.shrinkage
            );
        END IF;
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc.plain_reading IS
    'internal: the curve that a question about plain moves is read off, between two minutes where the method is linear, shrunk towards the baseline if asked to';


CREATE FUNCTION upc.standardised_reading(
    symbol text,
    momentum double precision,
    seconds double precision,
    is_linear boolean,
    deviation double precision,
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
    v_bucket integer := coalesce(upc.momentum_bucket(momentum), 99);
    v_minutes integer;
    v_share double precision := 0;
    v_other record;
BEGIN
    IF is_linear THEN
        v_minutes := least(60, greatest(1, floor(seconds / 60)));
        v_share := CASE WHEN v_minutes < 60 THEN greatest(0, seconds / 60 - v_minutes) ELSE 0 END;
    ELSE
        -- On a tie the shorter time, as everywhere.
        v_minutes := least(60, greatest(1, ceil(seconds / 60 - 0.5)));
    END IF;
    SELECT s.strike_step, upc.volatility_name(c.symbol, c.bucket), c.positive, c.negative,
        c.sample_size, c.effective_size, c.weighted_size
    INTO strike_step, fingerprint, positive, negative, sample_size, effective_size, weighted_size
    FROM upc.volatility_curve AS c
    JOIN upc_data.symbol AS s USING (symbol)
    WHERE c.symbol = standardised_reading.symbol
      AND c.bucket IN (v_bucket, 99)
      AND c.minutes = v_minutes
    -- A bucket that nothing was seen of is as the baseline.
    ORDER BY c.bucket = 99
    LIMIT 1;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    thresholds := upc.volatility_thresholds();
    edges := upc.volatility_edges();
    unit := deviation;
    IF v_share > 0 THEN
        SELECT c.positive, c.negative, c.sample_size, c.effective_size, c.weighted_size
        INTO v_other
        FROM upc.volatility_curve AS c
        WHERE c.symbol = standardised_reading.symbol
          AND c.bucket IN (v_bucket, 99)
          AND c.minutes = v_minutes + 1
        ORDER BY c.bucket = 99
        LIMIT 1;
        positive := upc.blend(positive, v_other.positive, v_share);
        negative := upc.blend(negative, v_other.negative, v_share);
        sample_size := least(sample_size, v_other.sample_size);
        effective_size := effective_size + v_share * (v_other.effective_size - effective_size);
        weighted_size := weighted_size + v_share * (v_other.weighted_size - weighted_size);
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc.standardised_reading IS
    'internal: the curve that a question about standardised moves is read off; deviation is the forecast of the standard deviation of the move, percent';


-- The probabilities of some strikes, whatever the model, the method and what settles them.
--
-- Arguments as in compute_strikes, which refuses those that make no sense first.
-- Returns one row per strike in their order.
CREATE FUNCTION upc.read_strikes(
    price double precision,
    strikes double precision[],
    momentum double precision,
    symbol text,
    ttc_seconds integer,
    method text,
    model text,
    settlement text,
    volatility double precision,
    observed double precision
)
RETURNS TABLE (
    strike double precision,
    positive_prob double precision,
    negative_prob double precision,
    prob_above double precision,
    sample_size bigint,
    fingerprint text,
    prob_low double precision,
    prob_high double precision,
    deviation double precision
)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 21
AS $fn$
DECLARE
    v_ttc integer := coalesce(ttc_seconds, upc.seconds_to_hour(statement_timestamp()));
    v_is_linear boolean := method = 'linear';
    v_seconds double precision := v_ttc;
    v_observed double precision := price;
    -- A move of the price to s percent is one of v_slope · s + v_shift percent of what is still open.
    v_slope double precision := 1;
    v_shift double precision := 0;
    v_curve record;
    v_middle double precision;
    -- At the close nothing is open any more; only the nearest cell of a minute knows no such time.
    v_is_decided boolean := method = 'linear' OR model = 'volatility' OR settlement = 'average';
    v_move double precision;
    v_x double precision;
    v_k integer;
    v_spread double precision;
BEGIN
    IF settlement = 'average' THEN
        IF v_ttc >= 60 THEN
            -- The mean of 60 values a second apart has the variance that the price has after 20.5 s.
            v_seconds := v_ttc - 60 + 61 * 121 / 360.0;
        ELSE
            v_observed := coalesce(
                observed,
                upc.observed_average(
                    symbol,
                    statement_timestamp() + make_interval(secs => v_ttc - 60),
                    statement_timestamp()
                )
            );
            IF v_observed IS NULL THEN
                PERFORM upc.refuse_observed(symbol);
            END IF;
            IF v_ttc > 0 THEN
                v_seconds := (v_ttc + 1) * (2 * v_ttc + 1) / (6.0 * v_ttc);
                v_slope := 60.0 / v_ttc;
                v_shift := 100 * (60 - v_ttc) * (price - v_observed) / (v_ttc * price);
            END IF;
        END IF;
    END IF;

    IF model = 'volatility' THEN
        deviation := CASE
            WHEN volatility IS NULL
            THEN 100 * sqrt(upc.variance_until(upc.known_variances(symbol), v_seconds))
            ELSE volatility * sqrt(v_seconds / nullif(v_ttc, 0))
        END;
        IF v_ttc = 0 THEN
            deviation := 0;
        END IF;
        IF deviation IS NULL THEN
            PERFORM upc.refuse_forecast(symbol);
        END IF;
        SELECT r.*
        INTO v_curve
        FROM upc.standardised_reading(symbol, momentum, v_seconds, v_is_linear, deviation) AS r;
        IF v_curve.positive IS NULL THEN
            PERFORM upc.refuse_forecast(symbol);
        END IF;
        deviation := 100 * sqrt(upc.variance_until(upc.known_variances(symbol), v_ttc));
        deviation := coalesce(volatility, deviation);
    ELSE
        SELECT r.*
        INTO v_curve
        FROM upc.plain_reading(
            symbol,
            CASE WHEN model <> 'baseline' THEN momentum END,
            v_seconds,
            v_is_linear,
            model = 'shrunk'
        ) AS r;
        IF v_curve.positive IS NULL THEN
            PERFORM upc.refuse_question(
                price, momentum, symbol, ttc_seconds, method, model, settlement
            );
        END IF;
    END IF;
    sample_size := v_curve.sample_size;
    fingerprint := v_curve.fingerprint;

    -- Between the strikes below the price and those above it lies what does not move at all. Half
    -- of it on either side lets the probabilities meet there.
    IF v_curve.thresholds[1] = 0 AND (v_is_linear OR model = 'volatility') THEN
        v_middle := (v_curve.positive[1] + 100 - v_curve.negative[1]) / 2;
        v_curve.positive[1] := v_middle;
        v_curve.negative[1] := 100 - v_middle;
    END IF;

    FOREACH strike IN ARRAY strikes LOOP
        v_move := abs(price - strike);
        IF v_ttc = 0 AND v_is_decided THEN
            positive_prob := CASE WHEN v_observed >= price + v_move THEN 100 ELSE 0 END;
            negative_prob := CASE WHEN v_observed <= price - v_move THEN 100 ELSE 0 END;
            prob_above := CASE WHEN v_observed >= strike THEN 100 ELSE 0 END;
            prob_low := prob_above;
            prob_high := prob_above;
            RETURN NEXT;
            CONTINUE;
        END IF;
        v_move := 100 * v_move / price;

        v_x := (v_slope * v_move + v_shift) / v_curve.unit;
        v_k := upc.curve_place(v_curve.thresholds, v_curve.edges, abs(v_x), v_is_linear);
        positive_prob := CASE
            WHEN v_x >= 0
            THEN upc.curve_at(v_curve.positive, v_curve.thresholds, v_k, v_x, v_is_linear)
            ELSE 100
                - upc.curve_at(v_curve.negative, v_curve.thresholds, v_k, -v_x, v_is_linear)
        END;
        -- Downward it is the same place, unless a part of the average is known.
        IF v_shift <> 0 THEN
            v_x := (v_slope * v_move - v_shift) / v_curve.unit;
            v_k := upc.curve_place(v_curve.thresholds, v_curve.edges, abs(v_x), v_is_linear);
        END IF;
        negative_prob := CASE
            WHEN v_x >= 0
            THEN upc.curve_at(v_curve.negative, v_curve.thresholds, v_k, v_x, v_is_linear)
            ELSE 100
                - upc.curve_at(v_curve.positive, v_curve.thresholds, v_k, -v_x, v_is_linear)
        END;
        prob_above := CASE WHEN strike > price THEN positive_prob ELSE 100 - negative_prob END;
        v_spread := upc.interval_spread(
            prob_above, v_curve.effective_size, v_curve.weighted_size
        );
        prob_low := upc.interval_low(prob_above, v_spread);
        prob_high := upc.interval_high(prob_above, v_spread);
        RETURN NEXT;
    END LOOP;
END
$fn$;
COMMENT ON FUNCTION upc.read_strikes IS
    'internal: the probabilities of some strikes in percent, whatever the model, the method and what settles them';

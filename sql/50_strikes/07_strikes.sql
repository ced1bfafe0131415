-- Strikes: the probability of every strike around a price, as the tick asks for it every second.

-- The probability of every strike around a price.
--
-- Arguments:
--   price        USD, above zero
--   momentum     basis points; NULL: the fingerprint of all minutes, the baseline
--   ttc_seconds  whole seconds to the close; NULL: to the next full hour
--   step         USD between strikes; NULL: the symbol's own
--   levels       strikes below and above the one nearest to the price, 0 to 500
--   method       nearest, the cell of the grid; linear, between the cells
--   model        momentum, the fingerprint of the bucket; baseline, that of all minutes;
--                volatility, fingerprints of moves in units of their forecast
--   settlement   close, by the last price; average, by the mean of 60 values of the last minute
--   volatility   standard deviation of the move in the time left, percent, 0 if none is left; NULL:
--                the forecast at the newest candle
--   observed     USD, the mean of the last minute so far; NULL: that of the price log
--   strikes      USD; a list that replaces step and levels
--   variances    the forecast to answer by, for upc.variance_until; NULL: that at the newest candle
--   recalibrate  false leaves probabilities as they were counted; true corrects those of the model
--                volatility by what came of earlier ones, unless volatility is given
--
-- Returns one row per strike, ascending or in the order given; probabilities in percent:
--   strike, buffer         USD; buffer is the distance of the strike from the price
--   move_percent           that distance in percent of the price
--   direction              above where the strike is above the price, else below
--   prob_beyond            that the price moves at least to the strike: positive_prob or negative_prob
--   prob_within            100 - prob_beyond
--   positive_prob, negative_prob  of a move of at least move_percent up, and down
--   prob_above             that the contract "at or above the strike" pays
--   sample_size            starting minutes behind the row; NULL for an imported fingerprint
--   fingerprint            name of the fingerprint that answered
--   prob_low, prob_high    the 95 % interval of prob_above; NULL where imported, both prob_above where
--                          nothing is open any more
--   deviation              the standard deviation that the moves are measured by, percent; NULL but for
--                          the model volatility
-- Errors: UP001 price or observed, UP002 symbol, UP003 step, UP004 levels, UP005 method, UP006 no
-- fingerprint, UP007 momentum, UP008 ttc_seconds, UP018 model, UP019 settlement, UP020 no forecast,
-- UP021 nothing observed.
--
-- Example:
--   SELECT strike, prob_above, prob_low, prob_high
--   FROM compute_strikes(97250, 7, ttc_seconds => 900, levels => 1);
CREATE FUNCTION upc.compute_strikes(
    price double precision,
    momentum double precision DEFAULT NULL,
    symbol text DEFAULT 'BTC',
    ttc_seconds integer DEFAULT NULL,
    step double precision DEFAULT NULL,
    levels integer DEFAULT 10,
    method text DEFAULT 'nearest',
    model text DEFAULT 'momentum',
    settlement text DEFAULT 'close',
    volatility double precision DEFAULT NULL,
    observed double precision DEFAULT NULL,
    strikes double precision[] DEFAULT NULL,
    variances double precision[] DEFAULT NULL,
    recalibrate boolean DEFAULT true
)
RETURNS TABLE (
    strike double precision,
    buffer double precision,
    move_percent double precision,
    direction text,
    prob_beyond double precision,
    prob_within double precision,
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
    v_curve record;
    v_step double precision;
    v_nearest double precision;
    v_lowest integer;
    v_highest integer := levels;
    v_last integer;
    v_next integer := 0;
    v_is_between boolean;
    v_k integer;
    v_x double precision;
    v_part double precision := 0;
    -- The common question takes the short way.
    v_is_plain boolean := method = 'nearest' AND model = 'momentum' AND settlement = 'close';
    v_is_linear boolean;
    v_is_partly_seen boolean;
    v_decided double precision;
    -- The interval as in 04_intervals.sql, with what does not change taken out: a function call per
    -- strike would be too expensive.
    v_independent double precision;
    v_overlapping double precision;
    v_scale double precision;
    v_spread double precision;
    v_reach double precision;
    v_has_drift boolean := false;
    v_drift double precision := 0;
BEGIN
    IF v_is_plain AND upc._is_question(
        upc._make_question(
            price, momentum, symbol, ttc_seconds, step, levels, method, model, settlement,
            volatility, observed, strikes, variances
        )
    ) THEN
        SELECT a.positive, a.negative, a.sample_size, a.fingerprint, a.move_edges AS edges,
            a.strike_step, a.effective_size, a.weighted_size
        INTO v_curve
        FROM upc._fingerprint_answer(symbol, momentum, ttc_seconds) AS a;
        IF NOT FOUND THEN
            PERFORM upc._refuse_fingerprint(symbol);
        END IF;
    ELSE
        v_curve := upc._question_reading(
            upc._make_question(
                price, momentum, symbol, ttc_seconds, step, levels, method, model, settlement,
                volatility, observed, strikes, variances, recalibrate => recalibrate
            )
        );
        deviation := v_curve.deviation;
        v_decided := v_curve.decided;
        v_is_partly_seen := v_curve.shift <> 0;
        v_has_drift := v_curve.positive_drift IS NOT NULL;
        v_is_linear := method = 'linear';
        v_next := v_is_linear::integer;
        v_is_between := v_curve.share > 0;
        v_last := cardinality(v_curve.thresholds) - 1;
    END IF;

    v_step := coalesce(step, v_curve.strike_step);
    IF v_step IS NULL THEN
        SELECT s.strike_step INTO v_step
        FROM upc_data.symbol AS s
        WHERE s.symbol = compute_strikes.symbol;
    END IF;
    v_nearest := round(price / v_step);
    -- Strikes at or below zero are left out.
    v_lowest := greatest(-levels, 1 - v_nearest);
    IF strikes IS NOT NULL THEN
        v_lowest := 1;
        v_highest := cardinality(strikes);
    END IF;
    sample_size := v_curve.sample_size;
    fingerprint := v_curve.fingerprint;

    v_independent := 3.841458820694124::double precision / v_curve.weighted_size;
    v_overlapping := 3.841458820694124::double precision / v_curve.effective_size - v_independent;
    v_scale := 0.02::double precision / (1 + v_independent + v_overlapping);

    FOR v_level IN v_lowest..v_highest LOOP
        strike := coalesce(strikes[v_level], (v_nearest + v_level) * v_step);
        buffer := abs(price - strike);
        move_percent := 100 * buffer / price;
        IF v_is_plain THEN
            v_k := 1 + width_bucket(move_percent, v_curve.edges);
            positive_prob := v_curve.positive[v_k];
            negative_prob := v_curve.negative[v_k];
        ELSIF v_decided IS NULL AND NOT v_is_partly_seen THEN
            v_x := move_percent * v_curve.slope / v_curve.unit;
            IF v_is_linear THEN
                -- As upc._threshold_index and upc._curve_value, the part between two thresholds
                -- worked out once.
                v_k := greatest(1, least(width_bucket(v_x, v_curve.thresholds), v_last));
                v_part := least(1, greatest(0,
                    (v_x - v_curve.thresholds[v_k])
                    / (v_curve.thresholds[v_k + 1] - v_curve.thresholds[v_k])
                ));
                positive_prob := v_curve.positive[v_k] + v_part * (
                    coalesce(v_curve.positive[v_k + 1], v_curve.positive[v_k])
                    - v_curve.positive[v_k]
                );
                negative_prob := v_curve.negative[v_k] + v_part * (
                    coalesce(v_curve.negative[v_k + 1], v_curve.negative[v_k])
                    - v_curve.negative[v_k]
                );
                IF v_is_between THEN
                    positive_prob := positive_prob + v_curve.share * (
                        v_curve.other_positive[v_k] - positive_prob + v_part * (
                            v_curve.other_positive[v_k + 1] - v_curve.other_positive[v_k]
                        )
                    );
                    negative_prob := negative_prob + v_curve.share * (
                        v_curve.other_negative[v_k] - negative_prob + v_part * (
                            v_curve.other_negative[v_k + 1] - v_curve.other_negative[v_k]
                        )
                    );
                END IF;
            ELSE
                v_k := 1 + width_bucket(v_x, v_curve.edges);
                positive_prob := v_curve.positive[v_k];
                negative_prob := v_curve.negative[v_k];
            END IF;
        ELSIF v_decided IS NULL THEN
            -- A part of the average is known: up and down are not alike.
            v_x := (move_percent * v_curve.slope + v_curve.shift) / v_curve.unit;
            v_k := upc._threshold_index(v_curve.thresholds, v_curve.edges, abs(v_x), v_is_linear);
            positive_prob := CASE
                WHEN v_x >= 0
                THEN upc._curve_value(v_curve.positive, v_curve.thresholds, v_k, v_x, v_is_linear)
                ELSE 100
                    - upc._curve_value(v_curve.negative, v_curve.thresholds, v_k, -v_x, v_is_linear)
            END;
            v_x := (move_percent * v_curve.slope - v_curve.shift) / v_curve.unit;
            v_k := upc._threshold_index(v_curve.thresholds, v_curve.edges, abs(v_x), v_is_linear);
            negative_prob := CASE
                WHEN v_x >= 0
                THEN upc._curve_value(v_curve.negative, v_curve.thresholds, v_k, v_x, v_is_linear)
                ELSE 100
                    - upc._curve_value(v_curve.positive, v_curve.thresholds, v_k, -v_x, v_is_linear)
            END;
        ELSE
            positive_prob := CASE WHEN v_decided >= price + buffer THEN 100 ELSE 0 END;
            -- Exactly at the strike is above it.
            negative_prob := CASE WHEN v_decided >= price - buffer THEN 0 ELSE 100 END;
        END IF;
        IF strike > price THEN
            direction := 'above';
            prob_beyond := positive_prob;
            prob_within := 100 - positive_prob;
            prob_above := positive_prob;
        ELSE
            direction := 'below';
            prob_beyond := negative_prob;
            prob_within := 100 - negative_prob;
            prob_above := prob_within;
        END IF;
        IF v_decided IS NULL THEN
            IF v_has_drift THEN
                IF v_is_partly_seen THEN
                    v_x := (v_curve.shift + 100 * (strike - price) / price * v_curve.slope)
                        / v_curve.unit;
                    v_drift := upc._drift_at(
                        v_curve.positive_drift, v_curve.negative_drift, v_curve.thresholds,
                        upc._threshold_index(
                            v_curve.thresholds, v_curve.edges, abs(v_x), v_is_linear
                        ),
                        v_x, v_is_linear
                    );
                ELSIF strike > price THEN
                    v_drift := v_curve.positive_drift[v_k] + v_part
                        * (v_curve.positive_drift[v_k + v_next] - v_curve.positive_drift[v_k]);
                ELSE
                    v_drift := v_curve.negative_drift[v_k] + v_part
                        * (v_curve.negative_drift[v_k + v_next] - v_curve.negative_drift[v_k]);
                END IF;
            END IF;
            v_spread := v_drift + v_independent + v_overlapping * (
                1 - (v_scale * (prob_above - 50)) * (v_scale * (prob_above - 50))
            ) ^ 0.16666666666666666::double precision;
            v_reach := 50 * v_spread
                + sqrt(v_spread * (prob_above * (100 - prob_above) + 2500 * v_spread));
            prob_low := prob_above * prob_above / (prob_above + v_reach);
            prob_high := 100
                - (100 - prob_above) * (100 - prob_above) / (100 - prob_above + v_reach);
        ELSE
            -- There is nothing to be uncertain about.
            prob_low := prob_above;
            prob_high := prob_above;
        END IF;
        RETURN NEXT;
    END LOOP;
END
$fn$;
COMMENT ON FUNCTION upc.compute_strikes IS
    'the probability of every strike around a price, in percent: one row per strike, ascending';


-- The probability of one strike, in percent.
--
-- Arguments as in compute_strikes; strike in USD, above zero.
-- Returns one row: move_percent is how far the strike is from the price, both directions are read
-- at that move, prob_above is the probability that the contract settles at or above the strike.
-- Errors: UP001 price or strike, and those of compute_strikes.
--
-- Example:
--   SELECT move_percent FROM probability(97250, 98222.5, 7, ttc_seconds => 900);
CREATE FUNCTION upc.probability(
    price double precision,
    strike double precision,
    momentum double precision DEFAULT NULL,
    symbol text DEFAULT 'BTC',
    ttc_seconds integer DEFAULT NULL,
    method text DEFAULT 'nearest',
    model text DEFAULT 'momentum',
    settlement text DEFAULT 'close',
    volatility double precision DEFAULT NULL,
    observed double precision DEFAULT NULL,
    variances double precision[] DEFAULT NULL,
    recalibrate boolean DEFAULT true,
    OUT prob_above double precision,
    OUT positive_prob double precision,
    OUT negative_prob double precision,
    OUT move_percent double precision,
    OUT sample_size bigint,
    OUT fingerprint text,
    OUT prob_low double precision,
    OUT prob_high double precision
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    SELECT c.prob_above, c.positive_prob, c.negative_prob, c.move_percent, c.sample_size,
        c.fingerprint, c.prob_low, c.prob_high
    INTO prob_above, positive_prob, negative_prob, move_percent, sample_size, fingerprint,
        prob_low, prob_high
    FROM upc.compute_strikes(
        price, momentum, symbol, ttc_seconds, 1, 0, method, model, settlement, volatility, observed,
        ARRAY[strike], variances, recalibrate
    ) AS c;
END
$fn$;
COMMENT ON FUNCTION upc.probability IS
    'the probability of one strike, in percent, and the cell that it was read from';

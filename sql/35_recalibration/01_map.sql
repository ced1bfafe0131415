-- Recalibration: what the model said is set beside what came, and what it says is corrected by that.
--
-- With x the log-odds of a probability, the corrected ones are a + b x + c x^3 / 20: a lifts, b stretches and
-- c bends. a, b and c are fitted at three times to the close, in between they change in straight lines over
-- the logarithm of time. 0 and 100 stay.

CREATE TYPE upc._recalibration AS (
    lift double precision,
    stretch double precision,
    bend double precision
);
COMMENT ON TYPE upc._recalibration IS
    'a correction of log-odds x: lift + stretch x + bend x^3 / 20; NULL is none';


CREATE FUNCTION upc._recalibration_knots()
RETURNS integer[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '{3, 12, 45}'::integer[];
COMMENT ON FUNCTION upc._recalibration_knots IS
    'the times to the close, in minutes, at which a recalibration is fitted';


-- How much of each knot's numbers counts at a time to the close: they sum to 1.
CREATE FUNCTION upc._knot_shares(minutes double precision)
RETURNS double precision[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN _knot_shares.minutes <= 3 THEN '{1, 0, 0}'::double precision[]
    WHEN _knot_shares.minutes <= 12 THEN ARRAY[
        1 - ln(_knot_shares.minutes / 3) / ln(4::double precision),
        ln(_knot_shares.minutes / 3) / ln(4::double precision),
        0
    ]
    WHEN _knot_shares.minutes <= 45 THEN ARRAY[
        0,
        1 - ln(_knot_shares.minutes / 12) / ln(3.75::double precision),
        ln(_knot_shares.minutes / 12) / ln(3.75::double precision)
    ]
    ELSE '{0, 0, 1}'::double precision[]
END;
COMMENT ON FUNCTION upc._knot_shares IS
    'how much of the numbers of each knot counts at a time to the close, in minutes';


CREATE FUNCTION upc._recalibration_at(
    lifts double precision[],
    stretches double precision[],
    bends double precision[],
    minutes double precision
)
RETURNS upc._recalibration
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_shares double precision[] := upc._knot_shares(minutes);
    v_found upc._recalibration;
BEGIN
    v_found.lift := v_shares[1] * lifts[1] + v_shares[2] * lifts[2] + v_shares[3] * lifts[3];
    v_found.stretch := v_shares[1] * stretches[1] + v_shares[2] * stretches[2]
        + v_shares[3] * stretches[3];
    v_found.bend := v_shares[1] * bends[1] + v_shares[2] * bends[2] + v_shares[3] * bends[3];
    RETURN v_found;
END
$fn$;
COMMENT ON FUNCTION upc._recalibration_at IS
    'a recalibration at a time to the close, from its numbers at the knots';


CREATE FUNCTION upc._recalibrated_odds(
    log_odds double precision,
    lift double precision,
    stretch double precision,
    bend double precision
)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 100 / (
    1 + exp(
        - _recalibrated_odds.lift
        - _recalibrated_odds.log_odds * (
            _recalibrated_odds.stretch
            + 0.05::double precision * _recalibrated_odds.bend
                * _recalibrated_odds.log_odds * _recalibrated_odds.log_odds
        )
    )
);
COMMENT ON FUNCTION upc._recalibrated_odds IS
    'the corrected probability in percent of log-odds';


-- A curve of standardised moves by its corrected probabilities. What was never seen, or always, stays. Of a curve
-- of moves down the log-odds are those of not ending above: lift has the other sign.
CREATE FUNCTION upc._recalibrated_curve(
    curve double precision[],
    lift double precision,
    stretch double precision,
    bend double precision
)
RETURNS double precision[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_curve double precision[] := curve;
    v_bend double precision := 0.05 * bend;
    v_odds double precision;
BEGIN
    IF stretch IS NULL THEN
        RETURN curve;
    END IF;
    FOR v_k IN 1..cardinality(curve) LOOP
        -- The larger the move, the fewer have seen it.
        EXIT WHEN v_curve[v_k] = 0;
        IF v_curve[v_k] < 100 THEN
            -- Beyond 25 there are only leftovers of rounding, whose cube no number could hold.
            v_odds := greatest(-25, least(25, ln(v_curve[v_k] / (100 - v_curve[v_k]))));
            v_curve[v_k] := 100 / (1 + exp(-lift - v_odds * (stretch + v_bend * v_odds * v_odds)));
        END IF;
    END LOOP;
    RETURN v_curve;
END
$fn$;
COMMENT ON FUNCTION upc._recalibrated_curve IS
    'a curve of standardised moves with its probabilities corrected; the same without a correction';

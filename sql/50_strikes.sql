-- Strikes: what the tick asks every second.

-- The probability of every strike around a price.
--
-- price: USD, above zero. momentum: basis points; NULL asks the baseline. ttc_seconds: whole
-- seconds to the close; NULL means to the next full hour. step: USD between strikes; NULL means the
-- symbol's own. levels: strikes below and above the one nearest to the price, 0 to 500.
-- Returns one row per strike, ascending; probabilities in percent.
-- Errors: UP001 price, UP002 symbol, UP003 step, UP004 levels, UP005 method, UP006 no fingerprint,
-- UP007 momentum, UP008 ttc_seconds.
--
-- Example:
--   SELECT strike, direction FROM compute_strikes(97250, 7, ttc_seconds => 900, levels => 1);
CREATE FUNCTION upc.compute_strikes(
    price double precision,
    momentum double precision DEFAULT NULL,
    symbol text DEFAULT 'BTC',
    ttc_seconds integer DEFAULT NULL,
    step double precision DEFAULT NULL,
    levels integer DEFAULT 10,
    method text DEFAULT 'nearest'
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
    fingerprint text
)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 21
AS $fn$
DECLARE
    v_curve record;
    v_step double precision;
    v_nearest double precision;
    v_lowest integer;
    v_k integer;
BEGIN
    IF NOT coalesce(levels BETWEEN 0 AND 500, false) THEN
        RAISE EXCEPTION 'levels must be from 0 to 500, got %', coalesce(levels::text, 'NULL')
            USING
                ERRCODE = 'UP004',
                DETAIL = 'It is the number of strikes below and above the one nearest to the price.',
                HINT = 'Leave it out for 10.';
    END IF;
    IF NOT coalesce(step > 0 AND step < 'Infinity', true) THEN
        RAISE EXCEPTION 'step must be a positive number, got %', step
            USING
                ERRCODE = 'UP003',
                DETAIL = 'It is the distance between two strikes in quote currency.',
                HINT = 'Pass NULL for the symbol''s own step.';
    END IF;

    IF NOT upc.is_question(price, momentum, ttc_seconds, method) THEN
        PERFORM upc.refuse_question(price, momentum, symbol, ttc_seconds, method);
    END IF;

    SELECT a.positive, a.negative, a.sample_size, a.fingerprint, a.move_edges, a.strike_step
    INTO v_curve
    FROM upc.fingerprint_answer(symbol, momentum, ttc_seconds) AS a;
    IF NOT FOUND THEN
        PERFORM upc.refuse_question(price, momentum, symbol, ttc_seconds, method);
    END IF;

    v_step := coalesce(step, v_curve.strike_step);
    v_nearest := round(price / v_step);
    -- Strikes at or below zero are left out.
    v_lowest := greatest(-levels, 1 - v_nearest);
    sample_size := v_curve.sample_size;
    fingerprint := v_curve.fingerprint;

    FOR v_level IN v_lowest..levels LOOP
        strike := (v_nearest + v_level) * v_step;
        buffer := abs(price - strike);
        move_percent := 100 * buffer / price;
        v_k := 1 + width_bucket(move_percent, v_curve.move_edges);
        positive_prob := v_curve.positive[v_k];
        negative_prob := v_curve.negative[v_k];
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
        RETURN NEXT;
    END LOOP;
END
$fn$;
COMMENT ON FUNCTION upc.compute_strikes IS
    'the probability of every strike around a price, in percent: one row per strike, ascending';

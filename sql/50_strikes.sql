-- Strikes: what the tick asks every second.

CREATE FUNCTION upc.refuse_question(
    price double precision,
    momentum double precision,
    symbol text,
    ttc_seconds integer,
    method text
)
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    IF NOT coalesce(refuse_question.price > 0 AND refuse_question.price < 'Infinity', false) THEN
        RAISE EXCEPTION 'price must be a positive number, got %', coalesce(refuse_question.price::text, 'NULL')
            USING
                ERRCODE = 'UP001',
                DETAIL = 'A price is in quote currency per unit, finite and above zero.',
                HINT = 'Pass the current price, for example compute_strikes(97250).';
    END IF;
    IF refuse_question.momentum IN ('NaN', 'Infinity', '-Infinity') THEN
        RAISE EXCEPTION 'momentum must be finite, got %', refuse_question.momentum
            USING
                ERRCODE = 'UP007',
                DETAIL = 'Momentum is in basis points; NULL asks the baseline.',
                HINT = 'Pass NULL where momentum is not known.';
    END IF;
    IF refuse_question.ttc_seconds < 0 THEN
        RAISE EXCEPTION 'ttc_seconds must not be negative, got %', refuse_question.ttc_seconds
            USING
                ERRCODE = 'UP008',
                DETAIL = 'It is the whole seconds until the contract closes.',
                HINT = 'Pass NULL for the time to the next full hour.';
    END IF;
    IF refuse_question.method IS DISTINCT FROM 'nearest' THEN
        RAISE EXCEPTION 'unknown method %', coalesce(quote_literal(refuse_question.method), 'NULL')
            USING
                ERRCODE = 'UP005',
                DETAIL = 'The method says how a probability is read off the grid of a fingerprint.',
                HINT = 'Use method => ''nearest''.';
    END IF;
    PERFORM upc.require_symbol(refuse_question.symbol);
    RAISE EXCEPTION 'no fingerprint answers for %', refuse_question.symbol
        USING
            ERRCODE = 'UP006',
            DETAIL = 'Neither the symbol nor the pool of all symbols has a complete build.',
            HINT = 'Load candles and run "pyupc fingerprints build".';
END
$fn$;
COMMENT ON FUNCTION upc.refuse_question IS
    'raises the error that says why a question for probabilities has no answer';


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

    SELECT c.positive, c.negative, c.sample_size, g.fingerprint, g.move_edges, g.strike_step
    INTO v_curve
    FROM upc.fingerprint_grid AS g
    JOIN upc.fingerprint_curve AS c
        ON c.symbol = g.curve_symbol
        AND c.origin = g.curve_origin
        AND c.bucket = g.curve_bucket
        AND c.minutes = g.minutes[1 + width_bucket(coalesce(ttc_seconds, upc.seconds_to_hour(statement_timestamp())), g.ttc_edges)]
    WHERE g.symbol = compute_strikes.symbol
      AND g.bucket = upc.asked_bucket(momentum);
    IF NOT FOUND OR NOT coalesce(price > 0 AND price < 'Infinity' AND method = 'nearest', false) THEN
        PERFORM upc.refuse_question(price, momentum, symbol, ttc_seconds, method);
    END IF;

    v_step := coalesce(step, v_curve.strike_step);
    v_nearest := round(price / v_step);
    sample_size := v_curve.sample_size;
    fingerprint := v_curve.fingerprint;

    FOR v_level IN -levels..levels LOOP
        strike := (v_nearest + v_level) * v_step;
        CONTINUE WHEN strike <= 0;
        buffer := abs(price - strike);
        move_percent := 100 * buffer / price;
        v_k := 1 + width_bucket(move_percent, v_curve.move_edges);
        positive_prob := v_curve.positive[v_k];
        negative_prob := v_curve.negative[v_k];
        IF strike > price THEN
            direction := 'above';
            prob_beyond := positive_prob;
            prob_above := positive_prob;
        ELSE
            direction := 'below';
            prob_beyond := negative_prob;
            prob_above := 100 - negative_prob;
        END IF;
        prob_within := 100 - prob_beyond;
        RETURN NEXT;
    END LOOP;
END
$fn$;

-- Lookup: which cell of a fingerprint answers a question.

CREATE FUNCTION upc.seconds_to_hour(at timestamptz)
RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN floor(
    3600 - (
        date_part('epoch', seconds_to_hour.at)
        - 3600 * floor(date_part('epoch', seconds_to_hour.at) / 3600)
    )
)::integer;
COMMENT ON FUNCTION upc.seconds_to_hour IS
    'whole seconds from an instant to the next full hour, rounded down; 3600 exactly on the hour';


CREATE FUNCTION upc.next_hour(at timestamptz)
RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
RETURN date_bin('1 hour', next_hour.at, '2000-01-01 00:00:00+00') + interval '1 hour';
COMMENT ON FUNCTION upc.next_hour IS
    'the next full hour; an hour later exactly on one';


CREATE FUNCTION upc.asked_bucket(momentum double precision)
RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN asked_bucket.momentum IS NULL THEN 99
    ELSE least(98, greatest(-98, asked_bucket.momentum))::integer
END;
COMMENT ON FUNCTION upc.asked_bucket IS
    'the bucket that a momentum in basis points asks for: the nearest integer, half to even; NULL asks for the baseline, 99';


-- The curve that answers a question, and the grid on which it is read: one probe of either index.
--
-- momentum: basis points; NULL asks the baseline. ttc_seconds: NULL means to the next full hour.
-- Returns no row where no fingerprint answers. It is part of the query that calls it.
CREATE FUNCTION upc.fingerprint_answer(
    symbol text,
    momentum double precision,
    ttc_seconds integer
)
RETURNS TABLE (
    strike_step double precision,
    fingerprint text,
    move_edges double precision[],
    sample_size bigint,
    positive double precision[],
    negative double precision[]
)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
    SELECT g.strike_step, g.fingerprint, g.move_edges, c.sample_size, c.positive, c.negative
    FROM (
        SELECT a.*
        FROM upc.fingerprint_grid AS a
        WHERE a.symbol = fingerprint_answer.symbol
          AND a.bucket >= upc.asked_bucket(fingerprint_answer.momentum)
        ORDER BY a.bucket
        LIMIT 1
    ) AS g
    JOIN upc.fingerprint_curve AS c
        ON c.symbol = g.curve_symbol
        AND c.origin = g.curve_origin
        AND c.bucket = g.curve_bucket
        AND c.minutes = g.minutes[
            1 + width_bucket(
                coalesce(
                    fingerprint_answer.ttc_seconds, upc.seconds_to_hour(statement_timestamp())
                ),
                g.ttc_edges
            )
        ];
END;
COMMENT ON FUNCTION upc.fingerprint_answer IS
    'the curve that answers for a symbol, a momentum and a time to the close, and the edges between its moves';


CREATE FUNCTION upc.is_question(
    price double precision,
    momentum double precision,
    ttc_seconds integer,
    method text
)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(
    is_question.price > 0
    AND is_question.price < 'Infinity'
    AND coalesce(abs(is_question.momentum) < 'Infinity', true)
    AND coalesce(is_question.ttc_seconds >= 0, true)
    AND is_question.method = 'nearest',
    false
);
COMMENT ON FUNCTION upc.is_question IS
    'whether a question for probabilities makes sense; refuse_question says why not';


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
        RAISE EXCEPTION 'price must be a positive number, got %',
            coalesce(refuse_question.price::text, 'NULL')
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
            DETAIL = 'Neither the symbol nor the pool of all symbols has one.',
            HINT = 'Load candles and run "pyupc fingerprints build", or import fingerprints.';
END
$fn$;
COMMENT ON FUNCTION upc.refuse_question IS
    'raises the error that says why a question for probabilities has no answer';


-- The probability of one strike, in percent.
--
-- Arguments as in compute_strikes; strike in USD, above zero.
-- Returns one row: move_percent is how far the strike is from the price, both directions are read
-- at that move, prob_above is the probability that the price closes at or above the strike.
-- Errors: UP001 price or strike, UP002 symbol, UP005 method, UP006 no fingerprint, UP007 momentum,
-- UP008 ttc_seconds.
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
    OUT prob_above double precision,
    OUT positive_prob double precision,
    OUT negative_prob double precision,
    OUT move_percent double precision,
    OUT sample_size bigint,
    OUT fingerprint text
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    IF NOT coalesce(strike > 0 AND strike < 'Infinity', false) THEN
        RAISE EXCEPTION 'strike must be a positive number, got %', coalesce(strike::text, 'NULL')
            USING
                ERRCODE = 'UP001',
                DETAIL = 'A strike is a price in quote currency per unit, finite and above zero.',
                HINT = 'Pass the strike, for example probability(97250, 97500).';
    END IF;

    IF upc.is_question(price, momentum, ttc_seconds, method) THEN
        move_percent := 100 * abs(price - strike) / price;
        SELECT
            a.positive[1 + width_bucket(probability.move_percent, a.move_edges)],
            a.negative[1 + width_bucket(probability.move_percent, a.move_edges)],
            a.sample_size,
            a.fingerprint
        INTO positive_prob, negative_prob, sample_size, fingerprint
        FROM upc.fingerprint_answer(symbol, momentum, ttc_seconds) AS a;
    END IF;
    IF fingerprint IS NULL THEN
        PERFORM upc.refuse_question(price, momentum, symbol, ttc_seconds, method);
    END IF;
    prob_above := CASE WHEN strike > price THEN positive_prob ELSE 100 - negative_prob END;
END
$fn$;
COMMENT ON FUNCTION upc.probability IS
    'the probability of one strike, in percent, and the cell that it was read from';

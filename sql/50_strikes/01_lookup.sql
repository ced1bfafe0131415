-- Lookup: which cell of a fingerprint answers a question.

CREATE FUNCTION upc._seconds_to_hour(at timestamptz)
RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN floor(
    3600 - (
        date_part('epoch', _seconds_to_hour.at)
        - 3600 * floor(date_part('epoch', _seconds_to_hour.at) / 3600)
    )
)::integer;
COMMENT ON FUNCTION upc._seconds_to_hour IS
    'whole seconds from an instant to the next full hour, rounded down; 3600 exactly on the hour';


CREATE FUNCTION upc._next_hour(at timestamptz)
RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
RETURN date_bin('1 hour', _next_hour.at, '2000-01-01 00:00:00+00') + interval '1 hour';
COMMENT ON FUNCTION upc._next_hour IS
    'the next full hour; an hour later exactly on one';


CREATE FUNCTION upc._asked_bucket(momentum double precision)
RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN _asked_bucket.momentum IS NULL THEN 99
    ELSE least(98, greatest(-98, _asked_bucket.momentum))::integer
END;
COMMENT ON FUNCTION upc._asked_bucket IS
    'the bucket that a momentum in basis points asks for: the nearest integer, half to even; NULL asks for the baseline, 99';


-- The curve that answers a question, and the grid on which it is read: one probe of either index.
--
-- momentum: basis points; NULL asks the baseline. ttc_seconds: NULL means to the next full hour.
-- Returns no row where no fingerprint answers. It is part of the query that calls it.
CREATE FUNCTION upc._fingerprint_answer(
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
    negative double precision[],
    effective_size double precision,
    weighted_size double precision
)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
    SELECT g.strike_step, g.fingerprint, g.move_edges, c.sample_size, c.positive, c.negative,
        c.effective_size, c.weighted_size
    FROM (
        SELECT a.*
        FROM upc.fingerprint_grid AS a
        WHERE a.symbol = _fingerprint_answer.symbol
          AND a.bucket >= upc._asked_bucket(_fingerprint_answer.momentum)
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
                    _fingerprint_answer.ttc_seconds, upc._seconds_to_hour(statement_timestamp())
                ),
                g.ttc_edges
            )
        ];
END;
COMMENT ON FUNCTION upc._fingerprint_answer IS
    'the curve that answers for a symbol, a momentum and a time to the close, and the edges between its moves';


CREATE FUNCTION upc._is_question(
    price double precision,
    momentum double precision,
    ttc_seconds integer,
    method text,
    model text,
    settlement text,
    volatility double precision,
    observed double precision,
    variances double precision[]
)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(
    _is_question.price > 0
    AND _is_question.price < 'Infinity'
    AND coalesce(abs(_is_question.momentum) < 'Infinity', true)
    AND coalesce(_is_question.ttc_seconds >= 0, true)
    AND _is_question.method IN ('nearest', 'linear')
    AND _is_question.model IN ('momentum', 'baseline', 'shrunk', 'volatility')
    AND _is_question.settlement IN ('close', 'average')
    AND coalesce(
        (
            _is_question.volatility > 0
            -- Nothing moves in no time: that is its forecast.
            OR _is_question.volatility = 0 AND _is_question.ttc_seconds IS NOT DISTINCT FROM 0
        )
        AND _is_question.volatility < 'Infinity',
        true
    )
    AND coalesce(_is_question.observed > 0 AND _is_question.observed < 'Infinity', true)
    AND CASE
        WHEN _is_question.variances IS NULL THEN true
        ELSE cardinality(_is_question.variances) = 60
            AND 0 < ALL (_is_question.variances)
            AND 'Infinity' > ALL (_is_question.variances)
    END,
    false
);
COMMENT ON FUNCTION upc._is_question IS
    'whether a question for probabilities makes sense; refuse_question says why not';


CREATE FUNCTION upc._refuse_question(
    price double precision,
    momentum double precision,
    symbol text,
    ttc_seconds integer,
    method text,
    model text,
    settlement text,
    volatility double precision DEFAULT NULL,
    observed double precision DEFAULT NULL,
    variances double precision[] DEFAULT NULL
)
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    IF NOT coalesce(_refuse_question.price > 0 AND _refuse_question.price < 'Infinity', false) THEN
        RAISE EXCEPTION 'price must be a positive number, got %',
            coalesce(_refuse_question.price::text, 'NULL')
            USING
                ERRCODE = 'UP001',
                DETAIL = 'A price is in quote currency per unit, finite and above zero.',
                HINT = 'Pass the current price, for example compute_strikes(97250).';
    END IF;
    IF _refuse_question.momentum IN ('NaN', 'Infinity', '-Infinity') THEN
        RAISE EXCEPTION 'momentum must be finite, got %', _refuse_question.momentum
            USING
                ERRCODE = 'UP007',
                DETAIL = 'Momentum is in basis points; NULL asks the baseline.',
                HINT = 'Pass NULL where momentum is not known.';
    END IF;
    IF _refuse_question.ttc_seconds < 0 THEN
        RAISE EXCEPTION 'ttc_seconds must not be negative, got %', _refuse_question.ttc_seconds
            USING
                ERRCODE = 'UP008',
                DETAIL = 'It is the whole seconds until the contract closes.',
                HINT = 'Pass NULL for the time to the next full hour.';
    END IF;
    IF NOT coalesce(_refuse_question.method IN ('nearest', 'linear'), false) THEN
        RAISE EXCEPTION 'unknown method %', coalesce(quote_literal(_refuse_question.method), 'NULL')
            USING
                ERRCODE = 'UP005',
                DETAIL = 'The method says how a probability is read off the grid of a fingerprint.',
                HINT = 'Use method => ''nearest'' or ''linear''.';
    END IF;
    IF NOT coalesce(
        _refuse_question.model IN ('momentum', 'baseline', 'shrunk', 'volatility'), false
    ) THEN
        RAISE EXCEPTION 'unknown model %', coalesce(quote_literal(_refuse_question.model), 'NULL')
            USING
                ERRCODE = 'UP018',
                DETAIL = 'The model says which fingerprints answer.',
                HINT = 'Use model => ''momentum'', ''baseline'', ''shrunk'' or ''volatility''.';
    END IF;
    IF NOT coalesce(_refuse_question.settlement IN ('close', 'average'), false) THEN
        RAISE EXCEPTION 'unknown settlement %',
            coalesce(quote_literal(_refuse_question.settlement), 'NULL')
            USING
                ERRCODE = 'UP019',
                DETAIL = 'It says which price decides: the last one, or the mean of the last minute.',
                HINT = 'Use settlement => ''close'' or ''average''.';
    END IF;
    IF NOT coalesce(
        (
            _refuse_question.volatility > 0
            OR _refuse_question.volatility = 0
                AND _refuse_question.ttc_seconds IS NOT DISTINCT FROM 0
        )
        AND _refuse_question.volatility < 'Infinity',
        true
    ) THEN
        RAISE EXCEPTION 'volatility must be a positive number, got %', _refuse_question.volatility
            USING
                ERRCODE = 'UP020',
                DETAIL = 'It is the standard deviation of the move in the time left, percent.',
                HINT = 'Pass NULL for the forecast at the newest candle.';
    END IF;
    IF _refuse_question.variances IS NOT NULL AND NOT coalesce(
        cardinality(_refuse_question.variances) = 60
        AND 0 < ALL (_refuse_question.variances)
        AND 'Infinity' > ALL (_refuse_question.variances),
        false
    ) THEN
        RAISE EXCEPTION 'variances must be 60 positive numbers, got %', _refuse_question.variances
            USING
                ERRCODE = 'UP020',
                DETAIL = 'They are those of the move of the next 1 to 60 minutes, as a share of the price.',
                HINT = 'Pass NULL for the forecast at the newest candle.';
    END IF;
    IF NOT coalesce(
        _refuse_question.observed > 0 AND _refuse_question.observed < 'Infinity', true
    ) THEN
        RAISE EXCEPTION 'observed must be a positive number, got %', _refuse_question.observed
            USING
                ERRCODE = 'UP001',
                DETAIL = 'It is the mean price of the last minute so far, in quote currency.',
                HINT = 'Pass NULL for what the price log says.';
    END IF;
    PERFORM upc.require_symbol(_refuse_question.symbol);
    RAISE EXCEPTION 'no fingerprint answers for %', _refuse_question.symbol
        USING
            ERRCODE = 'UP006',
            DETAIL = 'Neither the symbol nor the pool of all symbols has one.',
            HINT = 'Load candles and run "pyupc fingerprints build", or import fingerprints.';
END
$fn$;
COMMENT ON FUNCTION upc._refuse_question IS
    'raises the error that says why a question for probabilities has no answer';


CREATE FUNCTION upc._refuse_forecast(symbol text)
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    PERFORM upc.require_symbol(symbol);
    RAISE EXCEPTION 'the volatility of % cannot be forecast', symbol
        USING
            ERRCODE = 'UP020',
            DETAIL = 'A forecast takes a complete build and most of the candles of the last day.',
            HINT = 'Load candles and run "pyupc fingerprints build", or use model => ''momentum''.';
END
$fn$;
COMMENT ON FUNCTION upc._refuse_forecast IS
    'raises the error that says that there is no forecast of a symbol''s volatility';


CREATE FUNCTION upc._refuse_observed(symbol text)
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    PERFORM upc.require_symbol(symbol);
    RAISE EXCEPTION 'the price log does not have the last minute of %', symbol
        USING
            ERRCODE = 'UP021',
            DETAIL = 'Within a minute of the close a part of the average that decides has been seen.',
            HINT = 'Run "pyupc feed", pass observed, or use settlement => ''close''.';
END
$fn$;
COMMENT ON FUNCTION upc._refuse_observed IS
    'raises the error that says that the part of the average that has been seen is not known';

-- The question: what probabilities are asked for, as one value that travels from function to function.

CREATE TYPE upc._question AS (
    price double precision,
    momentum double precision,
    symbol text,
    at timestamptz,
    ttc_seconds integer,
    step double precision,
    levels integer,
    method text,
    model text,
    settlement text,
    volatility double precision,
    observed double precision,
    strikes double precision[],
    variances double precision[],
    recalibrate boolean,
    source text,
    shown_price double precision,
    basis double precision,
    basis_settlements integer
);
COMMENT ON TYPE upc._question IS
    'a question for probabilities: fields as the arguments of compute_strikes; at: the clock that it is asked by, NULL for that of the statement; source: the exchange of the price, or candles; shown_price: the price as it came in, where price is less its basis, a share that rests on so many settlements; NULL: none';


-- A question from its parts, by name, with the defaults of compute_strikes.
--
-- It costs what ROW(…) costs: a call becomes part of the expression around it.
CREATE FUNCTION upc._make_question(
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
    at timestamptz DEFAULT NULL,
    recalibrate boolean DEFAULT true
)
RETURNS upc._question
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ROW(
    price, momentum, symbol, at, ttc_seconds, step, levels, method, model, settlement, volatility,
    observed, strikes, variances, recalibrate, NULL, NULL, NULL, NULL
)::upc._question;
COMMENT ON FUNCTION upc._make_question IS
    'a question for probabilities from its parts, with the defaults of compute_strikes';


-- Where a price comes from that is passed in: it is taken for one of the exchange that was heard last, in the
-- hour before an instant, else for one of candles.
CREATE FUNCTION upc._price_source(symbol text, at timestamptz)
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    RETURN coalesce(
        (
            SELECT p.exchange
            FROM upc_data.price AS p
            WHERE p.symbol = _price_source.symbol
              AND p.received_at > at - interval '1 hour'
              AND p.received_at <= at
            ORDER BY p.received_at DESC
            LIMIT 1
        ),
        'candles'
    );
END
$fn$;
COMMENT ON FUNCTION upc._price_source IS
    'the exchange that was heard last in the hour before an instant; candles where none was';


-- The question with its source and, if that is wanted, its price and what was seen of the last minute less the
-- basis of the source: as Kalshi would have them. Where less than 12 settlements are known they stay.
--
-- source: an exchange, or candles; NULL for prices that are made up. question.at: not NULL.
CREATE FUNCTION upc._without_basis(question upc._question, source text, is_wanted boolean)
RETURNS upc._question
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_known record;
BEGIN
    question.source := source;
    IF is_wanted AND source IS NOT NULL THEN
        v_known := upc._known_basis(question.symbol, source, question.at);
        IF v_known.basis IS NOT NULL THEN
            question.shown_price := question.price;
            question.basis := v_known.basis;
            question.basis_settlements := v_known.settlements;
            question.price := upc._less_basis(question.price, v_known.basis);
            question.observed := upc._less_basis(question.observed, v_known.basis);
        END IF;
    END IF;
    RETURN question;
END
$fn$;
COMMENT ON FUNCTION upc._without_basis IS
    'a question with its source, and its price and what was seen of the last minute less the basis of that';


CREATE FUNCTION upc._shown_price(question upc._question)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce((_shown_price.question).shown_price, (_shown_price.question).price);
COMMENT ON FUNCTION upc._shown_price IS 'the price of a question in USD as it came in, with its basis';


-- What was seen of the last minute: the mean of the log's prices since an instant, less the basis of the
-- question. NULL where the log does not have it all.
CREATE FUNCTION upc._seen_average(question upc._question, since timestamptz)
RETURNS double precision
LANGUAGE sql STABLE PARALLEL SAFE
RETURN upc._less_basis(
    upc._observed_average(
        (_seen_average.question).symbol, _seen_average.since, (_seen_average.question).at,
        (_seen_average.question).source
    ),
    (_seen_average.question).basis
);
COMMENT ON FUNCTION upc._seen_average IS
    'the mean of the logged prices in USD from an instant to that of a question, of its exchange and less its basis';


CREATE FUNCTION upc._models()
RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '{momentum, baseline, volatility}'::text[];
COMMENT ON FUNCTION upc._models IS 'the models that answer';


-- The fault of a model that is none, and its remedy; of the retired one, too, which settings and logs may name.
CREATE FUNCTION upc._model_problem(model text, OUT message text, OUT hint text)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
BEGIN
    IF model = 'shrunk' THEN
        message := 'the model ''shrunk'' is retired';
        hint := 'It answered as momentum does. Use momentum or volatility.';
    ELSE
        message := format('unknown model %s', coalesce(quote_literal(left(model, 40)), 'NULL'));
        hint := format('Use one of %s.', array_to_string(upc._models(), ', '));
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._model_problem IS
    'what is wrong with a model that does not answer, and what to do about it';


CREATE FUNCTION upc._is_positive(number double precision)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN number > 0 AND number < 'Infinity';
COMMENT ON FUNCTION upc._is_positive IS
    'true for a number above zero that is finite; NULL for NULL';


CREATE FUNCTION upc._is_volatility(volatility double precision, ttc_seconds integer)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- Nothing moves in no time: that is its forecast.
RETURN (volatility > 0 OR volatility = 0 AND ttc_seconds IS NOT DISTINCT FROM 0)
    AND volatility < 'Infinity';
COMMENT ON FUNCTION upc._is_volatility IS
    'true for a finite volatility above zero, or zero where no time is left; NULL for NULL';


CREATE FUNCTION upc._are_variances(variances double precision[])
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN cardinality(variances) IN (60, 69) AND 0 < ALL (variances) AND 'Infinity' > ALL (variances);
COMMENT ON FUNCTION upc._are_variances IS
    'true for 60 finite numbers above zero, or 69, with those of upc._long_horizons(); NULL for NULL';


CREATE FUNCTION upc._is_question(question upc._question)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(
    question.levels BETWEEN 0 AND 500
    AND coalesce(upc._is_positive(question.step), true)
    AND coalesce(
        0 < ALL (question.strikes) AND 'Infinity' > ALL (question.strikes),
        question.strikes IS NULL
    )
    AND upc._is_positive(question.price)
    AND coalesce(abs(question.momentum) < 'Infinity', true)
    AND coalesce(question.ttc_seconds >= 0, true)
    AND question.method IN ('nearest', 'linear')
    AND question.model = ANY (upc._models())
    AND question.settlement IN ('close', 'average')
    AND coalesce(upc._is_volatility(question.volatility, question.ttc_seconds), true)
    AND coalesce(upc._is_positive(question.observed), true)
    AND CASE
        WHEN question.variances IS NULL THEN true
        ELSE upc._are_variances(question.variances)
    END,
    false
);
COMMENT ON FUNCTION upc._is_question IS
    'true where a question for probabilities makes sense; _refuse_question says why it does not';

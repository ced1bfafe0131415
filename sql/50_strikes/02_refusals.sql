-- Refusals: why a question for probabilities has no answer, as errors.

-- Objections to a question, the one to report first.
--
-- Returns SQLSTATE, message, detail and hint of each part that makes no sense.
CREATE FUNCTION upc._question_problems(question upc._question)
RETURNS TABLE (code text, message text, detail text, hint text)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT p.code, format(p.message, coalesce(p.value, 'NULL')), p.detail, p.hint
    FROM (
        VALUES
            (
                1, question.levels BETWEEN 0 AND 500, 'UP004',
                'levels must be from 0 to 500, got %s', question.levels::text,
                'It is the number of strikes below and above the one nearest to the price.',
                'Leave it out for 10.'
            ),
            (
                2, coalesce(upc._is_positive(question.step), true), 'UP003',
                'step must be a positive number, got %s', question.step::text,
                'It is the distance between two strikes in quote currency.',
                'Pass NULL for the symbol''s own step.'
            ),
            (
                3,
                coalesce(
                    0 < ALL (question.strikes) AND 'Infinity' > ALL (question.strikes),
                    question.strikes IS NULL
                ),
                'UP001', 'a strike must be a positive number, got %s', question.strikes::text,
                'A strike is a price in quote currency per unit, finite and above zero.',
                'Pass the strikes, for example probability(97250, 97500).'
            ),
            (
                4, upc._is_positive(question.price), 'UP001',
                'price must be a positive number, got %s', question.price::text,
                'A price is in quote currency per unit, finite and above zero.',
                'Pass the current price, for example compute_strikes(97250).'
            ),
            (
                5, coalesce(abs(question.momentum) < 'Infinity', true), 'UP007',
                'momentum must be finite, got %s', question.momentum::text,
                'Momentum is in basis points; NULL asks the baseline.',
                'Pass NULL where momentum is not known.'
            ),
            (
                6, coalesce(question.ttc_seconds >= 0, true), 'UP008',
                'ttc_seconds must not be negative, got %s', question.ttc_seconds::text,
                'It is the whole seconds until the contract closes.',
                'Pass NULL for the time to the next full hour.'
            ),
            (
                7, question.method IN ('nearest', 'linear'), 'UP005',
                'unknown method %s', quote_literal(question.method),
                'The method says how a probability is read off the grid of a fingerprint.',
                'Use method => ''nearest'' or ''linear''.'
            ),
            (
                8, question.model = ANY (upc._models()), 'UP018',
                '%s', (upc._model_problem(question.model)).message,
                'The model says which fingerprints answer.',
                (upc._model_problem(question.model)).hint
            ),
            (
                9, question.settlement IN ('close', 'average'), 'UP019',
                'unknown settlement %s', quote_literal(question.settlement),
                'It says which price decides: the last one, or the mean of the last minute.',
                'Use settlement => ''close'' or ''average''.'
            ),
            (
                10,
                coalesce(upc._is_volatility(question.volatility, question.ttc_seconds), true),
                'UP020', 'volatility must be a positive number, got %s', question.volatility::text,
                'It is the standard deviation of the move in the time left, percent.',
                'Pass NULL for the forecast at the newest candle.'
            ),
            (
                11, question.variances IS NULL OR upc._are_variances(question.variances), 'UP020',
                'variances must be 60 or 69 positive numbers, got %s', question.variances::text,
                'They are those of the move of the next 1 to 60 minutes, and of 75 to 1440, as a share of the price.',
                'Pass NULL for the forecast at the newest candle.'
            ),
            (
                12, coalesce(upc._is_positive(question.observed), true), 'UP001',
                'observed must be a positive number, got %s', question.observed::text,
                'It is the mean price of the last minute so far, in quote currency.',
                'Pass NULL for what the price log says.'
            )
    ) AS p (place, makes_sense, code, message, value, detail, hint)
    WHERE NOT coalesce(p.makes_sense, false)
    ORDER BY p.place;
END;
COMMENT ON FUNCTION upc._question_problems IS
    'the parts of a question for probabilities that make no sense: SQLSTATE, message, detail and hint, the one to report first';


CREATE FUNCTION upc._refuse_question(question upc._question)
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_problem record;
BEGIN
    SELECT p.* INTO v_problem FROM upc._question_problems(question) AS p LIMIT 1;
    RAISE EXCEPTION '%', v_problem.message
        USING
            ERRCODE = v_problem.code,
            DETAIL = v_problem.detail,
            HINT = v_problem.hint;
END
$fn$;
COMMENT ON FUNCTION upc._refuse_question IS
    'raises the error that says what makes no sense in a question for probabilities';


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

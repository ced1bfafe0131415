-- Scoring of a backtest: every model is asked about every strike, and its answers are summed up.

CREATE FUNCTION upc._normal_tail(deviations double precision)
RETURNS double precision
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_z double precision := abs(deviations) / sqrt(2::double precision);
    v_t double precision := 1 / (1 + 0.5 * v_z);
    v_tail double precision;
BEGIN
    -- erfc() is there from PostgreSQL 16 on only; this is wrong by less than 1.2e-7 of its value.
    -- Beyond 18 deviations there is nothing: squares of what is left would be too small for numbers.
    v_tail := CASE WHEN v_z > 13 THEN 0 ELSE
        0.5 * v_t * exp(
            -v_z * v_z - 1.26551223 + v_t * (1.00002368 + v_t * (0.37409196 + v_t * (0.09678418
            + v_t * (-0.18628806 + v_t * (0.27886807 + v_t * (-1.13520398 + v_t * (1.48851587
            + v_t * (-0.82215223 + v_t * 0.17087277))))))))
        )
    END;
    RETURN CASE WHEN deviations < 0 THEN 1 - v_tail ELSE v_tail END;
END
$fn$;
COMMENT ON FUNCTION upc._normal_tail IS
    'the probability, 0 to 1, that a standard normal number is above some deviations (Numerical Recipes, erfcc)';


CREATE FUNCTION upc._gaussian_probability(
    price double precision,
    lower double precision,
    upper double precision,
    deviation double precision
)
RETURNS double precision
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
BEGIN
    RETURN coalesce(upc._normal_tail(ln(lower / price) / deviation), 1)
        - coalesce(upc._normal_tail(ln(upper / price) / deviation), 0);
END
$fn$;
COMMENT ON FUNCTION upc._gaussian_probability IS
    'the probability, 0 to 1, that a lognormal price ends at or above a bound and below another, of which either may be missing';


-- Contracts that are asked about at a price: they pay where the value that settles is at least `lower`
-- and below `upper`, either of which may be missing.
--
-- above: strikes of a grid, `levels` on each side of the one nearest to the price. range: ranges between
-- neighbours of the grid, `levels` on each side of the one with the price in it, and what lies below and
-- above them all. updown: the one with price_to_beat. distance: in steps, from the nearest.
CREATE FUNCTION upc._backtest_contracts(
    kind text,
    levels integer,
    step double precision,
    price double precision,
    price_to_beat double precision
)
RETURNS TABLE (lower double precision, upper double precision, distance smallint)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 21
BEGIN ATOMIC
    SELECT
        (round(_backtest_contracts.price / _backtest_contracts.step) + k)
            * _backtest_contracts.step,
        NULL::double precision,
        abs(k)::smallint
    FROM generate_series(-_backtest_contracts.levels, _backtest_contracts.levels) AS k
    WHERE _backtest_contracts.kind = 'above'
      AND round(_backtest_contracts.price / _backtest_contracts.step) + k > 0

    UNION ALL

    SELECT
        CASE WHEN g.place > 0 AND k >= -_backtest_contracts.levels
            THEN g.place * _backtest_contracts.step
        END,
        CASE WHEN k <= _backtest_contracts.levels
            THEN (g.place + 1) * _backtest_contracts.step
        END,
        abs(k)::smallint
    FROM generate_series(
        -_backtest_contracts.levels - 1, _backtest_contracts.levels + 1
    ) AS k
    CROSS JOIN LATERAL (
        SELECT floor(_backtest_contracts.price / _backtest_contracts.step) + k AS place
    ) AS g
    WHERE _backtest_contracts.kind = 'range' AND g.place >= 0

    UNION ALL

    SELECT _backtest_contracts.price_to_beat, NULL, 0::smallint
    WHERE _backtest_contracts.kind = 'updown';
END;
COMMENT ON FUNCTION upc._backtest_contracts IS
    'the contracts of a kind that a backtest asks about at a price, USD';


-- The week whose correction answers a question, by when it is asked. Where nothing is corrected, all time is one.
CREATE FUNCTION upc._asked_week(asked_at timestamptz, is_recalibrated boolean)
RETURNS date
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN _asked_week.is_recalibrated
    THEN date_trunc('week', _asked_week.asked_at AT TIME ZONE 'UTC')::date
    ELSE '-infinity'::date
END;
COMMENT ON FUNCTION upc._asked_week IS
    'the UTC Monday that the week of an instant begins on; -infinity where nothing is corrected';


CREATE FUNCTION upc._readings_of_days(test upc_data.backtest, first_day date, last_day date)
RETURNS SETOF upc._backtest_reading
LANGUAGE sql STABLE PARALLEL SAFE ROWS 2000
BEGIN ATOMIC
    SELECT r.*
    FROM upc._backtest_readings(
        (_readings_of_days.test).symbol,
        (_readings_of_days.test).backtest_id,
        ARRAY(
            SELECT DISTINCT upc._asked_week(
                d AT TIME ZONE 'UTC', (_readings_of_days.test).is_recalibrated
            ) AS week
            FROM generate_series(
                (_readings_of_days.first_day - 1)::timestamp,
                (_readings_of_days.last_day + 1)::timestamp,
                interval '1 day'
            ) AS d
            ORDER BY week
        )
    ) AS r;
END;
COMMENT ON FUNCTION upc._readings_of_days IS
    'the curves by which a backtest answers about contracts that close on some UTC days: those of each week in which is asked';


-- Contracts that close on some UTC days, each time that a backtest asks about them, with what is known
-- then and what happened. open_share: open share of the last minute's variance. regime: quarter of
-- the deviations of the hour before, from 1. week: as upc._asked_week has it.
CREATE FUNCTION upc._contract_questions(test upc_data.backtest, first_day date, last_day date)
RETURNS TABLE (
    closes_at timestamptz,
    minutes integer,
    price double precision,
    bucket integer,
    squared_move double precision,
    variance double precision,
    earlier_variance double precision,
    open_share double precision,
    regime integer,
    lower double precision,
    upper double precision,
    distance smallint,
    outcome boolean,
    week date
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT
        q.closes_at,
        q.minutes,
        q.price,
        q.bucket,
        q.squared_move,
        q.variance,
        q.earlier_variance,
        CASE (_contract_questions.test).settlement
            WHEN 'average' THEN upc._average_share()
            ELSE 1
        END,
        width_bucket(q.hour_deviation, (_contract_questions.test).regime_edges) + 1,
        b.lower,
        b.upper,
        b.distance,
        coalesce(q.settled >= b.lower, true) AND coalesce(q.settled < b.upper, true),
        upc._asked_week(
            q.closes_at - make_interval(mins => q.minutes),
            (_contract_questions.test).is_recalibrated
        )
    FROM upc._backtest_questions(
        _contract_questions.test, _contract_questions.first_day, _contract_questions.last_day
    ) AS q
    CROSS JOIN LATERAL upc._backtest_contracts(
        (_contract_questions.test).kind, (_contract_questions.test).levels,
        (_contract_questions.test).step, q.price, q.price_to_beat
    ) AS b
    WHERE q.hour_deviation IS NOT NULL
      AND ((_contract_questions.test).factors IS NULL OR q.variance IS NOT NULL);
END;
COMMENT ON FUNCTION upc._contract_questions IS
    'the contracts that a backtest asks about, with what was known when it did, and what happened';


-- Answers of a backtest's models about all contracts that close on some UTC days: probabilities from 0
-- to 1 that they pay, with what happened. regime: quarter of the deviations of the hour before, from 1.
--
-- curve_models: how many of the models read a curve; the Gaussian reads none.
-- In SQL and without settings, so that it becomes a part of the query that calls it.
CREATE FUNCTION upc._model_answers(
    test upc_data.backtest,
    first_day date,
    last_day date,
    curve_models integer,
    OUT model text,
    OUT closes_at timestamptz,
    OUT minutes integer,
    OUT distance smallint,
    OUT regime integer,
    OUT outcome boolean,
    OUT probability double precision
)
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    WITH reading AS MATERIALIZED (
        SELECT r.*
        FROM upc._readings_of_days(
            _model_answers.test, _model_answers.first_day, _model_answers.last_day
        ) AS r
    ),
    contract AS MATERIALIZED (
        SELECT c.*
        FROM upc._contract_questions(
            _model_answers.test, _model_answers.first_day, _model_answers.last_day
        ) AS c
        -- A question that one model cannot answer is put to none.
        WHERE _model_answers.curve_models = 0
           OR (c.minutes, c.bucket) IN (
               SELECT r.minutes, r.bucket FROM reading AS r GROUP BY r.minutes, r.bucket
               HAVING count(DISTINCT r.model) = _model_answers.curve_models
           )
    )
    SELECT
        r.model, q.closes_at, q.minutes, q.distance, q.regime, q.outcome,
        -- To be in a range is to be above its lower bound and not above its upper one.
        0.01 * (
            coalesce(
                CASE WHEN q.lower > q.price
                    THEN upc._curve_value(r.positive, r.thresholds, p.lower, m.lower, r.is_linear)
                    ELSE 100
                        - upc._curve_value(r.negative, r.thresholds, p.lower, m.lower, r.is_linear)
                END,
                100
            )
            - coalesce(
                CASE WHEN q.upper > q.price
                    THEN upc._curve_value(r.positive, r.thresholds, p.upper, m.upper, r.is_linear)
                    ELSE 100
                        - upc._curve_value(r.negative, r.thresholds, p.upper, m.upper, r.is_linear)
                END,
                0
            )
        ) AS probability
    FROM contract AS q
    JOIN reading AS r
        ON r.minutes = q.minutes
        AND r.bucket = q.bucket
        AND r.week = q.week
    CROSS JOIN LATERAL (
        SELECT CASE
            WHEN r.is_standardised
            THEN sqrt(q.earlier_variance + q.open_share * (q.variance - q.earlier_variance))
            -- Below a minute the first one's curve, by the square root of time.
            WHEN r.is_linear AND q.minutes = 1 AND (_model_answers.test).settlement = 'average'
            THEN 0.01 * sqrt(q.open_share)
            ELSE 0.01
        END AS unit
        OFFSET 0
    ) AS u
    CROSS JOIN LATERAL (
        SELECT
            abs(q.price - q.lower) / q.price / u.unit AS lower,
            abs(q.price - q.upper) / q.price / u.unit AS upper
        OFFSET 0
    ) AS m
    CROSS JOIN LATERAL (
        SELECT
            CASE WHEN m.lower IS NOT NULL
                THEN upc._threshold_index(r.thresholds, r.edges, m.lower, r.is_linear)
            END AS lower,
            CASE WHEN m.upper IS NOT NULL
                THEN upc._threshold_index(r.thresholds, r.edges, m.upper, r.is_linear)
            END AS upper
        OFFSET 0
    ) AS p

    UNION ALL

    SELECT
        'gaussian', q.closes_at, q.minutes, q.distance, q.regime, q.outcome,
        upc._gaussian_probability(
            q.price, q.lower, q.upper,
            sqrt(greatest(q.squared_move, 1e-14) * (q.minutes - 1 + q.open_share))
        )
    FROM contract AS q
    WHERE 'gaussian' = ANY ((_model_answers.test).models);
END;
COMMENT ON FUNCTION upc._model_answers IS
    'answers of a backtest''s models about all contracts that close on some UTC days, with what happened';


-- Tenths of the log-odds from 0.2 to 99.8 percent: where it begins that `bin` numbers from 0, percent.
CREATE FUNCTION upc._odds_edge(bin integer)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 100 / (1 + 499::double precision ^ (1 - _odds_edge.bin / 5.0::double precision));
COMMENT ON FUNCTION upc._odds_edge IS
    'the lower end in percent of a tenth of the log-odds from 0.2 to 99.8 percent';


CREATE FUNCTION upc._odds_bin(probability double precision)
RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN _odds_bin.probability BETWEEN 0.002 AND 0.998 THEN
    greatest(0, least(9, floor(
        5 + 5 * ln(_odds_bin.probability / (1 - _odds_bin.probability)) / ln(499::double precision)
    )))::smallint
END;
COMMENT ON FUNCTION upc._odds_bin IS
    'the tenth of the log-odds from 0.2 to 99.8 percent that a probability, 0 to 1, is in, from 0; NULL outside';


CREATE FUNCTION upc._score_backtest(symbol text, backtest_id bigint, first_day date, last_day date)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET work_mem = '128MB'
SET jit = off
AS $fn$
DECLARE
    v_test upc_data.backtest;
    v_models integer;
BEGIN
    SELECT b.* INTO v_test FROM upc_data.backtest AS b
    WHERE b.symbol = _score_backtest.symbol AND b.backtest_id = _score_backtest.backtest_id;
    -- The Gaussian reads no curve.
    v_models := cardinality(array_remove(v_test.models, 'gaussian'));

    INSERT INTO upc_data.backtest_score (
        symbol, backtest_id, model, dimension, part, day, bin, questions, outcomes, probability,
        squared_probability, squared_error, log_loss
    )
    WITH scored AS (
        SELECT
            a.model,
            (a.closes_at AT TIME ZONE 'UTC')::date AS day,
            a.minutes::smallint AS minutes,
            a.distance,
            extract(hour FROM a.closes_at AT TIME ZONE 'UTC')::smallint AS hour,
            a.regime::smallint AS regime,
            greatest(0, least(19, floor(20 * a.probability)))::smallint AS bin,
            upc._odds_bin(a.probability) AS odds,
            a.outcome::integer AS outcome,
            a.probability,
            -ln(least(0.9999, greatest(0.0001,
                CASE WHEN a.outcome THEN a.probability ELSE 1 - a.probability END
            ))) AS log_loss
        FROM upc._model_answers(v_test, first_day, last_day, v_models) AS a
    ),
    summed AS (
        SELECT
            s.model, s.day, s.bin, s.minutes, s.distance, s.hour, s.regime, s.odds,
            grouping(s.minutes, s.distance, s.hour, s.regime, s.odds) AS dimension,
            count(*)::integer AS questions,
            sum(s.outcome)::integer AS outcomes,
            sum(s.probability) AS probability,
            sum(s.probability ^ 2) AS squared_probability,
            sum((s.probability - s.outcome) ^ 2) AS squared_error,
            sum(s.log_loss) AS log_loss
        FROM scored AS s
        GROUP BY GROUPING SETS (
            (s.model, s.day, s.bin),
            (s.model, s.day, s.bin, s.minutes),
            (s.model, s.day, s.bin, s.distance),
            (s.model, s.day, s.bin, s.hour),
            (s.model, s.day, s.bin, s.regime),
            (s.model, s.day, s.odds)
        )
    )
    SELECT
        v_test.symbol,
        v_test.backtest_id,
        s.model,
        CASE s.dimension
            WHEN 31 THEN 'all' WHEN 15 THEN 'minutes' WHEN 23 THEN 'distance'
            WHEN 27 THEN 'hour' WHEN 29 THEN 'regime' ELSE 'odds'
        END,
        CASE s.dimension
            WHEN 31 THEN 0 WHEN 15 THEN s.minutes WHEN 23 THEN s.distance
            WHEN 27 THEN s.hour WHEN 29 THEN s.regime ELSE s.odds
        END,
        s.day, coalesce(s.bin, 0), s.questions, s.outcomes, s.probability, s.squared_probability,
        s.squared_error, s.log_loss
    FROM summed AS s
    WHERE s.odds IS NOT NULL OR s.dimension <> 30;
END
$fn$;
COMMENT ON FUNCTION upc._score_backtest IS
    'asks every model of a backtest about the contracts that close on some UTC days, and keeps the sums';

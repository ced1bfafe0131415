-- Backtests: trained on one span of candles, tested on a later one. What is trained looks at no
-- candle outside of its span; what is asked looks at no candle after the question.

CREATE FUNCTION upc._refuse_backtest(problem text, detail text, hint text)
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    RAISE EXCEPTION '%', problem USING ERRCODE = 'UP022', DETAIL = detail, HINT = hint;
END
$fn$;
COMMENT ON FUNCTION upc._refuse_backtest IS 'raises UP022: a backtest that cannot be';


-- Begin a backtest: keep its settings, with what was left out filled in.
--
-- NULL train_from: the first candle; train_to and test_from: 1 January of the year of the last
-- candle, or where that leaves nothing to train on the day that two thirds of the candles come
-- before; test_to: the end of the candles. NULL step: the symbol's own.
-- models: model:method with the models and methods of compute_strikes, or gaussian. minutes: times
-- to the close, 1 to 60. close_minute: of the hour, at which contracts close.
-- Returns its number.
-- Errors: UP002 symbol, UP022 settings that make no sense.
--
-- Example:
--   SELECT begin_backtest('BTC', test_from => '2024-01-01 13:00+00') > 0 AS is_begun;
CREATE FUNCTION upc.begin_backtest(
    symbol text,
    train_from timestamptz DEFAULT NULL,
    train_to timestamptz DEFAULT NULL,
    test_from timestamptz DEFAULT NULL,
    test_to timestamptz DEFAULT NULL,
    models text[] DEFAULT '{baseline:nearest, momentum:nearest, momentum:linear, gaussian, volatility:linear}',
    minutes integer[] DEFAULT '{2, 5, 10, 15, 30, 45, 60}',
    step double precision DEFAULT NULL,
    levels integer DEFAULT 10,
    settlement text DEFAULT 'close',
    close_minute integer DEFAULT 0,
    version text DEFAULT ''
)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_first timestamptz;
    v_end timestamptz;
    v_cut timestamptz;
    v_model text;
    v_id bigint;
BEGIN
    PERFORM upc.require_symbol(symbol);
    FOREACH v_model IN ARRAY coalesce(models, '{}') LOOP
        IF NOT coalesce(
            v_model = 'gaussian'
            OR v_model ~ '^(baseline|momentum|shrunk|volatility):(nearest|linear)$',
            false
        ) THEN
            PERFORM upc._refuse_backtest(
                format('unknown model %s', coalesce(quote_literal(v_model), 'NULL')),
                'A model is baseline, momentum, shrunk or volatility with :nearest or :linear, or gaussian.',
                'For example volatility:linear.'
            );
        END IF;
    END LOOP;
    IF coalesce(cardinality(models), 0) = 0 THEN
        PERFORM upc._refuse_backtest('no model to test', 'At least one is needed.', 'For example volatility:linear.');
    END IF;
    IF coalesce(cardinality(minutes), 0) = 0 OR NOT coalesce(1 <= ALL (minutes) AND 60 >= ALL (minutes), false) THEN
        PERFORM upc._refuse_backtest(
            'times to the close must be 1 to 60 minutes',
            'They are whole minutes before the contracts close.', 'For example 2, 5, 15 and 60.'
        );
    END IF;
    IF NOT coalesce(step > 0 AND step < 'Infinity', true) OR NOT coalesce(levels BETWEEN 0 AND 500, false) THEN
        PERFORM upc._refuse_backtest(
            'there are no such strikes', 'The step is a positive number, levels are 0 to 500.',
            'Leave them out for the symbol''s step and 10 levels.'
        );
    END IF;
    IF NOT coalesce(settlement IN ('close', 'average'), false) OR NOT coalesce(close_minute BETWEEN 0 AND 59, false) THEN
        PERFORM upc._refuse_backtest(
            'contracts cannot settle like that',
            'The settlement is close or average; the minute of the hour is 0 to 59.',
            'Leave them out for the close at the full hour.'
        );
    END IF;

    SELECT min(c.opened_at), max(c.opened_at) + interval '1 minute'
    INTO v_first, v_end
    FROM upc_data.candle AS c
    WHERE c.symbol = begin_backtest.symbol;
    IF v_first IS NULL THEN
        PERFORM upc._refuse_backtest(
            format('there is no candle of %s', symbol),
            'A backtest needs candles to train on, and later ones to test.',
            format('Load candles first: pyupc candles load FILE --symbol %s', symbol)
        );
    END IF;
    v_cut := date_trunc('year', v_end - interval '1 minute', 'UTC');
    IF v_cut <= v_first THEN
        v_cut := date_trunc('day', v_first + (v_end - v_first) * 2 / 3, 'UTC');
    END IF;
    train_from := coalesce(train_from, v_first);
    test_to := coalesce(test_to, v_end);
    train_to := coalesce(train_to, test_from, v_cut);
    test_from := coalesce(test_from, train_to);
    IF train_from >= train_to OR train_to > test_from OR test_from >= test_to THEN
        PERFORM upc._refuse_backtest(
            'the test has to come after the training',
            format(
                'Training from %s to %s, test from %s to %s.', upc._iso_utc(train_from),
                upc._iso_utc(train_to), upc._iso_utc(test_from), upc._iso_utc(test_to)
            ),
            'Name spans that do not overlap, or leave them out.'
        );
    END IF;
    IF NOT EXISTS (
        SELECT FROM upc_data.candle AS c
        WHERE c.symbol = begin_backtest.symbol
          AND c.opened_at >= train_from AND c.opened_at < train_to
    ) OR NOT EXISTS (
        SELECT FROM upc_data.candle AS c
        WHERE c.symbol = begin_backtest.symbol AND c.opened_at >= test_from AND c.opened_at < test_to
    ) THEN
        PERFORM upc._refuse_backtest(
            'there are no candles in one of the spans',
            format('Candles are there from %s to %s.', upc._iso_utc(v_first), upc._iso_utc(v_end)),
            'Name spans that have candles.'
        );
    END IF;

    -- Where there are no candles there is nothing to do.
    train_from := greatest(train_from, v_first);
    test_to := least(test_to, v_end);
    INSERT INTO upc_data.backtest AS b (
        symbol, train_from, train_to, test_from, test_to, models, minutes, step, levels,
        settlement, close_minute, version, started_at
    )
    SELECT
        s.symbol, begin_backtest.train_from, begin_backtest.train_to, begin_backtest.test_from,
        begin_backtest.test_to,
        ARRAY(
            SELECT m.model FROM unnest(begin_backtest.models) WITH ORDINALITY AS m (model, i)
            GROUP BY m.model ORDER BY min(m.i)
        ),
        ARRAY(SELECT DISTINCT m::smallint FROM unnest(begin_backtest.minutes) AS m ORDER BY 1),
        coalesce(begin_backtest.step, s.strike_step), begin_backtest.levels,
        begin_backtest.settlement, begin_backtest.close_minute, coalesce(begin_backtest.version, ''),
        clock_timestamp()
    FROM upc_data.symbol AS s
    WHERE s.symbol = begin_backtest.symbol
    RETURNING b.backtest_id INTO v_id;
    RETURN v_id;
END
$fn$;
COMMENT ON FUNCTION upc.begin_backtest IS
    'begins a backtest: keeps its settings, with what was left out filled in; returns its number';


CREATE FUNCTION upc._backtest_plan(symbol text, backtest_id bigint)
RETURNS TABLE (step integer, stage text, first_day date, last_day date)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_test upc_data.backtest;
BEGIN
    SELECT b.* INTO v_test FROM upc_data.backtest AS b
    WHERE b.symbol = _backtest_plan.symbol AND b.backtest_id = _backtest_plan.backtest_id;
    IF NOT FOUND THEN
        PERFORM upc._refuse_backtest(
            format('there is no backtest %s of %s', backtest_id, symbol),
            'Backtests are numbered over all symbols.', 'See "pyupc backtest --list".'
        );
    END IF;
    RETURN QUERY
    SELECT (row_number() OVER (ORDER BY p.place, p.first_day))::integer, p.stage, p.first_day, p.last_day
    FROM (
        SELECT 1 AS place, 'fit' AS stage,
            (v_test.train_from AT TIME ZONE 'UTC')::date AS first_day,
            ((v_test.train_to - interval '1 minute') AT TIME ZONE 'UTC')::date AS last_day
        UNION ALL
        -- Quarters and months: a few seconds each.
        SELECT 2, 'train', min(d)::date, max(d)::date
        FROM generate_series(
            date_trunc('day', v_test.train_from AT TIME ZONE 'UTC'),
            (v_test.train_to - interval '1 minute') AT TIME ZONE 'UTC',
            interval '1 day'
        ) AS d
        GROUP BY date_trunc('quarter', d)
        UNION ALL
        SELECT 3, 'test', min(d)::date, max(d)::date
        FROM generate_series(
            date_trunc('day', v_test.test_from AT TIME ZONE 'UTC'),
            (v_test.test_to - interval '1 minute') AT TIME ZONE 'UTC',
            interval '1 day'
        ) AS d
        GROUP BY date_trunc('month', d)
        UNION ALL
        SELECT 4, 'complete', NULL, NULL
    ) AS p;
END
$fn$;
COMMENT ON FUNCTION upc._backtest_plan IS
    'internal: the steps of a backtest with their UTC days';


CREATE FUNCTION upc.backtest_steps(symbol text, backtest_id bigint)
RETURNS TABLE (step integer, stage text, days integer)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT p.step, p.stage, coalesce(p.last_day - p.first_day + 1, 0)
    FROM upc._backtest_plan(backtest_steps.symbol, backtest_steps.backtest_id) AS p
    ORDER BY p.step;
END;
COMMENT ON FUNCTION upc.backtest_steps IS
    'the steps of a backtest, in their order: fit, train, test, complete; those of one stage may be run at the same time';


CREATE FUNCTION upc._fit_backtest(symbol text, backtest_id bigint)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_test upc_data.backtest;
    v_fit record;
    v_edges double precision[];
BEGIN
    SELECT b.* INTO v_test FROM upc_data.backtest AS b
    WHERE b.symbol = _fit_backtest.symbol AND b.backtest_id = _fit_backtest.backtest_id;
    SELECT NULL::smallint[] AS factors, NULL::double precision[] AS coefficients INTO v_fit;
    IF v_test.models && '{volatility:nearest, volatility:linear}' THEN
        SELECT f.* INTO v_fit
        FROM upc._fit_volatility(symbol, v_test.train_from, v_test.train_to) AS f;
        IF v_fit.factors IS NULL THEN
            PERFORM upc._refuse_backtest(
                format('there is too little to fit the volatility of %s on', symbol),
                'It takes a day, and 200 minutes with an hour after them.',
                'Train on a longer span, or leave the volatility models out.'
            );
        END IF;
    END IF;
    SELECT percentile_cont(ARRAY[0.25, 0.5, 0.75]) WITHIN GROUP (ORDER BY h.deviation)
    INTO v_edges
    FROM (
        SELECT 100 * sqrt(sum(m.squared_move)) AS deviation
        FROM (
            SELECT
                c.opened_at,
                ln(c.close / lag(c.close) OVER (ORDER BY c.opened_at)) ^ 2 AS squared_move
            FROM upc_data.candle AS c
            WHERE c.symbol = v_test.symbol
              AND c.opened_at >= v_test.train_from
              AND c.opened_at < v_test.train_to
        ) AS m
        GROUP BY date_trunc('hour', m.opened_at, 'UTC')
        HAVING sum(m.squared_move) IS NOT NULL
    ) AS h;
    IF v_edges IS NULL THEN
        PERFORM upc._refuse_backtest(
            format('there is too little of %s to train on', symbol),
            'The training span has no two candles.', 'Train on a longer span.'
        );
    END IF;
    UPDATE upc_data.backtest AS b
    SET
        factors = v_fit.factors,
        coefficients = v_fit.coefficients,
        regime_edges = v_edges
    WHERE b.symbol = v_test.symbol AND b.backtest_id = v_test.backtest_id;
END
$fn$;
COMMENT ON FUNCTION upc._fit_backtest IS
    'internal: fits the forecast of volatility, and the edges of the regimes, on the training span';


CREATE FUNCTION upc._count_backtest(
    symbol text,
    backtest_id bigint,
    first_day date,
    last_day date,
    is_test boolean
)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_test upc_data.backtest;
    v_days date[] := ARRAY(
        SELECT d::date
        FROM generate_series(first_day::timestamp, last_day::timestamp, interval '1 day') AS d
        ORDER BY d
    );
    v_prefix text := CASE WHEN is_test THEN 'tested ' ELSE '' END;
    v_since timestamptz;
    v_until timestamptz;
    v_horizons integer[];
    v_closes double precision[];
    v_ranges integer[];
BEGIN
    SELECT b.* INTO v_test FROM upc_data.backtest AS b
    WHERE b.symbol = _count_backtest.symbol AND b.backtest_id = _count_backtest.backtest_id;
    -- What is trained on looks at nothing outside of its span.
    v_since := CASE WHEN is_test THEN '-infinity' ELSE v_test.train_from END;
    v_until := CASE WHEN is_test THEN v_test.test_to ELSE v_test.train_to END;
    -- The average of the last minute asks about a time that lies between two minutes. Of the first
    -- minute all starts are there, which the effective sizes are made of, as in the fingerprints.
    v_horizons := ARRAY(
        SELECT DISTINCT h
        FROM unnest(v_test.minutes::integer[]) AS t
        CROSS JOIN LATERAL (
            VALUES (1), (t), (CASE WHEN v_test.settlement = 'average' THEN greatest(1, t - 1) ELSE t END)
        ) AS v (h)
        ORDER BY h
    );
    v_closes := ARRAY(
        SELECT unnest(array_agg(
            upc._candle_window(v_test.symbol, d.day, v_since, v_until) ORDER BY d.i
        ))
        FROM unnest(v_days) WITH ORDINALITY AS d (day, i)
    );
    IF v_test.factors IS NOT NULL THEN
        v_ranges := ARRAY(
            SELECT unnest(array_agg(
                upc._range_window(v_test.symbol, d.day, v_since, v_until) ORDER BY d.i
            ))
            FROM unnest(v_days) WITH ORDINALITY AS d (day, i)
        );
    END IF;

    INSERT INTO upc_data.backtest_histogram AS h (
        symbol, backtest_id, moves, year, bucket, minutes, pairs, positive, negative
    )
    SELECT
        v_test.symbol, v_test.backtest_id, v_prefix || m.moves, extract(year FROM first_day),
        m.bucket, m.minutes, m.pairs, m.positive, m.negative
    FROM (
        SELECT 'plain' AS moves, p.*
        FROM upc._count_moves(v_closes, upc._all_starts(cardinality(v_days)), v_horizons) AS p
        WHERE EXISTS (
            SELECT FROM unnest(v_test.models) AS k WHERE k ~ '^(baseline|momentum|shrunk)'
        )
        UNION ALL
        SELECT 'standardised', s.*
        FROM upc._count_standardised_moves(
            v_days, v_closes, v_ranges, v_test.factors, v_test.coefficients, v_horizons
        ) AS s
        WHERE v_test.factors IS NOT NULL
    ) AS m
    -- Two pieces of a year may meet: in one order they wait, and never for each other.
    ORDER BY m.moves, m.bucket, m.minutes
    ON CONFLICT ON CONSTRAINT backtest_histogram_pkey
        DO UPDATE SET
            pairs = h.pairs + excluded.pairs,
            positive = upc._add_counts(h.positive, excluded.positive, 1),
            negative = upc._add_counts(h.negative, excluded.negative, 1);
END
$fn$;
COMMENT ON FUNCTION upc._count_backtest IS
    'internal: counts the moves of some UTC days, all of one year, of a backtest''s training or test span';

-- Training of a backtest: the forecast of volatility is fitted, and moves are counted.

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
    IF 60 < ANY (v_test.minutes) AND v_fit.factors IS NOT NULL
        AND upc._long_coefficients(v_fit.coefficients) IS NULL
    THEN
        PERFORM upc._refuse_backtest(
            format('there is too little to fit the volatility of %s beyond an hour on', symbol),
            'It takes a day, and 200 minutes with a day after them.',
            'Train on a longer span, or ask up to 60 minutes before the close.'
        );
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
        coefficients = upc._with_seconds(
            v_test.symbol, v_test.train_from, v_test.train_to, v_fit.factors, v_fit.coefficients
        ),
        regime_edges = v_edges
    WHERE b.symbol = v_test.symbol AND b.backtest_id = v_test.backtest_id;
END
$fn$;
COMMENT ON FUNCTION upc._fit_backtest IS
    'fits the forecast of volatility, and the edges of the regimes, on the training span';


CREATE FUNCTION upc._require_own_forecast(test upc_data.backtest)
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    IF cardinality((test).coefficients) = 360 THEN
        PERFORM upc._refuse_backtest(
            format('backtest %s was fitted by other formulas than those of today', (test).backtest_id),
            'It was begun before an upgrade that changed the forecast of volatility.',
            'Delete it, and run it again.'
        );
    END IF;
    IF (test).models && '{shrunk:nearest, shrunk:linear}' THEN
        PERFORM upc._refuse_backtest(
            format('backtest %s asks for a model that is retired', (test).backtest_id),
            'It was begun before an upgrade that took the model shrunk away.',
            'Delete it, and run it again without that model.'
        );
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._require_own_forecast IS
    'raises UP022 for a backtest that goes on after an upgrade which changed the forecast of volatility, or took a model of its away';


-- Counts over upc._long_horizons() of the training of a backtest; none where it asks up to an hour alone.
DO $do$
BEGIN
    EXECUTE format(
        $sql$
        CREATE FUNCTION upc._count_long_training(test upc_data.backtest, first_day date, last_day date)
        RETURNS TABLE (minutes smallint, pairs integer, positive integer[], negative integer[])
        LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 9
        AS $fn$
        DECLARE
            -- A copy: what is read of an argument that is a row is decompressed each time.
            v_test upc_data.backtest := test;
            v_coefficients double precision[] := upc._long_coefficients(v_test.coefficients);
        BEGIN
            IF v_coefficients IS NULL OR NOT 60 < ANY (v_test.minutes) THEN
                RETURN;
            END IF;
            RETURN QUERY
            SELECT p.minutes, %1$s, ARRAY[%2$s], ARRAY[%3$s]
            FROM (
                SELECT k.minutes::smallint AS minutes, upc._packed(sum(k.counters)) AS packed
                FROM upc._count_long_moves(
                    v_test.symbol, first_day, last_day, v_test.factors, v_coefficients,
                    v_test.train_from, v_test.train_to
                ) AS c
                CROSS JOIN LATERAL unnest(c.counters, upc._long_horizons()) AS k (counters, minutes)
                GROUP BY k.minutes
                HAVING sum(k.counters) <> 0
            ) AS p;
        END
        $fn$
        $sql$,
        upc._unpacked(60),
        (SELECT string_agg(upc._unpacked(61 + k), ', ' ORDER BY k) FROM generate_series(0, 59) AS k),
        (SELECT string_agg(upc._unpacked(59 - k), ', ' ORDER BY k) FROM generate_series(0, 59) AS k)
    );
END
$do$;
COMMENT ON FUNCTION upc._count_long_training IS
    'counts of standardised moves over upc._long_horizons() of some UTC days of a backtest''s training';


-- Minutes up to an hour that moves are counted over. The average of the last minute asks about a time that
-- lies between two minutes. Of the first minute all starts are there, which the effective sizes are made of, as
-- in the fingerprints. From 60 to 75 minutes curves go over from the one to the other.
CREATE FUNCTION upc._trained_minutes(minutes integer[], settlement text)
RETURNS integer[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY(
    SELECT DISTINCT h
    FROM unnest(_trained_minutes.minutes) AS t
    CROSS JOIN LATERAL (
        VALUES
            (1),
            (t),
            (CASE WHEN _trained_minutes.settlement = 'average' THEN greatest(1, t - 1) ELSE t END),
            (CASE WHEN t BETWEEN 61 AND 75 THEN 60 ELSE 1 END)
    ) AS v (h)
    WHERE h <= 60
    ORDER BY h
);
COMMENT ON FUNCTION upc._trained_minutes IS
    'the minutes up to an hour that a backtest counts moves over, from those that it asks';


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
    v_forecasts smallint[];
BEGIN
    SELECT b.* INTO v_test FROM upc_data.backtest AS b
    WHERE b.symbol = _count_backtest.symbol AND b.backtest_id = _count_backtest.backtest_id;
    PERFORM upc._require_own_forecast(v_test);
    -- The training looks at nothing outside of its span.
    v_since := CASE WHEN is_test THEN '-infinity' ELSE v_test.train_from END;
    v_until := CASE WHEN is_test THEN v_test.test_to ELSE v_test.train_to END;
    v_horizons := upc._trained_minutes(v_test.minutes::integer[], v_test.settlement);
    v_closes := ARRAY(
        SELECT unnest(array_agg(
            upc._candle_window(v_test.symbol, d.day, v_since, v_until) ORDER BY d.i
        ))
        FROM unnest(v_days) WITH ORDINALITY AS d (day, i)
    );
    IF v_test.factors IS NOT NULL THEN
        v_forecasts := ARRAY(
            SELECT unnest(array_agg(f.forecasts ORDER BY f.day))
            FROM upc._corrected_day_forecasts(
                v_test.symbol, v_days, v_test.factors, v_test.coefficients, v_since, v_until
            ) AS f
        );
    END IF;

    WITH counted AS MATERIALIZED (
        SELECT 'plain' AS moves, p.*
        FROM upc._count_moves(v_closes, upc._all_starts(cardinality(v_days)), v_horizons) AS p
        WHERE EXISTS (
            SELECT FROM unnest(v_test.models) AS k WHERE k ~ '^(baseline|momentum):'
        )
        UNION ALL
        SELECT 'standardised', s.*
        FROM upc._count_standardised_moves(
            v_days, v_closes, v_forecasts, v_test.factors, v_horizons
        ) AS s
        WHERE v_test.factors IS NOT NULL
        UNION ALL
        SELECT 'standardised', upc._baseline()::smallint, l.*
        FROM upc._count_long_training(v_test, first_day, last_day) AS l
        WHERE NOT is_test
    ),
    month AS (
        INSERT INTO upc_data.backtest_month AS h (
            symbol, backtest_id, month, minutes, pairs, positive, negative
        )
        SELECT
            v_test.symbol, v_test.backtest_id, date_trunc('month', first_day::timestamp),
            m.minutes, m.pairs, m.positive, m.negative
        FROM counted AS m
        WHERE m.moves = 'standardised' AND m.bucket = upc._baseline() AND m.minutes <= 60 AND NOT is_test
    )
    INSERT INTO upc_data.backtest_histogram AS h (
        symbol, backtest_id, moves, year, bucket, minutes, pairs, positive, negative
    )
    SELECT
        v_test.symbol, v_test.backtest_id, v_prefix || m.moves, extract(year FROM first_day),
        m.bucket, m.minutes, m.pairs, m.positive, m.negative
    FROM counted AS m
    -- Two pieces of a year may meet: in one order they wait, and never for each other.
    ORDER BY m.moves, m.bucket, m.minutes
    ON CONFLICT ON CONSTRAINT backtest_histogram_pkey
        DO UPDATE SET
            pairs = h.pairs + excluded.pairs,
            positive = upc._add_counts(h.positive, excluded.positive),
            negative = upc._add_counts(h.negative, excluded.negative);
END
$fn$;
COMMENT ON FUNCTION upc._count_backtest IS
    'counts the moves of some UTC days, all of one month, of a backtest''s training or test span';

-- Backtests: trained on one span of candles, tested on a later one. The training looks at no
-- candle outside of its span, a question at no candle after it.

CREATE FUNCTION upc._refuse_backtest(problem text, detail text, hint text)
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    RAISE EXCEPTION '%', problem USING ERRCODE = 'UP022', DETAIL = detail, HINT = hint;
END
$fn$;
COMMENT ON FUNCTION upc._refuse_backtest IS 'raises UP022';


-- Length of time between two closes of contracts of a kind.
CREATE FUNCTION upc._close_interval(kind text)
RETURNS interval
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE _close_interval.kind
    WHEN 'updown' THEN interval '15 minutes'
    ELSE interval '1 hour'
END;
COMMENT ON FUNCTION upc._close_interval IS
    'the time between two closes of contracts of a kind: 15 minutes of updown, an hour of the others';


CREATE FUNCTION upc._require_backtest_minutes(models text[], minutes integer[])
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    IF coalesce(cardinality(minutes), 0) = 0
        OR NOT coalesce(1 <= ALL (minutes) AND 1440 >= ALL (minutes), false)
    THEN
        PERFORM upc._refuse_backtest(
            'times to the close must be 1 to 1440 minutes',
            'They are whole minutes before the contracts close.', 'For example 2, 5, 15 and 60.'
        );
    END IF;
    IF 60 < ANY (minutes) AND NOT models <@ '{volatility:linear, volatility:nearest, gaussian}' THEN
        PERFORM upc._refuse_backtest(
            'only volatility and gaussian answer beyond 60 minutes',
            'A question that one model cannot answer is put to none.',
            'Leave the other models out: --model volatility:linear --model gaussian'
        );
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._require_backtest_minutes IS
    'raises UP022 unless models of a backtest answer so many minutes before the close';


-- Refuse the settings of a backtest that cannot be: models, minutes, strikes, settlement, kind.
-- Errors: UP022.
CREATE FUNCTION upc._require_backtest_settings(
    models text[],
    minutes integer[],
    step double precision,
    levels integer,
    settlement text,
    close_minute integer,
    kind text
)
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_model text;
BEGIN
    FOREACH v_model IN ARRAY coalesce(models, '{}') LOOP
        IF NOT coalesce(
            v_model = 'gaussian'
            OR split_part(v_model, ':', 1) = ANY (upc._models())
                AND v_model ~ '^[a-z]+:(nearest|linear)$',
            false
        ) THEN
            PERFORM upc._refuse_backtest(
                CASE split_part(v_model, ':', 1)
                    WHEN 'shrunk' THEN (upc._model_problem('shrunk')).message
                    ELSE format('unknown model %s', coalesce(quote_literal(v_model), 'NULL'))
                END,
                format(
                    'A model is %s with :nearest or :linear, or gaussian.',
                    array_to_string(upc._models(), ', ')
                ),
                CASE split_part(v_model, ':', 1)
                    WHEN 'shrunk' THEN (upc._model_problem('shrunk')).hint
                    ELSE 'For example volatility:linear.'
                END
            );
        END IF;
    END LOOP;
    IF coalesce(cardinality(models), 0) = 0 THEN
        PERFORM upc._refuse_backtest(
            'no model to test', 'At least one is needed.', 'For example volatility:linear.'
        );
    END IF;
    PERFORM upc._require_backtest_minutes(models, minutes);
    IF NOT coalesce(kind IN ('above', 'range', 'updown'), false) THEN
        PERFORM upc._refuse_backtest(
            format('unknown kind of contract %s', coalesce(quote_literal(left(kind, 40)), 'NULL')),
            'A kind is above, range or updown.', 'Leave it out for above.'
        );
    END IF;
    IF kind = 'updown' AND NOT 15 >= ALL (minutes) THEN
        PERFORM upc._refuse_backtest(
            'times to the close of updown must be 1 to 15 minutes',
            'These contracts open a quarter of an hour before they close.',
            'For example 2, 5, 10 and 15.'
        );
    END IF;
    IF NOT coalesce(step > 0 AND step < 'Infinity', true)
        OR NOT coalesce(levels BETWEEN 0 AND 500, false)
    THEN
        PERFORM upc._refuse_backtest(
            'there are no such strikes', 'The step is a positive number, levels are 0 to 500.',
            'Leave them out for the symbol''s step and 10 levels.'
        );
    END IF;
    IF NOT coalesce(settlement IN ('close', 'average'), false)
        OR NOT coalesce(close_minute BETWEEN 0 AND 59, false)
    THEN
        PERFORM upc._refuse_backtest(
            'contracts cannot settle like that',
            'The settlement is close or average; the minute of the hour is 0 to 59.',
            'Leave them out for the close at the full hour.'
        );
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._require_backtest_settings IS
    'raises UP022 unless a backtest can have these models, minutes, strikes, settlement and kind';


-- Spans of a backtest, with defaults filled in, and cut to the stored candles.
-- Errors: UP022 without candles, or where the test does not come after the training.
CREATE FUNCTION upc._backtest_spans(
    symbol text,
    INOUT train_from timestamptz,
    INOUT train_to timestamptz,
    INOUT test_from timestamptz,
    INOUT test_to timestamptz
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_first timestamptz;
    v_end timestamptz;
    v_cut timestamptz;
BEGIN
    SELECT min(c.opened_at), max(c.opened_at) + interval '1 minute'
    INTO v_first, v_end
    FROM upc_data.candle AS c
    WHERE c.symbol = _backtest_spans.symbol;
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
        WHERE c.symbol = _backtest_spans.symbol
          AND c.opened_at >= train_from AND c.opened_at < train_to
    ) OR NOT EXISTS (
        SELECT FROM upc_data.candle AS c
        WHERE c.symbol = _backtest_spans.symbol AND c.opened_at >= test_from AND c.opened_at < test_to
    ) THEN
        PERFORM upc._refuse_backtest(
            'there are no candles in one of the spans',
            format('Candles are there from %s to %s.', upc._iso_utc(v_first), upc._iso_utc(v_end)),
            'Name spans that have candles.'
        );
    END IF;

    -- Without candles there is nothing to do.
    train_from := greatest(train_from, v_first);
    test_to := least(test_to, v_end);
END
$fn$;
COMMENT ON FUNCTION upc._backtest_spans IS
    'the spans of a backtest, with defaults filled in, and cut to the stored candles';


-- Begin a backtest: store its settings, with defaults filled in.
--
-- NULL train_from: the first candle; train_to and test_from: 1 January of the year of the last
-- candle, or where that leaves nothing to train on the day that two thirds of the candles come
-- before; test_to: the end of the candles. NULL step: the symbol's own.
-- models: model:method with the models and methods of compute_strikes, or gaussian. minutes: times
-- to the close, 1 to 60, with volatility and gaussian alone up to 1440. close_minute: of the hour, at which contracts close; those of updown do so
-- every quarter of an hour. kind: above, at or above the strikes of the grid; range, between two
-- neighbours of the grid; updown, not below the average of the minute before the quarter of an hour began,
-- minutes up to 15. recalibrate: false leaves the answers of the volatility model as they are.
-- Returns its number.
-- Errors: UP002 symbol, UP022 settings that cannot be.
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
    version text DEFAULT '',
    kind text DEFAULT 'above',
    recalibrate boolean DEFAULT true
)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_span record;
    v_id bigint;
BEGIN
    PERFORM upc.require_symbol(symbol);
    PERFORM upc._require_backtest_settings(
        models, minutes, step, levels, settlement, close_minute, kind
    );
    SELECT s.*
    INTO v_span
    FROM upc._backtest_spans(symbol, train_from, train_to, test_from, test_to) AS s;

    INSERT INTO upc_data.backtest AS b (
        symbol, train_from, train_to, test_from, test_to, models, minutes, step, levels,
        settlement, close_minute, version, kind, is_recalibrated, started_at
    )
    SELECT
        s.symbol, v_span.train_from, v_span.train_to, v_span.test_from, v_span.test_to,
        ARRAY(
            SELECT m.model FROM unnest(begin_backtest.models) WITH ORDINALITY AS m (model, i)
            GROUP BY m.model ORDER BY min(m.i)
        ),
        ARRAY(SELECT DISTINCT m::smallint FROM unnest(begin_backtest.minutes) AS m ORDER BY 1),
        coalesce(begin_backtest.step, s.strike_step), begin_backtest.levels,
        begin_backtest.settlement,
        begin_backtest.close_minute
            % (extract(epoch FROM upc._close_interval(begin_backtest.kind))::integer / 60),
        coalesce(begin_backtest.version, ''),
        begin_backtest.kind,
        coalesce(begin_backtest.recalibrate, true)
            AND begin_backtest.models && '{volatility:nearest, volatility:linear}',
        clock_timestamp()
    FROM upc_data.symbol AS s
    WHERE s.symbol = begin_backtest.symbol
    RETURNING b.backtest_id INTO v_id;
    RETURN v_id;
END
$fn$;
COMMENT ON FUNCTION upc.begin_backtest IS
    'begins a backtest: stores its settings, with defaults filled in; returns its number';

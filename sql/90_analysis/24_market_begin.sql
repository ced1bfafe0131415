-- Backtests against the market: what is trained on, and what is asked.

-- Seconds of time left to the price that decides a contract that settles by the average, as the live model has
-- them. ttc_seconds: 60 and more.
CREATE FUNCTION upc._seconds_to_average(ttc_seconds integer)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN _seconds_to_average.ttc_seconds - 60 + 60 * upc._average_share();
COMMENT ON FUNCTION upc._seconds_to_average IS
    'the time after which a price has the variance of the average of the last minute, seconds';


-- Bands of time to the close by which a backtest against the market is divided: each by the minutes where
-- it ends.
CREATE FUNCTION upc._market_bands()
RETURNS integer[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '{3, 7, 15, 30, 60}'::integer[];
COMMENT ON FUNCTION upc._market_bands IS
    'the ends of the bands of time to the close of a backtest against the market, minutes';


CREATE FUNCTION upc._market_band(ttc_seconds integer)
RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (upc._market_bands())[
    1 + width_bucket((_market_band.ttc_seconds - 1) / 60, upc._market_bands())
]::smallint;
COMMENT ON FUNCTION upc._market_band IS
    'the band of upc._market_bands that a time to the close of up to an hour is in, by its end';


-- Whose quotes a backtest is asked about: those of its own files, or without them the ones kept for all (0).
CREATE FUNCTION upc._quotes_of(symbol text, backtest_id bigint)
RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE
    WHEN EXISTS (
        SELECT FROM upc_data.market_observation AS o
        WHERE o.symbol = _quotes_of.symbol AND o.backtest_id = _quotes_of.backtest_id
    ) THEN _quotes_of.backtest_id
    ELSE 0
END;
COMMENT ON FUNCTION upc._quotes_of IS
    'the number under which the quotes of a backtest are stored: its own, or 0';


-- Begin a backtest against the market. Quotes of files are stored for it next, by its number; then comes
-- plan_market_backtest.
--
-- prices: recorded, basis or candles, as in upc_data.backtest. version: of pyupc.
-- Returns its number.
-- Errors: UP002 symbol, UP022 no such prices.
--
-- Example:
--   SELECT begin_market_backtest('BTC') > 0 AS is_begun;
CREATE FUNCTION upc.begin_market_backtest(
    symbol text,
    prices text DEFAULT 'recorded',
    version text DEFAULT ''
)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_id bigint;
BEGIN
    PERFORM upc.require_symbol(symbol);
    IF NOT coalesce(prices IN ('recorded', 'basis', 'candles'), false) THEN
        PERFORM upc._refuse_backtest(
            format('unknown prices %s', coalesce(quote_literal(left(prices, 40)), 'NULL')),
            'They are recorded beside the quotes, or those of candles, less their basis or not.',
            'Known: recorded, basis, candles.'
        );
    END IF;
    INSERT INTO upc_data.backtest AS b (
        symbol, train_from, train_to, test_from, test_to, models, minutes, step, levels,
        settlement, close_minute, version, kind, prices, started_at
    )
    SELECT
        s.symbol, 'epoch', '1970-01-02 00:00+00', '1970-01-02 00:00+00', '1970-01-03 00:00+00',
        '{volatility:linear, market, blend, gaussian}', '{60}', s.strike_step, 0, 'average', 0,
        coalesce(begin_market_backtest.version, ''), 'market', begin_market_backtest.prices,
        clock_timestamp()
    FROM upc_data.symbol AS s
    WHERE s.symbol = begin_market_backtest.symbol
    RETURNING b.backtest_id INTO v_id;
    RETURN v_id;
END
$fn$;
COMMENT ON FUNCTION upc.begin_market_backtest IS
    'begins a backtest against the market; returns its number';


-- Plan a backtest against the market, whose quotes are stored: which candles are trained on, and which
-- contracts are asked about, those that close in [test_from, test_to).
--
-- NULL test_from: the UTC day of the first contract; test_to: to the last. train_to: test_from; train_from: the
-- first candle.
-- Returns the number of quotes that are asked about: of one minute to an hour before the close.
-- Errors: UP022 no such backtest, no quotes, or no candles to train on.
--
-- Example:
--   SELECT count(plan_market_backtest(b.symbol, b.backtest_id)) = 0
--   FROM backtest_list AS b WHERE b.symbol = 'ETH' AND b.kind = 'market';
CREATE FUNCTION upc.plan_market_backtest(
    symbol text,
    backtest_id bigint,
    train_from timestamptz DEFAULT NULL,
    train_to timestamptz DEFAULT NULL,
    test_from timestamptz DEFAULT NULL,
    test_to timestamptz DEFAULT NULL
)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_quotes_of bigint := upc._quotes_of(symbol, backtest_id);
    v_quotes record;
    v_from timestamptz;
    v_to timestamptz;
    v_span record;
BEGIN
    PERFORM upc._backtest_plan(symbol, backtest_id);
    SELECT
        count(*) AS count,
        min(o.closes_at) AS first_close,
        max(o.closes_at) AS last_close,
        array_agg(DISTINCT least(
            60, 1 + floor(upc._seconds_to_average(
                floor(extract(epoch FROM o.closes_at - o.observed_at))::integer
            ) / 60)
        )::smallint) AS minutes
    INTO v_quotes
    FROM upc_data.market_observation AS o
    WHERE o.symbol = plan_market_backtest.symbol
      AND o.backtest_id = v_quotes_of
      AND o.closes_at >= coalesce(plan_market_backtest.test_from, '-infinity')
      AND o.closes_at < coalesce(plan_market_backtest.test_to, 'infinity')
      AND o.observed_at BETWEEN o.closes_at - interval '1 hour' AND o.closes_at - interval '1 minute';
    IF v_quotes.count = 0 THEN
        PERFORM upc._refuse_backtest(
            format('there are no quotes of contracts of %s to test against', symbol),
            'Quotes are asked about from an hour to a minute before their contract closes.',
            'Read some: pyupc market history, or name files: --quotes FILE.'
        );
    END IF;
    v_from := coalesce(
        plan_market_backtest.test_from, date_trunc('day', v_quotes.first_close, 'UTC')
    );
    v_to := coalesce(plan_market_backtest.test_to, v_quotes.last_close + interval '1 minute');
    SELECT s.*
    INTO v_span
    FROM upc._backtest_spans(
        symbol, train_from, coalesce(train_to, v_from), v_from, v_to
    ) AS s;
    UPDATE upc_data.backtest AS b
    SET
        train_from = v_span.train_from,
        train_to = v_span.train_to,
        test_from = v_span.test_from,
        test_to = v_to,
        minutes = v_quotes.minutes
    WHERE b.symbol = plan_market_backtest.symbol
      AND b.backtest_id = plan_market_backtest.backtest_id;
    RETURN v_quotes.count;
END
$fn$;
COMMENT ON FUNCTION upc.plan_market_backtest IS
    'plans a backtest against the market by its quotes; returns how many are asked about';

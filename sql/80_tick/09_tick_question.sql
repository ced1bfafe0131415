-- The question that a tick asks, with what stands in where it cannot be answered.

-- Arguments as in tick; market_at, price and momentum as _feed_price has them.
--
-- Returns the question with nothing left out, its model and settlement being those that answer; the
-- model and settlement that were asked for; the close; and the forecast until then, in percent.
CREATE FUNCTION upc._tick_question(
    symbol text,
    feed text,
    market_at timestamptz,
    price double precision,
    momentum double precision,
    event upc._event,
    step double precision,
    levels integer,
    method text,
    model text,
    settlement text,
    seed integer,
    OUT question upc._question,
    OUT asked_model text,
    OUT asked_settlement text,
    OUT closes_at timestamptz,
    OUT volatility double precision
)
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_model text := model;
    v_method text := method;
    v_settlement text := settlement;
    v_ttc integer := coalesce(
        floor(extract(epoch FROM event.closes_at - market_at))::integer,
        upc._seconds_to_hour(market_at)
    );
    v_step double precision;
    v_variances double precision[];
    v_observed double precision;
BEGIN
    closes_at := coalesce(event.closes_at, upc._next_hour(market_at));
    IF model IS NULL OR method IS NULL OR settlement IS NULL THEN
        SELECT d.model, d.method, d.settlement
        INTO v_model, v_method, v_settlement
        FROM upc._question_defaults(symbol, model, method, settlement) AS d;
    END IF;
    asked_model := v_model;
    asked_settlement := v_settlement;

    -- Made-up prices have no candles: the stored ones stand in for them.
    v_variances := upc._cached_forecast(symbol, CASE WHEN feed <> 'simulated' THEN market_at END);
    volatility := 100 * sqrt(upc.variance_until(v_variances, v_ttc));
    IF v_model = 'volatility' AND (
        volatility IS NULL
        OR NOT upc._has_volatility_curves(symbol)
    ) THEN
        v_model := 'momentum';
    END IF;
    IF v_model <> 'volatility' THEN
        -- Others have no use for it.
        v_variances := NULL;
    END IF;
    IF v_settlement = 'average' AND v_ttc < 60 THEN
        v_observed := upc._feed_average(
            symbol, feed, closes_at - interval '1 minute', market_at, seed
        );
        IF v_observed IS NULL THEN
            v_settlement := 'close';
        END IF;
    END IF;

    SELECT coalesce(_tick_question.step, event.step, s.strike_step)
    INTO v_step
    FROM upc_data.symbol AS s
    WHERE s.symbol = _tick_question.symbol;
    question := upc._make_question(
        price, momentum, symbol, v_ttc, v_step, levels, v_method, v_model, v_settlement,
        observed => v_observed, variances => v_variances, at => market_at
    );
END
$fn$;
COMMENT ON FUNCTION upc._tick_question IS
    'the question of a tick for its strikes, what was asked for where something stands in for it, the close, and the forecast';

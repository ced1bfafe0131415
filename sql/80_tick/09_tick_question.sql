-- The question that a tick asks, with what stands in where it cannot be answered.

CREATE TYPE upc._tick_question AS (
    question upc._question,
    asked_model text,
    asked_settlement text,
    closes_at timestamptz,
    volatility double precision
);
COMMENT ON TYPE upc._tick_question IS
    'the question of a tick with nothing left out; the model and settlement that were asked for, where another one answers; the close; and the forecast until then, percent';


-- Arguments as in tick; market_at, price and momentum as _feed_price has them.
--
-- The model and settlement of the question are those that answer.
CREATE FUNCTION upc._ask_of_tick(
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
    seed integer
)
RETURNS upc._tick_question
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v upc._tick_question;
    v_model text := model;
    v_method text := method;
    v_settlement text := settlement;
    v_ttc integer := coalesce(
        floor(extract(epoch FROM event.closes_at - market_at))::integer,
        upc._seconds_to_hour(market_at)
    );
    v_step double precision := coalesce(step, event.step);
    v_variances double precision[];
    v_observed double precision;
BEGIN
    v.closes_at := coalesce(event.closes_at, upc._next_hour(market_at));
    IF model IS NULL OR method IS NULL OR settlement IS NULL THEN
        SELECT d.model, d.method, d.settlement
        INTO v_model, v_method, v_settlement
        FROM upc._question_defaults(symbol, model, method, settlement) AS d;
    END IF;
    v.asked_model := v_model;
    v.asked_settlement := v_settlement;

    -- Made-up prices have no candles: the stored ones stand in for them.
    v_variances := upc._cached_forecast(symbol, CASE WHEN feed <> 'simulated' THEN market_at END);
    v.volatility := 100 * sqrt(upc.variance_until(v_variances, v_ttc));
    IF v_model = 'volatility' AND (
        v.volatility IS NULL
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
            symbol, feed, v.closes_at - interval '1 minute', market_at, seed
        );
        IF v_observed IS NULL THEN
            v_settlement := 'close';
        END IF;
    END IF;

    IF v_step IS NULL THEN
        SELECT s.strike_step INTO v_step
        FROM upc_data.symbol AS s
        WHERE s.symbol = _ask_of_tick.symbol;
    END IF;
    v.question := upc._make_question(
        price, momentum, symbol, v_ttc, v_step, levels, v_method, v_model, v_settlement,
        observed => v_observed, variances => v_variances, at => market_at
    );
    RETURN v;
END
$fn$;
COMMENT ON FUNCTION upc._ask_of_tick IS
    'the question of a tick for its strikes, what was asked for where something stands in for it, the close, and the forecast';

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


-- The question as a tick can answer it.
--
-- question: as the tick was asked, with the price, the momentum and the instant that its feed shows.
-- feed, seed: as in tick. The model and settlement of the result are those that answer.
CREATE FUNCTION upc._ask_of_tick(
    question upc._question,
    event upc._event,
    feed text,
    seed integer
)
RETURNS upc._tick_question
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v upc._tick_question;
BEGIN
    v.closes_at := coalesce(event.closes_at, upc._next_hour(question.at));
    question.ttc_seconds := coalesce(
        floor(extract(epoch FROM event.closes_at - question.at))::integer,
        upc._seconds_to_hour(question.at)
    );
    IF event.event_ticker IS NOT NULL THEN
        question.settlement := coalesce(
            question.settlement, upc._answered_settlement(event.settlement)
        );
    END IF;
    IF question.model IS NULL OR question.method IS NULL OR question.settlement IS NULL THEN
        SELECT d.model, d.method, d.settlement
        INTO question.model, question.method, question.settlement
        FROM upc._question_defaults(
            question.symbol, question.model, question.method, question.settlement
        ) AS d;
    END IF;
    v.asked_model := question.model;
    v.asked_settlement := question.settlement;

    -- Made-up prices have no candles, unless there is a market for them: the stored ones stand in for them.
    question.variances := upc._cached_forecast(
        question.symbol,
        CASE WHEN feed <> 'simulated' OR event.event_ticker IS NOT NULL THEN question.at END
    );
    v.volatility := 100 * sqrt(upc.variance_until(question.variances, question.ttc_seconds));
    IF question.model = 'volatility' AND (
        v.volatility IS NULL
        OR NOT upc._has_volatility_curves(question.symbol)
    ) THEN
        question.model := 'momentum';
    END IF;
    IF question.model <> 'volatility' THEN
        -- Others have no use for it.
        question.variances := NULL;
    END IF;
    IF question.settlement = 'average' AND question.ttc_seconds < 60 THEN
        question.observed := upc._feed_average(
            question, feed, v.closes_at - interval '1 minute', seed
        );
        IF question.observed IS NULL THEN
            question.settlement := 'close';
        END IF;
    END IF;

    v.question := upc._with_strikes(question, event);
    RETURN v;
END
$fn$;
COMMENT ON FUNCTION upc._ask_of_tick IS
    'the question of a tick for its strikes, what was asked for where something stands in for it, the close, and the forecast';


CREATE FUNCTION upc._seconds_to_quarter(at timestamptz)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 900 * (floor(date_part('epoch', _seconds_to_quarter.at) / 900) + 1)
    - date_part('epoch', _seconds_to_quarter.at);
COMMENT ON FUNCTION upc._seconds_to_quarter IS
    'seconds from an instant to the next whole quarter of an hour, 900 at one';


-- The question of a tick for the contracts of every event, as contract_table would ask it.
--
-- question: as _ask_of_tick has it. settlement: as the tick was asked; NULL is that of each event's series.
-- feed, seed: as in tick.
CREATE FUNCTION upc._contract_question_of(
    question upc._question,
    settlement text,
    feed text,
    seed integer
)
RETURNS upc._question
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    question.ttc_seconds := NULL;
    question.step := NULL;
    question.strikes := NULL;
    question.settlement := settlement;
    -- Other events have last minutes of their own, which the price log knows.
    question.observed := NULL;
    IF feed = 'simulated' AND upc._seconds_to_quarter(question.at) < 60 THEN
        -- Made-up prices are in no log. Whatever closes now closes at that quarter of an hour.
        question.observed := upc._feed_average(
            question, feed,
            question.at + make_interval(secs => upc._seconds_to_quarter(question.at) - 60), seed
        );
    END IF;
    RETURN question;
END
$fn$;
COMMENT ON FUNCTION upc._contract_question_of IS
    'the question of a tick for the contracts of all followed events, with the time to each close left out';

-- The price that a feed shows at an instant, with its momentum and its state.

-- Arguments as in tick. market_at is the instant that the feed speaks of: `at`, or the stored one
-- that a replay shows.
-- Errors: UP002 symbol, UP010 feed, UP011 no price.
CREATE FUNCTION upc._feed_price(
    symbol text,
    feed text,
    at timestamptz,
    replay_from timestamptz,
    elapsed interval,
    seed integer,
    OUT market_at timestamptz,
    OUT price double precision,
    OUT priced_at timestamptz,
    OUT state text,
    OUT momentum double precision,
    OUT delta_1m double precision,
    OUT delta_2m double precision,
    OUT delta_3m double precision,
    OUT delta_4m double precision,
    OUT delta_15m double precision,
    OUT delta_30m double precision,
    OUT source text
)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
AS $fn$
DECLARE
    v_logged record;
    v_momentum record;
BEGIN
    market_at := at;
    IF feed = 'simulated' THEN
        priced_at := at;
        price := upc.simulated_price(symbol, at, seed);
        state := upc._price_state('0', NULL);
        v_momentum := upc._simulated_momentum(symbol, at, price, seed);
    ELSIF feed = 'replay' THEN
        market_at := upc._replay_instant(
            symbol, coalesce(replay_from, upc.replay_start(symbol, at)), elapsed
        );
        SELECT p.price, p.priced_at
        INTO price, priced_at
        FROM upc.replay_price(symbol, market_at) AS p;
        source := 'candles';
        state := upc._price_state(market_at - priced_at, NULL);
    ELSIF feed IS NOT NULL THEN
        v_logged := upc._logged_price(symbol, at, nullif(feed, 'database'));
        price := v_logged.price;
        priced_at := v_logged.priced_at;
        source := v_logged.source;
        state := upc._logged_state(
            symbol, feed, at, priced_at, v_logged.same_since, v_logged.newest_at
        );
    END IF;
    IF price IS NULL THEN
        PERFORM upc._refuse_feed(symbol, feed);
    END IF;
    IF v_momentum IS NULL THEN
        v_momentum := upc.momentum(symbol, market_at, price);
    END IF;
    momentum := v_momentum.momentum;
    delta_1m := v_momentum.delta_1m;
    delta_2m := v_momentum.delta_2m;
    delta_3m := v_momentum.delta_3m;
    delta_4m := v_momentum.delta_4m;
    delta_15m := v_momentum.delta_15m;
    delta_30m := v_momentum.delta_30m;
END
$fn$;
COMMENT ON FUNCTION upc._feed_price IS
    'the price in USD that a feed shows at an instant, its state, the momentum that goes with it, and where it is from: an exchange, candles, or NULL for what is made up';


-- The mean price that a feed has shown from an instant to that of a question, less its basis: what has been seen
-- of the average that decides. NULL where it has not been seen.
CREATE FUNCTION upc._feed_average(
    question upc._question,
    feed text,
    since timestamptz,
    seed integer
)
RETURNS double precision
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    RETURN CASE feed
        WHEN 'simulated' THEN (
            SELECT avg(upc.simulated_price(question.symbol, s, seed))
            FROM generate_series(since, question.at, interval '1 second') AS s
        )
        WHEN 'replay' THEN (
            SELECT upc._less_basis(avg(p.price), question.basis)
            FROM generate_series(since, question.at, interval '1 second') AS s
            CROSS JOIN LATERAL upc.replay_price(question.symbol, s) AS p
        )
        ELSE upc._seen_average(question, since)
    END;
END
$fn$;
COMMENT ON FUNCTION upc._feed_average IS
    'the mean price in USD that a feed has shown from an instant to that of a question, less its basis; NULL where it has not been seen';

-- Prices: the log of what an exchange reported, and when; the price at an instant.

-- The newest price by an instant, of an exchange or of any. The log has a partition for each day:
-- those since another one are looked at first, and all of them only where they have none.
--
-- transaction_age: that of the transaction that wrote it, in transactions.
CREATE FUNCTION upc._last_price(
    symbol text,
    exchange text,
    since timestamptz,
    until timestamptz DEFAULT 'infinity',
    OUT from_exchange text,
    OUT price double precision,
    OUT received_at timestamptz,
    OUT exchange_at timestamptz,
    OUT transaction_age integer
)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
AS $fn$
BEGIN
    IF exchange IS NULL THEN
        SELECT p.exchange, p.price, p.received_at, p.exchange_at, age(p.xmin)
        INTO from_exchange, price, received_at, exchange_at, transaction_age
        FROM upc_data.price AS p
        WHERE p.symbol = _last_price.symbol AND p.received_at >= since AND p.received_at <= until
        ORDER BY p.received_at DESC
        LIMIT 1;
    ELSE
        SELECT p.exchange, p.price, p.received_at, p.exchange_at, age(p.xmin)
        INTO from_exchange, price, received_at, exchange_at, transaction_age
        FROM upc_data.price AS p
        WHERE p.symbol = _last_price.symbol
          AND p.exchange = _last_price.exchange
          AND p.received_at >= since
          AND p.received_at <= until
        ORDER BY p.received_at DESC
        LIMIT 1;
    END IF;
    IF NOT FOUND AND since > '-infinity' THEN
        SELECT l.*
        INTO from_exchange, price, received_at, exchange_at, transaction_age
        FROM upc._last_price(symbol, exchange, '-infinity', until) AS l;
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._last_price IS
    'the newest logged price by an instant, of an exchange or of any, in USD, and when it came in; NULL without one';


-- Log a price. A price that is older on the exchange's clock than the one logged last has been
-- overtaken on its way, and is left out.
--
-- exchange_at: time on the exchange's clock, NULL where it reports none.
-- Returns true if it was logged.
-- Errors: UP001 price, UP002 symbol.
--
-- Example:
--   SELECT upc.record_price('BTC', 'coinbase', 97250.5);
CREATE FUNCTION upc.record_price(
    symbol text,
    exchange text,
    price double precision,
    exchange_at timestamptz DEFAULT NULL,
    received_at timestamptz DEFAULT clock_timestamp()
)
RETURNS boolean
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_last record;
BEGIN
    PERFORM upc.require_symbol(symbol);
    IF NOT coalesce(price > 0 AND price < 'Infinity', false) THEN
        PERFORM upc._refuse_price(price, 'Log only the prices that the exchange reports.');
    END IF;
    v_last := upc._last_price(symbol, exchange, received_at - interval '1 hour');
    INSERT INTO upc_data.price AS p (symbol, exchange, received_at, price, exchange_at)
    SELECT record_price.symbol, record_price.exchange, record_price.received_at,
        record_price.price, record_price.exchange_at
    WHERE (v_last.exchange_at > record_price.exchange_at) IS NOT TRUE
    ON CONFLICT ON CONSTRAINT price_symbol_exchange_received_at_pkey DO NOTHING;
    RETURN FOUND;
END
$fn$;
COMMENT ON FUNCTION upc.record_price IS
    'logs a price of an exchange, unless a newer one is logged already';


CREATE FUNCTION upc._logged_price(
    symbol text,
    at timestamptz,
    exchange text DEFAULT NULL,
    OUT price double precision,
    OUT priced_at timestamptz,
    OUT same_since timestamptz,
    OUT newest_at timestamptz,
    OUT source text
)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
AS $fn$
DECLARE
    v_exchange text := exchange;
    v_received_at timestamptz;
BEGIN
    -- The log has a partition for each day: those of the last hour are looked at first, and all of
    -- them only where they have no price.
    IF v_exchange IS NULL THEN
        SELECT p.exchange, p.price, p.received_at, least(p.received_at, p.exchange_at)
        INTO v_exchange, price, v_received_at, priced_at
        FROM upc_data.price AS p
        WHERE p.symbol = _logged_price.symbol AND p.received_at > at - interval '1 hour'
        ORDER BY p.received_at DESC
        LIMIT 1;
        IF NOT FOUND THEN
            SELECT l.from_exchange, l.price, l.received_at, least(l.received_at, l.exchange_at)
            INTO v_exchange, price, v_received_at, priced_at
            FROM upc._last_price(symbol, NULL, '-infinity') AS l;
        END IF;
        newest_at := v_received_at;
        IF newest_at > at THEN
            SELECT l.from_exchange
            INTO v_exchange
            FROM upc._last_price(symbol, NULL, at - interval '1 hour', at) AS l;
        END IF;
    END IF;
    IF exchange IS NOT NULL OR newest_at > at THEN
        SELECT p.price, p.received_at, least(p.received_at, p.exchange_at)
        INTO price, v_received_at, priced_at
        FROM upc_data.price AS p
        WHERE p.symbol = _logged_price.symbol
          AND p.exchange = v_exchange
          AND p.received_at > at - interval '1 hour'
        ORDER BY p.received_at DESC
        LIMIT 1;
        IF NOT FOUND THEN
            SELECT l.price, l.received_at, least(l.received_at, l.exchange_at)
            INTO price, v_received_at, priced_at
            FROM upc._last_price(symbol, coalesce(v_exchange, ''), '-infinity') AS l;
        END IF;
        newest_at := coalesce(newest_at, v_received_at);
    END IF;
    IF v_received_at > at THEN
        SELECT l.price, l.received_at, least(l.received_at, l.exchange_at)
        INTO price, v_received_at, priced_at
        FROM upc._last_price(symbol, coalesce(v_exchange, ''), at - interval '1 hour', at) AS l;
        -- A clock that was put back writes its prices among those of the same time before: of them
        -- the one that came in last is the newest, whatever its time.
        IF price IS NOT NULL AND at >= clock_timestamp() - interval '1 minute' THEN
            SELECT p.price, p.received_at, least(p.received_at, p.exchange_at)
            INTO price, v_received_at, priced_at
            FROM upc_data.price AS p
            WHERE p.symbol = _logged_price.symbol
              AND p.exchange = v_exchange
              AND p.received_at <= at
              AND p.received_at >= v_received_at - interval '5 seconds'
            ORDER BY age(p.xmin), p.received_at DESC
            LIMIT 1;
        END IF;
    END IF;
    IF price IS NULL THEN
        RETURN;
    END IF;
    source := v_exchange;

    -- Ones older than an hour add nothing about a price that does not move.
    SELECT min(s.received_at)
    INTO same_since
    FROM upc_data.price AS s
    WHERE s.symbol = _logged_price.symbol
      AND s.exchange = v_exchange
      AND s.received_at <= v_received_at
      AND s.received_at >= v_received_at - interval '1 hour'
      AND s.received_at > coalesce(
          (
              SELECT d.received_at
              FROM upc_data.price AS d
              WHERE d.symbol = _logged_price.symbol
                AND d.exchange = v_exchange
                AND d.received_at <= v_received_at
                AND d.received_at > v_received_at - interval '1 hour'
                AND d.price <> _logged_price.price
              ORDER BY d.received_at DESC
              LIMIT 1
          ),
          v_received_at - interval '1 hour'
      );
END
$fn$;
COMMENT ON FUNCTION upc._logged_price IS
    'the newest logged price in USD by an instant, of one exchange or of any, when it was so, since when it has been the same, when the newest of all came in, and its exchange; NULL without one';


CREATE FUNCTION upc._price_by(symbol text, at timestamptz)
RETURNS double precision
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_price double precision;
BEGIN
    SELECT p.price
    INTO v_price
    FROM upc_data.price AS p
    WHERE p.symbol = _price_by.symbol
      AND p.received_at BETWEEN at - interval '5 seconds' AND at
    ORDER BY p.received_at DESC
    LIMIT 1;
    -- Apart, so that a live tick does not pay for the look at the candles.
    IF NOT FOUND THEN
        SELECT c.close
        INTO v_price
        FROM upc_data.candle AS c
        WHERE c.symbol = _price_by.symbol
          AND c.opened_at BETWEEN at - interval '2 minutes' AND at - interval '1 minute'
        ORDER BY c.opened_at DESC
        LIMIT 1;
    END IF;
    RETURN v_price;
END
$fn$;
COMMENT ON FUNCTION upc._price_by IS
    'the price in USD at an instant: the logged one at most 5 seconds older, else the close of the last candle closed by then and at most 60 seconds older; NULL without either';


-- The mean price of a stretch of the log, each price for as long as it was the newest one.
--
-- exchange: NULL takes the one that was heard last.
-- Returns USD; NULL where the log has no price of the stretch's beginning (at most 5 s older), or
-- nothing of any 15 seconds of it: what has not been seen is not known.
CREATE FUNCTION upc._observed_average(
    symbol text,
    since timestamptz,
    until timestamptz,
    exchange text DEFAULT NULL
)
RETURNS double precision
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_exchange text := exchange;
    v_average double precision;
BEGIN
    -- One exchange's, as ticks take it.
    IF v_exchange IS NULL THEN
        SELECT p.exchange
        INTO v_exchange
        FROM upc_data.price AS p
        WHERE p.symbol = _observed_average.symbol
          AND p.received_at <= until
          AND p.received_at > until - interval '15 seconds'
        ORDER BY p.received_at DESC
        LIMIT 1;
    END IF;
    IF v_exchange IS NULL OR until <= since THEN
        RETURN NULL;
    END IF;

    SELECT
        CASE WHEN bool_or(s.is_beginning) AND max(s.lasted) <= interval '15 seconds' THEN
            sum(s.price * s.seconds) / nullif(sum(s.seconds), 0)
        END
    INTO v_average
    FROM (
        SELECT
            p.price,
            p.received_at <= since AS is_beginning,
            coalesce(lead(p.received_at) OVER (ORDER BY p.received_at), until)
                - p.received_at AS lasted,
            greatest(0, extract(epoch FROM
                coalesce(lead(p.received_at) OVER (ORDER BY p.received_at), until)
                - greatest(p.received_at, since)
            ))::double precision AS seconds
        FROM upc_data.price AS p
        WHERE p.symbol = _observed_average.symbol
          AND p.exchange = v_exchange
          AND p.received_at > since - interval '5 seconds'
          AND p.received_at <= until
    ) AS s;
    RETURN v_average;
END
$fn$;
COMMENT ON FUNCTION upc._observed_average IS
    'the mean of the logged prices of a stretch of time in USD, each for as long as it was the newest; NULL where the log does not have it all';


-- At the present a price is no fresher than it is behind the last one that came in, at newest_at.
CREATE FUNCTION upc._logged_state(
    symbol text,
    feed text,
    at timestamptz,
    priced_at timestamptz,
    same_since timestamptz,
    newest_at timestamptz
)
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
AS $fn$
DECLARE
    v_state text := upc._price_state(at - priced_at, at - same_since);
    v_behind interval;
BEGIN
    IF newest_at > at AND at >= clock_timestamp() - interval '1 minute' THEN
        v_behind := upc._price_lead(symbol, nullif(feed, 'database'), at);
    END IF;
    IF v_behind IS NULL THEN
        RETURN v_state;
    END IF;
    RETURN upc._worse_state(v_state, upc.freshness(v_behind));
END
$fn$;
COMMENT ON FUNCTION upc._logged_state IS
    'the state of the price that a live feed shows at an instant, by its age, by how long it has been the same, and by how far it is behind the last one that came in';


-- Lead of the last price that came in over an instant: prices came in after the newest one by then,
-- and yet carry a later time, since the clock by which it is the present has been put back. Prices
-- with a time to come because a clock was ahead once are older than that one; the order of
-- transactions decides. NULL where there is no lead.
CREATE FUNCTION upc._price_lead(symbol text, exchange text, at timestamptz)
RETURNS interval
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
AS $fn$
DECLARE
    v_later record;
    v_taken_age integer;
BEGIN
    SELECT l.received_at, l.from_exchange AS exchange, l.transaction_age AS age
    INTO v_later
    FROM upc._last_price(symbol, exchange, at - interval '1 hour') AS l;
    IF NOT coalesce(v_later.received_at > at, false) THEN
        RETURN NULL;
    END IF;
    SELECT l.transaction_age
    INTO v_taken_age
    FROM upc._last_price(symbol, v_later.exchange, at - interval '1 hour', at) AS l;
    RETURN CASE
        WHEN v_later.age < coalesce(v_taken_age, 2147483647) THEN v_later.received_at - at
    END;
END
$fn$;
COMMENT ON FUNCTION upc._price_lead IS
    'the lead of the last price that came in over an instant; NULL without one';

-- Feeds: the prices that a tick can take, and why one has none.

-- True in the demo's database, whose market is made up: nothing of it is for real prices, and nothing of a real
-- one is stored beside it.
--
-- Returns a boolean.
-- Errors: none.
--
-- Example:
--   SELECT NOT has_simulated_market();
CREATE FUNCTION upc.has_simulated_market()
RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    RETURN EXISTS (SELECT FROM upc_data.series AS s WHERE s.series LIKE 'SIM%');
END
$fn$;
COMMENT ON FUNCTION upc.has_simulated_market IS
    'true in a database whose market is simulated: the demo''s';


CREATE FUNCTION upc._refuse_simulation(reason text)
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    RAISE EXCEPTION '%', reason
        USING
            ERRCODE = 'UP033',
            DETAIL = 'Quotes that are made up are for made-up prices, in a database of the demo''s own.',
            HINT = 'Use pyupc demo for the one, and another database for the other.';
END
$fn$;
COMMENT ON FUNCTION upc._refuse_simulation IS
    'raises UP033: a simulated market and a real one do not go together';


-- True for a feed whose ticks go with the markets that are stored: any live one; and the simulated one in the
-- demo's database, where a live one is refused.
-- Errors: UP033.
CREATE FUNCTION upc._goes_with_markets(feed text)
RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    IF feed = 'replay' THEN
        RETURN false;
    END IF;
    IF feed IS DISTINCT FROM 'simulated' AND upc.has_simulated_market() THEN
        PERFORM upc._refuse_simulation(
            format('the market of this database is simulated, and the feed %s is not', feed)
        );
    END IF;
    RETURN feed IS DISTINCT FROM 'simulated' OR upc.has_simulated_market();
END
$fn$;
COMMENT ON FUNCTION upc._goes_with_markets IS
    'true for a feed whose ticks go with the markets that are stored; raises UP033 for a live feed beside a simulated market';


-- True for ticks that are judged: those of live feeds, and simulated ones of a simulated event.
CREATE FUNCTION upc._is_judged(feed text, event_ticker text)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN _is_judged.feed NOT IN ('replay', 'simulated')
    OR _is_judged.feed = 'simulated' AND _is_judged.event_ticker IS NOT NULL;
COMMENT ON FUNCTION upc._is_judged IS
    'true for the feed and the event of a tick that is judged: of a live feed, or of a simulated event';


CREATE FUNCTION upc._refuse_feed(symbol text, feed text)
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    PERFORM upc.require_symbol(symbol);
    IF NOT coalesce(
        feed IN ('replay', 'simulated', 'database')
        OR EXISTS (
            SELECT FROM upc_data.price AS p
            WHERE p.symbol = _refuse_feed.symbol AND p.exchange = feed
        ),
        false
    ) THEN
        RAISE EXCEPTION 'unknown feed %', coalesce(quote_literal(feed), 'NULL')
            USING
                ERRCODE = 'UP010',
                DETAIL = 'A feed is where the prices come from.',
                HINT = 'Use replay, simulated, database, or an exchange that is in the price log.';
    END IF;
    RAISE EXCEPTION 'the % feed has no price for %', feed, symbol
        USING
            ERRCODE = 'UP011',
            DETAIL = CASE feed
                WHEN 'replay' THEN
                    'There is no stored candle at or before the instant that is replayed.'
                ELSE 'There is no price in the log.'
            END,
            HINT = CASE feed
                WHEN 'replay' THEN
                    format('Load candles first: pyupc candles load FILE --symbol %s', symbol)
                ELSE format('Start the feed: pyupc feed --symbol %s', symbol)
            END;
END
$fn$;
COMMENT ON FUNCTION upc._refuse_feed IS
    'raises the error that says why a feed has no price';


-- The stored instant at which a replay begins by default: the latest one at the same minute and second
-- of the hour.
--
-- symbol: whose candles are replayed. at: the clock.
-- Returns the instant.
-- Errors: UP002 symbol, UP011 no candles.
--
-- Example:
--   SELECT replay_start('BTC', '2026-05-05 12:30+00') = '2024-01-01 14:30+00';
CREATE FUNCTION upc.replay_start(symbol text, at timestamptz DEFAULT clock_timestamp())
RETURNS timestamptz
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_end timestamptz;
BEGIN
    SELECT max(c.opened_at) + interval '1 minute'
    INTO v_end
    FROM upc_data.candle AS c
    WHERE c.symbol = replay_start.symbol;
    IF v_end IS NULL THEN
        PERFORM upc._refuse_feed(symbol, 'replay');
    END IF;

    RETURN CASE
        WHEN at < v_end THEN at
        ELSE at - interval '1 hour' * (floor(extract(epoch FROM at - v_end) / 3600) + 1)
    END;
END
$fn$;
COMMENT ON FUNCTION upc.replay_start IS
    'the stored instant at which a replay begins by default: the latest one at the same minute and second of the hour';


CREATE FUNCTION upc._replay_instant(symbol text, replay_from timestamptz, elapsed interval)
RETURNS timestamptz
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_at timestamptz := replay_from + elapsed;
    v_end timestamptz;
    v_hours integer;
BEGIN
    SELECT max(c.opened_at) + interval '1 minute'
    INTO v_end
    FROM upc_data.candle AS c
    WHERE c.symbol = _replay_instant.symbol;
    IF v_at < v_end OR replay_from >= v_end THEN
        RETURN v_at;
    END IF;

    -- At the end the last day begins again; whole hours keep the time to close as it was.
    SELECT least(24, floor(extract(epoch FROM v_end - min(c.opened_at)) / 3600))
    INTO v_hours
    FROM upc_data.candle AS c
    WHERE c.symbol = _replay_instant.symbol;
    IF v_hours = 0 THEN
        RETURN v_at;
    END IF;
    RETURN v_at
        - interval '1 hour' * v_hours
        * (floor(extract(epoch FROM v_at - v_end) / (3600 * v_hours)) + 1);
END
$fn$;
COMMENT ON FUNCTION upc._replay_instant IS
    'the stored instant that a replay shows some time after its beginning; behind the last candle the last 24 hours begin again';


-- The price that a replay shows at a stored instant: 15 seconds each of a candle's open, low, high and
-- close; in a gap the last close.
--
-- symbol: whose candles are replayed. at: the stored instant.
-- Returns one row: the price in USD and when it was seen; both NULL before the first candle.
-- Errors: none.
--
-- Example:
--   SELECT priced_at = '2024-01-01 12:00:20+00' FROM replay_price('BTC', '2024-01-01 12:00:20+00');
CREATE FUNCTION upc.replay_price(
    symbol text,
    at timestamptz,
    OUT price double precision,
    OUT priced_at timestamptz
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_candle upc_data.candle;
BEGIN
    SELECT c.*
    INTO v_candle
    FROM upc_data.candle AS c
    WHERE c.symbol = replay_price.symbol AND c.opened_at <= at
    ORDER BY c.opened_at DESC
    LIMIT 1;
    IF NOT FOUND THEN
        RETURN;
    END IF;

    priced_at := least(at, v_candle.opened_at + interval '1 minute');
    price := CASE
        WHEN at < v_candle.opened_at + interval '15 seconds' THEN v_candle.open
        WHEN at < v_candle.opened_at + interval '30 seconds' THEN v_candle.low
        WHEN at < v_candle.opened_at + interval '45 seconds' THEN v_candle.high
        ELSE v_candle.close
    END;
END
$fn$;
COMMENT ON FUNCTION upc.replay_price IS
    'the price in USD that a replay shows at an instant, 15 seconds each of open, low, high and close, and when it was seen; in a gap the last close';

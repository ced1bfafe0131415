-- The simulated market: a made-up Kalshi for made-up prices, in the demo's database and no other.

-- Give the symbols of the demo's database simulated series in place of Kalshi's: KXBTCD becomes SIMBTCD. From
-- then on nothing of the real market is taken in this database.
--
-- Errors: UP033 in a database that is not the demo's, or beside real quotes, prices or trades.
CREATE FUNCTION upc._require_simulation()
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    IF NOT coalesce(
        (
            SELECT pg_catalog.shobj_description(d.oid, 'pg_database') LIKE 'pyupc demo: %"simulated"%'
            FROM pg_catalog.pg_database AS d
            WHERE d.datname = current_database()
        ),
        false
    ) THEN
        PERFORM upc._refuse_simulation('this database is not the demo''s, with simulated prices');
    END IF;
    IF EXISTS (SELECT FROM upc_data.price) THEN
        PERFORM upc._refuse_simulation('there are real prices in the log of this database');
    END IF;
    IF upc.has_simulated_market() THEN
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM upc_data.market_event) OR EXISTS (SELECT FROM upc_data.trade) THEN
        PERFORM upc._refuse_simulation('there are real quotes or trades in this database');
    END IF;
    UPDATE upc_data.series AS s
    SET series = 'SIM' || substr(s.series, 3)
    WHERE s.series LIKE 'KX%';
    DELETE FROM upc_data.series AS s WHERE s.series NOT LIKE 'SIM%';
END
$fn$;
COMMENT ON FUNCTION upc._require_simulation IS
    'makes the series of the demo''s database simulated ones; raises UP033 in any other database';


-- The events of a symbol that are to be read at an instant: those that are open, and those that have closed
-- without a result.
CREATE FUNCTION upc._simulated_events(symbol text, at timestamptz, seed integer)
RETURNS SETOF upc._simulated_event
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 5
AS $fn$
DECLARE
    v_hour timestamptz := upc._next_hour(at);
    v_local timestamp := (at + interval '1 hour') AT TIME ZONE 'America/New_York';
    -- The day that ends next, unless its last hour is what is open anyway.
    v_day timestamptz := (
        date_trunc('day', v_local - interval '17 hours') + interval '41 hours'
    ) AT TIME ZONE 'America/New_York';
BEGIN
    RETURN QUERY
    SELECT e.*
    FROM upc_data.series AS s
    CROSS JOIN LATERAL (
        VALUES
            ('updown', at + make_interval(secs => upc._seconds_to_quarter(at))),
            ('above', v_hour), ('range', v_hour), ('above', v_day)
    ) AS o (kind, closes_at)
    CROSS JOIN LATERAL upc._simulated_event_of(s, o.closes_at, seed) AS e
    WHERE s.symbol = _simulated_events.symbol AND s.kind = o.kind

    UNION ALL

    SELECT e.*
    FROM upc.unsettled_events(_simulated_events.symbol, at) AS u
    JOIN upc_data.market_event AS m
        ON m.symbol = _simulated_events.symbol AND m.event_ticker = u.event_ticker
    JOIN upc_data.series AS s ON s.symbol = m.symbol AND s.series = m.series_ticker
    CROSS JOIN LATERAL upc._simulated_event_of(s, m.closes_at, seed) AS e;
END
$fn$;
COMMENT ON FUNCTION upc._simulated_events IS
    'the events of the simulated market that are open at an instant, and those that wait for their results';


-- Candles of the simulated price from the last one that is stored to the last whole minute, a day at most.
CREATE FUNCTION upc._add_simulated_candles(symbol text, at timestamptz, seed integer)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_until timestamptz := date_trunc('minute', at);
    v_since timestamptz;
BEGIN
    SELECT greatest(max(c.opened_at) + interval '1 minute', v_until - interval '1 day')
    INTO v_since
    FROM upc_data.candle AS c
    WHERE c.symbol = _add_simulated_candles.symbol;
    IF v_since < v_until THEN
        INSERT INTO upc_data.candle
        SELECT c.* FROM upc.simulated_candles(symbol, v_since, v_until, seed) AS c
        ON CONFLICT ON CONSTRAINT candle_symbol_opened_at_pkey DO NOTHING;
        PERFORM upc.note_candle_changes(symbol, v_since, v_until);
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._add_simulated_candles IS
    'adds the candles of the simulated price that have closed since the last one';


-- Read the simulated market once: the candles, the books of every open event, and the results of those that have
-- closed, by load_market, as those of Kalshi are.
--
-- symbol: as in upc_data.symbol. at: the clock. seed: that of the simulated prices.
-- Returns how many markets were read.
-- Errors: UP002 symbol; UP033 in a database that is not the demo's.
--
-- Example:
--   SELECT CASE WHEN current_database() = 'pyupc_demo' THEN simulate_market('BTC') END;
CREATE FUNCTION upc.simulate_market(
    symbol text,
    at timestamptz DEFAULT clock_timestamp(),
    seed integer DEFAULT 1
)
RETURNS integer
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_event upc._simulated_event;
    v_count integer := 0;
BEGIN
    PERFORM upc.require_symbol(symbol);
    PERFORM upc._require_simulation();
    PERFORM upc._add_simulated_candles(symbol, at, seed);
    FOR v_event IN SELECT e.* FROM upc._simulated_events(symbol, at, seed) AS e LOOP
        SELECT v_count + m.markets
        INTO v_count
        FROM upc.load_market(
            jsonb_build_object(
                'event', jsonb_build_object(
                    'event_ticker', v_event.event_ticker,
                    'series_ticker', v_event.series,
                    'title', v_event.title
                ),
                'markets', upc._simulated_markets(v_event, at)
            ),
            symbol,
            at
        ) AS m;
    END LOOP;
    RETURN v_count;
END
$fn$;
COMMENT ON FUNCTION upc.simulate_market IS
    'reads the simulated market of a symbol at an instant, in the demo''s database alone';


-- Open a trade in the simulated market, one in each hour: ten contracts of yes at the ask, of the strike whose
-- ask is nearest to 60 cents.
--
-- symbol: as in upc_data.symbol. at: the clock.
-- Returns the number of the trade; NULL where the hour has one, or is over in a minute, or nothing is offered.
-- Errors: UP002 symbol; UP033 in a database that is not the demo's.
--
-- Example:
--   SELECT CASE WHEN current_database() = 'pyupc_demo' THEN simulate_trade('BTC') END;
CREATE FUNCTION upc.simulate_trade(symbol text, at timestamptz DEFAULT clock_timestamp())
RETURNS bigint
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_event upc._event;
    v_offer record;
BEGIN
    PERFORM upc.require_symbol(symbol);
    PERFORM upc._require_simulation();
    v_event := upc.current_event(symbol, at);
    IF v_event.closes_at < at + interval '1 minute'
        OR EXISTS (
            SELECT FROM upc_data.trade AS t
            WHERE t.symbol = simulate_trade.symbol AND t.event_ticker = v_event.event_ticker
        )
    THEN
        RETURN NULL;
    END IF;
    SELECT q.ticker, q.yes_ask
    INTO v_offer
    FROM upc_data.market_quote AS q
    WHERE q.symbol = simulate_trade.symbol
      AND q.event_ticker = v_event.event_ticker
      AND q.status = 'active'
      AND q.yes_ask < 1
    ORDER BY abs(q.yes_ask - 0.6), q.ticker
    LIMIT 1;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    RETURN upc.open_trade(v_offer.ticker, 'yes', v_offer.yes_ask, 10, symbol, at);
END
$fn$;
COMMENT ON FUNCTION upc.simulate_trade IS
    'opens a trade in the simulated market unless the hour has one, in the demo''s database alone';

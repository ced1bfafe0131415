-- Loading: an event with its markets is taken from Kalshi's own JSON.

CREATE FUNCTION upc._event_symbol(symbol text, series text)
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_symbol text := coalesce(
        symbol,
        (
            SELECT s.symbol FROM upc_data.symbol AS s
            WHERE series = ANY (s.kalshi_series)
            ORDER BY s.symbol
            LIMIT 1
        )
    );
BEGIN
    IF v_symbol IS NULL THEN
        RAISE EXCEPTION 'no symbol has the series %', series
            USING
                ERRCODE = 'UP002',
                DETAIL = 'A symbol''s series is in upc_data.symbol.kalshi_series.',
                HINT = 'Name the symbol, or register it with the series: "pyupc symbols add".';
    END IF;
    PERFORM upc.require_symbol(v_symbol);
    RETURN v_symbol;
END
$fn$;
COMMENT ON FUNCTION upc._event_symbol IS
    'symbol that an event belongs to: the one that is named, or the first with its series; raises UP002 without one';


-- Close of an event, and when it was read: at read_at, else at the snapshot's own time, else now.
-- Errors: UP014 for times that are missing, endless or no times.
CREATE FUNCTION upc._event_times(
    document jsonb,
    event jsonb,
    markets jsonb,
    INOUT read_at timestamptz,
    OUT closes_at timestamptz
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    BEGIN
        read_at := coalesce(
            read_at, (document ->> 'cloud_timestamp')::timestamptz, clock_timestamp()
        );
        SELECT coalesce(
            max((m.market ->> 'close_time')::timestamptz), (event ->> 'strike_date')::timestamptz
        )
        INTO closes_at
        FROM jsonb_array_elements(markets) AS m (market);
    EXCEPTION
        WHEN data_exception THEN
            RAISE EXCEPTION 'invalid time in %: %', event ->> 'event_ticker', SQLERRM
                USING
                    ERRCODE = 'UP014',
                    DETAIL = 'Times are ISO 8601.',
                    HINT = 'Nothing of the document was taken.';
    END;
    -- An endless reading would be newer than all that follow.
    IF closes_at IS NULL OR NOT isfinite(closes_at) OR NOT isfinite(read_at) THEN
        RAISE EXCEPTION '% has no time of closing, or none of reading',
            event ->> 'event_ticker'
            USING
                ERRCODE = 'UP014',
                DETAIL = 'Its markets have a close_time, or the event has a strike_date; neither is endless.',
                HINT = 'Nothing of the document was taken.';
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._event_times IS
    'close of an event and the time of its reading, from Kalshi''s JSON; raises UP014 where they are not known';


CREATE FUNCTION upc._read_quotes(markets jsonb)
RETURNS TABLE (
    ticker text,
    strike numeric,
    status text,
    yes_bid numeric,
    yes_ask numeric,
    no_bid numeric,
    no_ask numeric,
    volume numeric,
    result text
)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 80
BEGIN ATOMIC
    SELECT
        m.market ->> 'ticker',
        -- Above 117,999.99 is at or above the next cent.
        upc._market_number(m.market, 'floor_strike')
            + CASE
                WHEN m.market ->> 'strike_type' = 'greater_or_equal'
                    AND upc._market_number(m.market, 'floor_strike') % 1 = 0
                THEN 0
                ELSE 0.01
            END,
        m.market ->> 'status',
        p.yes_bid,
        upc._offered(p.yes_ask, p.no_bid),
        p.no_bid,
        upc._offered(p.no_ask, p.yes_bid),
        upc._market_number(m.market, 'volume'),
        nullif(m.market ->> 'result', '')
    FROM jsonb_array_elements(_read_quotes.markets) AS m (market)
    CROSS JOIN LATERAL (
        SELECT
            upc._market_number(m.market, 'yes_bid') AS yes_bid,
            upc._market_number(m.market, 'yes_ask') AS yes_ask,
            upc._market_number(m.market, 'no_bid') AS no_bid,
            upc._market_number(m.market, 'no_ask') AS no_ask
        OFFSET 0
    ) AS p
    WHERE CASE
            WHEN m.market ->> 'strike_type' <> ''
            THEN m.market ->> 'strike_type' IN ('greater', 'greater_or_equal')
            ELSE m.market ->> 'cap_strike' IS NULL
        END
      AND m.market ->> 'floor_strike' <> ''
      AND m.market ->> 'ticker' IS NOT NULL;
END;
COMMENT ON FUNCTION upc._read_quotes IS
    'quotes of Kalshi''s markets that ask for a price above a strike, in USD per contract';


CREATE FUNCTION upc._store_quotes(symbol text, event_ticker text, markets jsonb)
RETURNS integer
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_count integer;
BEGIN
    WITH read AS (
        SELECT r.* FROM upc._read_quotes(markets) AS r
    ),
    gone AS (
        DELETE FROM upc_data.market_quote AS q
        WHERE q.symbol = _store_quotes.symbol
          AND q.event_ticker = _store_quotes.event_ticker
          AND q.ticker NOT IN (SELECT r.ticker FROM read AS r)
    ),
    stored AS (
        INSERT INTO upc_data.market_quote AS q
            (symbol, event_ticker, ticker, strike, status, yes_bid, yes_ask, no_bid, no_ask,
             volume, result)
        SELECT DISTINCT ON (r.ticker) _store_quotes.symbol, _store_quotes.event_ticker, r.*
        FROM read AS r
        ON CONFLICT ON CONSTRAINT market_quote_symbol_event_ticker_ticker_pkey
            DO UPDATE SET
                strike = excluded.strike,
                status = excluded.status,
                yes_bid = excluded.yes_bid,
                yes_ask = excluded.yes_ask,
                no_bid = excluded.no_bid,
                no_ask = excluded.no_ask,
                volume = excluded.volume,
                result = excluded.result
            -- Most markets stay as they are from one second to the next.
            WHERE (q.strike, q.status, q.yes_bid, q.yes_ask, q.no_bid, q.no_ask, q.volume, q.result)
                IS DISTINCT FROM (
                    excluded.strike, excluded.status, excluded.yes_bid, excluded.yes_ask,
                    excluded.no_bid, excluded.no_ask, excluded.volume, excluded.result
                )
    )
    SELECT count(DISTINCT r.ticker) INTO v_count FROM read AS r;
    RETURN v_count;
END
$fn$;
COMMENT ON FUNCTION upc._store_quotes IS
    'stores the quotes of an event''s markets and deletes those of markets that are gone; returns how many there are';


-- Status and distance of strikes that most of an event's markets have: each tick asks for them.
CREATE FUNCTION upc._sum_up_event(symbol text, event_ticker text)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    UPDATE upc_data.market_event AS e
    SET status = m.status, strike_step = m.step
    FROM (
        SELECT
            mode() WITHIN GROUP (ORDER BY g.status) AS status,
            mode() WITHIN GROUP (ORDER BY g.gap) AS step
        FROM (
            SELECT
                q.status,
                (q.strike - lag(q.strike) OVER (ORDER BY q.strike))::double precision AS gap
            FROM upc_data.market_quote AS q
            WHERE q.symbol = _sum_up_event.symbol
              AND q.event_ticker = _sum_up_event.event_ticker
        ) AS g
    ) AS m
    WHERE e.symbol = _sum_up_event.symbol
      AND e.event_ticker = _sum_up_event.event_ticker
      AND (e.status, e.strike_step) IS DISTINCT FROM (m.status, m.step);
END
$fn$;
COMMENT ON FUNCTION upc._sum_up_event IS
    'keeps with an event the status and the distance of strikes in USD that most of its markets have';


-- Take an event with its markets from Kalshi's JSON: an answer of GET /events/{ticker}, with the
-- markets inside the event or beside it, or a stored snapshot with both under "data".
--
-- The document has to hold all markets of the event: what it does not hold is deleted. Markets that
-- do not ask for a price above something are left out. An older reading than the one
-- that is stored changes nothing.
-- symbol: NULL takes the one whose series it is. read_at: NULL takes the snapshot's own time, or
-- now.
-- Returns one row: the event, how many markets were taken, and true where anything was.
-- Errors: UP002 symbol, UP014 what is not as Kalshi writes it.
--
-- Example:
--   SELECT markets FROM upc.load_market(
--     '{"event": {"event_ticker": "E", "series_ticker": "KXBTCD"}, "markets":
--       [{"ticker": "E-T1", "close_time": "2026-01-01T15:00:00Z", "strike_type": "greater",
--         "floor_strike": 97499.99, "yes_ask_dollars": "0.5600"}]}');
CREATE FUNCTION upc.load_market(
    document jsonb,
    symbol text DEFAULT NULL,
    read_at timestamptz DEFAULT NULL,
    OUT event_symbol text,
    OUT event_ticker text,
    OUT closes_at timestamptz,
    OUT markets integer,
    OUT is_stored boolean
)
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_data jsonb := coalesce(document -> 'data', document);
    v_event jsonb := v_data -> 'event';
    v_markets jsonb := coalesce(v_event -> 'markets', v_data -> 'markets');
    v_read_at timestamptz;
    v_series text;
BEGIN
    event_ticker := v_event ->> 'event_ticker';
    IF event_ticker IS NULL OR jsonb_typeof(v_markets) IS DISTINCT FROM 'array' THEN
        RAISE EXCEPTION 'not an event with markets'
            USING
                ERRCODE = 'UP014',
                DETAIL = 'It has to hold "event" with "event_ticker", and a list of "markets".',
                HINT = 'Save what GET /events/{event_ticker} answers.';
    END IF;
    v_series := coalesce(v_event ->> 'series_ticker', split_part(event_ticker, '-', 1));
    event_symbol := upc._event_symbol(symbol, v_series);
    SELECT t.read_at, t.closes_at
    INTO v_read_at, closes_at
    FROM upc._event_times(document, v_event, v_markets, read_at) AS t;
    PERFORM upc._refuse_markets(v_markets);
    IF read_at IS NULL THEN
        -- A snapshot from the future would look fresh until then.
        v_read_at := least(v_read_at, clock_timestamp());
    END IF;

    INSERT INTO upc_data.market_event AS e
        (symbol, event_ticker, series_ticker, title, closes_at, read_at)
    VALUES (
        event_symbol, load_market.event_ticker, v_series, v_event ->> 'title',
        load_market.closes_at, v_read_at
    )
    ON CONFLICT ON CONSTRAINT market_event_symbol_event_ticker_pkey
        DO UPDATE SET
            title = excluded.title,
            closes_at = excluded.closes_at,
            read_at = excluded.read_at
        WHERE e.read_at <= excluded.read_at;
    is_stored := FOUND;
    markets := 0;
    IF is_stored THEN
        markets := upc._store_quotes(event_symbol, event_ticker, v_markets);
        PERFORM upc._sum_up_event(event_symbol, event_ticker);
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc.load_market IS
    'takes a Kalshi event with all of its markets from Kalshi''s own JSON';

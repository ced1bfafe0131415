-- Loading: an event with its markets is taken from Kalshi's own JSON.

-- Take an event with its markets from Kalshi's JSON: an answer of GET /events/{ticker}, with the
-- markets inside the event or beside it, or a stored snapshot with both under "data".
--
-- The document has to hold all markets of the event: what it does not hold is deleted. Markets that
-- do not ask whether the price ends above something are left out. An older reading than the one
-- that is stored changes nothing.
-- symbol: NULL takes the one whose series it is. read_at: NULL takes the snapshot's own time, or
-- now.
-- Returns one row: the event, how many markets were taken, and whether anything was.
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
        RAISE EXCEPTION 'this is no event with markets'
            USING
                ERRCODE = 'UP014',
                DETAIL = 'It has to hold "event" with "event_ticker", and a list of "markets".',
                HINT = 'Save what GET /events/{event_ticker} answers.';
    END IF;
    v_series := coalesce(v_event ->> 'series_ticker', split_part(event_ticker, '-', 1));
    event_symbol := coalesce(
        symbol,
        (
            SELECT s.symbol FROM upc_data.symbol AS s
            WHERE s.kalshi_series = v_series
            ORDER BY s.symbol
            LIMIT 1
        )
    );
    IF event_symbol IS NULL THEN
        RAISE EXCEPTION 'no symbol has the series %', v_series
            USING
                ERRCODE = 'UP002',
                DETAIL = 'A symbol''s series is in upc_data.symbol.kalshi_series.',
                HINT = 'Name the symbol.';
    END IF;
    PERFORM upc.require_symbol(event_symbol);

    BEGIN
        v_read_at := coalesce(
            read_at, (document ->> 'cloud_timestamp')::timestamptz, clock_timestamp()
        );
        SELECT coalesce(max((m.market ->> 'close_time')::timestamptz),
            (v_event ->> 'strike_date')::timestamptz)
        INTO closes_at
        FROM jsonb_array_elements(v_markets) AS m (market);
    EXCEPTION
        WHEN data_exception THEN
            RAISE EXCEPTION 'a time of % is not one: %', event_ticker, SQLERRM
                USING
                    ERRCODE = 'UP014',
                    DETAIL = 'Times are ISO 8601.',
                    HINT = 'Nothing of the document was taken.';
    END;
    -- An endless reading would be newer than all that follow.
    IF closes_at IS NULL OR NOT isfinite(closes_at) OR NOT isfinite(v_read_at) THEN
        RAISE EXCEPTION '% does not say when it closes, or when it was read', event_ticker
            USING
                ERRCODE = 'UP014',
                DETAIL = 'Its markets have a close_time, or the event has a strike_date; neither is endless.',
                HINT = 'Nothing of the document was taken.';
    END IF;

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
    IF NOT is_stored THEN
        RETURN;
    END IF;

    WITH told AS (
        SELECT
            m.market ->> 'ticker' AS ticker,
            -- Above 117,999.99 is at or above the next cent.
            upc._market_number(m.market, 'floor_strike')
                + CASE
                    WHEN m.market ->> 'strike_type' = 'greater_or_equal'
                        AND upc._market_number(m.market, 'floor_strike') % 1 = 0
                    THEN 0
                    ELSE 0.01
                END AS strike,
            m.market ->> 'status' AS status,
            p.yes_bid,
            upc._offered(p.yes_ask, p.no_bid) AS yes_ask,
            p.no_bid,
            upc._offered(p.no_ask, p.yes_bid) AS no_ask,
            upc._market_number(m.market, 'volume') AS volume,
            nullif(m.market ->> 'result', '') AS result
        FROM jsonb_array_elements(v_markets) AS m (market)
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
          AND m.market ->> 'ticker' IS NOT NULL
    ),
    gone AS (
        DELETE FROM upc_data.market_quote AS q
        WHERE q.symbol = event_symbol
          AND q.event_ticker = load_market.event_ticker
          AND q.ticker NOT IN (SELECT t.ticker FROM told AS t)
    ),
    stored AS (
        INSERT INTO upc_data.market_quote AS q
            (symbol, event_ticker, ticker, strike, status, yes_bid, yes_ask, no_bid, no_ask,
             volume, result)
        SELECT DISTINCT ON (t.ticker) event_symbol, load_market.event_ticker, t.*
        FROM told AS t
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
    SELECT count(DISTINCT t.ticker) INTO markets FROM told AS t;

    -- Asked for by every tick, so that it is worked out here.
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
            WHERE q.symbol = event_symbol AND q.event_ticker = load_market.event_ticker
        ) AS g
    ) AS m
    WHERE e.symbol = event_symbol
      AND e.event_ticker = load_market.event_ticker
      AND (e.status, e.strike_step) IS DISTINCT FROM (m.status, m.step);
END
$fn$;
COMMENT ON FUNCTION upc.load_market IS
    'takes a Kalshi event with all of its markets from Kalshi''s own JSON';

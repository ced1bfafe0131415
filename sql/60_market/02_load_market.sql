-- Loading: events with their markets are taken from Kalshi's own JSON.

CREATE FUNCTION upc._refuse_document(reason text)
RETURNS void
-- Not IMMUTABLE: with a constant it would be called where a body is checked.
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    RAISE EXCEPTION '%', reason
        USING
            ERRCODE = 'UP014',
            DETAIL = 'It has to hold "event" with "event_ticker", and a list of "markets"; or "markets" or one "market" alone, each with its event_ticker.',
            HINT = 'Save what GET /events/{event_ticker}?with_nested_markets=true, GET /markets or GET /markets/{ticker} answers.';
END
$fn$;
COMMENT ON FUNCTION upc._refuse_document IS 'raises UP014: not what Kalshi answers';


CREATE TYPE upc._event_document AS (
    event jsonb,
    markets jsonb,
    is_whole boolean
);
COMMENT ON TYPE upc._event_document IS
    'an event with markets from Kalshi''s JSON; is_whole where it has all of them';


-- The events in a document, those of a list of markets by the names that its markets have for them.
-- Errors: UP014 what is none of Kalshi's answers.
CREATE FUNCTION upc._event_documents(document jsonb)
RETURNS SETOF upc._event_document
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1
AS $fn$
DECLARE
    v_data jsonb := coalesce(document -> 'data', document);
    v_markets jsonb := coalesce(v_data -> 'event' -> 'markets', v_data -> 'markets');
BEGIN
    IF v_data -> 'event' ->> 'event_ticker' IS NOT NULL AND jsonb_typeof(v_markets) = 'array' THEN
        RETURN NEXT (v_data -> 'event', v_markets, true)::upc._event_document;
        RETURN;
    END IF;
    IF v_data ? 'event' THEN
        PERFORM upc._refuse_document('not an event with markets');
    END IF;
    IF jsonb_typeof(v_data -> 'market') = 'object' THEN
        v_markets := jsonb_build_array(v_data -> 'market');
    END IF;
    IF jsonb_typeof(v_markets) IS DISTINCT FROM 'array' OR v_markets = '[]' THEN
        PERFORM upc._refuse_document('neither an event nor markets');
    END IF;
    IF EXISTS (
        SELECT FROM jsonb_array_elements(v_markets) AS m (market)
        WHERE coalesce(m.market ->> 'event_ticker', '') = ''
    ) THEN
        PERFORM upc._refuse_document('a market without an event_ticker');
    END IF;
    RETURN QUERY
    SELECT
        jsonb_build_object(
            'event_ticker', m.market ->> 'event_ticker', 'title', min(m.market ->> 'title')
        ),
        jsonb_agg(m.market),
        false
    FROM jsonb_array_elements(v_markets) AS m (market)
    GROUP BY m.market ->> 'event_ticker'
    ORDER BY m.market ->> 'event_ticker';
END
$fn$;
COMMENT ON FUNCTION upc._event_documents IS
    'the events with markets in one of Kalshi''s answers; raises UP014 for what is none';


-- Errors: UP002 symbol, or a series of none; UP014 a series that the symbol does not have.
CREATE FUNCTION upc._event_series(symbol text, series text)
RETURNS upc_data.series
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v upc_data.series;
BEGIN
    IF symbol IS NOT NULL THEN
        PERFORM upc.require_symbol(symbol);
    END IF;
    SELECT s.*
    INTO v
    FROM upc_data.series AS s
    WHERE s.series = _event_series.series
      AND s.symbol = coalesce(_event_series.symbol, s.symbol)
    ORDER BY s.symbol
    LIMIT 1;
    IF FOUND THEN
        RETURN v;
    END IF;
    IF symbol IS NULL THEN
        RAISE EXCEPTION 'no symbol has the series %', left(series, 70)
            USING
                ERRCODE = 'UP002',
                DETAIL = 'The series of the symbols are in upc_data.series.',
                HINT = 'Register its symbol with the series: "pyupc symbols add".';
    END IF;
    RAISE EXCEPTION '% has no series %', symbol, left(series, 70)
        USING
            ERRCODE = 'UP014',
            DETAIL = 'The series of the symbols are in upc_data.series.',
            HINT = 'Nothing of the document was taken.';
END
$fn$;
COMMENT ON FUNCTION upc._event_series IS
    'the series that an event belongs to, of the symbol that is named or of any; raises UP002 or UP014 without one';


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
            RAISE EXCEPTION 'invalid time in %: %', left(event ->> 'event_ticker', 100), SQLERRM
                USING
                    ERRCODE = 'UP014',
                    DETAIL = 'Times are ISO 8601.',
                    HINT = 'Nothing of the document was taken.';
    END;
    -- An endless reading would be newer than all that follow.
    IF closes_at IS NULL OR NOT isfinite(closes_at) OR NOT isfinite(read_at) THEN
        RAISE EXCEPTION '% has no time of closing, or none of reading',
            left(event ->> 'event_ticker', 100)
            USING
                ERRCODE = 'UP014',
                DETAIL = 'Its markets have a close_time, or the event has a strike_date; neither is endless.',
                HINT = 'Nothing of the document was taken.';
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._event_times IS
    'close of an event and the time of its reading, from Kalshi''s JSON; raises UP014 where they are not known';


CREATE FUNCTION upc._expiration_value(markets jsonb)
RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- A text, empty until the value is known.
RETURN (
    SELECT max((m.market ->> 'expiration_value')::numeric)
    FROM jsonb_array_elements(_expiration_value.markets) AS m (market)
    WHERE CASE WHEN m.market ->> 'expiration_value' <> '' THEN
            m.market ->> 'expiration_value' ~ '^[0-9]{1,15}([.][0-9]{1,10})?$'
        END
);
COMMENT ON FUNCTION upc._expiration_value IS
    'the value that settled an event in USD, from Kalshi''s markets; NULL until they say it';


-- A market that is held keeps its row when it is left out, and while it is settled provisionally.
CREATE FUNCTION upc._is_held(symbol text, event_ticker text, ticker text)
RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    RETURN EXISTS (
        SELECT FROM upc_data.trade AS t
        WHERE t.symbol = _is_held.symbol
          AND t.event_ticker = _is_held.event_ticker
          AND t.ticker = _is_held.ticker
          AND (t.ended_at IS NULL OR t.is_provisional)
    );
END
$fn$;
COMMENT ON FUNCTION upc._is_held IS
    'true for a market of which a trade is held, or settled provisionally';


-- Leave held markets out that are gone or cannot be read: of them nothing is kept but the result, once
-- there is one.
--
-- is_whole: as in _store_markets. kept: the tickers that can be read.
CREATE FUNCTION upc._leave_out(
    symbol text,
    event_ticker text,
    markets jsonb,
    is_whole boolean,
    kept text[]
)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_lost text[] := ARRAY(
        SELECT q.ticker
        FROM upc_data.market_quote AS q
        WHERE q.symbol = _leave_out.symbol
          AND q.event_ticker = _leave_out.event_ticker
          AND q.ticker <> ALL (kept)
    );
BEGIN
    IF v_lost = '{}' THEN
        RETURN;
    END IF;
    UPDATE upc_data.market_quote AS q
    SET
        lower = NULL, upper = NULL, yes_bid = NULL, yes_ask = NULL, no_bid = NULL, no_ask = NULL,
        yes_bid_size = NULL, yes_ask_size = NULL, no_bid_size = NULL, no_ask_size = NULL,
        volume = NULL,
        status = CASE WHEN m.result IS NULL THEN 'left_out' ELSE m.status END,
        result = m.result,
        settlement_value = m.settlement_value
    FROM (
        SELECT
            l.ticker,
            CASE WHEN t.ticker IS NULL THEN o.status ELSE t.status END AS status,
            CASE WHEN t.ticker IS NULL THEN o.result ELSE t.result END AS result,
            CASE WHEN t.ticker IS NULL THEN o.settlement_value ELSE t.settlement_value END
                AS settlement_value
        FROM unnest(v_lost) AS l (ticker)
        JOIN upc_data.market_quote AS o
            ON o.symbol = _leave_out.symbol
            AND o.event_ticker = _leave_out.event_ticker
            AND o.ticker = l.ticker
        LEFT JOIN upc._read_terms(markets) AS t ON t.ticker = l.ticker
        WHERE is_whole OR t.ticker IS NOT NULL
    ) AS m
    WHERE q.symbol = _leave_out.symbol
      AND q.event_ticker = _leave_out.event_ticker
      AND q.ticker = m.ticker;
END
$fn$;
COMMENT ON FUNCTION upc._leave_out IS
    'takes bounds and quotes from the markets of an event that are held and gone or not to be read';


-- is_whole: the markets are all of the event, and others are gone.
CREATE FUNCTION upc._store_markets(
    series upc_data.series,
    event_ticker text,
    markets jsonb,
    is_whole boolean,
    OUT count integer,
    OUT left_out text[]
)
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_kept text[];
BEGIN
    WITH read AS MATERIALIZED (
        SELECT r.terms, r.lower, r.upper, r.flaw
        FROM upc._read_markets(series, event_ticker, markets, NOT is_whole) AS r
    ),
    kept AS MATERIALIZED (
        SELECT (r.terms).*, r.lower, r.upper
        FROM read AS r
        WHERE r.flaw IS NULL
          -- A contract that is not open has a row once it is known what it asks.
          AND ((r.terms).status IS DISTINCT FROM 'initialized' OR coalesce(r.lower, r.upper) IS NOT NULL)
    ),
    gone AS (
        DELETE FROM upc_data.market_quote AS q
        WHERE q.symbol = (_store_markets.series).symbol
          AND q.event_ticker = _store_markets.event_ticker
          AND q.ticker NOT IN (SELECT k.ticker FROM kept AS k)
          AND (is_whole OR q.ticker IN (SELECT (r.terms).ticker FROM read AS r))
          AND NOT upc._is_held(q.symbol, q.event_ticker, q.ticker)
    ),
    stored AS (
        INSERT INTO upc_data.market_quote AS q
            (symbol, event_ticker, ticker, lower, upper, status, yes_bid, yes_ask, no_bid, no_ask,
             yes_bid_size, yes_ask_size, no_bid_size, no_ask_size, volume, result, settlement_value)
        SELECT
            (_store_markets.series).symbol, _store_markets.event_ticker, k.ticker, k.lower, k.upper,
            k.status, k.yes_bid, upc._offered(k.yes_ask, k.no_bid), k.no_bid,
            upc._offered(k.no_ask, k.yes_bid), k.yes_bid_size, k.yes_ask_size, k.no_bid_size,
            k.no_ask_size, k.volume, k.result, k.settlement_value
        FROM kept AS k
        ON CONFLICT ON CONSTRAINT market_quote_symbol_event_ticker_ticker_pkey
            DO UPDATE SET
                lower = excluded.lower,
                upper = excluded.upper,
                status = excluded.status,
                yes_bid = excluded.yes_bid,
                yes_ask = excluded.yes_ask,
                no_bid = excluded.no_bid,
                no_ask = excluded.no_ask,
                yes_bid_size = excluded.yes_bid_size,
                yes_ask_size = excluded.yes_ask_size,
                no_bid_size = excluded.no_bid_size,
                no_ask_size = excluded.no_ask_size,
                volume = excluded.volume,
                result = excluded.result,
                settlement_value = excluded.settlement_value
            -- Most markets stay as they are from one second to the next.
            WHERE (
                q.lower, q.upper, q.status, q.yes_bid, q.yes_ask, q.no_bid, q.no_ask,
                q.yes_bid_size, q.yes_ask_size, q.no_bid_size, q.no_ask_size, q.volume, q.result,
                q.settlement_value
            ) IS DISTINCT FROM (
                excluded.lower, excluded.upper, excluded.status, excluded.yes_bid,
                excluded.yes_ask, excluded.no_bid, excluded.no_ask, excluded.yes_bid_size,
                excluded.yes_ask_size, excluded.no_bid_size, excluded.no_ask_size,
                excluded.volume, excluded.result, excluded.settlement_value
            )
    )
    SELECT
        (SELECT count(*) FROM kept),
        ARRAY(
            SELECT format('%s: %s', coalesce(left((r.terms).ticker, 100), 'a market'), r.flaw)
            FROM read AS r
            WHERE r.flaw IS NOT NULL
            ORDER BY (r.terms).ticker
        ),
        ARRAY(SELECT k.ticker FROM kept AS k)
    INTO count, left_out, v_kept;
    PERFORM upc._leave_out(series.symbol, event_ticker, markets, is_whole, v_kept);
END
$fn$;
COMMENT ON FUNCTION upc._store_markets IS
    'stores the markets of an event and deletes those that are gone, unless they are held; returns how many there are, and which are left out and why';


-- Keep with an event what its rules say settles it, where they are among what was read; its series has what
-- those of the event say that closes last.
CREATE FUNCTION upc._note_settlement(series upc_data.series, event_ticker text, markets jsonb)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_settlements text[] := ARRAY(
        SELECT DISTINCT upc._rules_settlement(
            concat_ws(chr(10), m.market ->> 'rules_primary', m.market ->> 'rules_secondary')
        )
        FROM jsonb_array_elements(markets) AS m (market)
        WHERE m.market ->> 'rules_primary' <> ''
    );
BEGIN
    IF cardinality(v_settlements) = 0 THEN
        RETURN;
    END IF;
    IF cardinality(v_settlements) > 1 THEN
        v_settlements := '{NULL}';
    END IF;
    UPDATE upc_data.market_event AS e
    SET has_rules = true, settlement = v_settlements[1]
    WHERE e.symbol = (_note_settlement.series).symbol
      AND e.event_ticker = _note_settlement.event_ticker
      AND (e.has_rules, e.settlement) IS DISTINCT FROM (true, v_settlements[1]);
    IF NOT FOUND THEN
        RETURN;
    END IF;
    UPDATE upc_data.series AS s
    SET settlement = l.settlement
    FROM (
        SELECT e.settlement
        FROM upc_data.market_event AS e
        WHERE e.symbol = (_note_settlement.series).symbol
          AND e.series_ticker = (_note_settlement.series).series
          AND e.has_rules
        ORDER BY e.closes_at DESC, e.event_ticker DESC
        LIMIT 1
    ) AS l
    WHERE s.symbol = (_note_settlement.series).symbol
      AND s.series = (_note_settlement.series).series
      AND s.settlement IS DISTINCT FROM l.settlement;
END
$fn$;
COMMENT ON FUNCTION upc._note_settlement IS
    'keeps with an event what settles it by the rules of the markets that were read, and with its series what settles the event that closes last; NULL where they are not clear';


-- Status and distance of lower bounds that most of an event's markets have: each tick asks for them. Of
-- statuses that nobody knows the first is kept.
CREATE FUNCTION upc._sum_up_event(symbol text, event_ticker text)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    UPDATE upc_data.market_event AS e
    SET
        status = m.status,
        strike_step = m.step,
        strikes = m.strikes,
        unknown_status = m.unknown_status
    FROM (
        SELECT
            mode() WITHIN GROUP (ORDER BY g.status) AS status,
            mode() WITHIN GROUP (ORDER BY g.gap) AS step,
            array_agg(DISTINCT g.strike ORDER BY g.strike) FILTER (WHERE g.strike IS NOT NULL) AS strikes,
            left(min(g.status) FILTER (WHERE NOT upc._is_known_status(g.status)), 100)
                AS unknown_status
        FROM (
            SELECT
                q.status,
                q.lower::double precision AS strike,
                (q.lower - lag(q.lower) OVER (ORDER BY q.lower))::double precision AS gap
            FROM upc_data.market_quote AS q
            WHERE q.symbol = _sum_up_event.symbol
              AND q.event_ticker = _sum_up_event.event_ticker
              AND q.status IS DISTINCT FROM 'left_out'
        ) AS g
    ) AS m
    WHERE e.symbol = _sum_up_event.symbol
      AND e.event_ticker = _sum_up_event.event_ticker
      AND (e.status, e.strike_step, e.strikes, e.unknown_status)
          IS DISTINCT FROM (m.status, m.step, m.strikes, m.unknown_status);
END
$fn$;
COMMENT ON FUNCTION upc._sum_up_event IS
    'keeps with an event its lower bounds in USD, the status and the distance of lower bounds that most of its markets have, and a status that is not known';


-- Store an event, unless a newer reading of it is stored: then false. A document that lacks markets which
-- are stored leaves the close and the time of reading as they are, since it says nothing of those.
CREATE FUNCTION upc._store_event(
    symbol text,
    series text,
    document upc._event_document,
    closes_at timestamptz,
    read_at timestamptz
)
RETURNS boolean
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_ticker text := (document.event) ->> 'event_ticker';
    v_is_whole boolean := document.is_whole OR NOT EXISTS (
        SELECT FROM upc_data.market_quote AS q
        WHERE q.symbol = _store_event.symbol
          AND q.event_ticker = v_ticker
          AND q.ticker NOT IN (
              SELECT coalesce(m.market ->> 'ticker', '')
              FROM jsonb_array_elements(document.markets) AS m (market)
          )
    );
BEGIN
    INSERT INTO upc_data.market_event AS e
        (symbol, event_ticker, series_ticker, title, closes_at, read_at, expiration_value,
         exchange_index)
    VALUES (
        symbol, v_ticker, series, left(document.event ->> 'title', 300), closes_at, read_at,
        upc._expiration_value(document.markets),
        upc._shard_number(
            coalesce(
                document.event ->> 'exchange_index', document.markets -> 0 ->> 'exchange_index'
            )
        )
    )
    ON CONFLICT ON CONSTRAINT market_event_symbol_event_ticker_pkey
        DO UPDATE SET
            title = CASE WHEN document.is_whole THEN excluded.title ELSE e.title END,
            closes_at = CASE WHEN v_is_whole THEN excluded.closes_at ELSE e.closes_at END,
            read_at = CASE WHEN v_is_whole THEN excluded.read_at ELSE e.read_at END,
            expiration_value = coalesce(excluded.expiration_value, e.expiration_value),
            exchange_index = coalesce(excluded.exchange_index, e.exchange_index)
        WHERE e.read_at <= excluded.read_at;
    RETURN FOUND;
END
$fn$;
COMMENT ON FUNCTION upc._store_event IS
    'stores an event as it was read; false where a newer reading is stored';


-- Take events with their markets from Kalshi's JSON: an answer of GET /events/{ticker}, with the markets
-- inside the event or beside it, or a stored snapshot with both under "data"; or a list of markets as
-- GET /markets answers it, or one as GET /markets/{ticker} does.
--
-- An event has to come with all of its markets: what it does not hold is deleted. A list deletes nothing. An
-- older reading than the one that is stored changes nothing. A market whose bounds cannot be read, or whose
-- sub title names others, is left out. One of which a trade is held keeps its row all the same, without
-- bounds and quotes, for its result. What settles the event is what the rules of its markets say.
-- symbol: NULL takes the one whose series it is. read_at: NULL takes the snapshot's own time, or
-- now.
-- Returns a row per event: how many markets were taken, true where anything was, and which markets were
-- left out, each with the reason; a status of some of its markets that is not known, NULL without one.
-- Errors: UP002 symbol, or a series of none; UP014 a series that the symbol does not have, more than
-- 2,000 markets, what is not as Kalshi writes it.
--
-- Example:
--   SELECT markets FROM upc.load_market(
--     '{"event": {"event_ticker": "E", "series_ticker": "KXBTCD"}, "markets":
--       [{"ticker": "E-T1", "close_time": "2026-01-01T15:00:00Z", "strike_type": "greater",
--         "floor_strike": 97499.99, "yes_ask_dollars": "0.5600"}]}');
CREATE FUNCTION upc.load_market(
    document jsonb,
    symbol text DEFAULT NULL,
    read_at timestamptz DEFAULT NULL
)
RETURNS TABLE (
    event_symbol text,
    event_ticker text,
    closes_at timestamptz,
    markets integer,
    is_stored boolean,
    left_out text[],
    unknown_status text
)
LANGUAGE plpgsql VOLATILE ROWS 1
AS $fn$
DECLARE
    v_series upc_data.series;
    v_name text;
    v_each upc._event_document;
    v_read_at timestamptz;
    v_was_settled boolean;
    v_is_settled boolean;
BEGIN
    FOR v_each IN SELECT d.* FROM upc._event_documents(document) AS d LOOP
        event_ticker := v_each.event ->> 'event_ticker';
        IF length(event_ticker) NOT BETWEEN 1 AND 100 THEN
            PERFORM upc._refuse_document('an event_ticker of more than 100 letters, or of none');
        END IF;
        v_name := coalesce(v_each.event ->> 'series_ticker', split_part(event_ticker, '-', 1));
        v_series := upc._event_series(symbol, v_name);
        event_symbol := v_series.symbol;
        SELECT t.read_at, t.closes_at
        INTO v_read_at, closes_at
        FROM upc._event_times(document, v_each.event, v_each.markets, load_market.read_at) AS t;
        PERFORM upc._refuse_markets(v_each.markets);
        IF load_market.read_at IS NULL THEN
            -- A snapshot from the future would look fresh until then.
            v_read_at := least(v_read_at, clock_timestamp());
        END IF;

        v_was_settled := EXISTS (
            SELECT FROM upc_data.market_event AS e
            WHERE e.symbol = event_symbol
              AND e.event_ticker = load_market.event_ticker
              AND e.expiration_value > 0
        );
        is_stored := upc._store_event(event_symbol, v_series.series, v_each, closes_at, v_read_at);
        markets := 0;
        left_out := '{}';
        IF is_stored THEN
            SELECT s.count, s.left_out
            INTO markets, left_out
            FROM upc._store_markets(v_series, event_ticker, v_each.markets, v_each.is_whole) AS s;
            PERFORM upc._sum_up_event(event_symbol, event_ticker);
            PERFORM upc._note_settlement(v_series, event_ticker, v_each.markets);
        END IF;
        SELECT e.unknown_status, e.expiration_value > 0
        INTO unknown_status, v_is_settled
        FROM upc_data.market_event AS e
        WHERE e.symbol = event_symbol AND e.event_ticker = load_market.event_ticker;
        IF v_is_settled AND NOT v_was_settled THEN
            PERFORM upc._note_basis(event_symbol, v_read_at);
        END IF;
        RETURN NEXT;
    END LOOP;
END
$fn$;
COMMENT ON FUNCTION upc.load_market IS
    'takes Kalshi events with their markets from Kalshi''s own JSON';

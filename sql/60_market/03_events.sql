-- Events: the hourly one that closes next, and those whose results are awaited.

CREATE TYPE upc._event AS (
    event_ticker text,
    title text,
    closes_at timestamptz,
    status text,
    step double precision,
    read_at timestamptz,
    series text,
    settlement text,
    is_unclear boolean,
    strikes double precision[],
    is_paused boolean
);
COMMENT ON TYPE upc._event IS 'an event as current_event returns it';


-- The hourly event of a symbol that closes next, within the hour: one of a series above strikes. It may
-- close early.
--
-- symbol: as in upc_data.symbol. at: the clock.
-- Returns one row: the event with its close, the status and the distance in USD that most of its
-- markets have, and when it was read; its series, what settles it by its rules, and whether that or its fees
-- are unclear; its strikes in USD, ascending; whether the exchange has paused it, which makes the status of what
-- is active paused; every column is NULL where no event is known.
-- Errors: none.
--
-- Example:
--   SELECT load_market('{"event": {"event_ticker": "E", "series_ticker": "KXBTCD"}, "markets":
--       [{"ticker": "E-T1", "close_time": "2026-01-01T15:00:00Z", "strike_type": "greater",
--         "floor_strike": 97499.99}]}');
--   SELECT event_ticker = 'E' FROM current_event('BTC', '2026-01-01T14:30:00Z');
CREATE FUNCTION upc.current_event(
    symbol text,
    at timestamptz,
    OUT event_ticker text,
    OUT title text,
    OUT closes_at timestamptz,
    OUT status text,
    OUT step double precision,
    OUT read_at timestamptz,
    OUT series text,
    OUT settlement text,
    OUT is_unclear boolean,
    OUT strikes double precision[],
    OUT is_paused boolean
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_fee_type text;
    v_shard integer;
BEGIN
    SELECT
        e.event_ticker, e.title, e.closes_at, e.status, e.strike_step, e.read_at, s.series,
        upc._event_settlement(e, s), e.strikes, s.fee_type, e.exchange_index
    INTO
        event_ticker, title, closes_at, status, step, read_at, series, settlement, strikes,
        v_fee_type, v_shard
    FROM upc_data.market_event AS e
    JOIN upc_data.series AS s ON s.symbol = e.symbol AND s.series = e.series_ticker
    WHERE e.symbol = current_event.symbol
      AND e.closes_at > at
      AND e.closes_at <= at + interval '1 hour'
      AND s.kind = 'above'
    ORDER BY e.closes_at, e.read_at DESC
    LIMIT 1;
    IF event_ticker IS NOT NULL THEN
        is_unclear := upc._rules_are_unclear(settlement, v_fee_type);
        is_paused := upc._is_exchange_paused(v_shard, at);
        status := upc._event_status(status, is_paused);
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc.current_event IS
    'the hourly event of a symbol that closes next, within the hour, with the status and the distance in USD that most of its markets have; NULL without one';


-- The events of a symbol that have closed and whose results are not known, or not final: those that closed
-- within the last day and, however long ago it was, those that a trade is held of, or settled provisionally.
--
-- symbol: as in upc_data.symbol. at: the clock.
-- Returns one row per event with its close; events with trades first, then the newest.
-- Errors: none.
--
-- Example:
--   SELECT load_market('{"event": {"event_ticker": "E", "series_ticker": "KXBTCD"}, "markets":
--       [{"ticker": "E-T1", "close_time": "2026-01-01T15:00:00Z", "strike_type": "greater",
--         "floor_strike": 97499.99}]}');
--   SELECT event_ticker = 'E' FROM unsettled_events('BTC', '2026-01-01T15:30:00Z');
CREATE FUNCTION upc.unsettled_events(
    symbol text,
    at timestamptz DEFAULT clock_timestamp()
)
RETURNS TABLE (event_ticker text, closes_at timestamptz)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10
AS $fn$
BEGIN
    RETURN QUERY
    SELECT u.event_ticker, max(u.closes_at)
    FROM (
        SELECT t.event_ticker, coalesce(e.closes_at, t.closes_at) AS closes_at, true AS is_held
        FROM upc_data.trade AS t
        LEFT JOIN upc_data.market_event AS e
            ON e.symbol = t.symbol AND e.event_ticker = t.event_ticker
        LEFT JOIN upc_data.market_quote AS q
            ON q.symbol = t.symbol AND q.event_ticker = t.event_ticker AND q.ticker = t.ticker
        WHERE t.symbol = unsettled_events.symbol AND t.ended_at IS NULL AND q.result IS NULL

        UNION ALL

        SELECT t.event_ticker, t.closes_at, true
        FROM upc_data.trade AS t
        WHERE t.symbol = unsettled_events.symbol AND t.is_provisional

        UNION ALL

        SELECT e.event_ticker, e.closes_at, false
        FROM upc_data.market_event AS e
        WHERE e.symbol = unsettled_events.symbol
          AND e.closes_at > at - interval '1 day'
          AND EXISTS (
              SELECT FROM upc_data.market_quote AS q
              WHERE q.symbol = e.symbol
                AND q.event_ticker = e.event_ticker
                AND (q.result IS NULL OR q.status IN ('determined', 'disputed', 'amended'))
          )
    ) AS u
    WHERE u.closes_at <= at
    GROUP BY u.event_ticker
    ORDER BY bool_or(u.is_held) DESC, max(u.closes_at) DESC, u.event_ticker;
END
$fn$;
COMMENT ON FUNCTION upc.unsettled_events IS
    'the events of a symbol that have closed and whose results are not known, of the last day or with trades that are held';

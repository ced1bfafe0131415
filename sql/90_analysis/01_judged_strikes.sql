-- Judged strikes: the probabilities of live ticks, beside the outcomes of their contracts.

CREATE VIEW analytics.judged_strike AS
SELECT
    u.symbol,
    u.tick_id,
    u.ticked_at,
    u.closes_at,
    u.event_ticker,
    u.ttc_seconds,
    u.model,
    u.method,
    u.settlement,
    u.strike,
    u.prob_above,
    u.yes_ask,
    u.no_ask,
    CASE
        WHEN u.event_ticker IS NULL THEN u.price >= u.strike
        ELSE u.have_paid[width_bucket(u.strike, u.settled)]
    END AS outcome,
    u.yes_bid,
    u.no_bid,
    u.kept,
    u.is_first
FROM (
    -- Unnested here and not in FROM, where it costs twice as much.
    SELECT
        t.symbol,
        t.tick_id,
        t.ticked_at,
        coalesce(e.closes_at, t.closes_at) AS closes_at,
        t.event_ticker,
        t.ttc_seconds,
        t.model,
        t.method,
        t.settlement,
        unnest(t.strikes) AS strike,
        unnest(t.prob_above) AS prob_above,
        unnest(t.yes_ask) AS yes_ask,
        unnest(t.no_ask) AS no_ask,
        unnest(t.yes_bid) AS yes_bid,
        unnest(t.no_bid) AS no_bid,
        t.kept,
        t.is_first,
        m.settled,
        m.have_paid,
        c.price
    FROM analytics.logged_tick AS t
    LEFT JOIN upc_data.market_event AS e
        ON e.symbol = t.symbol AND e.event_ticker = t.event_ticker
    -- An aggregate, which the server keeps from one tick of an event to the next.
    CROSS JOIN LATERAL (
        SELECT
            array_agg(q.lower::double precision ORDER BY q.lower) AS settled,
            array_agg(q.result = 'yes' ORDER BY q.lower) AS have_paid
        FROM upc_data.market_quote AS q
        WHERE q.symbol = t.symbol
          AND q.event_ticker = t.event_ticker
          AND q.result IN ('yes', 'no')
    ) AS m
    -- Another one, so that there is one probe a tick and not one a strike.
    CROSS JOIN LATERAL (
        SELECT
            max(
                CASE t.settlement
                    WHEN 'average' THEN upc._minute_average(k)
                    ELSE k.close
                END
            ) AS price
        FROM upc_data.candle AS k
        WHERE t.event_ticker IS NULL
          AND k.symbol = t.symbol
          AND k.opened_at = t.closes_at - interval '1 minute'
    ) AS c
    WHERE upc._is_judged(t.feed, t.event_ticker)
      AND t.prob_above IS NOT NULL
      AND coalesce(e.closes_at, t.closes_at) <= statement_timestamp()
) AS u
-- Both are in order: searched by halves.
WHERE CASE
    WHEN u.event_ticker IS NULL THEN u.price IS NOT NULL
    ELSE u.settled[width_bucket(u.strike, u.settled)] = u.strike
END;
COMMENT ON VIEW analytics.judged_strike IS
    'every strike of every live tick whose contract has closed and whose outcome is known; ask for a symbol and a span of ticked_at';
COMMENT ON COLUMN analytics.judged_strike.symbol IS 'symbol';
COMMENT ON COLUMN analytics.judged_strike.tick_id IS 'the tick in upc_data.tick';
COMMENT ON COLUMN analytics.judged_strike.ticked_at IS 'time of the tick';
COMMENT ON COLUMN analytics.judged_strike.closes_at IS 'close of the contract';
COMMENT ON COLUMN analytics.judged_strike.event_ticker IS
    'the Kalshi event; NULL where the contract was of the next full hour';
COMMENT ON COLUMN analytics.judged_strike.ttc_seconds IS 'whole seconds that were left to the close';
COMMENT ON COLUMN analytics.judged_strike.model IS 'the model that the probability came from';
COMMENT ON COLUMN analytics.judged_strike.method IS 'the method by which it was read off the grid';
COMMENT ON COLUMN analytics.judged_strike.settlement IS
    'the settlement that was assumed: close or average';
COMMENT ON COLUMN analytics.judged_strike.strike IS 'strike, USD';
COMMENT ON COLUMN analytics.judged_strike.prob_above IS
    'probability in percent to close at or above the strike';
COMMENT ON COLUMN analytics.judged_strike.yes_ask IS
    'the ask of yes, USD per contract, exact; NULL where there was no edge';
COMMENT ON COLUMN analytics.judged_strike.no_ask IS 'the ask of no, like yes_ask';
COMMENT ON COLUMN analytics.judged_strike.outcome IS
    'true if it closed at or above the strike: by the result of the market, without an event by the last minute''s candle';
COMMENT ON COLUMN analytics.judged_strike.yes_bid IS
    'the bid for yes, USD per contract, exact; NULL where there was no edge';
COMMENT ON COLUMN analytics.judged_strike.no_bid IS 'the bid for no, like yes_bid';
COMMENT ON COLUMN analytics.judged_strike.kept IS
    'what is kept of its time: every tick, or one a minute';
COMMENT ON COLUMN analytics.judged_strike.is_first IS
    'true for the first tick of its minute: calibration takes these alone, so that it does not change when a day is thinned out';


-- Strikes of a symbol's live ticks whose contracts have closed and whose outcomes are known, of the
-- ticks from since on and before until: of every tick that is kept. Those with is_first are one a minute
-- throughout.
--
-- Returns rows of analytics.judged_strike: a tick of 21 strikes is 21 rows.
--
-- Example:
--   SELECT count(*) = 0 FROM judged_strikes('BTC', '2024-01-01 00:00+00', '2024-02-01 00:00+00');
CREATE FUNCTION upc.judged_strikes(
    symbol text,
    since timestamptz DEFAULT '-infinity',
    until timestamptz DEFAULT 'infinity'
)
RETURNS SETOF analytics.judged_strike
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1000000
BEGIN ATOMIC
    SELECT j.*
    FROM analytics.judged_strike AS j
    WHERE j.symbol = judged_strikes.symbol
      AND j.ticked_at >= judged_strikes.since
      AND j.ticked_at < judged_strikes.until;
END;
COMMENT ON FUNCTION upc.judged_strikes IS
    'the strikes of a symbol''s live ticks of a span whose contracts have closed and whose outcomes are known';


-- Closed contracts of a span's live ticks whose outcomes are not known: events without a single
-- result, and full hours without their last candle.
--
-- Returns one row a close, oldest first; event_ticker is NULL where it was the next full hour.
--
-- Example:
--   SELECT count(*) = 0 FROM unjudged_closes('BTC');
CREATE FUNCTION upc.unjudged_closes(
    symbol text,
    since timestamptz DEFAULT '-infinity',
    until timestamptz DEFAULT 'infinity'
)
RETURNS TABLE (closes_at timestamptz, event_ticker text)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10
AS $fn$
DECLARE
    v_first timestamptz;
    v_last timestamptz;
BEGIN
    SELECT min(l.first_at), max(l.last_at)
    INTO v_first, v_last
    FROM (
        SELECT min(t.ticked_at), max(t.ticked_at)
        FROM upc_data.tick AS t
        WHERE t.symbol = unjudged_closes.symbol AND t.ticked_at >= since AND t.ticked_at < until

        UNION ALL

        -- Of the minute in which the span begins, the first tick may be before it.
        SELECT min(m.minute_at), max(m.minute_at) + interval '1 minute'
        FROM upc_data.tick_minute AS m
        WHERE m.symbol = unjudged_closes.symbol AND m.minute_at >= since AND m.minute_at < until
    ) AS l (first_at, last_at);

    -- Few are left to be looked for in the log.
    RETURN QUERY
    SELECT o.closes_at, o.event_ticker
    FROM (
        SELECT e.closes_at, e.event_ticker
        FROM upc_data.market_event AS e
        WHERE e.symbol = unjudged_closes.symbol
          AND e.closes_at >= v_first
          AND e.closes_at <= v_last + interval '1 hour'
          AND EXISTS (
              SELECT FROM upc_data.series AS s
              WHERE s.symbol = e.symbol AND s.series = e.series_ticker AND s.kind = 'above'
          )
          AND NOT EXISTS (
              SELECT FROM upc_data.market_quote AS q
              WHERE q.symbol = e.symbol
                AND q.event_ticker = e.event_ticker
                AND q.result IN ('yes', 'no')
          )

        UNION ALL

        SELECT h.at, NULL
        FROM generate_series(
            upc._next_hour(v_first), upc._next_hour(v_last), interval '1 hour'
        ) AS h (at)
        WHERE NOT EXISTS (
            SELECT FROM upc_data.candle AS c
            WHERE c.symbol = unjudged_closes.symbol
              AND c.opened_at = h.at - interval '1 minute'
        )
    ) AS o (closes_at, event_ticker)
    WHERE o.closes_at <= statement_timestamp()
      AND (
          EXISTS (
              SELECT FROM upc_data.tick AS t
              WHERE t.symbol = unjudged_closes.symbol
                AND t.ticked_at >= greatest(since, o.closes_at - interval '1 hour')
                AND t.ticked_at < least(until, o.closes_at)
                AND t.event_ticker IS NOT DISTINCT FROM o.event_ticker
                AND upc._is_judged(t.feed, t.event_ticker)
                AND t.prob_above IS NOT NULL
          )
          OR EXISTS (
              SELECT FROM upc_data.tick_minute AS m
              WHERE m.symbol = unjudged_closes.symbol
                AND m.minute_at >= greatest(since, o.closes_at - interval '1 hour')
                AND m.ticked_at < least(until, o.closes_at)
                AND m.minute_at < o.closes_at
                AND m.event_ticker IS NOT DISTINCT FROM o.event_ticker
                AND upc._is_judged(m.feed, m.event_ticker)
                AND m.prob_above IS NOT NULL
          )
      )
    ORDER BY o.closes_at, o.event_ticker;
END
$fn$;
COMMENT ON FUNCTION upc.unjudged_closes IS
    'the past closes of a span''s live ticks whose outcomes are not known';

-- History: the log over time, thinned to so many points that a chart can show them.

-- The step of a history: the one asked for, or the shortest round one, but never one that takes more than
-- 5,000 points.
--
-- Errors: UP032 where the span has no end, or the step is no whole number of seconds.
CREATE FUNCTION upc._history_step(since timestamptz, until timestamptz, every interval)
RETURNS interval
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_step double precision := extract(epoch FROM every);
    v_least double precision;
    v_round integer;
BEGIN
    IF NOT coalesce(isfinite(since) AND isfinite(until), false) THEN
        RAISE EXCEPTION 'a history cannot go from % to %', coalesce(since::text, 'NULL'),
            coalesce(until::text, 'NULL')
            USING
                ERRCODE = 'UP032',
                DETAIL = 'It has a beginning and an end.',
                HINT = 'For example history(''BTC'', now() - interval ''1 day'').';
    ELSIF NOT coalesce(v_step >= 1 AND v_step = floor(v_step), true) THEN
        RAISE EXCEPTION 'a history cannot have a point every %', every
            USING
                ERRCODE = 'UP032',
                DETAIL = 'The step is a whole number of seconds, 1 or more.',
                HINT = 'Leave it out for the shortest one that takes 5,000 points or fewer.';
    END IF;
    v_least := greatest(1, ceil(extract(epoch FROM until - since) / 5000));
    IF v_step IS NULL THEN
        SELECT min(s)
        INTO v_round
        FROM unnest('{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600}'::integer[]) AS s
        WHERE s >= v_least;
        v_step := coalesce(v_round, 3600 * ceil(v_least / 3600));
    END IF;
    RETURN make_interval(secs => greatest(v_step, v_least));
END
$fn$;
COMMENT ON FUNCTION upc._history_step IS
    'the step of a history: the one asked for, or the shortest round one, but never one that takes more than 5,000 points';


-- Ticks of a symbol over time: the first one of every step.
--
-- since, until: instants, from the one up to but not including the other. every: whole seconds, and more
-- where the span would take more than 5,000 points; NULL: the shortest round step. Steps begin at whole
-- multiples of their length, by UTC.
-- Returns a row for each step in which something was logged, the oldest first: price in USD, momentum in
-- basis points, seconds to the close. Of days that have been thinned there is one tick a minute.
-- Errors: UP002 symbol, UP032 span or step.
--
-- Example:
--   SELECT count(*) <= 5000 FROM history('BTC', now() - interval '1 day');
CREATE FUNCTION upc.history(
    symbol text,
    since timestamptz,
    until timestamptz DEFAULT clock_timestamp(),
    every interval DEFAULT NULL
)
RETURNS TABLE (
    ticked_at timestamptz,
    tick_id bigint,
    price double precision,
    momentum double precision,
    ttc_seconds integer,
    model text,
    event_ticker text,
    feed text,
    state text
)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 2000
AS $fn$
DECLARE
    v_every interval;
BEGIN
    PERFORM upc.require_symbol(symbol);
    v_every := upc._history_step(since, until, every);
    -- A probe of either log for each step: most ticks of a second are never read.
    RETURN QUERY
    SELECT
        k.ticked_at, k.tick_id, k.price, k.momentum, k.ttc_seconds, k.model, k.event_ticker,
        k.feed, k.state
    FROM generate_series(
        date_bin(v_every, since, '2000-01-01 00:00+00'), until, v_every
    ) AS s (begins_at)
    CROSS JOIN LATERAL (
        SELECT greatest(s.begins_at, since) AS first, least(s.begins_at + v_every, until) AS last
    ) AS b
    CROSS JOIN LATERAL (
        SELECT o.*
        FROM (
            (
                SELECT t.ticked_at, t.tick_id, t.price, t.momentum, t.ttc_seconds, t.model,
                    t.event_ticker, t.feed, t.state
                FROM upc_data.tick AS t
                WHERE t.symbol = history.symbol AND t.ticked_at >= b.first AND t.ticked_at < b.last
                ORDER BY t.ticked_at
                LIMIT 1
            )
            UNION ALL
            (
                SELECT m.ticked_at, m.tick_id, m.price, m.momentum, m.ttc_seconds, m.model,
                    m.event_ticker, m.feed, m.state
                FROM upc_data.tick_minute AS m
                WHERE m.symbol = history.symbol AND m.ticked_at >= b.first AND m.ticked_at < b.last
                ORDER BY m.ticked_at
                LIMIT 1
            )
        ) AS o
        ORDER BY o.ticked_at, o.tick_id
        LIMIT 1
    ) AS k
    ORDER BY s.begins_at;
END
$fn$;
COMMENT ON FUNCTION upc.history IS
    'the ticks of a symbol over time, the first one of every step, 5,000 at most';


-- Chosen contracts over time, as they were logged: once a minute, the first of every step.
--
-- tickers: of contracts. The others as in history.
-- Returns a row for each contract and step in which it was logged with a quote, by contract, the oldest
-- first: probability and its interval in percent, bids and asks in USD per contract. None of a contract that is not stored.
-- Errors: UP002 symbol, UP032 span or step.
--
-- Example:
--   SELECT count(*) = 0 FROM contract_history('BTC', '{none}', now() - interval '1 day');
CREATE FUNCTION upc.contract_history(
    symbol text,
    tickers text[],
    since timestamptz,
    until timestamptz DEFAULT clock_timestamp(),
    every interval DEFAULT NULL
)
RETURNS TABLE (
    contract_ticker text,
    logged_at timestamptz,
    probability double precision,
    prob_low double precision,
    prob_high double precision,
    yes_bid numeric,
    yes_ask numeric,
    no_bid numeric,
    no_ask numeric
)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1000
AS $fn$
DECLARE
    v_every interval;
BEGIN
    PERFORM upc.require_symbol(symbol);
    v_every := upc._history_step(since, until, every);
    RETURN QUERY
    SELECT DISTINCT ON (q.ticker, date_bin(v_every, l.logged_at, '2000-01-01 00:00+00'))
        q.ticker, l.logged_at, l.probabilities[p.place], l.prob_lows[p.place],
        l.prob_highs[p.place], l.yes_bids[p.place], l.yes_asks[p.place],
        l.no_bids[p.place], l.no_asks[p.place]
    FROM upc_data.market_quote AS q
    JOIN upc_data.contract_log AS l
        ON l.symbol = q.symbol
        AND l.event_ticker = q.event_ticker
        AND l.logged_at >= since
        AND l.logged_at < until
        AND l.is_minute
    CROSS JOIN LATERAL (SELECT array_position(l.tickers, q.ticker) AS place) AS p
    WHERE q.symbol = contract_history.symbol
      AND q.ticker = ANY (contract_history.tickers)
      AND p.place IS NOT NULL
    ORDER BY q.ticker, date_bin(v_every, l.logged_at, '2000-01-01 00:00+00'), l.logged_at, l.tick_id;
END
$fn$;
COMMENT ON FUNCTION upc.contract_history IS
    'probability, bids and asks of chosen contracts over time, the first of every step';


-- The history of a symbol as JSON, a list for each column: as history and contract_history have it; and the
-- trades that were held in the span.
--
-- Errors: UP002 symbol, UP032 span or step.
--
-- Example:
--   SELECT json_array_length(history_document('BTC', now() - interval '1 hour') #> '{ticks,at}') >= 0;
CREATE FUNCTION upc.history_document(
    symbol text,
    since timestamptz,
    until timestamptz DEFAULT clock_timestamp(),
    every interval DEFAULT NULL,
    tickers text[] DEFAULT '{}'
)
RETURNS json
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT json_build_object(
        'symbol', history_document.symbol,
        'since', upc._iso_utc(history_document.since),
        'until', upc._iso_utc(history_document.until),
        'every_seconds',
        extract(epoch FROM upc._history_step(
            history_document.since, history_document.until, history_document.every
        ))::integer,
        'ticks', (
            SELECT json_build_object(
                'at', coalesce(json_agg(upc._iso_utc(h.ticked_at) ORDER BY h.ticked_at), '[]'),
                'price', coalesce(json_agg(h.price ORDER BY h.ticked_at), '[]'),
                'momentum_bps', coalesce(json_agg(h.momentum ORDER BY h.ticked_at), '[]'),
                'ttc_seconds', coalesce(json_agg(h.ttc_seconds ORDER BY h.ticked_at), '[]'),
                'model', coalesce(json_agg(h.model ORDER BY h.ticked_at), '[]'),
                'event_ticker', coalesce(json_agg(h.event_ticker ORDER BY h.ticked_at), '[]'),
                'feed', coalesce(json_agg(h.feed ORDER BY h.ticked_at), '[]'),
                'state', coalesce(json_agg(h.state ORDER BY h.ticked_at), '[]')
            )
            FROM upc.history(
                history_document.symbol, history_document.since, history_document.until,
                history_document.every
            ) AS h
        ),
        'contracts', (
            SELECT coalesce(json_agg(c.contract ORDER BY c.ticker), '[]')
            FROM (
                SELECT
                    k.contract_ticker AS ticker,
                    json_build_object(
                        'ticker', k.contract_ticker,
                        'at', json_agg(upc._iso_utc(k.logged_at) ORDER BY k.logged_at),
                        'probability', json_agg(k.probability ORDER BY k.logged_at),
                        'prob_low', json_agg(k.prob_low ORDER BY k.logged_at),
                        'prob_high', json_agg(k.prob_high ORDER BY k.logged_at),
                        'yes_bid', json_agg(k.yes_bid ORDER BY k.logged_at),
                        'yes_ask', json_agg(k.yes_ask ORDER BY k.logged_at),
                        'no_bid', json_agg(k.no_bid ORDER BY k.logged_at),
                        'no_ask', json_agg(k.no_ask ORDER BY k.logged_at)
                    ) AS contract
                FROM upc.contract_history(
                    history_document.symbol, history_document.tickers, history_document.since,
                    history_document.until, history_document.every
                ) AS k
                GROUP BY k.contract_ticker
            ) AS c
        ),
        'trades', (
            SELECT coalesce(
                json_agg(
                    json_build_object(
                        'id', t.trade_id,
                        'ticker', t.ticker,
                        'contract', upc._bounds_text(t.kind, t.lower, t.upper),
                        'side', t.side,
                        'position', t.position,
                        'opened_at', upc._iso_utc(t.opened_at),
                        'buy_price', t.buy_price,
                        'ended_at', upc._iso_utc(t.ended_at),
                        'end_price', t.end_price,
                        'profit', upc._trade_profit(t)
                    )
                    ORDER BY t.trade_id
                ),
                '[]'
            )
            FROM upc_data.trade AS t
            WHERE t.symbol = history_document.symbol
              AND t.opened_at < history_document.until
              AND coalesce(t.ended_at >= history_document.since, true)
        )
    );
END;
COMMENT ON FUNCTION upc.history_document IS
    'ticks and chosen contracts of a symbol over time as JSON, a list for each column, and the trades that were held';

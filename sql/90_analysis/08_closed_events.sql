-- Closed events: what settled them, what the model and the market had said before, and what trades brought.

-- Scores of an event's contracts as they were logged some minutes before its close: by the last log of
-- the two minutes before that. Only contracts with a result, a probability, a bid and an ask count, so that model and
-- market are asked the same; the market's probability is the middle between bid and ask of yes. closest is the
-- one whose middle is nearest to a half, with the probabilities of both, percent.
CREATE FUNCTION upc._event_score(
    symbol text,
    event_ticker text,
    closes_at timestamptz,
    minutes integer,
    OUT logged_at timestamptz,
    OUT contracts integer,
    OUT model_brier double precision,
    OUT market_brier double precision,
    OUT closest text,
    OUT closest_model double precision,
    OUT closest_market double precision
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT
        min(o.logged_at),
        count(*)::integer,
        avg((0.01 * o.probability - o.outcome) ^ 2),
        avg((o.middle::double precision - o.outcome) ^ 2),
        (array_agg(o.ticker ORDER BY abs(o.middle - 0.5), o.ticker))[1],
        (array_agg(o.probability ORDER BY abs(o.middle - 0.5), o.ticker))[1],
        (array_agg(100 * o.middle ORDER BY abs(o.middle - 0.5), o.ticker))[1]::double precision
    FROM (
        SELECT
            l.logged_at, c.ticker, c.probability, (c.yes_bid + c.yes_ask) / 2 AS middle,
            (q.result = 'yes')::integer AS outcome
        FROM (
            SELECT k.*
            FROM upc_data.contract_log AS k
            WHERE k.symbol = _event_score.symbol
              AND k.event_ticker = _event_score.event_ticker
              AND k.logged_at > _event_score.closes_at
                  - make_interval(mins => _event_score.minutes + 2)
              AND k.logged_at <= _event_score.closes_at
                  - make_interval(mins => _event_score.minutes)
            ORDER BY k.logged_at DESC, k.tick_id DESC
            LIMIT 1
        ) AS l
        CROSS JOIN LATERAL unnest(l.tickers, l.probabilities, l.yes_bids, l.yes_asks)
            AS c (ticker, probability, yes_bid, yes_ask)
        JOIN upc_data.market_quote AS q
            ON q.symbol = l.symbol AND q.event_ticker = l.event_ticker AND q.ticker = c.ticker
        WHERE q.result IN ('yes', 'no')
          AND c.probability IS NOT NULL
          AND c.yes_bid IS NOT NULL
          AND c.yes_ask IS NOT NULL
    ) AS o
    HAVING count(*) > 0;
END;
COMMENT ON FUNCTION upc._event_score IS
    'the Brier scores of model and market over the contracts of an event, some minutes before its close, and what they said of the one that was most open; NULL where nothing was logged then';


-- Events of a symbol that have closed, the newest first, with what the model and the market had said.
--
-- before: events that closed before this instant; at the same time all of them are listed. most: 1 to 200.
-- Returns a row for each event: settled at settlement_value, USD, which the exchange may still amend where
-- is_provisional; NULL until it has one. results: contracts with a result, of all of them. For 30, 15
-- and 5 minutes before the close, in this order: contracts that both had a probability of, and the Brier
-- scores of model and market, 0 to 1, lower is better; closest is the contract that was most open, whose
-- price was nearest to 50 cents, with the probabilities that model and market gave it, percent; NULL where
-- nothing was logged then. trades: of the user, and their profit after fees in USD; NULL where one of them has not ended.
-- Errors: UP002 symbol, UP032 most.
--
-- Example:
--   SELECT count(*) <= 24 FROM closed_events('BTC');
CREATE FUNCTION upc.closed_events(
    symbol text,
    before timestamptz DEFAULT clock_timestamp(),
    most integer DEFAULT 24
)
RETURNS TABLE (
    event_ticker text,
    series text,
    kind text,
    title text,
    closes_at timestamptz,
    settlement_value numeric,
    is_provisional boolean,
    contracts integer,
    results integer,
    scored_minutes integer[],
    scored_contracts integer[],
    model_brier double precision[],
    market_brier double precision[],
    closest text[],
    closest_model double precision[],
    closest_market double precision[],
    trades integer,
    profit numeric
)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 24
AS $fn$
BEGIN
    PERFORM upc.require_symbol(symbol);
    IF NOT coalesce(most BETWEEN 1 AND 200, false) THEN
        RAISE EXCEPTION 'most must be from 1 to 200, got %', coalesce(most::text, 'NULL')
            USING
                ERRCODE = 'UP032',
                DETAIL = 'It is the number of closed events that are listed.',
                HINT = 'Leave it out for 24, and pass before => for older ones.';
    END IF;
    RETURN QUERY
    SELECT
        e.event_ticker, s.series, s.kind, e.title, e.closes_at, e.expiration_value,
        q.is_provisional, q.contracts, q.results,
        b.minutes, b.contracts, b.model_brier, b.market_brier, b.closest, b.closest_model,
        b.closest_market,
        t.trades, t.profit
    FROM (
        SELECT o.*
        FROM upc_data.market_event AS o
        WHERE o.symbol = closed_events.symbol AND o.closes_at < before
        ORDER BY o.closes_at DESC, o.event_ticker
        LIMIT most
    ) AS e
    LEFT JOIN upc_data.series AS s ON s.symbol = e.symbol AND s.series = e.series_ticker
    CROSS JOIN LATERAL (
        SELECT
            count(*)::integer AS contracts,
            (count(*) FILTER (WHERE m.result IN ('yes', 'no', 'scalar', 'void')))::integer AS results,
            coalesce(bool_or(m.status IN ('determined', 'disputed', 'amended')), false) AS is_provisional
        FROM upc_data.market_quote AS m
        WHERE m.symbol = e.symbol AND m.event_ticker = e.event_ticker
    ) AS q
    CROSS JOIN LATERAL (
        SELECT
            array_agg(v.minutes ORDER BY v.minutes DESC) AS minutes,
            array_agg(k.contracts ORDER BY v.minutes DESC) AS contracts,
            array_agg(k.model_brier ORDER BY v.minutes DESC) AS model_brier,
            array_agg(k.market_brier ORDER BY v.minutes DESC) AS market_brier,
            array_agg(k.closest ORDER BY v.minutes DESC) AS closest,
            array_agg(k.closest_model ORDER BY v.minutes DESC) AS closest_model,
            array_agg(k.closest_market ORDER BY v.minutes DESC) AS closest_market
        FROM unnest('{30, 15, 5}'::integer[]) AS v (minutes)
        LEFT JOIN LATERAL upc._event_score(e.symbol, e.event_ticker, e.closes_at, v.minutes) AS k
            ON true
    ) AS b
    CROSS JOIN LATERAL (
        SELECT
            count(*)::integer AS trades,
            CASE WHEN count(*) = count(d.ended_at) THEN sum(upc._trade_profit(d)) END AS profit
        FROM upc_data.trade AS d
        WHERE d.symbol = e.symbol AND d.event_ticker = e.event_ticker
    ) AS t
    ORDER BY e.closes_at DESC, e.event_ticker;
END
$fn$;
COMMENT ON FUNCTION upc.closed_events IS
    'the events of a symbol that have closed, the newest first, with the scores of model and market before the close and the profit of trades';


-- What the trades of a symbol have brought by day.
--
-- before: trades that ended before this instant. days: 1 to 366.
-- Returns a row for each of the last so many days (UTC) on which a trade ended, the oldest first: how many
-- did, and their profit after fees in USD.
-- Errors: UP002 symbol, UP032 days.
--
-- Example:
--   SELECT count(*) = 0 FROM profit_by_day('BTC', '2026-01-01 00:00+00');
CREATE FUNCTION upc.profit_by_day(
    symbol text,
    before timestamptz DEFAULT clock_timestamp(),
    days integer DEFAULT 30
)
RETURNS TABLE (day date, trades integer, profit numeric)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 30
AS $fn$
BEGIN
    PERFORM upc.require_symbol(symbol);
    IF NOT coalesce(days BETWEEN 1 AND 366, false) THEN
        RAISE EXCEPTION 'days must be from 1 to 366, got %', coalesce(days::text, 'NULL')
            USING
                ERRCODE = 'UP032',
                DETAIL = 'It is the number of days that are listed.',
                HINT = 'Leave it out for 30.';
    END IF;
    RETURN QUERY
    SELECT d.day, d.trades, d.profit
    FROM (
        SELECT
            (t.ended_at AT TIME ZONE 'UTC')::date AS day,
            count(*)::integer AS trades,
            sum(upc._trade_profit(t)) AS profit
        FROM upc_data.trade AS t
        WHERE t.symbol = profit_by_day.symbol AND t.ended_at < before
        GROUP BY 1
        ORDER BY 1 DESC
        LIMIT days
    ) AS d
    ORDER BY d.day;
END
$fn$;
COMMENT ON FUNCTION upc.profit_by_day IS
    'what the trades of a symbol have brought after fees in USD, by the day (UTC) on which they ended';


-- Closed events of a symbol as JSON, with scores 30, 15 and 5 minutes before the close, and the profit of
-- the last 30 days on which trades ended.
--
-- Errors: UP002 symbol, UP032 most.
--
-- Example:
--   SELECT json_array_length(closed_events_document('BTC') -> 'events') <= 24;
CREATE FUNCTION upc.closed_events_document(
    symbol text,
    before timestamptz DEFAULT clock_timestamp(),
    most integer DEFAULT 24
)
RETURNS json
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT json_build_object(
        'symbol', closed_events_document.symbol,
        'before', upc._iso_utc(closed_events_document.before),
        'events', coalesce(
            json_agg(
                json_build_object(
                    'event_ticker', e.event_ticker,
                    'series', e.series,
                    'kind', e.kind,
                    'title', e.title,
                    'closes_at', upc._iso_utc(e.closes_at),
                    'settlement_value', e.settlement_value,
                    'is_provisional', e.is_provisional,
                    'contracts', e.contracts,
                    'results', e.results,
                    'scores', (
                        SELECT json_agg(
                            json_build_object(
                                'minutes', s.minutes,
                                'contracts', coalesce(s.contracts, 0),
                                'model_brier', s.model_brier,
                                'market_brier', s.market_brier,
                                'closest', CASE
                                    WHEN s.closest IS NOT NULL THEN json_build_object(
                                        'ticker', s.closest,
                                        'contract', upc._bounds_text(e.kind, q.lower, q.upper),
                                        'model_probability', s.closest_model,
                                        'market_probability', s.closest_market,
                                        'result', q.result
                                    )
                                END
                            )
                            ORDER BY s.minutes DESC
                        )
                        FROM unnest(
                            e.scored_minutes, e.scored_contracts, e.model_brier, e.market_brier,
                            e.closest, e.closest_model, e.closest_market
                        ) AS s (
                            minutes, contracts, model_brier, market_brier, closest, closest_model,
                            closest_market
                        )
                        LEFT JOIN upc_data.market_quote AS q
                            ON q.symbol = closed_events_document.symbol
                            AND q.event_ticker = e.event_ticker
                            AND q.ticker = s.closest
                    ),
                    'trades', e.trades,
                    'profit', e.profit
                )
                ORDER BY e.closes_at DESC, e.event_ticker
            ),
            '[]'
        ),
        'days', (
            SELECT coalesce(
                json_agg(
                    json_build_object('day', d.day, 'trades', d.trades, 'profit', d.profit)
                    ORDER BY d.day
                ),
                '[]'
            )
            FROM upc.profit_by_day(
                closed_events_document.symbol, closed_events_document.before
            ) AS d
        )
    )
    FROM upc.closed_events(
        closed_events_document.symbol, closed_events_document.before, closed_events_document.most
    ) AS e;
END;
COMMENT ON FUNCTION upc.closed_events_document IS
    'the events of a symbol that have closed as JSON, with the scores of model and market before the close, and profit by day';

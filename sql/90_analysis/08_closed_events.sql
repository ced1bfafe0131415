-- Closed events: what settled them, and what the model and the market had said before.

-- Scores of an event's contracts as they were logged some minutes before its close: by the last log of
-- the two minutes before that. Only contracts with a result, a probability, a bid and an ask count, so that model and
-- market are asked the same; the market's probability is the middle between bid and ask of yes.
CREATE FUNCTION upc._event_score(
    symbol text,
    event_ticker text,
    closes_at timestamptz,
    minutes integer,
    OUT logged_at timestamptz,
    OUT contracts integer,
    OUT model_brier double precision,
    OUT market_brier double precision
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT
        min(l.logged_at),
        count(*)::integer,
        avg((0.01 * c.probability - (q.result = 'yes')::integer) ^ 2),
        avg(((c.yes_bid + c.yes_ask)::double precision / 2 - (q.result = 'yes')::integer) ^ 2)
    FROM (
        SELECT k.*
        FROM upc_data.contract_log AS k
        WHERE k.symbol = _event_score.symbol
          AND k.event_ticker = _event_score.event_ticker
          AND k.logged_at > _event_score.closes_at
              - make_interval(mins => _event_score.minutes + 2)
          AND k.logged_at <= _event_score.closes_at - make_interval(mins => _event_score.minutes)
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
    HAVING count(*) > 0;
END;
COMMENT ON FUNCTION upc._event_score IS
    'the Brier scores of model and market over the contracts of an event, some minutes before its close; NULL where nothing was logged then';


-- Events of a symbol that have closed, the newest first, with what the model and the market had said.
--
-- before: events that closed before this instant; at the same time all of them are listed. most: 1 to 200.
-- Returns a row for each event: settled at settlement_value, USD, which the exchange may still amend where
-- is_provisional; NULL until it has one. results: contracts with a result, of all of them. For 30, 15
-- and 5 minutes before the close, in this order: contracts that both had a probability of, and the Brier
-- scores of model and market, 0 to 1, lower is better; NULL where nothing was logged then. trades: of the
-- user, and their profit after fees in USD; NULL where one of them has not ended.
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
        b.minutes, b.contracts, b.model_brier, b.market_brier,
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
            array_agg(k.market_brier ORDER BY v.minutes DESC) AS market_brier
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


-- Closed events of a symbol as JSON, with scores 30, 15 and 5 minutes before the close.
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
                                'market_brier', s.market_brier
                            )
                            ORDER BY s.minutes DESC
                        )
                        FROM unnest(
                            e.scored_minutes, e.scored_contracts, e.model_brier, e.market_brier
                        ) AS s (minutes, contracts, model_brier, market_brier)
                    ),
                    'trades', e.trades,
                    'profit', e.profit
                )
                ORDER BY e.closes_at DESC, e.event_ticker
            ),
            '[]'
        )
    )
    FROM upc.closed_events(
        closed_events_document.symbol, closed_events_document.before, closed_events_document.most
    ) AS e;
END;
COMMENT ON FUNCTION upc.closed_events_document IS
    'the events of a symbol that have closed as JSON, with the scores of model and market before the close';

-- Recorded quotes: read from files for one backtest, or from Kalshi for all of them.

-- Bounds of a contract of a recorder, which has lower and upper, or a strike as Kalshi has it. A contract
-- of updown is one with a floor alone.
CREATE FUNCTION upc._recorded_bounds(
    kind text,
    digits integer,
    ticker text,
    strike_type text,
    floor_strike numeric,
    cap_strike numeric,
    INOUT lower numeric,
    INOUT upper numeric,
    OUT flaw text
)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_terms upc._market_terms;
    v_bounds record;
BEGIN
    IF lower IS NULL AND upper IS NULL AND (floor_strike IS NOT NULL OR cap_strike IS NOT NULL) THEN
        v_terms.ticker := ticker;
        v_terms.floor_strike := floor_strike;
        v_terms.cap_strike := cap_strike;
        v_terms.strike_type := coalesce(
            strike_type,
            CASE
                WHEN kind = 'updown' THEN 'greater_or_equal'
                WHEN floor_strike IS NULL THEN 'less'
                WHEN cap_strike IS NULL THEN 'greater'
                ELSE 'between'
            END
        );
        v_bounds := upc._contract_bounds(
            kind, digits, v_terms,
            ('1e-' || greatest(digits, scale(floor_strike), scale(cap_strike)))::numeric
        );
        lower := v_bounds.lower;
        upper := v_bounds.upper;
        flaw := v_bounds.flaw;
    ELSIF lower >= upper THEN
        flaw := 'bounds that cross';
    END IF;
    IF flaw IS NULL AND lower IS NULL AND upper IS NULL THEN
        flaw := 'no bounds';
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._recorded_bounds IS
    'bounds of a recorded contract in USD, or what is wrong with them';


-- Quotes of a batch with what is wrong with each of them: flaw is NULL where nothing is.
CREATE FUNCTION upc._judged_quotes(symbol text, quotes jsonb)
RETURNS TABLE (
    event_ticker text,
    ticker text,
    observed_at timestamptz,
    closes_at timestamptz,
    lower numeric,
    upper numeric,
    yes_bid numeric,
    yes_ask numeric,
    later_yes_ask numeric,
    later_no_ask numeric,
    price double precision,
    outcome boolean,
    flaw text
)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 5000
BEGIN ATOMIC
    SELECT
        q.event, q.ticker, q.observed_at, q.closes_at, b.lower, b.upper,
        -- A bid of nothing, or an ask of a dollar, is an empty side.
        nullif(q.yes_bid, 0),
        nullif(q.yes_ask, 1),
        CASE WHEN q.later_yes_ask NOT IN (0, 1) THEN q.later_yes_ask END,
        CASE WHEN q.later_no_ask NOT IN (0, 1) THEN q.later_no_ask END,
        q.price,
        coalesce(q.result = 'yes', v.outcome),
        CASE
            WHEN q.closes_at IS NULL THEN 'no close'
            WHEN q.observed_at >= q.closes_at THEN 'quotes after the close'
            WHEN b.flaw IS NOT NULL THEN b.flaw
            WHEN q.yes_bid > q.yes_ask THEN 'crossed quotes'
            WHEN q.yes_ask = 0 OR q.yes_bid = 1 THEN 'a price that nobody trades at'
            WHEN coalesce(q.result IN ('yes', 'no'), v.outcome) IS NULL THEN 'no settlement'
            WHEN q.result IN ('yes', 'no') AND v.outcome <> (q.result = 'yes')
            THEN 'a result that its value contradicts'
            WHEN coalesce(q.result NOT IN ('yes', 'no'), false) THEN 'no result of yes or no'
        END
    FROM jsonb_to_recordset(_judged_quotes.quotes) AS q (
        series text, event text, ticker text, observed_at timestamptz, closes_at timestamptz,
        strike_type text, floor_strike numeric, cap_strike numeric, lower numeric, upper numeric,
        yes_bid numeric, yes_ask numeric, later_yes_ask numeric, later_no_ask numeric,
        price double precision, value numeric, result text
    )
    JOIN upc_data.series AS s ON s.symbol = _judged_quotes.symbol AND s.series = q.series
    CROSS JOIN LATERAL upc._recorded_bounds(
        s.kind, s.digits, q.ticker, q.strike_type, q.floor_strike, q.cap_strike, q.lower, q.upper
    ) AS b
    CROSS JOIN LATERAL (
        SELECT
            CASE WHEN q.value IS NOT NULL AND coalesce(b.lower, b.upper) IS NOT NULL THEN
                coalesce(q.value >= b.lower, true) AND coalesce(q.value < b.upper, true)
            END AS outcome
    ) AS v;
END;
COMMENT ON FUNCTION upc._judged_quotes IS
    'recorded quotes of a batch, each with what is wrong with it';


-- Store recorded quotes of a symbol's contracts, with what became of the contracts.
--
-- backtest_id: the backtest that they are for, or 0 to keep them for all.
-- quotes: a list of objects with series, event, ticker, observed_at, closes_at; lower and upper, or strike_type,
-- floor_strike and cap_strike; yes_bid, yes_ask, later_yes_ask and later_no_ask (USD per contract); price and
-- value (USD) and result (yes or no). Only value or result has to be known of the last ones.
-- Returns a row per reason: NULL is that of the quotes that were stored; repeated, of those that are stored
-- already; others say why quotes were left out. count: of quotes; example: a ticker among them.
-- Errors: UP002 symbol.
--
-- Example:
--   SELECT count(*) = 0 FROM upc.store_quotes('BTC', 0, '[]');
CREATE FUNCTION upc.store_quotes(symbol text, backtest_id bigint, quotes jsonb)
RETURNS TABLE (reason text, count bigint, example text)
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    PERFORM upc.require_symbol(symbol);
    RETURN QUERY
    WITH judged AS MATERIALIZED (
        SELECT j.* FROM upc._judged_quotes(store_quotes.symbol, quotes) AS j
    ),
    stored AS (
        INSERT INTO upc_data.market_observation AS o (
            symbol, backtest_id, closes_at, event_ticker, ticker, observed_at, lower, upper,
            yes_bid, yes_ask, later_yes_ask, later_no_ask, price, outcome
        )
        SELECT
            store_quotes.symbol, store_quotes.backtest_id, j.closes_at, j.event_ticker, j.ticker,
            j.observed_at, j.lower, j.upper, j.yes_bid, j.yes_ask, j.later_yes_ask,
            j.later_no_ask, j.price, j.outcome
        FROM judged AS j
        WHERE j.flaw IS NULL
        ON CONFLICT ON CONSTRAINT market_observation_pkey DO NOTHING
        RETURNING o.ticker
    ),
    counted AS (
        SELECT NULL::text AS reason, (SELECT pg_catalog.count(*) FROM stored) AS count,
            (SELECT min(s.ticker) FROM stored AS s) AS example
        UNION ALL
        SELECT
            'repeated',
            pg_catalog.count(*) - (SELECT pg_catalog.count(*) FROM stored), min(j.ticker)
        FROM judged AS j
        WHERE j.flaw IS NULL
        UNION ALL
        SELECT j.flaw, pg_catalog.count(*), min(j.ticker)
        FROM judged AS j
        WHERE j.flaw IS NOT NULL
        GROUP BY j.flaw
    )
    SELECT c.reason, c.count, c.example FROM counted AS c WHERE c.count > 0;
END
$fn$;
COMMENT ON FUNCTION upc.store_quotes IS
    'stores recorded quotes of a symbol''s contracts; returns how many, and why others were left out';


-- Store past events of a symbol with what they settled on.
--
-- backtest_id: as in store_quotes. events: a list of objects with series, event, closes_at, value (USD, or
-- null) and markets: how many were read with all their quotes; null while they are being read.
-- An event that is stored already gets what is not null.
-- Errors: UP002 symbol.
--
-- Example:
--   SELECT upc.store_events('BTC', 0, '[]');
CREATE FUNCTION upc.store_events(symbol text, backtest_id bigint, events jsonb)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    PERFORM upc.require_symbol(symbol);
    INSERT INTO upc_data.observed_event AS e (
        symbol, backtest_id, event_ticker, series, closes_at, value, markets, read_at
    )
    SELECT
        store_events.symbol, store_events.backtest_id, r.event, min(r.series), max(r.closes_at),
        max(r.value), max(r.markets), clock_timestamp()
    FROM jsonb_to_recordset(events) AS r (
        series text, event text, closes_at timestamptz, value numeric, markets integer
    )
    GROUP BY r.event
    ON CONFLICT ON CONSTRAINT observed_event_symbol_backtest_id_event_ticker_pkey
        DO UPDATE SET
            closes_at = excluded.closes_at,
            value = coalesce(excluded.value, e.value),
            markets = coalesce(excluded.markets, e.markets),
            read_at = excluded.read_at;
END
$fn$;
COMMENT ON FUNCTION upc.store_events IS
    'stores past events of a symbol with what they settled on';

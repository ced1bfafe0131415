-- Documents for readers, of the last tick: the answers of `pyupc serve` about now, as JSON texts.

-- Documents of the last tick, of a symbol or of all that have been ticked.
--
-- symbols: of these alone, whether they are registered or not. documents: these alone, by their names, and
-- NULL for the others; NULL: all.
-- Returns a row per symbol. age_seconds: age of the tick; state: that of its age alone, fresh, warn,
-- stale or halted. price_age_seconds: age of the price at the tick. interval_seconds: time from one
-- tick to the next, NULL where it is not known. The documents are as the tick left them, however old
-- they are.
--
-- Errors: UP002 symbol.
--
-- Example:
--   SELECT count(*) = 0 FROM latest_documents('ETH') WHERE age_seconds < 0;
CREATE FUNCTION upc.latest_documents(
    symbol text DEFAULT NULL,
    at timestamptz DEFAULT clock_timestamp(),
    symbols text[] DEFAULT NULL,
    documents text[] DEFAULT NULL
)
RETURNS TABLE (
    ticked_symbol text,
    tick_id bigint,
    ticked_at timestamptz,
    age_seconds double precision,
    price_age_seconds double precision,
    interval_seconds double precision,
    state text,
    live_probabilities text,
    strike_table text,
    watchlist text,
    active_trades text,
    contracts text
)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 2
AS $fn$
DECLARE
    v_wanted text[] := coalesce(
        documents, '{live_probabilities,strike_table,watchlist,active_trades,contracts}'
    );
BEGIN
    IF symbol IS NOT NULL THEN
        PERFORM upc.require_symbol(symbol);
    END IF;
    RETURN QUERY
    SELECT
        d.symbol,
        d.tick_id,
        t.ticked_at,
        a.age,
        extract(epoch FROM t.market_at - t.priced_at)::double precision,
        extract(epoch FROM coalesce(l.every, k.every))::double precision,
        upc.freshness(make_interval(secs => a.age)),
        CASE WHEN 'live_probabilities' = ANY (v_wanted) THEN d.live_probabilities::text END,
        CASE WHEN 'strike_table' = ANY (v_wanted) THEN d.strike_table::text END,
        CASE WHEN 'watchlist' = ANY (v_wanted) THEN d.watchlist::text END,
        CASE WHEN 'active_trades' = ANY (v_wanted) THEN d.active_trades::text END,
        CASE WHEN 'contracts' = ANY (v_wanted) THEN d.contracts END
    FROM upc_data.document AS d
    JOIN upc_data.tick AS t ON t.symbol = d.symbol AND t.tick_id = d.tick_id
    -- On a clock that has been put back the tick is no less old for being ahead.
    CROSS JOIN LATERAL (
        SELECT abs(extract(epoch FROM latest_documents.at - t.ticked_at))::double precision AS age
    ) AS a
    LEFT JOIN upc_data.tick_lease AS l ON l.symbol = d.symbol
    LEFT JOIN upc_data.tick_count AS k ON k.symbol = d.symbol
    WHERE (latest_documents.symbol IS NULL OR d.symbol = latest_documents.symbol)
      AND (symbols IS NULL OR d.symbol = ANY (symbols))
    ORDER BY d.symbol;
END
$fn$;
COMMENT ON FUNCTION upc.latest_documents IS
    'the documents of the last tick of each symbol as JSON texts, with their age in seconds and the state that follows from it';


-- Documents of those symbols whose newest tick is another one than the caller has.
--
-- tick_ids: number of the tick that the caller has of each of the symbols, 0 for none.
-- Returns a row for each that has changed, as latest_documents does; state is that of the tick; limits
-- are the seconds up to which it is fresh, warn and stale.
--
-- Example:
--   SELECT count(*) = 1 FROM changed_documents('{BTC}', '{0}');
CREATE FUNCTION upc.changed_documents(symbols text[], tick_ids bigint[])
RETURNS TABLE (
    ticked_symbol text,
    tick_id bigint,
    state text,
    valid_until text,
    age_seconds double precision,
    limits double precision[],
    live_probabilities text,
    strike_table text,
    watchlist text,
    active_trades text,
    contracts text
)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 2
AS $fn$
BEGIN
    RETURN QUERY
    SELECT
        d.symbol,
        d.tick_id,
        t.state,
        d.strike_table ->> 'valid_until',
        -- On a clock that has been put back the tick is no less old for being ahead.
        abs(extract(epoch FROM clock_timestamp() - t.ticked_at))::double precision,
        upc._state_limits(),
        d.live_probabilities::text,
        d.strike_table::text,
        d.watchlist::text,
        d.active_trades::text,
        d.contracts
    FROM unnest(symbols, tick_ids) AS k (symbol, tick_id)
    JOIN upc_data.document AS d ON d.symbol = k.symbol AND d.tick_id <> k.tick_id
    JOIN upc_data.tick AS t ON t.symbol = d.symbol AND t.tick_id = d.tick_id
    ORDER BY d.symbol;
END
$fn$;
COMMENT ON FUNCTION upc.changed_documents IS
    'the newest documents of the symbols whose tick is not the caller''s, as JSON texts';


-- Last tick of a symbol, as of `at`, as price, momentum and time to the close are shown.
--
-- state: the worse one of the tick's and of what its age makes of it. price and momentum are NULL
-- where is_shown is false, from halted on. shown_at: the instant on the clock of the market, which a
-- replay has of its own.
-- Errors: UP002 symbol, UP023 nothing has ticked it.
CREATE FUNCTION upc._last_tick(
    symbol text,
    at timestamptz,
    OUT tick_id bigint,
    OUT feed text,
    OUT price double precision,
    OUT priced_at timestamptz,
    OUT momentum double precision,
    OUT fingerprint text,
    OUT event_ticker text,
    OUT closes_at timestamptz,
    OUT state text,
    OUT is_shown boolean,
    OUT shown_at timestamptz,
    OUT valid_until text
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_tick upc_data.tick;
    v_age interval;
BEGIN
    PERFORM upc.require_symbol(symbol);
    SELECT t.*
    INTO v_tick
    FROM upc_data.document AS d
    JOIN upc_data.tick AS t ON t.symbol = d.symbol AND t.tick_id = d.tick_id
    WHERE d.symbol = _last_tick.symbol;
    IF v_tick.tick_id IS NULL THEN
        RAISE EXCEPTION 'nothing has ticked % yet', symbol
            USING
                ERRCODE = 'UP023',
                DETAIL = 'Prices and probabilities are those of the last tick.',
                HINT = format('pyupc tick --symbol %s', symbol);
    END IF;
    v_age := at - v_tick.ticked_at;
    tick_id := v_tick.tick_id;
    feed := v_tick.feed;
    priced_at := v_tick.priced_at;
    fingerprint := v_tick.fingerprint;
    event_ticker := v_tick.event_ticker;
    closes_at := v_tick.closes_at;
    -- On a clock that has been put back the tick is no less old for being ahead.
    state := upc._worse_state(v_tick.state, upc.freshness(greatest(v_age, -v_age)));
    is_shown := upc._is_shown('reading', state);
    IF is_shown THEN
        price := v_tick.price;
        momentum := v_tick.momentum;
    END IF;
    shown_at := v_tick.market_at + v_age;
    valid_until := upc.valid_until(v_tick.ticked_at);
END
$fn$;
COMMENT ON FUNCTION upc._last_tick IS
    'the last tick of a symbol, the state that follows from it and its age, and the instant of the market that is shown now';


-- Price of a symbol as JSON: null from halted on.
--
-- age_seconds: of the price, not of the tick.
-- Errors: UP002 symbol, UP023 nothing has ticked it.
--
-- Example:
--   SELECT price_document('BTC');
CREATE FUNCTION upc.price_document(symbol text, at timestamptz DEFAULT clock_timestamp())
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT json_build_object(
        'symbol', price_document.symbol,
        'price', t.price,
        'age_seconds',
        round(extract(epoch FROM t.shown_at - t.priced_at), 3),
        'priced_at', upc._iso_utc(t.priced_at),
        'state', t.state,
        'feed', t.feed,
        'market_at', upc._iso_utc(t.shown_at),
        'tick_id', t.tick_id,
        'valid_until', t.valid_until,
        'timestamp', upc._iso_utc(price_document.at)
    )::text
    FROM upc._last_tick(price_document.symbol, price_document.at) AS t;
END;
COMMENT ON FUNCTION upc.price_document IS
    'the price of a symbol''s last tick as JSON, USD; null from halted on';


-- Time to the close as JSON: whole seconds, which go on counting down between ticks and without
-- them; never below 0.
--
-- Errors: UP002 symbol, UP023 nothing has ticked it.
--
-- Example:
--   SELECT ttc_document('BTC');
CREATE FUNCTION upc.ttc_document(symbol text, at timestamptz DEFAULT clock_timestamp())
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT json_build_object(
        'symbol', ttc_document.symbol,
        'ttc_seconds',
        CASE
            WHEN t.closes_at IS NOT NULL
            THEN greatest(0, floor(extract(epoch FROM t.closes_at - t.shown_at))::bigint)
        END,
        'closes_at', upc._iso_utc(t.closes_at),
        'event_ticker', t.event_ticker,
        'market_title', e.title,
        'market_status', upc._event_status(
            e.status, upc._is_exchange_paused(e.exchange_index, t.shown_at)
        ),
        'state', t.state,
        'feed', t.feed,
        'market_at', upc._iso_utc(t.shown_at),
        'tick_id', t.tick_id,
        'valid_until', t.valid_until,
        'timestamp', upc._iso_utc(ttc_document.at)
    )::text
    FROM upc._last_tick(ttc_document.symbol, ttc_document.at) AS t
    LEFT JOIN upc_data.market_event AS e
        ON e.symbol = ttc_document.symbol AND e.event_ticker = t.event_ticker;
END;
COMMENT ON FUNCTION upc.ttc_document IS
    'the time to the close of a symbol''s contracts as JSON: whole seconds, as of now';


-- Momentum as JSON, with its six deltas; null where it is not known, and from halted on.
--
-- momentum_bps in basis points; weighted_score and deltas in percent, as in the strike table.
-- Errors: UP002 symbol, UP023 nothing has ticked it.
--
-- Example:
--   SELECT momentum_document('BTC');
CREATE FUNCTION upc.momentum_document(symbol text, at timestamptz DEFAULT clock_timestamp())
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT json_build_object(
        'symbol', momentum_document.symbol,
        'momentum_bps', t.momentum,
        'weighted_score', t.momentum / 100,
        'deltas', CASE WHEN t.is_shown THEN d.strike_table #> '{momentum,deltas}' END,
        'fingerprint', t.fingerprint,
        'state', t.state,
        'feed', t.feed,
        'market_at', upc._iso_utc(t.shown_at),
        'tick_id', t.tick_id,
        'valid_until', t.valid_until,
        'timestamp', upc._iso_utc(momentum_document.at)
    )::text
    FROM upc._last_tick(momentum_document.symbol, momentum_document.at) AS t
    JOIN upc_data.document AS d ON d.symbol = momentum_document.symbol;
END;
COMMENT ON FUNCTION upc.momentum_document IS
    'momentum of a symbol''s last tick and its six deltas as JSON; null where it is not known, and from halted on';


-- Registered symbols as JSON, each with its last tick if there is one.
--
-- Example:
--   SELECT symbols_document();
CREATE FUNCTION upc.symbols_document(at timestamptz DEFAULT clock_timestamp())
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT json_build_object('symbols', coalesce(json_agg(r ORDER BY r.symbol), '[]'))::text
    FROM (
        SELECT
            s.symbol,
            s.strike_step,
            t.tick_id,
            t.age_seconds,
            CASE
                WHEN t.tick_id IS NOT NULL THEN upc._worse_state(
                    t.state, upc.freshness(make_interval(secs => t.age_seconds))
                )
            END AS state,
            t.feed,
            t.valid_until
        FROM upc_data.symbol AS s
        LEFT JOIN (
            SELECT
                k.symbol,
                k.tick_id,
                k.state,
                k.feed,
                abs(extract(epoch FROM symbols_document.at - k.ticked_at))::double precision
                    AS age_seconds,
                upc.valid_until(k.ticked_at) AS valid_until
            FROM upc_data.document AS d
            JOIN upc_data.tick AS k ON k.symbol = d.symbol AND k.tick_id = d.tick_id
        ) AS t USING (symbol)
    ) AS r;
END;
COMMENT ON FUNCTION upc.symbols_document IS
    'the registered symbols as JSON, each with number, age and state of its last tick';

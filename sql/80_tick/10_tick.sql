-- The tick: one call a second and symbol that does everything and returns what is to be published.

CREATE FUNCTION upc._keep_documents(
    symbol text,
    tick_id bigint,
    live_probabilities json,
    strike_table json,
    watchlist json,
    active_trades json
)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    INSERT INTO upc_data.document AS d
        (symbol, tick_id, live_probabilities, strike_table, watchlist, active_trades)
    VALUES (
        _keep_documents.symbol, _keep_documents.tick_id, _keep_documents.live_probabilities,
        _keep_documents.strike_table, _keep_documents.watchlist, _keep_documents.active_trades
    )
    ON CONFLICT ON CONSTRAINT document_symbol_pkey
        DO UPDATE SET
            tick_id = excluded.tick_id,
            live_probabilities = excluded.live_probabilities,
            strike_table = excluded.strike_table,
            watchlist = excluded.watchlist,
            active_trades = excluded.active_trades;
    -- The names only: a payload holds no more than 8,000 bytes.
    PERFORM pg_notify('upc_tick', json_build_object('symbol', symbol, 'tick_id', tick_id)::text);
END
$fn$;
COMMENT ON FUNCTION upc._keep_documents IS
    'keeps the documents of a symbol''s newest tick and notifies upc_tick';


-- One tick of a symbol: takes its price from a feed, computes momentum and strikes, logs the tick,
-- keeps the documents and notifies upc_tick.
--
-- feed: replay (stored candles), simulated, database (the price log), or the exchange whose prices
-- in the log are to be taken. at: the clock. holder: who ticks, in words; the right to tick is
-- taken or renewed for `lease`. Without a holder the tick only makes sure that no one else has it.
-- replay_from, elapsed: the stored instant at which a replay began, and how much of it has been
-- shown since; NULL begins at replay_start. seed: of the simulated feed. step, levels, method,
-- model, settlement: as in compute_strikes, NULL as in complete_question; where volatility cannot be
-- forecast the model momentum answers, where the last minute has not been seen the close is taken to
-- settle, and the documents show it. min_probability, min_differential: what the watchlist asks for, in percent;
-- NULL takes the rules min_probability (95) and min_differential (0). every: how far apart
-- ticks are due, and since_last how long ago the holder ticked last, by a clock that does not jump: for
-- the count of those that were missed.
-- Returns one row: what was logged, the four documents as JSON texts, what was announced as a JSON
-- array, NULL where nothing was, the model and settlement that answered, until when the documents
-- are what they say, the limits of freshness that were in force, and the model and settlement that
-- were asked for.
-- Errors: UP002 symbol, UP009 another process ticks, UP010 feed, UP011 no price; those of
-- compute_strikes; 22023 for a setting that makes no sense.
--
-- Example:
--   SELECT state, ttc_seconds, fingerprint FROM tick('BTC', 'simulated');
CREATE FUNCTION upc.tick(
    symbol text,
    feed text DEFAULT 'replay',
    at timestamptz DEFAULT clock_timestamp(),
    holder text DEFAULT NULL,
    lease interval DEFAULT '5 seconds',
    replay_from timestamptz DEFAULT NULL,
    elapsed interval DEFAULT '0',
    seed integer DEFAULT 1,
    step double precision DEFAULT NULL,
    levels integer DEFAULT 10,
    method text DEFAULT 'nearest',
    min_probability double precision DEFAULT NULL,
    min_differential double precision DEFAULT NULL,
    every interval DEFAULT '1 second',
    since_last interval DEFAULT NULL,
    model text DEFAULT 'momentum',
    settlement text DEFAULT 'close'
)
RETURNS TABLE (
    tick_id bigint,
    state text,
    market_at timestamptz,
    price double precision,
    momentum double precision,
    ttc_seconds integer,
    fingerprint text,
    live_probabilities text,
    strike_table text,
    watchlist text,
    active_trades text,
    announced text,
    used_model text,
    used_settlement text,
    valid_until text,
    limits double precision[],
    asked_model text,
    asked_settlement text
)
LANGUAGE plpgsql VOLATILE ROWS 1
AS $fn$
DECLARE
    v_is_live boolean := feed NOT IN ('replay', 'simulated');
    v_seen record;
    v_event upc._event;
    v_quote_state text;
    v_asked upc._tick_question;
    v_question upc._question;
    v_has_edge boolean;
    v_strikes record;
    v_count upc_data.tick_count;
    v_active json[] := '{}'::json[];
    v_announced json[] := '{}'::json[];
    v_tick upc_data.tick;
    v_live json;
    v_tables json[];
    v_trades json;
BEGIN
    PERFORM upc._cache_rules();
    PERFORM upc._hold_lease(symbol, holder, lease, feed, every);

    v_seen := upc._feed_price(symbol, feed, at, replay_from, elapsed, seed);
    market_at := v_seen.market_at;
    price := v_seen.price;
    momentum := v_seen.momentum;
    state := v_seen.state;
    -- Prices that are not today's have nothing to do with today's markets.
    IF v_is_live THEN
        v_event := upc.current_event(symbol, market_at);
    END IF;
    v_quote_state := CASE
        WHEN v_event.event_ticker IS NOT NULL THEN upc.freshness(market_at - v_event.read_at)
    END;
    limits := upc._state_limits();
    -- The formula of upc.valid_until; a setting is read once.
    valid_until := upc._iso_utc(at + make_interval(secs => limits[1]));

    v_asked := upc._ask_of_tick(
        upc._make_question(
            price, momentum, symbol, step => tick.step, levels => tick.levels,
            method => tick.method, model => tick.model, settlement => tick.settlement,
            at => tick.market_at
        ),
        v_event, feed, seed
    );
    v_question := v_asked.question;
    ttc_seconds := v_question.ttc_seconds;
    used_model := v_question.model;
    used_settlement := v_question.settlement;
    asked_model := v_asked.asked_model;
    asked_settlement := v_asked.asked_settlement;
    v_strikes := upc._strike_documents(
        v_question,
        v_event,
        state,
        coalesce(min_probability, upc.setting('min_probability')::double precision),
        coalesce(min_differential, upc.setting('min_differential')::double precision)
    );
    fingerprint := v_strikes.fingerprint;

    -- Made-up prices, and those of another day, have nothing to do with a trade.
    IF v_is_live THEN
        v_count := upc._count_tick(symbol, at, every, state <> 'halted', since_last);
        v_question.settlement := asked_settlement;
        SELECT s.active, s.announced
        INTO v_active, v_announced
        FROM upc._supervise(
            v_question,
            state,
            (v_event.event_ticker, v_asked.closes_at, v_strikes.strikes, v_strikes.prob_above),
            v_count.previous_at
        ) AS s;
        v_announced := v_announced || upc._note_conditions(
            symbol, market_at, state, market_at - v_seen.priced_at, v_quote_state,
            market_at - v_event.read_at
        );
    END IF;
    announced := CASE
        WHEN cardinality(v_announced) > 0 THEN array_to_json(v_announced)
    END;

    v_has_edge := upc._is_shown('difference', state) AND upc._is_shown('difference', v_quote_state)
        AND NOT upc._is_unseen(ttc_seconds, used_settlement);
    tick_id := upc._next_id(symbol, 'tick');
    INSERT INTO upc_data.tick AS t (
        symbol, tick_id, ticked_at, feed, state, market_at, price, priced_at, momentum, ttc_seconds,
        method, fingerprint, strikes, prob_above, event_ticker, done_count, missed_count,
        answered_count, closes_at, yes_ask, no_ask, model, settlement, volatility
    )
    VALUES (
        tick.symbol, tick.tick_id, at, tick.feed, tick.state, tick.market_at, tick.price,
        v_seen.priced_at, tick.momentum, tick.ttc_seconds, v_question.method, tick.fingerprint,
        v_strikes.strikes, v_strikes.prob_above, v_event.event_ticker, v_count.done, v_count.missed,
        v_count.answered, v_asked.closes_at,
        -- Without an edge, as in strike_table, no ask is one to judge by.
        CASE WHEN v_has_edge THEN v_strikes.yes_ask END,
        CASE WHEN v_has_edge THEN v_strikes.no_ask END,
        used_model, used_settlement, v_asked.volatility
    )
    RETURNING t.* INTO v_tick;

    v_live := upc._live_document(v_tick, v_question.step, valid_until, v_strikes.probabilities);
    v_trades := upc._trades_document(v_tick, v_quote_state, valid_until, v_active);
    v_tables := upc._table_documents(
        v_tick, v_event, v_quote_state, v_question.step, valid_until,
        json_build_object(
            'delta_1m', v_seen.delta_1m,
            'delta_2m', v_seen.delta_2m,
            'delta_3m', v_seen.delta_3m,
            'delta_4m', v_seen.delta_4m,
            'delta_15m', v_seen.delta_15m,
            'delta_30m', v_seen.delta_30m
        ),
        v_strikes.edge_reason, v_strikes.strike_rows, v_strikes.watched_rows
    );
    PERFORM upc._keep_documents(symbol, tick_id, v_live, v_tables[1], v_tables[2], v_trades);
    live_probabilities := v_live;
    strike_table := v_tables[1];
    watchlist := v_tables[2];
    active_trades := v_trades;
    PERFORM set_config('upc.cached_rules', '', true);
    RETURN NEXT;
END
$fn$;
COMMENT ON FUNCTION upc.tick IS
    'one tick of a symbol: price, momentum, strikes, trades, tick log, documents and notifications; returns the documents as JSON texts';

-- The tick: one call a second and symbol that does everything and returns what is to be published.

-- One tick of a symbol: takes its price from a feed, computes momentum and strikes, logs the tick,
-- keeps the documents and notifies upc_tick.
--
-- feed: replay (stored candles), simulated, database (the price log), or the exchange whose prices
-- in the log are to be taken. at: the clock. holder: who ticks, in words; the right to tick is
-- taken or renewed for `lease`. Without a holder the tick only makes sure that no one else has it.
-- replay_from, elapsed: the stored instant at which a replay began, and how much of it has been
-- shown since; NULL begins at replay_start. seed: of the simulated feed. step, levels, method,
-- model, settlement: as in compute_strikes, NULL as in question_defaults; where volatility cannot be forecast the model momentum
-- answers, where the last minute has not been seen the close is taken to settle, and the documents
-- say so. min_probability, min_differential: what the watchlist asks for, in percent;
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
    v_seen record;
    v_event record;
    v_quote_state text;
    v_has_edge boolean;
    v_closes_at timestamptz;
    v_variances double precision[];
    v_volatility double precision;
    v_observed double precision;
    v_tier double precision;
    v_strikes record;
    v_is_live boolean := feed NOT IN ('replay', 'simulated');
    v_count upc_data.tick_count;
    v_trades record;
    v_announced json[] := '{}'::json[];
    -- As json, so that storing them does not parse them again.
    v_live json;
    v_tables json[];
    v_active json;
BEGIN
    PERFORM upc._cache_rules();

    IF holder IS NOT NULL THEN
        PERFORM upc._renew_lease(symbol, holder, lease, feed, every);
    ELSIF EXISTS (
        SELECT FROM upc_data.tick_lease AS l
        WHERE l.symbol = tick.symbol AND l.expires_at > clock_timestamp()
    ) THEN
        PERFORM upc._renew_lease(
            symbol, format('session %s', pg_backend_pid()), lease, feed, every
        );
    END IF;

    SELECT f.*
    INTO v_seen
    FROM upc._feed_price(symbol, feed, at, replay_from, elapsed, seed) AS f;
    market_at := v_seen.market_at;
    price := v_seen.price;
    momentum := v_seen.momentum;
    state := CASE
        WHEN v_is_live
        THEN upc._logged_state(
            symbol, feed, market_at, v_seen.priced_at, v_seen.same_since, v_seen.newest_at
        )
        ELSE upc._price_state(market_at - v_seen.priced_at, market_at - v_seen.same_since)
    END;

    -- Prices that are not today's have nothing to do with today's markets.
    SELECT e.*
    INTO v_event
    FROM upc.current_event(symbol, market_at) AS e
    WHERE v_is_live;
    v_quote_state := CASE
        WHEN v_event.event_ticker IS NOT NULL THEN upc.freshness(market_at - v_event.read_at)
    END;
    limits := upc._state_limits();
    -- As upc.valid_until has it; a setting is asked for once.
    valid_until := upc._iso_utc(at + make_interval(secs => limits[1]));
    ttc_seconds := coalesce(
        floor(extract(epoch FROM v_event.closes_at - market_at))::integer,
        upc._seconds_to_hour(market_at)
    );
    v_closes_at := coalesce(v_event.closes_at, upc._next_hour(market_at));

    IF model IS NULL OR method IS NULL OR settlement IS NULL THEN
        SELECT d.model, d.method, d.settlement
        INTO model, method, settlement
        FROM upc._question_defaults(symbol, model, method, settlement) AS d;
    END IF;
    asked_model := model;
    asked_settlement := settlement;
    used_model := model;
    used_settlement := settlement;
    -- Made-up prices have no candles: the stored ones stand in for them.
    v_variances := upc._cached_forecast(symbol, CASE WHEN feed <> 'simulated' THEN market_at END);
    v_volatility := 100 * sqrt(upc.variance_until(v_variances, ttc_seconds));
    IF model = 'volatility' AND (
        v_volatility IS NULL
        OR NOT upc._has_volatility_curves(symbol)
    ) THEN
        used_model := 'momentum';
    END IF;
    IF used_model <> 'volatility' THEN
        -- Others have no use for it.
        v_variances := NULL;
    END IF;
    IF settlement = 'average' AND ttc_seconds < 60 THEN
        v_observed := upc._feed_average(
            symbol, feed, v_closes_at - interval '1 minute', market_at, seed
        );
        IF v_observed IS NULL THEN
            used_settlement := 'close';
        END IF;
    END IF;

    SELECT coalesce(step, v_event.step, s.strike_step)
    INTO v_tier
    FROM upc_data.symbol AS s
    WHERE s.symbol = tick.symbol;

    SELECT d.* INTO v_strikes
    FROM upc._strike_documents(
        price, momentum, symbol, market_at, ttc_seconds, v_tier, levels, method, state,
        v_event.event_ticker IS NOT NULL,
        coalesce(min_probability, upc.setting('min_probability')::double precision),
        coalesce(min_differential, upc.setting('min_differential')::double precision),
        used_model, used_settlement, v_observed, v_variances
    ) AS d;
    fingerprint := v_strikes.fingerprint;
    v_has_edge := upc._is_shown('difference', state) AND upc._is_shown('difference', v_quote_state)
        AND NOT upc._is_unseen(ttc_seconds, used_settlement);

    IF v_is_live THEN
        v_count := upc._count_tick(symbol, at, every, state <> 'halted', since_last);
        SELECT s.*
        INTO v_trades
        FROM upc._supervise(
            symbol, market_at, v_count.previous_at, price, momentum, state, method,
            v_strikes.strikes, v_strikes.prob_above, v_event.event_ticker, used_model,
            settlement, v_variances, v_observed, v_closes_at
        ) AS s;
        v_announced := v_trades.announced || upc._note_conditions(
            symbol, market_at, state, market_at - v_seen.priced_at, v_quote_state,
            market_at - v_event.read_at
        );
    ELSE
        -- Made-up prices, and those of another day, say nothing about a trade.
        SELECT '{}'::json[] AS active INTO v_trades;
    END IF;
    announced := CASE
        WHEN cardinality(v_announced) > 0 THEN array_to_json(v_announced)
    END;
    INSERT INTO upc_data.tick AS t (
        symbol, ticked_at, feed, state, market_at, price, priced_at, momentum, ttc_seconds,
        method, fingerprint, strikes, prob_above, event_ticker, done_count, missed_count,
        answered_count, closes_at, yes_ask, no_ask, model, settlement, volatility
    )
    VALUES (
        tick.symbol, at, tick.feed, tick.state, tick.market_at, tick.price, v_seen.priced_at,
        tick.momentum, tick.ttc_seconds, tick.method, tick.fingerprint, v_strikes.strikes,
        v_strikes.prob_above, v_event.event_ticker, v_count.done, v_count.missed,
        v_count.answered, v_closes_at,
        -- Where no edge may be told, as in strike_table, no ask is one to judge by.
        CASE WHEN v_has_edge THEN v_strikes.yes_ask END,
        CASE WHEN v_has_edge THEN v_strikes.no_ask END,
        used_model, used_settlement, v_volatility
    )
    RETURNING t.tick_id INTO tick_id;

    v_live := json_build_object(
        'timestamp', upc._iso_utc(at),
        'current_price', price,
        'base_strike', round(price / v_tier) * v_tier,
        'ttc_seconds', ttc_seconds,
        'momentum_score', momentum / 100,
        'strikes', v_strikes.strikes,
        'probabilities', v_strikes.probabilities,
        'fingerprint_csv', fingerprint || '.csv',
        'symbol', symbol,
        'momentum_bps', momentum,
        'fingerprint', fingerprint,
        'method', method,
        'model', used_model,
        'settlement', used_settlement,
        'volatility', v_volatility,
        'state', state,
        'feed', feed,
        'market_at', upc._iso_utc(market_at),
        'valid_until', valid_until,
        'tick_id', tick_id
    );

    v_active := json_build_object(
        'symbol', symbol,
        'timestamp', upc._iso_utc(at),
        'active_trades', array_to_json(v_trades.active),
        'count', cardinality(v_trades.active),
        'current_price', price,
        'state', state,
        'quote_state', v_quote_state,
        'feed', feed,
        'market_at', upc._iso_utc(market_at),
        'valid_until', valid_until,
        'tick_id', tick_id
    );

    -- The watchlist has the strike table's header.
    SELECT array_agg(
        json_build_object(
            'symbol', symbol,
            'current_price', price,
            'ttc', ttc_seconds,
            'broker', 'Kalshi',
            'event_ticker', v_event.event_ticker,
            'market_title', v_event.title,
            'strike_tier', v_tier,
            'market_status', v_event.status,
            'last_updated', upc._iso_utc(at),
            'strikes', r.strikes,
            'momentum', json_build_object(
                'weighted_score', momentum / 100,
                'deltas', json_build_object(
                    'delta_1m', v_seen.delta_1m,
                    'delta_2m', v_seen.delta_2m,
                    'delta_3m', v_seen.delta_3m,
                    'delta_4m', v_seen.delta_4m,
                    'delta_15m', v_seen.delta_15m,
                    'delta_30m', v_seen.delta_30m
                )
            ),
            'fingerprint', fingerprint,
            'state', state,
            'quote_state', v_quote_state,
            'quotes_read_at', upc._iso_utc(v_event.read_at),
            'feed', feed,
            'market_at', upc._iso_utc(market_at),
            'valid_until', valid_until,
            'tick_id', tick_id,
            'edge_reason', v_strikes.edge_reason
        )
        ORDER BY r.place
    )
    INTO v_tables
    FROM (VALUES (1, v_strikes.strike_rows), (2, v_strikes.watched_rows)) AS r (place, strikes);
    live_probabilities := v_live;
    strike_table := v_tables[1];
    watchlist := v_tables[2];
    active_trades := v_active;

    INSERT INTO upc_data.document AS d
        (symbol, tick_id, live_probabilities, strike_table, watchlist, active_trades)
    VALUES (
        tick.symbol, tick.tick_id, v_live, v_tables[1], v_tables[2], v_active
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
    PERFORM set_config('upc.cached_rules', '', true);
    RETURN NEXT;
END
$fn$;
COMMENT ON FUNCTION upc.tick IS
    'one tick of a symbol: price, momentum, strikes, trades, tick log, documents and notifications; returns the documents as JSON texts';

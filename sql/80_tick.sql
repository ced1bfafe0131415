-- The tick: one call a second and symbol that does everything and returns what is to be published.

CREATE FUNCTION upc.renew_lease(symbol text, holder text, lease interval)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_held upc_data.tick_lease;
BEGIN
    INSERT INTO upc_data.tick_lease AS l (symbol, holder, taken_at, expires_at)
    VALUES (renew_lease.symbol, renew_lease.holder, v_now, v_now + lease)
    ON CONFLICT ON CONSTRAINT tick_lease_symbol_pkey
        DO UPDATE SET
            holder = excluded.holder,
            taken_at = CASE
                WHEN l.holder = excluded.holder THEN l.taken_at ELSE excluded.taken_at
            END,
            expires_at = excluded.expires_at
        WHERE l.holder = excluded.holder OR l.expires_at <= v_now;
    IF FOUND THEN
        RETURN;
    END IF;

    SELECT l.* INTO v_held FROM upc_data.tick_lease AS l WHERE l.symbol = renew_lease.symbol;
    RAISE EXCEPTION '% is ticked by %', symbol, v_held.holder
        USING
            ERRCODE = 'UP009',
            DETAIL = format('It has been ticking since %s.', date_trunc('second', v_held.taken_at)),
            HINT = 'Stop it first; the right to tick ends a few seconds after its last tick.';
END
$fn$;
COMMENT ON FUNCTION upc.renew_lease IS
    'takes or renews the right to tick a symbol; raises UP009 while another holder has it';


CREATE FUNCTION upc.release_lease(symbol text, holder text)
RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    DELETE FROM upc_data.tick_lease AS l
    WHERE l.symbol = release_lease.symbol AND l.holder = release_lease.holder;
END;
COMMENT ON FUNCTION upc.release_lease IS
    'gives the right to tick a symbol back, if the holder has it';


CREATE FUNCTION upc.two_decimals(value double precision)
RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN round(two_decimals.value::numeric, 2);
COMMENT ON FUNCTION upc.two_decimals IS
    'a number as it stands in the JSON documents: two decimals';


CREATE FUNCTION upc.iso_utc(at timestamptz)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN to_char(iso_utc.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"');
COMMENT ON FUNCTION upc.iso_utc IS
    'an instant as it stands in the JSON documents: ISO 8601, UTC, microseconds';


-- One tick of a symbol: takes its price from a feed, computes momentum and strikes, logs the tick,
-- keeps the documents and notifies upc_tick.
--
-- at: the clock. holder: who ticks, in words; the right to tick is taken or renewed for `lease`.
-- Without a holder the tick only makes sure that no one else has it. replay_from, elapsed: the
-- stored instant at which a replay began, and how much of it has been shown since; NULL begins at
-- replay_start. seed: of the simulated feed. step, levels, method: as in compute_strikes.
-- Returns one row: what was logged, and the three documents as JSON texts.
-- Errors: UP002 symbol, UP009 another process ticks, UP010 feed, UP011 no price; those of
-- compute_strikes.
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
    method text DEFAULT 'nearest'
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
    watchlist text
)
LANGUAGE plpgsql VOLATILE ROWS 1
AS $fn$
DECLARE
    v_priced_at timestamptz;
    v_momentum record;
    v_tier double precision;
    v_strikes double precision[];
    v_prob_above double precision[];
    v_probabilities json;
    v_rows json;
BEGIN
    IF holder IS NOT NULL THEN
        PERFORM upc.renew_lease(symbol, holder, lease);
    ELSIF EXISTS (
        SELECT FROM upc_data.tick_lease AS l
        WHERE l.symbol = tick.symbol AND l.expires_at > clock_timestamp()
    ) THEN
        PERFORM upc.renew_lease(symbol, format('session %s', pg_backend_pid()), lease);
    END IF;

    IF feed = 'replay' THEN
        market_at := upc.replay_instant(
            symbol, coalesce(replay_from, upc.replay_start(symbol, at)), elapsed
        );
        SELECT p.price, p.priced_at
        INTO price, v_priced_at
        FROM upc.replay_price(symbol, market_at) AS p;
        IF price IS NULL THEN
            PERFORM upc.refuse_feed(symbol, feed);
        END IF;
        SELECT m.* INTO v_momentum FROM upc.momentum(symbol, market_at, price) AS m;
    ELSIF feed = 'simulated' THEN
        market_at := at;
        v_priced_at := at;
        price := upc.simulated_price(symbol, at, seed);
        SELECT m.* INTO v_momentum FROM upc.simulated_momentum(symbol, at, price, seed) AS m;
    ELSE
        PERFORM upc.refuse_feed(symbol, feed);
    END IF;

    state := upc.freshness(market_at - v_priced_at);
    momentum := v_momentum.momentum;
    ttc_seconds := upc.seconds_to_hour(market_at);

    SELECT coalesce(step, s.strike_step)
    INTO v_tier
    FROM upc_data.symbol AS s
    WHERE s.symbol = tick.symbol;

    WITH answer AS MATERIALIZED (
        SELECT
            c.strike,
            c.fingerprint,
            c.direction,
            a.is_known,
            upc.two_decimals(c.buffer) AS buffer,
            upc.two_decimals(c.buffer / v_tier) AS buffer_pct,
            upc.two_decimals(c.move_percent) AS move_percent,
            upc.two_decimals(CASE WHEN a.is_known THEN c.prob_beyond END) AS prob_beyond,
            upc.two_decimals(CASE WHEN a.is_known THEN c.positive_prob END) AS positive_prob,
            upc.two_decimals(CASE WHEN a.is_known THEN c.negative_prob END) AS negative_prob,
            c.prob_above
        FROM upc.compute_strikes(price, momentum, symbol, ttc_seconds, step, levels, method) AS c
        CROSS JOIN (SELECT state <> 'halted') AS a (is_known)
    )
    SELECT
        min(a.fingerprint),
        array_agg(a.strike ORDER BY a.strike),
        array_agg(a.prob_above ORDER BY a.strike) FILTER (WHERE a.is_known),
        json_agg(
            json_build_object(
                'strike', a.strike,
                'buffer', a.buffer,
                'move_percent', a.move_percent,
                'prob_beyond', a.prob_beyond,
                'prob_within', 100 - a.prob_beyond,
                'direction', a.direction,
                'positive_prob', a.positive_prob,
                'negative_prob', a.negative_prob
            )
            ORDER BY a.strike
        ),
        json_agg(
            json_build_object(
                'strike', a.strike,
                'buffer', a.buffer,
                'buffer_pct', a.buffer_pct,
                'probability', 100 - a.prob_beyond,
                'yes_ask', NULL,
                'no_ask', NULL,
                'yes_diff', NULL,
                'no_diff', NULL,
                'volume', NULL,
                'ticker', NULL,
                'active_side', CASE a.direction WHEN 'above' THEN 'no' ELSE 'yes' END
            )
            ORDER BY abs(a.strike - price), a.strike
        )
    INTO fingerprint, v_strikes, v_prob_above, v_probabilities, v_rows
    FROM answer AS a;

    live_probabilities := json_build_object(
        'timestamp', upc.iso_utc(at),
        'current_price', price,
        'base_strike', round(price / v_tier) * v_tier,
        'ttc_seconds', ttc_seconds,
        'momentum_score', momentum / 100,
        'strikes', v_strikes,
        'probabilities', v_probabilities,
        'fingerprint_csv', fingerprint || '.csv',
        'symbol', symbol,
        'momentum_bps', momentum,
        'fingerprint', fingerprint,
        'method', method,
        'state', state,
        'feed', feed,
        'market_at', upc.iso_utc(market_at)
    );

    -- The watchlist has the strike table's header. Without quotes no strike is worth watching.
    SELECT
        max(d.document) FILTER (WHERE d.name = 'strike_table'),
        max(d.document) FILTER (WHERE d.name = 'watchlist')
    INTO strike_table, watchlist
    FROM (
        SELECT
            r.name,
            json_build_object(
                'symbol', symbol,
                'current_price', price,
                'ttc', ttc_seconds,
                'broker', 'Kalshi',
                'event_ticker', NULL,
                'market_title', NULL,
                'strike_tier', v_tier,
                'market_status', NULL,
                'last_updated', upc.iso_utc(at),
                'strikes', r.strikes,
                'momentum', json_build_object(
                    'weighted_score', momentum / 100,
                    'deltas', json_build_object(
                        'delta_1m', v_momentum.delta_1m,
                        'delta_2m', v_momentum.delta_2m,
                        'delta_3m', v_momentum.delta_3m,
                        'delta_4m', v_momentum.delta_4m,
                        'delta_15m', v_momentum.delta_15m,
                        'delta_30m', v_momentum.delta_30m
                    )
                ),
                'fingerprint', fingerprint,
                'state', state,
                'feed', feed,
                'market_at', upc.iso_utc(market_at)
            )::text AS document
        FROM (VALUES ('strike_table', v_rows), ('watchlist', '[]')) AS r (name, strikes)
    ) AS d;

    INSERT INTO upc_data.tick AS t (
        symbol, ticked_at, feed, state, market_at, price, priced_at, momentum, ttc_seconds,
        method, fingerprint, strikes, prob_above
    )
    VALUES (
        tick.symbol, at, tick.feed, tick.state, tick.market_at, tick.price, v_priced_at,
        tick.momentum, tick.ttc_seconds, tick.method, tick.fingerprint, v_strikes, v_prob_above
    )
    RETURNING t.tick_id INTO tick_id;

    INSERT INTO upc_data.document AS d
        (symbol, tick_id, live_probabilities, strike_table, watchlist)
    VALUES (
        tick.symbol, tick.tick_id, tick.live_probabilities::json, tick.strike_table::json,
        tick.watchlist::json
    )
    ON CONFLICT ON CONSTRAINT document_symbol_pkey
        DO UPDATE SET
            tick_id = excluded.tick_id,
            live_probabilities = excluded.live_probabilities,
            strike_table = excluded.strike_table,
            watchlist = excluded.watchlist;

    -- The names only: a payload holds no more than 8,000 bytes.
    PERFORM pg_notify('upc_tick', json_build_object('symbol', symbol, 'tick_id', tick_id)::text);
    RETURN NEXT;
END
$fn$;
COMMENT ON FUNCTION upc.tick IS
    'one tick of a symbol: price, momentum, strikes, tick log, documents and notification; returns the documents as JSON texts';

-- Legacy documents, for the consumers of the predecessor, in its keys and units.

-- Moves of the price over an hour, three hours and a day, in percent.
--
-- price: USD at that instant. Returns NULL where the price then is not known.
CREATE FUNCTION upc._price_changes(
    symbol text,
    price double precision,
    at timestamptz,
    OUT change_1h double precision,
    OUT change_3h double precision,
    OUT change_1d double precision
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    change_1h := 100 * (price / upc._price_by(symbol, at - interval '1 hour') - 1);
    change_3h := 100 * (price / upc._price_by(symbol, at - interval '3 hours') - 1);
    change_1d := 100 * (price / upc._price_by(symbol, at - interval '1 day') - 1);
END
$fn$;
COMMENT ON FUNCTION upc._price_changes IS
    'moves of the price over one hour, three hours and a day, percent; NULL where it is not known';


-- Path /btc_price_changes: in percent, null where a price is not known, and from halted on.
--
-- Errors: UP002 symbol, UP023 nothing has ticked it.
--
-- Example:
--   SELECT legacy_price_changes('BTC');
CREATE FUNCTION upc.legacy_price_changes(
    symbol text DEFAULT 'BTC',
    at timestamptz DEFAULT clock_timestamp()
)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT json_build_object(
        'change1h', c.change_1h,
        'change3h', c.change_3h,
        'change1d', c.change_1d,
        'symbol', legacy_price_changes.symbol,
        'state', t.state,
        'timestamp', upc._iso_utc(legacy_price_changes.at)
    )::text
    FROM upc._last_tick(legacy_price_changes.symbol, legacy_price_changes.at) AS t
    CROSS JOIN LATERAL upc._price_changes(
        legacy_price_changes.symbol,
        t.price,
        t.shown_at
    ) AS c;
END;
COMMENT ON FUNCTION upc.legacy_price_changes IS
    'the predecessor''s /btc_price_changes as JSON: moves over 1 h, 3 h and 1 day, percent';


-- Path /core: price, time, momentum with its deltas, and moves of the price, in percent.
--
-- latest_db_price: USD per contract of the newest trade. The scores of volatility are null and the list
-- of markets is empty, since nothing here corresponds to them.
-- Errors: UP002 symbol, UP023 nothing has ticked it.
--
-- Example:
--   SELECT legacy_core('BTC');
CREATE FUNCTION upc.legacy_core(
    symbol text DEFAULT 'BTC',
    at timestamptz DEFAULT clock_timestamp()
)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT json_build_object(
        'date', to_char(t.shown_at AT TIME ZONE 'America/New_York', 'FMDay, FMMonth DD, YYYY'),
        'time',
        to_char(t.shown_at AT TIME ZONE 'America/New_York', 'HH12:MI:SS AM') || CASE
            WHEN t.shown_at AT TIME ZONE 'UTC' - t.shown_at AT TIME ZONE 'America/New_York'
                = interval '4 hours'
            THEN ' EDT'
            ELSE ' EST'
        END,
        'ttc_seconds', (upc.ttc_document(legacy_core.symbol, legacy_core.at)::json)
            -> 'ttc_seconds',
        'btc_price', t.price,
        'latest_db_price', (
            SELECT r.buy_price
            FROM upc_data.trade AS r
            WHERE r.symbol = legacy_core.symbol
            ORDER BY r.trade_id DESC
            LIMIT 1
        ),
        'timestamp', upc._iso_utc(legacy_core.at),
        'delta_1m', m.momentum #> '{deltas,delta_1m}',
        'delta_2m', m.momentum #> '{deltas,delta_2m}',
        'delta_3m', m.momentum #> '{deltas,delta_3m}',
        'delta_4m', m.momentum #> '{deltas,delta_4m}',
        'delta_15m', m.momentum #> '{deltas,delta_15m}',
        'delta_30m', m.momentum #> '{deltas,delta_30m}',
        'weighted_momentum_score', m.momentum -> 'weighted_score',
        'status', CASE WHEN t.is_shown THEN 'online' ELSE 'offline' END,
        'volScore', NULL,
        'volSpike', NULL,
        'change1h', c.change_1h,
        'change3h', c.change_3h,
        'change1d', c.change_1d,
        'kalshi_markets', '[]'::json,
        'symbol', legacy_core.symbol,
        'state', t.state
    )::text
    FROM upc._last_tick(legacy_core.symbol, legacy_core.at) AS t
    CROSS JOIN LATERAL (
        SELECT upc.momentum_document(legacy_core.symbol, legacy_core.at)::json AS momentum
    ) AS m
    CROSS JOIN LATERAL upc._price_changes(legacy_core.symbol, t.price, t.shown_at) AS c;
END;
COMMENT ON FUNCTION upc.legacy_core IS
    'the predecessor''s /core as JSON: price, time to the close, momentum and moves in percent';


-- Path /api/current_fingerprint: the fingerprint of the last tick, by the name of its file.
--
-- The bucket is null where momentum is not known, and from halted on.
-- Errors: UP002 symbol, UP023 nothing has ticked it.
--
-- Example:
--   SELECT legacy_fingerprint('BTC');
CREATE FUNCTION upc.legacy_fingerprint(
    symbol text DEFAULT 'BTC',
    at timestamptz DEFAULT clock_timestamp()
)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT json_build_object(
        'symbol', lower(legacy_fingerprint.symbol),
        'current_momentum_bucket', b.bucket,
        'last_used_momentum_bucket', b.bucket,
        'fingerprint', d.live_probabilities -> 'fingerprint_csv',
        'fingerprint_file', d.live_probabilities -> 'fingerprint_csv',
        'available_buckets', (
            SELECT coalesce(json_agg(DISTINCT g.curve_bucket ORDER BY g.curve_bucket), '[]')
            FROM upc.fingerprint_grid AS g
            WHERE g.symbol = legacy_fingerprint.symbol
              AND g.curve_symbol = g.symbol
              AND g.curve_bucket BETWEEN -31 AND 31
        ),
        'state', t.state
    )::text
    FROM upc._last_tick(legacy_fingerprint.symbol, legacy_fingerprint.at) AS t
    JOIN upc_data.document AS d ON d.symbol = legacy_fingerprint.symbol
    CROSS JOIN LATERAL (SELECT upc.momentum_bucket(t.momentum) AS bucket) AS b;
END;
COMMENT ON FUNCTION upc.legacy_fingerprint IS
    'the predecessor''s /api/current_fingerprint as JSON: bucket and file of the last tick';


-- Path /kalshi_market_snapshot, and SYMBOL_market_snapshot.json: all markets of the last tick's event.
--
-- Asks are whole cents, rounded up, and bids whole cents, rounded down; null without an offer and for a
-- market that does not trade. floor_strike: the number in the ticker. From halted on, of the tick or of
-- the quotes, there is no market.
-- Errors: UP002 symbol, UP023 nothing has ticked it.
--
-- Example:
--   SELECT market_snapshot('BTC');
CREATE FUNCTION upc.market_snapshot(
    symbol text DEFAULT 'BTC',
    at timestamptz DEFAULT clock_timestamp()
)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT json_build_object(
        'symbol', market_snapshot.symbol,
        'event_ticker', t.event_ticker,
        'market_title', e.title,
        'timestamp', upc._iso_utc(k.ticked_at),
        'markets', (
            SELECT coalesce(json_agg(r ORDER BY r.floor_strike, r.ticker), '[]')
            FROM (
                SELECT
                    q.ticker,
                    coalesce(
                        substring(q.ticker FROM '-T([0-9]+(?:\.[0-9]+)?)$')::numeric, q.lower
                    ) AS floor_strike,
                    upc._event_status(q.status, s.is_paused) AS status,
                    CASE WHEN f.is_offered AND q.yes_ask BETWEEN 0.000001 AND 0.999999
                        THEN ceil(100 * q.yes_ask)::integer
                    END AS yes_ask,
                    CASE WHEN f.is_offered AND q.no_ask BETWEEN 0.000001 AND 0.999999
                        THEN ceil(100 * q.no_ask)::integer
                    END AS no_ask,
                    CASE WHEN f.is_offered AND q.yes_bid > 0
                        THEN floor(100 * q.yes_bid)::integer
                    END AS yes_bid,
                    CASE WHEN f.is_offered AND q.no_bid > 0
                        THEN floor(100 * q.no_bid)::integer
                    END AS no_bid,
                    floor(q.volume)::bigint AS volume
                FROM upc_data.market_quote AS q
                CROSS JOIN LATERAL (
                    SELECT q.status = 'active' AND NOT s.is_paused AS is_offered
                ) AS f
                WHERE q.symbol = market_snapshot.symbol
                  AND q.event_ticker = t.event_ticker
                  AND s.state <> 'halted'
            ) AS r
        ),
        'state', s.state,
        'feed', t.feed,
        'market_at', upc._iso_utc(k.market_at),
        'valid_until', t.valid_until,
        'tick_id', t.tick_id
    )::text
    FROM upc._last_tick(market_snapshot.symbol, market_snapshot.at) AS t
    JOIN upc_data.tick AS k ON k.symbol = market_snapshot.symbol AND k.tick_id = t.tick_id
    LEFT JOIN upc_data.market_event AS e
        ON e.symbol = market_snapshot.symbol AND e.event_ticker = t.event_ticker
    CROSS JOIN LATERAL (
        SELECT CASE
            WHEN e.event_ticker IS NULL THEN t.state
            ELSE upc._worse_state(t.state, upc.freshness(t.shown_at - e.read_at))
        END AS state,
        upc._is_exchange_paused(e.exchange_index, t.shown_at) AS is_paused
    ) AS s;
END;
COMMENT ON FUNCTION upc.market_snapshot IS
    'the markets of the last tick''s event as the predecessor''s snapshot has them, as JSON: asks in whole cents';

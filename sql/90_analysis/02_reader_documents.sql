-- Documents for readers: what `pyupc serve` answers with, as JSON texts.

-- The documents of the last tick, of a symbol or of all that have been ticked.
--
-- Returns one row a symbol. age_seconds is how long ago the tick was, state what follows from that
-- alone: fresh, warn, stale or halted. price_age_seconds is how old the price was for the tick.
-- interval_seconds is how far apart its ticks are due, NULL
-- where nobody says so. The documents are as the tick left them, however old they are.
-- Errors: UP002 symbol.
--
-- Example:
--   SELECT count(*) = 0 FROM latest_documents('ETH') WHERE age_seconds < 0;
CREATE FUNCTION upc.latest_documents(
    symbol text DEFAULT NULL,
    at timestamptz DEFAULT clock_timestamp()
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
    active_trades text
)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 2
AS $fn$
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
        d.live_probabilities::text,
        d.strike_table::text,
        d.watchlist::text,
        d.active_trades::text
    FROM upc_data.document AS d
    JOIN upc_data.tick AS t ON t.symbol = d.symbol AND t.tick_id = d.tick_id
    -- On a clock that has been put back the tick is no less old for being ahead.
    CROSS JOIN LATERAL (
        SELECT abs(extract(epoch FROM latest_documents.at - t.ticked_at))::double precision AS age
    ) AS a
    LEFT JOIN upc_data.tick_lease AS l ON l.symbol = d.symbol
    LEFT JOIN upc_data.tick_count AS k ON k.symbol = d.symbol
    WHERE latest_documents.symbol IS NULL OR d.symbol = latest_documents.symbol
    ORDER BY d.symbol;
END
$fn$;
COMMENT ON FUNCTION upc.latest_documents IS
    'the documents of the last tick of each symbol as JSON texts, with their age in seconds and the state that follows from it';


-- The documents of those symbols whose newest tick is another one than the caller has.
--
-- tick_ids: the number that is known of each of the symbols, 0 for none. Returns a row for each that
-- has changed, as latest_documents does; state is that of the tick, limits are those of
-- upc._state_limits.
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
    active_trades text
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
        d.active_trades::text
    FROM unnest(symbols, tick_ids) AS k (symbol, tick_id)
    JOIN upc_data.document AS d ON d.symbol = k.symbol AND d.tick_id <> k.tick_id
    JOIN upc_data.tick AS t ON t.symbol = d.symbol AND t.tick_id = d.tick_id
    ORDER BY d.symbol;
END
$fn$;
COMMENT ON FUNCTION upc.changed_documents IS
    'the newest documents of the symbols whose tick is not the one that is known, as JSON texts';


-- The last tick of a symbol, as of `at`: what price, momentum and time to the close are told from.
--
-- state is the worse one of the tick's and of what its age makes of it. shown_at is the instant on
-- the clock of the market, which a replay has of its own.
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
    price := v_tick.price;
    priced_at := v_tick.priced_at;
    momentum := v_tick.momentum;
    fingerprint := v_tick.fingerprint;
    event_ticker := v_tick.event_ticker;
    closes_at := v_tick.closes_at;
    -- On a clock that has been put back the tick is no less old for being ahead.
    state := upc._worse_state(v_tick.state, upc.freshness(greatest(v_age, -v_age)));
    shown_at := v_tick.market_at + v_age;
    valid_until := upc.valid_until(v_tick.ticked_at);
END
$fn$;
COMMENT ON FUNCTION upc._last_tick IS
    'the last tick of a symbol, the state that follows from it and its age, and the instant of the market that is shown now';


-- The price of a symbol as JSON: null from halted on.
--
-- age_seconds: of the price, not of the tick. Errors: UP002 symbol, UP023 nothing has ticked it.
--
-- Example:
--   SELECT price_document('BTC');
CREATE FUNCTION upc.price_document(symbol text, at timestamptz DEFAULT clock_timestamp())
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT json_build_object(
        'symbol', price_document.symbol,
        'price', CASE WHEN upc._is_shown('reading', t.state) THEN t.price END,
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


-- The time to the close as JSON: whole seconds, which go on counting down between ticks and without
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
        'market_status', e.status,
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
        'momentum_bps', CASE WHEN upc._is_shown('reading', t.state) THEN t.momentum END,
        'weighted_score', CASE WHEN upc._is_shown('reading', t.state) THEN t.momentum / 100 END,
        'deltas', CASE
            WHEN upc._is_shown('reading', t.state) THEN d.strike_table #> '{momentum,deltas}'
        END,
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


-- The registered symbols as JSON, each with its last tick if there is one.
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


-- The strikes around a price as JSON: compute_strikes with its arguments around it.
--
-- Arguments and errors: those of compute_strikes; a method, model or settlement of NULL is filled in as
-- by complete_question, and stand_in says what answers for what. Probabilities in percent, at full
-- precision.
--
-- Example:
--   SELECT strikes_document(97250, 7, ttc_seconds => 900);
CREATE FUNCTION upc.strikes_document(
    price double precision,
    momentum double precision DEFAULT NULL,
    symbol text DEFAULT 'BTC',
    ttc_seconds integer DEFAULT NULL,
    step double precision DEFAULT NULL,
    levels integer DEFAULT 10,
    method text DEFAULT 'nearest',
    model text DEFAULT 'momentum',
    settlement text DEFAULT 'close',
    volatility double precision DEFAULT NULL
)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT json_build_object(
        'symbol', strikes_document.symbol,
        'price', strikes_document.price,
        'momentum_bps', strikes_document.momentum,
        'ttc_seconds', q.used_ttc_seconds,
        'method', q.used_method,
        'model', q.used_model,
        'settlement', q.used_settlement,
        'stand_in', q.stand_in,
        'strikes', coalesce(s.strikes, '[]')
    )::text
    FROM upc.complete_question(
        strikes_document.symbol,
        strikes_document.ttc_seconds,
        strikes_document.method,
        strikes_document.model,
        strikes_document.settlement,
        strikes_document.volatility
    ) AS q
    CROSS JOIN LATERAL (
        SELECT json_agg(c ORDER BY c.strike) AS strikes
        FROM upc.compute_strikes(
            strikes_document.price,
            strikes_document.momentum,
            strikes_document.symbol,
            q.used_ttc_seconds,
            strikes_document.step,
            strikes_document.levels,
            q.used_method,
            q.used_model,
            q.used_settlement,
            strikes_document.volatility,
            q.observed
        ) AS c
    ) AS s;
END;
COMMENT ON FUNCTION upc.strikes_document IS
    'compute_strikes as JSON, with what was asked around it';


-- The list of fingerprints as JSON: rows of upc.fingerprint_list, of all symbols.
--
-- Example:
--   SELECT json_array_length(fingerprints_document()::json -> 'fingerprints') >= 125;
CREATE FUNCTION upc.fingerprints_document()
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT json_build_object(
        'fingerprints', coalesce(json_agg(f ORDER BY f.symbol, f.bucket = 99 DESC, f.bucket), '[]')
    )::text
    FROM upc.fingerprint_list AS f;
END;
COMMENT ON FUNCTION upc.fingerprints_document IS
    'every fingerprint of the catalogue with how much stands behind it, as JSON';


-- A fingerprint as JSON, as a matrix of 60 minutes by 120 moves, of the set in use.
--
-- bucket: momentum bucket in basis points, 99 is the baseline. Row m of the matrix is m minutes to
-- the close; its columns are first the moves down, largest first, then those up: probabilities in
-- percent of a move of at least that size. null where the set has no number. model: volatility is the
-- fingerprint of standardised moves, which are in units of their forecast standard deviation; any other
-- is that of plain ones, in percent.
-- Errors: UP002 symbol, UP018 model, UP024 the catalogue has no such fingerprint.
--
-- Example:
--   SELECT json_array_length(fingerprint_document('BTC', 7)::json -> 'matrix') = 60;
CREATE FUNCTION upc.fingerprint_document(
    symbol text,
    bucket integer DEFAULT 99,
    model text DEFAULT 'momentum'
)
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_is_plain boolean := model <> 'volatility';
    v_fingerprint text;
    v_set record;
    v_moves numeric[];
    v_names text[];
    v_matrix json;
    v_samples json;
BEGIN
    IF symbol IS DISTINCT FROM '*' THEN
        PERFORM upc.require_symbol(symbol);
    END IF;
    IF NOT coalesce(model IN ('momentum', 'baseline', 'shrunk', 'volatility'), false) THEN
        PERFORM upc._refuse_question(upc._make_question(1, symbol => symbol, model => model));
    END IF;
    SELECT f.fingerprint
    INTO v_fingerprint
    FROM (
        SELECT p.fingerprint, p.symbol, p.bucket
        FROM upc.fingerprint_catalogue AS p
        WHERE v_is_plain
        UNION ALL
        SELECT z.fingerprint, z.symbol, z.bucket
        FROM upc.volatility_catalogue AS z
        WHERE NOT v_is_plain
    ) AS f
    WHERE f.symbol = fingerprint_document.symbol AND f.bucket = fingerprint_document.bucket;
    IF v_fingerprint IS NULL THEN
        RAISE EXCEPTION 'there is no fingerprint of % for the bucket %', symbol, bucket
            USING
                ERRCODE = 'UP024',
                DETAIL = 'Fingerprints are of a momentum bucket or, for 99, of all minutes.',
                HINT = 'SELECT symbol, bucket FROM upc.fingerprint_list';
    END IF;
    IF v_is_plain THEN
        SELECT s.origin, s.thresholds, s.made_at
        INTO v_set
        FROM upc.fingerprint_set AS s
        WHERE s.symbol = fingerprint_document.symbol AND s.is_in_use;
        v_moves := ARRAY(SELECT k::numeric / 20 FROM generate_series(0, 59) AS k ORDER BY k);
    ELSE
        SELECT 'built' AS origin, upc.volatility_thresholds() AS thresholds, (
            SELECT f.completed_at
            FROM upc_data.volatility_fit AS f
            WHERE f.symbol = fingerprint_document.symbol
        ) AS made_at
        INTO v_set;
        v_moves := v_set.thresholds::numeric[];
    END IF;

    WITH move AS MATERIALIZED (
        SELECT
            row_number() OVER (ORDER BY w.sign, w.sign * t.move) AS place,
            w.sign,
            format(
                '%s_%s',
                CASE w.sign WHEN 1 THEN 'pos' ELSE 'neg' END,
                replace(
                    to_char(t.move, CASE WHEN v_is_plain THEN 'FM0.00' ELSE 'FM90.000' END),
                    '.',
                    '_'
                )
            ) AS name,
            CASE
                WHEN v_is_plain THEN array_position(v_set.thresholds, t.move::double precision)
                ELSE t.k
            END AS threshold
        FROM (VALUES (-1), (1)) AS w (sign)
        CROSS JOIN unnest(v_moves) WITH ORDINALITY AS t (move, k)
    ),
    curve AS (
        SELECT p.minutes, p.sample_size, p.positive, p.negative
        FROM upc.fingerprint_curve AS p
        WHERE v_is_plain
          AND p.symbol = fingerprint_document.symbol
          AND p.origin = v_set.origin
          AND p.bucket = fingerprint_document.bucket
        UNION ALL
        SELECT z.minutes, z.sample_size, z.positive, z.negative
        FROM upc.volatility_curve AS z
        WHERE NOT v_is_plain
          AND z.symbol = fingerprint_document.symbol
          AND z.bucket = fingerprint_document.bucket
    ),
    line AS (
        SELECT
            n.minutes,
            max(c.sample_size) AS sample_size,
            json_agg(
                round(
                    (CASE m.sign WHEN 1 THEN c.positive ELSE c.negative END)[m.threshold]::numeric, 2
                )
                ORDER BY m.place
            ) AS probabilities
        FROM generate_series(1, 60) AS n (minutes)
        CROSS JOIN move AS m
        LEFT JOIN curve AS c ON c.minutes = n.minutes
        GROUP BY n.minutes
    )
    SELECT
        (SELECT array_agg(m.name ORDER BY m.place) FROM move AS m),
        json_agg(l.probabilities ORDER BY l.minutes),
        json_agg(l.sample_size ORDER BY l.minutes)
    INTO v_names, v_matrix, v_samples
    FROM line AS l;
    RETURN json_build_object(
        'fingerprint', v_fingerprint,
        'symbol', symbol,
        'bucket', nullif(bucket, 99),
        'origin', v_set.origin,
        'made_at', upc._iso_utc(v_set.made_at),
        'minutes', ARRAY(SELECT generate_series(1, 60)),
        'columns', v_names,
        'moves', ARRAY(
            SELECT round(w.sign * t.move, CASE WHEN v_is_plain THEN 2 ELSE 3 END)
            FROM (VALUES (-1), (1)) AS w (sign)
            CROSS JOIN unnest(v_moves) AS t (move)
            ORDER BY w.sign, w.sign * t.move
        ),
        'unit', CASE WHEN v_is_plain THEN 'percent' ELSE 'deviations' END,
        'matrix', v_matrix,
        'sample_sizes', v_samples
    )::text;
END
$fn$;
COMMENT ON FUNCTION upc.fingerprint_document IS
    'a fingerprint as JSON: 60 minutes to the close by 120 moves, probabilities in percent';


-- The calibration of a symbol's live ticks as JSON: rows of upc.calibration, and how many closes of
-- the span have no known outcome.
--
-- Errors: UP002 symbol.
--
-- Example:
--   SELECT calibration_document('BTC', '2024-01-01 00:00+00', '2024-01-02 00:00+00');
CREATE FUNCTION upc.calibration_document(
    symbol text,
    since timestamptz DEFAULT '-infinity',
    until timestamptz DEFAULT 'infinity'
)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT json_build_object(
        'symbol', calibration_document.symbol,
        'since', CASE
            WHEN isfinite(calibration_document.since)
            THEN upc._iso_utc(calibration_document.since)
        END,
        'until', CASE
            WHEN isfinite(calibration_document.until)
            THEN upc._iso_utc(calibration_document.until)
        END,
        'unjudged_closes',
        (
            SELECT count(*)
            FROM upc.unjudged_closes(
                calibration_document.symbol,
                calibration_document.since,
                calibration_document.until
            )
        ),
        'scores',
        (
            SELECT coalesce(json_agg(c), '[]')
            FROM upc.calibration(
                calibration_document.symbol,
                calibration_document.since,
                calibration_document.until
            ) AS c
        )
    )::text;
END;
COMMENT ON FUNCTION upc.calibration_document IS
    'how often it happened what a symbol''s live ticks gave which probability, as JSON';

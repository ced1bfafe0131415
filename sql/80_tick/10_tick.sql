-- The tick: one call a second and symbol that does everything and returns what is to be published.
--
-- A tick answers first, which reads and does what its trades ask for, and is published then: counted,
-- logged and kept. Both are the same for one symbol and for a batch.

CREATE TYPE upc._tick_frame AS (
    feed text,
    at timestamptz,
    holder text,
    lease interval,
    seed integer,
    levels integer,
    method text,
    model text,
    settlement text,
    every interval,
    is_live boolean,
    min_probability double precision,
    min_differential double precision,
    limits double precision[],
    valid_until text,
    use_basis boolean
);
COMMENT ON TYPE upc._tick_frame IS
    'what is the same for all symbols of a batch: the arguments of tick, and the rules in force';

CREATE TYPE upc._tick_answer AS (
    tick upc_data.tick,
    event upc._event,
    quote_state text,
    step double precision,
    asked_model text,
    asked_settlement text,
    deltas json,
    probabilities json,
    strike_rows json,
    watched_rows json,
    edge_reason text,
    contracts upc._contract_list,
    active json[],
    announced json[]
);
COMMENT ON TYPE upc._tick_answer IS
    'what a tick has found out: the row of the log but for its number and counts, and the parts of its documents';

CREATE TYPE upc._ticked AS (
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
    asked_settlement text,
    contracts text
);
COMMENT ON TYPE upc._ticked IS 'a row of tick';


-- Reads the rules and keeps them to the end of the transaction, or until upc.cached_rules is set to
-- nothing. Arguments as in tick.
CREATE FUNCTION upc._make_frame(
    feed text,
    at timestamptz,
    holder text,
    lease interval,
    seed integer,
    levels integer,
    method text,
    model text,
    settlement text,
    every interval,
    min_probability double precision,
    min_differential double precision
)
RETURNS upc._tick_frame
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_limits double precision[];
BEGIN
    PERFORM upc._cache_rules();
    v_limits := upc._state_limits();
    RETURN (
        feed, at, holder, lease, seed, levels, method, model, settlement, every,
        upc._goes_with_markets(feed),
        coalesce(min_probability, upc.setting('min_probability')::double precision),
        coalesce(min_differential, upc.setting('min_differential')::double precision),
        v_limits,
        -- The formula of upc.valid_until; a setting is read once.
        upc._iso_utc(at + make_interval(secs => v_limits[1])),
        upc.setting('use_basis')::boolean
    )::upc._tick_frame;
END
$fn$;
COMMENT ON FUNCTION upc._make_frame IS
    'what is worked out once for all symbols that are ticked together';


-- The trades of a live tick, and the conditions that it depends on, looked after.
--
-- question, known: as in _trade_values; where no settlement was asked for, each event has its own.
-- price_state and quote_state, with the ages: as in _note_conditions.
CREATE FUNCTION upc._look_after(
    question upc._question,
    known upc._known_strikes,
    price_state text,
    price_age interval,
    quote_state text,
    quote_age interval,
    OUT active json[],
    OUT announced json[]
)
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    SELECT s.active, s.announced
    INTO active, announced
    FROM upc._supervise(
        question, price_state, known,
        (SELECT k.last_at FROM upc_data.tick_count AS k WHERE k.symbol = question.symbol)
    ) AS s;
    announced := announced || upc._note_conditions(
        question.symbol, question.at, price_state, price_age, quote_state, quote_age
    );
END
$fn$;
COMMENT ON FUNCTION upc._look_after IS
    'settles and stops the trades of a symbol where that is due, and announces what is news of its price and quotes';


-- A row of the log with what was asked, apart from the price that its feed shows.
CREATE FUNCTION upc._tick_of(question upc._question)
RETURNS upc_data.tick
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
DECLARE
    v upc_data.tick;
BEGIN
    v.ttc_seconds := question.ttc_seconds;
    v.method := question.method;
    v.model := question.model;
    v.settlement := question.settlement;
    v.source := question.source;
    v.basis := question.basis;
    v.basis_settlements := question.basis_settlements;
    RETURN v;
END
$fn$;
COMMENT ON FUNCTION upc._tick_of IS
    'a row of the log of ticks with the model, the settlement and the basis of a question';


-- The answer of a tick: its price, momentum and strikes, and its trades looked after.
--
-- replay_from, elapsed, step: as in tick.
-- Errors: as tick, but for UP009.
CREATE FUNCTION upc._answer_tick(
    frame upc._tick_frame,
    symbol text,
    replay_from timestamptz,
    elapsed interval,
    step double precision
)
RETURNS upc._tick_answer
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v upc._tick_answer;
    v_tick upc_data.tick;
    v_seen record;
    v_event upc._event;
    v_asked upc._tick_question;
    v_question upc._question;
    v_strikes record;
BEGIN
    v_seen := upc._feed_price(symbol, frame.feed, frame.at, replay_from, elapsed, frame.seed);
    -- Prices that are not today's have nothing to do with today's markets, but made-up ones with a made-up one.
    IF frame.is_live THEN
        v_event := upc.current_event(symbol, v_seen.market_at);
        v.event := v_event;
        IF v_event.event_ticker IS NOT NULL THEN
            v.quote_state := upc.freshness(v_seen.market_at - v_event.read_at);
        END IF;
    END IF;

    v_question := upc._make_question(
        v_seen.price, v_seen.momentum, symbol, step => _answer_tick.step, levels => frame.levels,
        method => frame.method, model => frame.model, settlement => frame.settlement,
        at => v_seen.market_at
    );
    v_asked := upc._ask_of_tick(
        upc._without_basis(v_question, v_seen.source, frame.use_basis), v_event, frame.feed, frame.seed
    );
    v_question := v_asked.question;
    v_strikes := upc._strike_documents(
        v_question, v_event, v_seen.state, frame.min_probability, frame.min_differential
    );
    v.step := v_question.step;

    v_tick := upc._tick_of(v_question);
    v_tick.symbol := symbol;
    v_tick.ticked_at := frame.at;
    v_tick.feed := frame.feed;
    v_tick.state := v_seen.state;
    v_tick.market_at := v_seen.market_at;
    v_tick.price := v_seen.price;
    v_tick.priced_at := v_seen.priced_at;
    v_tick.momentum := v_seen.momentum;
    v_tick.fingerprint := v_strikes.fingerprint;
    v_tick.strikes := v_strikes.strikes;
    v_tick.prob_above := v_strikes.prob_above;
    v_tick.event_ticker := v_event.event_ticker;
    v_tick.closes_at := v_asked.closes_at;
    v_tick.volatility := v_asked.volatility;
    -- Without an edge, as in strike_table, no ask or bid is one to judge by.
    IF upc._is_shown('difference', v_seen.state) AND upc._is_shown('difference', v.quote_state)
        AND NOT upc._is_without_edge(v_question, v_event)
    THEN
        v_tick.yes_ask := v_strikes.yes_ask;
        v_tick.no_ask := v_strikes.no_ask;
        v_tick.yes_bid := v_strikes.yes_bid;
        v_tick.no_bid := v_strikes.no_bid;
    END IF;

    v.active := '{}'::json[];
    -- Prices of another day, and made-up ones, have nothing to do with a contract or a trade of a real market.
    IF frame.is_live THEN
        v.contracts := upc._contract_entries(
            upc._contract_question_of(v_question, frame.settlement, frame.feed, frame.seed), v_seen.state
        );
        v_question.settlement := frame.settlement;
        SELECT l.active, l.announced
        INTO v.active, v.announced
        FROM upc._look_after(
            v_question,
            (v_event.event_ticker, v_asked.closes_at, v_strikes.strikes, v_strikes.prob_above, v_event.settlement, NULL),
            v_seen.state, v_seen.market_at - v_seen.priced_at,
            v.quote_state, v_seen.market_at - v_event.read_at
        ) AS l;
    END IF;

    v.tick := v_tick;
    v.asked_model := v_asked.asked_model;
    v.asked_settlement := v_asked.asked_settlement;
    v.deltas := json_build_object(
        'delta_1m', v_seen.delta_1m, 'delta_2m', v_seen.delta_2m, 'delta_3m', v_seen.delta_3m,
        'delta_4m', v_seen.delta_4m, 'delta_15m', v_seen.delta_15m, 'delta_30m', v_seen.delta_30m
    );
    v.probabilities := v_strikes.probabilities;
    v.strike_rows := v_strikes.strike_rows;
    v.watched_rows := v_strikes.watched_rows;
    v.edge_reason := v_strikes.edge_reason;
    RETURN v;
END
$fn$;
COMMENT ON FUNCTION upc._answer_tick IS
    'what a tick of a symbol finds out; settles and stops its trades and announces what is news';


-- Count and log a tick, and contracts if that is due, and keep its documents.
--
-- since_last: as in tick. with_documents: also return them.
CREATE FUNCTION upc._publish_tick(
    frame upc._tick_frame,
    answer upc._tick_answer,
    since_last interval,
    with_documents boolean
)
RETURNS upc._ticked
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v upc._ticked;
    v_tick upc_data.tick := answer.tick;
    v_event upc._event := answer.event;
    v_count upc_data.tick_count;
    v_documents upc._documents;
    v_is_minute boolean;
    v_has_stopped boolean := false;
    v_tables json[];
BEGIN
    IF frame.is_live THEN
        v_count := upc._count_tick(
            v_tick.symbol, frame.at, frame.every, v_tick.state <> 'halted', since_last
        );
        v_tick.done_count := v_count.done;
        v_tick.missed_count := v_count.missed;
        v_tick.answered_count := v_count.answered;
    END IF;
    v_tick.tick_id := upc._next_id(v_tick.symbol, 'tick');
    INSERT INTO upc_data.tick VALUES (v_tick.*);
    v_is_minute := upc._minute_of(frame.at) IS DISTINCT FROM v_count.contracts_minute;
    IF cardinality(answer.announced) > 0 THEN
        v_has_stopped := EXISTS (
            SELECT FROM unnest(answer.announced) AS n (news) WHERE n.news ->> 'kind' = 'stop'
        );
    END IF;
    IF frame.is_live AND (v_is_minute OR v_has_stopped) THEN
        PERFORM upc._log_contracts(v_tick, frame.settlement, v_is_minute, v_has_stopped);
    END IF;

    v_documents.live_probabilities := upc._live_document(
        v_tick, answer.step, frame.valid_until, answer.probabilities
    );
    v_tables := upc._table_documents(
        v_tick, v_event, answer.quote_state, answer.step, frame.valid_until, answer.deltas,
        answer.edge_reason, answer.strike_rows, answer.watched_rows
    );
    v_documents.strike_table := v_tables[1];
    v_documents.watchlist := v_tables[2];
    v_documents.active_trades := upc._trades_document(
        v_tick, answer.quote_state, frame.valid_until, answer.active
    );
    v_documents.contracts := upc._contracts_document(v_tick, frame.valid_until, answer.contracts);
    PERFORM upc._keep_documents(v_tick.symbol, v_tick.tick_id, v_documents);

    v.tick_id := v_tick.tick_id;
    v.state := v_tick.state;
    v.market_at := v_tick.market_at;
    v.price := v_tick.price;
    v.momentum := v_tick.momentum;
    v.ttc_seconds := v_tick.ttc_seconds;
    v.fingerprint := v_tick.fingerprint;
    IF with_documents THEN
        v.live_probabilities := v_documents.live_probabilities;
        v.strike_table := v_documents.strike_table;
        v.watchlist := v_documents.watchlist;
        v.active_trades := v_documents.active_trades;
        v.contracts := v_documents.contracts;
    END IF;
    IF cardinality(answer.announced) > 0 THEN
        v.announced := array_to_json(answer.announced);
    END IF;
    v.used_model := v_tick.model;
    v.used_settlement := v_tick.settlement;
    v.valid_until := frame.valid_until;
    v.limits := frame.limits;
    v.asked_model := answer.asked_model;
    v.asked_settlement := answer.asked_settlement;
    RETURN v;
END
$fn$;
COMMENT ON FUNCTION upc._publish_tick IS
    'counts and logs a tick and keeps its documents; returns its row';


-- Payload of the notification of one tick. The names only: it holds no more than 8,000 bytes.
CREATE FUNCTION upc._tick_payload(symbol text, tick_id bigint)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN json_build_object('symbol', _tick_payload.symbol, 'tick_id', _tick_payload.tick_id)::text;
COMMENT ON FUNCTION upc._tick_payload IS 'the payload of upc_tick for one tick';


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
-- Returns one row: what was logged, the five documents as JSON texts, what was announced as a JSON
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
    asked_settlement text,
    contracts text
)
LANGUAGE plpgsql VOLATILE ROWS 1
AS $fn$
DECLARE
    v_frame upc._tick_frame := upc._make_frame(
        feed, at, holder, lease, seed, levels, method, model, settlement, every,
        min_probability, min_differential
    );
BEGIN
    -- Rows of a symbol that is being retired are still there.
    PERFORM upc.require_symbol(symbol);
    PERFORM upc._hold_lease(symbol, holder, lease, feed, every);
    SELECT p.*
    INTO
        tick_id, state, market_at, price, momentum, ttc_seconds, fingerprint,
        live_probabilities, strike_table, watchlist, active_trades, announced, used_model,
        used_settlement, valid_until, limits, asked_model, asked_settlement, contracts
    FROM upc._publish_tick(
        v_frame,
        upc._answer_tick(v_frame, symbol, replay_from, elapsed, step),
        since_last,
        true
    ) AS p;
    PERFORM pg_notify('upc_tick', upc._tick_payload(symbol, tick_id));
    PERFORM set_config('upc.cached_rules', '', true);
    RETURN NEXT;
END
$fn$;
COMMENT ON FUNCTION upc.tick IS
    'one tick of a symbol: price, momentum, strikes, trades, tick log, documents and notifications; returns the documents as JSON texts';

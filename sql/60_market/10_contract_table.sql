-- The contract table: every open contract of all followed events of a symbol.

-- Terms that all contracts of an event share, the question for their probabilities, and the curve that they
-- are read off: NULL where no probability is to be shown.
CREATE TYPE upc._contract_question AS (
    question upc._question,
    event upc._contract_event,
    reading upc._reading
);
COMMENT ON TYPE upc._contract_question IS
    'an event of the contract table, the question that its contracts are answered by, and the curve that answers';


-- question: with nothing left out but the time to the close; a settlement of NULL is that of the event.
-- price_state: as in contract_table. series: of the event.
CREATE FUNCTION upc._ask_of_event(
    question upc._question,
    price_state text,
    event upc_data.market_event,
    series upc_data.series
)
RETURNS upc._contract_question
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v upc._contract_event;
    v_rules text := upc._event_settlement(event, series);
    v_quote_state text := upc.freshness(question.at - event.read_at);
BEGIN
    -- An event that closes after 2094 must not stop the ticks.
    question.ttc_seconds := least(
        floor(extract(epoch FROM event.closes_at - question.at)), 2147483647
    )::integer;
    -- An unclear settlement has no edge.
    question.settlement := upc._answered_settlement(coalesce(question.settlement, v_rules));
    IF question.settlement = 'average' AND question.ttc_seconds < 60 THEN
        question.observed := coalesce(
            question.observed,
            upc._seen_average(question, event.closes_at - interval '1 minute')
        );
        IF question.observed IS NULL THEN
            question.settlement := 'close';
        END IF;
    END IF;

    v.series := series.series;
    v.kind := series.kind;
    v.event_ticker := event.event_ticker;
    v.closes_at := event.closes_at;
    v.model := upc._model_of_bounds(question.model, question.ttc_seconds);
    v.is_paused := upc._is_exchange_paused(event.exchange_index, question.at);
    v.is_quoted := NOT v.is_paused AND upc._is_shown('quote', v_quote_state);
    v.price_stale := NOT coalesce(upc._is_shown('difference', price_state), false);
    v.quotes_stale := NOT coalesce(upc._is_shown('difference', v_quote_state), false);
    v.rules_unclear := upc._rules_are_unclear(v_rules, series.fee_type);
    v.last_minute := upc._is_unseen(
        question.ttc_seconds,
        CASE WHEN v_rules IS DISTINCT FROM 'trimmed' THEN question.settlement END
    );
    IF NOT v.rules_unclear THEN
        v.edge_order := upc._symbol_order(series.symbol, series.series);
    END IF;
    RETURN (question, v, NULL::upc._reading);
END
$fn$;
COMMENT ON FUNCTION upc._ask_of_event IS
    'the question that the contracts of an event are answered by, and what is the same for all of them';


-- Every open event that is followed, by its close, with the question for its contracts and the curve that
-- answers.
--
-- question: settlement NULL is that of each event; observed is for those that close within a
-- minute. price_state: as in contract_table.
CREATE FUNCTION upc._asked_events(question upc._question, price_state text)
RETURNS SETOF upc._contract_question
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 3
AS $fn$
DECLARE
    v_observed double precision := question.observed;
    v_open record;
    v_event upc._contract_event;
    v_last upc._question;
    v_reading upc._reading;
    v upc._contract_question;
BEGIN
    FOR v_open IN
        SELECT e AS event, s AS series
        FROM upc_data.series AS s
        JOIN upc_data.market_event AS e ON e.symbol = s.symbol AND e.series_ticker = s.series
        WHERE s.symbol = question.symbol
          AND s.is_followed
          AND e.symbol = question.symbol
          AND e.closes_at > question.at
        ORDER BY e.closes_at, s.series, e.event_ticker
    LOOP
        -- Of those that close together the last minute is looked at once.
        question.observed := coalesce(
            v_observed,
            CASE WHEN (v_open.event).closes_at = v_event.closes_at THEN v_last.observed END
        );
        v := upc._ask_of_event(question, price_state, v_open.event, v_open.series);
        v_event := v.event;
        -- And they ask the same.
        IF upc._is_shown('probability', price_state) AND v_last IS DISTINCT FROM v.question THEN
            v_reading := upc._bounds_reading(v.question);
        END IF;
        v_last := v.question;
        v.reading := v_reading;
        v_event.model := upc._model_of_bounds(
            v_last.model, v_last.ttc_seconds, (v.reading).is_stretched
        );
        v.event := v_event;
        RETURN NEXT v;
    END LOOP;
END
$fn$;
COMMENT ON FUNCTION upc._asked_events IS
    'every open event that is followed, with the question for its contracts and the curve that answers';


-- Rows of the contract table, for a question with nothing left out: see contract_table. Arguments as in
-- _asked_events.
CREATE FUNCTION upc._contract_rows(question upc._question, price_state text)
RETURNS SETOF upc._contract_row
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 400
AS $fn$
DECLARE
    v_open record;
BEGIN
    FOR v_open IN
        SELECT a.* FROM upc._asked_events(question, price_state) AS a
    LOOP
        RETURN QUERY
        SELECT c.*
        FROM upc._event_contracts(v_open.question, v_open.reading, v_open.event) AS c;
    END LOOP;
END
$fn$;
COMMENT ON FUNCTION upc._contract_rows IS
    'rows of the contract table, for a question with nothing left out';


-- Every open contract of all followed events of a symbol, with its probability, quotes and edges.
--
-- Arguments:
--   symbol       as in upc_data.symbol; what of its series is followed is in upc_data.series
--   at           the clock: which events are open, how old price and quotes are, the forecast, and what has
--                been seen of the last minute go by it
--   price        USD; NULL: the newest one of the price log, with its momentum and state
--   momentum     basis points; NULL: the log's where the price is, else the baseline answers
--   model, method  as in compute_strikes; NULL: volatility (momentum where nothing can be forecast), linear
--   settlement   average or close; NULL: that of each event
--   price_state  freshness of the price; NULL: the log's where the price is, else fresh
--   observed     USD, the mean of the last minute so far, for events that close within a minute; NULL: that
--                of the price log
--   variances    as in compute_strikes
--   basis        true: price and observed are asked about less their basis, as Kalshi would have them, where
--                12 settlements of the last day are known (a price in the arguments is taken for one of the
--                exchange that was heard last, without a log for one of candles); false: as they are; NULL:
--                where the price is the log's, as the rule use_basis says, else false
--
-- Returns one row per contract, by close, series, event and bounds. Unknown numbers are NULL:
--   series, kind, event_ticker, closes_at, ttc_seconds, ticker  the contract, its event and its series
--   lower, upper         USD, exact: yes pays iff lower <= value < upper; both NULL: not known yet
--   state                initialized (only with bounds), active, paused or closed; from determined on there
--                        is no row
--   probability, prob_low, prob_high  that yes pays and its interval, percent, as probability_between; NULL
--                        from a halted price on
--   yes_bid, yes_ask, no_bid, no_ask  USD, exact; NULL where nobody bids or offers, from halted quotes on,
--                        and unless active
--   yes_bid_size, yes_ask_size, no_bid_size, no_ask_size  contracts
--   yes_fee, no_fee      cents per contract: the taker fee of an order of upc.edge_contracts (10) at the ask
--   yes_edge, no_edge    cents per contract: what it pays on average, less ask and fee
--   yes_edge_low, no_edge_low  the same at the end of the interval that is worse for the side
--   edge_reason          one of edge_reasons() where there is no edge, else NULL
--   model                that answered, as used_model of probability_between
--   volume               contracts traded so far; NULL like the quotes
-- Errors: UP002 symbol, UP011 no price in the log, and those of compute_strikes.
--
-- Example:
--   SELECT load_market('{"event": {"event_ticker": "E", "series_ticker": "KXBTCD"}, "markets":
--       [{"ticker": "E-T1", "close_time": "2026-01-01T15:00:00Z", "strike_type": "greater",
--         "floor_strike": 97499.99}]}');
--   SELECT lower = 97500 FROM contract_table('BTC', '2026-01-01T14:30:00Z', price => 97250);
CREATE FUNCTION upc.contract_table(
    symbol text DEFAULT 'BTC',
    at timestamptz DEFAULT clock_timestamp(),
    price double precision DEFAULT NULL,
    momentum double precision DEFAULT NULL,
    model text DEFAULT NULL,
    method text DEFAULT NULL,
    settlement text DEFAULT NULL,
    price_state text DEFAULT NULL,
    observed double precision DEFAULT NULL,
    variances double precision[] DEFAULT NULL,
    basis boolean DEFAULT NULL
)
RETURNS SETOF upc._contract_row
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED ROWS 400
AS $fn$
DECLARE
    v_question upc._question;
    v_known record;
    v_source text;
BEGIN
    PERFORM upc.require_symbol(symbol);
    IF price IS NULL THEN
        v_known := upc._known_price(symbol, at);
        v_source := v_known.source;
        basis := coalesce(basis, upc.setting('use_basis')::boolean);
        price := v_known.price;
        momentum := coalesce(momentum, v_known.momentum);
        price_state := coalesce(price_state, v_known.price_state);
    ELSIF basis THEN
        v_source := upc._price_source(symbol, at);
    END IF;
    IF coalesce(model, 'volatility') = 'volatility' THEN
        variances := coalesce(variances, upc._known_variances(symbol, at));
        IF variances IS NULL OR NOT upc._has_volatility_curves(symbol) THEN
            IF model IS NOT NULL THEN
                PERFORM upc._refuse_forecast(symbol);
            END IF;
            model := 'momentum';
        END IF;
    END IF;
    v_question := upc._make_question(
        price, momentum, symbol, method => coalesce(method, 'linear'),
        model => coalesce(model, 'volatility'), settlement => coalesce(settlement, 'average'),
        observed => observed, variances => variances, at => at
    );
    IF NOT upc._is_question(v_question) THEN
        PERFORM upc._refuse_question(v_question);
    END IF;
    v_question := upc._without_basis(v_question, v_source, basis);
    v_question.settlement := settlement;
    RETURN QUERY
    SELECT r.* FROM upc._contract_rows(v_question, coalesce(price_state, 'fresh')) AS r;
END
$fn$;
COMMENT ON FUNCTION upc.contract_table IS
    'every open contract of all followed events of a symbol with its probability, what it costs and its edge';

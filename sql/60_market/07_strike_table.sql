-- The strike table: every strike's probability beside what its contracts cost.

-- One more column: here, in the result of strike_table and in the query of _strike_rows.
CREATE TYPE upc._strike_row AS (
    strike double precision,
    buffer double precision,
    buffer_pct double precision,
    probability double precision,
    yes_ask integer,
    no_ask integer,
    volume numeric,
    ticker text,
    active_side text,
    yes_ask_dollars numeric,
    no_ask_dollars numeric,
    yes_bid_dollars numeric,
    no_bid_dollars numeric,
    yes_edge double precision,
    no_edge double precision,
    prob_above double precision,
    sample_size bigint,
    move_percent double precision,
    direction text,
    prob_beyond double precision,
    positive_prob double precision,
    negative_prob double precision,
    fingerprint text,
    prob_low double precision,
    prob_high double precision,
    deviation double precision,
    edge_reason text
);
COMMENT ON TYPE upc._strike_row IS 'a row of the strike table, with the columns of upc.strike_table';


-- Rows of the strike table, nearest to the price first, for a question with nothing left out.
--
-- question: with the clock, the time to the close and the step; with the forecast and what was seen of
-- the last minute where they are needed. event: NULL leaves quotes out. price_state: as in
-- strike_table.
CREATE FUNCTION upc._strike_rows(question upc._question, event upc._event, price_state text)
RETURNS SETOF upc._strike_row
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 21
AS $fn$
DECLARE
    v_quote_state text := upc.freshness(question.at - event.read_at);
    v_is_quoted boolean := upc._is_shown('quote', v_quote_state);
    v_is_known boolean := upc._is_shown('probability', price_state);
    v_price_stale boolean := NOT coalesce(upc._is_shown('difference', price_state), false);
    v_quotes_stale boolean := event.event_ticker IS NOT NULL
        AND NOT upc._is_shown('difference', v_quote_state);
    v_is_unseen boolean := upc._is_unseen(question.ttc_seconds, question.settlement);
    -- Of the rest of the reasons each leaves no ask, or no probability.
    v_has_edge boolean := NOT (v_price_stale OR v_quotes_stale OR v_is_unseen);
    v_order upc._edge_terms := upc._symbol_order(question.symbol);
    v_untraded jsonb;
BEGIN
    IF event.event_ticker IS NOT NULL THEN
        -- Beside the query below: as a part of it, it would be planned anew every time.
        SELECT jsonb_object_agg(trim_scale(m.strike)::text, coalesce(m.status, ''))
        INTO v_untraded
        FROM upc_data.market_quote AS m
        WHERE m.symbol = question.symbol
          AND m.event_ticker = event.event_ticker
          AND m.status IS DISTINCT FROM 'active';
    END IF;
    RETURN QUERY
    SELECT
        c.strike,
        c.buffer,
        c.buffer / question.step,
        k.within,
        ceil(100 * o.yes_ask)::integer,
        ceil(100 * o.no_ask)::integer,
        CASE WHEN v_is_quoted THEN q.volume END,
        CASE WHEN v_is_quoted THEN q.ticker END,
        CASE c.direction WHEN 'above' THEN 'no' ELSE 'yes' END,
        o.yes_ask,
        o.no_ask,
        CASE WHEN v_is_quoted THEN q.yes_bid END,
        CASE WHEN v_is_quoted THEN q.no_bid END,
        CASE WHEN v_has_edge THEN
            upc._edge(k.above, upc._contract_cost(o.yes_ask, v_order))
        END,
        CASE WHEN v_has_edge THEN
            upc._edge(100 - k.above, upc._contract_cost(o.no_ask, v_order))
        END,
        k.above,
        c.sample_size,
        c.move_percent,
        c.direction,
        CASE WHEN v_is_known THEN c.prob_beyond END,
        CASE WHEN v_is_known THEN c.positive_prob END,
        CASE WHEN v_is_known THEN c.negative_prob END,
        c.fingerprint,
        CASE WHEN v_is_known THEN c.prob_low END,
        CASE WHEN v_is_known THEN c.prob_high END,
        c.deviation,
        upc.edge_reason(
            closed => o.trading_state = 'closed',
            paused => o.trading_state = 'paused',
            price_stale => v_price_stale,
            quotes_stale => v_quotes_stale,
            no_model => k.above IS NULL,
            last_minute => v_is_unseen,
            no_offer => o.yes_ask IS NULL AND o.no_ask IS NULL
        )
    FROM upc.compute_strikes(
        question.price, question.momentum, question.symbol, question.ttc_seconds, question.step,
        question.levels, question.method, question.model, question.settlement,
        question.volatility, question.observed, variances => question.variances
    ) AS c
    CROSS JOIN LATERAL (
        SELECT
            CASE WHEN v_is_known THEN c.prob_within END AS within,
            CASE WHEN v_is_known THEN c.prob_above END AS above
    ) AS k
    LEFT JOIN upc_data.market_quote AS q
        ON q.symbol = question.symbol
        AND q.event_ticker = event.event_ticker
        AND q.strike = c.strike::numeric
        AND q.status = 'active'
    CROSS JOIN LATERAL (
        SELECT
            CASE WHEN v_is_quoted THEN upc._offered(q.yes_ask, q.no_bid) END AS yes_ask,
            CASE WHEN v_is_quoted THEN upc._offered(q.no_ask, q.yes_bid) END AS no_ask,
            CASE WHEN q.ticker IS NULL THEN
                upc._trading_state(
                    coalesce(v_untraded ->> trim_scale(c.strike::numeric)::text, event.status)
                )
            END AS trading_state
        OFFSET 0
    ) AS o
    ORDER BY c.buffer, c.strike;
END
$fn$;
COMMENT ON FUNCTION upc._strike_rows IS
    'rows of the strike table, nearest to the price first, for a question with nothing left out and an event that is known';


CREATE TYPE upc._table_question AS (
    question upc._question,
    event upc._event
);
COMMENT ON TYPE upc._table_question IS
    'a question for the strike table with nothing left out, and the event whose contracts are in it';


CREATE FUNCTION upc._complete_table_question(question upc._question, has_market boolean)
RETURNS upc._table_question
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_event upc._event;
BEGIN
    PERFORM upc.require_symbol(question.symbol);
    IF has_market THEN
        v_event := upc.current_event(question.symbol, question.at);
    END IF;
    question.ttc_seconds := coalesce(
        question.ttc_seconds,
        floor(extract(epoch FROM v_event.closes_at - question.at))::integer,
        upc._seconds_to_hour(question.at)
    );
    -- By the clock that is asked for, where compute_strikes would take the one on the wall.
    IF question.model = 'volatility' AND question.variances IS NULL THEN
        question.variances := upc._known_variances(question.symbol, question.at);
        IF question.variances IS NULL AND question.volatility IS NULL THEN
            PERFORM upc._refuse_forecast(question.symbol);
        END IF;
    END IF;
    IF question.settlement = 'average' AND question.ttc_seconds < 60
        AND question.observed IS NULL
    THEN
        question.observed := upc._observed_average(
            question.symbol,
            question.at + make_interval(secs => question.ttc_seconds - 60),
            question.at
        );
        IF question.observed IS NULL THEN
            PERFORM upc._refuse_observed(question.symbol);
        END IF;
    END IF;
    question.step := coalesce(question.step, v_event.step);
    IF question.step IS NULL THEN
        SELECT s.strike_step INTO question.step
        FROM upc_data.symbol AS s
        WHERE s.symbol = question.symbol;
    END IF;
    RETURN (question, v_event);
END
$fn$;
COMMENT ON FUNCTION upc._complete_table_question IS
    'a question for the strike table with its time to the close, step, forecast and average filled in, and the event';


-- The strikes around a price, each with the market of the event that closes next.
--
-- price, momentum, symbol, levels, method, model, settlement, volatility, observed, variances: as in
-- compute_strikes. at: the clock; it chooses the event, and the ages of price and quotes, the forecast
-- and what has been seen of the last minute go by it. ttc_seconds: NULL means to the event's close, or
-- to the next full hour where there is no event. step: NULL means the distance between most of the
-- event's strikes, or the symbol's own. price_state: freshness of the price. has_market: false leaves
-- the event out, as for prices that are not today's.
-- Returns one row per strike, nearest to the price first: probabilities in percent, asks and bids
-- in USD per contract, exact; yes_edge and no_edge in cents per contract: what it pays on average,
-- less its ask and the taker fee, in an order of upc.edge_contracts (10). Unknown numbers are NULL; from
-- halted on that is every probability, from stale on (price or quotes) every edge, and from halted
-- quotes on every quote. Under 60 s to the close there is no edge unless the average settles.
-- edge_reason is one of edge_reasons() where neither side has an edge, else NULL.
-- Errors: those of compute_strikes.
--
-- Example:
--   SELECT strike, probability FROM strike_table(97250, 7, at => '2024-01-01 12:45+00');
CREATE FUNCTION upc.strike_table(
    price double precision,
    momentum double precision DEFAULT NULL,
    symbol text DEFAULT 'BTC',
    at timestamptz DEFAULT clock_timestamp(),
    ttc_seconds integer DEFAULT NULL,
    step double precision DEFAULT NULL,
    levels integer DEFAULT 10,
    method text DEFAULT 'nearest',
    price_state text DEFAULT 'fresh',
    has_market boolean DEFAULT true,
    model text DEFAULT 'momentum',
    settlement text DEFAULT 'close',
    volatility double precision DEFAULT NULL,
    observed double precision DEFAULT NULL,
    variances double precision[] DEFAULT NULL
)
RETURNS TABLE (
    strike double precision,
    buffer double precision,
    buffer_pct double precision,
    probability double precision,
    yes_ask integer,
    no_ask integer,
    volume numeric,
    ticker text,
    active_side text,
    yes_ask_dollars numeric,
    no_ask_dollars numeric,
    yes_bid_dollars numeric,
    no_bid_dollars numeric,
    yes_edge double precision,
    no_edge double precision,
    prob_above double precision,
    sample_size bigint,
    move_percent double precision,
    direction text,
    prob_beyond double precision,
    positive_prob double precision,
    negative_prob double precision,
    fingerprint text,
    prob_low double precision,
    prob_high double precision,
    deviation double precision,
    edge_reason text
)
-- Part of the query that calls it: its rows pass through no second function.
LANGUAGE sql STABLE PARALLEL SAFE ROWS 21
BEGIN ATOMIC
    SELECT r.*
    FROM upc._complete_table_question(
        upc._make_question(
            strike_table.price, strike_table.momentum, strike_table.symbol,
            strike_table.ttc_seconds, strike_table.step, strike_table.levels,
            strike_table.method, strike_table.model, strike_table.settlement,
            strike_table.volatility, strike_table.observed,
            variances => strike_table.variances, at => strike_table.at
        ),
        strike_table.has_market
    ) AS q
    CROSS JOIN LATERAL upc._strike_rows(q.question, q.event, strike_table.price_state) AS r;
END;
COMMENT ON FUNCTION upc.strike_table IS
    'every strike around a price with its probability, what its contracts cost and the edge, nearest to the price first';

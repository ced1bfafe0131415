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


-- Terms that all rows of the strike table share.
CREATE TYPE upc._row_terms AS (
    is_known boolean,
    is_quoted boolean,
    has_edge boolean,
    price_stale boolean,
    quotes_stale boolean,
    is_unseen boolean,
    is_unclear boolean,
    is_paused boolean,
    lowest numeric,
    highest numeric,
    edge_order upc._edge_terms
);
COMMENT ON TYPE upc._row_terms IS
    'what is the same for all rows of the strike table: what is shown, why there is no edge, the strikes in USD that all are between, and the order that edges are for';


-- A trimmed average is answered as the average until its minute begins.
CREATE FUNCTION upc._is_unseen_of(question upc._question, event upc._event)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN upc._is_unseen(
    (_is_unseen_of.question).ttc_seconds,
    CASE
        WHEN (_is_unseen_of.event).settlement = 'trimmed' THEN 'trimmed'
        ELSE (_is_unseen_of.question).settlement
    END
);
COMMENT ON FUNCTION upc._is_unseen_of IS
    '_is_unseen by what a question and the rules of its event say';


CREATE FUNCTION upc._is_without_edge(question upc._question, event upc._event)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce((_is_without_edge.event).is_unclear, false)
    OR coalesce((_is_without_edge.event).is_paused, false)
    OR upc._is_unseen_of(_is_without_edge.question, _is_without_edge.event);
COMMENT ON FUNCTION upc._is_without_edge IS
    'true where no contract of an event has an edge, whatever price and quotes are';


-- question: with nothing left out. event: NULL leaves quotes out. price_state: as in strike_table.
CREATE FUNCTION upc._row_terms_of(question upc._question, event upc._event, price_state text)
RETURNS upc._row_terms
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v upc._row_terms;
    v_quote_state text := upc.freshness(question.at - event.read_at);
BEGIN
    v.is_known := upc._is_shown('probability', price_state);
    v.is_paused := coalesce(event.is_paused, false);
    v.is_quoted := NOT v.is_paused AND upc._is_shown('quote', v_quote_state);
    v.price_stale := NOT coalesce(upc._is_shown('difference', price_state), false);
    v.quotes_stale := event.event_ticker IS NOT NULL
        AND NOT upc._is_shown('difference', v_quote_state);
    v.is_unclear := coalesce(event.is_unclear, false);
    v.is_unseen := upc._is_unseen_of(question, event);
    -- Of the rest of the reasons each leaves no ask, or no probability.
    v.has_edge := NOT (
        v.is_paused OR v.price_stale OR v.quotes_stale OR v.is_unseen OR v.is_unclear
    );
    v.lowest := coalesce(
        question.strikes[1], question.price - (question.levels + 1) * question.step
    );
    v.highest := coalesce(
        question.strikes[cardinality(question.strikes)],
        question.price + (question.levels + 1) * question.step
    );
    v.edge_order := upc._symbol_order(question.symbol);
    RETURN v;
END
$fn$;
COMMENT ON FUNCTION upc._row_terms_of IS
    'what is the same for all rows of the strike table of a question';


-- yes_ask, no_ask: NULL where nobody offers. whole_yes, whole_no: the same as _whole_ask has them. status:
-- of the strike's market, of one that is traded if there is one; of the event where there is none.
CREATE TYPE upc._quoted_strike AS (
    strike double precision,
    buffer double precision,
    move_percent double precision,
    is_above boolean,
    prob_beyond double precision,
    prob_within double precision,
    positive_prob double precision,
    negative_prob double precision,
    prob_above double precision,
    prob_low double precision,
    prob_high double precision,
    sample_size bigint,
    fingerprint text,
    deviation double precision,
    ticker text,
    volume numeric,
    yes_bid numeric,
    no_bid numeric,
    yes_ask numeric,
    no_ask numeric,
    whole_yes bigint,
    whole_no bigint,
    status text
);
COMMENT ON TYPE upc._quoted_strike IS
    'a strike with what is known and offered of it, exact, USD per contract';


-- The strikes of a question, each with its market: what compute_strikes says, as far as it is known, and
-- what is offered, as far as it is to be shown.
--
-- Arguments as in _strike_rows. It is part of the query that calls it.
CREATE FUNCTION upc._quoted_strikes(
    question upc._question,
    event upc._event,
    terms upc._row_terms
)
RETURNS SETOF upc._quoted_strike
LANGUAGE sql STABLE PARALLEL SAFE ROWS 21
BEGIN ATOMIC
    WITH quote AS MATERIALIZED (
        -- Once, and only those near the strikes, whatever way they are joined in.
        SELECT
            m.market, m.ticker, m.strike, m.status, m.yes_bid, m.no_bid, m.volume, m.yes_ask, m.no_ask,
            upc._whole_ask(m.yes_ask) AS whole_yes, upc._whole_ask(m.no_ask) AS whole_no
        FROM (
            SELECT
                r.ticker AS market,
                r.lower AS strike,
                r.status,
                CASE WHEN (_quoted_strikes.terms).is_quoted THEN r.ticker END AS ticker,
                CASE WHEN (_quoted_strikes.terms).is_quoted THEN r.volume END AS volume,
                CASE WHEN (_quoted_strikes.terms).is_quoted THEN r.yes_bid END AS yes_bid,
                CASE WHEN (_quoted_strikes.terms).is_quoted THEN r.no_bid END AS no_bid,
                CASE WHEN (_quoted_strikes.terms).is_quoted THEN
                    upc._offered(r.yes_ask, r.no_bid)
                END AS yes_ask,
                CASE WHEN (_quoted_strikes.terms).is_quoted THEN
                    upc._offered(r.no_ask, r.yes_bid)
                END AS no_ask
            FROM upc_data.market_quote AS r
            WHERE r.symbol = (_quoted_strikes.question).symbol
              AND r.event_ticker = (_quoted_strikes.event).event_ticker
              AND r.lower BETWEEN (_quoted_strikes.terms).lowest AND (_quoted_strikes.terms).highest
            OFFSET 0
        ) AS m
    )
    SELECT
        s.strike,
        s.buffer,
        s.move_percent,
        s.direction = 'above',
        CASE WHEN (_quoted_strikes.terms).is_known THEN s.prob_beyond END,
        CASE WHEN (_quoted_strikes.terms).is_known THEN s.prob_within END,
        CASE WHEN (_quoted_strikes.terms).is_known THEN s.positive_prob END,
        CASE WHEN (_quoted_strikes.terms).is_known THEN s.negative_prob END,
        CASE WHEN (_quoted_strikes.terms).is_known THEN s.prob_above END,
        CASE WHEN (_quoted_strikes.terms).is_known THEN s.prob_low END,
        CASE WHEN (_quoted_strikes.terms).is_known THEN s.prob_high END,
        s.sample_size,
        s.fingerprint,
        s.deviation,
        q.ticker,
        q.volume,
        q.yes_bid,
        q.no_bid,
        q.yes_ask,
        q.no_ask,
        q.whole_yes,
        q.whole_no,
        coalesce(
            q.status,
            (
                SELECT coalesce(u.status, '') FROM quote AS u
                WHERE u.strike = s.strike::numeric
                ORDER BY u.market DESC
                LIMIT 1
            ),
            (_quoted_strikes.event).status
        )
    FROM upc.compute_strikes(
        (_quoted_strikes.question).price, (_quoted_strikes.question).momentum,
        (_quoted_strikes.question).symbol, (_quoted_strikes.question).ttc_seconds,
        (_quoted_strikes.question).step, (_quoted_strikes.question).levels,
        (_quoted_strikes.question).method, (_quoted_strikes.question).model,
        (_quoted_strikes.question).settlement, (_quoted_strikes.question).volatility,
        (_quoted_strikes.question).observed,
        strikes => (_quoted_strikes.question).strikes,
        variances => (_quoted_strikes.question).variances
    ) AS s
    LEFT JOIN quote AS q
        ON q.strike = s.strike::numeric
        AND q.status = 'active';
END;
COMMENT ON FUNCTION upc._quoted_strikes IS
    'the strikes of a question with what is known and offered of each';


-- Rows of the strike table, in no order. Arguments as in _quoted_strikes: a question with nothing left
-- out, with the clock, the time to the close and the step; with the forecast and what was seen of the
-- last minute where they are needed. event: NULL leaves quotes out. terms: as _row_terms_of has them.
--
-- upc._strike_documents has the same for the tick, row by row.
CREATE FUNCTION upc._strike_rows(
    question upc._question,
    event upc._event,
    terms upc._row_terms
)
RETURNS SETOF upc._strike_row
LANGUAGE sql STABLE PARALLEL SAFE ROWS 21
BEGIN ATOMIC
    SELECT
        c.strike,
        c.buffer,
        c.buffer / (_strike_rows.question).step,
        c.prob_within,
        upc._whole_cents(c.yes_ask, c.whole_yes),
        upc._whole_cents(c.no_ask, c.whole_no),
        c.volume,
        c.ticker,
        CASE WHEN c.is_above THEN 'no' ELSE 'yes' END,
        c.yes_ask,
        c.no_ask,
        c.yes_bid,
        c.no_bid,
        CASE WHEN (_strike_rows.terms).has_edge THEN
            upc._edge(
                c.prob_above,
                upc._quick_contract_cost(c.yes_ask, c.whole_yes, (_strike_rows.terms).edge_order)
            )
        END,
        CASE WHEN (_strike_rows.terms).has_edge THEN
            upc._edge(
                100 - c.prob_above,
                upc._quick_contract_cost(c.no_ask, c.whole_no, (_strike_rows.terms).edge_order)
            )
        END,
        c.prob_above,
        c.sample_size,
        c.move_percent,
        CASE WHEN c.is_above THEN 'above' ELSE 'below' END,
        c.prob_beyond,
        c.positive_prob,
        c.negative_prob,
        c.fingerprint,
        c.prob_low,
        c.prob_high,
        c.deviation,
        upc.edge_reason(
            closed => upc._trading_state(c.status) = 'closed',
            paused => (_strike_rows.terms).is_paused OR upc._trading_state(c.status) = 'paused',
            price_stale => (_strike_rows.terms).price_stale,
            quotes_stale => (_strike_rows.terms).quotes_stale,
            rules_unclear => (_strike_rows.terms).is_unclear,
            no_model => c.prob_above IS NULL,
            last_minute => (_strike_rows.terms).is_unseen,
            no_offer => c.yes_ask IS NULL AND c.no_ask IS NULL
        )
    FROM (
        SELECT s.*
        FROM upc._quoted_strikes(
            _strike_rows.question, _strike_rows.event, _strike_rows.terms
        ) AS s
        OFFSET 0
    ) AS c;
END;
COMMENT ON FUNCTION upc._strike_rows IS
    'rows of the strike table, for a question with nothing left out and an event that is known';


CREATE TYPE upc._table_question AS (
    question upc._question,
    event upc._event,
    price_state text
);
COMMENT ON TYPE upc._table_question IS
    'a question for the strike table with nothing left out, the event whose contracts are in it, and the freshness of the price';


-- The question with the price of the log where it has none, less the basis where that is wanted.
--
-- basis, price_state: as in strike_table.
CREATE FUNCTION upc._price_of_table(
    question upc._question,
    basis boolean,
    price_state text
)
RETURNS upc._table_question
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
AS $fn$
DECLARE
    v_known record;
    v_source text;
BEGIN
    IF question.price IS NULL THEN
        v_known := upc._known_price(question.symbol, question.at);
        v_source := v_known.source;
        basis := coalesce(basis, upc.setting('use_basis')::boolean);
        question.price := v_known.price;
        question.momentum := coalesce(question.momentum, v_known.momentum);
        price_state := coalesce(price_state, v_known.price_state);
    ELSIF basis THEN
        v_source := upc._price_source(question.symbol, question.at);
    END IF;
    RETURN (
        upc._without_basis(question, v_source, basis),
        NULL::upc._event,
        coalesce(price_state, 'fresh')
    );
END
$fn$;
COMMENT ON FUNCTION upc._price_of_table IS
    'a question for the strike table with its price, less its basis where that is wanted, and the freshness of the price';


CREATE FUNCTION upc._complete_table_question(
    question upc._question,
    has_market boolean,
    basis boolean,
    price_state text
)
RETURNS upc._table_question
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
AS $fn$
DECLARE
    v_event upc._event;
    v_priced upc._table_question;
BEGIN
    PERFORM upc.require_symbol(question.symbol);
    v_priced := upc._price_of_table(question, basis, price_state);
    question := v_priced.question;
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
        question.observed := upc._seen_average(
            question, question.at + make_interval(secs => question.ttc_seconds - 60)
        );
        IF question.observed IS NULL THEN
            PERFORM upc._refuse_observed(question.symbol);
        END IF;
    END IF;
    RETURN (upc._with_strikes(question, v_event), v_event, v_priced.price_state);
END
$fn$;
COMMENT ON FUNCTION upc._complete_table_question IS
    'a question for the strike table with its price, time to the close, step, forecast and average filled in, and the event';


-- The strikes around a price, each with the market of the event that closes next: the 2 · levels + 1 of its
-- strikes that are nearest to the price, filled up from the grid where it has fewer; the grid without an
-- event, or where a step is asked for.
--
-- price: NULL takes the newest one of the price log, with its momentum and state. momentum, symbol, levels, method,
-- model, settlement, volatility, observed, variances: as in compute_strikes. at: the clock; it chooses the event, and the ages of price and quotes, the forecast
-- and what has been seen of the last minute go by it. ttc_seconds: NULL means to the event's close, or
-- to the next full hour where there is no event. step: NULL means the distance between most of the
-- event's strikes, or the symbol's own. price_state: freshness of the price; NULL: the log's where the price
-- is, else fresh. has_market: false leaves the event out, as for prices that are not today's. basis: as in
-- contract_table; strikes and buffers are those of the price that is asked about.
-- Returns one row per strike, nearest to the price first: probabilities in percent, asks and bids
-- in USD per contract, exact; yes_edge and no_edge in cents per contract: what it pays on average,
-- less its ask and the taker fee, in an order of upc.edge_contracts (10). Unknown numbers are NULL; from
-- halted on that is every probability, from stale on (price or quotes) every edge, and from halted
-- quotes on every quote. Under 60 s to the close there is no edge unless the average settles.
-- edge_reason is one of edge_reasons() where neither side has an edge, else NULL.
-- Errors: those of compute_strikes, UP011 no price in the log.
--
-- Example:
--   SELECT strike, probability FROM strike_table(97250, 7, at => '2024-01-01 12:45+00');
CREATE FUNCTION upc.strike_table(
    price double precision DEFAULT NULL,
    momentum double precision DEFAULT NULL,
    symbol text DEFAULT 'BTC',
    at timestamptz DEFAULT clock_timestamp(),
    ttc_seconds integer DEFAULT NULL,
    step double precision DEFAULT NULL,
    levels integer DEFAULT 10,
    method text DEFAULT 'nearest',
    price_state text DEFAULT NULL,
    has_market boolean DEFAULT true,
    model text DEFAULT 'momentum',
    settlement text DEFAULT 'close',
    volatility double precision DEFAULT NULL,
    observed double precision DEFAULT NULL,
    variances double precision[] DEFAULT NULL,
    basis boolean DEFAULT NULL
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
LANGUAGE sql STABLE PARALLEL RESTRICTED ROWS 21
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
        strike_table.has_market,
        strike_table.basis,
        strike_table.price_state
    ) AS q
    CROSS JOIN LATERAL upc._row_terms_of(q.question, q.event, q.price_state) AS w
    CROSS JOIN LATERAL upc._strike_rows(q.question, q.event, w) AS r
    ORDER BY r.buffer, r.strike;
END;
COMMENT ON FUNCTION upc.strike_table IS
    'every strike around a price with its probability, what its contracts cost and the edge, nearest to the price first';

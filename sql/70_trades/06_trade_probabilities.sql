-- Probabilities of the contracts that trades are held of.
--
-- A contract above a strike of the event that the strike table is about has the probability of that
-- table. All others have that of the contract table: by the rules of their own series, with what was
-- seen of their own last minute, and beyond an hour as far as a model answers.

-- closes_at: what the question has observed is of the minute before it. settlement: what settles the
-- event by its rules. has_others: false where all that is held is of the event; NULL: that is not known.
CREATE TYPE upc._known_strikes AS (
    event_ticker text,
    closes_at timestamptz,
    strikes double precision[],
    prob_above double precision[],
    settlement text,
    has_others boolean
);
COMMENT ON TYPE upc._known_strikes IS
    'strikes of an event in USD with their probabilities of settling at or above them in percent, as far as they are known';


-- Bounds of a contract that a trade is held of: as its market has them now, else, as long as that has
-- none, as they were when they were seen last.
CREATE FUNCTION upc._held_bound(
    bound numeric,
    market_lower numeric,
    market_upper numeric,
    market_bound numeric
)
RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN _held_bound.market_lower IS NULL AND _held_bound.market_upper IS NULL
    THEN _held_bound.bound
    ELSE _held_bound.market_bound
END;
COMMENT ON FUNCTION upc._held_bound IS
    'a bound in USD of a contract that is held: that of its market, or the one that was seen last where the market has none';


-- known_event: the event that the strike table is about.
CREATE FUNCTION upc._is_of_strike_table(kind text, event_ticker text, known_event text)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN _is_of_strike_table.kind = 'above'
    AND coalesce(_is_of_strike_table.event_ticker = _is_of_strike_table.known_event, false);
COMMENT ON FUNCTION upc._is_of_strike_table IS
    'true for a contract above a strike of the event that the strike table is about';


-- Trades of a symbol that are held, with their bounds and what their market says. It is part of the query
-- that calls it.
CREATE FUNCTION upc._held_contracts(symbol text, at timestamptz, known_event text)
RETURNS TABLE (
    trade upc_data.trade,
    trade_symbol text,
    event_ticker text,
    is_of_table boolean,
    lower numeric,
    upper numeric,
    closes_at timestamptz,
    is_traded boolean,
    ttc_seconds integer,
    read_at timestamptz,
    exchange_index integer,
    status text,
    result text,
    own_bid numeric,
    opposite_ask numeric
)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 20
BEGIN ATOMIC
    SELECT
        -- The columns once more by themselves: what is worked out by them alone is worked out once.
        t, t.symbol, t.event_ticker, c.is_of_table, c.lower, c.upper, c.closes_at, c.is_traded, c.ttc_seconds, e.read_at,
        e.exchange_index, q.status, q.result, q.own_bid, q.opposite_ask
    FROM upc_data.trade AS t
    -- One probe a trade, however the tables have grown since this was planned.
    LEFT JOIN LATERAL (
        SELECT m.closes_at, m.read_at, m.exchange_index
        FROM upc_data.market_event AS m
        WHERE m.symbol = t.symbol AND m.event_ticker = t.event_ticker
        LIMIT 1
    ) AS e ON true
    LEFT JOIN LATERAL (
        SELECT
            m.status,
            m.result,
            m.lower,
            m.upper,
            CASE t.side WHEN 'yes' THEN m.yes_bid ELSE m.no_bid END AS own_bid,
            CASE t.side
                WHEN 'yes' THEN upc._offered(m.no_ask, m.yes_bid)
                ELSE upc._offered(m.yes_ask, m.no_bid)
            END AS opposite_ask
        FROM upc_data.market_quote AS m
        WHERE m.symbol = t.symbol AND m.event_ticker = t.event_ticker AND m.ticker = t.ticker
        LIMIT 1
    ) AS q ON true
    CROSS JOIN LATERAL (
        SELECT coalesce(e.closes_at, t.closes_at) AS closes_at
    ) AS l
    CROSS JOIN LATERAL (
        SELECT
            upc._is_of_strike_table(t.kind, t.event_ticker, _held_contracts.known_event)
                AS is_of_table,
            upc._held_bound(t.lower, q.lower, q.upper, q.lower) AS lower,
            upc._held_bound(t.upper, q.lower, q.upper, q.upper) AS upper,
            l.closes_at,
            l.closes_at > _held_contracts.at AS is_traded,
            -- A market that closes after 2094 must not stop the ticks.
            least(
                greatest(0, floor(extract(epoch FROM l.closes_at - _held_contracts.at))), 2147483647
            )::integer AS ttc_seconds
        -- Worked out once: without this the expressions are copied to wherever they are used.
        OFFSET 0
    ) AS c
    WHERE t.symbol = _held_contracts.symbol AND t.ended_at IS NULL;
END;
COMMENT ON FUNCTION upc._held_contracts IS
    'the trades of a symbol that are held, with the bounds and the close of their contracts, the best bid and the ask of the other side, USD';


CREATE FUNCTION upc._above_probability(
    question upc._question,
    strike double precision,
    ttc_seconds integer,
    observed double precision
)
RETURNS double precision
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    RETURN (
        SELECT p.prob_above
        FROM upc.probability(
            question.price,
            strike,
            question.momentum,
            question.symbol,
            ttc_seconds,
            question.method,
            question.model,
            CASE
                WHEN ttc_seconds >= 60 OR observed IS NOT NULL THEN question.settlement
                ELSE 'close'
            END,
            observed => _above_probability.observed,
            variances => question.variances
        ) AS p
    );
END
$fn$;
COMMENT ON FUNCTION upc._above_probability IS
    'probability in percent that a contract settles at or above a strike; the close stands in for an average that has not been seen';


-- Trades that are held, by the order of their numbers, and what is known of their contracts.
CREATE TYPE upc._held_probabilities AS (
    trade_ids bigint[],
    probabilities double precision[],
    are_unseen boolean[]
);
COMMENT ON TYPE upc._held_probabilities IS
    'trades with the probability of yes of their contracts, percent, and true where that is of a last minute that has not been seen';


-- Probabilities of the contracts of one event, as the contract table has them.
--
-- question: observed is of the minute before known_close. closes_at: of the event. is_unseen: they are of
-- a last minute that has not been seen.
CREATE FUNCTION upc._event_probabilities(
    question upc._question,
    price_state text,
    known_close timestamptz,
    event_ticker text,
    closes_at timestamptz,
    lowers double precision[],
    uppers double precision[],
    OUT probabilities double precision[],
    OUT is_unseen boolean
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_event upc_data.market_event;
    v_series upc_data.series;
    v_asked upc._contract_question;
    v_question upc._question;
    v_reading upc._reading;
BEGIN
    SELECT e.* INTO v_event
    FROM upc_data.market_event AS e
    WHERE e.symbol = question.symbol AND e.event_ticker = _event_probabilities.event_ticker;
    IF FOUND THEN
        SELECT s.* INTO v_series
        FROM upc_data.series AS s
        WHERE s.symbol = question.symbol AND s.series = v_event.series_ticker;
    ELSE
        v_event.closes_at := closes_at;
    END IF;
    IF closes_at IS DISTINCT FROM known_close THEN
        question.observed := NULL;
    END IF;
    -- It asks for bounds and not for strikes around the price.
    question.levels := 0;
    question.strikes := NULL;
    v_asked := upc._ask_of_event(question, price_state, v_event, v_series);
    v_question := v_asked.question;
    is_unseen := (v_asked.event).last_minute;
    v_reading := upc._bounds_reading(v_question);
    SELECT array_agg(p.probability ORDER BY p.place)
    INTO probabilities
    FROM upc._pair_probabilities(
        v_reading, v_question.method = 'linear', v_question.price, lowers, uppers
    ) AS p;
END
$fn$;
COMMENT ON FUNCTION upc._event_probabilities IS
    'the probability in percent of contracts of an event, each with its bounds, as the contract table has it';


-- Probabilities of the contracts that are held and not of the strike table: one curve for each event.
CREATE FUNCTION upc._contract_probabilities(
    question upc._question,
    price_state text,
    known upc._known_strikes
)
RETURNS upc._held_probabilities
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v upc._held_probabilities := ('{}', '{}', '{}');
    v_event record;
    v_found record;
BEGIN
    FOR v_event IN
        SELECT
            h.event_ticker,
            h.closes_at,
            array_agg(h.trade_id ORDER BY h.trade_id) AS trade_ids,
            array_agg(h.lower ORDER BY h.trade_id) AS lowers,
            array_agg(h.upper ORDER BY h.trade_id) AS uppers
        FROM (
            SELECT
                (c.trade).trade_id,
                (c.trade).event_ticker,
                c.closes_at,
                c.lower::double precision AS lower,
                c.upper::double precision AS upper
            FROM upc._held_contracts(question.symbol, question.at, known.event_ticker) AS c
            WHERE NOT c.is_of_table AND c.is_traded AND coalesce(c.lower, c.upper) IS NOT NULL
        ) AS h
        GROUP BY h.event_ticker, h.closes_at
    LOOP
        SELECT p.probabilities, p.is_unseen
        INTO v_found
        FROM upc._event_probabilities(
            question, price_state, known.closes_at, v_event.event_ticker, v_event.closes_at,
            v_event.lowers, v_event.uppers
        ) AS p;
        v.trade_ids := v.trade_ids || v_event.trade_ids;
        v.probabilities := v.probabilities || v_found.probabilities;
        v.are_unseen := v.are_unseen || array_fill(
            v_found.is_unseen, ARRAY[cardinality(v_event.trade_ids)]
        );
    END LOOP;
    RETURN v;
END
$fn$;
COMMENT ON FUNCTION upc._contract_probabilities IS
    'the probability of yes of every contract that is held and not of the strike table, as the contract table has it';

-- Values of the trades that are held: probability, best bid, profit.

CREATE TYPE upc._trade_value AS (
    trade upc_data.trade,
    is_traded boolean,
    ttc_seconds integer,
    probability double precision,
    shown_probability numeric,
    buffer double precision,
    close_price numeric,
    pnl numeric,
    pnl_after_fees numeric,
    result text,
    lower numeric,
    upper numeric,
    is_unseen boolean
);
COMMENT ON TYPE upc._trade_value IS
    'a trade that is held with what it is worth, with the columns of upc.active_trades';


-- yes: the probability of yes, percent; beyond: that of a price that moves at least to the strike.
CREATE FUNCTION upc._shown_side_probability(
    kind text,
    side text,
    is_below_price boolean,
    yes double precision,
    beyond double precision
)
RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    -- Rounded like the strike table: complements are those of rounded numbers.
    WHEN _shown_side_probability.kind = 'above'
        AND (_shown_side_probability.side = 'yes') = _shown_side_probability.is_below_price
    THEN 100 - upc._two_decimals(_shown_side_probability.beyond)
    WHEN _shown_side_probability.kind = 'above' THEN upc._two_decimals(_shown_side_probability.beyond)
    WHEN _shown_side_probability.side = 'yes' THEN upc._two_decimals(_shown_side_probability.yes)
    ELSE 100 - upc._two_decimals(_shown_side_probability.yes)
END;
COMMENT ON FUNCTION upc._shown_side_probability IS
    'the probability of a side as documents show it, percent, with two decimals';


-- Distance of a price from the end of where yes pays, the nearer one of two: below zero outside.
CREATE FUNCTION upc._yes_buffer(price double precision, lower numeric, upper numeric)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN least(
    _yes_buffer.price - _yes_buffer.lower::double precision,
    _yes_buffer.upper::double precision - _yes_buffer.price
);
COMMENT ON FUNCTION upc._yes_buffer IS
    'distance in USD of a price from the nearer bound of a contract, above zero where yes would pay; NULL without bounds';


CREATE FUNCTION upc._close_price(own_bid numeric, opposite_ask numeric)
RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- An ask of a dollar is an empty side: nobody bids for the other one.
RETURN CASE
    WHEN _close_price.own_bid IS DISTINCT FROM 0 THEN nullif(1 - _close_price.opposite_ask, 0)
END;
COMMENT ON FUNCTION upc._close_price IS
    'the best bid for a contract in USD: a dollar less the ask of the other side; NULL where nobody bids';


-- Values of the trades that are held.
--
-- question: of their symbol, with the clock; settlement NULL is that of each event; observed is the
-- mean of the last minute so far of what closes at known.closes_at. price_state: of the price. known: NULL
-- looks every probability up.
CREATE FUNCTION upc._trade_values(
    question upc._question,
    price_state text,
    known upc._known_strikes
)
RETURNS SETOF upc._trade_value
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 20
AS $fn$
DECLARE
    v_is_known boolean := coalesce(upc._is_shown('probability', price_state), false);
    v_other_ids bigint[];
    v_other_probabilities double precision[];
    v_unseen boolean[];
    v_event text := known.event_ticker;
    v_strikes double precision[] := known.strikes;
    v_prob_above double precision[] := known.prob_above;
    v_is_seen boolean := question.observed IS NOT NULL
        AND question.settlement IS DISTINCT FROM 'close'
        AND known.settlement IS DISTINCT FROM 'trimmed';
BEGIN
    -- A symbol whose volatility cannot be forecast still has its momentum.
    IF question.model = 'volatility' AND question.variances IS NULL THEN
        question.model := 'momentum';
    END IF;
    IF v_is_known AND known.has_others IS DISTINCT FROM false THEN
        SELECT o.trade_ids, o.probabilities, o.are_unseen
        INTO v_other_ids, v_other_probabilities, v_unseen
        FROM upc._contract_probabilities(question, price_state, known) AS o;
    END IF;
    -- Contracts of the strike table settle as that does.
    question.settlement := coalesce(question.settlement, upc._answered_settlement(known.settlement));
    RETURN QUERY
    SELECT
        h.trade,
        h.is_traded,
        h.ttc_seconds,
        CASE (h.trade).side WHEN 'yes' THEN p.yes ELSE 100 - p.yes END,
        upc._shown_side_probability(
            (h.trade).kind, (h.trade).side, c.strike <= question.price, p.yes, p.beyond
        ),
        CASE (h.trade).side WHEN 'yes' THEN 1 ELSE -1 END
            * upc._yes_buffer(question.price, h.lower, h.upper),
        v.close_price,
        (h.trade).realised_pnl + (h.trade).position * (v.close_price - (h.trade).buy_price),
        (h.trade).realised_pnl - (h.trade).realised_fee
            - (h.trade).position * (h.trade).buy_price - (h.trade).buy_fee
            + upc._amount_received(v.close_price, (h.trade).position, false, v.fees),
        h.result,
        h.lower,
        h.upper,
        coalesce(v_unseen[c.other], h.ttc_seconds < 60 AND NOT v_is_seen)
    FROM upc._held_contracts(question.symbol, question.at, v_event) AS h
    CROSS JOIN LATERAL (
        SELECT
            -- Compared like in compute_strikes: a price as numeric has 15 digits only.
            h.lower::double precision AS strike,
            CASE WHEN h.is_of_table THEN array_position(v_strikes, h.lower::double precision) END
                AS place,
            array_position(v_other_ids, (h.trade).trade_id) AS other
        OFFSET 0
    ) AS c
    CROSS JOIN LATERAL (
        SELECT
            a.yes,
            CASE WHEN c.strike > question.price THEN a.yes ELSE 100 - a.yes END AS beyond
        FROM (
            SELECT CASE
                WHEN NOT v_is_known OR NOT h.is_traded THEN NULL
                WHEN c.place IS NOT NULL THEN v_prob_above[c.place]
                WHEN c.other IS NOT NULL THEN v_other_probabilities[c.other]
                WHEN h.is_of_table AND c.strike > 0
                THEN upc._above_probability(question, c.strike, h.ttc_seconds, question.observed)
            END AS yes
            OFFSET 0
        ) AS a
        OFFSET 0
    ) AS p
    CROSS JOIN LATERAL (
        SELECT CASE WHEN h.status = 'active' AND h.is_traded THEN
            upc.freshness(question.at - h.read_at)
        END AS quote_state
        OFFSET 0
    ) AS f
    CROSS JOIN LATERAL (
        SELECT CASE WHEN f.quote_state IS NOT NULL AND upc._is_shown('quote', f.quote_state)
            AND NOT upc._is_exchange_paused(h.exchange_index, question.at)
            THEN upc._close_price(h.own_bid, h.opposite_ask)
        END AS close_price,
        upc._fees_of_event(h.trade_symbol, h.event_ticker) AS fees
        OFFSET 0
    ) AS v
    ORDER BY (h.trade).trade_id;
END
$fn$;
COMMENT ON FUNCTION upc._trade_values IS
    'the trades of a question''s symbol that are held, with what they are worth, oldest first';


-- The trades of a symbol that are held, and what they are worth.
--
-- at: the clock. price, momentum, price_state: of the symbol. method, model: as in compute_strikes.
-- settlement: the same; NULL is that of each event. strikes, prob_above, event_ticker: what is
-- known already of the event of the strike table; the rest is looked up. variances: the forecast; NULL
-- means that at the newest candle by then. observed: the mean of the last minute so far of what closes at
-- closes_at; NULL means that of the price log; where the average has not been seen the close stands in.
-- Returns one row per trade in USD and percent; what is not known is NULL: probabilities from halted
-- prices on, after the close, without bounds and where no model answers; close prices from halted quotes
-- on, while the exchange has paused trading, and where nobody bids. buffer is the distance of the price from the bound, the nearer one of two, above
-- zero where the side would pay. close_price is the best bid: a dollar less the ask of the other side.
-- Profits are of the whole trade, of what was sold before, too. lower and upper are the bounds as the
-- market has them now; is_unseen: the probability is of a last minute whose part so far has not been seen.
-- Errors: those of compute_strikes; 22023 for a setting that makes no sense.
--
-- Example:
--   SELECT load_market('{"event": {"event_ticker": "E", "series_ticker": "KXBTCD"}, "markets":
--       [{"ticker": "E-T1", "close_time": "2226-01-01T15:00:00Z", "strike_type": "greater",
--         "floor_strike": 97499.99}]}');
--   SELECT open_trade('E-T1', 'yes', 0.85, 10);
--   SELECT (trade).ticker, buffer FROM active_trades('BTC', clock_timestamp(), 97250, 7, 'fresh');
CREATE FUNCTION upc.active_trades(
    symbol text,
    at timestamptz,
    price double precision,
    momentum double precision,
    price_state text,
    method text DEFAULT 'nearest',
    strikes double precision[] DEFAULT NULL,
    prob_above double precision[] DEFAULT NULL,
    event_ticker text DEFAULT NULL,
    model text DEFAULT 'momentum',
    settlement text DEFAULT 'close',
    variances double precision[] DEFAULT NULL,
    observed double precision DEFAULT NULL,
    closes_at timestamptz DEFAULT NULL
)
RETURNS TABLE (
    trade upc_data.trade,
    is_traded boolean,
    ttc_seconds integer,
    probability double precision,
    shown_probability numeric,
    buffer double precision,
    close_price numeric,
    pnl numeric,
    pnl_after_fees numeric,
    result text,
    lower numeric,
    upper numeric,
    is_unseen boolean
)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 20
AS $fn$
DECLARE
    v_variances double precision[] := variances;
BEGIN
    IF model = 'volatility' AND v_variances IS NULL THEN
        v_variances := upc._known_variances(symbol, at);
    END IF;
    RETURN QUERY
    SELECT v.*
    FROM upc._trade_values(
        upc._make_question(
            price, momentum, symbol, method => active_trades.method,
            model => active_trades.model, settlement => active_trades.settlement,
            observed => active_trades.observed, variances => v_variances, at => active_trades.at
        ),
        price_state,
        (event_ticker, closes_at, strikes, prob_above, NULL, NULL)
    ) AS v;
END
$fn$;
COMMENT ON FUNCTION upc.active_trades IS
    'the trades of a symbol that are held, with their probability in percent, buffer, close price and profit in USD';

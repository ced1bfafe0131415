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
    result text
);
COMMENT ON TYPE upc._trade_value IS
    'a trade that is held with what it is worth, with the columns of upc.active_trades';


-- Strikes that a tick has worked out already, those of one event.
CREATE TYPE upc._known_strikes AS (
    event_ticker text,
    closes_at timestamptz,
    strikes double precision[],
    prob_above double precision[]
);
COMMENT ON TYPE upc._known_strikes IS
    'strikes of an event in USD with their probabilities of settling at or above them in percent, as far as they are known';


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
            -- A symbol whose volatility cannot be forecast still has its momentum.
            CASE
                WHEN question.model = 'volatility' AND question.variances IS NULL
                    THEN 'momentum'
                ELSE question.model
            END,
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
-- question: of their symbol, with the clock; observed is the mean of the last minute so far of what closes
-- at known.closes_at. price_state: of the price. known: NULL looks every probability up.
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
BEGIN
    RETURN QUERY
    SELECT
        t,
        c.is_traded,
        c.ttc_seconds,
        CASE t.side WHEN 'yes' THEN p.above ELSE 100 - p.above END,
        -- Rounded like the strike table: complements are those of rounded numbers.
        CASE WHEN (t.side = 'yes') = (c.strike <= question.price)
            THEN 100 - upc._two_decimals(p.beyond)
            ELSE upc._two_decimals(p.beyond)
        END,
        CASE t.side WHEN 'yes' THEN 1 ELSE -1 END * (question.price - c.strike),
        v.close_price,
        t.realised_pnl + t.position * (v.close_price - t.buy_price),
        t.realised_pnl - t.realised_fee - t.position * t.buy_price - t.buy_fee
            + upc._amount_received(v.close_price, t.position, false, v.fees),
        q.result
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
            CASE t.side WHEN 'yes' THEN m.yes_bid ELSE m.no_bid END AS own_bid,
            CASE t.side
                WHEN 'yes' THEN upc._offered(m.no_ask, m.yes_bid)
                ELSE upc._offered(m.yes_ask, m.no_bid)
            END AS opposite_ask
        FROM upc_data.market_quote AS m
        WHERE m.symbol = t.symbol AND m.event_ticker = t.event_ticker AND m.ticker = t.ticker
        LIMIT 1
    ) AS q ON true
    CROSS JOIN LATERAL (SELECT coalesce(e.closes_at, t.closes_at) AS closes_at) AS l
    CROSS JOIN LATERAL (
        SELECT
            -- Compared like in compute_strikes: a price as numeric has 15 digits only.
            t.strike::double precision AS strike,
            l.closes_at > question.at AS is_traded,
            -- A market that closes after 2094 must not stop the ticks.
            least(
                greatest(0, floor(extract(epoch FROM l.closes_at - question.at))), 2147483647
            )::integer AS ttc_seconds,
            array_position(known.strikes, t.strike::double precision) AS place
        -- Worked out once: without this the expressions are copied to wherever they are used.
        OFFSET 0
    ) AS c
    CROSS JOIN LATERAL (
        SELECT
            a.above,
            CASE WHEN c.strike > question.price THEN a.above ELSE 100 - a.above END AS beyond
        FROM (
            SELECT CASE
                WHEN NOT v_is_known OR NOT c.is_traded THEN NULL
                WHEN t.event_ticker = known.event_ticker AND c.place IS NOT NULL
                    THEN known.prob_above[c.place]
                ELSE upc._above_probability(
                    question, c.strike, c.ttc_seconds,
                    CASE WHEN l.closes_at = known.closes_at THEN question.observed END
                )
            END AS above
            OFFSET 0
        ) AS a
        OFFSET 0
    ) AS p
    CROSS JOIN LATERAL (
        SELECT CASE WHEN q.status = 'active' AND c.is_traded THEN
            upc.freshness(question.at - e.read_at)
        END AS quote_state
        OFFSET 0
    ) AS f
    CROSS JOIN LATERAL (
        SELECT CASE WHEN f.quote_state IS NOT NULL AND upc._is_shown('quote', f.quote_state)
            AND NOT upc._is_exchange_paused(e.exchange_index, question.at)
            THEN upc._close_price(q.own_bid, q.opposite_ask)
        END AS close_price,
        upc._fees_of_event(t.symbol, t.event_ticker) AS fees
        OFFSET 0
    ) AS v
    WHERE t.symbol = question.symbol AND t.ended_at IS NULL
    ORDER BY t.trade_id;
END
$fn$;
COMMENT ON FUNCTION upc._trade_values IS
    'the trades of a question''s symbol that are held, with what they are worth, oldest first';


-- The trades of a symbol that are held, and what they are worth.
--
-- at: the clock. price, momentum, price_state: of the symbol. method, model, settlement: as in
-- compute_strikes. strikes, prob_above, event_ticker: what is known already, for one event; the rest is
-- looked up. variances: the forecast; NULL means that at the newest candle by then. observed: the mean of
-- the last minute so far of what closes at closes_at; where the average has not been seen the close
-- stands in.
-- Returns one row per trade in USD and percent; what is not known is NULL: probabilities from halted
-- prices on and after the close, close prices from halted quotes on, while the exchange has paused
-- trading, and where nobody bids. close_price is the best bid: a dollar less the ask of the other side. Profits
-- are of the whole trade, of what was sold before, too.
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
    result text
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
        (event_ticker, closes_at, strikes, prob_above)
    ) AS v;
END
$fn$;
COMMENT ON FUNCTION upc.active_trades IS
    'the trades of a symbol that are held, with their probability in percent, buffer, close price and profit in USD';

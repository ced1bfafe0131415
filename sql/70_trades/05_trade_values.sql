-- Values of the trades that are held: probability, best bid, profit.

-- The trades that are held, and what they are worth. price, momentum, price_state: of the symbol.
-- strikes, prob_above, event_ticker: what is known already, for one event; the rest is looked up.
-- variances: the forecast; NULL means that at the newest candle by then. observed: the mean of the
-- last minute so far of what closes at closes_at; where the average has not been seen the close
-- stands in.
-- Returns USD and percent; what is not known is NULL: probabilities from halted prices on and after
-- the close, close prices from halted quotes on and where nobody bids. close_price is the best bid: a
-- dollar less the ask of the other side. Profits are of the whole trade, of what was sold before, too.
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
    v_precision numeric := (upc._edge_settings()).account_precision;
BEGIN
    IF model = 'volatility' AND v_variances IS NULL THEN
        v_variances := upc._known_variances(symbol, at);
    END IF;
    RETURN QUERY
    SELECT
        t,
        c.is_traded,
        c.ttc_seconds,
        CASE t.side WHEN 'yes' THEN p.above ELSE 100 - p.above END,
        -- As the strike table shows it: complements are those of rounded numbers.
        CASE WHEN (t.side = 'yes') = (c.strike <= price)
            THEN 100 - upc._two_decimals(p.beyond)
            ELSE upc._two_decimals(p.beyond)
        END,
        CASE t.side WHEN 'yes' THEN 1 ELSE -1 END * (price - c.strike),
        v.close_price,
        t.realised_pnl + t.position * (v.close_price - t.buy_price),
        t.realised_pnl - t.realised_fee - t.position * t.buy_price - t.buy_fee
            + upc._amount_received(
                v.close_price, t.position, false, s.fee_multiplier, v_precision
            ),
        q.result
    FROM upc_data.trade AS t
    JOIN upc_data.symbol AS s ON s.symbol = t.symbol
    -- One probe a trade, however the tables have grown since this was planned.
    LEFT JOIN LATERAL (
        SELECT m.closes_at, m.read_at
        FROM upc_data.market_event AS m
        WHERE m.symbol = t.symbol AND m.event_ticker = t.event_ticker
        LIMIT 1
    ) AS e ON true
    LEFT JOIN LATERAL (
        SELECT
            m.status,
            m.yes_bid,
            m.no_bid,
            upc._offered(m.yes_ask, m.no_bid) AS yes_ask,
            upc._offered(m.no_ask, m.yes_bid) AS no_ask,
            m.result
        FROM upc_data.market_quote AS m
        WHERE m.symbol = t.symbol AND m.event_ticker = t.event_ticker AND m.ticker = t.ticker
        LIMIT 1
    ) AS q ON true
    CROSS JOIN LATERAL (
        SELECT
            -- As compute_strikes compares it: a price as numeric has 15 digits only.
            t.strike::double precision AS strike,
            coalesce(e.closes_at, t.closes_at) > at AS is_traded,
            -- A market that closes after 2094 must not stop the ticks.
            least(
                greatest(0, floor(extract(epoch FROM coalesce(e.closes_at, t.closes_at) - at))),
                2147483647
            )::integer AS ttc_seconds,
            CASE
                WHEN coalesce(e.closes_at, t.closes_at) = active_trades.closes_at
                THEN active_trades.observed
            END AS observed,
            array_position(active_trades.strikes, t.strike::double precision) AS place
        -- Worked out once: without this the expressions are copied to wherever they are used.
        OFFSET 0
    ) AS c
    CROSS JOIN LATERAL (
        SELECT
            a.above,
            CASE WHEN c.strike > price THEN a.above ELSE 100 - a.above END AS beyond
        FROM (
            SELECT CASE
                WHEN NOT coalesce(upc._is_shown('probability', price_state), false)
                    OR NOT c.is_traded
                THEN NULL
                WHEN t.event_ticker = active_trades.event_ticker AND c.place IS NOT NULL
                    THEN active_trades.prob_above[c.place]
                ELSE (
                    SELECT o.prob_above
                    FROM upc.probability(
                        price, c.strike, momentum, t.symbol, c.ttc_seconds, method,
                        CASE
                            WHEN active_trades.model = 'volatility' AND v_variances IS NULL
                                THEN 'momentum'
                            ELSE active_trades.model
                        END,
                        CASE
                            WHEN c.ttc_seconds >= 60 OR c.observed IS NOT NULL
                                THEN active_trades.settlement
                            ELSE 'close'
                        END,
                        observed => c.observed,
                        variances => v_variances
                    ) AS o
                )
            END AS above
            OFFSET 0
        ) AS a
        OFFSET 0
    ) AS p
    CROSS JOIN LATERAL (
        SELECT CASE WHEN q.status = 'active' AND c.is_traded THEN upc.freshness(at - e.read_at) END
            AS quote_state
        OFFSET 0
    ) AS f
    CROSS JOIN LATERAL (
        SELECT CASE WHEN f.quote_state IS NOT NULL AND upc._is_shown('quote', f.quote_state)
            THEN CASE t.side WHEN 'yes' THEN q.no_ask ELSE q.yes_ask END
        END AS opposite_ask
        OFFSET 0
    ) AS o
    CROSS JOIN LATERAL (
        -- An ask of a dollar is an empty side: nobody bids for the other one.
        SELECT CASE
            WHEN CASE t.side WHEN 'yes' THEN q.yes_bid ELSE q.no_bid END IS DISTINCT FROM 0
            THEN nullif(1 - o.opposite_ask, 0)
        END AS close_price
        OFFSET 0
    ) AS v
    WHERE t.symbol = active_trades.symbol AND t.ended_at IS NULL
    ORDER BY t.trade_id;
END
$fn$;
COMMENT ON FUNCTION upc.active_trades IS
    'the trades of a symbol that are held, with their probability in percent, buffer, close price and profit in USD';

-- Trades: what was bought, what it is worth now, and what became of it. No orders are placed.

CREATE FUNCTION upc._refuse_trade(reason text, detail text, hint text)
RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
BEGIN
    RAISE EXCEPTION '%', reason USING ERRCODE = 'UP015', DETAIL = detail, HINT = hint;
END
$fn$;
COMMENT ON FUNCTION upc._refuse_trade IS 'raises UP015: a trade that cannot be';


CREATE FUNCTION upc._dollars_fee(
    symbol text,
    price numeric,
    contracts numeric,
    is_sale boolean DEFAULT false,
    is_maker boolean DEFAULT false
)
RETURNS numeric
LANGUAGE sql STABLE PARALLEL SAFE
RETURN (
    SELECT upc.trade_fee(
        _dollars_fee.price, _dollars_fee.contracts, _dollars_fee.is_maker, s.fee_multiplier,
        is_sale => _dollars_fee.is_sale
    )
    FROM upc_data.symbol AS s
    WHERE s.symbol = _dollars_fee.symbol
);
COMMENT ON FUNCTION upc._dollars_fee IS
    'what Kalshi takes of a fill of a symbol''s contracts, in USD';


CREATE FUNCTION upc._check_fill_fee(fee numeric, is_maker boolean)
RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
BEGIN
    IF NOT coalesce(fee >= 0 AND fee < 1e12, true) THEN
        PERFORM upc._refuse_trade(
            format('fee must not be below zero, got %s', fee),
            'It is what was charged for all contracts of the fill, in USD.',
            'Leave it out to have it computed.'
        );
    END IF;
    IF is_maker IS NULL THEN
        PERFORM upc._refuse_trade(
            -- Not a constant: the call would fail where the body is checked.
            format('is_maker must be true or false, got %s', coalesce(is_maker::text, 'NULL')),
            'A maker''s order rested in the book before it was filled.',
            'Leave it out for a taker.'
        );
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._check_fill_fee IS
    'raises UP015 for a fee below zero or that is no number; NULL is one to be computed';


-- Put a fill into the ledger. Whoever calls it holds the lock of the trade's row.
CREATE FUNCTION upc._record_fill(
    symbol text,
    trade_id bigint,
    kind text,
    price numeric,
    count numeric,
    is_maker boolean,
    fee numeric,
    is_fee_charged boolean,
    at timestamptz
)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_last integer;
BEGIN
    SELECT max(f.fill)
    INTO v_last
    FROM upc_data.fill AS f
    WHERE f.symbol = _record_fill.symbol AND f.trade_id = _record_fill.trade_id;

    INSERT INTO upc_data.fill (
        symbol, trade_id, fill, kind, price, count, is_maker, fee, is_fee_charged, filled_at
    )
    VALUES (
        symbol, trade_id, coalesce(v_last, 0) + 1, kind, price, count, is_maker, fee,
        is_fee_charged, at
    );
END
$fn$;
COMMENT ON FUNCTION upc._record_fill IS
    'puts a purchase, sale or settlement of some contracts of a trade into the ledger';


-- Record a trade that was made, so that it is watched over until it ends.
--
-- ticker: the market. side: yes or no. price: what one contract cost, USD, between 0 and 1, exact.
-- count: contracts, above zero. symbol: NULL takes the one whose market it is. at: when. fee: what was
-- charged for all of them, USD; NULL computes it. is_maker: the order rested in the book.
-- Returns the number of the trade.
-- Errors: UP002 symbol, UP015 side, price, count or fee, or a market that has closed by then, UP016
-- no such market.
--
-- Example:
--   SELECT load_market('{"event": {"event_ticker": "E", "series_ticker": "KXBTCD"}, "markets":
--       [{"ticker": "E-T1", "close_time": "2226-01-01T15:00:00Z", "strike_type": "greater",
--         "floor_strike": 97499.99}]}');
--   SELECT open_trade('E-T1', 'yes', 0.85, 10) > 0;
CREATE FUNCTION upc.open_trade(
    ticker text,
    side text,
    price numeric,
    count numeric,
    symbol text DEFAULT NULL,
    at timestamptz DEFAULT clock_timestamp(),
    fee numeric DEFAULT NULL,
    is_maker boolean DEFAULT false
)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_market record;
    v_fee numeric;
    v_id bigint;
BEGIN
    IF symbol IS NOT NULL THEN
        PERFORM upc.require_symbol(symbol);
    END IF;
    IF NOT coalesce(side IN ('yes', 'no'), false) THEN
        PERFORM upc._refuse_trade(
            format('side must be yes or no, got %s', coalesce(quote_literal(side), 'NULL')),
            'A contract pays one dollar if its side comes true.',
            'Pass ''yes'' or ''no''.'
        );
    END IF;
    IF NOT coalesce(price > 0 AND price < 1, false) THEN
        PERFORM upc._refuse_trade(
            format('price must be between 0 and 1 dollar, got %s', coalesce(price::text, 'NULL')),
            'It is what one contract cost, in USD.',
            'Write 85 cents as 0.85.'
        );
    END IF;
    IF NOT coalesce(count > 0 AND count < 1e12, false) THEN
        PERFORM upc._refuse_trade(
            format('count must be above zero, got %s', coalesce(count::text, 'NULL')),
            'It is the number of contracts that were bought.',
            'Selling what you have is closing the trade.'
        );
    END IF;
    IF NOT coalesce(isfinite(at), false) THEN
        PERFORM upc._refuse_trade(
            format('a trade is made at some time, got %s', coalesce(at::text, 'NULL')),
            'It is when the contracts were bought.',
            'Leave it out for now.'
        );
    END IF;
    PERFORM upc._check_fill_fee(fee, is_maker);

    SELECT q.symbol, q.event_ticker, q.ticker, q.strike, q.result, e.closes_at
    INTO v_market
    FROM upc_data.symbol AS s
    JOIN upc_data.market_event AS e ON e.symbol = s.symbol
    JOIN upc_data.market_quote AS q
        ON q.symbol = e.symbol AND q.event_ticker = e.event_ticker
    WHERE s.symbol = coalesce(open_trade.symbol, s.symbol) AND q.ticker = open_trade.ticker
    ORDER BY e.closes_at DESC
    LIMIT 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no market is called %', coalesce(quote_literal(ticker), 'NULL')
            USING
                ERRCODE = 'UP016',
                DETAIL = 'The markets are those of the events that were read.',
                HINT = 'Run pyupc feed, or load the event: pyupc market load FILE.';
    END IF;
    IF v_market.closes_at <= at OR v_market.result IS NOT NULL THEN
        PERFORM upc._refuse_trade(
            format('%s closed at %s', ticker, upc._iso_utc(v_market.closes_at)),
            'Nothing can be bought any more.',
            'pyupc market show tells the event that closes next.'
        );
    END IF;
    IF v_market.strike <= 0 THEN
        -- It has no probability, and every tick would fail for the want of it.
        PERFORM upc._refuse_trade(
            format('%s has the strike %s', ticker, v_market.strike),
            'A price is always above zero.',
            'There is nothing to watch over.'
        );
    END IF;

    v_fee := coalesce(
        fee, upc._dollars_fee(v_market.symbol, price, count, is_maker => open_trade.is_maker)
    );
    INSERT INTO upc_data.trade AS t (
        symbol, event_ticker, ticker, side, strike, closes_at, buy_price, position, buy_fee,
        opened_at
    )
    VALUES (
        v_market.symbol, v_market.event_ticker, v_market.ticker, open_trade.side, v_market.strike,
        v_market.closes_at, price, count, v_fee, at
    )
    RETURNING t.trade_id INTO v_id;
    PERFORM upc._record_fill(
        v_market.symbol, v_id, 'buy', price, count, is_maker, v_fee, fee IS NOT NULL, at
    );
    RETURN v_id;
END
$fn$;
COMMENT ON FUNCTION upc.open_trade IS
    'records a trade that was made, so that it is watched over until it ends';


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
                WHEN NOT coalesce(upc._is_told('probability', price_state), false)
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
        SELECT CASE WHEN f.quote_state IS NOT NULL AND upc._is_told('quote', f.quote_state)
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


-- What is known of every symbol right now, from the price log.
CREATE FUNCTION upc._price_now(
    symbol text,
    at timestamptz,
    OUT price double precision,
    OUT momentum double precision,
    OUT price_state text
)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
AS $fn$
DECLARE
    v_seen record;
BEGIN
    SELECT p.* INTO v_seen FROM upc._logged_price(symbol, at) AS p;
    price := v_seen.price;
    IF price IS NULL THEN
        RETURN;
    END IF;
    price_state := upc._logged_state(
        symbol, 'database', at, v_seen.priced_at, v_seen.same_since, v_seen.newest_at
    );
    SELECT m.momentum INTO momentum FROM upc.momentum(symbol, at, price) AS m;
END
$fn$;
COMMENT ON FUNCTION upc._price_now IS
    'the newest logged price of a symbol in USD, its momentum in basis points and its state; NULL without one';


-- What is asked of the trades of a symbol at an instant, as in a tick of then: what was left out filled
-- in, momentum where there is no volatility, and what was seen of the last minute of what closes next.
CREATE FUNCTION upc._trade_question(
    symbol text,
    at timestamptz,
    method text,
    model text,
    settlement text,
    OUT used_method text,
    OUT used_model text,
    OUT asked_settlement text,
    OUT variances double precision[],
    OUT observed double precision,
    OUT closes_at timestamptz
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    SELECT d.model, d.method, d.settlement
    INTO used_model, used_method, asked_settlement
    FROM upc._question_defaults(symbol, model, method, settlement) AS d;
    IF used_model = 'volatility' THEN
        variances := upc._known_variances(symbol, at);
        IF variances IS NULL OR NOT upc._has_volatility_curves(symbol) THEN
            used_model := 'momentum';
            variances := NULL;
        END IF;
    END IF;
    SELECT coalesce(e.closes_at, upc._next_hour(at))
    INTO closes_at
    FROM upc.current_event(symbol, at) AS e;
    IF asked_settlement = 'average' AND closes_at - at < interval '60 seconds' THEN
        observed := upc._observed_average(symbol, closes_at - interval '1 minute', at);
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._trade_question IS
    'the method, model and settlement by which the trades of a symbol are looked at, with the forecast and what was seen of the last minute';


CREATE TYPE upc.trade_row AS (
    trade_id bigint,
    symbol text,
    event_ticker text,
    ticker text,
    side text,
    strike numeric,
    status text,
    "position" numeric,
    buy_price numeric,
    opened_at timestamptz,
    closes_at timestamptz,
    symbol_price double precision,
    probability double precision,
    buffer double precision,
    close_price numeric,
    pnl_per_contract numeric,
    pnl numeric,
    pnl_per_contract_after_fees numeric,
    pnl_after_fees numeric,
    stop_reason text,
    stopped_at timestamptz,
    ended_at timestamptz,
    result text,
    sold_count numeric,
    realised_pnl numeric,
    fees numeric
);
COMMENT ON TYPE upc.trade_row IS
    'a trade with what it is worth now or brought in the end: prices and profits in USD, its probability in percent';


-- Trades with what they are worth now or brought in the end.
--
-- symbol: NULL takes all. has_ended: also those that were sold or settled. method, model, settlement:
-- as in a tick, NULL as in question_defaults and with the same stand-ins.
-- Returns one row a trade, oldest first; prices and profits in USD, probabilities in percent. What
-- is not known is NULL. position is what is held, or was until the end, sold_count what was sold
-- before, realised_pnl what that brought before fees. Profits are of all of it. fees is what was paid.
-- Errors: UP002 symbol.
CREATE FUNCTION upc.trade_list(
    symbol text DEFAULT NULL,
    has_ended boolean DEFAULT false,
    at timestamptz DEFAULT clock_timestamp(),
    method text DEFAULT 'nearest',
    model text DEFAULT 'momentum',
    settlement text DEFAULT 'close'
)
RETURNS SETOF upc.trade_row
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED ROWS 20
AS $fn$
BEGIN
    IF symbol IS NOT NULL THEN
        PERFORM upc.require_symbol(symbol);
    END IF;
    RETURN QUERY
    SELECT
        (l.trade).trade_id,
        (l.trade).symbol,
        (l.trade).event_ticker,
        (l.trade).ticker,
        (l.trade).side,
        (l.trade).strike,
        (l.trade).status,
        (l.trade).position,
        (l.trade).buy_price,
        (l.trade).opened_at,
        (l.trade).closes_at,
        l.price,
        l.probability,
        l.buffer,
        l.close_price,
        round(l.pnl / ((l.trade).position + (l.trade).sold_count), 6),
        l.pnl,
        round(l.pnl_after_fees / ((l.trade).position + (l.trade).sold_count), 6),
        l.pnl_after_fees,
        (l.trade).stop_reason,
        (l.trade).stopped_at,
        (l.trade).ended_at,
        l.result,
        (l.trade).sold_count,
        (l.trade).realised_pnl,
        (l.trade).buy_fee + (l.trade).realised_fee + coalesce((l.trade).end_fee, 0)
    FROM (
        SELECT
            a.trade, n.price, a.probability, a.buffer, a.close_price, a.pnl, a.pnl_after_fees,
            a.result
        FROM (
            SELECT DISTINCT t.symbol
            FROM upc_data.trade AS t
            WHERE t.symbol = coalesce(trade_list.symbol, t.symbol) AND t.ended_at IS NULL
        ) AS s
        CROSS JOIN LATERAL upc._price_now(s.symbol, at) AS n
        CROSS JOIN LATERAL upc._trade_question(s.symbol, at, method, model, settlement) AS q
        CROSS JOIN LATERAL upc.active_trades(
            s.symbol, at, n.price, n.momentum,
            -- Without a fingerprint a trade has no probability, and can be listed and closed.
            CASE WHEN EXISTS (
                SELECT FROM upc.fingerprint_grid AS g WHERE g.symbol = s.symbol
            ) THEN n.price_state END,
            q.used_method,
            model => q.used_model,
            settlement => q.asked_settlement,
            variances => q.variances,
            observed => q.observed,
            closes_at => q.closes_at
        ) AS a

        UNION ALL

        SELECT
            t, NULL, NULL, NULL, t.end_price,
            t.realised_pnl + t.position * (t.end_price - t.buy_price),
            t.realised_pnl + t.position * (t.end_price - t.buy_price)
                - t.buy_fee - t.realised_fee - t.end_fee,
            t.result
        FROM upc_data.trade AS t
        WHERE has_ended
          AND t.symbol = coalesce(trade_list.symbol, t.symbol)
          AND t.ended_at IS NOT NULL
    ) AS l
    ORDER BY (l.trade).trade_id;
END
$fn$;
COMMENT ON FUNCTION upc.trade_list IS
    'trades with what they are worth now or brought in the end, oldest first';


-- Record that a trade was sold, or a part of it; the rest goes on being watched over.
--
-- price: what one contract brought, USD, from 0 to 1; NULL takes the best bid (a dollar less the ask of
-- the other side). count: contracts, at most what is held; NULL sells all of it. fee: what was charged
-- for them, USD; NULL computes it. is_maker: the order rested in the book.
-- Returns the trade.
-- Errors: UP015 price, count or fee, no price where nobody bids, or a trade that has ended, UP017 no
-- such trade.
CREATE FUNCTION upc.close_trade(
    trade_id bigint,
    price numeric DEFAULT NULL,
    at timestamptz DEFAULT clock_timestamp(),
    count numeric DEFAULT NULL,
    fee numeric DEFAULT NULL,
    is_maker boolean DEFAULT false
)
RETURNS upc_data.trade
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_trade upc_data.trade;
    v_price numeric := price;
    v_count numeric;
    v_fee numeric;
BEGIN
    SELECT t.*
    INTO v_trade
    FROM upc_data.trade AS t
    WHERE t.symbol IN (SELECT s.symbol FROM upc_data.symbol AS s)
      AND t.trade_id = close_trade.trade_id
    FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no trade %', coalesce(trade_id::text, 'NULL')
            USING
                ERRCODE = 'UP017',
                DETAIL = 'A trade has the number that it was given when it was opened.',
                HINT = 'pyupc trades list --all shows all of them.';
    END IF;
    IF v_trade.ended_at IS NOT NULL THEN
        PERFORM upc._refuse_trade(
            format('trade %s was %s at %s', trade_id, v_trade.status, upc._iso_utc(v_trade.ended_at)),
            'It can end once.',
            'pyupc trades list --all shows what it brought.'
        );
    END IF;
    IF NOT coalesce(isfinite(at) AND at >= v_trade.opened_at, false) THEN
        PERFORM upc._refuse_trade(
            format('trade %s was opened at %s', trade_id, upc._iso_utc(v_trade.opened_at)),
            'It cannot end before.',
            'Leave the time out for now.'
        );
    END IF;
    IF NOT coalesce(price BETWEEN 0 AND 1, true) THEN
        PERFORM upc._refuse_trade(
            format('price must be from 0 to 1 dollar, got %s', price),
            'It is what one contract brought, in USD.',
            'Write 85 cents as 0.85.'
        );
    END IF;
    v_count := coalesce(count, v_trade.position);
    IF NOT (v_count > 0 AND v_count <= v_trade.position) THEN
        PERFORM upc._refuse_trade(
            format('count must be above zero and at most %s, got %s', v_trade.position, count),
            'It is the number of contracts that were sold, of those that are held.',
            'Leave it out to sell all of them.'
        );
    END IF;
    PERFORM upc._check_fill_fee(fee, is_maker);

    IF v_price IS NULL THEN
        SELECT l.close_price
        INTO v_price
        FROM upc.trade_list(v_trade.symbol, at => close_trade.at) AS l
        WHERE l.trade_id = close_trade.trade_id;
    END IF;
    IF v_price IS NULL THEN
        PERFORM upc._refuse_trade(
            format('nobody is known to bid for trade %s', trade_id),
            'There is no ask for the other side, or the quotes are too old.',
            'Say what it brought: --price.'
        );
    END IF;
    v_fee := coalesce(
        fee, upc._dollars_fee(v_trade.symbol, v_price, v_count, true, close_trade.is_maker)
    );
    PERFORM upc._record_fill(
        v_trade.symbol, v_trade.trade_id, 'sale', v_price, v_count, is_maker, v_fee,
        fee IS NOT NULL, at
    );

    IF v_count < v_trade.position THEN
        UPDATE upc_data.trade AS t
        SET
            position = t.position - v_count,
            sold_count = t.sold_count + v_count,
            realised_pnl = t.realised_pnl + v_count * (v_price - t.buy_price),
            realised_fee = t.realised_fee + v_fee
        WHERE t.symbol = v_trade.symbol AND t.trade_id = v_trade.trade_id
        RETURNING t.* INTO v_trade;
        RETURN v_trade;
    END IF;
    UPDATE upc_data.trade AS t
    SET
        status = 'closed',
        ended_at = at,
        end_price = v_price,
        end_fee = v_fee
    WHERE t.symbol = v_trade.symbol AND t.trade_id = v_trade.trade_id
    RETURNING t.* INTO v_trade;
    RETURN v_trade;
END
$fn$;
COMMENT ON FUNCTION upc.close_trade IS
    'records that a trade or a part of it was sold, at a price or at the best bid';

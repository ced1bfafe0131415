-- Opening: a trade that was made elsewhere is recorded. No orders are placed.

CREATE FUNCTION upc._check_purchase(side text, price numeric, count numeric, at timestamptz)
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
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
END
$fn$;
COMMENT ON FUNCTION upc._check_purchase IS
    'raises UP015 for a side, price, count or time that no purchase has';


CREATE FUNCTION upc._open_market(ticker text, symbol text, at timestamptz)
RETURNS TABLE (
    market_symbol text,
    event_ticker text,
    kind text,
    lower numeric,
    upper numeric,
    closes_at timestamptz
)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1
AS $fn$
DECLARE
    v_result text;
BEGIN
    SELECT q.symbol, q.event_ticker, r.kind, q.lower, q.upper, e.closes_at, q.result
    INTO market_symbol, event_ticker, kind, lower, upper, closes_at, v_result
    FROM upc_data.symbol AS s
    JOIN upc_data.market_event AS e ON e.symbol = s.symbol
    JOIN upc_data.market_quote AS q
        ON q.symbol = e.symbol AND q.event_ticker = e.event_ticker
    LEFT JOIN upc_data.series AS r ON r.symbol = e.symbol AND r.series = e.series_ticker
    WHERE s.symbol = coalesce(_open_market.symbol, s.symbol) AND q.ticker = _open_market.ticker
    ORDER BY e.closes_at DESC
    LIMIT 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no market is called %', coalesce(quote_literal(ticker), 'NULL')
            USING
                ERRCODE = 'UP016',
                DETAIL = 'The markets are those of the events that were read.',
                HINT = 'Run pyupc feed, or load the event: pyupc market load FILE.';
    END IF;
    IF closes_at <= at OR v_result IS NOT NULL THEN
        PERFORM upc._refuse_trade(
            format('%s closed at %s', ticker, upc._iso_utc(closes_at)),
            'Nothing can be bought any more.',
            'pyupc market show prints the event that closes next.'
        );
    END IF;
    IF coalesce(upper, lower) <= 0 THEN
        -- Nobody says what it is worth: of strikes nothing is known there.
        PERFORM upc._refuse_trade(
            format('%s has the strike %s', ticker, coalesce(upper, lower)),
            'A price is always above zero.',
            'There is nothing to watch over.'
        );
    END IF;
    kind := coalesce(kind, 'above');
    RETURN NEXT;
END
$fn$;
COMMENT ON FUNCTION upc._open_market IS
    'the market of that name that closes last; raises UP016 without one, UP015 where it has closed by then or nothing above zero decides it';


-- Record a trade that was made, so that it is watched over until it ends: of a contract of any kind, also
-- of one whose strike is not known yet.
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
    PERFORM upc._check_purchase(side, price, count, at);
    PERFORM upc._check_fill_fee(fee, is_maker);
    SELECT m.* INTO v_market FROM upc._open_market(ticker, symbol, at) AS m;

    v_fee := coalesce(
        fee,
        upc._dollars_fee(
            v_market.market_symbol, v_market.event_ticker, price, count,
            is_maker => open_trade.is_maker
        )
    );
    INSERT INTO upc_data.trade AS t (
        symbol, event_ticker, ticker, side, kind, lower, upper, closes_at, buy_price, position,
        buy_fee, opened_at
    )
    VALUES (
        v_market.market_symbol, v_market.event_ticker, open_trade.ticker, open_trade.side,
        v_market.kind, v_market.lower, v_market.upper, v_market.closes_at, price, count, v_fee, at
    )
    RETURNING t.trade_id INTO v_id;
    PERFORM upc._record_fill(
        v_market.market_symbol, v_id, 'buy', price, count, is_maker, v_fee, fee IS NOT NULL, at
    );
    RETURN v_id;
END
$fn$;
COMMENT ON FUNCTION upc.open_trade IS
    'records a trade that was made, so that it is watched over until it ends';

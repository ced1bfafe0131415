-- Closing: a trade, or a part of it, was sold.

CREATE FUNCTION upc._check_sale(
    trade upc_data.trade,
    price numeric,
    count numeric,
    at timestamptz
)
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    IF trade.ended_at IS NOT NULL THEN
        PERFORM upc._refuse_trade(
            format(
                'trade %s was %s at %s',
                trade.trade_id, trade.status, upc._iso_utc(trade.ended_at)
            ),
            'It can end once.',
            'pyupc trades list --all shows what it brought.'
        );
    END IF;
    IF NOT coalesce(isfinite(at) AND at >= trade.opened_at, false) THEN
        PERFORM upc._refuse_trade(
            format('trade %s was opened at %s', trade.trade_id, upc._iso_utc(trade.opened_at)),
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
    IF NOT coalesce(count > 0 AND count <= trade.position, true) THEN
        PERFORM upc._refuse_trade(
            format('count must be above zero and at most %s, got %s', trade.position, count),
            'It is the number of contracts that were sold, of those that are held.',
            'Leave it out to sell all of them.'
        );
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._check_sale IS
    'raises UP015 for a trade that has ended, or a price, count or time that no sale of it has; NULL is a price or count to be found';


CREATE FUNCTION upc._take_fill(trade upc_data.trade, price numeric, count numeric, fee numeric, at timestamptz)
RETURNS upc_data.trade
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_trade upc_data.trade;
BEGIN
    IF count < trade.position THEN
        UPDATE upc_data.trade AS t
        SET
            position = t.position - _take_fill.count,
            sold_count = t.sold_count + _take_fill.count,
            realised_pnl = t.realised_pnl + _take_fill.count * (_take_fill.price - t.buy_price),
            realised_fee = t.realised_fee + _take_fill.fee
        WHERE t.symbol = trade.symbol AND t.trade_id = trade.trade_id
        RETURNING t.* INTO v_trade;
        RETURN v_trade;
    END IF;
    UPDATE upc_data.trade AS t
    SET
        status = 'closed',
        ended_at = at,
        end_price = _take_fill.price,
        end_fee = _take_fill.fee
    WHERE t.symbol = trade.symbol AND t.trade_id = trade.trade_id
    RETURNING t.* INTO v_trade;
    RETURN v_trade;
END
$fn$;
COMMENT ON FUNCTION upc._take_fill IS
    'takes contracts that were sold out of a trade, which ends with the last of them; returns the trade';


-- Record that a trade was sold, or a part of it; the rest goes on being watched over.
--
-- trade_id: as open_trade returned it. price: what one contract brought, USD, from 0 to 1; NULL takes the
-- best bid (a dollar less the ask of the other side). at: when. count: contracts, at most what is held;
-- NULL sells all of it. fee: what was charged for them, USD; NULL computes it. is_maker: the order rested
-- in the book.
-- Returns the trade.
-- Errors: UP015 price, count or fee, no price where nobody bids, or a trade that has ended, UP017 no
-- such trade.
--
-- Example:
--   SELECT load_market('{"event": {"event_ticker": "E", "series_ticker": "KXBTCD"}, "markets":
--       [{"ticker": "E-T1", "close_time": "2226-01-01T15:00:00Z", "strike_type": "greater",
--         "floor_strike": 97499.99}]}');
--   SELECT open_trade('E-T1', 'yes', 0.85, 10);
--   SELECT realised_pnl = 0.50 FROM close_trade(
--       (SELECT max(trade_id) FROM trade_list('BTC')), 0.95, count => 5);
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
    PERFORM upc._check_sale(v_trade, price, count, at);
    PERFORM upc._check_fill_fee(fee, is_maker);

    IF v_price IS NULL THEN
        SELECT l.close_price
        INTO v_price
        FROM upc.trade_list(v_trade.symbol, at => close_trade.at) AS l
        WHERE l.trade_id = close_trade.trade_id;
    END IF;
    IF v_price IS NULL THEN
        PERFORM upc._refuse_trade(
            format('no bid is known for trade %s', trade_id),
            'There is no ask for the other side, or the quotes are too old.',
            'Give the price that it brought: --price.'
        );
    END IF;
    v_count := coalesce(count, v_trade.position);
    v_fee := coalesce(
        fee, upc._dollars_fee(
            v_trade.symbol, v_trade.event_ticker, v_price, v_count, true, close_trade.is_maker
        )
    );
    PERFORM upc._record_fill(
        v_trade.symbol, v_trade.trade_id, 'sale', v_price, v_count, is_maker, v_fee,
        fee IS NOT NULL, at
    );
    RETURN upc._take_fill(v_trade, v_price, v_count, v_fee, at);
END
$fn$;
COMMENT ON FUNCTION upc.close_trade IS
    'records that a trade or a part of it was sold, at a price or at the best bid';

-- Settlement: trades end by the result of their market.

-- Settle the trades of a symbol whose market has a result, from its close on.
CREATE FUNCTION upc._settle_trades(symbol text, at timestamptz)
RETURNS json[]
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_announced json[] := '{}'::json[];
    v_trade upc_data.trade;
    v_pnl numeric;
BEGIN
    FOR v_trade IN
        UPDATE upc_data.trade AS t
        SET
            status = 'settled',
            ended_at = at,
            end_price = CASE WHEN q.result = t.side THEN 1 ELSE 0 END,
            end_fee = 0,
            result = q.result
        FROM upc_data.market_quote AS q
        JOIN upc_data.market_event AS e
            ON e.symbol = q.symbol AND e.event_ticker = q.event_ticker
        WHERE t.symbol = _settle_trades.symbol
          AND t.ended_at IS NULL
          AND q.symbol = t.symbol
          AND q.event_ticker = t.event_ticker
          AND q.ticker = t.ticker
          AND q.result IN ('yes', 'no')
          AND e.closes_at <= at
          -- Somebody who is about to close it comes first.
          AND t.trade_id IN (
              SELECT f.trade_id
              FROM upc_data.trade AS f
              WHERE f.symbol = _settle_trades.symbol AND f.ended_at IS NULL
              FOR UPDATE SKIP LOCKED
          )
        RETURNING t.*
    LOOP
        PERFORM upc._record_fill(
            symbol, v_trade.trade_id, 'settlement', v_trade.end_price, v_trade.position, false, 0,
            false, at
        );
        v_pnl := v_trade.realised_pnl
            + v_trade.position * (v_trade.end_price - v_trade.buy_price)
            - v_trade.buy_fee - v_trade.realised_fee;
        v_announced := v_announced || upc._announce(
            symbol,
            'settled',
            'trade',
            format(
                '%s: trade %s, %s %s %s, settled as %s: %s USD after fees',
                symbol, v_trade.trade_id, trim_scale(v_trade.position), v_trade.side,
                v_trade.ticker, v_trade.result, to_char(v_pnl, 'FMS999999999990.00')
            ),
            json_build_object(
                'id', v_trade.trade_id,
                'ticker', v_trade.ticker,
                'side', v_trade.side,
                'position', trim_scale(v_trade.position),
                'buy_price', v_trade.buy_price,
                'result', v_trade.result,
                'pnl_after_fees', v_pnl
            ),
            at
        );
    END LOOP;
    RETURN v_announced;
END
$fn$;
COMMENT ON FUNCTION upc._settle_trades IS
    'settles the trades whose market has closed and has a result; returns the announcements';

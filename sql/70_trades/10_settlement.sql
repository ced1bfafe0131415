-- Settlement: trades end by the result of their market, provisionally until that is final.

-- Payment of a contract of a side by the result of its market, USD; NULL as long as that is not known.
CREATE FUNCTION upc._payout(side text, result text, settlement_value numeric)
RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN _payout.result IN ('yes', 'no') THEN CASE WHEN _payout.result = _payout.side THEN 1 ELSE 0 END
    WHEN _payout.result IN ('scalar', 'void') THEN
        CASE _payout.side WHEN 'yes' THEN _payout.settlement_value ELSE 1 - _payout.settlement_value END
END;
COMMENT ON FUNCTION upc._payout IS
    'what a contract of a side pays by the result of its market, USD; NULL as long as that is not known';


-- Results of the trades that are held, or settled provisionally, as far as they are known: from the close on, or
-- before it where the market was closed early. One that is disputed is none.
CREATE FUNCTION upc._trade_results(symbol text, at timestamptz, is_held boolean)
RETURNS TABLE (trade_id bigint, payout numeric, result text, is_final boolean)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 5
AS $fn$
BEGIN
    RETURN QUERY
    SELECT
        t.trade_id, upc._payout(t.side, q.result, q.settlement_value), q.result,
        coalesce(q.status IN ('finalized', 'settled'), false)
    FROM upc_data.trade AS t
    JOIN upc_data.market_quote AS q
        ON q.symbol = t.symbol AND q.event_ticker = t.event_ticker AND q.ticker = t.ticker
    JOIN upc_data.market_event AS e
        ON e.symbol = q.symbol AND e.event_ticker = q.event_ticker
    WHERE t.symbol = _trade_results.symbol
      AND CASE WHEN is_held THEN t.ended_at IS NULL ELSE t.is_provisional END
      AND upc._payout(t.side, q.result, q.settlement_value) IS NOT NULL
      AND q.status IS DISTINCT FROM 'disputed'
      AND (
          e.closes_at <= at
          OR q.status IN ('determined', 'amended', 'finalized', 'settled')
      );
END
$fn$;
COMMENT ON FUNCTION upc._trade_results IS
    'results of the trades that are held, or that are settled provisionally, with what a contract pays in USD';


-- note: why it is settled again; NULL the first time.
CREATE FUNCTION upc._announce_settlement(trade upc_data.trade, note text, at timestamptz)
RETURNS json
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_pnl numeric := trade.realised_pnl + trade.position * (trade.end_price - trade.buy_price)
        - trade.buy_fee - trade.realised_fee;
BEGIN
    RETURN upc._announce(
        trade.symbol,
        'settled',
        'trade',
        format(
            '%s: trade %s, %s %s %s, settled as %s%s: %s USD after fees',
            trade.symbol, trade.trade_id, trim_scale(trade.position), trade.side,
            upc._named_contract(trade), trade.result, ', ' || note, to_char(v_pnl, 'FMS999999999990.00')
        ),
        json_build_object(
            'id', trade.trade_id,
            'ticker', trade.ticker,
            'side', trade.side,
            'position', trim_scale(trade.position),
            'buy_price', trade.buy_price,
            'result', trade.result,
            'pnl_after_fees', v_pnl,
            'end_price', trade.end_price,
            'is_provisional', trade.is_provisional,
            'note', note
        ),
        at
    );
END
$fn$;
COMMENT ON FUNCTION upc._announce_settlement IS
    'announces what a trade was settled as; note: why it was settled again, NULL the first time';


-- Settle the trades of a symbol whose market has a result.
CREATE FUNCTION upc._settle_trades(symbol text, at timestamptz)
RETURNS json[]
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_announced json[] := '{}'::json[];
    v_trade upc_data.trade;
BEGIN
    FOR v_trade IN
        UPDATE upc_data.trade AS t
        SET
            status = 'settled',
            ended_at = at,
            end_price = r.payout,
            end_fee = 0,
            result = r.result,
            is_provisional = NOT r.is_final
        FROM upc._trade_results(_settle_trades.symbol, at, true) AS r
        WHERE t.symbol = _settle_trades.symbol
          AND t.ended_at IS NULL
          AND t.trade_id = r.trade_id
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
        v_announced := v_announced || upc._announce_settlement(v_trade, NULL, at);
    END LOOP;
    RETURN v_announced;
END
$fn$;
COMMENT ON FUNCTION upc._settle_trades IS
    'settles the trades whose market has a result; returns the announcements';


-- Bring trades that were settled provisionally up to date: a result that was amended corrects the ledger, one
-- that is final ends it.
CREATE FUNCTION upc._correct_trades(symbol text, at timestamptz)
RETURNS json[]
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_announced json[] := '{}'::json[];
    v_found record;
    v_trade upc_data.trade;
    v_note text;
BEGIN
    FOR v_found IN
        SELECT r.payout, r.result, r.is_final, t AS trade
        FROM upc._trade_results(_correct_trades.symbol, at, false) AS r
        JOIN upc_data.trade AS t ON t.symbol = _correct_trades.symbol AND t.trade_id = r.trade_id
        WHERE r.is_final OR (r.payout, r.result) IS DISTINCT FROM (t.end_price, t.result)
        ORDER BY t.trade_id
        FOR UPDATE OF t SKIP LOCKED
    LOOP
        UPDATE upc_data.trade AS t
        SET
            end_price = v_found.payout,
            result = v_found.result,
            is_provisional = NOT v_found.is_final
        WHERE t.symbol = _correct_trades.symbol
          AND t.trade_id = (v_found.trade).trade_id
          AND t.is_provisional
        RETURNING t.* INTO v_trade;
        IF (v_trade.end_price, v_trade.result)
            IS DISTINCT FROM ((v_found.trade).end_price, (v_found.trade).result)
        THEN
            v_note := format(
                'amended from %s (%s USD)', (v_found.trade).result,
                trim_scale((v_found.trade).end_price)
            );
            PERFORM upc._record_fill(
                symbol, v_trade.trade_id, 'correction', v_trade.end_price, v_trade.position, false,
                0, false, at, v_note
            );
            v_announced := v_announced || upc._announce_settlement(v_trade, v_note, at);
        END IF;
    END LOOP;
    RETURN v_announced;
END
$fn$;
COMMENT ON FUNCTION upc._correct_trades IS
    'brings trades that were settled provisionally up to date with the results of their markets; returns the announcements of those that were amended';


-- The slowest of the known series has its results half an hour after the close.
CREATE FUNCTION upc._missing_result(symbol text, at timestamptz)
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v record;
BEGIN
    SELECT
        w.ticker,
        w.closes_at,
        count(*) OVER () - 1 AS others
    INTO v
    FROM (
        SELECT t.ticker, min(coalesce(e.closes_at, t.closes_at)) AS closes_at
        FROM upc_data.trade AS t
        LEFT JOIN upc_data.market_event AS e
            ON e.symbol = t.symbol AND e.event_ticker = t.event_ticker
        WHERE t.symbol = _missing_result.symbol AND t.ended_at IS NULL
        GROUP BY t.ticker
    ) AS w
    WHERE w.closes_at < at - interval '1 hour'
    ORDER BY w.closes_at, w.ticker
    LIMIT 1;
    IF v.ticker IS NULL THEN
        RETURN NULL;
    END IF;
    RETURN format(
        'a trade is held of %s, which has no result %s after its close%s',
        v.ticker,
        upc._span_text(date_trunc('minute', at - v.closes_at)),
        CASE WHEN v.others > 0 THEN format(', and of %s more', v.others) ELSE '' END
    );
END
$fn$;
COMMENT ON FUNCTION upc._missing_result IS
    'the market of which a trade is held and whose result has not come for an hour, as a problem; NULL without one';


-- A market is lost if it is no longer among those of its event, or was left out when that was read.
CREATE FUNCTION upc._lost_market(symbol text)
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_tickers text[];
BEGIN
    SELECT array_agg(DISTINCT t.ticker ORDER BY t.ticker)
    INTO v_tickers
    FROM upc_data.trade AS t
    LEFT JOIN upc_data.market_quote AS q
        ON q.symbol = t.symbol AND q.event_ticker = t.event_ticker AND q.ticker = t.ticker
    WHERE t.symbol = _lost_market.symbol
      AND t.ended_at IS NULL
      AND (q.ticker IS NULL OR q.status = 'left_out');
    IF v_tickers IS NULL THEN
        RETURN NULL;
    END IF;
    RETURN format(
        'a trade is held of %s, whose market is gone or cannot be read%s',
        v_tickers[1],
        CASE WHEN cardinality(v_tickers) > 1 THEN format(', and of %s more', cardinality(v_tickers) - 1)
            ELSE ''
        END
    );
END
$fn$;
COMMENT ON FUNCTION upc._lost_market IS
    'the market of which a trade is held and that is gone or cannot be read, as a problem; NULL without one';

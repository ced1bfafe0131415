-- The list of trades, those that are held and those that have ended.

CREATE TYPE upc._trade_question AS (
    question upc._question,
    price_state text,
    known upc._known_strikes
);
COMMENT ON TYPE upc._trade_question IS 'the arguments of upc._trade_values';


-- Question for the trades of a symbol, as a tick of that instant asks it: from the price log, with
-- what is left out filled in, momentum in place of a volatility that cannot be forecast, and what was
-- seen of the last minute of what closes next.
CREATE FUNCTION upc._ask_of_trades(
    symbol text,
    at timestamptz,
    method text,
    model text,
    settlement text
)
RETURNS upc._trade_question
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
AS $fn$
DECLARE
    v_question upc._question;
    v_state text;
    v_event upc._event;
    v_closes_at timestamptz;
    v_seen record := upc._logged_price(symbol, at);
BEGIN
    v_question.symbol := symbol;
    v_question.at := at;
    v_question.price := v_seen.price;
    -- Without a fingerprint a trade has no probability, and can be listed and closed.
    IF v_seen.price IS NOT NULL AND EXISTS (
        SELECT FROM upc.fingerprint_grid AS g WHERE g.symbol = _ask_of_trades.symbol
    ) THEN
        v_state := upc._logged_state(
            symbol, 'database', at, v_seen.priced_at, v_seen.same_since, v_seen.newest_at
        );
        SELECT m.momentum INTO v_question.momentum
        FROM upc.momentum(symbol, at, v_seen.price) AS m;
    END IF;
    v_question := upc._without_basis(
        v_question, v_seen.source, upc.setting('use_basis')::boolean
    );
    SELECT d.model, d.method
    INTO v_question.model, v_question.method
    FROM upc._question_defaults(symbol, model, method, settlement) AS d;
    IF v_question.model = 'volatility' THEN
        v_question.variances := upc._known_variances(symbol, at);
        IF v_question.variances IS NULL OR NOT upc._has_volatility_curves(symbol) THEN
            v_question.model := 'momentum';
            v_question.variances := NULL;
        END IF;
    END IF;
    v_question.settlement := settlement;
    v_event := upc.current_event(symbol, at);
    v_closes_at := coalesce(v_event.closes_at, upc._next_hour(at));
    IF coalesce(settlement, upc._answered_settlement(v_event.settlement)) = 'average'
        AND v_closes_at - at < interval '60 seconds'
    THEN
        v_question.observed := upc._seen_average(v_question, v_closes_at - interval '1 minute');
    END IF;
    RETURN (
        v_question, v_state,
        (v_event.event_ticker, v_closes_at, NULL, NULL, v_event.settlement, NULL)::upc._known_strikes
    );
END
$fn$;
COMMENT ON FUNCTION upc._ask_of_trades IS
    'the question by which the trades of a symbol are looked at, from the price log, with the state of the price; a NULL state where nothing answers';


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
    fees numeric,
    is_provisional boolean,
    kind text,
    lower numeric,
    upper numeric
);
COMMENT ON TYPE upc.trade_row IS
    'a trade with what it is worth now or brought in the end: prices and profits in USD, its probability in percent';


CREATE FUNCTION upc._trade_profit(trade upc_data.trade)
RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (_trade_profit.trade).realised_pnl
    + (_trade_profit.trade).position
        * ((_trade_profit.trade).end_price - (_trade_profit.trade).buy_price)
    - (_trade_profit.trade).buy_fee
    - (_trade_profit.trade).realised_fee
    - (_trade_profit.trade).end_fee;
COMMENT ON FUNCTION upc._trade_profit IS
    'what a trade brought in the end, USD, after fees; NULL while it is held';


-- Trades with what they are worth now or brought in the end.
--
-- symbol: NULL takes all. has_ended: also those that were sold or settled. at: the clock. method, model,
-- settlement: as in a tick, with the same defaults for NULL and the same stand-ins.
-- Returns one row per trade, oldest first; prices and profits in USD, probabilities in percent. What
-- is not known is NULL. position is what is held, or was until the end, sold_count what was sold
-- before, realised_pnl what that brought before fees. Profits are of all of it. fees is what was paid.
-- is_provisional: settled by a result that Kalshi may still amend. kind: above, range or updown. lower and
-- upper are the bounds as the market has them now, strike is the lower one of a contract that has no
-- other.
-- Errors: UP002 symbol.
--
-- Example:
--   SELECT load_market('{"event": {"event_ticker": "E", "series_ticker": "KXBTCD"}, "markets":
--       [{"ticker": "E-T1", "close_time": "2226-01-01T15:00:00Z", "strike_type": "greater",
--         "floor_strike": 97499.99}]}');
--   SELECT open_trade('E-T1', 'yes', 0.85, 10);
--   SELECT ticker, side, status FROM trade_list('BTC');
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
        upc._only_strike(l.lower, l.upper),
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
        (l.trade).buy_fee + (l.trade).realised_fee + coalesce((l.trade).end_fee, 0),
        (l.trade).is_provisional,
        (l.trade).kind,
        l.lower,
        l.upper
    FROM (
        SELECT
            a.trade, upc._shown_price(q.question) AS price, a.probability, a.buffer, a.close_price, a.pnl,
            a.pnl_after_fees, a.result, a.lower, a.upper
        FROM (
            SELECT DISTINCT t.symbol
            FROM upc_data.trade AS t
            WHERE t.symbol = coalesce(trade_list.symbol, t.symbol) AND t.ended_at IS NULL
        ) AS s
        CROSS JOIN LATERAL upc._ask_of_trades(s.symbol, at, method, model, settlement) AS q
        CROSS JOIN LATERAL upc._trade_values(q.question, q.price_state, q.known) AS a

        UNION ALL

        SELECT
            t, NULL, NULL, NULL, t.end_price,
            t.realised_pnl + t.position * (t.end_price - t.buy_price),
            upc._trade_profit(t),
            t.result,
            t.lower,
            t.upper
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

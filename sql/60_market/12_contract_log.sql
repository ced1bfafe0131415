-- The log of contracts: what each of them was worth and cost, once a minute and at every stop.

-- Log the contracts with a quote of a live tick, if it is the first one in its minute or a stop has fired.
--
-- settlement: that was asked for; NULL is that of each event. is_minute: the minute of the tick is not that
-- whose contracts were logged last. Whoever has counted the tick has the symbol to itself.
CREATE FUNCTION upc._log_contracts(
    tick upc_data.tick,
    settlement text,
    is_minute boolean,
    has_stopped boolean
)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_minute timestamptz := upc._minute_of(tick.ticked_at);
    v_question upc._question;
BEGIN
    IF is_minute THEN
        UPDATE upc_data.tick_count AS k SET contracts_minute = v_minute
        WHERE k.symbol = tick.symbol;
        -- On a clock that was put back a minute comes again.
        is_minute := NOT EXISTS (
            SELECT FROM upc_data.contract_log AS l
            WHERE l.symbol = tick.symbol
              AND l.logged_at >= v_minute
              AND l.logged_at < v_minute + interval '1 minute'
              AND l.is_minute
        );
    END IF;
    IF NOT (is_minute OR has_stopped) THEN
        RETURN;
    END IF;

    v_question := upc._make_question(
        upc._less_basis(tick.price, tick.basis), tick.momentum, tick.symbol, method => tick.method, model => tick.model,
        settlement => settlement, at => tick.market_at
    );
    v_question.source := tick.source;
    v_question.basis := tick.basis;
    IF tick.model = 'volatility' THEN
        v_question.variances := upc._cached_forecast(tick.symbol, tick.market_at);
    END IF;
    INSERT INTO upc_data.contract_log (
        symbol, logged_at, tick_id, event_ticker, is_minute, price, model, tickers, probabilities,
        prob_lows, prob_highs, yes_bids, yes_asks, no_bids, no_asks, yes_bid_sizes, yes_ask_sizes,
        no_bid_sizes, no_ask_sizes
    )
    SELECT
        tick.symbol, tick.ticked_at, tick.tick_id, r.event_ticker, is_minute, tick.price, r.model,
        array_agg(r.ticker ORDER BY r.place),
        array_agg(r.probability ORDER BY r.place),
        array_agg(r.prob_low ORDER BY r.place),
        array_agg(r.prob_high ORDER BY r.place),
        array_agg(r.yes_bid ORDER BY r.place),
        array_agg(r.yes_ask ORDER BY r.place),
        array_agg(r.no_bid ORDER BY r.place),
        array_agg(r.no_ask ORDER BY r.place),
        array_agg(r.yes_bid_size ORDER BY r.place),
        array_agg(r.yes_ask_size ORDER BY r.place),
        array_agg(r.no_bid_size ORDER BY r.place),
        array_agg(r.no_ask_size ORDER BY r.place)
    FROM (
        SELECT c.*, row_number() OVER () AS place
        FROM upc._contract_rows(v_question, tick.state) AS c
    ) AS r
    WHERE coalesce(r.yes_bid, r.yes_ask, r.no_bid, r.no_ask) IS NOT NULL
    GROUP BY r.event_ticker, r.model;
END
$fn$;
COMMENT ON FUNCTION upc._log_contracts IS
    'logs the contracts with a quote of a live tick, if its minute has none yet or a stop has fired';


-- Contracts as they were logged: those with a quote, once a minute and at every stop.
--
-- symbol: as in upc_data.symbol. since, until: instants from the one up to but not including the other.
-- ticker: of one contract; NULL takes all.
-- Returns one row per contract and instant, by time, event and bounds: logged_at, the clock of the tick
-- tick_id; is_minute, true for what is logged once in its minute, false for a stop after that; the
-- contract; the price in USD; the probability of yes and its interval in percent; bids and asks in USD, exact; sizes in
-- contracts; and the model that answered. Unknown numbers are NULL.
-- Errors: UP002 symbol.
--
-- Example:
--   SELECT count(*) = 0 FROM logged_contracts('BTC', '2026-01-01 12:00+00', '2026-01-01 13:00+00');
CREATE FUNCTION upc.logged_contracts(
    symbol text,
    since timestamptz,
    until timestamptz,
    ticker text DEFAULT NULL
)
RETURNS TABLE (
    logged_at timestamptz,
    tick_id bigint,
    is_minute boolean,
    event_ticker text,
    contract_ticker text,
    price double precision,
    probability double precision,
    prob_low double precision,
    prob_high double precision,
    yes_bid numeric,
    yes_ask numeric,
    no_bid numeric,
    no_ask numeric,
    yes_bid_size numeric,
    yes_ask_size numeric,
    no_bid_size numeric,
    no_ask_size numeric,
    model text
)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10000
AS $fn$
BEGIN
    PERFORM upc.require_symbol(symbol);
    RETURN QUERY
    SELECT
        l.logged_at, l.tick_id, l.is_minute, l.event_ticker, c.ticker, l.price, c.probability,
        c.prob_low, c.prob_high, c.yes_bid, c.yes_ask, c.no_bid, c.no_ask, c.yes_bid_size,
        c.yes_ask_size, c.no_bid_size, c.no_ask_size, l.model
    FROM upc_data.contract_log AS l
    CROSS JOIN LATERAL unnest(
        l.tickers, l.probabilities, l.prob_lows, l.prob_highs, l.yes_bids, l.yes_asks, l.no_bids,
        l.no_asks, l.yes_bid_sizes, l.yes_ask_sizes, l.no_bid_sizes, l.no_ask_sizes
    ) WITH ORDINALITY AS c (
        ticker, probability, prob_low, prob_high, yes_bid, yes_ask, no_bid, no_ask, yes_bid_size,
        yes_ask_size, no_bid_size, no_ask_size, place
    )
    WHERE l.symbol = logged_contracts.symbol
      AND l.logged_at >= since
      AND l.logged_at < until
      AND c.ticker = coalesce(logged_contracts.ticker, c.ticker)
    ORDER BY l.logged_at, l.tick_id, l.event_ticker, c.place;
END
$fn$;
COMMENT ON FUNCTION upc.logged_contracts IS
    'the contracts of a symbol as they were logged in a span of time, one row per contract and instant';

-- The strike table: every strike's probability beside what its contracts cost.

-- The strikes around a price, each with the market of the event that closes next.
--
-- price, momentum, symbol, levels, method, model, settlement: as in compute_strikes. at: the clock;
-- it chooses the
-- event, and is what the ages of price and quotes, the forecast and what has been seen of the last
-- minute are told by. ttc_seconds: NULL means to the
-- event's close, or to the next full hour where there is no event. step: NULL means the distance
-- between most of the event's strikes, or the symbol's own. price_state: freshness of the price.
-- has_market: false leaves the event out, as for prices that are not today's.
-- Returns one row per strike, nearest to the price first: probabilities in percent, asks and bids
-- in USD per contract, exact; yes_edge and no_edge in cents per contract: what it pays on average,
-- less its ask and the taker fee, in an order of upc.edge_contracts (10). What is not known is NULL; from
-- halted on that is every probability, from stale on (price or quotes) every edge, and from halted
-- quotes on every quote. Under 60 s to the close there is no edge unless the average settles.
-- edge_reason is one of edge_reasons() where neither side has an edge, else NULL.
-- Errors: those of compute_strikes.
--
-- Example:
--   SELECT strike, probability FROM strike_table(97250, 7, at => '2024-01-01 12:45+00');
CREATE FUNCTION upc.strike_table(
    price double precision,
    momentum double precision DEFAULT NULL,
    symbol text DEFAULT 'BTC',
    at timestamptz DEFAULT clock_timestamp(),
    ttc_seconds integer DEFAULT NULL,
    step double precision DEFAULT NULL,
    levels integer DEFAULT 10,
    method text DEFAULT 'nearest',
    price_state text DEFAULT 'fresh',
    has_market boolean DEFAULT true,
    model text DEFAULT 'momentum',
    settlement text DEFAULT 'close',
    volatility double precision DEFAULT NULL,
    observed double precision DEFAULT NULL,
    variances double precision[] DEFAULT NULL
)
RETURNS TABLE (
    strike double precision,
    buffer double precision,
    buffer_pct double precision,
    probability double precision,
    yes_ask integer,
    no_ask integer,
    volume numeric,
    ticker text,
    active_side text,
    yes_ask_dollars numeric,
    no_ask_dollars numeric,
    yes_bid_dollars numeric,
    no_bid_dollars numeric,
    yes_edge double precision,
    no_edge double precision,
    prob_above double precision,
    sample_size bigint,
    move_percent double precision,
    direction text,
    prob_beyond double precision,
    positive_prob double precision,
    negative_prob double precision,
    fingerprint text,
    prob_low double precision,
    prob_high double precision,
    deviation double precision,
    edge_reason text
)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 21
AS $fn$
DECLARE
    v_event record;
    v_step double precision;
    v_multiplier numeric;
    v_quote_state text;
    v_ttc integer;
    v_price_stale boolean := NOT coalesce(upc._is_shown('difference', price_state), false);
    v_quotes_stale boolean;
    v_is_quoted boolean;
    v_untraded jsonb;
    v_is_known boolean := upc._is_shown('probability', price_state);
    v_is_unseen boolean;
    v_has_edge boolean;
    v_contracts numeric;
    v_precision numeric;
    v_observed double precision := observed;
    v_variances double precision[] := variances;
BEGIN
    PERFORM upc.require_symbol(symbol);
    IF has_market THEN
        SELECT e.* INTO v_event FROM upc.current_event(symbol, at) AS e;
    ELSE
        SELECT NULL::text AS event_ticker, NULL::timestamptz AS closes_at, NULL::text AS status,
            NULL::double precision AS step, NULL::timestamptz AS read_at
        INTO v_event;
    END IF;
    v_ttc := coalesce(
        ttc_seconds,
        floor(extract(epoch FROM v_event.closes_at - at))::integer,
        upc._seconds_to_hour(at)
    );
    -- By the clock that is asked for, where compute_strikes would take the one on the wall.
    IF model = 'volatility' AND v_variances IS NULL THEN
        v_variances := upc._known_variances(symbol, at);
        IF v_variances IS NULL AND volatility IS NULL THEN
            PERFORM upc._refuse_forecast(symbol);
        END IF;
    END IF;
    IF settlement = 'average' AND v_ttc < 60 AND v_observed IS NULL THEN
        v_observed := upc._observed_average(symbol, at + make_interval(secs => v_ttc - 60), at);
        IF v_observed IS NULL THEN
            PERFORM upc._refuse_observed(symbol);
        END IF;
    END IF;
    v_quote_state := upc.freshness(at - v_event.read_at);
    v_quotes_stale := v_event.event_ticker IS NOT NULL
        AND NOT upc._is_shown('difference', v_quote_state);
    v_is_quoted := upc._is_shown('quote', v_quote_state);
    v_is_unseen := upc._is_unseen(v_ttc, settlement);
    -- Of the rest of the reasons each leaves no ask, or no probability.
    v_has_edge := NOT (v_price_stale OR v_quotes_stale OR v_is_unseen);
    SELECT o.* INTO v_contracts, v_precision FROM upc._edge_settings() AS o;
    SELECT coalesce(step, v_event.step, s.strike_step), s.fee_multiplier
    INTO v_step, v_multiplier
    FROM upc_data.symbol AS s
    WHERE s.symbol = strike_table.symbol;

    IF v_event.event_ticker IS NOT NULL THEN
        -- Beside the query below: as a part of it, it would be planned anew every time.
        SELECT jsonb_object_agg(trim_scale(m.strike)::text, coalesce(m.status, ''))
        INTO v_untraded
        FROM upc_data.market_quote AS m
        WHERE m.symbol = strike_table.symbol
          AND m.event_ticker = v_event.event_ticker
          AND m.status IS DISTINCT FROM 'active';
    END IF;

    RETURN QUERY
    SELECT
        c.strike,
        c.buffer,
        c.buffer / v_step,
        k.within,
        ceil(100 * o.yes_ask)::integer,
        ceil(100 * o.no_ask)::integer,
        CASE WHEN v_is_quoted THEN q.volume END,
        CASE WHEN v_is_quoted THEN q.ticker END,
        CASE c.direction WHEN 'above' THEN 'no' ELSE 'yes' END,
        o.yes_ask,
        o.no_ask,
        CASE WHEN v_is_quoted THEN q.yes_bid END,
        CASE WHEN v_is_quoted THEN q.no_bid END,
        CASE WHEN v_has_edge THEN
            k.above - upc._contract_cost(
                o.yes_ask, v_contracts, v_multiplier, v_precision
            )
        END,
        CASE WHEN v_has_edge THEN
            100 - k.above - upc._contract_cost(
                o.no_ask, v_contracts, v_multiplier, v_precision
            )
        END,
        k.above,
        c.sample_size,
        c.move_percent,
        c.direction,
        CASE WHEN v_is_known THEN c.prob_beyond END,
        CASE WHEN v_is_known THEN c.positive_prob END,
        CASE WHEN v_is_known THEN c.negative_prob END,
        c.fingerprint,
        CASE WHEN v_is_known THEN c.prob_low END,
        CASE WHEN v_is_known THEN c.prob_high END,
        c.deviation,
        upc.edge_reason(
            closed => o.trading_state = 'closed',
            paused => o.trading_state = 'paused',
            price_stale => v_price_stale,
            quotes_stale => v_quotes_stale,
            no_model => k.above IS NULL,
            last_minute => v_is_unseen,
            no_offer => o.yes_ask IS NULL AND o.no_ask IS NULL
        )
    FROM upc.compute_strikes(
        price,
        momentum,
        symbol,
        v_ttc,
        v_step,
        levels,
        method,
        model,
        settlement,
        volatility,
        v_observed,
        variances => v_variances
    ) AS c
    CROSS JOIN LATERAL (
        SELECT
            CASE WHEN v_is_known THEN c.prob_within END AS within,
            CASE WHEN v_is_known THEN c.prob_above END AS above
    ) AS k
    LEFT JOIN upc_data.market_quote AS q
        ON q.symbol = strike_table.symbol
        AND q.event_ticker = v_event.event_ticker
        AND q.strike = c.strike::numeric
        AND q.status = 'active'
    CROSS JOIN LATERAL (
        SELECT
            CASE WHEN v_is_quoted THEN upc._offered(q.yes_ask, q.no_bid) END AS yes_ask,
            CASE WHEN v_is_quoted THEN upc._offered(q.no_ask, q.yes_bid) END AS no_ask,
            CASE WHEN q.ticker IS NULL THEN
                upc._trading_state(coalesce(
                    v_untraded ->> trim_scale(c.strike::numeric)::text,
                    v_event.status
                ))
            END AS trading_state
        OFFSET 0
    ) AS o
    ORDER BY c.buffer, c.strike;
END
$fn$;
COMMENT ON FUNCTION upc.strike_table IS
    'every strike around a price with its probability, what its contracts cost and the edge, nearest to the price first';

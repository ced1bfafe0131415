-- Supervision: stops, which tell people to sell, and settlement by the result.

-- What a stop asks for: the rules that begin with stop_.
-- Errors: 22023 for a limit that is no number, or not above zero where it has to be.
CREATE FUNCTION upc._stop_rules(
    OUT on_probability boolean,
    OUT probability double precision,
    OUT ttc interval,
    OUT verify_for interval,
    OUT on_momentum boolean,
    OUT momentum double precision
)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
AS $fn$
BEGIN
    BEGIN
        on_probability := upc.setting('stop_on_probability')::boolean;
        probability := upc.setting('stop_probability')::double precision;
        ttc := upc.setting('stop_ttc')::interval;
        IF upc.setting('stop_verify')::boolean THEN
            verify_for := upc.setting('stop_verify_for')::interval;
        END IF;
        on_momentum := upc.setting('stop_on_momentum')::boolean;
        momentum := upc.setting('stop_momentum')::double precision;
    EXCEPTION
        WHEN data_exception THEN
            RAISE EXCEPTION 'a setting of the stops is none: %', SQLERRM
                USING
                    ERRCODE = 'invalid_parameter_value',
                    DETAIL = 'Limits are numbers, times are intervals, and the rest is on or off.',
                    HINT = 'The settings of the stops are those that begin with upc.stop_.';
    END;

    IF NOT (
        probability BETWEEN 0 AND 100
        AND momentum > 0 AND momentum < 'Infinity'
        AND ttc >= '0'
        AND coalesce(verify_for >= '0', true)
    ) THEN
        RAISE EXCEPTION 'a stop has a limit that makes no sense: probability %, momentum %, ttc %, verify_for %',
            probability, momentum, ttc, verify_for
            USING
                ERRCODE = 'invalid_parameter_value',
                DETAIL = 'Probabilities are from 0 to 100 percent, momentum is above zero, times are not negative.',
                HINT = 'They are the settings upc.stop_probability, upc.stop_momentum, upc.stop_ttc, upc.stop_verify_for.';
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._stop_rules IS
    'the settings of the stops; verify_for is NULL where a stop fires at once';


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


-- What a look at a trade has changed: since when its probability is below, and whether a stop has
-- fired, which is announced.
CREATE FUNCTION upc._change_trade(
    symbol text,
    trade_id bigint,
    below_since timestamptz,
    reason text,
    numbers json,
    at timestamptz
)
RETURNS json[]
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_trade upc_data.trade;
BEGIN
    UPDATE upc_data.trade AS t
    SET
        below_since = _change_trade.below_since,
        status = CASE WHEN reason IS NULL THEN t.status ELSE 'stopped' END,
        stopped_at = CASE WHEN reason IS NULL THEN t.stopped_at ELSE at END,
        stop_reason = coalesce(reason, t.stop_reason),
        stop_numbers = CASE WHEN reason IS NULL THEN t.stop_numbers ELSE numbers END
    WHERE t.symbol = _change_trade.symbol
      AND t.trade_id = (
          SELECT f.trade_id
          FROM upc_data.trade AS f
          WHERE f.symbol = _change_trade.symbol
            AND f.trade_id = _change_trade.trade_id
            AND f.ended_at IS NULL
            AND (reason IS NULL OR f.status = 'open')
          -- Whoever is closing it makes the stop pointless; else the next tick tries again.
          FOR UPDATE SKIP LOCKED
      )
    RETURNING t.* INTO v_trade;
    IF NOT FOUND OR reason IS NULL THEN
        RETURN '{}'::json[];
    END IF;
    RETURN ARRAY[upc._announce(
        symbol,
        'stop',
        'trade',
        format(
            '%s: stop of trade %s, %s %s %s: %s',
            symbol, trade_id, trim_scale(v_trade.position), v_trade.side, v_trade.ticker,
            CASE reason
                WHEN 'probability' THEN format(
                    'probability %s %% is below %s %%, %s s to the close',
                    upc._two_decimals((numbers ->> 'probability')::double precision),
                    numbers #>> '{limits,probability}',
                    numbers ->> 'ttc_seconds'
                )
                ELSE format(
                    'momentum is %s bp',
                    upc._two_decimals((numbers ->> 'momentum_bps')::double precision)
                )
            END
        ),
        numbers,
        at
    )];
END
$fn$;
COMMENT ON FUNCTION upc._change_trade IS
    'keeps since when the probability of a trade is below the stop''s, and marks it as stopped and announces it if there is a reason, once; returns the announcements';


-- Strike of a trade as the predecessor's consumers read it: with thousands separators, and cents only
-- if there are any.
CREATE FUNCTION upc._legacy_strike(strike numeric)
RETURNS text
-- As volatile as to_char, so that it becomes a part of the query.
LANGUAGE sql STABLE PARALLEL SAFE
RETURN '$' || to_char(trunc(_legacy_strike.strike), 'FM999,999,999,999,999,990') || CASE
    WHEN _legacy_strike.strike = trunc(_legacy_strike.strike) THEN ''
    WHEN scale(trim_scale(_legacy_strike.strike)) = 1
        THEN '.' || split_part(trim_scale(_legacy_strike.strike)::text, '.', 2) || '0'
    ELSE '.' || split_part(trim_scale(_legacy_strike.strike)::text, '.', 2)
END;
COMMENT ON FUNCTION upc._legacy_strike IS
    'a strike in USD as the predecessor writes that of a trade: $118,750, or $118,750.50';


-- What a tick does for the trades of its symbol: settle, look at the stops, and tell.
--
-- Arguments as in active_trades. seen_at: the tick before. A stop acts on fresh prices and those in
-- warn. A probability counts as below without a break as long as no two looks at it are further
-- apart than a price stays fresh.
--
-- In active the predecessor's keys mean what they meant to it: trade_id and ticket_id name the trade,
-- strike is a text, side Y or N, status active for whatever is held, current_close_price the ask of the
-- other side, and current_pnl a text, per contract that is held.
CREATE FUNCTION upc._supervise(
    symbol text,
    at timestamptz,
    seen_at timestamptz,
    price double precision,
    momentum double precision,
    price_state text,
    method text,
    strikes double precision[],
    prob_above double precision[],
    event_ticker text,
    model text,
    settlement text,
    variances double precision[],
    observed double precision,
    closes_at timestamptz,
    OUT active json[],
    OUT announced json[]
)
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_rules record;
    v_is_known boolean := price_state IN ('fresh', 'warn');
    v_is_unbroken boolean;
    v_changes json[];
    v_change json;
    v_has_result boolean;
BEGIN
    active := '{}'::json[];
    announced := '{}'::json[];
    IF NOT EXISTS (
        SELECT FROM upc_data.trade AS t
        WHERE t.symbol = _supervise.symbol AND t.ended_at IS NULL
    ) THEN
        RETURN;
    END IF;

    SELECT r.* INTO v_rules FROM upc._stop_rules() AS r;
    v_is_unbroken := coalesce(
        at - seen_at BETWEEN '0' AND upc.setting('fresh_for')::interval, false
    );

    -- A second look only where the first one has changed something, which is rare.
    FOR v_look IN 1..2 LOOP
        SELECT
            coalesce(
                array_agg(
                    row_to_json((
                        SELECT r FROM (
                            SELECT
                                (a.trade).trade_id AS id,
                                (a.trade).trade_id AS trade_id,
                                'TICKET-' || (a.trade).trade_id AS ticket_id,
                                (a.trade).ticker AS ticker,
                                (a.trade).symbol AS symbol,
                                CASE (a.trade).side WHEN 'yes' THEN 'Y' ELSE 'N' END AS side,
                                upc._legacy_strike((a.trade).strike) AS strike,
                                (a.trade).buy_price AS buy_price,
                                trim_scale((a.trade).position) AS position,
                                price AS current_symbol_price,
                                a.shown_probability AS current_probability,
                                upc._two_decimals(a.buffer) AS buffer_from_entry,
                                1 - a.close_price AS current_close_price,
                                round(a.close_price - (a.trade).buy_price, 2)::text
                                    AS current_pnl,
                                floor(extract(epoch FROM at - (a.trade).opened_at))::bigint
                                    AS time_since_entry,
                                'active' AS status,
                                (a.trade).stop_reason AS stop_reason,
                                upc._iso_utc((a.trade).stopped_at) AS stopped_at,
                                a.ttc_seconds,
                                (a.trade).event_ticker AS event_ticker,
                                upc._iso_utc((a.trade).opened_at) AS opened_at,
                                (a.trade).status AS state,
                                (a.trade).side AS contract_side,
                                (a.trade).strike AS strike_price,
                                a.close_price AS close_value,
                                a.pnl,
                                round(a.pnl / c.bought, 6) AS pnl_per_contract,
                                a.pnl_after_fees,
                                round(a.pnl_after_fees / c.bought, 6)
                                    AS pnl_per_contract_after_fees,
                                trim_scale((a.trade).sold_count) AS sold_count,
                                (a.trade).realised_pnl AS realised_pnl
                        ) AS r
                    ))
                    ORDER BY (a.trade).trade_id
                ),
                '{}'
            ),
            array_agg(
                json_build_object(
                    'trade_id', (a.trade).trade_id,
                    'below_since', b.below_since,
                    'reason', w.reason,
                    'numbers', json_build_object(
                        'id', (a.trade).trade_id,
                        'ticker', (a.trade).ticker,
                        'side', (a.trade).side,
                        'strike', (a.trade).strike,
                        'position', trim_scale((a.trade).position),
                        'reason', w.reason,
                        'price', price,
                        'probability', a.probability,
                        'momentum_bps', momentum,
                        'ttc_seconds', a.ttc_seconds,
                        'buffer', a.buffer,
                        'close_price', a.close_price,
                        'pnl_after_fees', a.pnl_after_fees,
                        'below_since', upc._iso_utc(b.below_since),
                        'limits', CASE w.reason
                            WHEN 'probability' THEN json_build_object(
                                'probability', v_rules.probability,
                                'ttc_seconds', extract(epoch FROM v_rules.ttc),
                                'verify_for_seconds', extract(epoch FROM v_rules.verify_for)
                            )
                            ELSE json_build_object('momentum_bps', v_rules.momentum)
                        END
                    )
                )
            ) FILTER (
                WHERE w.reason IS NOT NULL
                   OR b.below_since IS DISTINCT FROM (a.trade).below_since
            ),
            coalesce(bool_or(NOT a.is_traded AND a.result IN ('yes', 'no')), false)
        INTO active, v_changes, v_has_result
        FROM upc.active_trades(
            symbol, at, price, momentum, price_state, method, strikes, prob_above, event_ticker,
            model, settlement, variances, observed, closes_at
        ) AS a
        CROSS JOIN LATERAL (
            SELECT (a.trade).position + (a.trade).sold_count AS bought
        ) AS c
        CROSS JOIN LATERAL (
            SELECT CASE
                WHEN NOT v_is_known OR coalesce(a.probability >= v_rules.probability, true)
                    THEN NULL
                WHEN v_is_unbroken AND (a.trade).below_since <= at THEN (a.trade).below_since
                ELSE at
            END AS below_since
            OFFSET 0
        ) AS b
        CROSS JOIN LATERAL (
            SELECT CASE
                WHEN (a.trade).status <> 'open' OR NOT a.is_traded OR NOT v_is_known THEN NULL
                WHEN v_rules.on_probability
                    AND NOT upc._is_unseen(
                        a.ttc_seconds,
                        -- Only the tick's own strikes are read with what has been seen of it.
                        CASE
                            WHEN (a.trade).event_ticker = _supervise.event_ticker
                                AND (a.trade).strike::double precision = ANY (strikes)
                                AND observed IS NOT NULL
                            THEN settlement
                        END
                    )
                    AND make_interval(secs => a.ttc_seconds) > v_rules.ttc
                    AND at - b.below_since >= coalesce(v_rules.verify_for, '0')
                THEN 'probability'
                WHEN v_rules.on_momentum
                    -- Prices 35 basis points apart give 34.99999999999999.
                    AND momentum * CASE (a.trade).side WHEN 'no' THEN 1 ELSE -1 END
                        >= v_rules.momentum - 1e-9
                THEN 'momentum'
            END AS reason
            OFFSET 0
        ) AS w;
        EXIT WHEN v_look = 2 OR v_changes IS NULL AND NOT v_has_result;

        IF v_has_result THEN
            announced := upc._settle_trades(symbol, at);
        END IF;
        FOREACH v_change IN ARRAY coalesce(v_changes, '{}') LOOP
            announced := announced || upc._change_trade(
                symbol,
                (v_change ->> 'trade_id')::bigint,
                (v_change ->> 'below_since')::timestamptz,
                v_change ->> 'reason',
                v_change -> 'numbers',
                at
            );
        END LOOP;
    END LOOP;
END
$fn$;
COMMENT ON FUNCTION upc._supervise IS
    'settles and stops the trades of a symbol where that is due; returns those that are held, as they stand in the JSON document, and the announcements';

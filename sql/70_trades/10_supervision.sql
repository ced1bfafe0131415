-- Supervision: what a tick does for the trades that are held.

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

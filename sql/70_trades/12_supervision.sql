-- Supervision: what a tick does for the trades that are held.

-- A trade as it stands in the document active_trades. The predecessor's keys mean what they meant to
-- it: trade_id and ticket_id name the trade, strike is a text, side Y or N, status active for all that
-- is held, current_close_price the ask of the other side, and current_pnl a text, per contract that is
-- held.
CREATE TYPE upc._trade_entry AS (
    id bigint,
    trade_id bigint,
    ticket_id text,
    ticker text,
    symbol text,
    side text,
    strike text,
    buy_price numeric,
    "position" numeric,
    current_symbol_price double precision,
    current_probability numeric,
    buffer_from_entry numeric,
    current_close_price numeric,
    current_pnl text,
    time_since_entry bigint,
    status text,
    stop_reason text,
    stopped_at text,
    ttc_seconds integer,
    event_ticker text,
    opened_at text,
    state text,
    contract_side text,
    strike_price numeric,
    close_value numeric,
    pnl numeric,
    pnl_per_contract numeric,
    pnl_after_fees numeric,
    pnl_per_contract_after_fees numeric,
    sold_count numeric,
    realised_pnl numeric,
    lower numeric,
    upper numeric,
    kind text
);
COMMENT ON TYPE upc._trade_entry IS 'a trade with the keys that it has in the document active_trades';


CREATE FUNCTION upc._trade_entry_of(
    trade upc_data.trade,
    value upc._trade_value,
    price double precision,
    at timestamptz
)
RETURNS upc._trade_entry
LANGUAGE sql STABLE PARALLEL SAFE
RETURN ROW(
    (_trade_entry_of.trade).trade_id,
    (_trade_entry_of.trade).trade_id,
    'TICKET-' || (_trade_entry_of.trade).trade_id,
    (_trade_entry_of.trade).ticker,
    (_trade_entry_of.trade).symbol,
    CASE (_trade_entry_of.trade).side WHEN 'yes' THEN 'Y' ELSE 'N' END,
    upc._bounds_text(
        (_trade_entry_of.trade).kind, (_trade_entry_of.value).lower, (_trade_entry_of.value).upper
    ),
    (_trade_entry_of.trade).buy_price,
    trim_scale((_trade_entry_of.trade).position),
    _trade_entry_of.price,
    (_trade_entry_of.value).shown_probability,
    round(
        (_trade_entry_of.value).buffer::numeric,
        upc._usd_decimals(_trade_entry_of.price)
    ),
    1 - (_trade_entry_of.value).close_price,
    round((_trade_entry_of.value).close_price - (_trade_entry_of.trade).buy_price, 2)::text,
    floor(extract(epoch FROM _trade_entry_of.at - (_trade_entry_of.trade).opened_at))::bigint,
    'active',
    (_trade_entry_of.trade).stop_reason,
    upc._iso_utc((_trade_entry_of.trade).stopped_at),
    (_trade_entry_of.value).ttc_seconds,
    (_trade_entry_of.trade).event_ticker,
    upc._iso_utc((_trade_entry_of.trade).opened_at),
    (_trade_entry_of.trade).status,
    (_trade_entry_of.trade).side,
    upc._only_strike((_trade_entry_of.value).lower, (_trade_entry_of.value).upper),
    (_trade_entry_of.value).close_price,
    (_trade_entry_of.value).pnl,
    round(
        (_trade_entry_of.value).pnl
            / ((_trade_entry_of.trade).position + (_trade_entry_of.trade).sold_count),
        6
    ),
    (_trade_entry_of.value).pnl_after_fees,
    round(
        (_trade_entry_of.value).pnl_after_fees
            / ((_trade_entry_of.trade).position + (_trade_entry_of.trade).sold_count),
        6
    ),
    trim_scale((_trade_entry_of.trade).sold_count),
    (_trade_entry_of.trade).realised_pnl,
    (_trade_entry_of.value).lower,
    (_trade_entry_of.value).upper,
    (_trade_entry_of.trade).kind
)::upc._trade_entry;
COMMENT ON FUNCTION upc._trade_entry_of IS
    'a trade that is held as it stands in the document active_trades';


-- One look at the trades that are held.
--
-- Arguments as in _supervise. active: the entries of the document. changes: what _change_trade is to do.
-- has_result: the market of one of them has a result.
CREATE FUNCTION upc._look_at_trades(
    question upc._question,
    price_state text,
    known upc._known_strikes,
    is_unbroken boolean,
    limits upc._stop_limits,
    OUT active json[],
    OUT changes json[],
    OUT has_result boolean
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_is_known boolean := price_state IN ('fresh', 'warn');
BEGIN
    SELECT
        coalesce(
            array_agg(row_to_json(upc._trade_entry_of(a.trade, a, upc._shown_price(question), question.at))),
            '{}'
        ),
        array_agg(
            json_build_object(
                'trade_id', (a.trade).trade_id,
                'below_since', b.below_since,
                'reason', w.reason,
                'numbers', upc._stop_numbers(
                    -- Column by column, since a whole row would be put together for each trade.
                    (
                        a.trade, a.is_traded, a.ttc_seconds, a.probability, a.shown_probability,
                        a.buffer, a.close_price, a.pnl, a.pnl_after_fees, a.result, a.lower,
                        a.upper, a.is_unseen
                    ),
                    question, w.reason, b.below_since, limits
                ),
                'has_moved', w.has_moved,
                'lower', a.lower,
                'upper', a.upper
            )
        ) FILTER (
            WHERE w.reason IS NOT NULL
               OR w.has_moved
               OR b.below_since IS DISTINCT FROM (a.trade).below_since
        ),
        coalesce(bool_or(a.result IS NOT NULL), false)
    INTO active, changes, has_result
    FROM upc._trade_values(question, price_state, known) AS a
    CROSS JOIN LATERAL (
        SELECT upc._below_since(
            a.probability, (a.trade).below_since, question.at, v_is_known, is_unbroken, limits
        ) AS below_since
        OFFSET 0
    ) AS b
    CROSS JOIN LATERAL (
        SELECT upc._stop_reason(
            (a.trade).status = 'open' AND a.is_traded AND v_is_known
                AND (a.lower IS NOT NULL OR a.upper IS NOT NULL),
            (a.trade).kind,
            (a.trade).side,
            a.ttc_seconds,
            a.is_unseen,
            question.at - b.below_since,
            question.momentum,
            limits
        ) AS reason,
        (a.lower, a.upper) IS DISTINCT FROM ((a.trade).lower, (a.trade).upper) AS has_moved
        OFFSET 0
    ) AS w;
END
$fn$;
COMMENT ON FUNCTION upc._look_at_trades IS
    'one look at the trades that are held: as they stand in the JSON document, what stops change of them, and true where one is to be settled';


-- Supervision of the trades of a symbol in a tick: settle, look at the stops and the bounds, and announce.
--
-- question, price_state, known: as in _trade_values. seen_at: the tick before. A stop acts on prices that
-- are fresh or in warn. A probability counts as below without a break as long as no two looks at it are
-- further apart than a price stays fresh.
CREATE FUNCTION upc._supervise(
    question upc._question,
    price_state text,
    known upc._known_strikes,
    seen_at timestamptz,
    OUT active json[],
    OUT announced json[]
)
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_event text;
    v_limits upc._stop_limits;
    v_is_unbroken boolean;
    v_look record;
    v_change json;
BEGIN
    active := '{}'::json[];
    announced := '{}'::json[];
    IF EXISTS (
        SELECT FROM upc_data.trade AS t WHERE t.symbol = question.symbol AND t.is_provisional
    ) THEN
        announced := upc._correct_trades(question.symbol, question.at);
    END IF;
    v_event := known.event_ticker;
    SELECT bool_or(NOT upc._is_of_strike_table(t.kind, t.event_ticker, v_event))
    INTO known.has_others
    FROM upc_data.trade AS t
    WHERE t.symbol = question.symbol AND t.ended_at IS NULL;
    IF known.has_others IS NULL THEN
        RETURN;
    END IF;

    v_limits := upc._stop_rules();
    v_is_unbroken := coalesce(
        question.at - seen_at BETWEEN '0' AND upc.setting('fresh_for')::interval, false
    );
    v_look := upc._look_at_trades(question, price_state, known, v_is_unbroken, v_limits);
    active := v_look.active;
    IF v_look.changes IS NULL AND NOT v_look.has_result THEN
        RETURN;
    END IF;

    IF v_look.has_result THEN
        announced := announced || upc._settle_trades(question.symbol, question.at);
    END IF;
    FOREACH v_change IN ARRAY coalesce(v_look.changes, '{}') LOOP
        IF (v_change ->> 'has_moved')::boolean THEN
            announced := announced || upc._move_bounds(
                question.symbol,
                (v_change ->> 'trade_id')::bigint,
                (v_change ->> 'lower')::numeric,
                (v_change ->> 'upper')::numeric,
                question.at
            );
        END IF;
        announced := announced || upc._change_trade(
            question.symbol,
            (v_change ->> 'trade_id')::bigint,
            (v_change ->> 'below_since')::timestamptz,
            v_change ->> 'reason',
            v_change -> 'numbers',
            question.at
        );
    END LOOP;
    -- A second look only where the first one has changed something, which is rare.
    v_look := upc._look_at_trades(question, price_state, known, v_is_unbroken, v_limits);
    active := v_look.active;
END
$fn$;
COMMENT ON FUNCTION upc._supervise IS
    'settles and stops the trades of a symbol where that is due; returns those that are held, as they stand in the JSON document, and the announcements';

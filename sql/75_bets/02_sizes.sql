-- Sizes of bets: a share of what Kelly would buy, within what is offered and what may be at risk.

-- Contracts that a share of Kelly's fraction of a bankroll buys.
--
-- share: 0.25 is a quarter of Kelly. bankroll: USD. probability: percent, that the side pays. cost: of one
-- contract, ask and fee, USD.
-- Returns floor(share · f · bankroll / cost) with f = (p - cost) / (1 - cost), p as a fraction; 0 where f is
-- not above 0, and where a cost makes no sense; NULL of NULL.
-- Errors: none.
--
-- Example:
--   SELECT kelly_count(0.25, 1000, 87, 0.84) = 55;
CREATE FUNCTION upc.kelly_count(share numeric, bankroll numeric, probability numeric, cost numeric)
RETURNS numeric
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
-- One exact division: a quotient that is whole stays whole.
RETURN CASE
    WHEN kelly_count.cost > 0 AND kelly_count.cost < 1
        AND kelly_count.probability > 100 * kelly_count.cost
    THEN div(
        kelly_count.share * kelly_count.bankroll
        * (kelly_count.probability - 100 * kelly_count.cost),
        100 * kelly_count.cost * (1 - kelly_count.cost)
    )
    ELSE 0
END;
COMMENT ON FUNCTION upc.kelly_count IS
    'how many contracts a share of Kelly''s fraction of a bankroll buys, at a probability in percent and a cost in USD with its fee';


-- The day of an event, by which what is at risk is limited: Kalshi's days are those of New York.
CREATE FUNCTION upc._risk_day(closes_at timestamptz)
RETURNS date
LANGUAGE sql STABLE PARALLEL SAFE
RETURN (_risk_day.closes_at AT TIME ZONE 'America/New_York')::date;
COMMENT ON FUNCTION upc._risk_day IS
    'the day in New York on which an event closes, by which what is at risk is limited';


-- What was paid for the contracts that are held, fees in it, USD.
CREATE FUNCTION upc._held_cost(trade upc_data.trade)
RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (_held_cost.trade).position * (_held_cost.trade).buy_price
    + (_held_cost.trade).buy_fee * (_held_cost.trade).position
    / ((_held_cost.trade).position + (_held_cost.trade).sold_count);
COMMENT ON FUNCTION upc._held_cost IS
    'what was paid for those contracts of a trade that are held, with their part of the fee, USD';


-- What open trades of an event have at risk, and those of all events, of whatever symbol, that close on the
-- same day, USD.
CREATE FUNCTION upc._open_risk(
    event_ticker text,
    closes_at timestamptz,
    OUT of_event numeric,
    OUT of_day numeric
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    SELECT
        coalesce(
            sum(upc._held_cost(t)) FILTER (WHERE t.event_ticker = _open_risk.event_ticker), 0
        ),
        coalesce(
            sum(upc._held_cost(t))
                FILTER (WHERE upc._risk_day(t.closes_at) = upc._risk_day(_open_risk.closes_at)),
            0
        )
    INTO of_event, of_day
    FROM upc_data.trade AS t
    WHERE t.ended_at IS NULL;
END
$fn$;
COMMENT ON FUNCTION upc._open_risk IS
    'what open trades of an event, and those of all events that close on the same day, have at risk, USD';


-- A bet with its size, and what keeps that from being larger.
--
-- before: the better bets of the same symbol, with their sizes: they are taken to be bought.
-- bankroll: USD, above 0.
CREATE FUNCTION upc._sized_bet(bet upc._bet, before upc._bet[], bankroll numeric)
RETURNS upc._bet
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_cost numeric := bet.ask + bet.fee / 100;
    v_kelly numeric := upc.kelly_count(
        upc.setting('kelly_share')::numeric, bankroll, bet.prob_low, v_cost
    );
    v_closes_at timestamptz := bet.closes_at::timestamptz;
    v_open record := upc._open_risk(bet.event_ticker, v_closes_at);
    v_count numeric;
BEGIN
    SELECT
        v_open.of_event
            + coalesce(sum(b.cost) FILTER (WHERE b.event_ticker = bet.event_ticker), 0) AS of_event,
        v_open.of_day + coalesce(
            sum(b.cost)
                FILTER (WHERE upc._risk_day(b.closes_at::timestamptz) = upc._risk_day(v_closes_at)),
            0
        ) AS of_day
    INTO v_open
    FROM unnest(before) AS b;
    -- What limits it most; of equal ones the first.
    SELECT l.name, l.count
    INTO bet.limited_by, v_count
    FROM (
        VALUES
            (1, NULL, v_kelly),
            (2, 'offered', floor(coalesce(bet.offered, 0))),
            (
                3, 'event',
                div(upc.setting('event_exposure')::numeric * bankroll / 100 - v_open.of_event, v_cost)
            ),
            (
                4, 'day',
                div(upc.setting('day_exposure')::numeric * bankroll / 100 - v_open.of_day, v_cost)
            )
    ) AS l (place, name, count)
    ORDER BY l.count, l.place
    LIMIT 1;
    bet.count := least(greatest(v_count, 0), 2147483647);
    bet.cost := bet.count * v_cost;
    RETURN bet;
END
$fn$;
COMMENT ON FUNCTION upc._sized_bet IS
    'a bet with its size by the bankroll, by what is offered, and by what may be at risk in an event and on a day beside open trades and better bets';

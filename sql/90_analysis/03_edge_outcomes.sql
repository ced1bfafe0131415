-- Edges: those that live ticks promised, beside their profits.

-- Sums over the asks of a symbol's live ticks, by model, side, close and band of the edge: what they
-- promised and what they paid, in cents.
--
-- bounds: of the bands, of the edge with its sign turned. terms: those of the order and its fee.
-- In SQL and without settings, so that it becomes a part of the query that calls it.
CREATE FUNCTION upc._edge_cells(
    symbol text,
    since timestamptz,
    until timestamptz,
    bounds double precision[],
    terms upc._edge_terms,
    every_tick boolean,
    OUT model text,
    OUT method text,
    OUT settlement text,
    OUT closes_at timestamptz,
    OUT side text,
    OUT band integer,
    OUT contracts bigint,
    OUT edge double precision,
    OUT profit double precision,
    OUT won bigint
)
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    WITH usual AS MATERIALIZED (
        -- Fees are exact, and slow: those of the prices that nearly all asks have, once each.
        SELECT
            a.ask,
            upc._contract_cost(a.ask, _edge_cells.terms) AS cost
        FROM generate_series(0.001, 1, 0.001) AS a (ask)
    ),
    contract AS (
        SELECT
            j.model,
            j.method,
            j.settlement,
            j.closes_at,
            v.side,
            upc._edge(v.probability, c.cost) AS edge,
            upc._edge(100 * v.won, c.cost) AS profit,
            v.won
        FROM upc.judged_strikes(
            _edge_cells.symbol, _edge_cells.since, _edge_cells.until
        ) AS j
        -- VALUES would cost five times as much.
        CROSS JOIN LATERAL (
            SELECT 'yes', j.prob_above, j.yes_ask, j.outcome::integer
            UNION ALL
            SELECT 'no', 100 - j.prob_above, j.no_ask, 1 - j.outcome::integer
        ) AS v (side, probability, ask, won)
        LEFT JOIN usual AS u ON u.ask = v.ask
        CROSS JOIN LATERAL (
            SELECT
                coalesce(u.cost, upc._contract_cost(v.ask, _edge_cells.terms)) AS cost
        ) AS c
        -- Ticks of long ago have logged a dollar where nobody offered.
        WHERE v.ask < 1
          -- One a minute, as in calibration.
          AND (j.is_first OR _edge_cells.every_tick)
    )
    SELECT
        c.model,
        c.method,
        c.settlement,
        c.closes_at,
        c.side,
        width_bucket(-c.edge, _edge_cells.bounds) AS band,
        count(*) AS contracts,
        sum(c.edge) AS edge,
        sum(c.profit) AS profit,
        sum(c.won) AS won
    FROM contract AS c
    GROUP BY
        c.model, c.method, c.settlement, c.closes_at, c.side,
        width_bucket(-c.edge, _edge_cells.bounds);
END;
COMMENT ON FUNCTION upc._edge_cells IS
    'sums over the asks of a symbol''s live ticks, by model, side, close and band of the edge: what they promised and what they paid';


-- Sums of upc._edge_cells over closes, and the squares that the interval over events takes, by band and
-- of all bands above or below zero.
CREATE FUNCTION upc._edge_totals(
    symbol text,
    since timestamptz,
    until timestamptz,
    bounds double precision[],
    terms upc._edge_terms,
    every_tick boolean,
    OUT model text,
    OUT method text,
    OUT settlement text,
    OUT side text,
    OUT is_promised boolean,
    OUT band integer,
    OUT contracts double precision,
    OUT events bigint,
    OUT edge double precision,
    OUT profit double precision,
    OUT profit_squared double precision,
    OUT profit_weighted double precision,
    OUT contracts_squared double precision,
    OUT won double precision
)
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    WITH cell AS MATERIALIZED (
        SELECT c.*
        FROM upc._edge_cells(
            _edge_totals.symbol, _edge_totals.since, _edge_totals.until, _edge_totals.bounds,
            _edge_totals.terms, _edge_totals.every_tick
        ) AS c
    ),
    event AS (
        SELECT
            c.model,
            c.method,
            c.settlement,
            c.side,
            c.band < 5 AS is_promised,
            c.band,
            sum(c.contracts)::double precision AS contracts,
            sum(c.edge) AS edge,
            sum(c.profit) AS profit,
            sum(c.won) AS won
        FROM cell AS c
        GROUP BY
            c.model, c.method, c.settlement, c.side, c.closes_at,
            c.band < 5, GROUPING SETS ((c.band), ())
    )
    SELECT
        e.model,
        e.method,
        e.settlement,
        e.side,
        e.is_promised,
        e.band,
        sum(e.contracts) AS contracts,
        count(*) AS events,
        sum(e.edge) AS edge,
        sum(e.profit) AS profit,
        sum(e.profit ^ 2) AS profit_squared,
        sum(e.profit * e.contracts) AS profit_weighted,
        sum(e.contracts ^ 2) AS contracts_squared,
        sum(e.won)::double precision AS won
    FROM event AS e
    GROUP BY e.model, e.method, e.settlement, e.side, e.is_promised, e.band;
END;
COMMENT ON FUNCTION upc._edge_totals IS
    'sums of upc._edge_cells over closes, by band and of all bands above or below zero';


-- Profits of the edges of a symbol's live ticks of a span, had one order been bought at each ask.
--
-- Returns one row per model, method, settlement, side and band of the edge, above edge_from and up to
-- edge_to; rows without both are of all edges that are promised, or of all that are not. Edges and
-- profits are cents per contract in an order of upc.edge_contracts (10), after the taker fee at the
-- symbol's multiplier of today. The 95 percent interval of the mean profit is over events, and NULL
-- below ten of them. every_tick, counted: as in calibration.
--
-- Errors: UP002 symbol.
--
-- Example:
--   SELECT count(*) = 0 FROM edge_outcomes('BTC', '2024-01-01 00:00+00', '2024-02-01 00:00+00');
CREATE FUNCTION upc.edge_outcomes(
    symbol text,
    since timestamptz DEFAULT '-infinity',
    until timestamptz DEFAULT 'infinity',
    every_tick boolean DEFAULT false
)
RETURNS TABLE (
    model text,
    method text,
    settlement text,
    side text,
    is_promised boolean,
    edge_from integer,
    edge_to integer,
    contracts bigint,
    events bigint,
    mean_edge double precision,
    mean_profit double precision,
    profit_low double precision,
    profit_high double precision,
    win_share double precision,
    counted text
)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 30
-- The planner takes cells for many, and would sort millions of rows to find the few that there are.
SET enable_sort = off
AS $fn$
DECLARE
    -- Of the edges with their sign turned, so that one of exactly 0 promises nothing.
    v_bounds double precision[] := '{-20, -10, -5, -2, 0, 2, 5, 10, 20}'::double precision[];
    v_order upc._edge_terms;
BEGIN
    PERFORM upc.require_symbol(symbol);
    v_order := upc._symbol_order(symbol);

    RETURN QUERY
    SELECT
        t.model,
        t.method,
        t.settlement,
        t.side,
        t.is_promised,
        (-v_bounds[t.band + 1])::integer,
        (-v_bounds[t.band])::integer,
        t.contracts::bigint,
        t.events,
        t.edge / t.contracts,
        m.profit,
        m.profit - h.half,
        m.profit + h.half,
        100 * t.won / t.contracts,
        CASE WHEN every_tick THEN 'every tick' ELSE 'one a minute' END
    FROM upc._edge_totals(
        edge_outcomes.symbol, since, until, v_bounds, v_order, every_tick IS TRUE
    ) AS t
    CROSS JOIN LATERAL (SELECT t.profit / t.contracts AS profit) AS m
    CROSS JOIN LATERAL (
        -- Of a ratio of sums over events, as events differ in how much they have of a row.
        SELECT
            CASE WHEN t.events >= 10 THEN
                upc._deviations_95() / t.contracts * sqrt(
                    t.events::double precision / (t.events - 1) * greatest(
                        0,
                        t.profit_squared - 2 * m.profit * t.profit_weighted
                        + m.profit ^ 2 * t.contracts_squared
                    )
                )
            END AS half
    ) AS h
    ORDER BY
        t.model, t.method, t.settlement, t.side DESC, t.is_promised, t.band DESC NULLS LAST;
END
$fn$;
COMMENT ON FUNCTION upc.edge_outcomes IS
    'the profits of the edges of a symbol''s live ticks of a span, after fees, by side and band of the edge';


CREATE VIEW analytics.edge_outcome AS
SELECT
    s.symbol,
    e.model,
    e.method,
    e.settlement,
    e.side,
    e.is_promised,
    e.edge_from,
    e.edge_to,
    e.contracts,
    e.events,
    e.mean_edge,
    e.mean_profit,
    e.profit_low,
    e.profit_high,
    e.win_share,
    e.counted
FROM upc_data.symbol AS s
CROSS JOIN LATERAL upc.edge_outcomes(s.symbol) AS e
WHERE coalesce(e.edge_from, e.edge_to) IS NOT NULL;
COMMENT ON VIEW analytics.edge_outcome IS
    'the profits of the edges of live ticks, after fees; of a span of time: upc.edge_outcomes';
COMMENT ON COLUMN analytics.edge_outcome.symbol IS 'symbol';
COMMENT ON COLUMN analytics.edge_outcome.model IS 'the model that the probabilities came from';
COMMENT ON COLUMN analytics.edge_outcome.method IS 'the method by which they were read off the grid';
COMMENT ON COLUMN analytics.edge_outcome.settlement IS
    'the settlement that was assumed: close or average';
COMMENT ON COLUMN analytics.edge_outcome.side IS 'side that would have been bought: yes or no';
COMMENT ON COLUMN analytics.edge_outcome.is_promised IS 'true for edges above zero';
COMMENT ON COLUMN analytics.edge_outcome.edge_from IS
    'edges above this, cents per contract; NULL for the lowest';
COMMENT ON COLUMN analytics.edge_outcome.edge_to IS
    'and up to this; NULL for the highest';
COMMENT ON COLUMN analytics.edge_outcome.contracts IS 'one per strike that had an ask, of the first tick of each minute';
COMMENT ON COLUMN analytics.edge_outcome.events IS
    'distinct closes that they are of; contracts of one are not independent';
COMMENT ON COLUMN analytics.edge_outcome.mean_edge IS
    'mean edge, cents per contract: the probability less the ask and the taker fee';
COMMENT ON COLUMN analytics.edge_outcome.mean_profit IS
    'mean profit, cents per contract: 100 or nothing, less the ask and the taker fee';
COMMENT ON COLUMN analytics.edge_outcome.profit_low IS
    'lower end of the 95 percent interval of mean_profit over events; NULL below ten events';
COMMENT ON COLUMN analytics.edge_outcome.profit_high IS 'its upper end';
COMMENT ON COLUMN analytics.edge_outcome.win_share IS
    'share of the contracts that paid a dollar, percent';
COMMENT ON COLUMN analytics.edge_outcome.counted IS
    'ticks that are counted: one a minute, of days that have every tick, too';

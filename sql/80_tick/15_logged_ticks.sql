-- Logged ticks: every tick of the last days and one a minute of those before, as one list.

CREATE VIEW analytics.logged_tick AS
SELECT
    m.symbol,
    m.tick_id,
    m.ticked_at,
    'one a minute'::text AS kept,
    true AS is_first,
    m.feed,
    m.state,
    m.market_at,
    m.price,
    m.priced_at,
    m.momentum,
    m.ttc_seconds,
    m.closes_at,
    m.event_ticker,
    m.model,
    m.method,
    m.settlement,
    m.fingerprint,
    m.volatility,
    m.strikes,
    m.prob_above,
    m.yes_bid,
    m.yes_ask,
    m.no_bid,
    m.no_ask,
    m.source,
    m.basis,
    m.basis_settlements
FROM upc_data.tick_minute AS m

UNION ALL

SELECT
    t.symbol,
    t.tick_id,
    t.ticked_at,
    'every tick',
    CASE
        -- A probe of an index: a join would read the log twice.
        WHEN t.tick_id = (
            SELECT f.tick_id
            FROM upc_data.tick AS f
            WHERE f.symbol = t.symbol
              AND f.ticked_at >= upc._minute_of(t.ticked_at)
              AND f.ticked_at <= t.ticked_at
            ORDER BY f.ticked_at, f.tick_id
            LIMIT 1
        )
        THEN NOT EXISTS (
            SELECT
            FROM upc_data.tick_minute AS k
            WHERE k.symbol = t.symbol AND k.minute_at = upc._minute_of(t.ticked_at)
        )
        ELSE false
    END,
    t.feed,
    t.state,
    t.market_at,
    t.price,
    t.priced_at,
    t.momentum,
    t.ttc_seconds,
    t.closes_at,
    t.event_ticker,
    t.model,
    t.method,
    t.settlement,
    t.fingerprint,
    t.volatility,
    t.strikes,
    t.prob_above,
    t.yes_bid,
    t.yes_ask,
    t.no_bid,
    t.no_ask,
    t.source,
    t.basis,
    t.basis_settlements
FROM upc_data.tick AS t
-- While a day is thinned, ticks are in both.
WHERE NOT EXISTS (
    SELECT
    FROM upc_data.tick_minute AS d
    WHERE d.symbol = t.symbol
      AND d.minute_at = upc._minute_of(t.ticked_at)
      AND d.tick_id = t.tick_id
);
COMMENT ON VIEW analytics.logged_tick IS
    'every tick that is kept, once: all of the last days, the first of each minute of the days before; ask for a symbol and a span of ticked_at';
COMMENT ON COLUMN analytics.logged_tick.symbol IS 'symbol';
COMMENT ON COLUMN analytics.logged_tick.tick_id IS 'ascending number of the symbol''s ticks';
COMMENT ON COLUMN analytics.logged_tick.ticked_at IS 'when the tick was computed';
COMMENT ON COLUMN analytics.logged_tick.kept IS
    'what is kept of its time: every tick, or one a minute';
COMMENT ON COLUMN analytics.logged_tick.is_first IS
    'true for the first tick of its minute: what one a minute keeps';
COMMENT ON COLUMN analytics.logged_tick.feed IS 'where the price came from';
COMMENT ON COLUMN analytics.logged_tick.state IS 'freshness of the price: fresh, warn, stale or halted';
COMMENT ON COLUMN analytics.logged_tick.market_at IS
    'the instant that the tick speaks of: now, or the stored instant that a replay shows';
COMMENT ON COLUMN analytics.logged_tick.price IS 'price, USD';
COMMENT ON COLUMN analytics.logged_tick.priced_at IS
    'when the price was seen, on the clock of market_at';
COMMENT ON COLUMN analytics.logged_tick.momentum IS
    'momentum, basis points; NULL where it is not known';
COMMENT ON COLUMN analytics.logged_tick.ttc_seconds IS
    'whole seconds to the close of the contracts';
COMMENT ON COLUMN analytics.logged_tick.closes_at IS
    'when the contracts close; NULL for ticks that were logged before it was';
COMMENT ON COLUMN analytics.logged_tick.event_ticker IS
    'the Kalshi event; NULL where it was the next full hour';
COMMENT ON COLUMN analytics.logged_tick.model IS 'the model that the probabilities come from';
COMMENT ON COLUMN analytics.logged_tick.method IS 'how the probabilities were read off the grid';
COMMENT ON COLUMN analytics.logged_tick.settlement IS
    'the settlement that was assumed: close or average';
COMMENT ON COLUMN analytics.logged_tick.fingerprint IS 'the fingerprint that answered';
COMMENT ON COLUMN analytics.logged_tick.volatility IS
    'forecast of the standard deviation of the move until the close, percent of the price';
COMMENT ON COLUMN analytics.logged_tick.strikes IS 'strikes, USD, ascending';
COMMENT ON COLUMN analytics.logged_tick.prob_above IS
    'probability in percent to close at or above each strike; NULL from halted on';
COMMENT ON COLUMN analytics.logged_tick.yes_bid IS
    'the bid for yes at each strike, USD per contract, exact; NULL where there was no edge';
COMMENT ON COLUMN analytics.logged_tick.yes_ask IS 'the ask of yes, like yes_bid';
COMMENT ON COLUMN analytics.logged_tick.no_bid IS 'the bid for no, like yes_bid';
COMMENT ON COLUMN analytics.logged_tick.no_ask IS 'the ask of no, like yes_bid';
COMMENT ON COLUMN analytics.logged_tick.source IS
    'where the price came from: an exchange, or candles; NULL for made-up prices and before it was logged';
COMMENT ON COLUMN analytics.logged_tick.basis IS
    'the share by which such prices lie above what settles: the probabilities are of price / (1 + basis); NULL where they are of the price as it is';
COMMENT ON COLUMN analytics.logged_tick.basis_settlements IS
    'how many settlements the basis rests on';

-- The average price of a minute, which settles contracts, as far as a candle knows it.

-- Of the combinations of a candle's four prices whose weights sum to 1, one that comes as near to the average
-- of a Brownian minute as they can: its variance is 0.327 of the minute's, where the average of 60 seconds has
-- 0.342, and that of open, high, low and close with equal weights 0.263.
CREATE FUNCTION upc._minute_average(candle upc_data.candle)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- Numeric, so that the average of a minute in which nothing moved is its price.
RETURN (
    0.555 * ((_minute_average.candle).high::numeric + (_minute_average.candle).low::numeric)
    - 0.05 * (_minute_average.candle).close::numeric
    - 0.06 * (_minute_average.candle).open::numeric
)::double precision;
COMMENT ON FUNCTION upc._minute_average IS
    'the average price of a candle''s minute, USD, as far as the candle knows it: 1.11 · (high + low) / 2 - 0.05 · close - 0.06 · open';

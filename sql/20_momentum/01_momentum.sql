-- Momentum: the moves of the last half hour, weighted, in basis points.

-- Distances over which momentum looks back, and the weights of these moves. Everything that depends
-- on them takes them from here; planning folds them into constants. A change has every history counted
-- again by the next build.

CREATE FUNCTION upc._momentum_lags()
RETURNS integer[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '{1, 2, 3, 4, 15, 30}'::integer[];
COMMENT ON FUNCTION upc._momentum_lags IS
    'the six distances, minutes ascending, over which momentum looks back; at most 30, which is what the windows of the counts hold';


CREATE FUNCTION upc._momentum_weights()
RETURNS double precision[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '{0.30, 0.25, 0.20, 0.15, 0.05, 0.05}'::double precision[];
COMMENT ON FUNCTION upc._momentum_weights IS
    'the weights of the moves over the six distances of upc._momentum_lags()';


CREATE FUNCTION upc._momentum_lag(place integer)
RETURNS interval
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN make_interval(mins => (upc._momentum_lags())[_momentum_lag.place]);
COMMENT ON FUNCTION upc._momentum_lag IS 'one of the six distances of upc._momentum_lags()';


DO $do$
BEGIN
    ASSERT cardinality(upc._momentum_lags()) = 6 AND cardinality(upc._momentum_weights()) = 6
        AND upc._momentum_lags() = ARRAY(
            SELECT DISTINCT l FROM unnest(upc._momentum_lags()) AS l WHERE l BETWEEN 1 AND 30 ORDER BY l
        ),
        'momentum has six weights and six ascending distances of 1 to 30 minutes';
END
$do$;


CREATE FUNCTION upc._momentum_bps(
    price double precision,
    price_1m double precision,
    price_2m double precision,
    price_3m double precision,
    price_4m double precision,
    price_15m double precision,
    price_30m double precision
)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 10000 * (
    (upc._momentum_weights())[1] * (_momentum_bps.price - _momentum_bps.price_1m)
        / _momentum_bps.price_1m
    + (upc._momentum_weights())[2] * (_momentum_bps.price - _momentum_bps.price_2m)
        / _momentum_bps.price_2m
    + (upc._momentum_weights())[3] * (_momentum_bps.price - _momentum_bps.price_3m)
        / _momentum_bps.price_3m
    + (upc._momentum_weights())[4] * (_momentum_bps.price - _momentum_bps.price_4m)
        / _momentum_bps.price_4m
    + (upc._momentum_weights())[5] * (_momentum_bps.price - _momentum_bps.price_15m)
        / _momentum_bps.price_15m
    + (upc._momentum_weights())[6] * (_momentum_bps.price - _momentum_bps.price_30m)
        / _momentum_bps.price_30m
);
COMMENT ON FUNCTION upc._momentum_bps IS
    'momentum in basis points from a price and the prices before it, at the six distances of upc._momentum_lags()';


-- Momentum bucket, -30 to 30, of a momentum in basis points, rounded half to even. The outer buckets
-- hold everything beyond; NULL has none.
--
-- Example:
--   SELECT upc.momentum_bucket(6.5) = 6 AND upc.momentum_bucket(-45) = -30;
CREATE FUNCTION upc.momentum_bucket(momentum double precision)
RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- The cast rounds half to even. Least and greatest pass over a NULL, which is no momentum at all.
RETURN CASE
    WHEN momentum_bucket.momentum IS NOT NULL
    THEN least(30, greatest(-30, momentum_bucket.momentum))::integer
END;
COMMENT ON FUNCTION upc.momentum_bucket IS
    'the momentum bucket, -30 to 30, of a momentum in basis points; the outer buckets hold everything beyond';


CREATE FUNCTION upc._momentum_of(
    price double precision,
    earlier double precision[],
    OUT momentum double precision,
    OUT delta_1m double precision,
    OUT delta_2m double precision,
    OUT delta_3m double precision,
    OUT delta_4m double precision,
    OUT delta_15m double precision,
    OUT delta_30m double precision
)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
BEGIN
    momentum := upc._momentum_bps(
        price, earlier[1], earlier[2], earlier[3], earlier[4], earlier[5], earlier[6]
    );
    delta_1m := 100 * (price - earlier[1]) / earlier[1];
    delta_2m := 100 * (price - earlier[2]) / earlier[2];
    delta_3m := 100 * (price - earlier[3]) / earlier[3];
    delta_4m := 100 * (price - earlier[4]) / earlier[4];
    delta_15m := 100 * (price - earlier[5]) / earlier[5];
    delta_30m := 100 * (price - earlier[6]) / earlier[6];
END
$fn$;
COMMENT ON FUNCTION upc._momentum_of IS
    'momentum in basis points and its deltas in percent from a price and the prices 1, 2, 3, 4, 15 and 30 minutes before it; NULL where one of them is';


-- The prices of a symbol before an instant, at the six distances of upc._momentum_lags(): at each what
-- upc._price_by finds. One statement for all six.
CREATE FUNCTION upc._earlier_prices(symbol text, at timestamptz)
RETURNS double precision[]
LANGUAGE sql STABLE PARALLEL SAFE
RETURN ARRAY(
    SELECT coalesce(
        (
            SELECT p.price
            FROM upc_data.price AS p
            WHERE p.symbol = _earlier_prices.symbol
              AND p.received_at BETWEEN
                  _earlier_prices.at - make_interval(mins => l.lag, secs => 5)
                  AND _earlier_prices.at - make_interval(mins => l.lag)
              -- Again, with bounds that are known before: which days of the log are needed.
              AND p.received_at BETWEEN
                  _earlier_prices.at - interval '31 minutes' AND _earlier_prices.at
            ORDER BY p.received_at DESC
            LIMIT 1
        ),
        (
            SELECT c.close
            FROM upc_data.candle AS c
            WHERE c.symbol = _earlier_prices.symbol
              AND c.opened_at BETWEEN
                  _earlier_prices.at - make_interval(mins => l.lag + 2)
                  AND _earlier_prices.at - make_interval(mins => l.lag + 1)
            ORDER BY c.opened_at DESC
            LIMIT 1
        )
    )
    FROM unnest(upc._momentum_lags()) WITH ORDINALITY AS l (lag, place)
    ORDER BY l.place
);
COMMENT ON FUNCTION upc._earlier_prices IS
    'the prices in USD at the six distances of upc._momentum_lags() before an instant, as upc._price_by finds them; NULL where there is none';


-- Momentum of a symbol at an instant, in basis points, with its six deltas in percent.
--
-- price: USD at that instant; NULL takes the close of the last candle closed by then. Earlier prices
-- are logged ones, else closes; where one is missing, its delta and momentum are NULL.
-- Errors: UP002 unknown symbol; UP001 price not finite or not above zero.
--
-- Example:
--   SELECT momentum, delta_30m FROM momentum('BTC', '2024-01-01 12:00+00');
CREATE FUNCTION upc.momentum(
    symbol text,
    at timestamptz DEFAULT clock_timestamp(),
    price double precision DEFAULT NULL,
    OUT momentum double precision,
    OUT delta_1m double precision,
    OUT delta_2m double precision,
    OUT delta_3m double precision,
    OUT delta_4m double precision,
    OUT delta_15m double precision,
    OUT delta_30m double precision
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_price double precision := price;
    v_earlier double precision[];
BEGIN
    IF NOT coalesce(price > 0 AND price < 'Infinity', true) THEN
        PERFORM upc.require_symbol(symbol);
        PERFORM upc._refuse_price(price, 'Leave it out for the last close.');
    END IF;

    IF v_price IS NULL THEN
        SELECT c.close
        INTO v_price
        FROM upc_data.candle AS c
        WHERE c.symbol = momentum.symbol AND c.opened_at <= at - interval '1 minute'
        ORDER BY c.opened_at DESC
        LIMIT 1;
    END IF;

    -- As upc._momentum_of: the columns of a function that is called take longer to assign than to work
    -- out.
    v_earlier := upc._earlier_prices(symbol, at);
    momentum := upc._momentum_bps(
        v_price, v_earlier[1], v_earlier[2], v_earlier[3], v_earlier[4], v_earlier[5], v_earlier[6]
    );
    delta_1m := 100 * (v_price - v_earlier[1]) / v_earlier[1];
    delta_2m := 100 * (v_price - v_earlier[2]) / v_earlier[2];
    delta_3m := 100 * (v_price - v_earlier[3]) / v_earlier[3];
    delta_4m := 100 * (v_price - v_earlier[4]) / v_earlier[4];
    delta_15m := 100 * (v_price - v_earlier[5]) / v_earlier[5];
    delta_30m := 100 * (v_price - v_earlier[6]) / v_earlier[6];
    -- A symbol that is not known has no prices.
    IF momentum IS NULL THEN
        PERFORM upc.require_symbol(symbol);
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc.momentum IS
    'momentum of a symbol at an instant in basis points, with its six deltas in percent; NULL where a price is missing';

CREATE FUNCTION upc.momentum_bps(
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
    0.30::double precision * (momentum_bps.price - momentum_bps.price_1m) / momentum_bps.price_1m
    + 0.25::double precision * (momentum_bps.price - momentum_bps.price_2m) / momentum_bps.price_2m
    + 0.20::double precision * (momentum_bps.price - momentum_bps.price_3m) / momentum_bps.price_3m
    + 0.15::double precision * (momentum_bps.price - momentum_bps.price_4m) / momentum_bps.price_4m
    + 0.05::double precision * (momentum_bps.price - momentum_bps.price_15m) / momentum_bps.price_15m
    + 0.05::double precision * (momentum_bps.price - momentum_bps.price_30m) / momentum_bps.price_30m
);

COMMENT ON FUNCTION upc.momentum_bps IS
    'momentum in basis points from a price and the prices 1, 2, 3, 4, 15 and 30 minutes before it';


CREATE FUNCTION upc.momentum_bucket(momentum double precision)
RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- The cast rounds half to even.
RETURN least(30, greatest(-30, momentum_bucket.momentum))::integer;
COMMENT ON FUNCTION upc.momentum_bucket IS
    'the momentum bucket, -30 to 30, of a momentum in basis points; the outer buckets hold everything beyond';

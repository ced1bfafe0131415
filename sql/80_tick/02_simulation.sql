-- Simulation: prices that are made up, the same ones for the same seed.
--
-- The logarithm of the price is a Brownian path, drawn by midpoint displacement: from anchors
-- 2^11 minutes apart down to a minute in 11 halvings, and to about a second in 6 more. A hash of
-- seed, level and place stands in for the dice, so that any instant can be read on its own. Every
-- halving also multiplies the volatility by a log-normal factor, so that it clusters at all scales.

CREATE FUNCTION upc._hash_normal(key bigint, place bigint)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- Box and Muller, from the two halves of the hash.
RETURN sqrt(
    -2 * ln(
        ((hashint8extended(_hash_normal.place, _hash_normal.key) & 4294967295) + 0.5::double precision)
        / 4294967296
    )
) * cos(
    2 * pi()
    * ((hashint8extended(_hash_normal.place, _hash_normal.key) >> 32) + 0.5::double precision)
    / 4294967296
);
COMMENT ON FUNCTION upc._hash_normal IS
    'a standard normal number that depends on nothing but a key and a place';


CREATE FUNCTION upc._simulated_anchor(key bigint, place bigint)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- Neighbours differ like the ends of a path with a volatility of 0.006 % per square root of a
-- second, which is about 0.05 % a minute and 0.36 % an hour.
RETURN 6e-5::double precision * sqrt(61440::double precision)
    * upc._hash_normal(_simulated_anchor.key, _simulated_anchor.place);
COMMENT ON FUNCTION upc._simulated_anchor IS
    'the logarithm of the simulated price, against its centre, at a multiple of 122,880 seconds since 1970';


CREATE FUNCTION upc._simulated_factor(key bigint, level integer, place bigint)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- The mean of its square is 1: some intervals are livelier, and the whole is as lively as before.
RETURN exp(
    0.25::double precision
        * upc._hash_normal(_simulated_factor.key + _simulated_factor.level, _simulated_factor.place)
    - 0.0625::double precision
);
COMMENT ON FUNCTION upc._simulated_factor IS
    'what an interval of the simulated path multiplies the volatility of all within it by';


CREATE FUNCTION upc._simulated_bend(key bigint, level integer, place bigint)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 6e-5::double precision * sqrt(30720::double precision / 2 ^ (_simulated_bend.level - 1))
    * upc._hash_normal(_simulated_bend.key - _simulated_bend.level, _simulated_bend.place);
COMMENT ON FUNCTION upc._simulated_bend IS
    'how far the middle of an interval of the simulated path lies from the mean of its ends, at a volatility factor of 1';


CREATE FUNCTION upc._simulated_centre(symbol text)
RETURNS double precision
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_step double precision;
BEGIN
    SELECT s.strike_step INTO v_step
    FROM upc_data.symbol AS s
    WHERE s.symbol = _simulated_centre.symbol;
    IF NOT FOUND THEN
        PERFORM upc.require_symbol(symbol);
    END IF;
    RETURN 400 * v_step;
END
$fn$;
COMMENT ON FUNCTION upc._simulated_centre IS
    'the price in USD that the simulated price of a symbol stays around: 400 strike steps';


-- A made-up price at an instant: the same for the same symbol and seed.
--
-- symbol: whose strike step the price goes by. at: the instant. seed: any integer.
-- Returns USD, rounded to cents, below a dollar to four digits.
-- Errors: UP002 symbol.
--
-- Example:
--   SELECT simulated_price('BTC', '2026-01-01 00:00+00') > 0 AS is_price;
CREATE FUNCTION upc.simulated_price(
    symbol text,
    at timestamptz DEFAULT clock_timestamp(),
    seed integer DEFAULT 1
)
RETURNS double precision
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_key bigint := hashtextextended(symbol, seed);
    -- Whole intervals since 1970, and the part of the one that holds the instant.
    v_place bigint := floor(date_part('epoch', at) / 122880);
    v_part double precision := date_part('epoch', at) / 122880 - v_place;
    v_left double precision := upc._simulated_anchor(v_key, v_place);
    v_right double precision := upc._simulated_anchor(v_key, v_place + 1);
    v_factor double precision := 1;
    v_middle double precision;
BEGIN
    FOR v_level IN 1..17 LOOP
        v_factor := v_factor * upc._simulated_factor(v_key, v_level, v_place);
        v_middle := (v_left + v_right) / 2 + v_factor * upc._simulated_bend(v_key, v_level, v_place);
        v_part := 2 * v_part;
        v_place := 2 * v_place;
        IF v_part < 1 THEN
            v_right := v_middle;
        ELSE
            v_left := v_middle;
            v_part := v_part - 1;
            v_place := v_place + 1;
        END IF;
    END LOOP;
    RETURN upc._rounded_price(
        upc._simulated_centre(symbol) * exp(v_left + (v_right - v_left) * v_part)
    );
END
$fn$;
COMMENT ON FUNCTION upc.simulated_price IS
    'a made-up price in USD, the same for the same symbol, instant and seed, with volatility that clusters';


-- One-minute candles of the simulated price.
--
-- symbol, seed: as in simulated_price. since, until: whole minutes from the one up to but not including
-- the other.
-- Returns one row per candle, with the columns of upc_data.candle. High and low are those of four
-- instants, a quarter of a minute apart, and the close.
-- Errors: UP002 symbol.
--
-- Example:
--   SELECT count(*) FROM simulated_candles('ETH', '2026-01-01 00:00+00', '2026-01-01 01:00+00');
CREATE FUNCTION upc.simulated_candles(
    symbol text,
    since timestamptz,
    until timestamptz,
    seed integer DEFAULT 1
)
RETURNS SETOF upc_data.candle
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    WITH RECURSIVE range AS (
        SELECT
            hashtextextended(simulated_candles.symbol, simulated_candles.seed) AS key,
            upc._simulated_centre(simulated_candles.symbol) AS centre,
            date_part('epoch', simulated_candles.since) / 122880 AS since,
            date_part('epoch', simulated_candles.until) / 122880 AS until
    ),
    -- All intervals of one level after the other: level 13 has the quarters of a minute.
    path AS (
        SELECT
            0 AS level,
            p.place,
            upc._simulated_anchor(r.key, p.place) AS leftmost,
            upc._simulated_anchor(r.key, p.place + 1) AS rightmost,
            1::double precision AS factor
        FROM range AS r
        CROSS JOIN generate_series(floor(r.since)::bigint, floor(r.until)::bigint) AS p (place)
        UNION ALL
        SELECT
            b.level,
            2 * b.place + h.half,
            CASE h.half WHEN 0 THEN b.leftmost ELSE b.middle END,
            CASE h.half WHEN 0 THEN b.middle ELSE b.rightmost END,
            b.factor
        FROM range AS r
        CROSS JOIN LATERAL (
            SELECT
                f.level,
                f.place,
                f.leftmost,
                f.rightmost,
                f.factor,
                (f.leftmost + f.rightmost) / 2
                    + f.factor * upc._simulated_bend(r.key, f.level, f.place) AS middle
            FROM (
                SELECT
                    p.level + 1 AS level,
                    p.place,
                    p.leftmost,
                    p.rightmost,
                    p.factor * upc._simulated_factor(r.key, p.level + 1, p.place) AS factor
                FROM path AS p
                WHERE p.level < 13
                OFFSET 0
            ) AS f
            OFFSET 0
        ) AS b
        CROSS JOIN generate_series(0, 1) AS h (half)
        WHERE 2 * b.place + h.half + 1 > r.since * 2 ^ b.level
          AND 2 * b.place + h.half < r.until * 2 ^ b.level
    ),
    quarter AS (
        SELECT
            p.place >> 2 AS minute,
            p.place & 3 AS quarter,
            upc._rounded_price(r.centre * exp(p.leftmost)) AS usd,
            upc._rounded_price(r.centre * exp(p.rightmost)) AS usd_after
        FROM path AS p
        CROSS JOIN range AS r
        WHERE p.level = 13
    ),
    candle AS (
        SELECT
            to_timestamp(60 * q.minute) AS opened_at,
            max(q.usd) FILTER (WHERE q.quarter = 0) AS open,
            greatest(max(q.usd), max(q.usd_after)) AS high,
            least(min(q.usd), min(q.usd_after)) AS low,
            max(q.usd_after) FILTER (WHERE q.quarter = 3) AS close
        FROM quarter AS q
        GROUP BY q.minute
    )
    SELECT
        simulated_candles.symbol COLLATE "C",
        c.opened_at,
        c.open,
        c.high,
        c.low,
        c.close,
        round((1 + 1000 * ln(c.high / c.low))::numeric, 5)::double precision
    FROM candle AS c
    WHERE c.opened_at >= simulated_candles.since
      AND c.opened_at + interval '1 minute' <= simulated_candles.until;
END;
COMMENT ON FUNCTION upc.simulated_candles IS
    'one-minute candles of the simulated price of a symbol';


CREATE FUNCTION upc._simulated_momentum(
    symbol text,
    at timestamptz,
    price double precision,
    seed integer,
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
BEGIN
    SELECT m.*
    INTO momentum, delta_1m, delta_2m, delta_3m, delta_4m, delta_15m, delta_30m
    FROM upc._momentum_of(
        price,
        ARRAY[
            upc.simulated_price(symbol, at - upc._momentum_lag(1), seed),
            upc.simulated_price(symbol, at - upc._momentum_lag(2), seed),
            upc.simulated_price(symbol, at - upc._momentum_lag(3), seed),
            upc.simulated_price(symbol, at - upc._momentum_lag(4), seed),
            upc.simulated_price(symbol, at - upc._momentum_lag(5), seed),
            upc.simulated_price(symbol, at - upc._momentum_lag(6), seed)
        ]
    ) AS m;
END
$fn$;
COMMENT ON FUNCTION upc._simulated_momentum IS
    'momentum in basis points of a simulated price, and its deltas in percent';

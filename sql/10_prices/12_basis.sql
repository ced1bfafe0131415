-- The basis: by how much prices lie above what Kalshi settles on.

-- The mean of shares, without those that can only be wrong: further from the median than 10 times the median
-- distance from it, and than a basis point.
--
-- Returns NULL for no share. spread: their standard deviation. count: how many are left.
CREATE FUNCTION upc._steady_mean(
    shares double precision[],
    OUT mean double precision,
    OUT spread double precision,
    OUT count integer
)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_median double precision;
    v_limit double precision;
BEGIN
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY s) INTO v_median FROM unnest(shares) AS s;
    SELECT greatest(0.0001, 10 * percentile_cont(0.5) WITHIN GROUP (ORDER BY abs(s - v_median)))
    INTO v_limit
    FROM unnest(shares) AS s;
    SELECT avg(s), stddev_samp(s), count(*)
    INTO mean, spread, count
    FROM unnest(shares) AS s
    WHERE abs(s - v_median) <= v_limit;
END
$fn$;
COMMENT ON FUNCTION upc._steady_mean IS
    'the mean of shares, their standard deviation and their number, without those further from the median than 10 times the median distance from it, and than 0.0001';


-- The basis of a source at an instant, of the last 12 settlements that were known then, a day old at most. A
-- value of more than 1 percent is another price, and is passed over.
--
-- source: an exchange, or candles.
-- Returns a share of the value; NULL below 12. settlements: how many it rests on, 12 less those that
-- _steady_mean leaves out; without a basis, how many there are.
CREATE FUNCTION upc._known_basis(
    symbol text,
    source text,
    at timestamptz,
    OUT basis double precision,
    OUT spread double precision,
    OUT settlements integer
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_last double precision[] := ARRAY(
        SELECT b.basis
        FROM upc_data.settlement_basis AS b
        WHERE b.symbol = _known_basis.symbol
          AND b.source = _known_basis.source
          AND b.closes_at > at - interval '1 day'
          AND b.closes_at <= at
          AND b.known_at <= at
          AND abs(b.basis) <= 0.01
        ORDER BY b.closes_at DESC
        LIMIT 12
    );
BEGIN
    settlements := cardinality(v_last);
    IF settlements = 12 THEN
        SELECT m.mean, m.spread, m.count
        INTO basis, spread, settlements
        FROM upc._steady_mean(v_last) AS m;
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._known_basis IS
    'by how much the prices of a source lie above what the last 12 settlements known by an instant were, as a share, its spread, and how many it rests on; NULL below 12';


-- A price, or an average of prices, as Kalshi would have it. basis: a share; NULL is none.
CREATE FUNCTION upc._less_basis(price double precision, basis double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN _less_basis.basis IS NULL THEN _less_basis.price
    ELSE _less_basis.price / (1 + _less_basis.basis)
END;
COMMENT ON FUNCTION upc._less_basis IS
    'a price in USD less its basis, which is a share; as it is where that is NULL';


-- Keep the basis of each source at the closes of the last day whose settlement is known: the average of the
-- last minute over the value, less 1. Those that are kept stay as they are. Candles may come in later than the
-- settlement, logged prices do not.
--
-- An event that was called off says nothing. known_at: when the settlement came to be known.
CREATE FUNCTION upc._note_basis(symbol text, known_at timestamptz)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_settled record;
BEGIN
    FOR v_settled IN
        SELECT
            e.closes_at,
            e.closes_at - interval '1 minute' AS since,
            max(e.expiration_value)::double precision AS value,
            ARRAY(
                SELECT b.source FROM upc_data.settlement_basis AS b
                WHERE b.symbol = _note_basis.symbol AND b.closes_at = e.closes_at
            ) AS sources
        FROM upc_data.market_event AS e
        WHERE e.symbol = _note_basis.symbol
          AND e.closes_at > _note_basis.known_at - interval '1 day'
          AND e.closes_at <= _note_basis.known_at
          AND e.expiration_value > 0
          AND NOT EXISTS (
              SELECT FROM upc_data.market_quote AS q
              WHERE q.symbol = e.symbol AND q.event_ticker = e.event_ticker AND q.result = 'void'
          )
        GROUP BY e.closes_at
    LOOP
        INSERT INTO upc_data.settlement_basis AS b (symbol, source, closes_at, basis, known_at)
        SELECT
            _note_basis.symbol, p.source, v_settled.closes_at, p.price / v_settled.value - 1,
            _note_basis.known_at
        FROM (
            SELECT 'candles' AS source, upc._minute_average(c) AS price
            FROM upc_data.candle AS c
            WHERE 'candles' <> ALL (v_settled.sources)
              AND c.symbol = _note_basis.symbol
              AND c.opened_at = v_settled.since
            UNION ALL
            SELECT
                l.exchange,
                upc._observed_average(
                    _note_basis.symbol, v_settled.since, v_settled.closes_at, l.exchange
                )
            FROM (
                SELECT DISTINCT r.exchange
                FROM upc_data.price AS r
                WHERE v_settled.sources <@ '{candles}'
                  AND r.symbol = _note_basis.symbol
                  AND r.received_at >= v_settled.since
                  AND r.received_at < v_settled.closes_at
            ) AS l
        ) AS p
        WHERE p.price IS NOT NULL
        ON CONFLICT ON CONSTRAINT settlement_basis_pkey DO NOTHING;
    END LOOP;
END
$fn$;
COMMENT ON FUNCTION upc._note_basis IS
    'keeps by how much the last minute of each source lay above the settlements of the last day that are known';


-- The basis of a symbol's prices, a row per source: the average of the last minute before a close over the
-- value that the events of that close settled on.
--
-- at: what was known by then of the closes in the day before it.
-- Returns source: of logged prices, the exchange; candles, by the average of the minute that a candle knows.
-- settlements: of the last 12 of which the whole minute was seen, those that the mean rests on: one that is far
-- from the rest is left out. mean_bp and spread_bp: mean and standard deviation of their basis, basis points;
-- NULL below 12.
-- Errors: UP002 symbol.
--
-- Example:
--   SELECT count(*) = 0 FROM basis('ETH', '2001-01-01 00:00+00');
CREATE FUNCTION upc.basis(symbol text, at timestamptz DEFAULT clock_timestamp())
RETURNS TABLE (
    source text,
    settlements integer,
    mean_bp double precision,
    spread_bp double precision
)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 2
AS $fn$
BEGIN
    PERFORM upc.require_symbol(symbol);
    RETURN QUERY
    SELECT s.source, k.settlements, 10000 * k.basis, 10000 * k.spread
    FROM (
        SELECT DISTINCT b.source
        FROM upc_data.settlement_basis AS b
        WHERE b.symbol = basis.symbol
          AND b.closes_at > basis.at - interval '1 day'
          AND b.closes_at <= basis.at
          AND b.known_at <= basis.at
    ) AS s
    CROSS JOIN LATERAL upc._known_basis(basis.symbol, s.source, basis.at) AS k
    ORDER BY s.source;
END
$fn$;
COMMENT ON FUNCTION upc.basis IS
    'by how much a symbol''s prices lie above what the last 12 events settled on, basis points, a row per source';

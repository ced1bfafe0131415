-- Series: Kalshi's kinds of events. Those that are known come with the symbol that is registered.

-- Kalshi's series of cryptocurrencies, whether their symbol is registered or not.
--
-- Returns a row per series, as it is stored for its symbol. Maker fees are assumed until Kalshi's
-- /series/{ticker} says otherwise; it and the rules of an event correct what is stored.
-- Errors: none.
--
-- Example:
--   SELECT kind FROM known_series() WHERE series = 'KXBTC15M';
CREATE FUNCTION upc.known_series()
RETURNS SETOF upc_data.series
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 15
BEGIN ATOMIC
    SELECT k.symbol, k.series, k.kind, 'quadratic_with_maker_fees', 1, 'average', k.digits::smallint, true
    FROM (
        VALUES
            ('BTC', 'KXBTCD', 'above', 2),
            ('BTC', 'KXBTC', 'range', 2),
            ('BTC', 'KXBTC15M', 'updown', 2),
            ('ETH', 'KXETHD', 'above', 2),
            ('ETH', 'KXETH', 'range', 2),
            ('ETH', 'KXETH15M', 'updown', 2),
            ('SOL', 'KXSOLD', 'above', 4),
            ('SOL', 'KXSOLE', 'range', 4),
            ('SOL', 'KXSOL15M', 'updown', 4),
            ('XRP', 'KXXRPD', 'above', 4),
            ('XRP', 'KXXRP', 'range', 4),
            ('XRP', 'KXXRP15M', 'updown', 4),
            ('DOGE', 'KXDOGED', 'above', 5),
            ('DOGE', 'KXDOGE', 'range', 5),
            ('DOGE', 'KXDOGE15M', 'updown', 5)
    ) AS k (symbol, series, kind, digits);
END;
COMMENT ON FUNCTION upc.known_series IS
    'Kalshi''s series of cryptocurrencies, as they are stored for a symbol that is registered';


-- A series that nobody knows: its kind is what names of Kalshi's series say, and what settles it is what the
-- rules of its first event say.
CREATE FUNCTION upc._unknown_series(symbol text, series text)
RETURNS upc_data.series
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ROW(
    _unknown_series.symbol,
    _unknown_series.series,
    CASE
        WHEN _unknown_series.series LIKE '%15M' THEN 'updown'
        WHEN _unknown_series.series LIKE '%D' THEN 'above'
        ELSE 'range'
    END,
    'quadratic_with_maker_fees', 1, NULL, 2, true
)::upc_data.series;
COMMENT ON FUNCTION upc._unknown_series IS
    'the row of a series that is not among the known ones, by its name: …D above a strike, …15M up or down, others ranges';


-- names: NULL takes those that are known of the symbol and that no other symbol has.
CREATE FUNCTION upc._add_series(symbol text, names text[])
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $fn$
BEGIN
    INSERT INTO upc_data.series
    SELECT k.*
    FROM upc.known_series() AS k
    WHERE k.symbol = _add_series.symbol
      AND CASE
          WHEN names IS NULL THEN NOT EXISTS (
              SELECT FROM upc_data.series AS o WHERE o.series = k.series
          )
          ELSE k.series = ANY (names)
      END;
    INSERT INTO upc_data.series
    SELECT (upc._unknown_series(_add_series.symbol, n.name)).*
    FROM unnest(names) AS n (name)
    ON CONFLICT ON CONSTRAINT series_symbol_series_pkey DO NOTHING;
END
$fn$;
COMMENT ON FUNCTION upc._add_series IS
    'stores the series of a symbol that is being registered';

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


-- Settlement by the rules of a contract: average, trimmed or close; NULL where they say it of more than
-- one, or of none.
CREATE FUNCTION upc._rules_settlement(rules text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN lower(left(_rules_settlement.rules, 10000)) ~ 'clos(ing|e) (price|value)|last (traded )?price'
    THEN CASE
        WHEN lower(left(_rules_settlement.rules, 10000)) !~ 'average|mean|trimmed' THEN 'close'
    END
    WHEN lower(left(_rules_settlement.rules, 10000))
        ~ 'trimmed|(top|highest)[^.]+(bottom|lowest)|(bottom|lowest)[^.]+(top|highest)'
    THEN 'trimmed'
    WHEN lower(left(_rules_settlement.rules, 10000))
        ~ 'average of the (last |final )?(sixty|60)( one-second)? (seconds|prices|values)'
    THEN 'average'
END;
COMMENT ON FUNCTION upc._rules_settlement IS
    'what settles a contract by its rules: average, trimmed or close; NULL where they do not say it clearly';


-- True where no edge can be worked out: it is not clear what settles, or there is no formula of the fees.
CREATE FUNCTION upc._rules_are_unclear(settlement text, fee_type text)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN _rules_are_unclear.settlement IS NULL
    OR _rules_are_unclear.fee_type NOT IN ('quadratic', 'quadratic_with_maker_fees');
COMMENT ON FUNCTION upc._rules_are_unclear IS
    'true for an event of which it is not clear what settles its contracts or what they cost';


-- The settlement of an event: by its own rules, once they were read, else that of its series.
CREATE FUNCTION upc._event_settlement(event upc_data.market_event, series upc_data.series)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN (_event_settlement.event).has_rules THEN (_event_settlement.event).settlement
    ELSE (_event_settlement.series).settlement
END;
COMMENT ON FUNCTION upc._event_settlement IS
    'what settles an event: average, trimmed or close; NULL where the rules are not clear';


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


-- Correct the fees of a series by Kalshi's own JSON, an answer of GET /series/{ticker}.
--
-- Returns the symbol and the series, and true where something was changed.
-- Errors: UP002 a series of no symbol, UP014 what is not as Kalshi writes it.
--
-- Example:
--   SELECT is_changed FROM load_series('{"series": {"ticker": "KXBTCD", "fee_type": "quadratic",
--       "fee_multiplier": 0.5}}');
CREATE FUNCTION upc.load_series(
    document jsonb,
    OUT symbol text,
    OUT series text,
    OUT is_changed boolean
)
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_series jsonb := document -> 'series';
    v_fee_type text := v_series ->> 'fee_type';
    v_multiplier text := v_series ->> 'fee_multiplier';
BEGIN
    series := v_series ->> 'ticker';
    IF series IS NULL OR (length(v_fee_type) BETWEEN 1 AND 100) IS NOT TRUE
        OR NOT coalesce(v_multiplier ~ '^([0-9]{1,2}([.][0-9]{1,10})?|100([.]0{1,10})?)$', true)
    THEN
        RAISE EXCEPTION 'not a series with its fees'
            USING
                ERRCODE = 'UP014',
                DETAIL = 'It has to hold "series" with "ticker", "fee_type" and a "fee_multiplier" from 0 to 100.',
                HINT = 'Save what GET /series/{ticker} answers.';
    END IF;
    SELECT s.symbol INTO symbol FROM upc_data.series AS s WHERE s.series = load_series.series LIMIT 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no symbol has the series %', left(series, 70)
            USING
                ERRCODE = 'UP002',
                DETAIL = 'The series of the symbols are in upc_data.series.',
                HINT = 'Register its symbol with the series: "pyupc symbols add".';
    END IF;
    UPDATE upc_data.series AS s
    SET fee_type = v_fee_type, fee_multiplier = coalesce(v_multiplier::numeric, s.fee_multiplier)
    WHERE s.symbol = load_series.symbol
      AND s.series = load_series.series
      AND (s.fee_type, s.fee_multiplier)
          IS DISTINCT FROM (v_fee_type, coalesce(v_multiplier::numeric, s.fee_multiplier));
    is_changed := FOUND;
END
$fn$;
COMMENT ON FUNCTION upc.load_series IS
    'corrects the fees of a series by Kalshi''s own JSON';

-- Kalshi's JSON: its numbers, exact, and what of it is refused.

CREATE FUNCTION upc._market_number(market jsonb, name text)
RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- Since 2026 prices are dollars and counts have fractions, both as text; before, they were whole
-- cents and whole contracts.
RETURN CASE
    WHEN _market_number.market ->> (_market_number.name || '_dollars') <> ''
        THEN (_market_number.market ->> (_market_number.name || '_dollars'))::numeric
    WHEN _market_number.market ->> (_market_number.name || '_fp') <> ''
        THEN (_market_number.market ->> (_market_number.name || '_fp'))::numeric
    WHEN _market_number.name LIKE '%_bid' OR _market_number.name LIKE '%_ask'
        THEN nullif(_market_number.market ->> _market_number.name, '')::numeric * 0.01
    ELSE nullif(_market_number.market ->> _market_number.name, '')::numeric
END;
COMMENT ON FUNCTION upc._market_number IS
    'a number of a market from Kalshi''s JSON, prices in USD per contract; NULL where it is left out';


CREATE FUNCTION upc._offered(ask numeric, opposite_bid numeric)
RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- Nobody sells for nothing, and an ask of a dollar is what is left where nobody bids for the other
-- side: Kalshi writes an empty side of a book so.
RETURN CASE
    WHEN _offered.ask = 0 THEN NULL
    WHEN _offered.ask = 1 AND coalesce(_offered.opposite_bid, 0) = 0 THEN NULL
    ELSE _offered.ask
END;
COMMENT ON FUNCTION upc._offered IS
    'an ask as Kalshi writes it beside the best bid for the other side, USD per contract; NULL where nobody offers';


CREATE FUNCTION upc._refuse_markets(markets jsonb)
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_bad record;
BEGIN
    SELECT m.market ->> 'ticker' AS ticker, f.key, f.value #>> '{}' AS text
    INTO v_bad
    FROM jsonb_array_elements(markets) AS m (market)
    CROSS JOIN LATERAL jsonb_each(
        CASE jsonb_typeof(m.market) WHEN 'object' THEN m.market ELSE '{}' END
    ) AS f
    WHERE f.key ~ '^((yes|no)_(bid|ask)(_dollars)?|volume(_fp)?|floor_strike)$'
      AND f.value NOT IN ('null', '""')
      AND NOT coalesce(
          (f.value #>> '{}') ~ '^[0-9]{1,15}([.][0-9]{1,10})?$'
          AND CASE
              WHEN f.key ~ '_dollars$' THEN left(f.value #>> '{}', 17)::numeric <= 1
              WHEN f.key ~ '_(bid|ask)$' THEN left(f.value #>> '{}', 17)::numeric <= 100
              ELSE true
          END,
          false
      )
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '% of % is not as Kalshi writes it: %',
            v_bad.key, coalesce(v_bad.ticker, 'a market'), left(v_bad.text, 40)
            USING
                ERRCODE = 'UP014',
                DETAIL = 'A price is from 0 to 1 dollar, or 100 cents; counts and strikes are not negative.',
                HINT = 'Nothing of the document was taken.';
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._refuse_markets IS
    'raises UP014 for the first number of Kalshi''s markets that is not one';

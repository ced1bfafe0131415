-- Kalshi's JSON: documents, markets with their numbers, exact, and what of it is refused.

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


-- Most documents are of today and as Kalshi writes them: one look at each market sees it.
CREATE FUNCTION upc._are_plain(markets jsonb)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN NOT EXISTS (
    SELECT
    FROM jsonb_array_elements(_are_plain.markets) AS m (market)
    CROSS JOIN LATERAL jsonb_to_record(
        CASE jsonb_typeof(m.market) WHEN 'object' THEN m.market ELSE '{}' END
    ) AS r (
        yes_bid text, yes_ask text, no_bid text, no_ask text, volume text, settlement_value text,
        yes_bid_dollars text, yes_ask_dollars text, no_bid_dollars text, no_ask_dollars text,
        settlement_value_dollars text, yes_bid_size text, yes_ask_size text, no_bid_size text,
        no_ask_size text, yes_bid_size_fp text, yes_ask_size_fp text, no_bid_size_fp text,
        no_ask_size_fp text, volume_fp text, floor_strike text, cap_strike text
    )
    WHERE coalesce(
            r.yes_bid, r.yes_ask, r.no_bid, r.no_ask, r.volume, r.settlement_value, r.yes_bid_size,
            r.yes_ask_size, r.no_bid_size, r.no_ask_size
        ) IS NOT NULL
        OR concat_ws(
            '|', r.yes_bid_dollars, r.yes_ask_dollars, r.no_bid_dollars, r.no_ask_dollars,
            r.settlement_value_dollars
        ) !~ '^((0([.][0-9]{1,10})?|1([.]0{1,10})?)?([|]|$))*$'
        OR concat_ws(
            '|', r.yes_bid_size_fp, r.yes_ask_size_fp, r.no_bid_size_fp, r.no_ask_size_fp,
            r.volume_fp, r.floor_strike, r.cap_strike
        ) !~ '^(([0-9]{1,15}([.][0-9]{1,10})?)?([|]|$))*$'
);
COMMENT ON FUNCTION upc._are_plain IS
    'true where every number of Kalshi''s markets is one and has a name of today; false where some are to be looked at';


CREATE FUNCTION upc._refuse_markets(markets jsonb)
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_bad record;
BEGIN
    IF jsonb_array_length(markets) > 2000 THEN
        RAISE EXCEPTION 'an event with % markets', jsonb_array_length(markets)
            USING
                ERRCODE = 'UP014',
                DETAIL = 'No more than 2,000 markets of an event are taken.',
                HINT = 'Nothing of the document was taken.';
    END IF;
    IF upc._are_plain(markets) THEN
        RETURN;
    END IF;
    SELECT m.market ->> 'ticker' AS ticker, f.key, f.value #>> '{}' AS text
    INTO v_bad
    FROM jsonb_array_elements(markets) AS m (market)
    CROSS JOIN LATERAL jsonb_each(
        CASE jsonb_typeof(m.market) WHEN 'object' THEN m.market ELSE '{}' END
    ) AS f
    WHERE f.key ~ '^((yes|no)_(bid|ask)(_dollars|_size|_size_fp)?|volume(_fp)?|(floor|cap)_strike|settlement_value(_dollars)?)$'
      AND f.value NOT IN ('null', '""')
      AND NOT coalesce(
          (f.value #>> '{}') ~ '^[0-9]{1,15}([.][0-9]{1,10})?$'
          AND CASE
              WHEN f.key ~ '_dollars$' THEN left(f.value #>> '{}', 17)::numeric <= 1
              WHEN f.key ~ '_(bid|ask|value)$' THEN left(f.value #>> '{}', 17)::numeric <= 100
              ELSE true
          END,
          false
      )
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '% of % is not as Kalshi writes it: %',
            v_bad.key, coalesce(left(v_bad.ticker, 100), 'a market'), left(v_bad.text, 40)
            USING
                ERRCODE = 'UP014',
                DETAIL = 'A price is from 0 to 1 dollar, or 100 cents; counts and strikes are not negative.',
                HINT = 'Nothing of the document was taken.';
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._refuse_markets IS
    'raises UP014 for too many of Kalshi''s markets, or the first number of them that is not one';


-- round_digits: digits of an opening average, where the market says so.
CREATE TYPE upc._market_terms AS (
    ticker text,
    event_ticker text,
    status text,
    strike_type text,
    floor_strike numeric,
    cap_strike numeric,
    round_digits integer,
    yes_sub_title text,
    yes_bid numeric,
    yes_ask numeric,
    no_bid numeric,
    no_ask numeric,
    yes_bid_size numeric,
    yes_ask_size numeric,
    no_bid_size numeric,
    no_ask_size numeric,
    volume numeric,
    result text,
    settlement_value numeric
);
COMMENT ON TYPE upc._market_terms IS
    'a market as Kalshi''s JSON has it, in the names of today: prices in USD per contract';


-- Since 2026 prices are dollars and counts have fractions, both as text; before, they were whole cents and
-- whole contracts. Of sizes only those of yes are sent: who bids for yes offers no.
CREATE FUNCTION upc._read_terms(markets jsonb)
RETURNS SETOF upc._market_terms
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 80
BEGIN ATOMIC
    SELECT
        r.ticker,
        r.event_ticker,
        r.status,
        -- Long ago there was none.
        coalesce(
            nullif(r.strike_type, ''),
            CASE WHEN coalesce(r.cap_strike, '') = '' THEN 'greater' ELSE 'between' END
        ),
        nullif(r.floor_strike, '')::numeric,
        nullif(r.cap_strike, '')::numeric,
        CASE WHEN r.custom_strike ->> 'round_digits' ~ '^([0-9]|1[0-2])$'
            THEN (r.custom_strike ->> 'round_digits')::integer
        END,
        nullif(r.yes_sub_title, ''),
        coalesce(nullif(r.yes_bid_dollars, '')::numeric, nullif(r.yes_bid, '')::numeric * 0.01),
        coalesce(nullif(r.yes_ask_dollars, '')::numeric, nullif(r.yes_ask, '')::numeric * 0.01),
        coalesce(nullif(r.no_bid_dollars, '')::numeric, nullif(r.no_bid, '')::numeric * 0.01),
        coalesce(nullif(r.no_ask_dollars, '')::numeric, nullif(r.no_ask, '')::numeric * 0.01),
        nullif(r.yes_bid_size_fp, '')::numeric,
        nullif(r.yes_ask_size_fp, '')::numeric,
        coalesce(nullif(r.no_bid_size_fp, ''), nullif(r.yes_ask_size_fp, ''))::numeric,
        coalesce(nullif(r.no_ask_size_fp, ''), nullif(r.yes_bid_size_fp, ''))::numeric,
        coalesce(nullif(r.volume_fp, ''), nullif(r.volume, ''))::numeric,
        nullif(r.result, ''),
        coalesce(
            nullif(r.settlement_value_dollars, '')::numeric,
            nullif(r.settlement_value, '')::numeric * 0.01
        )
    FROM jsonb_array_elements(_read_terms.markets) AS m (market)
    CROSS JOIN LATERAL jsonb_to_record(
        CASE jsonb_typeof(m.market) WHEN 'object' THEN m.market ELSE '{}' END
    ) AS r (
        ticker text, event_ticker text, status text, strike_type text, floor_strike text,
        cap_strike text, custom_strike jsonb, yes_sub_title text,
        yes_bid text, yes_ask text, no_bid text, no_ask text,
        yes_bid_dollars text, yes_ask_dollars text, no_bid_dollars text, no_ask_dollars text,
        yes_bid_size_fp text, yes_ask_size_fp text, no_bid_size_fp text, no_ask_size_fp text,
        volume text, volume_fp text, result text,
        settlement_value text, settlement_value_dollars text
    );
END;
COMMENT ON FUNCTION upc._read_terms IS
    'Kalshi''s markets from its JSON, old and new; raises for numbers that _refuse_markets refuses';


CREATE FUNCTION upc._is_known_status(status text)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- Long ago there was none; what is called finalized now was settled.
RETURN coalesce(_is_known_status.status, '') IN (
    '', 'initialized', 'inactive', 'active', 'closed', 'determined', 'disputed', 'amended',
    'finalized', 'settled'
);
COMMENT ON FUNCTION upc._is_known_status IS
    'true for a status of a market that is known; one in any other is not traded';

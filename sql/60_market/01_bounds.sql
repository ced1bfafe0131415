-- Bounds: a contract pays yes if what settles it is at or above the lower one and below the upper one.

-- Digits are not counted here: who asks has cut the text.
CREATE FUNCTION upc._title_number(text text)
RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN _title_number.text ~ '^[$]?[0-9][0-9,]*([.][0-9]+)?$'
    THEN translate(_title_number.text, '$,', '')::numeric
END;
COMMENT ON FUNCTION upc._title_number IS
    'a number as a sub title has it, with commas and a dollar sign; NULL for any other text';


CREATE FUNCTION upc._title_digits(title text)
RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
    SELECT max(length(m.found[1]))
    FROM regexp_matches(left(_title_digits.title, 100), '[.]([0-9]{1,12})', 'g') AS m (found)
);
COMMENT ON FUNCTION upc._title_digits IS
    'the most decimals of a number in a sub title; NULL where none has any';


-- Bounds that a sub title names: "$118,500 or above", "$53,199.99 or below", "$53,200 to 53,299.99",
-- "Target Price: $67,628.90". unit: of the event, USD.
-- is_read is false for what is none of these; "Target price: TBD" is read and names no bound.
CREATE FUNCTION upc._title_bounds(
    title text,
    unit numeric,
    OUT lower numeric,
    OUT upper numeric,
    OUT is_read boolean
)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
DECLARE
    -- Cut before it is looked at: one of a megabyte is none of these.
    v_title text := pg_catalog.lower(left(title, 101));
    v_rest text := substr(v_title, position(': ' IN v_title) + 2);
BEGIN
    is_read := false;
    IF length(v_title) > 100 THEN
        RETURN;
    END IF;
    IF v_title LIKE '% or above' THEN
        lower := upc._title_number(left(v_title, -9));
    ELSIF v_title LIKE '% or below' THEN
        upper := upc._title_number(left(v_title, -9)) + unit;
    ELSIF v_title LIKE 'target price: %' OR v_title LIKE 'price to beat: %' THEN
        lower := upc._title_number(v_rest);
        is_read := v_rest = 'tbd';
    ELSIF v_title LIKE 'above %' THEN
        lower := upc._title_number(substr(v_title, 7)) + unit;
    ELSIF v_title LIKE 'below %' THEN
        upper := upc._title_number(substr(v_title, 7));
    ELSIF v_title LIKE '% to %' THEN
        lower := upc._title_number(split_part(v_title, ' to ', 1));
        upper := upc._title_number(substr(v_title, position(' to ' IN v_title) + 4)) + unit;
        is_read := lower IS NOT NULL AND upper IS NOT NULL;
        RETURN;
    END IF;
    is_read := is_read OR coalesce(lower, upper) IS NOT NULL;
END
$fn$;
COMMENT ON FUNCTION upc._title_bounds IS
    'bounds in USD that a sub title of a market names, as far as it can be read';


-- The number at the end of a ticker: the strike of KXBTCD-25JUL2615-T117999.99, the middle of
-- KXBTC-26JUL1009-B53250.
CREATE FUNCTION upc._ticker_number(ticker text)
RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN substring(
    right(_ticker_number.ticker, 40) FROM '-[TB]([0-9]{1,15}(?:[.][0-9]{1,10})?)$'
)::numeric;
COMMENT ON FUNCTION upc._ticker_number IS
    'the strike at the end of a market''s ticker, USD; NULL where it has none';


-- Bounds by what Kalshi calls the type of the strike. unit: of the event, USD.
-- flaw: why there are none; NULL where there are, or where they are still to come.
CREATE FUNCTION upc._strike_bounds(
    terms upc._market_terms,
    unit numeric,
    OUT lower numeric,
    OUT upper numeric,
    OUT flaw text
)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
BEGIN
    CASE terms.strike_type
        WHEN 'greater' THEN lower := terms.floor_strike + unit;
        WHEN 'greater_or_equal' THEN lower := terms.floor_strike;
        WHEN 'less' THEN upper := terms.cap_strike;
        WHEN 'less_or_equal' THEN upper := terms.cap_strike + unit;
        WHEN 'between' THEN
            lower := terms.floor_strike;
            upper := terms.cap_strike + unit;
        ELSE
            flaw := format('strike_type %s', left(terms.strike_type, 20));
            RETURN;
    END CASE;
    IF lower IS NULL AND terms.strike_type IN ('greater', 'greater_or_equal', 'between') THEN
        flaw := 'no floor_strike';
    ELSIF upper IS NULL AND terms.strike_type IN ('less', 'less_or_equal', 'between') THEN
        flaw := 'no cap_strike';
    ELSIF lower >= upper THEN
        flaw := 'bounds that cross';
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._strike_bounds IS
    'bounds of a market in USD by the type of its strike, or what is wrong with them';


-- Bounds where Kalshi has them in texts alone: those of the sub title, if the ticker has the same.
CREATE FUNCTION upc._custom_bounds(
    terms upc._market_terms,
    unit numeric,
    OUT lower numeric,
    OUT upper numeric,
    OUT flaw text
)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_ticker numeric := upc._ticker_number(terms.ticker);
    v_title record := upc._title_bounds(terms.yes_sub_title, unit);
BEGIN
    IF terms.yes_sub_title IS NULL OR NOT v_title.is_read THEN
        flaw := 'no strike in its sub title';
    ELSIF coalesce(v_title.lower, v_title.upper) IS NULL OR v_ticker IS NULL THEN
        flaw := 'no strike in its ticker or sub title';
    ELSIF v_title.lower >= v_title.upper THEN
        flaw := 'bounds that cross';
    ELSIF v_title.lower < v_title.upper THEN
        IF 2 * v_ticker NOT IN (
            v_title.lower + v_title.upper, v_title.lower + v_title.upper - unit, 2 * v_title.lower
        ) THEN
            flaw := 'a ticker and a sub title of different strikes';
        END IF;
    ELSIF v_ticker NOT IN (
        coalesce(v_title.lower, v_title.upper), coalesce(v_title.lower, v_title.upper) - unit
    ) THEN
        flaw := 'a ticker and a sub title of different strikes';
    END IF;
    IF flaw IS NULL THEN
        lower := v_title.lower;
        upper := v_title.upper;
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._custom_bounds IS
    'bounds of a market in USD from its sub title and its ticker, or what is wrong with them';


-- Bounds of a contract of a series of some kind. unit: of the event, USD. digits: of the series.
-- flaw: why the market is left out. Without bounds and without a flaw they are still to come.
CREATE FUNCTION upc._contract_bounds(
    kind text,
    digits integer,
    terms upc._market_terms,
    unit numeric,
    OUT lower numeric,
    OUT upper numeric,
    OUT flaw text
)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_unit numeric := unit;
    v_bounds record;
    v_title record;
BEGIN
    IF kind = 'updown' THEN
        IF terms.strike_type NOT IN ('greater', 'greater_or_equal') THEN
            flaw := format('strike_type %s', left(terms.strike_type, 20));
            RETURN;
        END IF;
        -- The average at the opening, of which some are cut floats: a tie with it pays.
        v_unit := ('1e-' || coalesce(terms.round_digits, digits))::numeric;
        lower := round(terms.floor_strike, coalesce(terms.round_digits, digits));
    ELSIF terms.strike_type = 'custom' THEN
        v_bounds := upc._custom_bounds(terms, unit);
        IF terms.status = 'initialized' AND v_bounds.flaw LIKE 'no strike in its %' THEN
            RETURN;
        END IF;
    ELSIF coalesce(terms.floor_strike, terms.cap_strike) IS NULL
        AND terms.status = 'initialized'
    THEN
        RETURN;
    ELSE
        v_bounds := upc._strike_bounds(terms, unit);
    END IF;
    IF kind <> 'updown' THEN
        lower := v_bounds.lower;
        upper := v_bounds.upper;
        flaw := v_bounds.flaw;
    END IF;
    IF flaw IS NULL AND kind = 'above' AND (lower IS NULL OR upper IS NOT NULL) THEN
        flaw := 'not above a strike';
    END IF;
    IF flaw IS NOT NULL OR terms.yes_sub_title IS NULL THEN
        RETURN;
    END IF;

    v_title := upc._title_bounds(terms.yes_sub_title, v_unit);
    IF NOT v_title.is_read THEN
        flaw := 'a sub title that cannot be read';
    ELSIF kind = 'updown' THEN
        IF abs(v_title.lower - lower) > v_unit OR v_title.upper IS NOT NULL THEN
            flaw := 'a sub title of another strike';
        END IF;
    ELSIF (v_title.lower, v_title.upper) IS DISTINCT FROM (lower, upper) THEN
        flaw := 'a sub title of another strike';
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._contract_bounds IS
    'bounds of a contract in USD, or why the market is left out';


CREATE TYPE upc._read_market AS (
    terms upc._market_terms,
    lower numeric,
    upper numeric,
    flaw text
);
COMMENT ON TYPE upc._read_market IS
    'a market of an event with its bounds in USD, or why it is left out';


-- The markets of an event with their bounds, each ticker once.
--
-- event_ticker: of the event. has_status: false where a market without a status is as good. The unit of the
-- event has the decimals of the bound in it with the most of them, and at least those of its series.
CREATE FUNCTION upc._read_markets(
    series upc_data.series,
    event_ticker text,
    markets jsonb,
    has_status boolean
)
RETURNS SETOF upc._read_market
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 80
BEGIN ATOMIC
    WITH market AS MATERIALIZED (
        SELECT DISTINCT ON (t.ticker) t::upc._market_terms AS terms
        FROM upc._read_terms(_read_markets.markets) AS t
        ORDER BY t.ticker
    ),
    event AS MATERIALIZED (
        SELECT
            (
                '1e-' || greatest(
                    (_read_markets.series).digits,
                    max(min_scale((m.terms).floor_strike)),
                    max(min_scale((m.terms).cap_strike)),
                    max(
                        greatest(
                            min_scale(upc._ticker_number((m.terms).ticker)),
                            upc._title_digits((m.terms).yes_sub_title)
                        )
                    ) FILTER (WHERE (m.terms).strike_type = 'custom')
                )
            )::numeric AS unit
        FROM market AS m
    ),
    bounded AS (
        SELECT
            m.terms,
            b.lower,
            b.upper,
            CASE
                WHEN coalesce(length((m.terms).ticker) NOT BETWEEN 1 AND 100, true) THEN 'no ticker'
                WHEN (m.terms).event_ticker <> _read_markets.event_ticker THEN 'of another event'
                WHEN _read_markets.has_status AND coalesce((m.terms).status, '') = ''
                THEN 'no status'
                ELSE b.flaw
            END AS flaw
        FROM market AS m
        CROSS JOIN event AS e
        CROSS JOIN LATERAL upc._contract_bounds(
            (_read_markets.series).kind, (_read_markets.series).digits, m.terms, e.unit
        ) AS b
    )
    SELECT
        b.terms,
        b.lower,
        b.upper,
        CASE
            WHEN b.flaw IS NOT NULL THEN b.flaw
            WHEN (b.terms).status = 'active'
                AND coalesce(b.lower, b.upper) IS NOT NULL
                AND row_number() OVER (
                    PARTITION BY b.lower, b.upper, (b.terms).status, b.flaw IS NULL
                    ORDER BY (b.terms).ticker
                ) > 1
            THEN 'the bounds of another'
        END
    FROM bounded AS b;
END;
COMMENT ON FUNCTION upc._read_markets IS
    'the markets of an event from Kalshi''s JSON, each with its bounds in USD or why it is left out';

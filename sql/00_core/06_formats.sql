-- Formats of times, spans and numbers in documents and messages.

CREATE FUNCTION upc._iso_utc(at timestamptz)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN to_char(_iso_utc.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"');
COMMENT ON FUNCTION upc._iso_utc IS
    'an instant as it stands in the JSON documents: ISO 8601, UTC, microseconds';


-- A length of time as it stands in messages, in whole seconds, whatever IntervalStyle is.
CREATE FUNCTION upc._span_text(span interval)
RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    SELECT
        CASE WHEN s.total < 0 THEN '-' ELSE '' END
        || CASE abs(s.total) / 86400
            WHEN 0 THEN ''
            WHEN 1 THEN '1 day '
            ELSE abs(s.total) / 86400 || ' days '
        END
        || to_char(make_interval(secs => abs(s.total) % 86400), 'HH24:MI:SS')
    FROM (SELECT trunc(extract(epoch FROM _span_text.span))::bigint AS total) AS s;
END;
COMMENT ON FUNCTION upc._span_text IS
    'a length of time as it stands in messages, in whole seconds: 00:01:30, 2 days 03:00:00';


CREATE FUNCTION upc._two_decimals(value double precision)
RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- Equal to round(value::numeric, 2), which takes three times as long: half away from zero, where the
-- 15 digits of a numeric say half.
RETURN CASE
    WHEN abs(_two_decimals.value) < 1e6 THEN
        (
            100 * _two_decimals.value
            + CASE WHEN _two_decimals.value < 0 THEN -1e-9 ELSE 1e-9 END::double precision
        )::bigint::numeric * 0.01
    ELSE round(_two_decimals.value::numeric, 2)
END;
COMMENT ON FUNCTION upc._two_decimals IS
    'a number as it stands in the JSON documents: two decimals';


-- A number with two decimals as a double: half away from zero, where the first 15 digits say half.
--
-- The factor is 100 and three units in its last place more, which lifts what is half in decimal, and
-- just below it as a double, over the edge, and nothing that differs from half in its 15 digits. Adding
-- zero turns -0 into 0.
CREATE FUNCTION upc._hundredths(value double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN round(100.00000000000004::double precision * _hundredths.value) / 100 + 0;
COMMENT ON FUNCTION upc._hundredths IS
    'a number with two decimals as a double, as _two_decimals rounds it; part of the query that calls it';


-- The same for a difference between two decimals, which may be off in its last digits: what is near to
-- half is rounded as a numeric.
CREATE FUNCTION upc._exact_hundredths(value double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN abs(_exact_hundredths.value) < 1e6
        AND abs(
            abs(100 * _exact_hundredths.value - round(100 * _exact_hundredths.value)) - 0.5
        ) > 1e-6::double precision
    THEN round(100 * _exact_hundredths.value) / 100 + 0
    ELSE round(_exact_hundredths.value::numeric, 2)::double precision
END;
COMMENT ON FUNCTION upc._exact_hundredths IS
    'a number with two decimals as a double: exactly round(value::numeric, 2)';


-- Decimals that a price has, and what is told of it: two; below a dollar as many as four digits of it
-- take.
CREATE FUNCTION upc._usd_decimals(price double precision)
RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN _usd_decimals.price > 0 AND _usd_decimals.price < 1
    THEN greatest(2, 3 - floor(log(_usd_decimals.price)))::integer
    ELSE 2
END;
COMMENT ON FUNCTION upc._usd_decimals IS
    'decimals of a price in USD where it is shown: two, and below a dollar as many as four digits of it take';


-- A distance between prices as it stands in the JSON documents. decimals: as _usd_decimals has them.
CREATE FUNCTION upc._shown_distance(value double precision, decimals integer)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN _shown_distance.decimals = 2 THEN upc._exact_hundredths(_shown_distance.value)
    ELSE round(_shown_distance.value::numeric, _shown_distance.decimals)::double precision
END;
COMMENT ON FUNCTION upc._shown_distance IS
    'a distance between prices in USD as it stands in the JSON documents, with the decimals that the price has';


CREATE FUNCTION upc._rounded_price(price double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN round(_rounded_price.price::numeric, upc._usd_decimals(_rounded_price.price));
COMMENT ON FUNCTION upc._rounded_price IS
    'a price in USD that is worked out, with the decimals of _usd_decimals';

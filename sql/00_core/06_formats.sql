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

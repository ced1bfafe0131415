-- Values of a candle file: the minute and the numbers that a text names.

-- Seconds by which a UTC offset is ahead of UTC: +HH, +HHMM or +HH:MM.
-- Example: SELECT upc._utc_offset_seconds('-03:30') = -12600;
CREATE FUNCTION upc._utc_offset_seconds(utc_offset text)
RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (left(_utc_offset_seconds.utc_offset, 1) || '1')::integer * (
    substr(_utc_offset_seconds.utc_offset, 2, 2)::integer * 3600
    + CASE
        WHEN length(_utc_offset_seconds.utc_offset) = 3 THEN 0
        ELSE right(_utc_offset_seconds.utc_offset, 2)::integer * 60
    END
);
COMMENT ON FUNCTION upc._utc_offset_seconds IS
    'seconds by which a UTC offset is ahead of UTC: +HH, +HHMM or +HH:MM';


-- Minute that a text names, NULL if it names none. ISO 8601 from 1970 to 2099, on a minute, with `T`
-- or a blank, with `Z`, an offset or neither (UTC then); or epoch seconds of ten digits, milliseconds
-- of 13, microseconds of 16 or nanoseconds of 19, since other lengths might be dates without
-- separators. Nothing here depends on DateStyle or TimeZone.
--
-- Example:
--   SELECT upc.candle_minute('1704067200') = timestamptz '2024-01-01 00:00:00+00';
CREATE FUNCTION upc.candle_minute(value text)
RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    -- Each character of a regular expression costs, so the usual endings are compared.
    WHEN left(candle_minute.value, 16) ~ (
            '^(19[7-9]|20[0-9])[0-9]-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])'
            '[Tt ]([01][0-9]|2[0-3]):[0-5][0-9]$'
        )
        AND (
            substr(candle_minute.value, 17) IN (':00Z', ':00', ':00+00:00')
            OR substr(candle_minute.value, 17)
                ~ '^(:00(\.0+)?)?([Zz]|[+-](0[0-9]|1[0-4])(:?[0-5][0-9])?)?$'
        )
    THEN
        CASE
            -- Days that the month lacks; until 2099 every fourth year is a leap year.
            WHEN substr(candle_minute.value, 6, 5)
                    IN ('02-30', '02-31', '04-31', '06-31', '09-31', '11-31')
                OR substr(candle_minute.value, 6, 5) = '02-29'
                    AND substr(candle_minute.value, 1, 4)::integer % 4 <> 0
            THEN NULL
            ELSE to_timestamp((
                (
                    make_date(
                        substr(candle_minute.value, 1, 4)::integer,
                        substr(candle_minute.value, 6, 2)::integer,
                        substr(candle_minute.value, 9, 2)::integer
                    ) - date '1970-01-01'
                ) * bigint '86400'
                + substr(candle_minute.value, 12, 2)::integer * 3600
                + substr(candle_minute.value, 15, 2)::integer * 60
                - CASE
                    WHEN right(candle_minute.value, 1) IN ('Z', 'z')
                        OR substr(candle_minute.value, 17) !~ '[+-]' THEN 0
                    ELSE upc._utc_offset_seconds(
                        substring(candle_minute.value FROM '[+-][0-9:]{2,5}$')
                    )
                END
            )::double precision)
        END
    WHEN candle_minute.value ~ '^[1-9][0-9]{9}(\.0*)?$' THEN
        CASE WHEN left(candle_minute.value, 10)::bigint % 60 = 0 THEN
            to_timestamp(left(candle_minute.value, 10)::double precision)
        END
    WHEN candle_minute.value ~ '^[1-9][0-9]{12}(\.0*)?$' THEN
        CASE WHEN left(candle_minute.value, 13)::bigint % 60000 = 0 THEN
            to_timestamp(left(candle_minute.value, 10)::double precision)
        END
    WHEN candle_minute.value ~ '^[1-9][0-9]{15}([0-9]{3})?(\.0*)?$' THEN
        CASE WHEN left(candle_minute.value, 10)::bigint % 60 = 0
            AND substr(candle_minute.value, 11) ~ '^0+(\.0*)?$'
        THEN
            to_timestamp(left(candle_minute.value, 10)::double precision)
        END
END;
COMMENT ON FUNCTION upc.candle_minute IS
    'the minute that a text names, NULL if it names none';


-- Number that a text spells in decimal digits, NULL if it spells none. Words (NaN, infinity),
-- hexadecimal digits and anything that could overflow are no numbers.
-- Example: SELECT upc._candle_number('4.625e4') = 46250;
CREATE FUNCTION upc._candle_number(value text)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    -- 60 digits and an exponent of two more stay far inside the range of a double.
    WHEN octet_length(_candle_number.value) > 60 THEN NULL
    -- The cheaper expression decides nearly every number.
    WHEN _candle_number.value ~ '^[0-9]+(\.[0-9]+)?$'
        OR _candle_number.value ~ '^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([Ee][+-]?[0-9][0-9]?)?$'
    THEN _candle_number.value::double precision
END;
COMMENT ON FUNCTION upc._candle_number IS
    'the number that a text spells in decimal digits, NULL if it spells none';

-- The full hour: hourly contracts close on it.

CREATE FUNCTION upc._seconds_to_hour(at timestamptz)
RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN floor(
    3600 - (
        date_part('epoch', _seconds_to_hour.at)
        - 3600 * floor(date_part('epoch', _seconds_to_hour.at) / 3600)
    )
)::integer;
COMMENT ON FUNCTION upc._seconds_to_hour IS
    'whole seconds from an instant to the next full hour, rounded down; 3600 exactly on the hour';


CREATE FUNCTION upc._next_hour(at timestamptz)
RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
RETURN date_bin('1 hour', _next_hour.at, '2000-01-01 00:00:00+00') + interval '1 hour';
COMMENT ON FUNCTION upc._next_hour IS
    'the next full hour; an hour later exactly on one';

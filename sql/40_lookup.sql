CREATE FUNCTION upc.seconds_to_hour(at timestamptz)
RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN floor(3600 - (date_part('epoch', seconds_to_hour.at) - 3600 * floor(date_part('epoch', seconds_to_hour.at) / 3600)))::integer;

CREATE FUNCTION upc.asked_bucket(momentum double precision)
RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN asked_bucket.momentum IS NULL THEN 99 ELSE least(31, greatest(-31, asked_bucket.momentum))::integer END;

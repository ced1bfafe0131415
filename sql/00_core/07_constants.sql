-- Constants that several folders share.

CREATE FUNCTION upc._baseline()
RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 99;
COMMENT ON FUNCTION upc._baseline IS
    'the momentum bucket that stands for all starting minutes; the planner puts the number in its place';

-- Constants that several folders share.

CREATE FUNCTION upc._baseline()
RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 99;
COMMENT ON FUNCTION upc._baseline IS
    'the momentum bucket that stands for all starting minutes; the planner puts the number in its place';


-- Standard deviations to either side of the mean that hold 95 percent of a normal distribution.
CREATE FUNCTION upc._deviations_95()
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 1.959963984540054::double precision;
COMMENT ON FUNCTION upc._deviations_95 IS
    'the standard deviations to either side of the mean that hold 95 percent of a normal distribution';

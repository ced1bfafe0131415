-- Export: probabilities as the predecessor's files spell them.

-- A probability in percent as a fingerprint file has it.
--
-- decimals: NULL keeps the shortest digits that name the same double.
-- Returns the number rounded half up as in the named views, without the zeros at its end but for one
-- after the point.
-- Errors: none.
--
-- Example:
--   SELECT percent_text(51.8049, 2) = '51.8';
CREATE FUNCTION upc.percent_text(probability double precision, decimals integer)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN regexp_replace(
    CASE
        WHEN percent_text.decimals IS NULL THEN percent_text.probability::text
        ELSE trim_scale(round(percent_text.probability::numeric, percent_text.decimals))::text
    END,
    '^[0-9]+$',
    '\&.0'
);
COMMENT ON FUNCTION upc.percent_text IS
    'a probability in percent as a fingerprint file has it';

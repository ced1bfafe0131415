-- States of freshness: fresh, warn, stale, halted; how old a price may be, and what is shown in which state.

-- State of a price or quote by its age: fresh, warn, stale or halted, by the rules fresh_for, warn_for
-- and stale_for. An unknown age is halted.
--
-- Example:
--   SELECT upc.freshness('20 seconds') = 'warn';
CREATE FUNCTION upc.freshness(age interval)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE
    WHEN freshness.age <= upc.setting('fresh_for')::interval THEN 'fresh'
    WHEN freshness.age <= upc.setting('warn_for')::interval THEN 'warn'
    WHEN freshness.age <= upc.setting('stale_for')::interval THEN 'stale'
    ELSE 'halted'
END;
COMMENT ON FUNCTION upc.freshness IS
    'the state of a price or quote by its age: fresh up to upc.fresh_for (15 s), warn to upc.warn_for (30 s), stale to upc.stale_for (60 s), halted after that or where the age is not known';


CREATE FUNCTION upc._worse_state(state text, other text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN array_position(ARRAY['fresh', 'warn', 'stale', 'halted'], _worse_state.state)
        >= array_position(ARRAY['fresh', 'warn', 'stale', 'halted'], _worse_state.other)
    THEN _worse_state.state
    ELSE _worse_state.other
END;
COMMENT ON FUNCTION upc._worse_state IS 'the worse of two states of freshness';


CREATE FUNCTION upc._price_state(age interval, same_for interval)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
-- The worse of its freshness and stale, where it is frozen. The freshness comes second, so that it is
-- worked out once.
RETURN CASE
    WHEN _price_state.same_for >= upc.setting('frozen_after')::interval
        AND upc.freshness(_price_state.age) <> 'halted'
    THEN 'stale'
    ELSE upc.freshness(_price_state.age)
END;
COMMENT ON FUNCTION upc._price_state IS
    'the state of a logged price by its age and by how long it has been the same: stale from upc.frozen_after (30 s) on';


-- True while a key of that kind is shown in that state.
--
-- kind: as in document_keys. state: freshness of the price, the quotes or the document, whichever
-- the caller means; `paused` is the state of quotes whose market is paused.
CREATE FUNCTION upc._is_shown(kind text, state text)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE _is_shown.kind
    WHEN 'difference' THEN _is_shown.state IN ('fresh', 'warn')
    WHEN 'recommendations' THEN _is_shown.state IN ('fresh', 'warn')
    WHEN 'quote' THEN _is_shown.state IN ('fresh', 'warn', 'stale')
    WHEN 'probability' THEN _is_shown.state IN ('fresh', 'warn', 'stale', 'paused')
    WHEN 'reading' THEN _is_shown.state IN ('fresh', 'warn', 'stale', 'paused')
    ELSE true
END;
COMMENT ON FUNCTION upc._is_shown IS
    'true while a key of that kind is shown in that state: differences to warn, quotes and probabilities to stale';


-- Limits of freshness that are in force, in seconds: how old what is fresh, warn and stale may be.
CREATE FUNCTION upc._state_limits()
RETURNS double precision[]
LANGUAGE sql STABLE PARALLEL SAFE
RETURN ARRAY[
    extract(epoch FROM upc.setting('fresh_for')::interval),
    extract(epoch FROM upc.setting('warn_for')::interval),
    extract(epoch FROM upc.setting('stale_for')::interval)
]::double precision[];
COMMENT ON FUNCTION upc._state_limits IS
    'the settings upc.fresh_for, upc.warn_for and upc.stale_for, in seconds';


-- Instant at which a document ceases to be fresh, ISO 8601 as in the JSON documents.
--
-- at: instant of the document.
--
-- Example:
--   SELECT upc.valid_until('2024-01-01 12:00+00') = '2024-01-01T12:00:15.000000+00:00';
CREATE FUNCTION upc.valid_until(at timestamptz)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN upc._iso_utc(valid_until.at + upc.setting('fresh_for')::interval);
COMMENT ON FUNCTION upc.valid_until IS
    'the instant at which a document ceases to be fresh, as it stands in the JSON documents';

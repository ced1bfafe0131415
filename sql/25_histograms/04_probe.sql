-- The name of the way in which moves are counted: a hash of how a made-up day is counted and of the
-- constants. The text of the functions is not in it: another comment must not have a history of years
-- counted again. A change of the counting that the day does not show raises the number in front.
--
-- The day has calm and wild hours, gaps, moves of exactly k × 0.05 %, and once more as prices of
-- many digits, which are counted in another way. Nothing but whole numbers and divisions makes it,
-- so that every server has the same.

CREATE FUNCTION upc._probe_closes()
RETURNS double precision[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY(
    SELECT
        CASE
            WHEN p.n % 97 = 0 THEN 'NaN'
            WHEN p.n BETWEEN 700 AND 760 THEN 40000 + 20 * (p.n % 7 - 3)
            ELSE p.cents / 100.0::double precision
        END
    FROM (
        SELECT
            n,
            4000000 + sum(
                ((n::bigint * n * 7919 + n * 104729) % 100003 % 121 - 60)
                * CASE WHEN n / 240 % 2 = 0 THEN 60 ELSE 150 END
            ) OVER (ORDER BY n) AS cents
        FROM generate_series(1, 1530) AS n
    ) AS p
    ORDER BY p.n
);
COMMENT ON FUNCTION upc._probe_closes IS
    'the window of a made-up day that shows how moves are counted';


CREATE FUNCTION upc._probe_counting()
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_closes double precision[] := upc._probe_closes();
    v_starts integer[] := ARRAY(SELECT generate_series(31, 1470));
    v_counts text;
    v_exact text;
BEGIN
    SELECT string_agg(c::text, ' ' ORDER BY c.bucket, c.minutes)
    INTO v_counts
    FROM upc._count_moves(v_closes, v_starts, '{1, 7, 30, 60}') AS c;
    SELECT string_agg(c::text, ' ' ORDER BY c.cell)
    INTO v_exact
    FROM upc._count_cells(
        ARRAY(SELECT w.c / 3 FROM unnest(v_closes) WITH ORDINALITY AS w (c, i) ORDER BY w.i),
        ARRAY(SELECT generate_series(61, 361, 3)),
        '{1, 60}'
    ) AS c;
    RETURN encode(
        sha256(
            convert_to(
                concat_ws(
                    '; ', 1, v_counts, v_exact, upc._momentum_lags(), upc._momentum_weights(),
                    upc._all_horizons(),
                    ARRAY(SELECT round((e * 1000)::numeric) FROM unnest(upc._move_bins(1e6)) AS e)
                ),
                'UTF8'
            )
        ),
        'hex'
    );
END
$fn$;
COMMENT ON FUNCTION upc._probe_counting IS
    'the hash of how a made-up day is counted and of the constants';


-- Computed once per upgrade: every build, list and status asks for it.
DO $do$
BEGIN
    EXECUTE format(
        'CREATE FUNCTION upc._counting_hash() RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN %L',
        upc._probe_counting()
    );
END
$do$;
COMMENT ON FUNCTION upc._counting_hash IS
    'counting_hash as the upgrade computed it';


-- The name of the formulas and constants by which moves are counted.
--
-- Returns 64 hexadecimal digits. Where a symbol was counted by others, its next build counts its
-- whole history again.
-- Errors: none.
--
-- Example:
--   SELECT counting_hash() ~ '^[0-9a-f]{64}$';
CREATE FUNCTION upc.counting_hash()
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN upc._counting_hash();
COMMENT ON FUNCTION upc.counting_hash IS
    'the name of the formulas and constants by which moves are counted; where a symbol was counted by others, its next build counts all again';

-- What counts are made by: how a made-up day is counted, and the constants. Not the text of the
-- functions: another comment must not have a history of years counted again. Whoever changes the
-- counting in a way that the day does not show raises the number in front.
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
    'internal: the window of a made-up day that shows how moves are counted';


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
    'internal: names what moves are counted by, from how a made-up day is counted and from the constants';


-- Tried once an upgrade, and asked for by every build, look and status.
DO $do$
BEGIN
    EXECUTE format(
        'CREATE FUNCTION upc.counting_hash() RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN %L',
        upc._probe_counting()
    );
END
$do$;
COMMENT ON FUNCTION upc.counting_hash IS
    'names the formulas and constants that moves are counted by: another one, and the next build counts all again';

-- One fingerprint, as compute_strikes reads it.

CREATE FUNCTION upc._asked_bucket(momentum double precision)
RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN _asked_bucket.momentum IS NULL THEN upc._baseline()
    ELSE least(98, greatest(-98, _asked_bucket.momentum))::integer
END;
COMMENT ON FUNCTION upc._asked_bucket IS
    'the bucket that a momentum in basis points asks for: the nearest integer, half to even; NULL asks for the baseline, 99';


CREATE FUNCTION upc._refuse_fingerprint(symbol text)
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    PERFORM upc.require_symbol(symbol);
    RAISE EXCEPTION 'no fingerprint answers for %', symbol
        USING
            ERRCODE = 'UP006',
            DETAIL = 'Neither the symbol nor the pool of all symbols has one.',
            HINT = 'Load candles and run "pyupc fingerprints build", or import fingerprints.';
END
$fn$;
COMMENT ON FUNCTION upc._refuse_fingerprint IS
    'raises the error that says that no fingerprint answers for a symbol';


CREATE FUNCTION upc._named_column(direction text, k integer)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN format(
    '%s_%s',
    _named_column.direction,
    replace(to_char(0.05 * (_named_column.k - 1), 'FM0.00'), '.', '_')
);
COMMENT ON FUNCTION upc._named_column IS
    'the name of a column of the named views: pos or neg, and the k-th threshold';


CREATE FUNCTION upc._named_columns()
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN (
    SELECT string_agg(
        format(
            'round(c.positive[g.named_places[%1$s]]::numeric, 2)::numeric(5, 2) AS %2$s, '
            'round(c.negative[g.named_places[%1$s]]::numeric, 2)::numeric(5, 2) AS %3$s',
            k, upc._named_column('pos', k), upc._named_column('neg', k)
        ),
        ', ' ORDER BY k
    )
    FROM generate_series(1, 60) AS k
);
COMMENT ON FUNCTION upc._named_columns IS
    'the columns of probabilities of a named view, from a curve c and a grid g';


-- The fingerprint in use that answers for a symbol and a momentum bucket, one row per minute.
--
-- bucket: basis points; NULL, or 99, asks for the baseline. As in compute_strikes the nearest bucket
-- that exists answers, the baseline where there is none, and the pool of all symbols where the symbol has
-- no fingerprint.
-- Returns, by minutes to the close: fingerprint, the name of the one that answers; thresholds,
-- percent, ascending; positive and negative, the probabilities in percent of a move of at least
-- each threshold up and down; sample_size, the starting minutes behind the row, and effective_size, as how
-- many independent ones they count, both NULL where imported; then the columns of the named views:
-- time_to_close, minutes_to_close, and pos_0_00, neg_0_00 to pos_2_95, neg_2_95, with two decimals.
-- Errors: UP002 symbol, UP006 no fingerprint.
--
-- Example:
--   SELECT minutes, thresholds[11], positive[11], pos_0_50 FROM fingerprint('BTC', 7);
DO $do$
BEGIN
    EXECUTE format(
        $sql$
        CREATE FUNCTION upc.fingerprint(symbol text, bucket integer DEFAULT NULL)
        RETURNS TABLE (
            fingerprint text,
            minutes smallint,
            thresholds double precision[],
            positive double precision[],
            negative double precision[],
            sample_size bigint,
            effective_size double precision,
            time_to_close text,
            minutes_to_close integer,
            %1$s
        )
        LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 60
        AS $fn$
        BEGIN
            RETURN QUERY
            SELECT g.fingerprint, c.minutes, g.thresholds, c.positive, c.negative, c.sample_size,
                c.effective_size, lpad(c.minutes::text, 2, '0') || 'm TTC', c.minutes::integer,
                %2$s
            FROM (
                SELECT a.*
                FROM upc.fingerprint_grid AS a
                WHERE a.symbol = fingerprint.symbol
                  AND a.bucket >= upc._asked_bucket(nullif(fingerprint.bucket, upc._baseline()))
                ORDER BY a.bucket
                LIMIT 1
            ) AS g
            JOIN upc.fingerprint_curve AS c
                ON c.symbol = g.curve_symbol
                AND c.origin = g.curve_origin
                AND c.bucket = g.curve_bucket
            ORDER BY c.minutes;
            IF NOT FOUND THEN
                PERFORM upc._refuse_fingerprint(symbol);
            END IF;
        END
        $fn$
        $sql$,
        (
            SELECT string_agg(
                format(
                    '%s numeric, %s numeric',
                    upc._named_column('pos', k), upc._named_column('neg', k)
                ),
                ', ' ORDER BY k
            )
            FROM generate_series(1, 60) AS k
        ),
        upc._named_columns()
    );
END
$do$;
COMMENT ON FUNCTION upc.fingerprint IS
    'the fingerprint in use that answers for a symbol and a momentum bucket (NULL: the baseline), one row per minute, with the columns of the named views';

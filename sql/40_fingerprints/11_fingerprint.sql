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


DO $do$
BEGIN
    EXECUTE format(
        $sql$
        CREATE FUNCTION upc._fingerprint_rows(symbol text, bucket integer)
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
                WHERE a.symbol = _fingerprint_rows.symbol
                  AND a.bucket >= upc._asked_bucket(nullif(_fingerprint_rows.bucket, upc._baseline()))
                ORDER BY a.bucket
                LIMIT 1
            ) AS g
            JOIN upc.fingerprint_curve AS c
                ON c.symbol = g.curve_symbol
                AND c.origin = g.curve_origin
                AND c.bucket = g.curve_bucket
            ORDER BY c.minutes;
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
COMMENT ON FUNCTION upc._fingerprint_rows IS
    'the rows of fingerprint; none where no fingerprint answers';


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
    pos_0_00 numeric, neg_0_00 numeric, pos_0_05 numeric, neg_0_05 numeric,
    pos_0_10 numeric, neg_0_10 numeric, pos_0_15 numeric, neg_0_15 numeric,
    pos_0_20 numeric, neg_0_20 numeric, pos_0_25 numeric, neg_0_25 numeric,
    pos_0_30 numeric, neg_0_30 numeric, pos_0_35 numeric, neg_0_35 numeric,
    pos_0_40 numeric, neg_0_40 numeric, pos_0_45 numeric, neg_0_45 numeric,
    pos_0_50 numeric, neg_0_50 numeric, pos_0_55 numeric, neg_0_55 numeric,
    pos_0_60 numeric, neg_0_60 numeric, pos_0_65 numeric, neg_0_65 numeric,
    pos_0_70 numeric, neg_0_70 numeric, pos_0_75 numeric, neg_0_75 numeric,
    pos_0_80 numeric, neg_0_80 numeric, pos_0_85 numeric, neg_0_85 numeric,
    pos_0_90 numeric, neg_0_90 numeric, pos_0_95 numeric, neg_0_95 numeric,
    pos_1_00 numeric, neg_1_00 numeric, pos_1_05 numeric, neg_1_05 numeric,
    pos_1_10 numeric, neg_1_10 numeric, pos_1_15 numeric, neg_1_15 numeric,
    pos_1_20 numeric, neg_1_20 numeric, pos_1_25 numeric, neg_1_25 numeric,
    pos_1_30 numeric, neg_1_30 numeric, pos_1_35 numeric, neg_1_35 numeric,
    pos_1_40 numeric, neg_1_40 numeric, pos_1_45 numeric, neg_1_45 numeric,
    pos_1_50 numeric, neg_1_50 numeric, pos_1_55 numeric, neg_1_55 numeric,
    pos_1_60 numeric, neg_1_60 numeric, pos_1_65 numeric, neg_1_65 numeric,
    pos_1_70 numeric, neg_1_70 numeric, pos_1_75 numeric, neg_1_75 numeric,
    pos_1_80 numeric, neg_1_80 numeric, pos_1_85 numeric, neg_1_85 numeric,
    pos_1_90 numeric, neg_1_90 numeric, pos_1_95 numeric, neg_1_95 numeric,
    pos_2_00 numeric, neg_2_00 numeric, pos_2_05 numeric, neg_2_05 numeric,
    pos_2_10 numeric, neg_2_10 numeric, pos_2_15 numeric, neg_2_15 numeric,
    pos_2_20 numeric, neg_2_20 numeric, pos_2_25 numeric, neg_2_25 numeric,
    pos_2_30 numeric, neg_2_30 numeric, pos_2_35 numeric, neg_2_35 numeric,
    pos_2_40 numeric, neg_2_40 numeric, pos_2_45 numeric, neg_2_45 numeric,
    pos_2_50 numeric, neg_2_50 numeric, pos_2_55 numeric, neg_2_55 numeric,
    pos_2_60 numeric, neg_2_60 numeric, pos_2_65 numeric, neg_2_65 numeric,
    pos_2_70 numeric, neg_2_70 numeric, pos_2_75 numeric, neg_2_75 numeric,
    pos_2_80 numeric, neg_2_80 numeric, pos_2_85 numeric, neg_2_85 numeric,
    pos_2_90 numeric, neg_2_90 numeric, pos_2_95 numeric, neg_2_95 numeric
)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 60
AS $fn$
BEGIN
    RETURN QUERY
    SELECT f.* FROM upc._fingerprint_rows(fingerprint.symbol, fingerprint.bucket) AS f;
    IF NOT FOUND THEN
        PERFORM upc._refuse_fingerprint(symbol);
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc.fingerprint IS
    'the fingerprint in use that answers for a symbol and a momentum bucket (NULL: the baseline), one row per minute, with the columns of the named views';

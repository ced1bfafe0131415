-- Import: fingerprints computed elsewhere, kept with every digit beside the built ones.

-- Begin to read a set of fingerprints: create the temporary tables that the caller fills by COPY.
--
-- They are pg_temp.staged_fingerprint and pg_temp.staged_curve, for the rest of the transaction. Buckets
-- and minutes as in upc_data.imported_curve; the arrays go by ascending threshold.
-- Errors: UP002 symbol.
--
-- Example:
--   SELECT begin_fingerprint_import('BTC');
CREATE FUNCTION upc.begin_fingerprint_import(symbol text)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET client_min_messages = warning
AS $fn$
BEGIN
    PERFORM upc.require_symbol(begin_fingerprint_import.symbol);

    DROP TABLE IF EXISTS pg_temp.staged_fingerprint, pg_temp.staged_curve;

    CREATE TEMPORARY TABLE staged_fingerprint (
        bucket smallint PRIMARY KEY,
        header text[] NOT NULL,
        minutes smallint[] NOT NULL
    ) ON COMMIT DROP;

    CREATE TEMPORARY TABLE staged_curve (
        bucket smallint NOT NULL,
        minutes smallint NOT NULL,
        positive numeric[] NOT NULL,
        negative numeric[] NOT NULL,
        PRIMARY KEY (bucket, minutes)
    ) ON COMMIT DROP;
END
$fn$;
COMMENT ON FUNCTION upc.begin_fingerprint_import IS
    'begins to read a set of fingerprints: creates the temporary tables that the caller fills by COPY';


CREATE FUNCTION upc._is_imported(symbol text, thresholds numeric[])
RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
AS $fn$
BEGIN
    -- Compared as text, since 5.0 and 5.00 are equal numbers.
    RETURN EXISTS (
            SELECT FROM upc_data.fingerprint_import AS i
            WHERE i.symbol = _is_imported.symbol
              AND i.thresholds::text = _is_imported.thresholds::text
        )
        AND NOT EXISTS (
            SELECT
            FROM pg_temp.staged_fingerprint AS s
            FULL JOIN (
                SELECT f.* FROM upc_data.imported_fingerprint AS f
                WHERE f.symbol = _is_imported.symbol
            ) AS i USING (bucket)
            WHERE (s.header, s.minutes) IS DISTINCT FROM (i.header, i.minutes)
        )
        AND NOT EXISTS (
            SELECT
            FROM pg_temp.staged_curve AS s
            FULL JOIN (
                SELECT c.* FROM upc_data.imported_curve AS c
                WHERE c.symbol = _is_imported.symbol
            ) AS i USING (bucket, minutes)
            WHERE (s.positive::text, s.negative::text)
                IS DISTINCT FROM (i.positive::text, i.negative::text)
        );
END
$fn$;
COMMENT ON FUNCTION upc._is_imported IS
    'true where the staged set is the imported one, to the last digit and to the order of columns and rows';


-- Make the staged set the imported one of a symbol and publish it, in place of another if there is one.
--
-- If the same set is there already, nothing changes. compute_strikes goes on answering from
-- fingerprints built from candles if the symbol has them; see use_fingerprints.
--
-- source: where the set comes from, in words. thresholds: percent, ascending, one for each element
-- of the staged arrays.
-- Returns one row: is_changed; replaced, the number of fingerprints that were there before and are
-- gone or changed with their set; in_use, the origin that compute_strikes answers from now.
-- Errors: UP002 symbol; 23514 for a number that is no probability, thresholds that do not ascend,
-- arrays that do not fit them, or no curve at all.
--
-- Example:
--   SELECT begin_fingerprint_import('BTC');
--   INSERT INTO staged_fingerprint VALUES (99, '{">= +0.05%", "<= -0.05%"}', '{15}');
--   INSERT INTO staged_curve VALUES (99, 15, '{14.96}', '{14.59}');
--   SELECT is_changed FROM import_fingerprints('BTC', 'by hand', '{0.05}');
CREATE FUNCTION upc.import_fingerprints(
    symbol text,
    source text,
    thresholds numeric[],
    OUT is_changed boolean,
    OUT replaced integer,
    OUT in_use text
)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $fn$
BEGIN
    PERFORM upc.require_symbol(symbol);
    IF thresholds <> ARRAY(SELECT DISTINCT t FROM unnest(thresholds) AS t ORDER BY t)
        OR NOT EXISTS (SELECT FROM pg_temp.staged_curve)
        OR EXISTS (
            SELECT FROM pg_temp.staged_curve AS s
            WHERE array_dims(s.positive) IS DISTINCT FROM array_dims(thresholds)
               OR array_dims(s.negative) IS DISTINCT FROM array_dims(thresholds)
        )
    THEN
        RAISE EXCEPTION 'the staged fingerprints of % do not fit the thresholds', symbol
            USING
                ERRCODE = 'check_violation',
                DETAIL = 'A curve has as many numbers in each direction as there are thresholds.',
                HINT = 'Pass the thresholds ascending, each once.';
    END IF;

    -- Before anything is read or written: a refresh that runs now must not see the new thresholds
    -- with the old curves.
    PERFORM upc._lock_curves(ARRAY[symbol]);

    is_changed := NOT upc._is_imported(symbol, thresholds);
    replaced := 0;
    IF is_changed THEN
        SELECT count(*) INTO replaced
        FROM upc_data.imported_fingerprint AS f
        WHERE f.symbol = import_fingerprints.symbol;

        DELETE FROM upc_data.imported_curve AS c WHERE c.symbol = import_fingerprints.symbol;
        DELETE FROM upc_data.imported_fingerprint AS f
        WHERE f.symbol = import_fingerprints.symbol;

        INSERT INTO upc_data.fingerprint_import AS i (symbol, thresholds, source, imported_at)
        VALUES (symbol, thresholds, source, clock_timestamp())
        ON CONFLICT ON CONSTRAINT fingerprint_import_symbol_pkey
            DO UPDATE SET
                thresholds = excluded.thresholds,
                source = excluded.source,
                imported_at = excluded.imported_at;
        INSERT INTO upc_data.imported_fingerprint (symbol, bucket, header, minutes)
        SELECT import_fingerprints.symbol, s.bucket, s.header, s.minutes
        FROM pg_temp.staged_fingerprint AS s
        ORDER BY s.bucket;
        INSERT INTO upc_data.imported_curve (symbol, bucket, minutes, positive, negative)
        SELECT import_fingerprints.symbol, s.bucket, s.minutes, s.positive, s.negative
        FROM pg_temp.staged_curve AS s
        ORDER BY s.bucket, s.minutes;

        IF (SELECT s.has_views FROM upc_data.symbol AS s WHERE s.symbol = import_fingerprints.symbol)
            AND upc._create_views(symbol) > 0
        THEN
            PERFORM upc.record_engine_objects();
        END IF;
    END IF;
    -- Of a set that is there already too: whatever became of the curves, they hold it afterwards.
    PERFORM upc.refresh_fingerprints(symbol);

    SELECT f.origin INTO in_use
    FROM upc.fingerprint_set AS f
    WHERE f.symbol = import_fingerprints.symbol AND f.is_in_use;
END
$fn$;
COMMENT ON FUNCTION upc.import_fingerprints IS
    'makes the staged set the imported one of a symbol and publishes it, all in one transaction';

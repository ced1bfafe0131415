-- Refresh: the curves of a symbol, and the grid that leads to them, brought up to what is counted.
-- Readers see what was there before or what is there now, and wait for nothing.
--
-- upc_data.curve_refresh has a row per symbol and one for the pool, *. A refresh of a symbol locks the
-- pool's row FOR SHARE and then the symbol's FOR UPDATE; one of the pool locks the pool's FOR UPDATE.
-- Whoever locks several goes by name, and the pool's comes first.

CREATE FUNCTION upc._hash_curves()
RETURNS text
LANGUAGE plpgsql STABLE
SET extra_float_digits = 1
AS $fn$
DECLARE
    v_texts text := concat_ws(
        ';',
        upc._fingerprint_curve_query(true),
        upc._volatility_curve_query(true),
        upc._curve_query(upc._fingerprint_counts(false, is_pool => true)),
        upc._fingerprint_grid_query(true)
    );
    v_numbers text;
BEGIN
    -- The functions that the queries call, by what they return: a hash has to be the same on every
    -- server. Comments and blanks change no number.
    SELECT string_agg(round(n.number::numeric, 9)::text, ' ' ORDER BY n.place)
    INTO v_numbers
    FROM unnest(
        ARRAY[
            upc._same_bucket_share(0.01, 0.1, 0.7, false),
            upc._same_bucket_share(0.2, 0.1, 0.9, false),
            upc._same_bucket_share(0.01, 0.1, 0.7, true),
            upc._mixed_size(700, 90000, 0.3)
        ]
        || upc._blend('{30, 20}', '{40, 10}', 0.3)
        || upc.volatility_thresholds()
    ) WITH ORDINALITY AS n (number, place);
    RETURN encode(
        sha256(
            convert_to(
                regexp_replace(
                    regexp_replace(v_texts, '--.*$', '', 'gn'), '[[:space:]]+', ' ', 'g'
                )
                    || v_numbers,
                'UTF8'
            )
        ),
        'hex'
    );
END
$fn$;
COMMENT ON FUNCTION upc._hash_curves IS
    'the hash of the queries that make curves and grids, and of what the functions in them return';


DO $do$
BEGIN
    EXECUTE format(
        'CREATE FUNCTION upc._curve_hash() RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN %L',
        upc._hash_curves()
    );
END
$do$;
COMMENT ON FUNCTION upc._curve_hash IS
    'curve_hash as the upgrade computed it';


-- The name of the formulas by which curves are made from counts.
--
-- Returns 64 hexadecimal digits. Curves that were made by others go on answering until their symbol's
-- next refresh.
-- Errors: none.
--
-- Example:
--   SELECT curve_hash() ~ '^[0-9a-f]{64}$';
CREATE FUNCTION upc.curve_hash()
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN upc._curve_hash();
COMMENT ON FUNCTION upc.curve_hash IS
    'the name of the formulas by which curves are made from counts; curves that were made by others go on answering until the next refresh';


-- Wait for the refreshes of others, and keep others waiting until the transaction ends.
--
-- is_pool: for a refresh of the pool.
CREATE FUNCTION upc._lock_curves(symbols text[], is_pool boolean DEFAULT false)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_symbol text;
BEGIN
    INSERT INTO upc_data.curve_refresh (symbol) VALUES ('*') ON CONFLICT (symbol) DO NOTHING;
    -- Which symbols have no curves of their own must not change while the pool does.
    IF is_pool THEN
        PERFORM FROM upc_data.curve_refresh AS r WHERE r.symbol = '*' FOR UPDATE;
    ELSE
        PERFORM FROM upc_data.curve_refresh AS r WHERE r.symbol = '*' FOR SHARE;
    END IF;
    FOR v_symbol IN SELECT DISTINCT s COLLATE "C" AS name FROM unnest(symbols) AS s ORDER BY name LOOP
        INSERT INTO upc_data.curve_refresh (symbol) VALUES (v_symbol) ON CONFLICT (symbol) DO NOTHING;
        PERFORM FROM upc_data.curve_refresh AS r WHERE r.symbol = v_symbol FOR UPDATE;
    END LOOP;
END
$fn$;
COMMENT ON FUNCTION upc._lock_curves IS
    'waits for refreshes of some symbols, or of the pool, by others, and keeps others waiting until this transaction ends';


-- Make the rows of a symbol in a table those of a query. Rows that are equal to the last bit are left
-- alone; readers see all of the change at commit.
--
-- name: table of upc_data. keys: its key without the symbol. query: text of a query for its columns, in
-- which $1 is the symbol.
CREATE FUNCTION upc._store_rows(name text, keys text[], query text, symbol text)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_columns text[] := ARRAY(
        SELECT a.attname::text
        FROM pg_catalog.pg_attribute AS a
        WHERE a.attrelid = format('upc_data.%I', name)::regclass
          AND a.attnum > 0
          AND NOT a.attisdropped
        ORDER BY a.attnum
    );
    v_names text := (
        SELECT string_agg(quote_ident(a), ', ' ORDER BY i)
        FROM unnest(v_columns) WITH ORDINALITY AS c (a, i)
    );
    v_keys text := (SELECT string_agg(quote_ident(k), ', ') FROM unnest(keys) AS k);
BEGIN
    EXECUTE format(
        $sql$
        WITH fresh AS MATERIALIZED (%1$s),
        gone AS (
            DELETE FROM upc_data.%2$I AS c
            WHERE c.symbol = $1
              -- Looked up in a hash table, whatever is expected of the symbol.
              AND (%4$s) NOT IN (SELECT %4$s FROM fresh AS f)
        )
        INSERT INTO upc_data.%2$I AS c (%3$s)
        SELECT %3$s FROM fresh AS f
        ON CONFLICT (symbol, %4$s) DO UPDATE SET (%3$s) = ROW (%5$s)
        WHERE %6$s c.* OPERATOR(pg_catalog.*<>) excluded.*
        $sql$,
        query,
        name,
        v_names,
        v_keys,
        (
            SELECT string_agg('excluded.' || quote_ident(a), ', ' ORDER BY i)
            FROM unnest(v_columns) WITH ORDINALITY AS c (a, i)
        ),
        -- Rows that differ mostly differ in a number, which is found without looking at their arrays.
        (
            SELECT string_agg(format('c.%1$I <> excluded.%1$I OR ', a.attname), '' ORDER BY a.attnum)
            FROM pg_catalog.pg_attribute AS a
            WHERE a.attrelid = format('upc_data.%I', name)::regclass
              AND a.atttypid IN ('double precision'::regtype, 'bigint'::regtype)
              AND NOT a.attisdropped
        )
    ) USING symbol;
END
$fn$;
COMMENT ON FUNCTION upc._store_rows IS
    'makes the rows of a symbol in a table those of a query, and leaves alone what is equal to the last bit';


CREATE FUNCTION upc._store_grid(symbol text)
RETURNS void
LANGUAGE plpgsql VOLATILE
-- A few rows of many symbols' tables: without nested loops it would read all of them.
SET enable_nestloop = on
AS $fn$
BEGIN
    PERFORM upc._store_rows(
        'fingerprint_grid', '{bucket}', upc._fingerprint_grid_query(true), symbol
    );
END
$fn$;
COMMENT ON FUNCTION upc._store_grid IS
    'publishes which fingerprints of a symbol answer; the caller holds its lock';


-- Publish a symbol with its strike step, and which of its sets answers: what makes a new symbol answer,
-- from the pool until it has fingerprints of its own.
CREATE FUNCTION upc._refresh_grid(symbol text)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    PERFORM upc._lock_curves(ARRAY[symbol]);
    PERFORM upc._store_grid(symbol);
END
$fn$;
COMMENT ON FUNCTION upc._refresh_grid IS
    'publishes a symbol with its strike step, and which of its sets answers';


CREATE FUNCTION upc._refresh_symbol(symbol text)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    PERFORM upc._lock_curves(ARRAY[symbol]);
    PERFORM upc._store_rows(
        'fingerprint_curve', '{origin, bucket, minutes}', upc._fingerprint_curve_query(true), symbol
    );
    PERFORM upc._store_rows(
        'volatility_curve', '{bucket, minutes}', upc._recalibrated_curve_query(), symbol
    );
    PERFORM upc._store_rows('volatility_drift', '{minutes}', upc._volatility_drift_query(), symbol);
    PERFORM upc._store_rows('horizon_curve', '{minutes}', upc._recalibrated_long_query(), symbol);
    PERFORM upc._store_grid(symbol);
    UPDATE upc_data.curve_refresh AS r
    SET made_by = upc.curve_hash(), refreshed_at = clock_timestamp()
    WHERE r.symbol = _refresh_symbol.symbol;
END
$fn$;
COMMENT ON FUNCTION upc._refresh_symbol IS
    'brings curves and grid of a symbol up to what is counted and imported';


-- Publish the counts of a symbol's complete build, and what was imported for it.
--
-- Its curves, its grid and its named views change together when the transaction commits; readers never
-- wait. The work is that of the symbol, however many others there are. The pool of all symbols is
-- refreshed by refresh_pool.
--
-- symbol: NULL refreshes every symbol, then the pool.
-- Errors: UP002 symbol.
--
-- Example:
--   SELECT refresh_fingerprints('BTC');
CREATE FUNCTION upc.refresh_fingerprints(symbol text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql VOLATILE
-- All curves pass through memory at once; workers would take longer to start than to help, and sorting
-- wide rows longer than hashing them. Constants are written into the queries with all of their digits.
SET work_mem = '64MB'
SET enable_mergejoin = off
SET enable_nestloop = off
SET max_parallel_workers_per_gather = 0
SET jit = off
SET extra_float_digits = 1
AS $fn$
DECLARE
    v_symbol text;
BEGIN
    IF symbol IS NOT NULL THEN
        PERFORM upc.require_symbol(symbol);
        PERFORM upc._refresh_symbol(symbol);
        RETURN;
    END IF;
    PERFORM upc._lock_curves('{}', is_pool => true);
    FOR v_symbol IN SELECT s.symbol FROM upc_data.symbol AS s ORDER BY s.symbol LOOP
        PERFORM upc._refresh_symbol(v_symbol);
    END LOOP;
    PERFORM upc.refresh_pool();
END
$fn$;
COMMENT ON FUNCTION upc.refresh_fingerprints IS
    'publishes the counts of a symbol''s complete build, and what was imported for it: curves, grid and named views change together at commit; NULL refreshes every symbol, then the pool';


CREATE FUNCTION upc._refresh_pooled_curve()
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    -- The first time, and without its unique index, it cannot be done while others read.
    EXECUTE format(
        'REFRESH MATERIALIZED VIEW %s upc.pooled_curve',
        CASE WHEN EXISTS (
            SELECT
            FROM pg_catalog.pg_class AS c
            JOIN pg_catalog.pg_index AS i ON i.indrelid = c.oid AND i.indisunique AND i.indisvalid
            WHERE c.oid = 'upc.pooled_curve'::regclass AND c.relispopulated
        ) THEN 'CONCURRENTLY' ELSE '' END
    );
END
$fn$;
COMMENT ON FUNCTION upc._refresh_pooled_curve IS
    'computes the pooled baseline, while others read the last one if it can be read at all';


-- Publish the pooled baseline: the counts of all complete builds under one name.
--
-- A run of a build calls it once, at its end. Symbols that have no fingerprints of their own are brought
-- up to date where the pool has other minutes than before.
-- Errors: none.
--
-- Example:
--   SELECT refresh_pool();
CREATE FUNCTION upc.refresh_pool()
RETURNS void
LANGUAGE plpgsql VOLATILE
SET work_mem = '64MB'
SET max_parallel_workers_per_gather = 0
SET jit = off
SET extra_float_digits = 1
AS $fn$
DECLARE
    v_minutes smallint[];
    v_symbol text;
BEGIN
    PERFORM upc._lock_curves('{}', is_pool => true);
    UPDATE upc_data.curve_refresh AS r
    SET made_by = upc.curve_hash(), refreshed_at = clock_timestamp()
    WHERE r.symbol = '*';
    PERFORM upc._refresh_pooled_curve();
    PERFORM upc._store_rows(
        'fingerprint_curve', '{origin, bucket, minutes}', 'SELECT p.* FROM upc.pooled_curve AS p', '*'
    );

    SELECT array_agg(c.minutes ORDER BY c.minutes)
    INTO v_minutes
    FROM upc_data.fingerprint_curve AS c
    WHERE c.symbol = '*' AND c.origin = 'built' AND c.bucket = upc._baseline();
    FOR v_symbol IN
        SELECT s.symbol
        FROM upc_data.symbol AS s
        LEFT JOIN upc_data.fingerprint_grid AS g ON g.symbol = s.symbol AND g.bucket = upc._baseline()
        WHERE coalesce(g.curve_symbol, '*') = '*' AND g.minutes IS DISTINCT FROM v_minutes
        ORDER BY s.symbol
    LOOP
        PERFORM upc._refresh_grid(v_symbol);
    END LOOP;
END
$fn$;
COMMENT ON FUNCTION upc.refresh_pool IS
    'publishes the pooled baseline of all complete builds, and brings symbols that answer from it up to date; a run of a build calls it once';


CREATE FUNCTION upc._publish(symbol text, with_pool boolean)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    IF with_pool THEN
        PERFORM upc._lock_curves('{}', is_pool => true);
    END IF;
    PERFORM upc.refresh_fingerprints(symbol);
    IF with_pool THEN
        PERFORM upc.refresh_pool();
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._publish IS
    'publishes the curves of a symbol and, if asked to, the pool, in the order in which they are locked';


-- True where builds were completed since the pool was last refreshed, an upgrade has changed how it is
-- made, or it is gone: a build that was stopped before its end has left it behind.
--
-- Errors: none.
--
-- Example:
--   SELECT NOT is_pool_due();
CREATE FUNCTION upc.is_pool_due()
RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN EXISTS (
    SELECT
    FROM upc_data.fingerprint_build AS b
    LEFT JOIN upc_data.curve_refresh AS r ON r.symbol = '*'
    WHERE b.completed_at IS NOT NULL
      AND (
          r.refreshed_at > b.completed_at IS NOT TRUE
          OR r.made_by IS DISTINCT FROM upc.curve_hash()
          -- As a restore that was not completed leaves it.
          OR NOT EXISTS (SELECT FROM upc_data.fingerprint_curve AS c WHERE c.symbol = '*')
          AND EXISTS (
              SELECT FROM upc_data.fingerprint_histogram AS h WHERE h.symbol = b.symbol
          )
      )
);
COMMENT ON FUNCTION upc.is_pool_due IS
    'true where builds were completed since the pool was last refreshed, an upgrade has changed how it is made, or it is gone';


-- True where curves of a symbol were made by other formulas than today's. They go on answering until the
-- next build, or refresh_fingerprints, makes them anew.
--
-- Errors: none; an unknown symbol has no curves.
--
-- Example:
--   SELECT NOT has_outdated_curves('BTC');
CREATE FUNCTION upc.has_outdated_curves(symbol text)
RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN NOT coalesce(
    (
        SELECT r.made_by = upc.curve_hash()
        FROM upc_data.curve_refresh AS r
        WHERE r.symbol = has_outdated_curves.symbol
    ),
    false
) AND (
    EXISTS (
        SELECT FROM upc_data.fingerprint_curve AS c
        WHERE c.symbol = has_outdated_curves.symbol AND c.origin = 'built'
    )
    OR EXISTS (
        SELECT FROM upc_data.volatility_curve AS c WHERE c.symbol = has_outdated_curves.symbol
    )
);
COMMENT ON FUNCTION upc.has_outdated_curves IS
    'true where curves of a symbol were made by other formulas than today''s: they go on answering until the next build';

-- Retiring a symbol: it is registered no more at once, and its rows are removed batch by batch. Killed in
-- the middle and started again, it ends the job.
--
--   begin_retirement  takes the symbol out of upc_data.symbol: from then on nobody finds it.
--   retire_batch      removes some rows; called until none is left.
--   end_retirement    sees to it that nobody who found the symbol before can still write, and frees the name.
--
-- A process that ticks or feeds the symbol need not end: its next call is refused with UP002, and it
-- drops the symbol.

-- Tables of upc_data with rows of symbols, found in the catalogue: a table that refers to another comes
-- before it, and a partitioned table is a row for each partition.
CREATE FUNCTION upc._symbol_tables(OUT name text, OUT part regclass)
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH RECURSIVE root AS (
        SELECT c.oid, c.relname, c.relkind
        FROM pg_class AS c
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'symbol'
        WHERE c.relnamespace = 'upc_data'::regnamespace
          AND c.relkind IN ('r', 'p')
          AND NOT c.relispartition
          AND NOT a.attisdropped
          AND c.relname NOT IN ('symbol', 'retirement')
    ),
    reference AS (
        SELECT k.conrelid, k.confrelid, 1 AS depth
        FROM pg_constraint AS k
        WHERE k.contype = 'f' AND k.connamespace = 'upc_data'::regnamespace

        UNION ALL

        SELECT r.conrelid, k.confrelid, r.depth + 1
        FROM reference AS r
        JOIN pg_constraint AS k
            ON k.conrelid = r.confrelid AND k.contype = 'f' AND k.confrelid <> k.conrelid
    )
    SELECT root.relname::text, leaf.relid
    FROM root
    CROSS JOIN LATERAL (
        SELECT root.oid::regclass AS relid WHERE root.relkind = 'r'

        UNION ALL

        SELECT p.relid FROM pg_partition_tree(root.oid) AS p
        WHERE p.isleaf AND root.relkind = 'p'
    ) AS leaf
    ORDER BY
        (SELECT coalesce(max(r.depth), 0) FROM reference AS r WHERE r.conrelid = root.oid) DESC,
        root.relname,
        leaf.relid;
END;
COMMENT ON FUNCTION upc._symbol_tables IS
    'the tables of upc_data with rows of symbols, in an order in which they can be removed; a row per partition';


-- Number of rows of a symbol in each table that has some.
--
-- Errors: UP002 symbol, unless it is being retired.
--
-- Example:
--   SELECT rows FROM symbol_rows('BTC') WHERE name = 'symbol';
CREATE FUNCTION upc.symbol_rows(symbol text)
RETURNS TABLE (name text, rows bigint)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_table record;
    v_is_registered boolean := EXISTS (
        SELECT FROM upc_data.symbol AS s WHERE s.symbol = symbol_rows.symbol
    );
BEGIN
    IF v_is_registered THEN
        name := 'symbol';
        rows := 1;
        RETURN NEXT;
    ELSIF NOT EXISTS (SELECT FROM upc_data.retirement AS r WHERE r.symbol = symbol_rows.symbol) THEN
        PERFORM upc.require_symbol(symbol);
    END IF;
    FOR v_table IN
        SELECT t.name, array_agg(t.part) AS parts
        FROM upc._symbol_tables() AS t
        GROUP BY t.name
        ORDER BY t.name
    LOOP
        name := v_table.name;
        EXECUTE format('SELECT count(*) FROM upc_data.%I AS t WHERE t.symbol = $1', name)
        INTO rows
        USING symbol;
        IF rows > 0 THEN
            RETURN NEXT;
        END IF;
    END LOOP;
END
$fn$;
COMMENT ON FUNCTION upc.symbol_rows IS
    'the number of rows of a symbol in each table that has some';


-- Keep builds of a symbol away until the transaction ends.
CREATE FUNCTION upc._lock_build_for_retirement(symbol text)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $fn$
BEGIN
    IF NOT pg_try_advisory_xact_lock(upc.build_lock_key(symbol))
        OR NOT pg_try_advisory_xact_lock(upc.refit_lock_key(symbol))
    THEN
        RAISE EXCEPTION 'the fingerprints of % are being built', symbol
            USING
                ERRCODE = 'lock_not_available',
                DETAIL = 'A build would leave rows behind.',
                HINT = format(
                    'Wait until it is done, then repeat "pyupc symbols retire %s --yes".', symbol
                );
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._lock_build_for_retirement IS
    'keeps builds of a symbol away until the transaction ends; raises 55P03 while one is running';


-- Remove at most so many rows of a symbol from a table, and add them up in upc_data.retirement.
CREATE FUNCTION upc._remove_rows(symbol text, name text, part regclass, batch bigint)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_count bigint;
BEGIN
    EXECUTE format(
        'DELETE FROM %1$s AS t WHERE t.ctid = ANY (ARRAY('
        'SELECT o.ctid FROM %1$s AS o WHERE o.symbol = $1 LIMIT $2))',
        part
    )
    USING symbol, batch;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    IF v_count > 0 THEN
        UPDATE upc_data.retirement AS r
        SET removed = r.removed || jsonb_build_object(
            _remove_rows.name, coalesce((r.removed ->> _remove_rows.name)::bigint, 0) + v_count
        )
        WHERE r.symbol = _remove_rows.symbol;
    END IF;
    RETURN v_count;
END
$fn$;
COMMENT ON FUNCTION upc._remove_rows IS
    'removes at most so many rows of a symbol from a table, and adds them up; returns their number';


-- Take a symbol out of upc_data.symbol, with its named views and what refers to it there. Its other rows
-- stay for retire_batch. One that is being retired is left alone.
--
-- Errors: UP002 symbol; 55P03 while its fingerprints are being built; 2BP01 where an object of yours
-- depends on a named view of it.
--
-- Example:
--   SELECT begin_retirement('ETH');
CREATE FUNCTION upc.begin_retirement(symbol text)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $fn$
DECLARE
    v_table record;
BEGIN
    -- As add_symbol does: two at once wait for each other.
    LOCK TABLE upc_data.symbol IN SHARE ROW EXCLUSIVE MODE;
    IF EXISTS (SELECT FROM upc_data.retirement AS r WHERE r.symbol = begin_retirement.symbol) THEN
        RETURN;
    END IF;
    PERFORM upc.require_symbol(symbol);
    PERFORM upc._lock_build_for_retirement(symbol);
    PERFORM upc.drop_named_views(symbol);

    INSERT INTO upc_data.retirement AS r (symbol, begun_at, removed)
    VALUES (begin_retirement.symbol, clock_timestamp(), '{"symbol": 1}');
    -- Rows that refer to the symbol, and rows that refer to those.
    FOR v_table IN
        WITH RECURSIVE referring AS (
            SELECT 'upc_data.symbol'::regclass::oid AS oid

            UNION

            SELECT k.conrelid
            FROM pg_catalog.pg_constraint AS k
            JOIN referring AS r ON r.oid = k.confrelid
            WHERE k.contype = 'f'
        )
        SELECT t.name, t.part
        FROM upc._symbol_tables() AS t
        WHERE t.part::oid IN (SELECT r.oid FROM referring AS r)
    LOOP
        PERFORM upc._remove_rows(symbol, v_table.name, v_table.part, NULL);
    END LOOP;
    DELETE FROM upc_data.symbol AS s WHERE s.symbol = begin_retirement.symbol;
END
$fn$;
COMMENT ON FUNCTION upc.begin_retirement IS
    'takes a symbol out of upc_data.symbol, with its named views, so that nobody finds it any more';


-- Transactions of others that have read upc_data.symbol: they hold its lock until they end. As pg_locks
-- names them.
CREATE FUNCTION upc._readers_of_symbols()
RETURNS text[]
LANGUAGE sql VOLATILE PARALLEL RESTRICTED
RETURN ARRAY(
    SELECT DISTINCT l.virtualtransaction
    FROM pg_catalog.pg_locks AS l
    JOIN pg_catalog.pg_database AS d ON d.oid = l.database
    WHERE d.datname = current_database()
      AND l.relation = 'upc_data.symbol'::regclass
      AND l.granted
      AND l.pid IS DISTINCT FROM pg_backend_pid()
);
COMMENT ON FUNCTION upc._readers_of_symbols IS
    'the transactions of others that have read upc_data.symbol, as pg_locks names them';


-- Refuse to work on what is not being retired.
CREATE FUNCTION upc._refuse_no_retirement(symbol text)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    PERFORM FROM upc_data.retirement AS r
    WHERE r.symbol = _refuse_no_retirement.symbol
    FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'symbol % is not being retired', coalesce(quote_literal(symbol), 'NULL')
            USING
                ERRCODE = 'UP002',
                DETAIL = 'No retirement of it has begun, or it has ended.',
                HINT = 'Begin with "pyupc symbols retire", or begin_retirement.';
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._refuse_no_retirement IS
    'raises UP002 unless a symbol is being retired; locks its row of upc_data.retirement';


-- Remove some rows of a symbol that is being retired.
--
-- batch: how many rows at most. Returns the table and the number of rows removed from it; NULL and 0
-- where none is left.
-- Errors: UP002 unless it is being retired; 55P03 while its fingerprints are being built.
--
-- Example:
--   SELECT begin_retirement('ETH'); SELECT removed FROM retire_batch('ETH');
CREATE FUNCTION upc.retire_batch(
    symbol text,
    batch integer DEFAULT 20000,
    OUT name text,
    OUT removed bigint
)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $fn$
DECLARE
    v_table record;
BEGIN
    PERFORM upc._refuse_no_retirement(symbol);
    PERFORM upc._lock_build_for_retirement(symbol);
    -- Now that the symbol is gone for all others, whoever may have seen it is one of these.
    UPDATE upc_data.retirement AS r
    SET readers = upc._readers_of_symbols()
    WHERE r.symbol = retire_batch.symbol AND r.readers IS NULL;
    FOR v_table IN SELECT t.name, t.part FROM upc._symbol_tables() AS t LOOP
        removed := upc._remove_rows(symbol, v_table.name, v_table.part, greatest(batch, 1));
        IF removed > 0 THEN
            name := v_table.name;
            RETURN;
        END IF;
    END LOOP;
    removed := 0;
END
$fn$;
COMMENT ON FUNCTION upc.retire_batch IS
    'removes some rows of a symbol that is being retired; returns the table and their number, 0 where none is left';


-- End a retirement: bring the pool up to date and free the name.
--
-- Returns the number of rows that were removed by table; NULL where it is too early: rows are left, or a
-- transaction that has seen the symbol has not ended and may still write.
-- Errors: UP002 unless it is being retired; 55P03 while its fingerprints are being built.
--
-- Example:
--   SELECT begin_retirement('ETH'); SELECT end_retirement('ETH') IS NULL AS is_too_early;
CREATE FUNCTION upc.end_retirement(symbol text)
RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $fn$
DECLARE
    v_removed jsonb;
    v_readers text[];
    v_part regclass;
    v_is_left boolean;
BEGIN
    PERFORM upc._refuse_no_retirement(symbol);
    PERFORM upc._lock_build_for_retirement(symbol);
    SELECT r.removed, r.readers
    INTO v_removed, v_readers
    FROM upc_data.retirement AS r
    WHERE r.symbol = end_retirement.symbol;
    IF v_readers IS NULL OR v_readers && upc._readers_of_symbols() THEN
        RETURN NULL;
    END IF;
    FOR v_part IN SELECT t.part FROM upc._symbol_tables() AS t LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s AS t WHERE t.symbol = $1)', v_part)
        INTO v_is_left
        USING symbol;
        IF v_is_left THEN
            RETURN NULL;
        END IF;
    END LOOP;
    PERFORM upc.refresh_pool();
    DELETE FROM upc_data.retirement AS r WHERE r.symbol = end_retirement.symbol;
    RETURN v_removed;
END
$fn$;
COMMENT ON FUNCTION upc.end_retirement IS
    'ends a retirement when all rows of the symbol are removed; returns their number by table, NULL where it is too early';


-- Sessions that keep a retirement from its end: their transactions have seen the symbol.
--
-- Returns the server's process of each, its application and since when its transaction runs, as far as
-- the role may see it.
-- Errors: none.
--
-- Example:
--   SELECT count(*) = 0 FROM retirement_blockers('ETH');
CREATE FUNCTION upc.retirement_blockers(symbol text)
RETURNS TABLE (pid integer, application text, since timestamptz)
LANGUAGE sql STABLE PARALLEL RESTRICTED ROWS 1
BEGIN ATOMIC
    SELECT DISTINCT l.pid, a.application_name, a.xact_start
    FROM upc_data.retirement AS r
    CROSS JOIN LATERAL unnest(r.readers) AS k (reader)
    JOIN pg_catalog.pg_locks AS l ON l.virtualtransaction = k.reader
    LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
    WHERE r.symbol = retirement_blockers.symbol
      AND l.relation = 'upc_data.symbol'::regclass;
END;
COMMENT ON FUNCTION upc.retirement_blockers IS
    'the sessions that keep a retirement from its end, since their transactions have seen the symbol';

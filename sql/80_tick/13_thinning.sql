-- Thinning: of the days that are old enough, the first tick of each minute goes to upc_data.tick_minute,
-- and the day's partition is dropped. A tick that a symbol's current documents name stays.

-- Copy the first tick of each minute of a day to upc_data.tick_minute, a symbol at a time and until an
-- instant of clock_timestamp(). Nothing leaves upc_data.tick: readers take a minute from where it is,
-- and once.
--
-- partition: that of the day in upc_data.tick. since, until: its bounds.
-- Returns how many ticks were copied; is_done: nothing of the day is left to copy.
CREATE FUNCTION upc._copy_minutes(
    partition text,
    since timestamptz,
    until timestamptz,
    deadline timestamptz,
    OUT copied bigint,
    OUT is_done boolean
)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $fn$
DECLARE
    v_symbol text;
    v_count bigint;
BEGIN
    copied := 0;
    is_done := true;
    FOR v_symbol IN
        SELECT s.symbol
        FROM upc_data.symbol AS s
        LEFT JOIN upc_data.log_progress AS k ON k.symbol = s.symbol
        WHERE coalesce(k.thinned_until < _copy_minutes.until, true)
        ORDER BY s.symbol
    LOOP
        IF clock_timestamp() > deadline THEN
            is_done := false;
            RETURN;
        END IF;
        EXECUTE format(
            'INSERT INTO upc_data.tick_minute'
            ' SELECT m.at, t.*'
            ' FROM generate_series($2, $3 - interval ''1 minute'', interval ''1 minute'') AS m (at)'
            ' CROSS JOIN LATERAL ('
            '     SELECT o.* FROM upc_data.%I AS o'
            '     WHERE o.symbol = $1'
            '       AND o.ticked_at >= m.at AND o.ticked_at < m.at + interval ''1 minute'''
            '     ORDER BY o.ticked_at, o.tick_id LIMIT 1'
            ' ) AS t'
            ' ON CONFLICT (symbol, minute_at) DO NOTHING',
            partition
        ) USING v_symbol, since, until;
        GET DIAGNOSTICS v_count = ROW_COUNT;
        copied := copied + v_count;
        INSERT INTO upc_data.log_progress AS k (symbol, thinned_until)
        VALUES (v_symbol, _copy_minutes.until)
        ON CONFLICT ON CONSTRAINT log_progress_symbol_pkey
            DO UPDATE SET thinned_until = excluded.thinned_until;
    END LOOP;
END
$fn$;
COMMENT ON FUNCTION upc._copy_minutes IS
    'copies the first tick of each minute of a day to upc_data.tick_minute, until an instant; says whether all is copied';


-- Thin out rows of upc_data.tick that are in no partition of a day: delete a batch, the oldest first,
-- and keep the first tick of each minute. Rows that are older than those are kept, too, are deleted.
--
-- thin_before, keep_since: rows before the one are thinned, rows before the other, which is not later,
-- go.
CREATE FUNCTION upc._thin_batch(
    partition text,
    batch integer,
    thin_before timestamptz,
    keep_since timestamptz,
    OUT thinned bigint,
    OUT expired bigint
)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $fn$
BEGIN
    EXECUTE format(
        'WITH gone AS ('
        '     DELETE FROM upc_data.%1$I AS d WHERE d.ctid = ANY (ARRAY('
        '         SELECT o.row_at FROM upc_data.symbol AS s CROSS JOIN LATERAL ('
        '             SELECT t.ctid AS row_at FROM upc_data.%1$I AS t'
        '             WHERE t.symbol = s.symbol AND t.ticked_at < $2'
        '               AND (t.ticked_at < $3 OR NOT EXISTS ('
        '                   SELECT FROM upc_data.document AS c'
        '                   WHERE c.symbol = t.symbol AND c.tick_id = t.tick_id))'
        '             ORDER BY t.ticked_at LIMIT $1 FOR UPDATE SKIP LOCKED'
        '         ) AS o LIMIT greatest($1, 10000)'
        '     )) RETURNING d.*'
        ' ), kept AS ('
        '     INSERT INTO upc_data.tick_minute'
        '     SELECT DISTINCT ON (g.symbol, upc._minute_of(g.ticked_at)) upc._minute_of(g.ticked_at), g.*'
        '     FROM gone AS g WHERE g.ticked_at >= $3'
        '     ORDER BY g.symbol, upc._minute_of(g.ticked_at), g.ticked_at, g.tick_id'
        '     ON CONFLICT (symbol, minute_at) DO NOTHING'
        ' )'
        ' SELECT count(*) FILTER (WHERE g.ticked_at >= $3), count(*) FILTER (WHERE g.ticked_at < $3)'
        ' FROM gone AS g',
        partition
    ) INTO thinned, expired USING batch, thin_before, keep_since;
END
$fn$;
COMMENT ON FUNCTION upc._thin_batch IS
    'thins out a batch of the oldest ticks that are in no partition of a day; returns how many gave way, and how many had expired';


-- Delete a batch of the oldest rows of a partition that is none of a day.
CREATE FUNCTION upc._delete_batch(
    partition text,
    at_column text,
    batch integer,
    keep_since timestamptz
)
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $fn$
DECLARE
    v_count bigint;
BEGIN
    EXECUTE format(
        'DELETE FROM upc_data.%1$I AS d WHERE d.ctid = ANY (ARRAY('
        '     SELECT o.row_at FROM upc_data.symbol AS s CROSS JOIN LATERAL ('
        '         SELECT r.ctid AS row_at FROM upc_data.%1$I AS r'
        '         WHERE r.symbol = s.symbol AND r.%2$I < $2'
        '         ORDER BY r.%2$I LIMIT $1 FOR UPDATE SKIP LOCKED'
        '     ) AS o LIMIT greatest($1, 10000)'
        ' ))',
        partition, at_column
    ) USING batch, keep_since;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    RETURN v_count;
END
$fn$;
COMMENT ON FUNCTION upc._delete_batch IS
    'deletes a batch of the oldest rows of a partition that is none of a day; returns how many';


-- Drop a partition. Ticks that documents name go to the default partition.
--
-- Returns how many rows it had, as far as the server's statistics know; NULL where somebody keeps it
-- locked: it waits no longer than lock_timeout, since all others wait behind it.
CREATE FUNCTION upc._drop_partition(log text, partition text)
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $fn$
DECLARE
    v_rows bigint;
BEGIN
    SELECT greatest(0, c.reltuples)::bigint
    INTO v_rows
    FROM pg_class AS c
    WHERE c.oid = to_regclass('upc_data.' || partition);
    EXECUTE format('LOCK TABLE upc_data.%I IN ACCESS EXCLUSIVE MODE', log);
    EXECUTE format('ALTER TABLE upc_data.%I DETACH PARTITION upc_data.%I', log, partition);
    IF log = 'tick' THEN
        EXECUTE format(
            'INSERT INTO upc_data.tick SELECT t.* FROM upc_data.document AS d'
            ' JOIN upc_data.%I AS t ON t.symbol = d.symbol AND t.tick_id = d.tick_id',
            partition
        );
    END IF;
    EXECUTE format('DROP TABLE upc_data.%I', partition);
    RETURN v_rows;
EXCEPTION
    WHEN lock_not_available OR deadlock_detected THEN
        RETURN NULL;
END
$fn$;
COMMENT ON FUNCTION upc._drop_partition IS
    'drops a partition of a log, keeping ticks that documents name; returns the number of its rows, NULL where somebody keeps it locked';


-- Thin out what is old enough: a batch of what is in no partition of a day, and the minutes of the
-- oldest day for a while.
--
-- Returns how many ticks gave way or were copied, how many had expired, and the day's partition that can
-- be dropped.
CREATE FUNCTION upc._thin(
    batch integer,
    thin_before timestamptz,
    keep_since timestamptz,
    deadline timestamptz,
    OUT thinned bigint,
    OUT expired bigint,
    OUT drop_next text
)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $fn$
DECLARE
    v_part record;
    v_done record;
    v_day timestamptz;
BEGIN
    thinned := 0;
    expired := 0;
    -- On a clock that was put back ticks are written into days that had been copied.
    UPDATE upc_data.log_progress AS k SET thinned_until = upc._day_of(thin_before)
    WHERE k.thinned_until > upc._day_of(thin_before);

    FOR v_part IN
        SELECT p.name FROM upc._log_partitions('tick') AS p WHERE NOT p.is_day ORDER BY p.name
    LOOP
        EXECUTE format(
            'SELECT upc._day_of(min(f.ticked_at)) FROM upc_data.symbol AS s CROSS JOIN LATERAL ('
            '     SELECT t.ticked_at FROM upc_data.%I AS t'
            '     WHERE t.symbol = s.symbol AND t.ticked_at >= $1 AND t.ticked_at < $2'
            '     ORDER BY t.ticked_at LIMIT 1) AS f',
            v_part.name
        ) INTO v_day USING keep_since, thin_before;
        IF v_day IS NOT NULL THEN
            PERFORM upc._make_day('tick_minute', v_day);
        END IF;
        -- No further than that day: the one after it may have no partition yet.
        SELECT b.* INTO v_done
        FROM upc._thin_batch(
            v_part.name, batch, least(thin_before, v_day + interval '24 hours'), keep_since
        ) AS b;
        thinned := thinned + v_done.thinned;
        expired := expired + v_done.expired;
    END LOOP;

    SELECT p.name, p.since, p.until
    INTO v_part
    FROM upc._log_partitions('tick') AS p
    WHERE p.is_day AND p.until <= thin_before
    ORDER BY p.since
    LIMIT 1;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF v_part.until <= keep_since THEN
        drop_next := v_part.name;
        RETURN;
    END IF;
    PERFORM upc._make_day('tick_minute', v_part.since);
    SELECT c.* INTO v_done
    FROM upc._copy_minutes(v_part.name, v_part.since, v_part.until, deadline) AS c;
    thinned := thinned + v_done.copied;
    IF v_done.is_done THEN
        drop_next := v_part.name;
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._thin IS
    'thins out ticks that are old enough, as much as there is time for; names the day''s partition that can be dropped';

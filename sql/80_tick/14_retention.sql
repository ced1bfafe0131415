-- Retention: rows older than they are kept for go, days of the logs as whole partitions.

CREATE FUNCTION upc._retention_start(name text, at timestamptz)
RETURNS timestamptz
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
AS $fn$
DECLARE
    v_kept text := upc.setting(name);
    v_least text;
BEGIN
    IF isfinite(at) IS NOT TRUE THEN
        RAISE EXCEPTION 'no instant to keep anything before: %', coalesce(at::text, 'NULL')
            USING
                ERRCODE = 'invalid_parameter_value',
                DETAIL = 'Everything is older than infinity.',
                HINT = 'Pass the time that the clock shows, or leave it out.';
    END IF;
    -- Before PostgreSQL 17 no interval is endless.
    IF lower(v_kept) = 'infinity' THEN
        RETURN '-infinity'::timestamptz;
    END IF;
    SELECT d.at_least INTO v_least
    FROM upc.rule_definitions() AS d
    WHERE d.name = _retention_start.name;
    BEGIN
        IF v_kept::interval >= v_least::interval THEN
            RETURN at - v_kept::interval;
        END IF;
    EXCEPTION
        WHEN data_exception THEN
            NULL;
    END;
    RAISE EXCEPTION '% is no time to keep anything for: %', name, v_kept
        USING
            ERRCODE = 'invalid_parameter_value',
            DETAIL = 'Momentum, availability and the hourly counts look back a day.',
            HINT = format('Set upc.%s to ''%s'' or more, or to ''infinity''.', name, v_least);
END
$fn$;
COMMENT ON FUNCTION upc._retention_start IS
    'instant since which rows are kept, by the setting of that name; raises 22023 for less than its least, or no time at all';


CREATE FUNCTION upc._delete_announcements(batch integer, keep_since timestamptz)
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $fn$
DECLARE
    v_count bigint;
BEGIN
    -- Announcements that a subscriber has still to pass on stay.
    DELETE FROM upc_data.announcement AS a
    WHERE a.ctid = ANY (ARRAY(
        SELECT o.row_at
        FROM upc_data.symbol AS s
        CROSS JOIN LATERAL (
            SELECT n.ctid AS row_at
            FROM upc_data.announcement AS n
            WHERE n.symbol = s.symbol
              AND n.announced_at < keep_since
              AND NOT EXISTS (
                  SELECT FROM upc_data.announcement_cursor AS c
                  WHERE c.symbol = n.symbol AND c.announcement_id < n.announcement_id
                    AND c.moved_at > keep_since
              )
            ORDER BY n.announced_at
            LIMIT batch
            FOR UPDATE SKIP LOCKED
        ) AS o
        LIMIT greatest(batch, 10000)
    ));
    GET DIAGNOSTICS v_count = ROW_COUNT;
    RETURN v_count;
END
$fn$;
COMMENT ON FUNCTION upc._delete_announcements IS
    'deletes a batch of announcements of before an instant that nobody has still to pass on; returns how many';


-- Delete a batch of closed events with their quotes. One that was traded stays for good, and one of
-- which a log has a tick or contracts as long as it has: its results judge them.
CREATE FUNCTION upc._delete_events(batch integer, keep_since timestamptz)
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $fn$
DECLARE
    v_count bigint;
BEGIN
    DELETE FROM upc_data.market_event AS e
    WHERE e.ctid = ANY (ARRAY(
        SELECT o.row_at
        FROM upc_data.symbol AS s
        CROSS JOIN LATERAL (
            SELECT n.ctid AS row_at
            FROM upc_data.market_event AS n
            WHERE n.symbol = s.symbol
              AND n.closes_at < keep_since
              AND NOT EXISTS (
                  SELECT FROM upc_data.trade AS r
                  WHERE r.symbol = n.symbol AND r.event_ticker = n.event_ticker
              )
              AND NOT EXISTS (
                  SELECT FROM upc_data.contract_log AS l
                  WHERE l.symbol = n.symbol
                    AND l.event_ticker = n.event_ticker
                    AND l.logged_at > n.closes_at - interval '2 days'
                    AND l.logged_at <= n.closes_at
              )
              AND NOT EXISTS (
                  SELECT FROM upc_data.tick_minute AS m
                  WHERE m.symbol = n.symbol
                    AND m.minute_at > n.closes_at - interval '1 day'
                    AND m.minute_at <= n.closes_at
                    AND m.event_ticker = n.event_ticker
              )
              AND NOT EXISTS (
                  SELECT FROM upc_data.tick AS t
                  WHERE t.symbol = n.symbol
                    AND t.ticked_at > n.closes_at - interval '1 day'
                    AND t.ticked_at <= n.closes_at
                    AND t.event_ticker = n.event_ticker
              )
            ORDER BY n.closes_at
            LIMIT batch
            FOR UPDATE SKIP LOCKED
        ) AS o
        LIMIT batch
    ));
    GET DIAGNOSTICS v_count = ROW_COUNT;
    RETURN v_count;
END
$fn$;
COMMENT ON FUNCTION upc._delete_events IS
    'deletes a batch of events that closed before an instant, with their quotes, unless they were traded or a log has a tick or contracts of them; returns how many';


-- A partition that has expired as a whole, of the logs in turn; NULL columns where there is none. One of
-- prices waits for their variances; a span of ticks that is none of a day has to be empty but for what
-- documents name.
CREATE FUNCTION upc._expired_partition(
    prices_since timestamptz,
    ticks_since timestamptz,
    thin_before timestamptz,
    contracts_since timestamptz,
    OUT log text,
    OUT partition text
)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $fn$
DECLARE
    v_span record;
    v_is_empty boolean;
BEGIN
    SELECT 'price', p.name
    INTO log, partition
    FROM upc._log_partitions('price') AS p
    WHERE p.until <= prices_since
      AND NOT EXISTS (
          SELECT
          FROM upc_data.symbol AS s
          LEFT JOIN upc_data.log_progress AS k ON k.symbol = s.symbol
          CROSS JOIN LATERAL (
              SELECT
              FROM upc_data.price AS r
              WHERE r.symbol = s.symbol
                AND r.received_at >= greatest(k.variance_until, p.since)
                AND r.received_at < p.until
              LIMIT 1
          ) AS f
      )
    ORDER BY p.until
    LIMIT 1;
    IF FOUND THEN
        RETURN;
    END IF;
    SELECT s.log, p.name
    INTO log, partition
    FROM (VALUES ('tick_minute', ticks_since), ('contract_log', contracts_since)) AS s (log, since)
    CROSS JOIN LATERAL upc._log_partitions(s.log) AS p
    WHERE p.until <= s.since
    ORDER BY p.until
    LIMIT 1;
    IF FOUND THEN
        RETURN;
    END IF;
    FOR v_span IN
        SELECT p.name
        FROM upc._log_partitions('tick') AS p
        WHERE NOT p.is_day AND p.until <= thin_before
    LOOP
        EXECUTE format(
            'SELECT NOT EXISTS (SELECT FROM upc_data.%I AS t WHERE NOT EXISTS ('
            '    SELECT FROM upc_data.document AS d'
            '    WHERE d.symbol = t.symbol AND d.tick_id = t.tick_id))',
            v_span.name
        ) INTO v_is_empty;
        IF v_is_empty THEN
            log := 'tick';
            partition := v_span.name;
            RETURN;
        END IF;
    END LOOP;
END
$fn$;
COMMENT ON FUNCTION upc._expired_partition IS
    'a partition of a log that has expired as a whole and may be dropped; NULL without one';


-- Note variances and thin out, which one process at a time does.
--
-- is_mine: false where another one is at it. drop_next: the partition of a day that has been thinned.
CREATE FUNCTION upc._work_logs_through(
    batch integer,
    at timestamptz,
    thin_before timestamptz,
    ticks_since timestamptz,
    OUT is_mine boolean,
    OUT minutes bigint,
    OUT thinned bigint,
    OUT expired bigint,
    OUT drop_next text
)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $fn$
BEGIN
    minutes := 0;
    thinned := 0;
    expired := 0;
    BEGIN
        LOCK TABLE upc_data.log_progress IN SHARE UPDATE EXCLUSIVE MODE NOWAIT;
        is_mine := true;
    EXCEPTION
        WHEN lock_not_available THEN
            is_mine := false;
            RETURN;
    END;
    minutes := upc.note_variances(at);
    BEGIN
        SELECT t.thinned, t.expired, t.drop_next
        INTO thinned, expired, drop_next
        FROM upc._thin(
            batch, thin_before, ticks_since, clock_timestamp() + interval '200 ms'
        ) AS t;
    EXCEPTION
        -- Somebody keeps a partition locked: the next time will do.
        WHEN lock_not_available OR deadlock_detected THEN
            thinned := 0;
            expired := 0;
            drop_next := NULL;
    END;
END
$fn$;
COMMENT ON FUNCTION upc._work_logs_through IS
    'notes variances and thins out ticks, unless another process is at it';


-- Delete what is older than it is kept for, and thin out the ticks: the rules keep_prices (45 days),
-- keep_every_tick (2 days; the first tick of each minute goes on to upc_data.tick_minute), keep_ticks
-- (90 days; for announcements, too), keep_contracts (30 days) and keep_events (30 days; events that were
-- traded, or of which there is a tick or a contract in the logs, stay); infinity keeps all. Days that have a partition go as a whole when all of it is older:
-- a row stays for up to a day longer. It waits for nobody's lock for more than a tenth of a second.
--
-- batch: how many rows at most of each symbol and table are deleted where they are in no partition of a
-- day, oldest first. at: the clock.
-- Returns one row: how many prices, ticks and announcements were deleted, those of a partition as far as
-- the server's statistics know; how many ticks were thinned out (or copied, of a day); how many events
-- were deleted; of how many minutes the variance was noted; how many partitions were dropped, one at
-- most; and how many rows of the log of contracts were deleted. Where all are 0, nothing is left to do.
-- Errors: 22023 for a setting below its least, or that is no time, and for an instant without end.
--
-- Example:
--   SELECT prices, ticks, announcements FROM delete_expired();
CREATE FUNCTION upc.delete_expired(
    batch integer DEFAULT 5000,
    at timestamptz DEFAULT clock_timestamp(),
    OUT prices bigint,
    OUT ticks bigint,
    OUT announcements bigint,
    OUT thinned bigint,
    OUT events bigint,
    OUT minutes bigint,
    OUT partitions bigint,
    OUT contracts bigint
)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '100ms'
AS $fn$
DECLARE
    v_prices_since timestamptz := upc._retention_start('keep_prices', at);
    v_ticks_since timestamptz := upc._retention_start('keep_ticks', at);
    v_thin_before timestamptz := greatest(
        upc._retention_start('keep_every_tick', at), v_ticks_since
    );
    v_events_since timestamptz := upc._retention_start('keep_events', at);
    v_contracts_since timestamptz := upc._retention_start('keep_contracts', at);
    v_work record;
    v_part record;
    v_rows bigint;
BEGIN
    announcements := upc._delete_announcements(batch, v_ticks_since);
    events := upc._delete_events(least(batch, 100), v_events_since);
    SELECT w.* INTO v_work
    FROM upc._work_logs_through(batch, at, v_thin_before, v_ticks_since) AS w;
    minutes := v_work.minutes;
    thinned := v_work.thinned;
    ticks := v_work.expired;
    prices := 0;
    partitions := 0;
    contracts := 0;
    FOR v_part IN
        SELECT l.log, l.at_column, p.name
        FROM upc._daily_logs() AS l
        CROSS JOIN LATERAL upc._log_partitions(l.log) AS p
        WHERE NOT p.is_day AND l.log <> 'tick'
    LOOP
        IF v_part.log = 'price' THEN
            prices := prices
                + upc._delete_batch(v_part.name, v_part.at_column, batch, v_prices_since);
        ELSIF v_part.log = 'contract_log' THEN
            contracts := contracts
                + upc._delete_batch(v_part.name, v_part.at_column, batch, v_contracts_since);
        ELSE
            ticks := ticks
                + upc._delete_batch(v_part.name, v_part.at_column, batch, v_ticks_since);
        END IF;
    END LOOP;

    -- The last thing of the transaction, and one at a time: all others wait for its end.
    IF NOT v_work.is_mine THEN
        RETURN;
    END IF;
    SELECT 'tick' AS log, v_work.drop_next AS partition INTO v_part;
    IF v_part.partition IS NULL THEN
        SELECT e.* INTO v_part
        FROM upc._expired_partition(
            v_prices_since, v_ticks_since, v_thin_before, v_contracts_since
        ) AS e;
    END IF;
    IF v_part.partition IS NOT NULL THEN
        v_rows := upc._drop_partition(v_part.log, v_part.partition);
        partitions := (v_rows IS NOT NULL)::integer;
        IF v_part.log = 'price' THEN
            prices := prices + coalesce(v_rows, 0);
        ELSIF v_part.log = 'tick_minute' THEN
            ticks := ticks + coalesce(v_rows, 0);
        ELSIF v_part.log = 'contract_log' THEN
            contracts := contracts + coalesce(v_rows, 0);
        END IF;
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc.delete_expired IS
    'deletes prices, ticks, announcements, events and logged contracts that are older than they are kept for, thins out ticks and notes variances, a batch at a time';

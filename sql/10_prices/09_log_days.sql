-- Days of the logs: a partition for each day (UTC), made ahead, and a default one for rows of days
-- that have none.

-- The tables that are partitioned by day, each with the column that decides.
CREATE FUNCTION upc._daily_logs(OUT log text, OUT at_column text)
RETURNS SETOF record
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    VALUES
        ('price'::text, 'received_at'::text),
        ('tick', 'ticked_at'),
        ('tick_minute', 'minute_at'),
        ('contract_log', 'logged_at');
END;
COMMENT ON FUNCTION upc._daily_logs IS
    'the tables of upc_data that are partitioned by day, and the column that decides';


-- Beginning of the day (UTC) of an instant.
CREATE FUNCTION upc._day_of(at timestamptz)
RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN date_bin('24 hours', _day_of.at, '2000-01-01 00:00+00'::timestamptz);
COMMENT ON FUNCTION upc._day_of IS 'beginning of the day (UTC) of an instant';


-- Beginning of the minute of an instant.
CREATE FUNCTION upc._minute_of(at timestamptz)
RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN date_bin('1 minute', _minute_of.at, '2000-01-01 00:00+00'::timestamptz);
COMMENT ON FUNCTION upc._minute_of IS 'beginning of the minute of an instant';


-- Name of the partition of a day. to_char would go by the session's time zone.
CREATE FUNCTION upc._day_name(log text, day timestamptz)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN _day_name.log || '_' || to_char(_day_name.day AT TIME ZONE 'UTC', 'YYYYMMDD');
COMMENT ON FUNCTION upc._day_name IS 'name of the partition of a day, e.g. price_20260601';


-- Partitions of a log by their names: price_20260601 is a day, price_to_20260601 a span from the
-- beginning of time, price_from_20260520_to_20260601 a span, price_default what has no other.
--
-- Returns a row per partition; since and until are NULL for the default one.
CREATE FUNCTION upc._log_partitions(log text)
RETURNS TABLE (name text, is_day boolean, since timestamptz, until timestamptz)
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT
        c.relname::text,
        n.day IS NOT NULL,
        CASE
            WHEN n.day IS NOT NULL THEN to_date(n.day, 'YYYYMMDD')::timestamp AT TIME ZONE 'UTC'
            WHEN n.last IS NULL THEN NULL
            ELSE coalesce(
                to_date(n.first, 'YYYYMMDD')::timestamp AT TIME ZONE 'UTC', '-infinity'
            )
        END,
        CASE
            WHEN n.day IS NOT NULL THEN
                (to_date(n.day, 'YYYYMMDD') + 1)::timestamp AT TIME ZONE 'UTC'
            ELSE to_date(n.last, 'YYYYMMDD')::timestamp AT TIME ZONE 'UTC'
        END
    FROM pg_inherits AS i
    JOIN pg_class AS c ON c.oid = i.inhrelid
    CROSS JOIN LATERAL (
        SELECT
            substring(c.relname FROM '^' || _log_partitions.log || '_([0-9]{8})$') AS day,
            substring(c.relname FROM '^' || _log_partitions.log || '_from_([0-9]{8})_to_') AS first,
            substring(
                c.relname FROM
                '^' || _log_partitions.log || '_(?:from_[0-9]{8}_)?to_([0-9]{8})$'
            ) AS last
    ) AS n
    WHERE i.inhparent = to_regclass('upc_data.' || _log_partitions.log)
      AND (n.day IS NOT NULL OR n.last IS NOT NULL OR c.relname = _log_partitions.log || '_default');
END;
COMMENT ON FUNCTION upc._log_partitions IS
    'the partitions of a log with their spans of time; the default one without';


-- An empty table like a log, with its comments and the rights on it: a partition to be.
CREATE FUNCTION upc._make_like(log text, name text, comment text)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $fn$
DECLARE
    v_right record;
BEGIN
    EXECUTE format(
        'CREATE TABLE upc_data.%I (LIKE upc_data.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS'
        ' INCLUDING COMMENTS INCLUDING STORAGE)',
        name, log
    );
    EXECUTE format('COMMENT ON TABLE upc_data.%I IS %L', name, comment);
    FOR v_right IN
        SELECT
            e.privilege_type AS privilege,
            CASE e.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(e.grantee)) END
                AS grantee
        FROM pg_class AS c
        CROSS JOIN LATERAL aclexplode(c.relacl) AS e
        WHERE c.oid = to_regclass('upc_data.' || log) AND e.grantee <> c.relowner
    LOOP
        EXECUTE format(
            'GRANT %s ON upc_data.%I TO %s', v_right.privilege, name, v_right.grantee
        );
    END LOOP;
END
$fn$;
COMMENT ON FUNCTION upc._make_like IS
    'makes an empty table like a log, with its comments and the rights on it';


-- Make the partition of a day, with the rows of it that the default one has taken so far.
--
-- day: its beginning. Returns false where it is there already.
-- Errors: 55P03 where somebody keeps the default partition locked.
CREATE FUNCTION upc._make_day(log text, day timestamptz)
RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $fn$
DECLARE
    v_name text := upc._day_name(log, day);
    v_column text;
BEGIN
    IF to_regclass('upc_data.' || v_name) IS NOT NULL THEN
        RETURN false;
    END IF;
    -- One at a time; rows come and go meanwhile. Those of a day that has begun wait: a row that is on its
    -- way to the default partition as the day gets one of its own would be refused. Readers wait, too: who
    -- knows the default partition alone would not find what has moved out of it.
    EXECUTE format(
        'LOCK TABLE upc_data.%I IN %s MODE', log,
        CASE
            WHEN day < clock_timestamp() + interval '1 hour' THEN 'ACCESS EXCLUSIVE'
            ELSE 'SHARE UPDATE EXCLUSIVE'
        END
    );
    IF to_regclass('upc_data.' || v_name) IS NOT NULL THEN
        RETURN false;
    END IF;
    SELECT l.at_column INTO STRICT v_column FROM upc._daily_logs() AS l WHERE l.log = _make_day.log;

    PERFORM upc._make_like(log, v_name, 'a day of upc_data.' || log);
    EXECUTE format('LOCK TABLE upc_data.%I IN ACCESS EXCLUSIVE MODE', log || '_default');
    EXECUTE format(
        'WITH moved AS (DELETE FROM upc_data.%I AS d WHERE d.%I >= $1 AND d.%I < $2 RETURNING d.*)'
        ' INSERT INTO upc_data.%I SELECT m.* FROM moved AS m',
        log || '_default', v_column, v_column, v_name
    ) USING day, day + interval '24 hours';
    EXECUTE format(
        'ALTER TABLE upc_data.%I ATTACH PARTITION upc_data.%I FOR VALUES FROM (%L) TO (%L)',
        log, v_name, day, day + interval '24 hours'
    );
    RETURN true;
END
$fn$;
COMMENT ON FUNCTION upc._make_day IS
    'makes the partition of a day of a log, with the rows that the default partition has of it; false where it is there';


-- Bytes up to which rows are moved out of a default partition, and it is looked through, at once.
CREATE FUNCTION upc._default_bytes()
RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 8 * 1024 * 1024;
COMMENT ON FUNCTION upc._default_bytes IS
    'bytes of a default partition from which on it is set aside as a whole, instead of moving its rows';


-- Set a default partition aside that has grown large: it becomes that of a span of time up to a
-- midnight to come, and a new one takes its place. A step a call, each to be committed by itself, so
-- that no lock that stops others is held while rows are read:
--
-- 1. a check that no row is of a later time, which holds for new rows;
-- 2. rows of other times are moved to the new default partition, and the check is proven;
-- 3. the two change places, which the check makes a matter of the catalogue.
--
-- since: the span's beginning, -infinity for that of time. Returns true for a step.
-- Errors: 55P03 where somebody keeps a lock.
CREATE FUNCTION upc._set_aside(log text, since timestamptz, at timestamptz)
RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $fn$
DECLARE
    v_default text := log || '_default';
    v_next text := log || '_next';
    -- A day and more ahead: until the steps are over rows of a later time would be refused.
    v_until timestamptz := upc._day_of(at + interval '25 hours') + interval '24 hours';
    v_name text := concat_ws(
        '_', log,
        CASE WHEN since > '-infinity' THEN 'from_' || to_char(since AT TIME ZONE 'UTC', 'YYYYMMDD') END,
        'to_' || to_char(v_until AT TIME ZONE 'UTC', 'YYYYMMDD')
    );
    v_column text;
    v_check record;
BEGIN
    EXECUTE format('LOCK TABLE upc_data.%I IN SHARE UPDATE EXCLUSIVE MODE', log);
    SELECT l.at_column INTO STRICT v_column FROM upc._daily_logs() AS l WHERE l.log = _set_aside.log;
    SELECT k.conname AS name, k.convalidated AS is_proven
    INTO v_check
    FROM pg_constraint AS k
    WHERE k.conrelid = to_regclass('upc_data.' || v_default)
      AND k.conname ~ ('^' || log || '_(from_[0-9]{8}_)?to_[0-9]{8}_check$');

    IF FOUND AND v_check.name <> v_name || '_check' THEN
        -- Steps of another day, which were not gone to their end.
        EXECUTE format('ALTER TABLE upc_data.%I DROP CONSTRAINT %I', v_default, v_check.name);
        EXECUTE format('INSERT INTO upc_data.%I SELECT n.* FROM upc_data.%I AS n', log, v_next);
        EXECUTE format('DROP TABLE upc_data.%I', v_next);
    ELSIF NOT FOUND THEN
        PERFORM upc._make_like(
            log, v_next, format('rows of upc_data.%s of days without a partition', log)
        );
        EXECUTE format(
            'ALTER TABLE upc_data.%I ADD CONSTRAINT %I CHECK (%I >= %L AND %I < %L) NOT VALID',
            v_default, v_name || '_check', v_column, since, v_column, v_until
        );
    ELSIF NOT v_check.is_proven THEN
        EXECUTE format(
            'WITH moved AS (DELETE FROM upc_data.%I AS d WHERE d.%I < $1 OR d.%I >= $2 RETURNING d.*)'
            ' INSERT INTO upc_data.%I SELECT m.* FROM moved AS m',
            v_default, v_column, v_column, v_next
        ) USING since, v_until;
        EXECUTE format('ALTER TABLE upc_data.%I VALIDATE CONSTRAINT %I', v_default, v_check.name);
    ELSE
        EXECUTE format('LOCK TABLE upc_data.%I IN ACCESS EXCLUSIVE MODE', log);
        EXECUTE format('ALTER TABLE upc_data.%I DETACH PARTITION upc_data.%I', log, v_default);
        EXECUTE format('ALTER TABLE upc_data.%I RENAME TO %I', v_default, v_name);
        EXECUTE format(
            'ALTER TABLE upc_data.%I ATTACH PARTITION upc_data.%I FOR VALUES FROM (%s) TO (%L)',
            log, v_name, CASE WHEN since > '-infinity' THEN quote_literal(since) ELSE 'MINVALUE' END,
            v_until
        );
        EXECUTE format('ALTER TABLE upc_data.%I DROP CONSTRAINT %I', v_name, v_check.name);
        EXECUTE format(
            'COMMENT ON TABLE upc_data.%I IS %L', v_name,
            format('rows of upc_data.%s from before it had partitions of days', log)
        );
        EXECUTE format('ALTER TABLE upc_data.%I RENAME TO %I', v_next, v_default);
        EXECUTE format('ALTER TABLE upc_data.%I ATTACH PARTITION upc_data.%I DEFAULT', log, v_default);
    END IF;
    RETURN true;
END
$fn$;
COMMENT ON FUNCTION upc._set_aside IS
    'one step of making a default partition that has grown large that of a span of time; true for a step';


-- Make the partitions of today and the days ahead of a log, or set its default partition aside.
-- Returns what was done: partitions made, or steps.
CREATE FUNCTION upc._prepare_log(log text, ahead integer, at timestamptz)
RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $fn$
DECLARE
    v_today timestamptz := upc._day_of(at);
    v_day timestamptz;
    v_made integer := 0;
BEGIN
    IF to_regclass('upc_data.' || log || '_next') IS NOT NULL
        OR pg_relation_size(to_regclass('upc_data.' || log || '_default')) > upc._default_bytes()
        AND NOT EXISTS (
            SELECT FROM upc._log_partitions(log) AS p
            WHERE p.until > at AND p.since <= at + interval '3 days'
        )
    THEN
        RETURN upc._set_aside(
            log,
            coalesce(
                (SELECT max(p.until) FROM upc._log_partitions(log) AS p WHERE p.until <= at),
                '-infinity'
            ),
            at
        )::integer;
    END IF;

    FOR v_day IN
        SELECT v_today + g.days * interval '24 hours' FROM generate_series(0, ahead) AS g (days)
    LOOP
        IF NOT EXISTS (
            SELECT FROM upc._log_partitions(log) AS p WHERE p.since <= v_day AND v_day < p.until
        ) THEN
            v_made := v_made + upc._make_day(log, v_day)::integer;
        END IF;
    END LOOP;
    RETURN v_made;
END
$fn$;
COMMENT ON FUNCTION upc._prepare_log IS
    'makes the partitions of today and the days ahead of a log, or goes a step towards it; returns how much was done';


-- Make the partitions of today and of some days ahead for the logs of prices, ticks and contracts. Processes that
-- tick or feed call it every minute; several at once do no harm. Without it rows are kept all the same,
-- in the default partitions. It waits for nobody's lock for more than a tenth of a second.
--
-- ahead: how many days. at: the clock.
-- Returns how much was done; 0 where there is nothing left to do.
-- Errors: 22023 for days below 0 or above 30.
--
-- Example:
--   SELECT make_partitions(ahead => 1) >= 0 AS is_made;
CREATE FUNCTION upc.make_partitions(
    ahead integer DEFAULT 2,
    at timestamptz DEFAULT clock_timestamp()
)
RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '100ms'
AS $fn$
DECLARE
    v_log text;
    v_made integer := 0;
BEGIN
    IF NOT coalesce(ahead BETWEEN 0 AND 30 AND isfinite(at), false) THEN
        RAISE EXCEPTION 'no partitions of % days ahead of %', coalesce(ahead::text, 'NULL'), at
            USING
                ERRCODE = 'invalid_parameter_value',
                DETAIL = 'Partitions are made for today and up to 30 days ahead.',
                HINT = 'upc.make_partitions(ahead => 2)';
    END IF;
    FOREACH v_log IN ARRAY '{price,tick,contract_log}'::text[] LOOP
        BEGIN
            v_made := v_made + upc._prepare_log(v_log, ahead, at);
        EXCEPTION
            -- Somebody holds a lock for longer, or makes the same ones. There is time enough.
            WHEN lock_not_available OR deadlock_detected THEN
                NULL;
        END;
    END LOOP;
    RETURN v_made;
END
$fn$;
COMMENT ON FUNCTION upc.make_partitions IS
    'makes the partitions of today and of some days ahead for the logs of prices, ticks and contracts; returns how much was done, 0 where nothing was left to do';

-- Retention: rows older than they are kept for are deleted, a batch at a time.

CREATE FUNCTION upc._retention_start(name text, at timestamptz)
RETURNS timestamptz
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
AS $fn$
DECLARE
    v_kept text := upc.setting(name);
BEGIN
    -- Before PostgreSQL 17 no interval is endless.
    IF lower(v_kept) = 'infinity' THEN
        RETURN '-infinity'::timestamptz;
    END IF;
    BEGIN
        IF v_kept::interval >= '2 days' THEN
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
            HINT = format('Set upc.%s to ''2 days'' or more, or to ''infinity''.', name);
END
$fn$;
COMMENT ON FUNCTION upc._retention_start IS
    'instant since which rows are kept, by the setting of that name; raises 22023 for less than two days, or no time at all';


-- Delete prices, ticks and announcements that are older than they are kept for: the settings
-- upc.keep_prices (30 days) and upc.keep_ticks (90 days, of announcements too); infinity keeps all.
--
-- batch: how many rows at most of each symbol and table, oldest first. at: the clock.
-- Returns one row: how many were deleted. Where it is less than a batch, nothing is left to delete.
-- Errors: 22023 for a setting below two days, or that is no time.
--
-- Example:
--   SELECT prices, ticks, announcements FROM delete_expired();
CREATE FUNCTION upc.delete_expired(
    batch integer DEFAULT 5000,
    at timestamptz DEFAULT clock_timestamp(),
    OUT prices bigint,
    OUT ticks bigint,
    OUT announcements bigint
)
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_prices_since timestamptz := upc._retention_start('keep_prices', at);
    v_ticks_since timestamptz := upc._retention_start('keep_ticks', at);
    v_symbol text;
    v_count bigint;
BEGIN
    prices := 0;
    ticks := 0;
    announcements := 0;
    FOR v_symbol IN SELECT s.symbol FROM upc_data.symbol AS s ORDER BY s.symbol LOOP
        DELETE FROM upc_data.price AS p
        WHERE p.ctid IN (
            SELECT o.ctid
            FROM upc_data.price AS o
            WHERE o.symbol = v_symbol AND o.received_at < v_prices_since
            ORDER BY o.received_at
            LIMIT batch
            FOR UPDATE SKIP LOCKED
        );
        GET DIAGNOSTICS v_count = ROW_COUNT;
        prices := prices + v_count;

        DELETE FROM upc_data.tick AS t
        WHERE t.ctid IN (
            SELECT o.ctid
            FROM upc_data.tick AS o
            WHERE o.symbol = v_symbol AND o.ticked_at < v_ticks_since
            ORDER BY o.ticked_at
            LIMIT batch
            FOR UPDATE SKIP LOCKED
        );
        GET DIAGNOSTICS v_count = ROW_COUNT;
        ticks := ticks + v_count;

        -- Announcements that a subscriber has still to pass on stay.
        DELETE FROM upc_data.announcement AS a
        WHERE a.ctid IN (
            SELECT o.ctid
            FROM upc_data.announcement AS o
            WHERE o.symbol = v_symbol
              AND o.announced_at < v_ticks_since
              AND NOT EXISTS (
                  SELECT FROM upc_data.announcement_cursor AS c
                  WHERE c.symbol = o.symbol AND c.announcement_id < o.announcement_id
                    AND c.moved_at > v_ticks_since
              )
            ORDER BY o.announced_at
            LIMIT batch
            FOR UPDATE SKIP LOCKED
        );
        GET DIAGNOSTICS v_count = ROW_COUNT;
        announcements := announcements + v_count;
    END LOOP;
END
$fn$;
COMMENT ON FUNCTION upc.delete_expired IS
    'deletes a batch of prices, ticks and announcements that are older than they are kept for';

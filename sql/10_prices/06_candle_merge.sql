-- Merging the staged lines of candle files into the stored candles.

-- Let one load of a symbol merge at a time, until the transaction ends.
--
-- is_patient: false does not wait.
-- Returns false if another load is at it.
--
-- Example:
--   SELECT upc.lock_candle_load('BTC', is_patient => false);
CREATE FUNCTION upc.lock_candle_load(symbol text, is_patient boolean DEFAULT true)
RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET lock_timeout = 0
AS $fn$
DECLARE
    v_key bigint := hashtextextended('upc_data.candle ' || lock_candle_load.symbol, 0);
BEGIN
    IF NOT lock_candle_load.is_patient THEN
        RETURN pg_try_advisory_xact_lock(v_key);
    END IF;
    PERFORM pg_advisory_xact_lock(v_key);
    RETURN true;
END
$fn$;
COMMENT ON FUNCTION upc.lock_candle_load IS
    'lets one load of a symbol merge at a time, until the transaction ends';


-- Count into pg_temp.candle_load what becomes of the staged lines, by file and in all.
CREATE FUNCTION upc._count_candle_lines(symbol text)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $fn$
BEGIN
    INSERT INTO pg_temp.candle_load (
        file, added, changed, unchanged, rejected, first_at, last_at
    )
    SELECT
        line.file,
        count(*) FILTER (WHERE line.is_new),
        count(*) FILTER (WHERE line.is_changed),
        count(*) FILTER (WHERE NOT (line.is_rejected OR line.is_new OR line.is_changed)),
        count(*) FILTER (WHERE line.is_rejected),
        min(line.opened_at) FILTER (WHERE NOT line.is_rejected),
        max(line.opened_at) FILTER (WHERE NOT line.is_rejected)
    FROM (
        SELECT
            l.file,
            l.opened_at,
            l.is_rejected,
            NOT (l.is_rejected OR l.is_repeated) AND c.symbol IS NULL AS is_new,
            NOT (l.is_rejected OR l.is_repeated) AND c.symbol IS NOT NULL
                AND (c.open, c.high, c.low, c.close, c.volume) IS DISTINCT FROM
                    (l.open_price, l.high_price, l.low_price, l.close_price, l.amount)
                AS is_changed
        FROM pg_temp.candle_line AS l
        LEFT JOIN upc_data.candle AS c
            ON c.symbol = _count_candle_lines.symbol AND c.opened_at = l.opened_at
    ) AS line
    GROUP BY GROUPING SETS ((line.file), ());
END
$fn$;
COMMENT ON FUNCTION upc._count_candle_lines IS
    'counts into pg_temp.candle_load what becomes of the staged lines, by file and in all';


-- Store the staged lines that are new or differ from what is stored, and note their days.
CREATE FUNCTION upc._store_candle_lines(symbol text)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $fn$
DECLARE
    v_known_at timestamptz := (
        SELECT s.known_at FROM upc_data.volatility_state AS s
        WHERE s.symbol = _store_candle_lines.symbol
    );
    v_half_hours timestamptz[];
    v_newest timestamptz;
BEGIN
    WITH stored AS (
        -- Equal candles are not written again: each write makes a day's counts out of date.
        INSERT INTO upc_data.candle AS c (symbol, opened_at, open, high, low, close, volume)
        SELECT
            _store_candle_lines.symbol,
            l.opened_at,
            l.open_price,
            l.high_price,
            l.low_price,
            l.close_price,
            -- A line's -0 is stored with the bits of 0.
            l.amount + 0
        FROM pg_temp.candle_line AS l
        LEFT JOIN upc_data.candle AS known
            ON known.symbol = _store_candle_lines.symbol AND known.opened_at = l.opened_at
        WHERE NOT (l.is_rejected OR l.is_repeated)
            AND (known.open, known.high, known.low, known.close, known.volume)
                IS DISTINCT FROM
                (l.open_price, l.high_price, l.low_price, l.close_price, l.amount)
        -- Two writers that take the rows in one order cannot block each other in a circle.
        ORDER BY l.opened_at
        -- A feed, which takes no part in the lock, may have been faster.
        ON CONFLICT ON CONSTRAINT candle_symbol_opened_at_pkey DO UPDATE
        SET open = excluded.open,
            high = excluded.high,
            low = excluded.low,
            close = excluded.close,
            volume = excluded.volume
        WHERE (c.open, c.high, c.low, c.close, c.volume) IS DISTINCT FROM
            (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume)
        RETURNING c.opened_at
    )
    SELECT array_agg(h.half_hour), max(h.newest)
    INTO v_half_hours, v_newest
    FROM (
        SELECT
            date_bin('30 minutes', s.opened_at, '2000-01-01 00:00:00+00') AS half_hour,
            max(s.opened_at) FILTER (WHERE s.opened_at < v_known_at) AS newest
        FROM stored AS s
        GROUP BY 1
    ) AS h;

    IF v_half_hours IS NOT NULL THEN
        PERFORM upc._note_half_hours(symbol, v_half_hours);
        PERFORM upc._forget_forecast(symbol, v_newest, v_known_at);
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._store_candle_lines IS
    'stores the staged lines that are new or differ from what is stored, and notes their days';


-- Write the staged lines that are new or differ from what is stored.
--
-- Returns the outcome of the lines of each file; the row without a file is the sum. unchanged counts
-- repeated lines too. gaps and missing_minutes are those of upc.candle_gaps between the first candle
-- and the last, after the merge.
--
-- Example:
--   SELECT upc.begin_candle_load('BTC'); SELECT added FROM upc.merge_candle_lines('BTC');
CREATE FUNCTION upc.merge_candle_lines(symbol text)
RETURNS TABLE (
    file integer,
    added bigint,
    changed bigint,
    unchanged bigint,
    rejected bigint,
    gaps bigint,
    missing_minutes bigint,
    first_at timestamptz,
    last_at timestamptz
)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET work_mem = '64MB'
SET jit = off
AS $fn$
BEGIN
    PERFORM upc.lock_candle_load(merge_candle_lines.symbol);

    PERFORM upc._count_candle_lines(merge_candle_lines.symbol);
    PERFORM upc._store_candle_lines(merge_candle_lines.symbol);

    RETURN QUERY
    WITH gap AS MATERIALIZED (
        SELECT g.previous_at, g.next_at, g.missing_minutes
        FROM pg_temp.candle_load AS whole
        CROSS JOIN LATERAL upc.candle_gaps(
            merge_candle_lines.symbol, whole.first_at, whole.last_at
        ) AS g
        WHERE whole.file IS NULL
    )
    SELECT
        load.file,
        load.added,
        load.changed,
        load.unchanged,
        load.rejected,
        found.gaps,
        found.missing_minutes,
        load.first_at,
        load.last_at
    FROM pg_temp.candle_load AS load
    CROSS JOIN LATERAL (
        SELECT
            count(*) AS gaps,
            coalesce(sum(gap.missing_minutes), 0)::bigint AS missing_minutes
        FROM gap
        WHERE gap.next_at >= load.first_at AND gap.previous_at <= load.last_at
    ) AS found
    ORDER BY load.file;
END
$fn$;
COMMENT ON FUNCTION upc.merge_candle_lines IS
    'writes the staged lines that are new or differ; returns the outcome of the lines of each file';

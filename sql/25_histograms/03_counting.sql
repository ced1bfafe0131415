-- Counting: pairs per momentum bucket, horizon and size of the move.

CREATE FUNCTION upc._count_cells(
    windows double precision[],
    starts integer[],
    horizons integer[] DEFAULT NULL
)
RETURNS TABLE (cell integer, pairs integer)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET work_mem = '128MB'
AS $fn$
DECLARE
    v_scale double precision := 10.0 ^ upc._price_decimals(_count_cells.windows);
    v_closes double precision[];
    v_bins double precision[];
BEGIN
    IF v_scale IS NULL THEN
        RETURN QUERY
        WITH start AS MATERIALIZED (
            SELECT s.i, s.slot * 8192 AS slot, _count_cells.windows[s.i]::numeric AS price
            FROM upc._momentum_slots(_count_cells.windows, _count_cells.starts) AS s
        )
        SELECT
            start.slot + t * 128
                + upc._move_bin(start.price, _count_cells.windows[start.i + t]::numeric),
            count(*)::integer
        FROM unnest(coalesce(_count_cells.horizons, upc._all_horizons())) AS t
        CROSS JOIN start
        GROUP BY 1;
        RETURN;
    END IF;

    SELECT array_agg(round(w.close * v_scale) ORDER BY w.i)
    INTO v_closes
    FROM unnest(_count_cells.windows) WITH ORDINALITY AS w (close, i);

    SELECT upc._move_bins(max(c))
    INTO v_bins
    FROM unnest(v_closes) AS c
    WHERE c <> 'NaN';

    -- Sorted by slot and with the minutes as the outer loop, a hundred or so counters are in use
    -- at a time, and they stay in the processor's cache. The subselect hands width_bucket a flat
    -- array: a variable's own form would be unpacked for every pair.
    RETURN QUERY
    WITH start AS MATERIALIZED (
        SELECT s.i, s.slot * 8192 AS slot, 2000 / v_closes[s.i] AS per_price
        FROM upc._momentum_slots(_count_cells.windows, _count_cells.starts) AS s
        ORDER BY s.slot, s.i
    )
    SELECT
        start.slot + t.cell
            + width_bucket(v_closes[start.i + t.minutes] * start.per_price, (SELECT v_bins)),
        count(*)::integer
    FROM (
        SELECT m AS minutes, m * 128 AS cell
        FROM unnest(coalesce(_count_cells.horizons, upc._all_horizons())) AS m
        OFFSET 0
    ) AS t
    CROSS JOIN start
    GROUP BY 1;
END
$fn$;
COMMENT ON FUNCTION upc._count_cells IS
    'how many pairs fall into each cell, slot × 8192 + minutes × 128 + bin, for starting minutes given by their places in an array of windows; horizons: of how many minutes, 1 to 60 if NULL';


CREATE FUNCTION upc._cumulate_cells(cells integer[], counts integer[])
RETURNS TABLE (
    bucket smallint,
    minutes smallint,
    pairs integer,
    positive integer[],
    negative integer[]
)
LANGUAGE sql STABLE PARALLEL SAFE
SET work_mem = '128MB'
BEGIN ATOMIC
    WITH cell AS MATERIALIZED (
        SELECT c.cell, c.pairs
        FROM unnest(_cumulate_cells.cells, _cumulate_cells.counts) AS c (cell, pairs)
        WHERE c.cell & 127 < 121
    ),
    -- Slot 62 is the baseline: all starting minutes, with momentum or without.
    slot_cell AS (
        SELECT c.cell, c.pairs FROM cell AS c WHERE c.cell < 61 * 8192
        UNION ALL
        SELECT 62 * 8192 + (c.cell & 8191), sum(c.pairs)::integer
        FROM cell AS c
        GROUP BY c.cell & 8191
    ),
    located AS (
        SELECT c.cell >> 7 AS curve, c.cell & 127 AS bin, c.pairs FROM slot_cell AS c
    ),
    running AS (
        SELECT
            l.curve,
            l.bin,
            sum(l.pairs) OVER (
                PARTITION BY l.curve ORDER BY l.bin ROWS UNBOUNDED PRECEDING
            )::integer AS pairs
        FROM located AS l
    ),
    -- The bins that occur, and how many pairs lie in them and in all lower ones. width_bucket
    -- finds the last of them up to a given bin; element 1 answers where there is none.
    curve AS (
        SELECT
            r.curve,
            array_agg(r.bin ORDER BY r.bin) AS bins,
            0 || array_agg(r.pairs ORDER BY r.bin) AS up_to,
            max(r.pairs) AS pairs
        FROM running AS r
        GROUP BY r.curve
    )
    SELECT
        (CASE WHEN c.curve >> 6 = 62 THEN upc._baseline() ELSE (c.curve >> 6) - 30 END)::smallint,
        (c.curve & 63)::smallint,
        c.pairs,
        ARRAY(
            SELECT c.pairs - c.up_to[1 + width_bucket(CASE WHEN k = 0 THEN 59 ELSE 60 + k END, c.bins)]
            FROM generate_series(0, 59) AS k
        ),
        ARRAY(
            SELECT c.up_to[1 + width_bucket(CASE WHEN k = 0 THEN 60 ELSE 59 - k END, c.bins)]
            FROM generate_series(0, 59) AS k
        )
    FROM curve AS c;
END;
COMMENT ON FUNCTION upc._cumulate_cells IS
    'per momentum bucket (99: baseline) and distance of 1 to 60 minutes: the pairs in some cells, and how many of them lie at or beyond each of 60 thresholds, upward and downward';


CREATE FUNCTION upc._count_moves(
    windows double precision[],
    starts integer[],
    horizons integer[] DEFAULT NULL
)
RETURNS TABLE (
    bucket smallint,
    minutes smallint,
    pairs integer,
    positive integer[],
    negative integer[]
)
LANGUAGE sql STABLE PARALLEL SAFE
SET work_mem = '128MB'
BEGIN ATOMIC
    SELECT m.bucket, m.minutes, m.pairs, m.positive, m.negative
    FROM (
        SELECT array_agg(c.cell) AS cells, array_agg(c.pairs) AS counts
        FROM upc._count_cells(
            _count_moves.windows, _count_moves.starts, _count_moves.horizons
        ) AS c
    ) AS all_cells
    CROSS JOIN LATERAL upc._cumulate_cells(all_cells.cells, all_cells.counts) AS m;
END;
COMMENT ON FUNCTION upc._count_moves IS
    'per momentum bucket (99: baseline) and distance of 1 to 60 minutes: the pairs, and how many of them moved by at least +0.05 (k - 1) % and by at most -0.05 (k - 1) %';


-- Element by element in one expression: a tenth of the time that unnesting takes, and a day's build
-- adds seven thousand of these arrays.
DO $do$
BEGIN
    EXECUTE format(
        $sql$
        CREATE FUNCTION upc._add_counts(counts integer[], others integer[], sign integer)
        RETURNS integer[]
        LANGUAGE sql IMMUTABLE PARALLEL SAFE
        RETURN ARRAY[%s]
        $sql$,
        (
            SELECT string_agg(
                format('_add_counts.counts[%1$s] + _add_counts.sign * _add_counts.others[%1$s]', k),
                ', ' ORDER BY k
            )
            FROM generate_series(1, 60) AS k
        )
    );
END
$do$;
COMMENT ON FUNCTION upc._add_counts IS
    'element by element, counts + sign × others, for arrays of 60';

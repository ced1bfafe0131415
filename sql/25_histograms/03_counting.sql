-- Counting: pairs per momentum bucket, horizon and size of the move.
--
-- A starting minute is a row, its 60 pairs are columns, and each column is a sum of packed counters: a
-- numeric of 121 counters, eight decimal digits each, that a pair adds 1 to some of. Adding one up
-- touches only these; counting pairs as rows, in a hash table, takes more than twice as long.
--
-- Counter 60 has all pairs, 61 + k those of at least the k-th threshold upward, 59 - k those of at
-- least the k-th downward.
--
-- Days that are added and days that are taken out are counted in one pass: starting minutes from the place
-- removed_from on in the array of windows are taken out.

CREATE FUNCTION upc._bin_counters()
RETURNS numeric[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_counters numeric[];
BEGIN
    v_counters[61] := '1e480'::numeric + '1e488'::numeric;
    v_counters[60] := v_counters[61] + '1e472'::numeric;
    v_counters[59] := '1e480'::numeric + '1e472'::numeric;
    FOR k IN 1..59 LOOP
        v_counters[61 + k] := v_counters[60 + k] + ('1e' || 8 * (61 + k))::numeric;
        v_counters[59 - k] := v_counters[60 - k] + ('1e' || 8 * (59 - k))::numeric;
    END LOOP;
    FOR k IN 0..120 LOOP
        v_counters[128 + k] := -v_counters[k];
    END LOOP;
    RETURN v_counters;
END
$fn$;
COMMENT ON FUNCTION upc._bin_counters IS
    'what a pair of bin 0 to 120 adds to packed counters; its subscripts are the bins, and 128 more where the pair is taken out';


CREATE FUNCTION upc._packed(counters numeric)
RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- A digit above and one below all counters, so that each has its place; and 50,000,000 in each
-- counter, since more may be taken out than added.
RETURN numeric_send(
    _packed.counters + ('1e968'::numeric + repeat('50000000', 121)::numeric + 0.0001)
);
COMMENT ON FUNCTION upc._packed IS 'packed counters in the form that upc._unpacked reads';


CREATE FUNCTION upc._unpacked(place integer)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- A numeric is sent as digits to the base of 10,000, two bytes each, the highest first.
RETURN format(
    'get_byte(p.packed, %s) * 2560000 + get_byte(p.packed, %s) * 10000'
    ' + get_byte(p.packed, %s) * 256 + get_byte(p.packed, %s) - 50000000',
    490 - 4 * _unpacked.place,
    491 - 4 * _unpacked.place,
    492 - 4 * _unpacked.place,
    493 - 4 * _unpacked.place
);
COMMENT ON FUNCTION upc._unpacked IS 'an expression that reads one of the packed counters of p, by its number';


CREATE FUNCTION upc._curves_of_totals(columns text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN format(
    $sql$
    curve AS (
        SELECT t.slot, m.kind, m.minutes, m.counters
        FROM total AS t
        CROSS JOIN LATERAL (VALUES %1$s) AS m (kind, minutes, counters)
        WHERE m.counters <> 0
    ),
    -- Slot 61 is a minute without momentum; the baseline is all starting minutes, with and without.
    packed AS (
        SELECT c.kind, c.slot - 30 AS bucket, c.minutes, upc._packed(c.counters) AS packed
        FROM curve AS c
        WHERE c.slot < 61
        UNION ALL
        SELECT c.kind, upc._baseline(), c.minutes, upc._packed(sum(c.counters))
        FROM curve AS c
        GROUP BY c.kind, c.minutes
        HAVING sum(c.counters) <> 0
    )
    SELECT
        p.kind,
        p.bucket::smallint,
        p.minutes::smallint,
        %2$s,
        ARRAY[%3$s],
        ARRAY[%4$s]
    FROM packed AS p
    $sql$,
    _curves_of_totals.columns,
    upc._unpacked(60),
    (SELECT string_agg(upc._unpacked(61 + k), ', ' ORDER BY k) FROM generate_series(0, 59) AS k),
    (SELECT string_agg(upc._unpacked(59 - k), ', ' ORDER BY k) FROM generate_series(0, 59) AS k)
);
COMMENT ON FUNCTION upc._curves_of_totals IS
    'part of a query that counts: kind, bucket (99: baseline), minutes, pairs, and how many of them lie at or beyond each threshold, upward and downward, from total, with the kind, the minutes and the name of each of its columns of packed counters';


CREATE FUNCTION upc._asked_minutes()
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN upc._per_horizon(
    'CASE WHEN horizons IS NULL OR %1$s = ANY (horizons) THEN %1$s END AS t%1$s'
);
COMMENT ON FUNCTION upc._asked_minutes IS
    'columns of the one row h of a query that counts: the numbers of minutes, NULL where they are not asked for';


CREATE FUNCTION upc._plain_totals(later text DEFAULT 'h.t%1$s')
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- The subselect hands width_bucket a flat array: a variable's own form would be unpacked for every
-- pair. Counters are the other way round: elements of a flat array have to be searched for.
RETURN upc._per_horizon(
    replace(
        'sum(v_counters[s.sign + width_bucket(v_prices[s.i + later] * s.per_price, (SELECT v_move_bins))])'
        ' AS n%1$s',
        'later', _plain_totals.later
    )
);
COMMENT ON FUNCTION upc._plain_totals IS
    'columns of a query that counts: packed counters of plain moves; later: the number of minutes, as part of a template for upc._per_horizon';


CREATE FUNCTION upc._whole_prices(closes double precision[], scale double precision)
RETURNS double precision[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY(
    SELECT round(w.close * _whole_prices.scale)
    FROM unnest(_whole_prices.closes) WITH ORDINALITY AS w (close, i)
    ORDER BY w.i
);
COMMENT ON FUNCTION upc._whole_prices IS 'closes as whole numbers of a unit; scale: units in a dollar';


CREATE FUNCTION upc._count_cells(
    windows double precision[],
    starts integer[],
    horizons integer[] DEFAULT NULL
)
RETURNS TABLE (cell integer, pairs integer)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET work_mem = '128MB'
AS $fn$
BEGIN
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
END
$fn$;
COMMENT ON FUNCTION upc._count_cells IS
    'how many pairs fall into each cell, slot × 8192 + minutes × 128 + bin, in exact decimal arithmetic, for prices with too many digits for the fast way: starting minutes given by their places in an array of windows; horizons: of how many minutes, 1 to 60 if NULL';


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
            (array_agg(r.pairs ORDER BY r.bin DESC))[1] AS pairs
        FROM running AS r
        GROUP BY r.curve
        HAVING bool_or(r.pairs <> 0)
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


CREATE FUNCTION upc._count_exactly(
    windows double precision[],
    starts integer[],
    horizons integer[],
    removed_from integer
)
RETURNS TABLE (
    bucket smallint,
    minutes smallint,
    pairs integer,
    positive integer[],
    negative integer[]
)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 3720
AS $fn$
DECLARE
    v_added integer[] := ARRAY(
        SELECT s FROM unnest(starts) AS s WHERE (s >= removed_from) IS NOT TRUE
    );
    v_removed integer[] := ARRAY(SELECT s FROM unnest(starts) AS s WHERE s >= removed_from);
BEGIN
    RETURN QUERY
    SELECT m.bucket, m.minutes, m.pairs, m.positive, m.negative
    FROM (
        SELECT array_agg(c.cell) AS cells, array_agg(c.pairs) AS counts
        FROM (
            SELECT s.cell, sum(s.pairs)::integer AS pairs
            FROM (
                SELECT a.cell, a.pairs FROM upc._count_cells(windows, v_added, horizons) AS a
                UNION ALL
                SELECT r.cell, -r.pairs FROM upc._count_cells(windows, v_removed, horizons) AS r
            ) AS s
            GROUP BY s.cell
        ) AS c
    ) AS all_cells
    CROSS JOIN LATERAL upc._cumulate_cells(all_cells.cells, all_cells.counts) AS m;
END
$fn$;
COMMENT ON FUNCTION upc._count_exactly IS
    'upc._count_moves in exact decimal arithmetic, for prices with too many digits for the fast way';


-- A plan for all calls: one for each would copy the arrays into itself, for every use of them.
DO $do$
BEGIN
    EXECUTE format(
        $sql$
        CREATE FUNCTION upc._count_moves(
            windows double precision[],
            starts integer[],
            horizons integer[] DEFAULT NULL,
            removed_from integer DEFAULT NULL
        )
        RETURNS TABLE (
            bucket smallint,
            minutes smallint,
            pairs integer,
            positive integer[],
            negative integer[]
        )
        LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 3720
        SET work_mem = '128MB'
        SET jit = off
        SET plan_cache_mode = force_generic_plan
        AS $fn$
        DECLARE
            v_counters numeric[] := upc._bin_counters();
            v_scale double precision := 10.0 ^ upc._price_decimals(windows);
            v_prices double precision[];
            v_move_bins double precision[];
        BEGIN
            IF v_scale IS NULL THEN
                RETURN QUERY
                SELECT m.* FROM upc._count_exactly(windows, starts, horizons, removed_from) AS m;
                RETURN;
            END IF;

            v_prices := upc._whole_prices(windows, v_scale);
            SELECT upc._move_bins(max(p)) INTO v_move_bins
            FROM unnest(v_prices) AS p
            WHERE p <> 'NaN';
            RETURN QUERY
            WITH start AS (
                SELECT
                    m.i, m.slot, CASE WHEN m.i >= removed_from THEN 128 ELSE 0 END AS sign,
                    2000 / v_prices[m.i] AS per_price
                FROM upc._momentum_slots(_count_moves.windows, _count_moves.starts) AS m
                -- The counters of one slot stay in the processor's cache.
                ORDER BY m.slot, m.i
            ),
            total AS MATERIALIZED (
                SELECT s.slot, %1$s
                FROM (SELECT %3$s OFFSET 0) AS h
                CROSS JOIN start AS s
                GROUP BY s.slot
            ),
            curve_of AS (%2$s)
            SELECT c.bucket, c.minutes, c.pairs, c.positive, c.negative
            FROM curve_of AS c (kind, bucket, minutes, pairs, positive, negative);
        END
        $fn$
        $sql$,
        upc._plain_totals(),
        'WITH ' || upc._curves_of_totals(upc._per_horizon('(''plain'', %1$s, t.n%1$s)')),
        upc._asked_minutes()
    );
END
$do$;
COMMENT ON FUNCTION upc._count_moves IS
    'per momentum bucket (99: baseline) and distance of 1 to 60 minutes: the pairs, and how many of them moved by at least +0.05 (k - 1) % and by at most -0.05 (k - 1) %; removed_from: the place in windows from which on starting minutes are taken out';


CREATE FUNCTION upc._is_whole(pairs integer, positive integer[], negative integer[])
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN least(
    _is_whole.pairs,
    _is_whole.pairs - _is_whole.positive[1],
    _is_whole.pairs - _is_whole.negative[1],
    _is_whole.positive[60],
    _is_whole.negative[60]
) >= 0;
COMMENT ON FUNCTION upc._is_whole IS
    'true where counts may be a row of their own; where more is taken out than added, they can only be added to a row that is there';


-- Element by element in one expression: a tenth of the time that unnesting takes, and a day's build
-- adds seven thousand of these arrays.
DO $do$
BEGIN
    EXECUTE format(
        $sql$
        CREATE FUNCTION upc._add_counts(counts integer[], others integer[])
        RETURNS integer[]
        LANGUAGE sql IMMUTABLE PARALLEL SAFE
        RETURN ARRAY[%s]
        $sql$,
        (
            SELECT string_agg(
                format('_add_counts.counts[%1$s] + _add_counts.others[%1$s]', k),
                ', ' ORDER BY k
            )
            FROM generate_series(1, 60) AS k
        )
    );
END
$do$;
COMMENT ON FUNCTION upc._add_counts IS
    'element by element, counts + others, for arrays of 60';

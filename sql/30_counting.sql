-- Counting moves: from closes to pairs per momentum bucket, distance in time and size of the move.
--
-- A window is what the counts of one UTC day depend on: 1,530 closes in USD, one a minute, from
-- 30 minutes before the day (momentum looks back that far) to 60 minutes after it (pairs reach that
-- far); NaN where there is no candle. The day's starting minutes are its elements 31 to 1470.
-- Windows of several days are laid end to end in one array, so that every day stands for itself:
-- days can be counted, taken back and counted again in any order and in any company.

CREATE FUNCTION upc.candle_window(
    symbol text,
    day date,
    since timestamptz DEFAULT '-infinity',
    until timestamptz DEFAULT 'infinity'
)
RETURNS double precision[]
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_from timestamptz := candle_window.day::timestamp AT TIME ZONE 'UTC' - interval '30 minutes';
    v_window double precision[];
BEGIN
    SELECT array_agg(c.close ORDER BY c.opened_at)
    INTO v_window
    FROM upc_data.candle AS c
    WHERE c.symbol = candle_window.symbol
      AND c.opened_at >= greatest(v_from, since)
      AND c.opened_at < least(v_from + interval '1530 minutes', until);

    -- Most days have no gap; only the others pay for looking at every minute.
    IF cardinality(v_window) = 1530 THEN
        RETURN v_window;
    END IF;

    RETURN (
        SELECT array_agg(coalesce(c.close, 'NaN') ORDER BY m.opened_at)
        FROM generate_series(
            v_from, v_from + interval '1529 minutes', interval '1 minute'
        ) AS m (opened_at)
        LEFT JOIN upc_data.candle AS c
            ON c.symbol = candle_window.symbol
            AND c.opened_at = m.opened_at
            AND c.opened_at >= since
            AND c.opened_at < until
    );
END
$fn$;
COMMENT ON FUNCTION upc.candle_window IS
    'the window of closes of a UTC day as the candles opened in [since, until) are now: 1,530 elements, NaN for a missing candle';


CREATE FUNCTION upc.candle_windows(symbol text, days date[])
RETURNS double precision[]
LANGUAGE sql STABLE PARALLEL SAFE
RETURN ARRAY(
    SELECT unnest(array_agg(upc.candle_window(candle_windows.symbol, d.day) ORDER BY d.i))
    FROM unnest(candle_windows.days) WITH ORDINALITY AS d (day, i)
);
COMMENT ON FUNCTION upc.candle_windows IS
    'the windows of some UTC days as the candles are now, laid end to end';


CREATE FUNCTION upc.counted_windows(symbol text, days date[])
RETURNS double precision[]
LANGUAGE sql STABLE PARALLEL SAFE
RETURN ARRAY(
    SELECT unnest(
        array_agg(coalesce(c.closes, array_fill('NaN'::double precision, '{1530}')) ORDER BY d.i)
    )
    FROM unnest(counted_windows.days) WITH ORDINALITY AS d (day, i)
    LEFT JOIN upc_data.counted_day AS c
        ON c.symbol = counted_windows.symbol AND c.day = d.day
);
COMMENT ON FUNCTION upc.counted_windows IS
    'the windows of some UTC days as they were counted, laid end to end; NaN where nothing was counted';


CREATE FUNCTION upc.price_decimals(closes double precision[])
RETURNS integer
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_decimals integer;
    v_highest double precision;
    v_is_whole boolean;
BEGIN
    FOREACH v_decimals IN ARRAY '{2, 4, 6, 8, 10, 12}'::integer[] LOOP
        -- One division by a power of ten is correctly rounded, so this holds exactly when every
        -- close is the double nearest to a decimal with so many places.
        SELECT
            bool_and(round(c * 10.0 ^ v_decimals) / 10.0 ^ v_decimals = c),
            max(c) * 10.0 ^ v_decimals
        INTO v_is_whole, v_highest
        FROM unnest(price_decimals.closes) AS c
        WHERE c <> 'NaN';

        EXIT WHEN v_highest >= 2.0 ^ 38;
        IF v_is_whole THEN
            RETURN v_decimals;
        END IF;
    END LOOP;
    RETURN NULL;
END
$fn$;
COMMENT ON FUNCTION upc.price_decimals IS
    'a number of decimal places that makes every close a whole number below 2^38, or NULL where there is none';


CREATE FUNCTION upc.move_bins(highest double precision)
RETURNS double precision[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
    -- The bins of 2000 × later price / price, which is 2000 + k at a move of exactly k × 0.05 %.
    -- Between whole prices up to `highest` a move that is not exactly k × 0.05 % is at least
    -- 1 / highest away from it, and below 2^38 the quotient in double precision is wrong by less
    -- than 1e-12; half of that distance therefore tells "exactly" from "nearly" without doubt.
    -- Bin 0: k <= -59; 1 to 59: up to and including k = -58 … 0 from below; 60: no move;
    -- 61 to 119: from 0, 1, … 58 upward; 120: k >= 59; 121: not a number.
    SELECT array_agg(b.edge ORDER BY b.edge)
    FROM (
        SELECT 2000 + k + 0.5 / move_bins.highest FROM generate_series(-59, 0) AS k
        UNION ALL
        SELECT 2000 + k - 0.5 / move_bins.highest FROM generate_series(0, 59) AS k
        UNION ALL
        SELECT 'Infinity'
    ) AS b (edge)
);
COMMENT ON FUNCTION upc.move_bins IS
    'edges for width_bucket of 2000 × later price / price between whole prices up to a highest one: 122 bins that decide a move of exactly k × 0.05 % exactly';


CREATE FUNCTION upc.move_bin(price numeric, later_price numeric)
RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN move_bin.later_price = 'NaN' THEN 121
    WHEN move_bin.later_price = move_bin.price THEN 60
    WHEN move_bin.later_price > move_bin.price THEN
        61 + least(59, div((move_bin.later_price - move_bin.price) * 2000, move_bin.price))
    ELSE 59 + greatest(-59, div((move_bin.later_price - move_bin.price) * 2000, move_bin.price))
END::integer;
COMMENT ON FUNCTION upc.move_bin IS
    'the bin of move_bins for a price and a later one, in exact decimal arithmetic: for prices with too many digits for the fast way';


CREATE FUNCTION upc.all_horizons()
RETURNS integer[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY(SELECT generate_series(1, 60));
COMMENT ON FUNCTION upc.all_horizons IS 'the distances of a fingerprint, minutes: 1 to 60';


CREATE FUNCTION upc.momentum_slots(windows double precision[], starts integer[])
RETURNS TABLE (i integer, slot integer)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100000
AS $fn$
BEGIN
    RETURN QUERY
    SELECT
        m.i,
        CASE WHEN m.momentum = 'NaN' THEN 61 ELSE 30 + upc.momentum_bucket(m.momentum) END
    FROM (
        SELECT
            s AS i,
            upc.momentum_bps(
                windows[s],
                windows[s - (upc.momentum_lags())[1]],
                windows[s - (upc.momentum_lags())[2]],
                windows[s - (upc.momentum_lags())[3]],
                windows[s - (upc.momentum_lags())[4]],
                windows[s - (upc.momentum_lags())[5]],
                windows[s - (upc.momentum_lags())[6]]
            ) AS momentum
        FROM unnest(momentum_slots.starts) AS s
        WHERE windows[s] <> 'NaN'
        OFFSET 0
    ) AS m;
END
$fn$;
COMMENT ON FUNCTION upc.momentum_slots IS
    'the momentum bucket of starting minutes given by their places in an array of windows, those without a close left out: slot 0 is bucket -30, slot 60 is bucket +30, slot 61 is a minute without momentum';


CREATE FUNCTION upc.count_cells(
    windows double precision[],
    starts integer[],
    horizons integer[] DEFAULT NULL
)
RETURNS TABLE (cell integer, pairs integer)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET work_mem = '128MB'
AS $fn$
DECLARE
    v_scale double precision := 10.0 ^ upc.price_decimals(count_cells.windows);
    v_closes double precision[];
    v_bins double precision[];
BEGIN
    IF v_scale IS NULL THEN
        RETURN QUERY
        WITH start AS MATERIALIZED (
            SELECT s.i, s.slot * 8192 AS slot, count_cells.windows[s.i]::numeric AS price
            FROM upc.momentum_slots(count_cells.windows, count_cells.starts) AS s
        )
        SELECT
            start.slot + t * 128
                + upc.move_bin(start.price, count_cells.windows[start.i + t]::numeric),
            count(*)::integer
        FROM unnest(coalesce(count_cells.horizons, upc.all_horizons())) AS t
        CROSS JOIN start
        GROUP BY 1;
        RETURN;
    END IF;

    SELECT array_agg(round(w.close * v_scale) ORDER BY w.i)
    INTO v_closes
    FROM unnest(count_cells.windows) WITH ORDINALITY AS w (close, i);

    SELECT upc.move_bins(max(c))
    INTO v_bins
    FROM unnest(v_closes) AS c
    WHERE c <> 'NaN';

    -- Sorted by slot and with the minutes as the outer loop, a hundred or so counters are in use
    -- at a time, and they stay in the processor's cache. The subselect hands width_bucket a flat
    -- array: a variable's own form would be unpacked for every pair.
    RETURN QUERY
    WITH start AS MATERIALIZED (
        SELECT s.i, s.slot * 8192 AS slot, 2000 / v_closes[s.i] AS per_price
        FROM upc.momentum_slots(count_cells.windows, count_cells.starts) AS s
        ORDER BY s.slot, s.i
    )
    SELECT
        start.slot + t.cell
            + width_bucket(v_closes[start.i + t.minutes] * start.per_price, (SELECT v_bins)),
        count(*)::integer
    FROM (
        SELECT m AS minutes, m * 128 AS cell
        FROM unnest(coalesce(count_cells.horizons, upc.all_horizons())) AS m
        OFFSET 0
    ) AS t
    CROSS JOIN start
    GROUP BY 1;
END
$fn$;
COMMENT ON FUNCTION upc.count_cells IS
    'how many pairs fall into each cell, slot × 8192 + minutes × 128 + bin, for starting minutes given by their places in an array of windows; horizons: of how many minutes, 1 to 60 if NULL';


CREATE FUNCTION upc.cumulate_cells(cells integer[], counts integer[])
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
        FROM unnest(cumulate_cells.cells, cumulate_cells.counts) AS c (cell, pairs)
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
        (CASE WHEN c.curve >> 6 = 62 THEN 99 ELSE (c.curve >> 6) - 30 END)::smallint,
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
COMMENT ON FUNCTION upc.cumulate_cells IS
    'per momentum bucket (99: baseline) and distance of 1 to 60 minutes: the pairs in some cells, and how many of them lie at or beyond each of 60 thresholds, upward and downward';


CREATE FUNCTION upc.count_moves(
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
        FROM upc.count_cells(
            count_moves.windows, count_moves.starts, count_moves.horizons
        ) AS c
    ) AS all_cells
    CROSS JOIN LATERAL upc.cumulate_cells(all_cells.cells, all_cells.counts) AS m;
END;
COMMENT ON FUNCTION upc.count_moves IS
    'per momentum bucket (99: baseline) and distance of 1 to 60 minutes: the pairs, and how many of them moved by at least +0.05 (k - 1) % and by at most -0.05 (k - 1) %';


-- What counts are made by: how a made-up day is counted, and the constants. Not the text of the
-- functions: another comment must not have a history of years counted again. Whoever changes the
-- counting in a way that the day does not show raises the number in front.
--
-- The day has calm and wild hours, gaps, moves of exactly k × 0.05 %, and once more as prices of
-- many digits, which are counted in another way. Nothing but whole numbers and divisions makes it,
-- so that every server has the same.

CREATE FUNCTION upc.probe_closes()
RETURNS double precision[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY(
    SELECT
        CASE
            WHEN p.n % 97 = 0 THEN 'NaN'
            WHEN p.n BETWEEN 700 AND 760 THEN 40000 + 20 * (p.n % 7 - 3)
            ELSE p.cents / 100.0::double precision
        END
    FROM (
        SELECT
            n,
            4000000 + sum(
                ((n::bigint * n * 7919 + n * 104729) % 100003 % 121 - 60)
                * CASE WHEN n / 240 % 2 = 0 THEN 60 ELSE 150 END
            ) OVER (ORDER BY n) AS cents
        FROM generate_series(1, 1530) AS n
    ) AS p
    ORDER BY p.n
);
COMMENT ON FUNCTION upc.probe_closes IS
    'internal: the window of a made-up day that shows how moves are counted';


CREATE FUNCTION upc.probe_counting()
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_closes double precision[] := upc.probe_closes();
    v_starts integer[] := ARRAY(SELECT generate_series(31, 1470));
    v_counts text;
    v_exact text;
BEGIN
    SELECT string_agg(c::text, ' ' ORDER BY c.bucket, c.minutes)
    INTO v_counts
    FROM upc.count_moves(v_closes, v_starts, '{1, 7, 30, 60}') AS c;
    SELECT string_agg(c::text, ' ' ORDER BY c.cell)
    INTO v_exact
    FROM upc.count_cells(
        ARRAY(SELECT w.c / 3 FROM unnest(v_closes) WITH ORDINALITY AS w (c, i) ORDER BY w.i),
        ARRAY(SELECT generate_series(61, 361, 3)),
        '{1, 60}'
    ) AS c;
    RETURN encode(
        sha256(
            convert_to(
                concat_ws(
                    '; ', 1, v_counts, v_exact, upc.momentum_lags(), upc.momentum_weights(),
                    upc.all_horizons(),
                    ARRAY(SELECT round((e * 1000)::numeric) FROM unnest(upc.move_bins(1e6)) AS e)
                ),
                'UTF8'
            )
        ),
        'hex'
    );
END
$fn$;
COMMENT ON FUNCTION upc.probe_counting IS
    'internal: names what moves are counted by, from how a made-up day is counted and from the constants';


-- Tried once an upgrade, and asked for by every build, look and status.
DO $do$
BEGIN
    EXECUTE format(
        'CREATE FUNCTION upc.counting_hash() RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN %L',
        upc.probe_counting()
    );
END
$do$;
COMMENT ON FUNCTION upc.counting_hash IS
    'names the formulas and constants that moves are counted by: another one, and the next build counts all again';

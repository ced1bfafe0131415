-- The build: what changed since it was counted is taken out of the histogram as it was, and
-- counted again as it is. A day of candles costs a day's work.

CREATE FUNCTION upc._affected_starts(
    counted double precision[],
    current double precision[]
)
RETURNS integer[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY(
    -- A close is part of the pairs of the 60 starting minutes before it and of the momentum of
    -- the 30 after it.
    SELECT w.i
    FROM (
        SELECT
            c.i::integer AS i,
            sum((c.counted <> c.current)::integer) OVER (
                PARTITION BY (c.i - 1) / 1530
                ORDER BY c.i
                ROWS BETWEEN 30 PRECEDING AND 60 FOLLOWING
            ) AS changes
        FROM unnest(_affected_starts.counted, _affected_starts.current)
            WITH ORDINALITY AS c (counted, current, i)
    ) AS w
    WHERE w.changes > 0 AND (w.i - 1) % 1530 BETWEEN 30 AND 1469
);
COMMENT ON FUNCTION upc._affected_starts IS
    'the places, in windows laid end to end, of the starting minutes whose pairs or momentum differ between two states of the closes';


CREATE FUNCTION upc._is_new_to_both(symbol text, days date[])
RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN NOT EXISTS (
    SELECT FROM upc_data.counted_day AS d
    WHERE d.symbol = _is_new_to_both.symbol AND d.day = ANY (_is_new_to_both.days)
    UNION ALL
    SELECT FROM upc_data.volatility_day AS d
    WHERE d.symbol = _is_new_to_both.symbol AND d.day = ANY (_is_new_to_both.days)
);
COMMENT ON FUNCTION upc._is_new_to_both IS
    'true where neither plain nor standardised moves of some UTC days were counted';


CREATE FUNCTION upc._count_new_days(
    symbol text,
    days date[],
    windows double precision[],
    generation integer,
    factors smallint[],
    coefficients double precision[]
)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_year smallint := extract(year FROM days[1]);
    v_ranges integer[];
BEGIN
    IF days = '{}' THEN
        RETURN;
    END IF;
    INSERT INTO upc_data.volatility_day (symbol, generation, day, closes, ranges)
    SELECT
        _count_new_days.symbol, _count_new_days.generation, d.day,
        windows[(d.i - 1) * 1530 + 1:d.i * 1530],
        upc._range_window(_count_new_days.symbol, d.day)
    FROM unnest(days) WITH ORDINALITY AS d (day, i);
    SELECT c.ranges INTO v_ranges FROM upc._counted_volatility(symbol, generation, days) AS c;

    -- Two pieces of one year may meet here; in one order they wait, and never for each other.
    WITH counted AS MATERIALIZED (
        SELECT m.*
        FROM upc._count_both_moves(
            _count_new_days.days, _count_new_days.windows, v_ranges,
            _count_new_days.factors, _count_new_days.coefficients
        ) AS m
    ),
    standardised AS (
        INSERT INTO upc_data.volatility_histogram AS h
            (symbol, generation, year, bucket, minutes, pairs, positive, negative)
        SELECT
            _count_new_days.symbol, _count_new_days.generation, v_year,
            c.bucket, c.minutes, c.pairs, c.positive, c.negative
        FROM counted AS c
        WHERE c.kind = 'standardised'
        ORDER BY c.bucket, c.minutes
        ON CONFLICT
            ON CONSTRAINT volatility_histogram_symbol_generation_year_bucket_minutes_pkey
            DO UPDATE SET
                pairs = h.pairs + excluded.pairs,
                positive = upc._add_counts(h.positive, excluded.positive, 1),
                negative = upc._add_counts(h.negative, excluded.negative, 1)
    )
    INSERT INTO upc_data.fingerprint_histogram AS h
        (symbol, year, bucket, minutes, pairs, positive, negative)
    SELECT _count_new_days.symbol, v_year, c.bucket, c.minutes, c.pairs, c.positive, c.negative
    FROM counted AS c
    WHERE c.kind = 'plain'
    ORDER BY c.bucket, c.minutes
    ON CONFLICT ON CONSTRAINT fingerprint_histogram_symbol_year_bucket_minutes_pkey
        DO UPDATE SET
            pairs = h.pairs + excluded.pairs,
            positive = upc._add_counts(h.positive, excluded.positive, 1),
            negative = upc._add_counts(h.negative, excluded.negative, 1);
END
$fn$;
COMMENT ON FUNCTION upc._count_new_days IS
    'counts plain and standardised moves of UTC days of one year, in order, that neither has, in one pass';


-- Bring the histogram of a symbol up to its candles for some UTC days.
--
-- days: all of one year. A day that was counted before is counted anew only where its candles
-- changed: what they were is taken out, what they are is put in. Standardised moves of days that are
-- all new are counted in the same pass, once there is a fit of the volatility; those of others are
-- counted by count_volatility_days.
-- Errors: none; a symbol that is not registered has no candles.
--
-- Example:
--   SELECT count_days('BTC', '{2024-01-01}');
CREATE FUNCTION upc.count_days(symbol text, days date[])
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_year smallint := extract(year FROM count_days.days[1]);
    v_counted double precision[];
    v_current double precision[];
    v_starts integer[] := upc._all_starts(cardinality(count_days.days));
    v_new_days date[];
    v_fit record;
BEGIN
    SELECT f.* INTO v_fit FROM upc._counting_fit(count_days.symbol) AS f;
    -- The notes go first: whatever is committed before the next statement is read now and noted for
    -- the next time as well, and counting it again changes nothing.
    DELETE FROM upc_data.candle_change AS n
    WHERE n.symbol = count_days.symbol AND n.day = ANY (count_days.days);
    IF v_fit.generation IS NOT NULL AND upc._is_new_to_both(count_days.symbol, count_days.days) THEN
        DELETE FROM upc_data.volatility_change AS n
        WHERE n.symbol = count_days.symbol AND n.day = ANY (count_days.days);
        v_new_days := '{}';
    END IF;

    IF EXISTS (
        SELECT FROM upc_data.counted_day AS d
        WHERE d.symbol = count_days.symbol AND d.day = ANY (count_days.days)
    ) THEN
        v_counted := upc._counted_windows(count_days.symbol, count_days.days);
    END IF;

    WITH current_day AS MATERIALIZED (
        SELECT d.day, upc._candle_window(count_days.symbol, d.day) AS closes
        FROM unnest(count_days.days) AS d (day)
    ),
    kept AS (
        INSERT INTO upc_data.counted_day AS d (symbol, day, closes)
        SELECT count_days.symbol, c.day, c.closes
        FROM current_day AS c
        WHERE array_fill('NaN'::double precision, '{1440}') <> c.closes[31:1470]
        ON CONFLICT ON CONSTRAINT counted_day_symbol_day_pkey
            DO UPDATE SET closes = excluded.closes
            WHERE d.closes <> excluded.closes
    )
    DELETE FROM upc_data.counted_day AS d
    USING current_day AS c
    WHERE d.symbol = count_days.symbol
      AND d.day = c.day
      AND array_fill('NaN'::double precision, '{1440}') = c.closes[31:1470];

    IF v_new_days IS NOT NULL THEN
        v_new_days := ARRAY(
            SELECT d.day FROM upc_data.counted_day AS d
            WHERE d.symbol = count_days.symbol AND d.day = ANY (count_days.days)
            ORDER BY d.day
        );
        PERFORM upc._count_new_days(
            count_days.symbol, v_new_days, upc._counted_windows(count_days.symbol, v_new_days),
            v_fit.generation, v_fit.factors, v_fit.coefficients
        );
        RETURN;
    END IF;
    v_current := upc._counted_windows(count_days.symbol, count_days.days);

    IF v_counted IS NOT NULL THEN
        v_starts := upc._affected_starts(v_counted, v_current);
        IF v_starts = '{}' THEN
            RETURN;
        END IF;
    END IF;

    INSERT INTO upc_data.fingerprint_histogram AS h
        (symbol, year, bucket, minutes, pairs, positive, negative)
    SELECT count_days.symbol, v_year, m.bucket, m.minutes, m.pairs, m.positive, m.negative
    FROM upc._count_moves(v_current, v_starts) AS m
    -- Two pieces of one year may meet here; in one order they wait, and never for each other.
    ORDER BY m.bucket, m.minutes
    ON CONFLICT ON CONSTRAINT fingerprint_histogram_symbol_year_bucket_minutes_pkey
        DO UPDATE SET
            pairs = h.pairs + excluded.pairs,
            positive = upc._add_counts(h.positive, excluded.positive, 1),
            negative = upc._add_counts(h.negative, excluded.negative, 1);

    IF v_counted IS NOT NULL THEN
        UPDATE upc_data.fingerprint_histogram AS h
        SET
            pairs = h.pairs - m.pairs,
            positive = upc._add_counts(h.positive, m.positive, -1),
            negative = upc._add_counts(h.negative, m.negative, -1)
        FROM upc._count_moves(v_counted, v_starts) AS m
        WHERE h.symbol = count_days.symbol
          AND h.year = v_year
          AND h.bucket = m.bucket
          AND h.minutes = m.minutes;

        DELETE FROM upc_data.fingerprint_histogram AS h
        WHERE h.symbol = count_days.symbol AND h.year = v_year AND h.pairs = 0;
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc.count_days IS
    'brings the histogram of a symbol up to its candles for some UTC days of one year';


-- The key of the advisory lock that a build of a symbol's fingerprints holds.
--
-- Errors: none.
--
-- Example:
--   SELECT build_lock_key('BTC') <> build_lock_key('ETH');
CREATE FUNCTION upc.build_lock_key(symbol text)
RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN hashtextextended('pyupc fingerprint build of ' || build_lock_key.symbol, 0);
COMMENT ON FUNCTION upc.build_lock_key IS
    'the key of the advisory lock that a build of a symbol''s fingerprints holds';


-- The key of the advisory lock that a refit of a symbol's volatility holds.
--
-- Another one than that of a build: days are counted and published while a refit is going on.
-- Errors: none.
--
-- Example:
--   SELECT refit_lock_key('BTC') <> build_lock_key('BTC');
CREATE FUNCTION upc.refit_lock_key(symbol text)
RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN hashtextextended('pyupc refit of ' || refit_lock_key.symbol, 0);
COMMENT ON FUNCTION upc.refit_lock_key IS
    'the key of the advisory lock that a refit of a symbol''s volatility holds';


-- The UTC days that a build of a symbol has to count, in pieces.
--
-- Returns a row per piece, at most a quarter each; none where nothing changed since the last build.
-- Each can be counted and committed on its own, in any order, and two at a time.
-- Errors: none.
--
-- Example:
--   SELECT count(*) FROM build_pieces('BTC');
CREATE FUNCTION upc.build_pieces(symbol text)
RETURNS TABLE (days date[])
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    -- A quarter keeps the work above the fixed costs of a piece, and its windows and starting minutes
    -- in some tens of megabytes. A piece never crosses a year.
    SELECT array_agg(c.day ORDER BY c.day)
    FROM (
        SELECT DISTINCT n.day
        FROM upc_data.candle_change AS n
        WHERE n.symbol = build_pieces.symbol
    ) AS c
    GROUP BY extract(year FROM c.day), extract(quarter FROM c.day)
    ORDER BY 1;
END;
COMMENT ON FUNCTION upc.build_pieces IS
    'the UTC days that a build of a symbol has to count, in pieces that can be counted and committed independently';


-- Note that the histogram of a symbol is being changed.
--
-- Until complete_build the symbol has no curves in a refresh.
-- Errors: UP002 symbol.
--
-- Example:
--   SELECT begin_build('BTC');
CREATE FUNCTION upc.begin_build(symbol text)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    PERFORM upc.require_symbol(begin_build.symbol);
    INSERT INTO upc_data.fingerprint_build AS b (symbol, started_at, counted_by)
    VALUES (begin_build.symbol, clock_timestamp(), upc.counting_hash())
    ON CONFLICT ON CONSTRAINT fingerprint_build_symbol_pkey
        DO UPDATE SET started_at = excluded.started_at, completed_at = NULL;
END
$fn$;
COMMENT ON FUNCTION upc.begin_build IS
    'notes that the histogram of a symbol is being changed; until complete_build the symbol has no curves in a refresh';


-- Note that every piece of a build is in the histogram.
--
-- The next refresh publishes the symbol's curves.
-- Errors: none.
--
-- Example:
--   SELECT complete_build('BTC');
CREATE FUNCTION upc.complete_build(symbol text)
RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    UPDATE upc_data.fingerprint_build AS b
    SET completed_at = clock_timestamp()
    WHERE b.symbol = complete_build.symbol;
END;
COMMENT ON FUNCTION upc.complete_build IS
    'notes that every piece of a build is in the histogram';


CREATE FUNCTION upc._is_counted_by_others(symbol text)
RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN EXISTS (
    SELECT FROM upc_data.fingerprint_build AS b
    WHERE b.symbol = _is_counted_by_others.symbol AND b.counted_by <> upc.counting_hash()
);
COMMENT ON FUNCTION upc._is_counted_by_others IS
    'true where the histogram of a symbol was counted by other formulas or constants than today''s';


-- Forget the counts of plain moves of a symbol.
--
-- The next build counts its whole history again; readers keep the curves until its refresh.
-- Errors: UP002 symbol.
--
-- Example:
--   SELECT reset_counts('BTC');
CREATE FUNCTION upc.reset_counts(symbol text)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    PERFORM upc.begin_build(reset_counts.symbol);
    INSERT INTO upc_data.candle_change (symbol, day)
    SELECT d.symbol, d.day
    FROM upc_data.counted_day AS d
    WHERE d.symbol = reset_counts.symbol;
    DELETE FROM upc_data.counted_day AS d WHERE d.symbol = reset_counts.symbol;
    DELETE FROM upc_data.fingerprint_histogram AS h WHERE h.symbol = reset_counts.symbol;
    UPDATE upc_data.fingerprint_build AS b
    SET counted_by = upc.counting_hash()
    WHERE b.symbol = reset_counts.symbol;
END
$fn$;
COMMENT ON FUNCTION upc.reset_counts IS
    'forgets the counts of plain moves of a symbol, so that the next build counts its whole history again';


-- Forget all counts of a symbol, those of standardised moves included.
--
-- The next build counts its whole history again; readers keep the curves until its refresh.
-- Errors: UP002 symbol.
--
-- Example:
--   SELECT reset_fingerprints('BTC');
CREATE FUNCTION upc.reset_fingerprints(symbol text)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    PERFORM upc.reset_counts(reset_fingerprints.symbol);
    PERFORM upc._reset_volatility(reset_fingerprints.symbol);
END
$fn$;
COMMENT ON FUNCTION upc.reset_fingerprints IS
    'forgets all counts of a symbol, so that the next build counts its whole history again';

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


CREATE FUNCTION upc._store_counted_days(symbol text, days date[])
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    WITH current_day AS MATERIALIZED (
        SELECT d.day, upc._candle_window(_store_counted_days.symbol, d.day) AS closes
        FROM unnest(days) AS d (day)
    ),
    kept AS (
        INSERT INTO upc_data.counted_day AS d (symbol, day, closes)
        SELECT _store_counted_days.symbol, c.day, c.closes
        FROM current_day AS c
        WHERE array_fill('NaN'::double precision, '{1440}') <> c.closes[31:1470]
        ON CONFLICT ON CONSTRAINT counted_day_symbol_day_pkey
            DO UPDATE SET closes = excluded.closes
            WHERE d.closes <> excluded.closes
    )
    DELETE FROM upc_data.counted_day AS d
    USING current_day AS c
    WHERE d.symbol = _store_counted_days.symbol
      AND d.day = c.day
      AND array_fill('NaN'::double precision, '{1440}') = c.closes[31:1470];
END
$fn$;
COMMENT ON FUNCTION upc._store_counted_days IS
    'keeps the closes of some UTC days as they are now, those of a day without candles not';


CREATE FUNCTION upc._take_out(
    symbol text,
    year smallint,
    bucket smallint,
    minutes smallint,
    pairs integer,
    positive integer[],
    negative integer[]
)
RETURNS integer
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_left integer;
BEGIN
    UPDATE upc_data.fingerprint_histogram AS h
    SET
        pairs = h.pairs + _take_out.pairs,
        positive = upc._add_counts(h.positive, _take_out.positive),
        negative = upc._add_counts(h.negative, _take_out.negative)
    WHERE h.symbol = _take_out.symbol
      AND h.year = _take_out.year
      AND h.bucket = _take_out.bucket
      AND h.minutes = _take_out.minutes
    RETURNING h.pairs INTO v_left;
    RETURN v_left;
END
$fn$;
COMMENT ON FUNCTION upc._take_out IS
    'adds counts of plain moves that are no row of their own (upc._is_whole) to the row that is there; returns the pairs that are left in it';


CREATE FUNCTION upc._add_moves(
    symbol text,
    closes double precision[],
    starts integer[],
    year smallint,
    removed_from integer
)
RETURNS boolean
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_has_empty boolean;
BEGIN
    -- Two pieces of one year may meet here; in one order they wait, and never for each other.
    WITH counted AS MATERIALIZED (
        SELECT m.*
        FROM upc._count_moves(
            _add_moves.closes, _add_moves.starts, removed_from => _add_moves.removed_from
        ) AS m
    ),
    added AS (
        INSERT INTO upc_data.fingerprint_histogram AS h
            (symbol, year, bucket, minutes, pairs, positive, negative)
        SELECT _add_moves.symbol, _add_moves.year, c.bucket, c.minutes, c.pairs, c.positive, c.negative
        FROM counted AS c
        WHERE upc._is_whole(c.pairs, c.positive, c.negative)
        ORDER BY c.bucket, c.minutes
        ON CONFLICT ON CONSTRAINT fingerprint_histogram_symbol_year_bucket_minutes_pkey
            DO UPDATE SET
                pairs = h.pairs + excluded.pairs,
                positive = upc._add_counts(h.positive, excluded.positive),
                negative = upc._add_counts(h.negative, excluded.negative)
    ),
    less AS (
        SELECT upc._take_out(
            _add_moves.symbol, _add_moves.year,
            c.bucket, c.minutes, c.pairs, c.positive, c.negative
        ) AS pairs
        FROM counted AS c
        WHERE NOT upc._is_whole(c.pairs, c.positive, c.negative)
    )
    SELECT bool_or(l.pairs = 0) INTO v_has_empty FROM less AS l;
    RETURN v_has_empty;
END
$fn$;
COMMENT ON FUNCTION upc._add_moves IS
    'counts plain moves as upc._count_moves does, and adds them to the histogram of a symbol and year; returns whether no pair is left in some row';


CREATE FUNCTION upc._store_volatility_days(
    symbol text,
    generation integer,
    factors smallint[],
    coefficients double precision[],
    days date[]
)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    INSERT INTO upc_data.volatility_day AS v (symbol, generation, day, closes, forecasts, version)
    SELECT
        d.symbol, _store_volatility_days.generation, d.day, d.closes, f.forecasts, 1
    FROM upc._corrected_day_forecasts(
        _store_volatility_days.symbol,
        ARRAY(
            SELECT k.day
            FROM upc_data.counted_day AS k
            WHERE k.symbol = _store_volatility_days.symbol AND k.day = ANY (days)
            ORDER BY k.day
        ),
        factors,
        coefficients
    ) AS f
    JOIN upc_data.counted_day AS d
        ON d.symbol = _store_volatility_days.symbol AND d.day = f.day
    ON CONFLICT ON CONSTRAINT volatility_day_symbol_generation_day_pkey
        DO UPDATE SET
            closes = excluded.closes, forecasts = excluded.forecasts, version = v.version + 1;

    DELETE FROM upc_data.volatility_day AS v
    WHERE v.symbol = _store_volatility_days.symbol
      AND v.generation = _store_volatility_days.generation
      AND v.day = ANY (days)
      AND NOT EXISTS (
          SELECT FROM upc_data.counted_day AS d
          WHERE d.symbol = _store_volatility_days.symbol AND d.day = v.day
      );
END
$fn$;
COMMENT ON FUNCTION upc._store_volatility_days IS
    'keeps the closes of some UTC days, as counted_day has them, and their forecasts, for a generation of counts of standardised moves';


CREATE FUNCTION upc._add_both_moves(
    symbol text,
    generation integer,
    factors smallint[],
    days date[],
    closes double precision[],
    forecasts smallint[],
    starts integer[] DEFAULT NULL,
    firsts integer[] DEFAULT NULL,
    lasts integer[] DEFAULT NULL,
    removed_from integer DEFAULT NULL
)
RETURNS boolean
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_year smallint := extract(year FROM days[1]);
    v_month date := date_trunc('month', days[1]::timestamp);
    v_has_empty boolean;
BEGIN
    -- Two pieces of one year may meet here; in one order they wait, and never for each other.
    WITH counted AS MATERIALIZED (
        SELECT m.*
        FROM upc._count_both_moves(
            _add_both_moves.days, _add_both_moves.closes, _add_both_moves.forecasts,
            _add_both_moves.factors, _add_both_moves.starts,
            _add_both_moves.firsts, _add_both_moves.lasts, _add_both_moves.removed_from
        ) AS m
    ),
    standardised AS (
        INSERT INTO upc_data.volatility_histogram AS h
            (symbol, generation, year, bucket, minutes, pairs, positive, negative)
        SELECT
            _add_both_moves.symbol, _add_both_moves.generation, v_year,
            c.bucket, c.minutes, c.pairs, c.positive, c.negative
        FROM counted AS c
        WHERE c.kind = 'standardised' AND upc._is_whole(c.pairs, c.positive, c.negative)
        ORDER BY c.bucket, c.minutes
        ON CONFLICT
            ON CONSTRAINT volatility_histogram_symbol_generation_year_bucket_minutes_pkey
            DO UPDATE SET
                pairs = h.pairs + excluded.pairs,
                positive = upc._add_counts(h.positive, excluded.positive),
                negative = upc._add_counts(h.negative, excluded.negative)
    ),
    plain AS (
        INSERT INTO upc_data.fingerprint_histogram AS h
            (symbol, year, bucket, minutes, pairs, positive, negative)
        SELECT _add_both_moves.symbol, v_year, c.bucket, c.minutes, c.pairs, c.positive, c.negative
        FROM counted AS c
        WHERE c.kind = 'plain' AND upc._is_whole(c.pairs, c.positive, c.negative)
        ORDER BY c.bucket, c.minutes
        ON CONFLICT ON CONSTRAINT fingerprint_histogram_symbol_year_bucket_minutes_pkey
            DO UPDATE SET
                pairs = h.pairs + excluded.pairs,
                positive = upc._add_counts(h.positive, excluded.positive),
                negative = upc._add_counts(h.negative, excluded.negative)
    ),
    -- The order is that of the rows above: two pieces of a month wait for each other at most once.
    month AS (
        INSERT INTO upc_data.volatility_month AS h
            (symbol, generation, month, minutes, pairs, positive, negative)
        SELECT
            _add_both_moves.symbol, _add_both_moves.generation, v_month,
            c.minutes, c.pairs, c.positive, c.negative
        FROM counted AS c
        WHERE c.kind = 'standardised' AND c.bucket = upc._baseline()
        ORDER BY c.minutes
        ON CONFLICT ON CONSTRAINT volatility_month_pkey DO UPDATE SET
            pairs = h.pairs + excluded.pairs,
            positive = upc._add_counts(h.positive, excluded.positive),
            negative = upc._add_counts(h.negative, excluded.negative)
        RETURNING h.pairs
    ),
    less AS (
        SELECT CASE c.kind
            WHEN 'plain' THEN upc._take_out(
                _add_both_moves.symbol, v_year, c.bucket, c.minutes, c.pairs, c.positive, c.negative
            )
            ELSE upc._take_out_standardised(
                _add_both_moves.symbol, _add_both_moves.generation, v_year,
                c.bucket, c.minutes, c.pairs, c.positive, c.negative
            )
        END AS pairs
        FROM counted AS c
        WHERE NOT upc._is_whole(c.pairs, c.positive, c.negative)
    )
    SELECT bool_or(l.pairs = 0) INTO v_has_empty
    FROM (SELECT m.pairs FROM month AS m UNION ALL SELECT k.pairs FROM less AS k) AS l;
    RETURN v_has_empty;
END
$fn$;
COMMENT ON FUNCTION upc._add_both_moves IS
    'counts moves as upc._count_both_moves does, and adds them to the counts of a symbol; returns whether no pair is left in some row';


CREATE FUNCTION upc._count_both_days(
    symbol text,
    generation integer,
    factors smallint[],
    coefficients double precision[],
    days date[],
    counted double precision[],
    starts integer[]
)
RETURNS boolean
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_size integer := cardinality(days) * 1530;
    v_old record;
    v_new record;
    v_changed record;
BEGIN
    SELECT c.* INTO v_old FROM upc._counted_volatility(symbol, generation, days) AS c;
    PERFORM upc._store_volatility_days(symbol, generation, factors, coefficients, days);
    SELECT c.* INTO v_new FROM upc._counted_volatility(symbol, generation, days) AS c;
    IF v_old.counted = 0 AND counted IS NULL THEN
        RETURN v_new.counted > 0 AND upc._add_both_moves(
            symbol, generation, factors, days, v_new.closes, v_new.forecasts
        );
    END IF;
    SELECT m.* INTO v_changed FROM upc._changed_minutes(
        cardinality(days), v_new.closes, v_new.forecasts, v_old.closes, v_old.forecasts
    ) AS m;
    IF starts = '{}' AND NOT EXISTS (
        SELECT FROM unnest(v_changed.firsts, v_changed.lasts) AS c (first, last)
        WHERE c.first <= c.last
    ) THEN
        RETURN false;
    END IF;
    -- What is there now, what plain moves were counted from, and what standardised ones were.
    RETURN upc._add_both_moves(
        symbol, generation, factors, days || days || days,
        v_new.closes
            || coalesce(counted, array_fill('NaN'::double precision, ARRAY[v_size]))
            || v_old.closes,
        v_new.forecasts
            || array_fill((-32768)::smallint, ARRAY[5760 * cardinality(days)])
            || v_old.forecasts,
        starts || ARRAY(SELECT s + v_size FROM unnest(starts) AS s),
        v_changed.firsts || array_fill(1441, ARRAY[cardinality(days)]) || v_changed.firsts,
        v_changed.lasts || array_fill(0, ARRAY[cardinality(days)]) || v_changed.lasts,
        v_size + 1
    );
END
$fn$;
COMMENT ON FUNCTION upc._count_both_days IS
    'brings plain and standardised counts of some UTC days of one month up to counted_day in one pass: counted are the windows that plain moves were counted from, NULL where none were, starts the places of starting minutes that differ; returns whether no pair is left in some row';


CREATE FUNCTION upc._forget_empty_counts(symbol text, generation integer, year smallint)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    DELETE FROM upc_data.fingerprint_histogram AS h
    WHERE h.symbol = _forget_empty_counts.symbol
      AND h.year = _forget_empty_counts.year
      AND h.pairs = 0;
    PERFORM upc._forget_empty_standardised(symbol, generation, year);
END
$fn$;
COMMENT ON FUNCTION upc._forget_empty_counts IS
    'deletes the rows of a year, of plain and of standardised moves, in which no pair is left';


-- Bring the counts of a symbol up to its candles for some UTC days.
--
-- days: all of one month. A day that was counted before is counted anew only where its candles
-- changed: what they were is taken out, what they are is put in, in one pass, and in the same pass
-- standardised moves are, once there is a fit of the volatility.
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
    v_starts integer[];
    v_fit record;
    v_has_empty boolean;
BEGIN
    SELECT f.* INTO v_fit FROM upc._counting_fit(count_days.symbol) AS f;
    -- The notes go first: whatever is committed before the next statement is read now and noted for
    -- the next time as well, and counting it again changes nothing.
    DELETE FROM upc_data.candle_change AS n
    WHERE n.symbol = count_days.symbol AND n.day = ANY (count_days.days);
    IF v_fit.generation IS NOT NULL THEN
        DELETE FROM upc_data.volatility_change AS n
        WHERE n.symbol = count_days.symbol AND n.day = ANY (count_days.days);
    END IF;

    IF EXISTS (
        SELECT FROM upc_data.counted_day AS d
        WHERE d.symbol = count_days.symbol AND d.day = ANY (count_days.days)
    ) THEN
        v_counted := upc._counted_windows(count_days.symbol, count_days.days);
    END IF;
    PERFORM upc._store_counted_days(count_days.symbol, count_days.days);
    v_current := upc._counted_windows(count_days.symbol, count_days.days);
    IF v_counted IS NULL THEN
        v_starts := upc._all_starts(cardinality(days));
    ELSE
        v_starts := upc._affected_starts(v_counted, v_current);
    END IF;

    IF v_fit.generation IS NOT NULL THEN
        v_has_empty := upc._count_both_days(
            count_days.symbol, v_fit.generation, v_fit.factors, v_fit.coefficients, count_days.days,
            v_counted, v_starts
        );
    ELSIF v_starts <> '{}' THEN
        v_has_empty := upc._add_moves(
            count_days.symbol,
            v_current || v_counted,
            v_starts || CASE WHEN v_counted IS NOT NULL THEN
                ARRAY(SELECT s + cardinality(v_current) FROM unnest(v_starts) AS s)
            END,
            v_year,
            cardinality(v_current) + 1
        );
    END IF;
    IF v_has_empty THEN
        PERFORM upc._forget_empty_counts(count_days.symbol, v_fit.generation, v_year);
    END IF;
    IF v_fit.generation IS NOT NULL THEN
        PERFORM upc._store_long_days(
            count_days.symbol, v_fit.generation, v_fit.factors, v_fit.coefficients, count_days.days
        );
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc.count_days IS
    'brings the counts of a symbol up to its candles for some UTC days of one month';


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
-- Returns a row per piece, at most a month each; none where nothing changed since the last build.
-- Each can be counted and committed on its own, in any order, and two at a time.
-- Errors: none.
--
-- Example:
--   SELECT count(*) FROM build_pieces('BTC');
CREATE FUNCTION upc.build_pieces(symbol text)
RETURNS TABLE (days date[])
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    -- A month keeps the work above the fixed costs of a piece, and its windows and starting minutes in a
    -- few megabytes. Counts of standardised moves are kept by months, too.
    SELECT array_agg(c.day ORDER BY c.day)
    FROM (
        SELECT DISTINCT n.day
        FROM upc_data.candle_change AS n
        WHERE n.symbol = build_pieces.symbol
    ) AS c
    GROUP BY date_trunc('month', c.day::timestamp)
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

-- Standardised moves of UTC days, counted for a generation of counts: taken out as they were, put in as
-- they are.

CREATE FUNCTION upc._counted_volatility(
    symbol text,
    generation integer,
    days date[],
    OUT counted_days date[],
    OUT closes double precision[],
    OUT ranges integer[]
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    counted_days := ARRAY(
        SELECT d.day
        FROM upc_data.volatility_day AS d
        WHERE d.symbol = _counted_volatility.symbol
          AND d.generation = _counted_volatility.generation
          AND d.day = ANY (days)
        ORDER BY d.day
    );
    closes := ARRAY(
        SELECT unnest(array_agg(d.closes ORDER BY d.day))
        FROM upc_data.volatility_day AS d
        WHERE d.symbol = _counted_volatility.symbol
          AND d.generation = _counted_volatility.generation
          AND d.day = ANY (counted_days)
    );
    ranges := ARRAY(
        SELECT unnest(array_agg(d.ranges ORDER BY d.day))
        FROM upc_data.volatility_day AS d
        WHERE d.symbol = _counted_volatility.symbol
          AND d.generation = _counted_volatility.generation
          AND d.day = ANY (counted_days)
    );
END
$fn$;
COMMENT ON FUNCTION upc._counted_volatility IS
    'those of some UTC days whose standardised moves a generation of counts has, and the windows that they were counted from, laid end to end';


CREATE FUNCTION upc._changed_minutes(
    days date[],
    closes double precision[],
    ranges integer[],
    other_days date[],
    other_closes double precision[],
    other_ranges integer[],
    OUT firsts integer[],
    OUT lasts integer[]
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    -- Minute m looks at closes m to m + 90 and at ranges m + 1 to m + 1440 of the windows.
    SELECT
        array_agg(
            CASE WHEN o.k IS NULL THEN 1 ELSE coalesce(least(c.first - 90, r.first - 1440), 1441) END
            ORDER BY d.k
        ),
        array_agg(
            CASE WHEN o.k IS NULL THEN 1440 ELSE coalesce(greatest(c.last, r.last - 1), 0) END
            ORDER BY d.k
        )
    INTO firsts, lasts
    FROM unnest(_changed_minutes.days) WITH ORDINALITY AS d (day, k)
    LEFT JOIN unnest(_changed_minutes.other_days) WITH ORDINALITY AS o (day, k) ON o.day = d.day
    LEFT JOIN LATERAL (
        SELECT min(w.i)::integer AS first, max(w.i)::integer AS last
        FROM unnest(
            closes[d.k * 1530 - 1529:d.k * 1530], other_closes[o.k * 1530 - 1529:o.k * 1530]
        ) WITH ORDINALITY AS w (own, other, i)
        WHERE w.own <> w.other
    ) AS c ON o.k IS NOT NULL
    LEFT JOIN LATERAL (
        SELECT min(w.i)::integer AS first, max(w.i)::integer AS last
        FROM unnest(
            ranges[d.k * 2880 - 2879:d.k * 2880], other_ranges[o.k * 2880 - 2879:o.k * 2880]
        ) WITH ORDINALITY AS w (own, other, i)
        WHERE w.own <> w.other
    ) AS r ON o.k IS NOT NULL;
END
$fn$;
COMMENT ON FUNCTION upc._changed_minutes IS
    'the first and the last starting minute, 1 to 1440, of each of some UTC days whose standardised moves differ between two states of the windows; all where the other state lacks the day';


CREATE FUNCTION upc._replace_volatility_days(
    symbol text,
    generation integer,
    factors smallint[],
    coefficients double precision[],
    days date[],
    source integer DEFAULT NULL
)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_year smallint := extract(year FROM days[1]);
    v_old record;
    v_new record;
    v_added record;
    v_removed record;
BEGIN
    SELECT c.* INTO v_old FROM upc._counted_volatility(symbol, generation, days) AS c;
    DELETE FROM upc_data.volatility_day AS d
    WHERE d.symbol = _replace_volatility_days.symbol
      AND d.generation = _replace_volatility_days.generation
      AND d.day = ANY (days);
    IF source IS NOT NULL THEN
        INSERT INTO upc_data.volatility_day (symbol, generation, day, closes, ranges)
        SELECT d.symbol, _replace_volatility_days.generation, d.day, d.closes, d.ranges
        FROM upc_data.volatility_day AS d
        WHERE d.symbol = _replace_volatility_days.symbol
          AND d.generation = source
          AND d.day = ANY (days);
    ELSE
        INSERT INTO upc_data.volatility_day (symbol, generation, day, closes, ranges)
        SELECT
            _replace_volatility_days.symbol, _replace_volatility_days.generation,
            w.day, w.closes, w.ranges
        FROM (
            SELECT
                d.day,
                upc._candle_window(_replace_volatility_days.symbol, d.day) AS closes,
                upc._range_window(_replace_volatility_days.symbol, d.day) AS ranges
            FROM unnest(days) AS d (day)
            OFFSET 0
        ) AS w
        WHERE array_fill('NaN'::double precision, '{1440}') <> w.closes[31:1470];
    END IF;
    SELECT c.* INTO v_new FROM upc._counted_volatility(symbol, generation, days) AS c;
    SELECT m.* INTO v_added FROM upc._changed_minutes(
        v_new.counted_days, v_new.closes, v_new.ranges,
        v_old.counted_days, v_old.closes, v_old.ranges
    ) AS m;
    SELECT m.* INTO v_removed FROM upc._changed_minutes(
        v_old.counted_days, v_old.closes, v_old.ranges,
        v_new.counted_days, v_new.closes, v_new.ranges
    ) AS m;

    -- In one order: two pieces of a year wait for each other at most once.
    INSERT INTO upc_data.volatility_histogram AS h
        (symbol, generation, year, bucket, minutes, pairs, positive, negative)
    SELECT
        _replace_volatility_days.symbol, _replace_volatility_days.generation,
        v_year, m.bucket, m.minutes, m.pairs, m.positive, m.negative
    FROM upc._count_standardised_moves(
        v_new.counted_days, v_new.closes, v_new.ranges,
        _replace_volatility_days.factors, _replace_volatility_days.coefficients,
        firsts => v_added.firsts, lasts => v_added.lasts
    ) AS m
    WHERE v_new.counted_days <> '{}'
    ORDER BY m.bucket, m.minutes
    ON CONFLICT ON CONSTRAINT volatility_histogram_symbol_generation_year_bucket_minutes_pkey
        DO UPDATE SET
            pairs = h.pairs + excluded.pairs,
            positive = upc._add_counts(h.positive, excluded.positive, 1),
            negative = upc._add_counts(h.negative, excluded.negative, 1);

    IF v_old.counted_days <> '{}' THEN
        UPDATE upc_data.volatility_histogram AS h
        SET
            pairs = h.pairs - m.pairs,
            positive = upc._add_counts(h.positive, m.positive, -1),
            negative = upc._add_counts(h.negative, m.negative, -1)
        FROM upc._count_standardised_moves(
            v_old.counted_days, v_old.closes, v_old.ranges,
            _replace_volatility_days.factors, _replace_volatility_days.coefficients,
            firsts => v_removed.firsts, lasts => v_removed.lasts
        ) AS m
        WHERE h.symbol = _replace_volatility_days.symbol
          AND h.generation = _replace_volatility_days.generation
          AND h.year = v_year
          AND h.bucket = m.bucket
          AND h.minutes = m.minutes;
        DELETE FROM upc_data.volatility_histogram AS h
        WHERE h.symbol = _replace_volatility_days.symbol
          AND h.generation = _replace_volatility_days.generation
          AND h.year = v_year
          AND h.pairs = 0;
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._replace_volatility_days IS
    'counts the standardised moves of some UTC days of one year for a generation of counts: what it has of them is taken out, what the candles are now is put in, or what another generation, source, was counted from';


CREATE FUNCTION upc._counting_fit(
    symbol text,
    OUT generation integer,
    OUT factors smallint[],
    OUT coefficients double precision[]
)
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    -- Another fit begins to answer before this transaction or after it.
    SELECT
        coalesce(f.used_generation, f.generation),
        CASE WHEN f.used_generation IS NULL THEN f.factors ELSE f.used_factors END,
        CASE WHEN f.used_generation IS NULL THEN f.coefficients ELSE f.used_coefficients END
    INTO generation, factors, coefficients
    FROM upc_data.volatility_fit AS f
    WHERE f.symbol = _counting_fit.symbol
    FOR KEY SHARE;
END
$fn$;
COMMENT ON FUNCTION upc._counting_fit IS
    'the fit of a symbol''s volatility that a build counts days for, held until the end of the transaction: the one in use, or the first one; NULL where there is none';


-- Bring the counts of standardised moves of a symbol up to its candles, for a piece of a build: the
-- counts that answer, or the first ones of all.
--
-- days: UTC days, all of one year, as volatility_pieces has them.
--
-- Example:
--   SELECT upc.count_volatility_days('ETH', '{2024-01-01}');
CREATE FUNCTION upc.count_volatility_days(symbol text, days date[])
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_fit record;
    v_changed date[];
BEGIN
    SELECT f.* INTO v_fit FROM upc._counting_fit(symbol) AS f;
    -- The notes go first: whatever is committed meanwhile is noted for the next time as well.
    DELETE FROM upc_data.volatility_change AS n
    WHERE n.symbol = count_volatility_days.symbol AND n.day = ANY (days);

    SELECT array_agg(d.day)
    INTO v_changed
    FROM unnest(days) AS d (day)
    LEFT JOIN upc_data.volatility_day AS c
        ON c.symbol = count_volatility_days.symbol
        AND c.generation = v_fit.generation
        AND c.day = d.day
    WHERE c.closes IS DISTINCT FROM upc._candle_window(count_volatility_days.symbol, d.day)
       OR c.ranges IS DISTINCT FROM upc._range_window(count_volatility_days.symbol, d.day);
    IF v_changed IS NOT NULL THEN
        PERFORM upc._replace_volatility_days(
            symbol, v_fit.generation, v_fit.factors, v_fit.coefficients, v_changed
        );
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc.count_volatility_days IS
    'brings the counts of standardised moves of a symbol up to its candles for some UTC days of one year';


-- UTC days whose standardised moves a build of a symbol has to count, in pieces that can be counted and
-- committed independently.
--
-- Returns a row per piece.
--
-- Example:
--   SELECT count(*) = 0 FROM upc.volatility_pieces('ETH');
CREATE FUNCTION upc.volatility_pieces(symbol text)
RETURNS TABLE (days date[])
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT array_agg(c.day ORDER BY c.day)
    FROM (
        SELECT DISTINCT n.day
        FROM upc_data.volatility_change AS n
        WHERE n.symbol = volatility_pieces.symbol
    ) AS c
    -- A quarter's windows are a few megabytes.
    GROUP BY extract(year FROM c.day), extract(quarter FROM c.day)
    ORDER BY 1;
END;
COMMENT ON FUNCTION upc.volatility_pieces IS
    'the UTC days whose standardised moves a build of a symbol has to count, in pieces that can be counted and committed independently';

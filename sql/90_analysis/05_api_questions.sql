-- Documents for readers beyond the last tick: strikes, fingerprints and calibration, as JSON texts.

-- Strikes around a price as JSON: compute_strikes with its arguments around it.
--
-- Arguments and errors: those of compute_strikes; a method, model or settlement of NULL is filled in as
-- by complete_question, and stand_in is the reason where another model answers. Probabilities in
-- percent, at full precision.
--
-- Example:
--   SELECT strikes_document(97250, 7, ttc_seconds => 900);
CREATE FUNCTION upc.strikes_document(
    price double precision,
    momentum double precision DEFAULT NULL,
    symbol text DEFAULT 'BTC',
    ttc_seconds integer DEFAULT NULL,
    step double precision DEFAULT NULL,
    levels integer DEFAULT 10,
    method text DEFAULT 'nearest',
    model text DEFAULT 'momentum',
    settlement text DEFAULT 'close',
    volatility double precision DEFAULT NULL
)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT json_build_object(
        'symbol', strikes_document.symbol,
        'price', strikes_document.price,
        'momentum_bps', strikes_document.momentum,
        'ttc_seconds', q.used_ttc_seconds,
        'method', q.used_method,
        'model', q.used_model,
        'settlement', q.used_settlement,
        'stand_in', q.stand_in,
        'strikes', coalesce(s.strikes, '[]')
    )::text
    FROM upc.complete_question(
        strikes_document.symbol,
        strikes_document.ttc_seconds,
        strikes_document.method,
        strikes_document.model,
        strikes_document.settlement,
        strikes_document.volatility
    ) AS q
    CROSS JOIN LATERAL (
        SELECT json_agg(c ORDER BY c.strike) AS strikes
        FROM upc.compute_strikes(
            strikes_document.price,
            strikes_document.momentum,
            strikes_document.symbol,
            q.used_ttc_seconds,
            strikes_document.step,
            strikes_document.levels,
            q.used_method,
            q.used_model,
            q.used_settlement,
            strikes_document.volatility,
            q.observed
        ) AS c
    ) AS s;
END;
COMMENT ON FUNCTION upc.strikes_document IS
    'compute_strikes as JSON, with its arguments around it';


-- List of fingerprints as JSON: rows of upc.fingerprint_list.
--
-- symbol: whose; * is the pool. NULL lists those of all symbols, and reads all of their curves.
-- Errors: UP002 symbol.
--
-- Example:
--   SELECT json_array_length(fingerprints_document()::json -> 'fingerprints') >= 125;
CREATE FUNCTION upc.fingerprints_document(symbol text DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_rows json;
BEGIN
    IF symbol IS NULL THEN
        SELECT json_agg(
            f ORDER BY f.symbol, f.bucket = upc._baseline() DESC, f.bucket, f.origin
        )
        INTO v_rows
        FROM upc.fingerprint_list AS f;
    ELSE
        IF symbol <> '*' THEN
            PERFORM upc.require_symbol(symbol);
        END IF;
        -- A filter of its own, so that it goes by the index whatever other questions were planned.
        SELECT json_agg(f ORDER BY f.bucket = upc._baseline() DESC, f.bucket, f.origin)
        INTO v_rows
        FROM upc.fingerprint_list AS f
        WHERE f.symbol = fingerprints_document.symbol;
    END IF;
    RETURN json_build_object('fingerprints', coalesce(v_rows, '[]'))::text;
END
$fn$;
COMMENT ON FUNCTION upc.fingerprints_document IS
    'the fingerprints of the catalogue, of a symbol or of all, with the number of minutes behind each, as JSON';


-- Name of a fingerprint of plain moves, or of standardised ones.
-- Errors: UP024 the catalogue has no such fingerprint.
CREATE FUNCTION upc._require_fingerprint(symbol text, bucket integer, is_plain boolean)
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_fingerprint text;
BEGIN
    SELECT f.fingerprint
    INTO v_fingerprint
    FROM (
        SELECT p.fingerprint, p.symbol, p.bucket
        FROM upc.fingerprint_catalogue AS p
        WHERE is_plain
        UNION ALL
        SELECT z.fingerprint, z.symbol, z.bucket
        FROM upc.volatility_catalogue AS z
        WHERE NOT is_plain
    ) AS f
    WHERE f.symbol = _require_fingerprint.symbol AND f.bucket = _require_fingerprint.bucket;
    IF v_fingerprint IS NULL THEN
        RAISE EXCEPTION 'there is no fingerprint of % for the bucket %', symbol, bucket
            USING
                ERRCODE = 'UP024',
                DETAIL = 'Fingerprints are of a momentum bucket or, for 99, of all minutes.',
                HINT = 'SELECT symbol, bucket FROM upc.fingerprint_list';
    END IF;
    RETURN v_fingerprint;
END
$fn$;
COMMENT ON FUNCTION upc._require_fingerprint IS
    'the name of a fingerprint of plain or standardised moves; raises UP024 without one in the catalogue';


-- Matrix of a fingerprint, with the names of its columns and the size of each of its rows.
--
-- origin and thresholds: of the set; moves: those of the columns in one direction, ascending.
CREATE FUNCTION upc._fingerprint_matrix(
    symbol text,
    bucket integer,
    is_plain boolean,
    origin text,
    thresholds double precision[],
    moves numeric[],
    OUT columns text[],
    OUT matrix json,
    OUT sample_sizes json
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    WITH move AS MATERIALIZED (
        SELECT
            row_number() OVER (ORDER BY w.sign, w.sign * t.move) AS place,
            w.sign,
            format(
                '%s_%s',
                CASE w.sign WHEN 1 THEN 'pos' ELSE 'neg' END,
                replace(
                    to_char(t.move, CASE WHEN is_plain THEN 'FM0.00' ELSE 'FM90.000' END),
                    '.',
                    '_'
                )
            ) AS name,
            CASE
                WHEN is_plain THEN array_position(thresholds, t.move::double precision)
                ELSE t.k
            END AS threshold
        FROM (VALUES (-1), (1)) AS w (sign)
        CROSS JOIN unnest(moves) WITH ORDINALITY AS t (move, k)
    ),
    curve AS (
        SELECT p.minutes, p.sample_size, p.positive, p.negative
        FROM upc.fingerprint_curve AS p
        WHERE is_plain
          AND p.symbol = _fingerprint_matrix.symbol
          AND p.origin = _fingerprint_matrix.origin
          AND p.bucket = _fingerprint_matrix.bucket
        UNION ALL
        SELECT z.minutes, z.sample_size, z.positive, z.negative
        FROM upc.volatility_curve AS z
        WHERE NOT is_plain
          AND z.symbol = _fingerprint_matrix.symbol
          AND z.bucket = _fingerprint_matrix.bucket
    ),
    line AS (
        SELECT
            n.minutes,
            max(c.sample_size) AS sample_size,
            json_agg(
                round(
                    (CASE m.sign WHEN 1 THEN c.positive ELSE c.negative END)[m.threshold]::numeric, 2
                )
                ORDER BY m.place
            ) AS probabilities
        FROM generate_series(1, 60) AS n (minutes)
        CROSS JOIN move AS m
        LEFT JOIN curve AS c ON c.minutes = n.minutes
        GROUP BY n.minutes
    )
    SELECT
        (SELECT array_agg(m.name ORDER BY m.place) FROM move AS m),
        json_agg(l.probabilities ORDER BY l.minutes),
        json_agg(l.sample_size ORDER BY l.minutes)
    INTO columns, matrix, sample_sizes
    FROM line AS l;
END
$fn$;
COMMENT ON FUNCTION upc._fingerprint_matrix IS
    'the matrix of a fingerprint, 60 minutes by 120 moves, as JSON, with the names of its columns and the size of each of its rows';


-- Fingerprint as JSON, as a matrix of 60 minutes by 120 moves, of the set in use.
--
-- bucket: momentum bucket in basis points, 99 is the baseline. Row m of the matrix is m minutes to
-- the close; its columns are first the moves down, largest first, then those up: probabilities in
-- percent of a move of at least that size. null where the set has no number. model: volatility is the
-- fingerprint of standardised moves, which are in units of their forecast standard deviation; any other
-- is that of plain ones, in percent.
-- Errors: UP002 symbol, UP018 model, UP024 the catalogue has no such fingerprint.
--
-- Example:
--   SELECT json_array_length(fingerprint_document('BTC', 7)::json -> 'matrix') = 60;
CREATE FUNCTION upc.fingerprint_document(
    symbol text,
    bucket integer DEFAULT 99,
    model text DEFAULT 'momentum'
)
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_is_plain boolean := model <> 'volatility';
    v_fingerprint text;
    v_set record;
    v_moves numeric[];
    v_matrix record;
BEGIN
    IF symbol IS DISTINCT FROM '*' THEN
        PERFORM upc.require_symbol(symbol);
    END IF;
    IF NOT coalesce(model = ANY (upc._models()), false) THEN
        PERFORM upc._refuse_question(upc._make_question(1, symbol => symbol, model => model));
    END IF;
    v_fingerprint := upc._require_fingerprint(symbol, bucket, v_is_plain);
    IF v_is_plain THEN
        SELECT s.origin, s.thresholds, s.made_at
        INTO v_set
        FROM upc.fingerprint_set AS s
        WHERE s.symbol = fingerprint_document.symbol AND s.is_in_use;
        v_moves := ARRAY(SELECT k::numeric / 20 FROM generate_series(0, 59) AS k ORDER BY k);
    ELSE
        SELECT 'built' AS origin, upc.volatility_thresholds() AS thresholds, (
            SELECT f.completed_at
            FROM upc_data.volatility_fit AS f
            WHERE f.symbol = fingerprint_document.symbol
        ) AS made_at
        INTO v_set;
        v_moves := v_set.thresholds::numeric[];
    END IF;

    SELECT m.*
    INTO v_matrix
    FROM upc._fingerprint_matrix(
        symbol, bucket, v_is_plain, v_set.origin, v_set.thresholds, v_moves
    ) AS m;
    RETURN json_build_object(
        'fingerprint', v_fingerprint,
        'symbol', symbol,
        'bucket', nullif(bucket, upc._baseline()),
        'origin', v_set.origin,
        'made_at', upc._iso_utc(v_set.made_at),
        'minutes', ARRAY(SELECT generate_series(1, 60)),
        'columns', v_matrix.columns,
        'moves', ARRAY(
            SELECT round(w.sign * t.move, CASE WHEN v_is_plain THEN 2 ELSE 3 END)
            FROM (VALUES (-1), (1)) AS w (sign)
            CROSS JOIN unnest(v_moves) AS t (move)
            ORDER BY w.sign, w.sign * t.move
        ),
        'unit', CASE WHEN v_is_plain THEN 'percent' ELSE 'deviations' END,
        'matrix', v_matrix.matrix,
        'sample_sizes', v_matrix.sample_sizes
    )::text;
END
$fn$;
COMMENT ON FUNCTION upc.fingerprint_document IS
    'a fingerprint as JSON: 60 minutes to the close by 120 moves, probabilities in percent';


-- Calibration of a symbol's live ticks as JSON: rows of upc.calibration, and the number of closes of the
-- span without a known outcome.
--
-- Errors: UP002 symbol.
--
-- Example:
--   SELECT calibration_document('BTC', '2024-01-01 00:00+00', '2024-01-02 00:00+00');
CREATE FUNCTION upc.calibration_document(
    symbol text,
    since timestamptz DEFAULT '-infinity',
    until timestamptz DEFAULT 'infinity'
)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT json_build_object(
        'symbol', calibration_document.symbol,
        'since', CASE
            WHEN isfinite(calibration_document.since)
            THEN upc._iso_utc(calibration_document.since)
        END,
        'until', CASE
            WHEN isfinite(calibration_document.until)
            THEN upc._iso_utc(calibration_document.until)
        END,
        'unjudged_closes',
        (
            SELECT count(*)
            FROM upc.unjudged_closes(
                calibration_document.symbol,
                calibration_document.since,
                calibration_document.until
            )
        ),
        'scores',
        (
            SELECT coalesce(json_agg(c), '[]')
            FROM upc.calibration(
                calibration_document.symbol,
                calibration_document.since,
                calibration_document.until
            ) AS c
        )
    )::text;
END;
COMMENT ON FUNCTION upc.calibration_document IS
    'the calibration of a symbol''s live ticks, as JSON';

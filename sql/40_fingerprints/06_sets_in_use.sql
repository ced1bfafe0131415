-- Sets in use: a symbol may have fingerprints built from candles and imported ones; one set answers.

CREATE FUNCTION upc._require_origin(origin text)
RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
BEGIN
    IF NOT coalesce(_require_origin.origin IN ('built', 'imported'), false) THEN
        RAISE EXCEPTION 'unknown origin %', coalesce(quote_literal(_require_origin.origin), 'NULL')
            USING
                ERRCODE = 'UP012',
                DETAIL = 'Fingerprints are built from candles, or imported.',
                HINT = 'Use ''built'' or ''imported''.';
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._require_origin IS
    'raises UP012 unless fingerprints can have the origin';


CREATE FUNCTION upc._require_set(symbol text, origin text)
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    PERFORM upc.require_symbol(symbol);
    PERFORM upc._require_origin(origin);
    IF EXISTS (
        SELECT FROM upc.fingerprint_set AS f
        WHERE f.symbol = _require_set.symbol AND f.origin = _require_set.origin
    ) THEN
        RETURN;
    END IF;
    RAISE EXCEPTION '% has no % fingerprints', symbol, origin
        USING
            ERRCODE = 'UP013',
            DETAIL = 'A symbol may have fingerprints built from candles, and imported ones.',
            HINT = CASE origin
                WHEN 'built' THEN 'Load candles and run "pyupc fingerprints build".'
                ELSE 'Run "pyupc fingerprints import".'
            END;
END
$fn$;
COMMENT ON FUNCTION upc._require_set IS
    'raises UP013 unless the symbol has fingerprints of that origin';


-- Choose which fingerprints of some symbols compute_strikes answers from, at commit and for all
-- buckets at once: those that were built from candles, or those that were imported.
--
-- symbols: NULL chooses for every symbol that has fingerprints of that origin.
-- Returns the symbols chosen for, sorted.
-- Errors: UP002 symbol, UP012 origin, UP013 a symbol without fingerprints of that origin.
--
-- Example:
--   SELECT use_fingerprints('built', '{BTC}');
CREATE FUNCTION upc.use_fingerprints(origin text, symbols text[] DEFAULT NULL)
RETURNS SETOF text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $fn$
DECLARE
    v_symbols text[] := symbols;
    v_symbol text;
BEGIN
    PERFORM upc._require_origin(origin);

    IF v_symbols IS NULL THEN
        SELECT array_agg(f.symbol)
        INTO v_symbols
        FROM upc.fingerprint_set AS f
        WHERE f.origin = use_fingerprints.origin AND f.symbol <> '*';
    END IF;
    IF coalesce(cardinality(v_symbols), 0) = 0 THEN
        RAISE EXCEPTION 'no symbol has % fingerprints', origin
            USING
                ERRCODE = 'UP013',
                DETAIL = 'Only fingerprints that exist can answer.',
                HINT = 'See "pyupc fingerprints list".';
    END IF;
    FOREACH v_symbol IN ARRAY v_symbols LOOP
        PERFORM upc.require_symbol(v_symbol);
    END LOOP;
    PERFORM upc._lock_curves(v_symbols);
    FOREACH v_symbol IN ARRAY v_symbols LOOP
        PERFORM upc._require_set(v_symbol, origin);
    END LOOP;

    UPDATE upc_data.fingerprint_import AS i
    SET is_preferred = use_fingerprints.origin = 'imported'
    WHERE i.symbol = ANY (v_symbols);
    FOREACH v_symbol IN ARRAY v_symbols LOOP
        PERFORM upc._store_grid(v_symbol);
    END LOOP;
    RETURN QUERY SELECT DISTINCT s FROM unnest(v_symbols) AS s ORDER BY s;
END
$fn$;
COMMENT ON FUNCTION upc.use_fingerprints IS
    'chooses the origin of the fingerprints that compute_strikes answers from, for all buckets of some symbols at once';

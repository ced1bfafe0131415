-- The whole build of a symbol in one call.

-- Count what is new or corrected in the candles of a symbol and refresh its fingerprints.
--
-- Counts by other formulas or constants are replaced.
--
-- One transaction on one core: readers see the old fingerprints until it commits.
--
-- with_pool: false leaves the pool of all symbols to the caller, who refreshes it once for several
-- symbols.
-- refits: false leaves a refit of the volatility, and the recount that may follow from it, for later,
-- so that a new day does not wait for it. A refit that another process is at is left to that one.
-- Returns the number of UTC days counted; 0 means that nothing had changed.
-- Errors: UP002 unknown symbol; 55P03 another build of the symbol is running.
--
-- Example:
--   SELECT build_fingerprints('BTC') >= 0 AS is_built;
CREATE FUNCTION upc.build_fingerprints(
    symbol text,
    with_pool boolean DEFAULT true,
    refits boolean DEFAULT true
)
RETURNS integer
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_days date[];
    v_count integer := 0;
    v_has_new_volatility boolean;
    v_refits boolean;
BEGIN
    PERFORM upc.require_symbol(build_fingerprints.symbol);

    IF NOT pg_try_advisory_xact_lock(upc.build_lock_key(build_fingerprints.symbol)) THEN
        RAISE EXCEPTION 'the fingerprints of % are being built', build_fingerprints.symbol
            USING
                ERRCODE = 'lock_not_available',
                DETAIL = 'One build of a symbol runs at a time.',
                HINT = 'Wait until it is done; "pyupc fingerprints list" shows its progress.';
    END IF;

    IF upc._is_counted_by_others(build_fingerprints.symbol) THEN
        PERFORM upc.reset_counts(build_fingerprints.symbol);
    END IF;
    PERFORM upc.note_uncounted_days(build_fingerprints.symbol);
    v_refits := coalesce(refits, true)
        AND pg_try_advisory_xact_lock(upc.refit_lock_key(build_fingerprints.symbol));
    -- Plain and standardised moves of new days are counted in one pass, if there is a fit by then.
    IF v_refits AND NOT EXISTS (
        SELECT FROM upc_data.volatility_fit AS f WHERE f.symbol = build_fingerprints.symbol
    ) THEN
        PERFORM upc.prepare_volatility(build_fingerprints.symbol);
    END IF;
    FOR v_days IN SELECT p.days FROM upc.build_pieces(build_fingerprints.symbol) AS p LOOP
        PERFORM upc.count_days(build_fingerprints.symbol, v_days);
        v_count := v_count + cardinality(v_days);
    END LOOP;

    v_has_new_volatility := upc._build_volatility(
        build_fingerprints.symbol, v_refits, is_counted => v_count > 0
    );
    -- A week may have gone by, and the counts be others.
    v_has_new_volatility := upc.recalibrate(build_fingerprints.symbol) OR v_has_new_volatility;

    IF v_count > 0 OR NOT EXISTS (
        SELECT FROM upc_data.fingerprint_build AS b
        WHERE b.symbol = build_fingerprints.symbol AND b.completed_at IS NOT NULL
    ) THEN
        PERFORM upc.begin_build(build_fingerprints.symbol);
        PERFORM upc.complete_build(build_fingerprints.symbol);
        PERFORM upc._publish(build_fingerprints.symbol, with_pool);
    ELSIF v_has_new_volatility
        OR (SELECT f.problem IS NOT NULL FROM upc.fingerprint_problem(build_fingerprints.symbol) AS f)
    THEN
        PERFORM upc._publish(build_fingerprints.symbol, with_pool);
    END IF;
    RETURN v_count;
END
$fn$;
COMMENT ON FUNCTION upc.build_fingerprints IS
    'counts what is new or corrected in the candles of a symbol and refreshes the fingerprints; returns the number of UTC days counted';

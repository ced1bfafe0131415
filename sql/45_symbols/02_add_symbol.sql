-- Registering a symbol: from then on feeds, builds and ticks take it.

CREATE FUNCTION upc._refuse_symbol_name(symbol text)
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    -- The longest name that is made of it, btc_fingerprint_directional_momentum_-27, has 63 letters.
    v_most integer := 26;
BEGIN
    IF symbol ~ '^[A-Z0-9]+$' AND length(symbol) <= v_most AND symbol <> 'POOLED' THEN
        RETURN;
    END IF;
    RAISE EXCEPTION 'no name of a symbol: %', coalesce(quote_literal(left(symbol, 70)), 'NULL')
        USING
            ERRCODE = 'UP002',
            DETAIL = format(
                'A name has 1 to %s upper-case letters A to Z and digits, since views and files are '
                'named after it; POOLED is the name of the pool''s view.',
                v_most
            ),
            HINT = CASE
                WHEN upper(btrim(symbol)) ~ '^[A-Z0-9]+$' AND length(btrim(symbol)) <= v_most
                    AND upper(btrim(symbol)) <> 'POOLED'
                THEN format('Write %s.', upper(btrim(symbol)))
                ELSE 'Choose another, such as SOL.'
            END;
END
$fn$;
COMMENT ON FUNCTION upc._refuse_symbol_name IS
    'raises UP002 for a text that cannot be the name of a symbol';


CREATE FUNCTION upc._refuse_symbol_terms(
    step double precision,
    exchange_pair text,
    kalshi_series text[]
)
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    -- NaN sorts above infinity. Beyond these, prices divided by the step are no numbers of strikes.
    IF (step BETWEEN 1e-12 AND 1e12) IS NOT TRUE THEN
        RAISE EXCEPTION 'step must be a number from 1e-12 to 1e12, got %', coalesce(step::text, 'NULL')
            USING
                ERRCODE = 'UP003',
                DETAIL = 'Strikes are multiples of the step, in quote currency per unit (USD).',
                HINT = 'Give the distance between two strikes: 250 for BTC, 0.01 for XRP.';
    END IF;
    IF exchange_pair !~ '^[^/[:space:]]+/[^/[:space:]]+$' THEN
        RAISE EXCEPTION 'no pair of an exchange: %', quote_literal(left(exchange_pair, 40))
            USING
                ERRCODE = 'invalid_parameter_value',
                DETAIL = 'A pair is BASE/QUOTE.',
                HINT = 'Write SOL/USD, or leave it out: the symbol against USD.';
    END IF;
    IF EXISTS (
        SELECT FROM unnest(kalshi_series) AS s (name)
        WHERE (s.name ~ '^[A-Z0-9][A-Z0-9._-]{0,63}$') IS NOT TRUE
    ) OR array_ndims(kalshi_series) <> 1 OR (
        SELECT count(*) > count(DISTINCT s.name) FROM unnest(kalshi_series) AS s (name)
    ) THEN
        RAISE EXCEPTION 'no list of Kalshi series: %', left(kalshi_series::text, 80)
            USING
                ERRCODE = 'invalid_parameter_value',
                DETAIL = 'A series has up to 64 of A to Z, 0 to 9, point, dash and underscore, and is named once.',
                HINT = 'Write {KXSOLD}, or {} for a symbol without markets.';
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._refuse_symbol_terms IS
    'raises UP003 for a step, 22023 for an exchange pair or a list of Kalshi series, that cannot be';


-- Refuse a name or a series that is taken. Waits for others that register a symbol, until they have
-- ended.
CREATE FUNCTION upc._refuse_taken_symbol(symbol text, kalshi_series text[])
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $fn$
DECLARE
    v_taken record;
BEGIN
    -- It lets everybody read, and feeds and ticks go on.
    LOCK TABLE upc_data.symbol IN SHARE ROW EXCLUSIVE MODE;
    IF EXISTS (SELECT FROM upc_data.symbol AS s WHERE s.symbol = _refuse_taken_symbol.symbol) THEN
        RAISE EXCEPTION 'symbol % is registered already', symbol
            USING
                ERRCODE = 'UP030',
                DETAIL = 'A symbol is registered once.',
                HINT = '"pyupc symbols list" shows it; to begin anew, retire it first.';
    END IF;
    IF EXISTS (SELECT FROM upc_data.retirement AS r WHERE r.symbol = _refuse_taken_symbol.symbol) THEN
        RAISE EXCEPTION 'symbol % is being retired', symbol
            USING
                ERRCODE = 'UP030',
                DETAIL = 'Its old rows are still being removed.',
                HINT = format(
                    'Finish with "pyupc symbols retire %s --yes", then add it again.', symbol
                );
    END IF;
    SELECT s.symbol, s.series
    INTO v_taken
    FROM upc_data.series AS s
    WHERE s.series = ANY (_refuse_taken_symbol.kalshi_series)
    ORDER BY s.symbol, s.series
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'series % belongs to %', v_taken.series, v_taken.symbol
            USING
                ERRCODE = 'UP030',
                DETAIL = 'An event belongs to the one symbol that has its series.',
                HINT = 'Leave the series out, or retire the other symbol.';
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._refuse_taken_symbol IS
    'raises UP030 for a symbol that is registered or being retired, and for a Kalshi series of another symbol';


-- Register a symbol.
--
-- symbol: 1 to 26 upper-case letters and digits. step: distance between two strikes, in quote currency
-- (USD). exchange_pair: spot pair whose prices are read; NULL is the symbol against USD.
-- kalshi_series: series of its events; NULL those that are known of it (known_series()), if any, and
-- '{}' for a symbol without markets. views: with named views in
-- analytics, one per fingerprint, as BTC and ETH have them; without them
-- fingerprint('SOL', 7) shows the same.
-- Feeds and ticks of all symbols take it up by themselves.
-- Errors: UP002 no name of a symbol; UP003 step; 22023 pair or series; UP030 the symbol or a series
-- is taken, or the symbol is being retired.
--
-- Example:
--   SELECT add_symbol('SOL', 2, 'SOL/USD', '{KXSOLD}');
CREATE FUNCTION upc.add_symbol(
    symbol text,
    step double precision,
    exchange_pair text DEFAULT NULL,
    kalshi_series text[] DEFAULT NULL,
    views boolean DEFAULT false
)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $fn$
BEGIN
    PERFORM upc._refuse_symbol_name(symbol);
    PERFORM upc._refuse_symbol_terms(step, exchange_pair, kalshi_series);
    PERFORM upc._refuse_taken_symbol(symbol, kalshi_series);

    INSERT INTO upc_data.symbol AS s (symbol, strike_step, exchange_pair)
    VALUES (add_symbol.symbol, step, add_symbol.exchange_pair);
    PERFORM upc._add_series(symbol, kalshi_series);
    PERFORM upc._refresh_grid(symbol);
    IF views THEN
        PERFORM upc.create_named_views(symbol);
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc.add_symbol IS
    'registers a symbol, so that feeds, builds and ticks take it';

-- Curves of standardised moves: like the fingerprints, one row per symbol, bucket and minute, and
-- refreshed together with them.

DO $do$
DECLARE
    v_sums text;
    v_positive text;
    v_negative text;
BEGIN
    SELECT
        string_agg(
            format(
                'sum(w.weight * w.positive[%1$s]) AS p%1$s, sum(w.weight * w.negative[%1$s]) AS n%1$s',
                k
            ),
            ', ' ORDER BY k
        ),
        string_agg(format('(100 * s.p%s)::double precision / s.weight', k), ', ' ORDER BY k),
        string_agg(format('(100 * s.n%s)::double precision / s.weight', k), ', ' ORDER BY k)
    INTO v_sums, v_positive, v_negative
    FROM generate_series(1, 60) AS k;

    EXECUTE format(
        $sql$
        CREATE MATERIALIZED VIEW upc.volatility_curve AS
        WITH newest AS (
            SELECT d.symbol, extract(year FROM max(d.day))::integer AS year
            FROM upc_data.volatility_day AS d
            GROUP BY d.symbol
        ),
        weighted AS (
            SELECT
                h.symbol,
                h.bucket,
                h.minutes,
                h.pairs,
                h.positive,
                h.negative,
                greatest(1, 5 - (y.year - h.year)) AS weight
            FROM upc_data.volatility_histogram AS h
            JOIN newest AS y USING (symbol)
            JOIN upc_data.volatility_fit AS f USING (symbol)
            WHERE f.completed_at IS NOT NULL
        ),
        summed AS (
            SELECT
                w.symbol,
                w.bucket,
                w.minutes,
                sum(w.pairs) AS pairs,
                sum(w.weight * w.pairs)::double precision AS weight,
                %1$s
            FROM weighted AS w
            GROUP BY w.symbol, w.bucket, w.minutes
        )
        SELECT
            s.symbol COLLATE "C" AS symbol,
            s.bucket,
            s.minutes,
            s.pairs AS sample_size,
            ARRAY[%2$s] AS positive,
            ARRAY[%3$s] AS negative
        FROM summed AS s
        $sql$,
        v_sums, v_positive, v_negative
    );
END
$do$;
CREATE UNIQUE INDEX volatility_curve_symbol_bucket_minutes_key
    ON upc.volatility_curve (symbol, bucket, minutes);
COMMENT ON MATERIALIZED VIEW upc.volatility_curve IS
    'the fingerprints of standardised moves: one row per symbol, momentum bucket and distance in minutes';
COMMENT ON COLUMN upc.volatility_curve.symbol IS 'symbol';
COMMENT ON COLUMN upc.volatility_curve.bucket IS 'momentum bucket, basis points; 99 is the baseline';
COMMENT ON COLUMN upc.volatility_curve.minutes IS 'minutes from now to the later close';
COMMENT ON COLUMN upc.volatility_curve.sample_size IS
    'starting minutes behind the row, every other one, unweighted';
COMMENT ON COLUMN upc.volatility_curve.positive IS
    'element k: probability in percent of a move of at least the k-th of upc.volatility_thresholds() standard deviations';
COMMENT ON COLUMN upc.volatility_curve.negative IS
    'element k: probability in percent of a move of at most minus the k-th threshold';
COMMENT ON INDEX upc.volatility_curve_symbol_bucket_minutes_key IS
    'the probe of compute_strikes; also what lets the view be refreshed while it is read';

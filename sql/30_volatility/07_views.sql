-- The named fingerprints of standardised moves: one view each, beside those of plain moves.

CREATE VIEW upc.volatility_catalogue AS
SELECT
    upc._volatility_name(s.symbol, b.bucket) AS fingerprint,
    s.symbol,
    b.bucket::smallint AS bucket
FROM upc_data.symbol AS s
CROSS JOIN (SELECT generate_series(-30, 30) UNION ALL SELECT upc._baseline()) AS b (bucket);
COMMENT ON VIEW upc.volatility_catalogue IS
    'every fingerprint of standardised moves that the registered symbols call for, there or not';
COMMENT ON COLUMN upc.volatility_catalogue.fingerprint IS 'name; also of its view in analytics';
COMMENT ON COLUMN upc.volatility_catalogue.symbol IS 'symbol';
COMMENT ON COLUMN upc.volatility_catalogue.bucket IS
    'momentum bucket, basis points; 99 is the baseline';


-- Creates the views of standardised moves that analytics does not have yet.
--
-- Returns their number.
CREATE FUNCTION upc._create_volatility_views()
RETURNS integer
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_fingerprint record;
    v_columns text;
    v_count integer := 0;
BEGIN
    SELECT string_agg(
        format(
            'round(c.positive[%1$s]::numeric, 2)::numeric(5, 2) AS pos_%2$s, '
            'round(c.negative[%1$s]::numeric, 2)::numeric(5, 2) AS neg_%2$s',
            t.k,
            replace(to_char(t.threshold, 'FM90.000'), '.', '_')
        ),
        ', ' ORDER BY t.k
    )
    INTO v_columns
    FROM unnest(upc.volatility_thresholds()) WITH ORDINALITY AS t (threshold, k);

    FOR v_fingerprint IN
        SELECT c.fingerprint, c.symbol, c.bucket
        FROM upc.volatility_catalogue AS c
        WHERE to_regclass(format('analytics.%I', c.fingerprint)) IS NULL
    LOOP
        EXECUTE format(
            $sql$
            CREATE VIEW analytics.%1$I AS
            SELECT
                lpad(m::text, 2, '0') || 'm TTC' AS time_to_close,
                m AS minutes_to_close,
                %2$s
            FROM generate_series(1, 60) AS m
            LEFT JOIN upc.volatility_curve AS c
                ON c.symbol = %3$L AND c.bucket = %4$s AND c.minutes = m
            $sql$,
            v_fingerprint.fingerprint, v_columns, v_fingerprint.symbol, v_fingerprint.bucket
        );
        EXECUTE format(
            'COMMENT ON VIEW analytics.%I IS %L',
            v_fingerprint.fingerprint,
            'probabilities in percent of a move of at least +z (pos_z) and at most -z (neg_z) times '
            'its forecast standard deviation within the minutes to the close'
        );
        v_count := v_count + 1;
    END LOOP;
    RETURN v_count;
END
$fn$;
COMMENT ON FUNCTION upc._create_volatility_views IS
    'creates the named views of standardised moves that analytics lacks; returns their number';

SELECT upc._create_volatility_views();

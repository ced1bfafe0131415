-- The named fingerprints: one view each, for psql and for users of the predecessor's tables.

CREATE VIEW upc.fingerprint_catalogue AS
SELECT
    upc.fingerprint_name(f.symbol, f.bucket) AS fingerprint,
    f.symbol,
    f.bucket::smallint AS bucket
FROM (
    SELECT s.symbol, b.bucket
    FROM upc_data.symbol AS s
    CROSS JOIN (SELECT generate_series(-30, 30) UNION ALL SELECT upc._baseline()) AS b (bucket)
    UNION ALL
    SELECT '*', upc._baseline()
    UNION
    SELECT i.symbol, i.bucket
    FROM upc_data.imported_fingerprint AS i
) AS f (symbol, bucket);
COMMENT ON VIEW upc.fingerprint_catalogue IS
    'every fingerprint that the registered symbols call for, there or not: 62 a symbol, imported buckets beyond those, and the pool';
COMMENT ON COLUMN upc.fingerprint_catalogue.fingerprint IS 'name; also of its view in analytics';
COMMENT ON COLUMN upc.fingerprint_catalogue.symbol IS 'symbol; * is the pool of all symbols';
COMMENT ON COLUMN upc.fingerprint_catalogue.bucket IS
    'momentum bucket, basis points; 99 is the baseline';


-- Creates the views that the catalogue calls for and analytics does not have yet.
--
-- Returns their number.
CREATE FUNCTION upc._create_fingerprint_views()
RETURNS integer
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_fingerprint record;
    v_columns text;
    v_count integer := 0;
    -- The set in use, and the places of its thresholds.
    v_set text := $sql$
        SELECT a.curve_symbol, a.curve_origin, a.curve_bucket, a.named_places
        FROM upc.fingerprint_grid AS a
        WHERE a.symbol = %L AND a.bucket >= %s
        ORDER BY a.bucket
        LIMIT 1
    $sql$;
    v_pool text := $sql$
        SELECT '*', 'built', upc._baseline(), ARRAY(SELECT generate_series(1, 60))
    $sql$;
BEGIN
    SELECT string_agg(
        format(
            'round(c.positive[g.named_places[%1$s]]::numeric, 2)::numeric(5, 2) AS pos_%2$s, '
            'round(c.negative[g.named_places[%1$s]]::numeric, 2)::numeric(5, 2) AS neg_%2$s',
            k,
            replace(to_char(0.05 * (k - 1), 'FM0.00'), '.', '_')
        ),
        ', ' ORDER BY k
    )
    INTO v_columns
    FROM generate_series(1, 60) AS k;

    FOR v_fingerprint IN
        SELECT f.fingerprint, f.symbol, f.bucket
        FROM upc.fingerprint_catalogue AS f
        WHERE to_regclass(format('analytics.%I', f.fingerprint)) IS NULL
    LOOP
        EXECUTE format(
            $sql$
            CREATE VIEW analytics.%1$I AS
            SELECT
                lpad(m::text, 2, '0') || 'm TTC' AS time_to_close,
                m AS minutes_to_close,
                %2$s
            FROM generate_series(1, 60) AS m
            LEFT JOIN (%3$s) AS g (curve_symbol, curve_origin, curve_bucket, named_places)
                ON g.curve_symbol = %4$L AND g.curve_bucket = %5$s
            LEFT JOIN upc.fingerprint_curve AS c
                ON c.symbol = g.curve_symbol
                AND c.origin = g.curve_origin
                AND c.bucket = g.curve_bucket
                AND c.minutes = m
            $sql$,
            v_fingerprint.fingerprint,
            v_columns,
            CASE v_fingerprint.symbol
                WHEN '*' THEN v_pool
                ELSE format(v_set, v_fingerprint.symbol, v_fingerprint.bucket)
            END,
            v_fingerprint.symbol,
            v_fingerprint.bucket
        );
        EXECUTE format(
            'COMMENT ON VIEW analytics.%I IS %L',
            v_fingerprint.fingerprint,
            'probabilities in percent of a move of at least +θ % (pos_θ) and at most -θ % (neg_θ) '
            'within the minutes to the close, of the set in use; NULL where that has no number'
        );
        v_count := v_count + 1;
    END LOOP;
    RETURN v_count;
END
$fn$;
COMMENT ON FUNCTION upc._create_fingerprint_views IS
    'creates the named fingerprint views that the catalogue calls for and analytics lacks; returns their number';

SELECT upc._create_fingerprint_views();


CREATE FUNCTION upc._symbol_changed()
RETURNS trigger
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    IF upc._create_fingerprint_views() + upc._create_volatility_views() > 0 THEN
        PERFORM upc.record_engine_objects();
    END IF;
    PERFORM upc._refresh_grid();
    RETURN NULL;
END
$fn$;
COMMENT ON FUNCTION upc._symbol_changed IS
    'trigger: gives a new symbol its views, and compute_strikes the symbol and its strike step';

CREATE TRIGGER symbol_changed
AFTER INSERT OR UPDATE OR DELETE ON upc_data.symbol
FOR EACH STATEMENT EXECUTE FUNCTION upc._symbol_changed();

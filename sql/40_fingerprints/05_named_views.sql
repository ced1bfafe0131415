-- The named fingerprints: one view each, for psql and for users of the predecessor's tables. BTC, ETH and
-- the pool have them, other symbols on request: every upgrade drops views and makes them again.

CREATE FUNCTION upc._named_column(direction text, k integer)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN format(
    '%s_%s',
    _named_column.direction,
    replace(to_char(0.05 * (_named_column.k - 1), 'FM0.00'), '.', '_')
);
COMMENT ON FUNCTION upc._named_column IS
    'the name of a column of the named views: pos or neg, and the k-th threshold';


CREATE FUNCTION upc._named_columns()
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN (
    SELECT string_agg(
        format(
            'round(c.positive[g.named_places[%1$s]]::numeric, 2)::numeric(5, 2) AS %2$s, '
            'round(c.negative[g.named_places[%1$s]]::numeric, 2)::numeric(5, 2) AS %3$s',
            k, upc._named_column('pos', k), upc._named_column('neg', k)
        ),
        ', ' ORDER BY k
    )
    FROM generate_series(1, 60) AS k
);
COMMENT ON FUNCTION upc._named_columns IS
    'the columns of probabilities of a named view, from a curve c and a grid g';


-- The query of a named fingerprint, as text.
--
-- symbol: * is the pool.
CREATE FUNCTION upc._fingerprint_view_query(symbol text, bucket integer)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN format(
    $sql$
    SELECT
        lpad(m::text, 2, '0') || 'm TTC' AS time_to_close,
        m AS minutes_to_close,
        %1$s
    FROM generate_series(1, 60) AS m
    LEFT JOIN (%2$s) AS g (curve_symbol, curve_origin, curve_bucket, named_places)
        ON g.curve_symbol = %3$L AND g.curve_bucket = %4$s
    LEFT JOIN upc.fingerprint_curve AS c
        ON c.symbol = g.curve_symbol
        AND c.origin = g.curve_origin
        AND c.bucket = g.curve_bucket
        AND c.minutes = m
    $sql$,
    upc._named_columns(),
    CASE
        WHEN _fingerprint_view_query.symbol = '*' THEN
            'SELECT ''*'', ''built'', upc._baseline(), ARRAY(SELECT generate_series(1, 60))'
        -- The set in use, and the places of its thresholds.
        ELSE format(
            $sql$
            SELECT a.curve_symbol, a.curve_origin, a.curve_bucket, a.named_places
            FROM upc.fingerprint_grid AS a
            WHERE a.symbol = %L AND a.bucket >= %s
            ORDER BY a.bucket
            LIMIT 1
            $sql$,
            _fingerprint_view_query.symbol,
            _fingerprint_view_query.bucket
        )
    END,
    _fingerprint_view_query.symbol,
    _fingerprint_view_query.bucket
);
COMMENT ON FUNCTION upc._fingerprint_view_query IS
    'the query, as text, of the named view of a fingerprint';


-- The query that shows a fingerprint as its view in analytics does, whether there is that view or not.
--
-- fingerprint: name of a fingerprint of plain or of standardised moves.
-- Returns the text of a query, one row a minute from 1 to 60; NULL where no registered symbol calls for
-- the fingerprint.
-- Errors: none.
--
-- Example:
--   SELECT named_view_query('btc_fingerprint_directional_momentum_007') LIKE '%pos_0_05%';
CREATE FUNCTION upc.named_view_query(fingerprint text)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(
    (
        SELECT upc._fingerprint_view_query(f.symbol, f.bucket)
        FROM upc.fingerprint_catalogue AS f
        WHERE f.fingerprint = named_view_query.fingerprint
    ),
    (
        SELECT upc._volatility_view_query(v.symbol, v.bucket)
        FROM upc.volatility_catalogue AS v
        WHERE v.fingerprint = named_view_query.fingerprint
    )
);
COMMENT ON FUNCTION upc.named_view_query IS
    'the query, as text, that shows a fingerprint as its view in analytics does, whether there is that view or not';


-- Create the named views of a symbol that analytics does not have yet. symbol: * is the pool.
--
-- Returns their number.
CREATE FUNCTION upc._create_views(symbol text)
RETURNS integer
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_view record;
    v_count integer := 0;
BEGIN
    FOR v_view IN
        SELECT
            f.fingerprint,
            upc._fingerprint_view_query(f.symbol, f.bucket) AS query,
            'probabilities in percent of a move of at least +θ % (pos_θ) and at most -θ % (neg_θ) '
            'within the minutes to the close, of the set in use; NULL where that has no number'
                AS comment
        FROM upc.fingerprint_catalogue AS f
        WHERE f.symbol = _create_views.symbol
          AND to_regclass(format('analytics.%I', f.fingerprint)) IS NULL
        UNION ALL
        SELECT
            v.fingerprint,
            upc._volatility_view_query(v.symbol, v.bucket),
            'probabilities in percent of a move of at least +z (pos_z) and at most -z (neg_z) times '
            'its forecast standard deviation within the minutes to the close'
        FROM upc.volatility_catalogue AS v
        WHERE v.symbol = _create_views.symbol
          AND to_regclass(format('analytics.%I', v.fingerprint)) IS NULL
    LOOP
        EXECUTE format('CREATE VIEW analytics.%I AS %s', v_view.fingerprint, v_view.query);
        EXECUTE format('COMMENT ON VIEW analytics.%I IS %L', v_view.fingerprint, v_view.comment);
        v_count := v_count + 1;
    END LOOP;
    RETURN v_count;
END
$fn$;
COMMENT ON FUNCTION upc._create_views IS
    'creates the named views of a symbol (*: of the pool) that analytics lacks; returns their number';

-- Those of other symbols are made after the upgrade, in transactions of their own.
SELECT upc._create_views('*');
SELECT upc._create_views(s.symbol)
FROM upc_data.symbol AS s
WHERE s.symbol IN ('BTC', 'ETH') AND s.has_views;


-- Give a symbol its named views in analytics: one for each of its fingerprints of plain and of
-- standardised moves.
--
-- They are kept through upgrades. Without them, fingerprint(symbol, bucket) has the same columns.
-- Returns the number of views created; 0 where it had them all.
-- Errors: UP002 symbol; 42501 for a role that may not create views in analytics.
--
-- Example:
--   SELECT create_named_views('BTC') = 0;
CREATE FUNCTION upc.create_named_views(symbol text)
RETURNS integer
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_count integer;
BEGIN
    PERFORM upc.require_symbol(symbol);
    PERFORM upc._lock_curves(ARRAY[symbol]);
    UPDATE upc_data.symbol AS s
    SET has_views = true
    WHERE s.symbol = create_named_views.symbol AND NOT s.has_views;
    v_count := upc._create_views(symbol);
    IF v_count > 0 THEN
        PERFORM upc.record_engine_objects();
    END IF;
    RETURN v_count;
END
$fn$;
COMMENT ON FUNCTION upc.create_named_views IS
    'gives a symbol its named views in analytics, which are kept through upgrades; returns the number created';


-- Drop the named views of a symbol in analytics. Its fingerprints stay as they are.
--
-- Returns the number of views dropped.
-- Errors: UP002 symbol; 2BP01 where a view of somebody else depends on one of them.
--
-- Example:
--   SELECT drop_named_views('BTC') >= 0;
CREATE FUNCTION upc.drop_named_views(symbol text)
RETURNS integer
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_views text[];
BEGIN
    PERFORM upc.require_symbol(symbol);
    PERFORM upc._lock_curves(ARRAY[symbol]);
    UPDATE upc_data.symbol AS s
    SET has_views = false
    WHERE s.symbol = drop_named_views.symbol AND s.has_views;
    SELECT array_agg(format('analytics.%I', c.relname))
    INTO v_views
    FROM pg_catalog.pg_class AS c
    WHERE c.relnamespace = 'analytics'::regnamespace
      AND c.relkind = 'v'
      AND c.relname ~ format(
          '^%s_(fingerprint_directional|volatility)_(baseline|momentum_-?[0-9]+)$',
          lower(drop_named_views.symbol)
      );
    IF v_views IS NULL THEN
        RETURN 0;
    END IF;
    EXECUTE 'DROP VIEW ' || array_to_string(v_views, ', ');
    PERFORM upc.record_engine_objects();
    RETURN cardinality(v_views);
END
$fn$;
COMMENT ON FUNCTION upc.drop_named_views IS
    'drops the named views of a symbol in analytics; returns their number';

-- Documents: the strikes as they stand in the JSON files, with the predecessor's keys.

-- The strikes of a tick as JSON, from one call of strike_table.
--
-- Arguments as in strike_table; min_probability and min_differential, in percent, are what the
-- watchlist asks for. Probabilities, moves, buffers and differences have two decimals. edge_reason is
-- NULL where a row has an edge, else the reason of the row that is short of least.
CREATE FUNCTION upc._strike_documents(
    price double precision,
    momentum double precision,
    symbol text,
    at timestamptz,
    ttc_seconds integer,
    step double precision,
    levels integer,
    method text,
    price_state text,
    has_market boolean,
    min_probability double precision,
    min_differential double precision,
    model text,
    settlement text,
    observed double precision,
    variances double precision[],
    OUT fingerprint text,
    OUT strikes double precision[],
    OUT prob_above double precision[],
    OUT yes_ask numeric[],
    OUT no_ask numeric[],
    OUT probabilities json,
    OUT strike_rows json,
    OUT watched_rows json,
    OUT edge_reason text
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    WITH answer AS MATERIALIZED (
        SELECT
            t.*,
            upc._two_decimals(t.buffer) AS shown_buffer,
            upc._two_decimals(t.prob_beyond) AS beyond,
            100 - upc._two_decimals(t.prob_beyond) AS within,
            t.direction = 'above' AS is_above,
            t.edge_reason IS NULL AS has_edge
        FROM upc.strike_table(
            _strike_documents.price,
            _strike_documents.momentum,
            _strike_documents.symbol,
            _strike_documents.at,
            _strike_documents.ttc_seconds,
            _strike_documents.step,
            _strike_documents.levels,
            _strike_documents.method,
            _strike_documents.price_state,
            _strike_documents.has_market,
            _strike_documents.model,
            _strike_documents.settlement,
            observed => _strike_documents.observed,
            variances => _strike_documents.variances
        ) AS t
    ),
    differing AS MATERIALIZED (
        SELECT
            a.*,
            CASE WHEN a.has_edge THEN
                CASE WHEN a.is_above THEN 100 - a.within ELSE a.within END - a.yes_ask
            END AS yes_diff,
            CASE WHEN a.has_edge THEN
                CASE WHEN a.is_above THEN a.within ELSE 100 - a.within END - a.no_ask
            END AS no_diff
        FROM answer AS a
    ),
    shown AS MATERIALIZED (
        SELECT
            d.*,
            -- A row is a third faster than json_build_object.
            row_to_json((
                SELECT r FROM (
                    SELECT
                        d.strike,
                        d.shown_buffer AS buffer,
                        upc._two_decimals(d.buffer_pct) AS buffer_pct,
                        d.within AS probability,
                        d.yes_ask,
                        d.no_ask,
                        d.yes_diff,
                        d.no_diff,
                        trim_scale(d.volume) AS volume,
                        d.ticker,
                        d.active_side,
                        d.yes_ask_dollars::text AS yes_ask_dollars,
                        d.no_ask_dollars::text AS no_ask_dollars,
                        d.yes_bid_dollars::text AS yes_bid_dollars,
                        d.no_bid_dollars::text AS no_bid_dollars,
                        upc._two_decimals(d.yes_edge) AS yes_edge,
                        upc._two_decimals(d.no_edge) AS no_edge,
                        upc._two_decimals(d.prob_above) AS prob_above,
                        d.sample_size,
                        upc._two_decimals(d.prob_low) AS prob_low,
                        upc._two_decimals(d.prob_high) AS prob_high,
                        d.edge_reason
                ) AS r
            )) AS table_row,
            row_to_json((
                SELECT r FROM (
                    SELECT
                        d.strike,
                        d.shown_buffer AS buffer,
                        upc._two_decimals(d.move_percent) AS move_percent,
                        d.beyond AS prob_beyond,
                        d.within AS prob_within,
                        d.direction,
                        upc._two_decimals(d.positive_prob) AS positive_prob,
                        upc._two_decimals(d.negative_prob) AS negative_prob
                ) AS r
            )) AS probability_row
        FROM differing AS d
    )
    SELECT
        min(s.fingerprint),
        array_agg(s.strike ORDER BY s.strike),
        array_agg(s.prob_above ORDER BY s.strike) FILTER (WHERE s.prob_above IS NOT NULL),
        array_agg(s.yes_ask_dollars ORDER BY s.strike),
        array_agg(s.no_ask_dollars ORDER BY s.strike),
        json_agg(s.probability_row ORDER BY s.strike),
        json_agg(s.table_row ORDER BY s.buffer, s.strike),
        coalesce(
            json_agg(s.table_row ORDER BY s.within DESC, s.buffer) FILTER (
                WHERE s.volume >= 1000
                  AND s.within > _strike_documents.min_probability - 5
                  AND s.yes_ask <= 98
                  AND s.no_ask <= 98
                  AND (
                      s.yes_diff >= _strike_documents.min_differential - 3
                      OR s.no_diff >= _strike_documents.min_differential - 3
                  )
            ),
            '[]'
        ),
        -- Of all the rows together: what the best of them is short of.
        CASE WHEN coalesce(NOT bool_or(s.has_edge), true) THEN
            coalesce(
                (upc.edge_reasons())[max(array_position(upc.edge_reasons(), s.edge_reason))],
                'no_offer'
            )
        END
    INTO
        fingerprint, strikes, prob_above, yes_ask, no_ask, probabilities, strike_rows,
        watched_rows, edge_reason
    FROM shown AS s;
END
$fn$;
COMMENT ON FUNCTION upc._strike_documents IS
    'the strikes of a tick as they stand in the JSON documents: probabilities, strike table and watchlist';

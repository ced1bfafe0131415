-- Documents of the strikes: a row as it stands in the JSON files, with the predecessor's keys.

-- The strikes of a tick as JSON, from one call of _strike_rows.
--
-- Arguments as in _strike_rows; min_probability and min_differential, in percent, are what the
-- watchlist asks for. Probabilities, moves, buffers and differences have two decimals. edge_reason is
-- NULL where a row has an edge, else the reason of the row that is short of least.
CREATE FUNCTION upc._strike_documents(
    question upc._question,
    event upc._event,
    price_state text,
    min_probability double precision,
    min_differential double precision,
    OUT fingerprint text,
    OUT strikes double precision[],
    OUT prob_above double precision[],
    OUT yes_ask numeric[],
    OUT no_ask numeric[],
    OUT probabilities json,
    OUT strike_rows json,
    OUT watched_rows json,
    OUT edge_reason text,
    OUT yes_bid numeric[],
    OUT no_bid numeric[]
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    SELECT
        min(s.fingerprint),
        array_agg(s.strike ORDER BY s.strike),
        array_agg(s.prob_above ORDER BY s.strike) FILTER (WHERE s.prob_above IS NOT NULL),
        array_agg(s.yes_ask_dollars ORDER BY s.strike),
        array_agg(s.no_ask_dollars ORDER BY s.strike),
        json_agg(s.probability_row ORDER BY s.strike),
        json_agg(s.table_row ORDER BY s.buffer, s.strike),
        coalesce(
            json_agg(s.table_row ORDER BY s.within DESC, s.buffer) FILTER (WHERE s.is_watched),
            '[]'
        ),
        -- Of all the rows together: what the best of them is short of.
        CASE WHEN coalesce(bool_and(s.edge_reason IS NOT NULL), true) THEN
            coalesce(
                (upc.edge_reasons())[max(array_position(upc.edge_reasons(), s.edge_reason))],
                'no_offer'
            )
        END,
        array_agg(s.yes_bid_dollars ORDER BY s.strike),
        array_agg(s.no_bid_dollars ORDER BY s.strike)
    INTO
        fingerprint, strikes, prob_above, yes_ask, no_ask, probabilities, strike_rows,
        watched_rows, edge_reason, yes_bid, no_bid
    FROM (
        SELECT
            t.strike,
            t.buffer,
            t.prob_above,
            t.yes_ask_dollars,
            t.no_ask_dollars,
            t.yes_bid_dollars,
            t.no_bid_dollars,
            t.fingerprint,
            t.edge_reason,
            k.within,
            t.volume >= 1000
                AND k.within > min_probability - 5
                AND t.yes_ask <= 98
                AND t.no_ask <= 98
                AND (d.yes_diff >= min_differential - 3 OR d.no_diff >= min_differential - 3)
                AS is_watched,
            -- A row is a third faster than json_build_object.
            row_to_json((
                SELECT r FROM (
                    SELECT
                        t.strike,
                        k.buffer,
                        upc._two_decimals(t.buffer_pct) AS buffer_pct,
                        k.within AS probability,
                        t.yes_ask,
                        t.no_ask,
                        d.yes_diff,
                        d.no_diff,
                        trim_scale(t.volume) AS volume,
                        t.ticker,
                        t.active_side,
                        t.yes_ask_dollars::text AS yes_ask_dollars,
                        t.no_ask_dollars::text AS no_ask_dollars,
                        t.yes_bid_dollars::text AS yes_bid_dollars,
                        t.no_bid_dollars::text AS no_bid_dollars,
                        upc._two_decimals(t.yes_edge) AS yes_edge,
                        upc._two_decimals(t.no_edge) AS no_edge,
                        upc._two_decimals(t.prob_above) AS prob_above,
                        t.sample_size,
                        upc._two_decimals(t.prob_low) AS prob_low,
                        upc._two_decimals(t.prob_high) AS prob_high,
                        t.edge_reason
                ) AS r
            )) AS table_row,
            row_to_json((
                SELECT r FROM (
                    SELECT
                        t.strike,
                        k.buffer,
                        upc._two_decimals(t.move_percent) AS move_percent,
                        k.beyond AS prob_beyond,
                        k.within AS prob_within,
                        t.direction,
                        upc._two_decimals(t.positive_prob) AS positive_prob,
                        upc._two_decimals(t.negative_prob) AS negative_prob
                ) AS r
            )) AS probability_row
        FROM upc._strike_rows(question, event, price_state) AS t
        CROSS JOIN LATERAL (
            SELECT
                upc._two_decimals(t.buffer) AS buffer,
                upc._two_decimals(t.prob_beyond) AS beyond,
                100 - upc._two_decimals(t.prob_beyond) AS within
            OFFSET 0
        ) AS k
        CROSS JOIN LATERAL (
            SELECT
                CASE WHEN t.edge_reason IS NULL THEN
                    CASE t.direction WHEN 'above' THEN k.beyond ELSE k.within END - t.yes_ask
                END AS yes_diff,
                CASE WHEN t.edge_reason IS NULL THEN
                    CASE t.direction WHEN 'above' THEN k.within ELSE k.beyond END - t.no_ask
                END AS no_diff
            OFFSET 0
        ) AS d
        -- Each row is worked out once: without this it is wherever it is used.
        OFFSET 0
    ) AS s;
END
$fn$;
COMMENT ON FUNCTION upc._strike_documents IS
    'the strikes of a tick as they stand in the JSON documents: probabilities, strike table and watchlist';

-- Lookup: the cell of a fingerprint that answers a question.

-- The curve that answers a question, and the grid on which it is read: one probe of either index.
--
-- momentum: basis points; NULL asks the baseline. ttc_seconds: NULL means to the next full hour.
-- Returns no row where no fingerprint answers. It is part of the query that calls it.
CREATE FUNCTION upc._fingerprint_answer(
    symbol text,
    momentum double precision,
    ttc_seconds integer
)
RETURNS TABLE (
    strike_step double precision,
    fingerprint text,
    move_edges double precision[],
    sample_size bigint,
    positive double precision[],
    negative double precision[],
    effective_size double precision,
    weighted_size double precision
)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
    SELECT g.strike_step, g.fingerprint, g.move_edges, c.sample_size, c.positive, c.negative,
        c.effective_size, c.weighted_size
    FROM (
        SELECT a.*
        FROM upc.fingerprint_grid AS a
        WHERE a.symbol = _fingerprint_answer.symbol
          AND a.bucket >= upc._asked_bucket(_fingerprint_answer.momentum)
        ORDER BY a.bucket
        LIMIT 1
    ) AS g
    JOIN upc.fingerprint_curve AS c
        ON c.symbol = g.curve_symbol
        AND c.origin = g.curve_origin
        AND c.bucket = g.curve_bucket
        AND c.minutes = g.minutes[
            1 + width_bucket(
                coalesce(
                    _fingerprint_answer.ttc_seconds, upc._seconds_to_hour(statement_timestamp())
                ),
                g.ttc_edges
            )
        ];
END;
COMMENT ON FUNCTION upc._fingerprint_answer IS
    'the curve that answers for a symbol, a momentum and a time to the close, and the edges between its moves';

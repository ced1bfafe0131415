-- Realised variance of minutes, from the price log: a small table that stays when the prices go.

-- Spans of whole minutes whose variance is not noted yet, one a symbol, up to an instant: from the first
-- price that has not been counted, and over about so many prices.
CREATE FUNCTION upc._unnoted_spans(until timestamptz, most integer)
RETURNS TABLE (symbol text, since timestamptz, until_minute timestamptz)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100
AS $fn$
BEGIN
    RETURN QUERY
    SELECT
        s.symbol,
        upc._minute_of(f.received_at),
        CASE
            WHEN l.received_at IS NULL THEN _unnoted_spans.until
            ELSE greatest(
                upc._minute_of(l.received_at), upc._minute_of(f.received_at) + interval '1 minute'
            )
        END
    FROM upc_data.symbol AS s
    LEFT JOIN upc_data.log_progress AS k ON k.symbol = s.symbol
    CROSS JOIN LATERAL (
        SELECT p.received_at
        FROM upc_data.price AS p
        WHERE p.symbol = s.symbol
          AND p.received_at >= coalesce(k.variance_until, '-infinity')
          AND p.received_at < _unnoted_spans.until
        ORDER BY p.received_at
        LIMIT 1
    ) AS f
    LEFT JOIN LATERAL (
        SELECT p.received_at
        FROM upc_data.price AS p
        WHERE p.symbol = s.symbol
          AND p.received_at >= f.received_at
          AND p.received_at < _unnoted_spans.until
        ORDER BY p.received_at
        OFFSET greatest(most, 1)
        LIMIT 1
    ) AS l ON true;
END
$fn$;
COMMENT ON FUNCTION upc._unnoted_spans IS
    'the spans of whole minutes of each symbol''s prices whose variance is to be noted next';


-- Note the realised variance of the minutes that are over, each once, in upc_data.minute_variance.
--
-- The price of a second is the last one of an exchange in it. A minute's variance is the sum of the
-- squared log returns from each second with a price to the next one, as far as that is of the minute;
-- more than 5 s are not bridged, since what happened in them has not been seen. A minute is over 15 s
-- after its end; a price that comes in later changes nothing any more.
--
-- at: the clock. most: how many prices of a symbol at least, oldest first, where there are more; NULL
-- takes as many as leave a tick its time.
-- Returns how many rows were written.
--
-- Example:
--   SELECT note_variances('2000-01-01 00:00+00') = 0 AS is_done;
CREATE FUNCTION upc.note_variances(
    at timestamptz DEFAULT clock_timestamp(),
    most integer DEFAULT NULL
)
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $fn$
DECLARE
    v_until timestamptz := upc._minute_of(at - interval '15 seconds');
    v_most integer := coalesce(
        most, greatest(180, 60000 / greatest(1, (SELECT count(*) FROM upc_data.symbol)))
    );
    v_count bigint;
BEGIN
    WITH second AS MATERIALIZED (
        SELECT DISTINCT ON (n.symbol, p.exchange, date_trunc('second', p.received_at))
            n.symbol,
            p.exchange,
            n.since,
            date_trunc('second', p.received_at) AS second_at,
            p.price
        FROM upc._unnoted_spans(v_until, v_most) AS n
        CROSS JOIN LATERAL (
            SELECT o.exchange, o.received_at, o.price
            FROM upc_data.price AS o
            WHERE o.symbol = n.symbol
              AND o.received_at >= n.since - interval '5 seconds'
              AND o.received_at < n.until_minute
            OFFSET 0
        ) AS p
        ORDER BY n.symbol, p.exchange, date_trunc('second', p.received_at), p.received_at DESC
    ),
    step AS (
        SELECT
            c.symbol,
            c.exchange,
            c.since,
            c.second_at,
            CASE
                WHEN c.second_at - lag(c.second_at) OVER w <= interval '5 seconds'
                THEN ln(c.price / lag(c.price) OVER w)
            END AS log_return
        FROM second AS c
        WINDOW w AS (PARTITION BY c.symbol, c.exchange ORDER BY c.second_at)
    ),
    noted AS (
        INSERT INTO upc_data.minute_variance AS v (symbol, exchange, minute_at, variance, seconds)
        SELECT
            t.symbol,
            t.exchange,
            upc._minute_of(t.second_at),
            coalesce(sum(t.log_return * t.log_return), 0),
            count(*)
        FROM step AS t
        WHERE t.second_at >= t.since
        GROUP BY t.symbol, t.exchange, upc._minute_of(t.second_at)
        ON CONFLICT ON CONSTRAINT minute_variance_symbol_exchange_minute_at_pkey DO NOTHING
        RETURNING v.symbol
    ),
    progress AS (
        -- Up to the last price there is, and not to where a clock that is ahead would have it.
        INSERT INTO upc_data.log_progress AS k (symbol, variance_until)
        SELECT c.symbol, upc._minute_of(max(c.second_at)) + interval '1 minute'
        FROM second AS c
        WHERE c.second_at >= c.since
        GROUP BY c.symbol
        ON CONFLICT ON CONSTRAINT log_progress_symbol_pkey
            DO UPDATE SET variance_until = excluded.variance_until
    )
    SELECT count(*) INTO v_count FROM noted;
    RETURN v_count;
END
$fn$;
COMMENT ON FUNCTION upc.note_variances IS
    'notes the realised variance of the minutes of the price log that are over; returns how many were noted';

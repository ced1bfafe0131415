-- Realised variances of minutes, from the price log: a small table that stays when the prices go.

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


-- Realised variances of the minutes of a span of a symbol's price log.
--
-- The price of a second is the last one of an exchange in it, and a minute's variance the sum of the
-- squared log returns from each second with a price to the next one, as far as that is of the minute;
-- more than 5 s are not bridged. In robust_variance no square counts for more than 25 times the mean
-- square of the minute and the 14 before: a jump, or a price that was none, is cut.
--
-- exchange: NULL for all.
CREATE FUNCTION upc._span_variances(
    symbol text,
    since timestamptz,
    until timestamptz,
    exchange text DEFAULT NULL
)
RETURNS TABLE (
    of_exchange text,
    minute_at timestamptz,
    variance double precision,
    robust_variance double precision,
    seconds bigint
)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100
AS $fn$
BEGIN
    RETURN QUERY
    WITH second AS (
        SELECT DISTINCT ON (p.exchange, date_trunc('second', p.received_at))
            p.exchange, date_trunc('second', p.received_at) AS second_at, p.price
        FROM upc_data.price AS p
        WHERE p.symbol = _span_variances.symbol
          AND p.received_at >= since - interval '5 seconds'
          AND p.received_at < until
          AND (_span_variances.exchange IS NULL OR p.exchange = _span_variances.exchange)
        ORDER BY p.exchange, date_trunc('second', p.received_at), p.received_at DESC
    ),
    step AS MATERIALIZED (
        SELECT
            c.exchange,
            c.second_at,
            upc._minute_of(c.second_at) AS minute_at,
            CASE
                WHEN c.second_at - lag(c.second_at) OVER w <= interval '5 seconds'
                THEN ln(c.price / lag(c.price) OVER w)
            END AS log_return
        FROM second AS c
        WINDOW w AS (PARTITION BY c.exchange ORDER BY c.second_at)
    ),
    own AS MATERIALIZED (
        SELECT
            t.exchange, t.minute_at,
            coalesce(sum(t.log_return * t.log_return), 0) AS variance,
            count(*) AS seconds,
            array_agg(t.log_return * t.log_return) FILTER (WHERE t.log_return IS NOT NULL) AS squares
        FROM step AS t
        WHERE t.second_at >= since
        GROUP BY t.exchange, t.minute_at
    ),
    -- Both kinds of minutes in one list and not joined: how many there are is not known beforehand, and
    -- a backlog of weeks would be joined row by row.
    known AS (
        SELECT
            o.exchange, o.minute_at, o.variance, o.seconds, o.squares,
            NULL::double precision AS noted_variance, NULL::bigint AS noted_seconds
        FROM own AS o
        UNION ALL
        SELECT v.exchange, v.minute_at, NULL, NULL, NULL, v.variance, v.seconds
        FROM (SELECT DISTINCT o.exchange FROM own AS o) AS k
        JOIN upc_data.minute_variance AS v
            ON v.symbol = _span_variances.symbol AND v.exchange = k.exchange
            AND v.minute_at >= since - interval '14 minutes' AND v.minute_at < until
    ),
    level AS (
        SELECT
            a.*,
            -- What is noted comes first: where spans begin changes nothing.
            sum(coalesce(a.noted_variance, a.variance)) OVER w
                / sum(coalesce(a.noted_seconds, a.seconds)) OVER w AS square
        FROM (
            SELECT
                k.exchange, k.minute_at, max(k.variance) AS variance, max(k.seconds) AS seconds,
                max(k.squares) AS squares, max(k.noted_variance) AS noted_variance,
                max(k.noted_seconds) AS noted_seconds
            FROM known AS k
            GROUP BY k.exchange, k.minute_at
        ) AS a
        WINDOW w AS (
            PARTITION BY a.exchange ORDER BY a.minute_at
            RANGE BETWEEN interval '14 minutes' PRECEDING AND CURRENT ROW
        )
    )
    SELECT
        l.exchange,
        l.minute_at,
        l.variance,
        coalesce((SELECT sum(least(q, 25 * l.square)) FROM unnest(l.squares) AS q), 0),
        l.seconds
    FROM level AS l
    WHERE l.seconds IS NOT NULL;
END
$fn$;
COMMENT ON FUNCTION upc._span_variances IS
    'realised variances of the minutes of a span of a symbol''s price log, by exchange: plain, and with jumps cut';


-- Note the realised variance of the minutes that are over, each once, in upc_data.minute_variance.
--
-- They are those of upc._span_variances, which does not bridge gaps, since what happened in them has not
-- been seen. A minute is over 15 s after its end; a price that comes in later changes nothing any more.
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
    WITH minute AS MATERIALIZED (
        SELECT n.symbol, v.*
        FROM upc._unnoted_spans(v_until, v_most) AS n
        CROSS JOIN LATERAL upc._span_variances(n.symbol, n.since, n.until_minute) AS v
    ),
    noted AS (
        INSERT INTO upc_data.minute_variance AS v
            (symbol, exchange, minute_at, variance, robust_variance, seconds)
        SELECT m.symbol, m.of_exchange, m.minute_at, m.variance, m.robust_variance, m.seconds
        FROM minute AS m
        ON CONFLICT ON CONSTRAINT minute_variance_symbol_exchange_minute_at_pkey DO NOTHING
        RETURNING v.symbol
    ),
    progress AS (
        -- Up to the last price there is, and not to where a clock that is ahead would have it.
        INSERT INTO upc_data.log_progress AS k (symbol, variance_until)
        SELECT m.symbol, max(m.minute_at) + interval '1 minute'
        FROM minute AS m
        GROUP BY m.symbol
        ON CONFLICT ON CONSTRAINT log_progress_symbol_pkey
            DO UPDATE SET variance_until = excluded.variance_until
    )
    SELECT count(*) INTO v_count FROM noted;
    RETURN v_count;
END
$fn$;
COMMENT ON FUNCTION upc.note_variances IS
    'notes the realised variance of the minutes of the price log that are over; returns how many were noted';

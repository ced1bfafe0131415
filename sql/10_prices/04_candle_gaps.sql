-- Gaps between stored candles: the minutes without one, and the exchanges that lack them too.

-- Holes in a symbol's stored candles: each pair of neighbours more than a minute apart of which the
-- later is not before `from_at` and the earlier not after `to_at`. So a hole between that range and
-- the candles stored beyond it belongs to the range.
--
-- Example:
--   SELECT * FROM upc.candle_gaps('BTC', '2023-03-24 00:00+00', '2023-03-24 23:59+00');
CREATE FUNCTION upc.candle_gaps(
    symbol text,
    from_at timestamptz DEFAULT '-infinity',
    to_at timestamptz DEFAULT 'infinity'
)
RETURNS TABLE (previous_at timestamptz, next_at timestamptz, missing_minutes bigint)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT
        pair.previous_at,
        pair.next_at,
        (extract(epoch FROM pair.next_at - pair.previous_at) / 60)::bigint - 1
    FROM (
        SELECT
            lag(c.opened_at) OVER (ORDER BY c.opened_at) AS previous_at,
            c.opened_at AS next_at
        FROM upc_data.candle AS c
        WHERE c.symbol = candle_gaps.symbol
            AND c.opened_at >= coalesce(
                (
                    SELECT max(earlier.opened_at)
                    FROM upc_data.candle AS earlier
                    WHERE earlier.symbol = candle_gaps.symbol
                        AND earlier.opened_at < candle_gaps.from_at
                ),
                candle_gaps.from_at
            )
            AND c.opened_at <= coalesce(
                (
                    SELECT min(later.opened_at)
                    FROM upc_data.candle AS later
                    WHERE later.symbol = candle_gaps.symbol
                        AND later.opened_at > candle_gaps.to_at
                ),
                candle_gaps.to_at
            )
    ) AS pair
    WHERE pair.next_at - pair.previous_at > interval '1 minute'
    ORDER BY pair.next_at;
END;
COMMENT ON FUNCTION upc.candle_gaps IS
    'the holes in a symbol''s stored candles: each pair of neighbours more than a minute apart';


-- Spans without a stored candle between two minutes, the later one exclusive.
CREATE FUNCTION upc._empty_spans(
    symbol text,
    since timestamptz,
    until timestamptz,
    OUT gap_from timestamptz,
    OUT gap_until timestamptz
)
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT pair.gap_from, pair.gap_until
    FROM (
        SELECT
            c.opened_at + interval '1 minute' AS gap_from,
            lead(c.opened_at, 1, _empty_spans.until) OVER (ORDER BY c.opened_at) AS gap_until
        FROM upc_data.candle AS c
        WHERE c.symbol = _empty_spans.symbol
            AND c.opened_at >= _empty_spans.since
            AND c.opened_at < _empty_spans.until

        UNION ALL

        -- Before the first one.
        SELECT
            _empty_spans.since,
            coalesce(
                (
                    SELECT min(c.opened_at)
                    FROM upc_data.candle AS c
                    WHERE c.symbol = _empty_spans.symbol
                        AND c.opened_at >= _empty_spans.since
                        AND c.opened_at < _empty_spans.until
                ),
                _empty_spans.until
            )
    ) AS pair
    WHERE pair.gap_from < pair.gap_until;
END;
COMMENT ON FUNCTION upc._empty_spans IS
    'the spans without a stored candle between two minutes';


-- Minutes without a candle from `since` up to `until`, which is exclusive. A gap is one row, or
-- several where a part of it is known to be a hole of some exchange.
--
-- since, until: rounded up and down to the minute. NULL: from the first stored candle, to the last.
-- Returns opened_from: opening time of the first missing candle; opened_until: of the first one after
-- them; exchanges: those that were asked for these minutes and have no candle, NULL if none was.
-- Errors: UP002 symbol.
--
-- Example:
--   SELECT * FROM upc.missing_candles('BTC', '2023-03-24 10:00+00', '2023-03-24 15:00+00');
CREATE FUNCTION upc.missing_candles(
    symbol text,
    since timestamptz DEFAULT NULL,
    until timestamptz DEFAULT NULL
)
RETURNS TABLE (
    opened_from timestamptz,
    opened_until timestamptz,
    minutes bigint,
    exchanges text[]
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_minute interval := interval '1 minute';
    v_origin timestamptz := timestamptz '2000-01-01 00:00:00+00';
    v_since timestamptz := nullif(missing_candles.since, '-infinity');
    v_until timestamptz := nullif(missing_candles.until, 'infinity');
BEGIN
    PERFORM upc.require_symbol(missing_candles.symbol);

    IF v_since IS NULL THEN
        SELECT min(c.opened_at)
        INTO v_since
        FROM upc_data.candle AS c
        WHERE c.symbol = missing_candles.symbol;
    END IF;
    IF v_until IS NULL THEN
        SELECT max(c.opened_at) + v_minute
        INTO v_until
        FROM upc_data.candle AS c
        WHERE c.symbol = missing_candles.symbol;
    END IF;
    v_since := date_bin(v_minute, v_since + v_minute - interval '1 microsecond', v_origin);
    v_until := date_bin(v_minute, v_until, v_origin);

    RETURN QUERY
    WITH gap AS MATERIALIZED (
        SELECT g.gap_from, g.gap_until
        FROM upc._empty_spans(missing_candles.symbol, v_since, v_until) AS g
    ),
    known AS (
        SELECT
            gap.gap_from,
            greatest(gap.gap_from, h.opened_from) AS hole_from,
            least(gap.gap_until, h.opened_until) AS hole_until,
            h.exchange
        FROM gap
        JOIN upc_data.candle_hole AS h
            ON h.symbol = missing_candles.symbol
            AND h.opened_from < gap.gap_until
            AND h.opened_until > gap.gap_from
    ),
    -- Wherever a hole begins or ends the gap is cut.
    cut AS (
        SELECT gap.gap_from, gap.gap_from AS cut_at FROM gap
        UNION
        SELECT gap.gap_from, gap.gap_until FROM gap
        UNION
        SELECT known.gap_from, known.hole_from FROM known
        UNION
        SELECT known.gap_from, known.hole_until FROM known
    ),
    part AS (
        SELECT
            cut.gap_from,
            cut.cut_at AS part_from,
            lead(cut.cut_at) OVER (PARTITION BY cut.gap_from ORDER BY cut.cut_at) AS part_until
        FROM cut
    )
    SELECT
        part.part_from,
        part.part_until,
        (extract(epoch FROM part.part_until - part.part_from) / 60)::bigint,
        array_agg(DISTINCT known.exchange ORDER BY known.exchange)
            FILTER (WHERE known.exchange IS NOT NULL)
    FROM part
    LEFT JOIN known
        ON known.gap_from = part.gap_from
        AND known.hole_from <= part.part_from
        AND known.hole_until >= part.part_until
    WHERE part.part_until IS NOT NULL
    GROUP BY part.part_from, part.part_until
    ORDER BY part.part_from;
END
$fn$;
COMMENT ON FUNCTION upc.missing_candles IS
    'the minutes without a candle, in order, with the exchanges that are known not to have them';

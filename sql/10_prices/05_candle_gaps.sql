-- Candle gaps: the minutes without a candle, and what the exchanges are known not to have.

-- The minutes without a candle from `since` up to `until`, which is exclusive. A gap is one row, or
-- several where a part of it is known to be a hole of some exchange.
--
-- since, until: rounded up and down to the minute. NULL: from the first stored candle, to the last.
-- opened_from: opening time of the first missing candle; opened_until: of the first one after them.
-- exchanges: those that were asked for these minutes and have no candle; NULL if none was.
-- Errors: UP002 symbol.
-- Example: SELECT * FROM upc.missing_candles('BTC', '2023-03-24 10:00+00', '2023-03-24 15:00+00');
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
    WITH gap AS (
        SELECT pair.gap_from, pair.gap_until
        FROM (
            SELECT
                c.opened_at + v_minute AS gap_from,
                lead(c.opened_at, 1, v_until) OVER (ORDER BY c.opened_at) AS gap_until
            FROM upc_data.candle AS c
            WHERE c.symbol = missing_candles.symbol
                AND c.opened_at >= v_since
                AND c.opened_at < v_until

            UNION ALL

            SELECT
                v_since,
                coalesce(
                    (
                        SELECT min(c.opened_at)
                        FROM upc_data.candle AS c
                        WHERE c.symbol = missing_candles.symbol
                            AND c.opened_at >= v_since
                            AND c.opened_at < v_until
                    ),
                    v_until
                )
        ) AS pair
        WHERE pair.gap_from < pair.gap_until
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


-- Let one session at a time change the known holes of a symbol at an exchange, until the
-- transaction ends.
CREATE FUNCTION upc._lock_candle_holes(symbol text, exchange text)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET lock_timeout = 0
AS $fn$
BEGIN
    PERFORM pg_advisory_xact_lock(
        hashtextextended(
            format('upc_data.candle_hole %s %s', _lock_candle_holes.symbol, exchange), 0
        )
    );
END
$fn$;
COMMENT ON FUNCTION upc._lock_candle_holes IS
    'lets one session at a time change the known holes of a symbol at an exchange';


-- Remember that an exchange has no candles from `opened_from` up to `opened_until`. Holes that
-- touch or overlap become one.
-- Errors: UP002 symbol.
-- Example: SELECT upc.record_candle_hole(
--     'BTC', 'coinbase', '2023-03-24 12:40+00', '2023-03-24 14:00+00');
CREATE FUNCTION upc.record_candle_hole(
    symbol text,
    exchange text,
    opened_from timestamptz,
    opened_until timestamptz
)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $fn$
DECLARE
    v_from timestamptz;
    v_until timestamptz;
BEGIN
    PERFORM upc.require_symbol(record_candle_hole.symbol);
    PERFORM upc._lock_candle_holes(record_candle_hole.symbol, record_candle_hole.exchange);

    WITH touched AS (
        DELETE FROM upc_data.candle_hole AS h
        WHERE h.symbol = record_candle_hole.symbol
            AND h.exchange = record_candle_hole.exchange
            AND h.opened_from <= record_candle_hole.opened_until
            AND h.opened_until >= record_candle_hole.opened_from
        RETURNING h.opened_from, h.opened_until
    )
    SELECT
        least(record_candle_hole.opened_from, min(touched.opened_from)),
        greatest(record_candle_hole.opened_until, max(touched.opened_until))
    INTO v_from, v_until
    FROM touched;

    INSERT INTO upc_data.candle_hole (symbol, exchange, opened_from, opened_until)
    VALUES (record_candle_hole.symbol, record_candle_hole.exchange, v_from, v_until);
END
$fn$;
COMMENT ON FUNCTION upc.record_candle_hole IS
    'remembers that an exchange has no candles in a span of time';


-- Forget what is known of an exchange's holes from `opened_from` up to `opened_until`. A hole
-- that reaches beyond keeps what is outside.
-- Errors: UP002 symbol.
-- Example: SELECT upc.forget_candle_holes(
--     'BTC', 'coinbase', '2023-03-24 12:40+00', '2023-03-24 14:00+00');
CREATE FUNCTION upc.forget_candle_holes(
    symbol text,
    exchange text,
    opened_from timestamptz,
    opened_until timestamptz
)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $fn$
DECLARE
    v_hole record;
BEGIN
    PERFORM upc.require_symbol(forget_candle_holes.symbol);
    PERFORM upc._lock_candle_holes(forget_candle_holes.symbol, forget_candle_holes.exchange);

    FOR v_hole IN
        DELETE FROM upc_data.candle_hole AS h
        WHERE h.symbol = forget_candle_holes.symbol
            AND h.exchange = forget_candle_holes.exchange
            AND h.opened_from < forget_candle_holes.opened_until
            AND h.opened_until > forget_candle_holes.opened_from
        RETURNING h.opened_from, h.opened_until
    LOOP
        INSERT INTO upc_data.candle_hole (symbol, exchange, opened_from, opened_until)
        SELECT
            forget_candle_holes.symbol,
            forget_candle_holes.exchange,
            rest.opened_from,
            rest.opened_until
        FROM (
            VALUES
                (v_hole.opened_from, forget_candle_holes.opened_from),
                (forget_candle_holes.opened_until, v_hole.opened_until)
        ) AS rest (opened_from, opened_until)
        WHERE rest.opened_from < rest.opened_until;
    END LOOP;
END
$fn$;
COMMENT ON FUNCTION upc.forget_candle_holes IS
    'forgets what is known of an exchange''s holes in a span of time';

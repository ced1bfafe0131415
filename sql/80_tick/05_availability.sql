-- Availability: which ticks came, and which were due and did not.

-- Ticks that were due between two instants without any, the later one being a tick or now: those
-- that are late by half of their interval or more.
CREATE FUNCTION upc._missed_ticks(since timestamptz, until timestamptz, every interval)
RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN greatest(
    0,
    floor(
        extract(epoch FROM _missed_ticks.until - _missed_ticks.since)
        / extract(epoch FROM _missed_ticks.every) - 0.5
    )
)::bigint;
COMMENT ON FUNCTION upc._missed_ticks IS
    'how many ticks were due after one and before another instant, half an interval being close enough';


-- since_last: time since the tick before by the ticking process's clock, which does not jump; NULL where
-- that is not known. Where the server's clock has more, it has been put forward, and nothing was missed.
CREATE FUNCTION upc._count_tick(
    symbol text,
    at timestamptz,
    every interval,
    is_answered boolean,
    since_last interval DEFAULT NULL
)
RETURNS upc_data.tick_count
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_count upc_data.tick_count;
BEGIN
    INSERT INTO upc_data.tick_count AS k (symbol, done, missed, answered, every, last_at)
    VALUES (
        _count_tick.symbol, 1, 0, _count_tick.is_answered::integer, _count_tick.every, _count_tick.at
    )
    ON CONFLICT ON CONSTRAINT tick_count_symbol_pkey
        DO UPDATE SET
            done = k.done + 1,
            missed = k.missed + upc._missed_ticks(
                greatest(k.last_at, excluded.last_at - _count_tick.since_last),
                excluded.last_at,
                excluded.every
            ),
            answered = k.answered + excluded.answered,
            every = excluded.every,
            last_at = excluded.last_at,
            previous_at = k.last_at
    RETURNING k.* INTO v_count;
    RETURN v_count;
END
$fn$;
COMMENT ON FUNCTION upc._count_tick IS
    'counts a tick of a live feed, and those that were due since the one before it';


-- The first live tick of a symbol since an instant, of the log of every tick or of one a minute.
CREATE FUNCTION upc._first_tick(
    symbol text,
    since timestamptz,
    OUT ticked_at timestamptz,
    OUT done_count bigint,
    OUT missed_count bigint,
    OUT answered_count bigint,
    OUT state text,
    OUT kept text
)
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
    SELECT f.*
    FROM (
        (
            SELECT
                m.ticked_at, m.done_count, m.missed_count, m.answered_count, m.state,
                'one a minute'::text AS kept
            FROM upc_data.tick_minute AS m
            WHERE m.symbol = _first_tick.symbol
              AND m.minute_at >= upc._minute_of(_first_tick.since)
              AND m.ticked_at >= _first_tick.since
              AND m.done_count IS NOT NULL
            ORDER BY m.minute_at
            LIMIT 1
        )

        UNION ALL

        (
            SELECT
                t.ticked_at, t.done_count, t.missed_count, t.answered_count, t.state,
                'every tick'
            FROM upc_data.tick AS t
            WHERE t.symbol = _first_tick.symbol
              AND t.ticked_at >= _first_tick.since
              AND t.done_count IS NOT NULL
            ORDER BY t.ticked_at
            LIMIT 1
        )
    ) AS f
    ORDER BY f.ticked_at, f.kept DESC
    LIMIT 1;
END;
COMMENT ON FUNCTION upc._first_tick IS
    'the first live tick of a symbol since an instant that is kept, and whether every tick is there or one a minute';


-- The counts of a symbol's live ticks at an instant: those of the last tick by then, and what has been
-- missed since.
--
-- Where one tick a minute is kept, the next one that is kept shows how many there were in between: all
-- of them in the minute of the first, and `every` apart.
-- kept: every tick or one a minute, of the tick that was read; NULL where there is none by then.
CREATE FUNCTION upc._counts_at(
    symbol text,
    at timestamptz,
    every interval,
    OUT done bigint,
    OUT missed bigint,
    OUT answered bigint,
    OUT kept text
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_tick record;
    v_next record;
    v_more bigint;
    v_until timestamptz;
BEGIN
    SELECT t.ticked_at, t.done_count, t.missed_count, t.answered_count
    INTO v_tick
    FROM upc_data.tick AS t
    WHERE t.symbol = _counts_at.symbol AND t.ticked_at <= at AND t.done_count IS NOT NULL
    ORDER BY t.ticked_at DESC
    LIMIT 1;
    kept := CASE WHEN FOUND THEN 'every tick' END;
    SELECT m.ticked_at, m.minute_at, m.done_count, m.missed_count, m.answered_count
    INTO v_next
    FROM upc_data.tick_minute AS m
    WHERE m.symbol = _counts_at.symbol
      AND m.minute_at <= at
      AND m.minute_at >= coalesce(upc._minute_of(v_tick.ticked_at), '-infinity')
      AND m.ticked_at <= at
      AND m.done_count IS NOT NULL
    ORDER BY m.minute_at DESC
    LIMIT 1;
    IF FOUND AND coalesce(v_next.ticked_at > v_tick.ticked_at, true) THEN
        v_tick := v_next;
        kept := 'one a minute';
    ELSE
        done := v_tick.done_count;
        answered := v_tick.answered_count;
        missed := v_tick.missed_count + upc._missed_ticks(v_tick.ticked_at, at, every);
        RETURN;
    END IF;

    v_until := v_tick.minute_at + interval '1 minute';
    SELECT n.done, n.missed, n.answered
    INTO v_next
    FROM (
        SELECT
            t.ticked_at,
            t.done_count - 1 AS done,
            t.missed_count AS missed,
            t.answered_count - (t.state <> 'halted')::integer AS answered
        FROM upc._first_tick(_counts_at.symbol, v_until) AS t

        UNION ALL

        SELECT 'infinity', k.done, k.missed, k.answered
        FROM upc_data.tick_count AS k
        WHERE k.symbol = _counts_at.symbol
    ) AS n
    ORDER BY n.ticked_at
    LIMIT 1;
    v_more := greatest(0, coalesce(v_next.done, v_tick.done_count) - v_tick.done_count);
    IF at < v_until THEN
        v_more := least(
            v_more,
            floor(extract(epoch FROM at - v_tick.ticked_at) / extract(epoch FROM every))::bigint
        );
    END IF;
    done := v_tick.done_count + v_more;
    answered := least(
        v_tick.answered_count + v_more, coalesce(v_next.answered, v_tick.answered_count)
    );
    missed := least(
        v_tick.missed_count
            + upc._missed_ticks(least(v_tick.ticked_at + v_more * every, at), at, every),
        greatest(v_next.missed, v_tick.missed_count)
    );
END
$fn$;
COMMENT ON FUNCTION upc._counts_at IS
    'the counts of a symbol''s live ticks at an instant, from every tick or from one a minute; NULL where there is none by then';


-- The ticks of a symbol's live feeds in a window that ends at an instant.
--
-- over_last: length of the window. at: its end.
-- Returns one row: how many ticks were done, missed and answered (with probabilities), the share that
-- was done in percent, since when: the beginning of the window or, where the log is younger, its
-- first tick; and what the log has kept of that time: every tick, or one a minute, from which a
-- beginning that is no full minute is known to the ticks of that minute. Every column is NULL without a
-- tick.
-- Errors: none.
--
-- Example:
--   SELECT done IS NULL AS has_no_live_tick FROM availability('BTC', '1 hour');
CREATE FUNCTION upc.availability(
    symbol text,
    over_last interval,
    at timestamptz DEFAULT clock_timestamp(),
    OUT since timestamptz,
    OUT done bigint,
    OUT missed bigint,
    OUT answered bigint,
    OUT available double precision,
    OUT kept text
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_from timestamptz := at - over_last;
    v_first record;
    v_last record;
    v_every interval;
BEGIN
    SELECT
        k.last_at AS ticked_at,
        k.every,
        k.done,
        k.missed + upc._missed_ticks(k.last_at, availability.at, k.every) AS missed,
        k.answered
    INTO v_last
    FROM upc_data.tick_count AS k
    WHERE k.symbol = availability.symbol;
    v_every := v_last.every;
    -- The log is in the order of a clock, which may have been put back since.
    IF v_last.ticked_at > at THEN
        SELECT c.* INTO v_last FROM upc._counts_at(symbol, at, v_every) AS c;
    END IF;
    IF v_last.done IS NULL THEN
        RETURN;
    END IF;

    SELECT c.* INTO v_first FROM upc._counts_at(symbol, v_from, v_every) AS c;
    IF v_first.kept IS NOT NULL THEN
        since := v_from;
    ELSE
        SELECT
            t.ticked_at,
            t.done_count - 1 AS done,
            t.missed_count AS missed,
            t.answered_count - (t.state <> 'halted')::integer AS answered,
            t.kept
        INTO v_first
        FROM upc._first_tick(availability.symbol, '-infinity') AS t;
        IF NOT FOUND THEN
            RETURN;
        END IF;
        since := v_first.ticked_at;
    END IF;
    kept := v_first.kept;
    done := greatest(v_last.done - v_first.done, 0);
    answered := greatest(v_last.answered - v_first.answered, 0);
    -- Without those that were due before the window.
    missed := greatest(v_last.missed - v_first.missed, 0);
    available := 100.0 * done / nullif(done + missed, 0);
END
$fn$;
COMMENT ON FUNCTION upc.availability IS
    'the ticks of a symbol in a window that ends at an instant: done, missed, with probabilities, and the share that was done in percent; and whether every tick of its beginning is kept, or one a minute';

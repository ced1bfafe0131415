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


-- The ticks of a symbol's live feeds in a window that ends at an instant.
--
-- over_last: length of the window. at: its end.
-- Returns one row: how many ticks were done, missed and answered (with probabilities), the share that
-- was done in percent, and since when: the beginning of the window or, where the log is younger, its
-- first tick. Every column is NULL without a tick.
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
    OUT available double precision
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_from timestamptz := at - over_last;
    v_first record;
    v_last record;
    v_every interval;
BEGIN
    -- The log is in the order of a clock, which may have been put back since.
    SELECT
        k.last_at AS ticked_at,
        k.done AS done_count,
        k.missed AS missed_count,
        k.answered AS answered_count,
        k.every
    INTO v_last
    FROM upc_data.tick_count AS k
    WHERE k.symbol = availability.symbol;
    v_every := v_last.every;
    IF v_last.ticked_at > at THEN
        SELECT t.ticked_at, t.done_count, t.missed_count, t.answered_count
        INTO v_last
        FROM upc_data.tick AS t
        WHERE t.symbol = availability.symbol AND t.ticked_at <= at AND t.done_count IS NOT NULL
        ORDER BY t.ticked_at DESC
        LIMIT 1;
    END IF;
    IF v_last.ticked_at IS NULL THEN
        RETURN;
    END IF;

    SELECT t.ticked_at, t.done_count, t.missed_count, t.answered_count
    INTO v_first
    FROM upc_data.tick AS t
    WHERE t.symbol = availability.symbol AND t.ticked_at <= v_from AND t.done_count IS NOT NULL
    ORDER BY t.ticked_at DESC
    LIMIT 1;
    IF FOUND THEN
        since := v_from;
        done := v_last.done_count - v_first.done_count;
        answered := v_last.answered_count - v_first.answered_count;
        -- Without those that were due before the window.
        missed := v_last.missed_count - v_first.missed_count
            + upc._missed_ticks(v_last.ticked_at, at, v_every)
            - upc._missed_ticks(v_first.ticked_at, v_from, v_every);
    ELSE
        SELECT t.ticked_at, t.done_count, t.missed_count, t.answered_count, t.state
        INTO v_first
        FROM upc_data.tick AS t
        WHERE t.symbol = availability.symbol AND t.done_count IS NOT NULL
        ORDER BY t.ticked_at
        LIMIT 1;
        IF NOT FOUND THEN
            RETURN;
        END IF;
        since := v_first.ticked_at;
        done := v_last.done_count - v_first.done_count + 1;
        answered := v_last.answered_count - v_first.answered_count
            + (v_first.state <> 'halted')::integer;
        missed := v_last.missed_count - v_first.missed_count
            + upc._missed_ticks(v_last.ticked_at, at, v_every);
    END IF;
    done := greatest(done, 0);
    answered := greatest(answered, 0);
    missed := greatest(missed, 0);
    available := 100.0 * done / nullif(done + missed, 0);
END
$fn$;
COMMENT ON FUNCTION upc.availability IS
    'the ticks of a symbol in a window that ends at an instant: done, missed, with probabilities, and the share that was done in percent';

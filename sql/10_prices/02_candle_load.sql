-- Loading candles from text: lines are staged as they are, judged here, and merged as one.

-- The seconds that a UTC offset is ahead of UTC: +HH, +HHMM or +HH:MM.
-- Example: SELECT upc._utc_offset_seconds('-03:30') = -12600;
CREATE FUNCTION upc._utc_offset_seconds(utc_offset text)
RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (left(_utc_offset_seconds.utc_offset, 1) || '1')::integer * (
    substr(_utc_offset_seconds.utc_offset, 2, 2)::integer * 3600
    + CASE
        WHEN length(_utc_offset_seconds.utc_offset) = 3 THEN 0
        ELSE right(_utc_offset_seconds.utc_offset, 2)::integer * 60
    END
);
COMMENT ON FUNCTION upc._utc_offset_seconds IS
    'The seconds that a UTC offset is ahead of UTC: +HH, +HHMM or +HH:MM';

-- The minute that a text names, NULL if it names none. ISO 8601 from 1970 to 2099, on a minute,
-- with `T` or a blank, with `Z`, an offset or neither (UTC then); or epoch seconds of ten digits,
-- milliseconds of 13, microseconds of 16 or nanoseconds of 19, since other lengths might be dates
-- without separators.
-- Nothing here depends on DateStyle or TimeZone.
-- Example: SELECT upc.candle_minute('1704067200') = timestamptz '2024-01-01 00:00:00+00';
CREATE FUNCTION upc.candle_minute(value text)
RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    -- Each character of a regular expression costs, so the usual endings are compared.
    WHEN left(candle_minute.value, 16) ~ (
            '^(19[7-9]|20[0-9])[0-9]-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])'
            '[Tt ]([01][0-9]|2[0-3]):[0-5][0-9]$'
        )
        AND (
            substr(candle_minute.value, 17) IN (':00Z', ':00', ':00+00:00')
            OR substr(candle_minute.value, 17)
                ~ '^(:00(\.0+)?)?([Zz]|[+-](0[0-9]|1[0-4])(:?[0-5][0-9])?)?$'
        )
    THEN
        CASE
            -- Days that the month lacks; until 2099 every fourth year is a leap year.
            WHEN substr(candle_minute.value, 6, 5)
                    IN ('02-30', '02-31', '04-31', '06-31', '09-31', '11-31')
                OR substr(candle_minute.value, 6, 5) = '02-29'
                    AND substr(candle_minute.value, 1, 4)::integer % 4 <> 0
            THEN NULL
            ELSE to_timestamp((
                (
                    make_date(
                        substr(candle_minute.value, 1, 4)::integer,
                        substr(candle_minute.value, 6, 2)::integer,
                        substr(candle_minute.value, 9, 2)::integer
                    ) - date '1970-01-01'
                ) * bigint '86400'
                + substr(candle_minute.value, 12, 2)::integer * 3600
                + substr(candle_minute.value, 15, 2)::integer * 60
                - CASE
                    WHEN right(candle_minute.value, 1) IN ('Z', 'z')
                        OR substr(candle_minute.value, 17) !~ '[+-]' THEN 0
                    ELSE upc._utc_offset_seconds(
                        substring(candle_minute.value FROM '[+-][0-9:]{2,5}$')
                    )
                END
            )::double precision)
        END
    WHEN candle_minute.value ~ '^[1-9][0-9]{9}(\.0*)?$' THEN
        CASE WHEN left(candle_minute.value, 10)::bigint % 60 = 0 THEN
            to_timestamp(left(candle_minute.value, 10)::double precision)
        END
    WHEN candle_minute.value ~ '^[1-9][0-9]{12}(\.0*)?$' THEN
        CASE WHEN left(candle_minute.value, 13)::bigint % 60000 = 0 THEN
            to_timestamp(left(candle_minute.value, 10)::double precision)
        END
    WHEN candle_minute.value ~ '^[1-9][0-9]{15}([0-9]{3})?(\.0*)?$' THEN
        CASE WHEN left(candle_minute.value, 10)::bigint % 60 = 0
            AND substr(candle_minute.value, 11) ~ '^0+(\.0*)?$'
        THEN
            to_timestamp(left(candle_minute.value, 10)::double precision)
        END
END;
COMMENT ON FUNCTION upc.candle_minute IS
    'The minute that a text names, NULL if it names none';


-- The number that a text spells in decimal digits, NULL if it spells none. Words (NaN, infinity),
-- hexadecimal digits and anything that could overflow are no numbers.
-- Example: SELECT upc._candle_number('4.625e4') = 46250;
CREATE FUNCTION upc._candle_number(value text)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    -- 60 digits and an exponent of two more stay far inside the range of a double.
    WHEN octet_length(_candle_number.value) > 60 THEN NULL
    -- What nearly every number looks like is decided by the cheaper expression.
    WHEN _candle_number.value ~ '^[0-9]+(\.[0-9]+)?$'
        OR _candle_number.value ~ '^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([Ee][+-]?[0-9][0-9]?)?$'
    THEN _candle_number.value::double precision
END;
COMMENT ON FUNCTION upc._candle_number IS
    'The number that a text spells in decimal digits, NULL if it spells none';


-- Begin to load candles: create the temporary table pg_temp.candle_line, which the caller fills
-- by COPY, for the rest of the transaction. `file` numbers the files; `problem` says why a line
-- is not six fields, else it is NULL. Errors: UP002 for a symbol that is not registered.
-- Example: SELECT upc.begin_candle_load('BTC');
CREATE FUNCTION upc.begin_candle_load(symbol text)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET client_min_messages = warning
AS $fn$
BEGIN
    PERFORM upc.require_symbol(begin_candle_load.symbol);

    -- The columns below use functions that an upgrade replaces: it has to wait.
    LOCK TABLE upc_data.candle IN ROW EXCLUSIVE MODE;

    DROP TABLE IF EXISTS pg_temp.candle_line, pg_temp.candle_load;

    -- Texts become values while they are copied, so that the server works while the client reads.
    CREATE TEMPORARY TABLE candle_line (
        file integer NOT NULL,
        line bigint NOT NULL,
        problem text,
        "timestamp" text,
        open text,
        high text,
        low text,
        close text,
        volume text,
        opened_at timestamptz GENERATED ALWAYS AS (upc.candle_minute("timestamp")) STORED,
        open_price double precision GENERATED ALWAYS AS (upc._candle_number(open)) STORED,
        high_price double precision GENERATED ALWAYS AS (upc._candle_number(high)) STORED,
        low_price double precision GENERATED ALWAYS AS (upc._candle_number(low)) STORED,
        close_price double precision GENERATED ALWAYS AS (upc._candle_number(close)) STORED,
        amount double precision GENERATED ALWAYS AS (upc._candle_number(volume)) STORED,
        is_rejected boolean NOT NULL DEFAULT false,
        is_repeated boolean NOT NULL DEFAULT false
    ) ON COMMIT DROP;

    CREATE TEMPORARY TABLE candle_load (
        file integer,
        added bigint,
        changed bigint,
        unchanged bigint,
        rejected bigint,
        first_at timestamptz,
        last_at timestamptz
    ) ON COMMIT DROP;
END
$fn$;
COMMENT ON FUNCTION upc.begin_candle_load IS
    'Begin to load candles: create pg_temp.candle_line, which the caller fills by COPY';


-- Mark the staged lines that are no candle, or that contradict each other, and return their
-- number. Of equal lines the first counts. `at` is the present: a candle may open one minute
-- later at most.
-- Example: SELECT upc.begin_candle_load('BTC'); SELECT upc.reject_candle_lines() = 0;
CREATE FUNCTION upc.reject_candle_lines(at timestamptz DEFAULT clock_timestamp())
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET work_mem = '64MB'
SET jit = off
AS $fn$
DECLARE
    v_latest timestamptz := reject_candle_lines.at + interval '1 minute';
BEGIN
    UPDATE pg_temp.candle_line AS l
    SET is_rejected = true
    WHERE (
        l.problem IS NULL
        AND l.opened_at <= v_latest
        AND upc.is_candle(l.open_price, l.high_price, l.low_price, l.close_price, l.amount)
    ) IS NOT TRUE;

    IF (
        SELECT count(*) > count(DISTINCT l.opened_at)
        FROM pg_temp.candle_line AS l
        WHERE NOT l.is_rejected
    ) THEN
        WITH repeated AS MATERIALIZED (
            SELECT l.opened_at
            FROM pg_temp.candle_line AS l
            WHERE NOT l.is_rejected
            GROUP BY l.opened_at
            HAVING count(*) > 1
        ),
        compared AS (
            SELECT
                l.ctid AS place,
                row_number() OVER (same_minute ORDER BY l.file, l.line) AS nth,
                (
                    min(l.open_price) OVER same_minute < max(l.open_price) OVER same_minute
                    OR min(l.high_price) OVER same_minute < max(l.high_price) OVER same_minute
                    OR min(l.low_price) OVER same_minute < max(l.low_price) OVER same_minute
                    OR min(l.close_price) OVER same_minute < max(l.close_price) OVER same_minute
                    OR min(l.amount) OVER same_minute < max(l.amount) OVER same_minute
                ) AS is_contradiction
            FROM pg_temp.candle_line AS l
            JOIN repeated USING (opened_at)
            WHERE NOT l.is_rejected
            WINDOW same_minute AS (PARTITION BY l.opened_at)
        )
        -- Nothing tells which of two contradicting lines is right, so none of them is taken.
        UPDATE pg_temp.candle_line AS l
        SET is_rejected = compared.is_contradiction,
            is_repeated = NOT compared.is_contradiction,
            problem = CASE WHEN compared.is_contradiction THEN
                format('another line has other values for %s', l."timestamp")
            END
        FROM compared
        WHERE l.ctid = compared.place AND (compared.is_contradiction OR compared.nth > 1);
    END IF;

    RETURN (SELECT count(*) FROM pg_temp.candle_line AS l WHERE l.is_rejected);
END
$fn$;
COMMENT ON FUNCTION upc.reject_candle_lines IS
    'Mark the staged lines that are no candle, or contradict each other; return their number';


-- Why a number is no price, NULL if it is one.
-- Example: SELECT upc._price_problem('low', '-1') IS NOT NULL;
CREATE FUNCTION upc._price_problem(name text, value text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN _price_problem.value = '' THEN _price_problem.name || ' is empty'
    WHEN upc._candle_number(_price_problem.value) IS NULL
        THEN format('%s %L is not a number', _price_problem.name, left(_price_problem.value, 40))
    WHEN upc._candle_number(_price_problem.value) <= 0
        THEN format('%s %s is not above zero', _price_problem.name, _price_problem.value)
END;
COMMENT ON FUNCTION upc._price_problem IS 'Why a number is no price, NULL if it is one';


-- Why the price that opens or closes a minute is not one of its prices, NULL if it may be.
-- Example: SELECT upc._outside_problem('open', '7', low => '8', high => '10') IS NOT NULL;
CREATE FUNCTION upc._outside_problem(name text, value text, low text, high text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN upc._candle_number(_outside_problem.value)
        NOT BETWEEN upc._candle_number(_outside_problem.low)
            AND upc._candle_number(_outside_problem.high)
    THEN format(
        '%s %s is outside of low %s to high %s',
        _outside_problem.name, _outside_problem.value, _outside_problem.low, _outside_problem.high
    )
END;
COMMENT ON FUNCTION upc._outside_problem IS
    'Why a price is not one between low and high, NULL if it is one';


-- The rejected lines with the reason, in the order of the files, at most `most` of them.
-- Example: SELECT upc.begin_candle_load('BTC'); SELECT * FROM upc.rejected_candle_lines();
CREATE FUNCTION upc.rejected_candle_lines(most integer DEFAULT 20)
RETURNS TABLE (file integer, line bigint, reason text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $fn$
BEGIN
    RETURN QUERY
    SELECT
        l.file,
        l.line,
        coalesce(
            l.problem,
            CASE
                WHEN l."timestamp" = '' THEN 'timestamp is empty'
                WHEN l.opened_at IS NULL THEN format(
                    'timestamp %L is not a minute from 1970 to 2099 in ISO 8601'
                    ' (2024-01-01T00:00:00Z) or since 1970 in s, ms, us or ns',
                    left(l."timestamp", 40)
                )
            END,
            upc._price_problem('open', l.open),
            upc._price_problem('high', l.high),
            upc._price_problem('low', l.low),
            upc._price_problem('close', l.close),
            CASE WHEN l.high_price < l.low_price THEN
                format('high %s is below low %s', l.high, l.low)
            END,
            upc._outside_problem('open', l.open, l.low, l.high),
            upc._outside_problem('close', l.close, l.low, l.high),
            CASE
                WHEN l.amount IS NULL THEN upc._price_problem('volume', l.volume)
                WHEN l.amount < 0 THEN format('volume %s is below zero', l.volume)
            END,
            format('timestamp %s is in the future', l."timestamp")
        )
    FROM pg_temp.candle_line AS l
    WHERE l.is_rejected
    ORDER BY l.file, l.line
    LIMIT rejected_candle_lines.most;
END
$fn$;
COMMENT ON FUNCTION upc.rejected_candle_lines IS
    'The rejected lines with the reason, in the order of the files';


-- The files of which more lines are numbers that cannot be a candle than lines that are one: the
-- columns are others than the header says, and what fits does so by chance.
-- Example:
--   SELECT upc.begin_candle_load('BTC');
--   SELECT count(*) = 0 FROM upc.contradicted_candle_files();
CREATE FUNCTION upc.contradicted_candle_files()
RETURNS TABLE (file integer)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $fn$
BEGIN
    RETURN QUERY
    SELECT l.file
    FROM pg_temp.candle_line AS l
    WHERE l.problem IS NULL
    GROUP BY l.file
    HAVING count(*) FILTER (WHERE NOT l.is_rejected) < count(*) FILTER (
        WHERE NOT upc.is_candle(
            l.open_price, l.high_price, l.low_price, l.close_price, l.amount
        )
    )
    ORDER BY l.file;
END
$fn$;
COMMENT ON FUNCTION upc.contradicted_candle_files IS
    'The files with more lines that cannot be a candle than lines that are one';


-- Let one load of a symbol merge at a time, until the transaction ends. With `is_patient` false
-- it does not wait, and returns false if another load is at it.
-- Example: SELECT upc.lock_candle_load('BTC', is_patient => false);
CREATE FUNCTION upc.lock_candle_load(symbol text, is_patient boolean DEFAULT true)
RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET lock_timeout = 0
AS $fn$
DECLARE
    v_key bigint := hashtextextended('upc_data.candle ' || lock_candle_load.symbol, 0);
BEGIN
    IF NOT lock_candle_load.is_patient THEN
        RETURN pg_try_advisory_xact_lock(v_key);
    END IF;
    PERFORM pg_advisory_xact_lock(v_key);
    RETURN true;
END
$fn$;
COMMENT ON FUNCTION upc.lock_candle_load IS
    'Let one load of a symbol merge at a time, until the transaction ends';


-- The holes in a symbol's stored candles: each pair of neighbours more than a minute apart of
-- which the later is not before `from_at` and the earlier not after `to_at`. So a hole between
-- that range and what is stored beyond it belongs to the range.
-- Example: SELECT * FROM upc.candle_gaps('BTC', '2023-03-24 00:00+00', '2023-03-24 23:59+00');
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
    'The holes in a symbol''s stored candles: each pair of neighbours more than a minute apart';


-- Write the staged lines that are new or differ from what is stored, and return what became of
-- the lines of each file; the row without a file is the sum. `unchanged` counts repeated lines
-- too. `gaps` and `missing_minutes` are those of upc.candle_gaps between the first candle and
-- the last, after the merge.
-- Example: SELECT upc.begin_candle_load('BTC'); SELECT added FROM upc.merge_candle_lines('BTC');
CREATE FUNCTION upc.merge_candle_lines(symbol text)
RETURNS TABLE (
    file integer,
    added bigint,
    changed bigint,
    unchanged bigint,
    rejected bigint,
    gaps bigint,
    missing_minutes bigint,
    first_at timestamptz,
    last_at timestamptz
)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET work_mem = '64MB'
SET jit = off
AS $fn$
BEGIN
    PERFORM upc.lock_candle_load(merge_candle_lines.symbol);

    INSERT INTO pg_temp.candle_load (
        file, added, changed, unchanged, rejected, first_at, last_at
    )
    SELECT
        line.file,
        count(*) FILTER (WHERE line.is_new),
        count(*) FILTER (WHERE line.is_changed),
        count(*) FILTER (WHERE NOT (line.is_rejected OR line.is_new OR line.is_changed)),
        count(*) FILTER (WHERE line.is_rejected),
        min(line.opened_at) FILTER (WHERE NOT line.is_rejected),
        max(line.opened_at) FILTER (WHERE NOT line.is_rejected)
    FROM (
        SELECT
            l.file,
            l.opened_at,
            l.is_rejected,
            NOT (l.is_rejected OR l.is_repeated) AND c.symbol IS NULL AS is_new,
            NOT (l.is_rejected OR l.is_repeated) AND c.symbol IS NOT NULL
                AND (c.open, c.high, c.low, c.close, c.volume) IS DISTINCT FROM
                    (l.open_price, l.high_price, l.low_price, l.close_price, l.amount)
                AS is_changed
        FROM pg_temp.candle_line AS l
        LEFT JOIN upc_data.candle AS c
            ON c.symbol = merge_candle_lines.symbol AND c.opened_at = l.opened_at
    ) AS line
    GROUP BY GROUPING SETS ((line.file), ());

    -- Equal candles are not written again: each write makes a day's counts out of date.
    INSERT INTO upc_data.candle AS c (symbol, opened_at, open, high, low, close, volume)
    SELECT
        merge_candle_lines.symbol,
        l.opened_at,
        l.open_price,
        l.high_price,
        l.low_price,
        l.close_price,
        -- Whether a line says -0 or 0, the same bits are stored.
        l.amount + 0
    FROM pg_temp.candle_line AS l
    LEFT JOIN upc_data.candle AS stored
        ON stored.symbol = merge_candle_lines.symbol AND stored.opened_at = l.opened_at
    WHERE NOT (l.is_rejected OR l.is_repeated)
        AND (stored.open, stored.high, stored.low, stored.close, stored.volume)
            IS DISTINCT FROM
            (l.open_price, l.high_price, l.low_price, l.close_price, l.amount)
    -- Two writers that take the rows in one order cannot block each other in a circle.
    ORDER BY l.opened_at
    -- A feed, which takes no part in the lock, may have been faster.
    ON CONFLICT ON CONSTRAINT candle_symbol_opened_at_pkey DO UPDATE
    SET open = excluded.open,
        high = excluded.high,
        low = excluded.low,
        close = excluded.close,
        volume = excluded.volume
    WHERE (c.open, c.high, c.low, c.close, c.volume) IS DISTINCT FROM
        (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume);

    RETURN QUERY
    WITH gap AS MATERIALIZED (
        SELECT g.previous_at, g.next_at, g.missing_minutes
        FROM pg_temp.candle_load AS whole
        CROSS JOIN LATERAL upc.candle_gaps(
            merge_candle_lines.symbol, whole.first_at, whole.last_at
        ) AS g
        WHERE whole.file IS NULL
    )
    SELECT
        load.file,
        load.added,
        load.changed,
        load.unchanged,
        load.rejected,
        found.gaps,
        found.missing_minutes,
        load.first_at,
        load.last_at
    FROM pg_temp.candle_load AS load
    CROSS JOIN LATERAL (
        SELECT
            count(*) AS gaps,
            coalesce(sum(gap.missing_minutes), 0)::bigint AS missing_minutes
        FROM gap
        WHERE gap.next_at >= load.first_at AND gap.previous_at <= load.last_at
    ) AS found
    ORDER BY load.file;
END
$fn$;
COMMENT ON FUNCTION upc.merge_candle_lines IS
    'Write the staged lines that are new or differ, and return what became of each file''s';

-- Lines of candle files: staged as they are by COPY, and judged here, before any is stored.

-- Begin to load candles: create the temporary table pg_temp.candle_line, which the caller fills by
-- COPY, for the rest of the transaction.
--
-- file numbers the files; problem: the reason why a line is not six fields, else NULL.
-- Errors: UP002 symbol.
--
-- Example:
--   SELECT upc.begin_candle_load('BTC');
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
    'begins to load candles: creates pg_temp.candle_line, which the caller fills by COPY';


-- Mark the staged lines that are no candle, or that contradict each other. Of equal lines the first
-- counts.
--
-- at: the present; a candle may open one minute later at most.
-- Returns the number of rejected lines.
--
-- Example:
--   SELECT upc.begin_candle_load('BTC'); SELECT upc.reject_candle_lines() = 0;
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
        -- Either of two contradicting lines may be wrong, so both are rejected.
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
    'marks the staged lines that are no candle, or contradict each other; returns their number';


-- Reason why a text is no price, NULL if it is one.
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
COMMENT ON FUNCTION upc._price_problem IS 'the reason why a text is no price, NULL if it is one';


-- Reason why the price that opens or closes a minute is not one of its prices, NULL if it may be.
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
    'the reason why a price is not one between low and high, NULL if it is one';


-- Rejected lines with the reason, in the order of the files, at most `most` of them.
--
-- Example:
--   SELECT upc.begin_candle_load('BTC'); SELECT * FROM upc.rejected_candle_lines();
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
    'the rejected lines with the reason, in the order of the files';


-- Files with more lines of numbers that cannot be a candle than lines that are one: their columns are
-- not those of the header, and a line fits only by chance.
--
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
    'the files with more lines that cannot be a candle than lines that are one';

-- The status as JSON, and what is asked beside the ticks: a proof of writing, and silence.

-- The status as it stands in upc_status.json.
--
-- symbols: those that have to be well; NULL asks for those that are expected, at least one. at: the clock.
-- Returns JSON: green, yellow or red, the problems, and a row of status per symbol.
-- Errors: UP002 symbol.
--
-- Example:
--   SELECT status_document()::json ->> 'state' IN ('green', 'yellow', 'red');
CREATE FUNCTION upc.status_document(
    symbols text[] DEFAULT NULL,
    at timestamptz DEFAULT clock_timestamp()
)
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET timezone = 'UTC'
AS $fn$
DECLARE
    v_rows json;
    v_problems text[];
    v_light text;
BEGIN
    PERFORM upc.require_symbol(s) FROM unnest(symbols) AS s;
    WITH seen AS MATERIALIZED (
        SELECT
            s AS status,
            s.symbol,
            s.light,
            s.is_expected OR status_document.symbols IS NOT NULL AS is_asked
        FROM upc.status(at => status_document.at) AS s
        WHERE status_document.symbols IS NULL OR s.symbol = ANY (status_document.symbols)
    )
    SELECT
        json_agg(to_json(e.status) ORDER BY e.symbol),
        CASE
            WHEN bool_or(e.light = 'red') FILTER (WHERE e.is_asked) THEN 'red'
            WHEN bool_or(e.light = 'yellow') FILTER (WHERE e.is_asked) THEN 'yellow'
            WHEN bool_or(e.is_asked) THEN 'green'
            ELSE 'red'
        END,
        (
            SELECT array_agg(format('%s: %s', o.symbol, p.problem) ORDER BY o.symbol, p.place)
            FROM seen AS o
            CROSS JOIN LATERAL unnest((o.status).problems) WITH ORDINALITY AS p (problem, place)
            WHERE o.is_asked
        )
    INTO v_rows, v_light, v_problems
    FROM seen AS e;
    RETURN json_build_object(
        'timestamp', upc._iso_utc(at),
        'state', v_light,
        'problems', coalesce(
            v_problems, CASE v_light WHEN 'green' THEN '{}' ELSE '{nothing is ticked}' END::text[]
        ),
        'symbols', coalesce(v_rows, '[]'),
        'valid_until', upc.valid_until(at)
    )::text;
END
$fn$;
COMMENT ON FUNCTION upc.status_document IS
    'the status as JSON: green, yellow or red, the problems, and a row per symbol';


-- Write 32 kB in place of those that were written last: the server can write if this commits.
--
-- Returns nothing.
-- Errors: those of a server that cannot write.
--
-- Example:
--   SELECT prove_write();
CREATE FUNCTION upc.prove_write()
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    INSERT INTO upc_data.write_probe AS w (written_at, filler)
    VALUES (
        clock_timestamp(),
        (
            SELECT string_agg(decode(md5(random()::text), 'hex'), '')
            FROM generate_series(1, 2048)
        )
    )
    ON CONFLICT ON CONSTRAINT write_probe_is_only_pkey
        DO UPDATE SET written_at = excluded.written_at, filler = excluded.filler;
END
$fn$;
COMMENT ON FUNCTION upc.prove_write IS
    'writes 32 kB in place of those that were written last, to see that the server can; the proof is the commit';


-- Announce that symbols which ought to be ticked are not. Ticks that have stopped cannot do that
-- themselves; the process that passes announcements on asks for it.
--
-- symbol: NULL looks at all. after: age of the last tick from which on it counts as silence.
-- Returns the announcements as JSON, one per symbol, each once until its ticks are back.
-- Errors: UP002 symbol.
--
-- Example:
--   SELECT count(*) = 0 FROM announce_silence('BTC', '1 hour');
CREATE FUNCTION upc.announce_silence(
    symbol text DEFAULT NULL,
    after interval DEFAULT '10 seconds'
)
RETURNS SETOF json
LANGUAGE plpgsql VOLATILE ROWS 1
AS $fn$
DECLARE
    v_status upc.symbol_status;
    v_announced json;
BEGIN
    IF symbol IS NOT NULL THEN
        PERFORM upc.require_symbol(symbol);
    END IF;
    FOR v_status IN
        SELECT s.*
        FROM (
            -- A status is a lot of questions: it is asked for where the last live tick is old.
            SELECT k.symbol
            FROM upc_data.tick_count AS k
            LEFT JOIN upc_data.tick_lease AS l ON l.symbol = k.symbol
            WHERE (announce_silence.symbol IS NULL OR k.symbol = announce_silence.symbol)
              AND abs(extract(epoch FROM clock_timestamp() - k.last_at))
                  > extract(epoch FROM after)
              AND (l.symbol IS NOT NULL OR k.last_at > clock_timestamp() - interval '1 hour')
              AND NOT EXISTS (
                  SELECT FROM upc_data.condition AS c
                  WHERE c.symbol = k.symbol AND c.subject = 'tick'
              )
            ORDER BY k.symbol
            OFFSET 0
        ) AS o
        CROSS JOIN LATERAL upc.status(o.symbol) AS s
        WHERE s.is_expected
          AND s.feed NOT IN ('replay', 'simulated')
          AND s.tick_age_seconds > extract(epoch FROM after)
    LOOP
        -- Of two processes that ask at once one waits, and then finds it announced.
        PERFORM upc._lock_announcements(v_status.symbol);
        v_announced := upc._note_condition(
            v_status.symbol, 'tick', 'halted', clock_timestamp(),
            make_interval(secs => v_status.tick_age_seconds)
        );
        IF v_announced IS NOT NULL THEN
            RETURN NEXT v_announced;
        END IF;
    END LOOP;
END
$fn$;
COMMENT ON FUNCTION upc.announce_silence IS
    'announces that symbols which ought to be ticked are not, once; their next tick announces that it is back';

-- Ticks of many symbols in one statement, with one commit and one notification.
--
-- All are answered first, each in a block of its own: reading takes no transaction id. Then all that
-- have an answer are published together. Where that fails, all of it is undone, and the symbols are
-- ticked one by one, so that one that fails harms no other.

CREATE TYPE upc._batch_asked AS (
    symbols text[],
    replay_from timestamptz[],
    elapsed interval[],
    step double precision[],
    since_last interval[],
    with_documents boolean,
    unknown text[],
    held text[]
);
COMMENT ON TYPE upc._batch_asked IS
    'arguments of tick_all that differ by symbol, in the order asked; symbols that are not registered, and those that another process may tick';

CREATE TYPE upc._tick_problem AS (
    sqlstate text,
    message text,
    detail text,
    hint text
);
COMMENT ON TYPE upc._tick_problem IS 'why a symbol of a batch was not ticked';

CREATE TYPE upc._batch_done AS (
    ticked upc._ticked[],
    problems upc._tick_problem[]
);
COMMENT ON TYPE upc._batch_done IS 'ticks of a part of a batch, or why there is none, in the order of its places';


-- SQLSTATEs of a session that is outdated or has to begin anew: they are not about a symbol.
CREATE FUNCTION upc._is_about_the_session(sqlstate text)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN _is_about_the_session.sqlstate IN (
    '0A000', '25006', '26000', '3F000', '40001', '42703', '42704', '42883', '42P01', 'XX000'
);
COMMENT ON FUNCTION upc._is_about_the_session IS
    'true for an SQLSTATE that a batch ends with, for it says nothing about one symbol';


CREATE FUNCTION upc._refuse_batch(asked upc._batch_asked)
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_count integer := coalesce(cardinality(asked.symbols), 0);
    v_twice text;
    v_uneven text;
BEGIN
    IF v_count = 0 OR array_ndims(asked.symbols) <> 1 OR array_lower(asked.symbols, 1) <> 1
        OR array_position(asked.symbols, NULL) IS NOT NULL
    THEN
        RAISE EXCEPTION 'no list of symbols: %', coalesce(left(asked.symbols::text, 70), 'NULL')
            USING
                ERRCODE = 'invalid_parameter_value',
                DETAIL = 'A batch has one symbol at least, and no NULL among them.',
                HINT = 'Pass the symbols as one array: ''{BTC,ETH}''.';
    END IF;
    IF v_count > 10000 THEN
        RAISE EXCEPTION '% symbols are too many for a batch', v_count
            USING
                ERRCODE = 'program_limit_exceeded',
                DETAIL = 'A batch has 10000 symbols at most.',
                HINT = 'Tick them in several batches, of 50 to 100 symbols each.';
    END IF;

    SELECT min(n.symbol) INTO v_twice
    FROM (
        SELECT s AS symbol FROM unnest(asked.symbols) AS s GROUP BY s HAVING count(*) > 1
    ) AS n;
    IF v_twice IS NOT NULL THEN
        RAISE EXCEPTION 'symbol % is in the batch more than once', quote_literal(left(v_twice, 70))
            USING
                ERRCODE = 'invalid_parameter_value',
                DETAIL = 'A batch ticks each symbol once.',
                HINT = 'Name each symbol once.';
    END IF;

    SELECT a.name INTO v_uneven
    FROM (
        VALUES
            ('replay_from', array_dims(asked.replay_from)),
            ('elapsed', array_dims(asked.elapsed)),
            ('step', array_dims(asked.step)),
            ('since_last', array_dims(asked.since_last))
    ) AS a (name, dims)
    WHERE a.dims <> format('[1:%s]', v_count)
    LIMIT 1;
    IF v_uneven IS NOT NULL THEN
        RAISE EXCEPTION '% has not one element per symbol', v_uneven
            USING
                ERRCODE = 'invalid_parameter_value',
                DETAIL = format('There are %s symbols.', v_count),
                HINT = 'Pass an array as long as symbols, with NULL where the default is meant, or NULL.';
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._refuse_batch IS
    'raises 22023 or 54000 for a list of symbols, or arrays beside it, that make no batch';


-- Symbols of a batch that are refused before anything is published: else all of a part would be done
-- twice.
CREATE FUNCTION upc._look_through_batch(asked upc._batch_asked, holder text)
RETURNS upc._batch_asked
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    asked.unknown := ARRAY(
        SELECT n FROM unnest(asked.symbols) AS n
        WHERE NOT EXISTS (SELECT FROM upc_data.symbol AS s WHERE s.symbol = n)
    );
    asked.held := ARRAY(
        SELECT l.symbol
        FROM upc_data.tick_lease AS l
        WHERE l.symbol = ANY (asked.symbols)
          AND l.expires_at > clock_timestamp()
          AND l.holder IS DISTINCT FROM _look_through_batch.holder
    );
    RETURN asked;
END
$fn$;
COMMENT ON FUNCTION upc._look_through_batch IS
    'a batch with those of its symbols that are not registered, and that another process may tick';


CREATE FUNCTION upc._answer_of_batch(
    frame upc._tick_frame,
    asked upc._batch_asked,
    place integer
)
RETURNS upc._tick_answer
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    IF asked.symbols[place] = ANY (asked.unknown) THEN
        PERFORM upc.require_symbol(asked.symbols[place]);
    END IF;
    IF asked.symbols[place] = ANY (asked.held) THEN
        PERFORM upc._hold_lease(
            asked.symbols[place], frame.holder, frame.lease, frame.feed, frame.every
        );
    END IF;
    RETURN upc._answer_tick(
        frame, asked.symbols[place], asked.replay_from[place],
        coalesce(asked.elapsed[place], '0'), asked.step[place]
    );
END
$fn$;
COMMENT ON FUNCTION upc._answer_of_batch IS 'the answer of the tick of one symbol of a batch';


-- Take the right to tick a symbol that has been answered, and publish it.
CREATE FUNCTION upc._publish_of_batch(
    frame upc._tick_frame,
    asked upc._batch_asked,
    place integer,
    answer upc._tick_answer
)
RETURNS upc._ticked
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    PERFORM upc._hold_lease(
        asked.symbols[place], frame.holder, frame.lease, frame.feed, frame.every
    );
    RETURN upc._publish_tick(frame, answer, asked.since_last[place], asked.with_documents);
END
$fn$;
COMMENT ON FUNCTION upc._publish_of_batch IS
    'takes or renews the right to tick a symbol of a batch, and publishes its answer';


-- Tick the symbols at these places. together: all that have an answer are published at the end, and what
-- fails then ends the call; else each is published in the block that answers it.
CREATE FUNCTION upc._tick_places(
    frame upc._tick_frame,
    asked upc._batch_asked,
    places integer[],
    together boolean
)
RETURNS upc._batch_done
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_count integer := cardinality(places);
    v_answers upc._tick_answer[] := array_fill(NULL::upc._tick_answer, ARRAY[v_count]);
    v_ticked upc._ticked[] := array_fill(NULL::upc._ticked, ARRAY[v_count]);
    v_problems upc._tick_problem[] := array_fill(NULL::upc._tick_problem, ARRAY[v_count]);
    v_problem upc._tick_problem;
BEGIN
    FOR i IN 1..v_count LOOP
        BEGIN
            v_answers[i] := upc._answer_of_batch(frame, asked, places[i]);
            IF NOT together THEN
                v_ticked[i] := upc._publish_of_batch(frame, asked, places[i], v_answers[i]);
            END IF;
        EXCEPTION
            WHEN OTHERS THEN
                IF upc._is_about_the_session(SQLSTATE) THEN
                    RAISE;
                END IF;
                GET STACKED DIAGNOSTICS
                    v_problem.sqlstate = RETURNED_SQLSTATE,
                    v_problem.message = MESSAGE_TEXT,
                    v_problem.detail = PG_EXCEPTION_DETAIL,
                    v_problem.hint = PG_EXCEPTION_HINT;
                v_problems[i] := v_problem;
                IF SQLSTATE = '55P03' THEN
                    -- A lock on a table is in the way of all, and this one has been waited for.
                    PERFORM set_config('lock_timeout', '10ms', true);
                END IF;
        END;
    END LOOP;
    IF together THEN
        FOR i IN 1..v_count LOOP
            IF (v_problems[i]).sqlstate IS NULL THEN
                v_ticked[i] := upc._publish_of_batch(frame, asked, places[i], v_answers[i]);
            END IF;
        END LOOP;
    END IF;
    RETURN (v_ticked, v_problems)::upc._batch_done;
END
$fn$;
COMMENT ON FUNCTION upc._tick_places IS
    'ticks symbols of a batch, published together or each in a subtransaction of its own';


-- Tick the symbols at these places: together, or one by one where that fails.
CREATE FUNCTION upc._tick_part(
    frame upc._tick_frame,
    asked upc._batch_asked,
    places integer[]
)
RETURNS upc._batch_done
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    BEGIN
        RETURN upc._tick_places(frame, asked, places, together => true);
    EXCEPTION
        WHEN OTHERS THEN
            -- One that is locked has been waited for once: no other waits for it again for long.
            NULL;
    END;
    PERFORM set_config('lock_timeout', '10ms', true);
    RETURN upc._tick_places(frame, asked, places, together => false);
END
$fn$;
COMMENT ON FUNCTION upc._tick_part IS
    'ticks symbols of a batch together, or one by one where that fails';


-- Notify upc_tick of the ticks of a batch, in as many payloads as it takes.
CREATE FUNCTION upc._notify_ticks(symbols text[], tick_ids bigint[])
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    IF cardinality(symbols) = 1 THEN
        PERFORM pg_notify('upc_tick', upc._tick_payload(symbols[1], tick_ids[1]));
        RETURN;
    END IF;
    PERFORM pg_notify('upc_tick', '{"ticks":{' || p.members || '}}')
    FROM (
        SELECT string_agg(m.member, ',' ORDER BY m.place) AS members
        FROM (
            SELECT
                e.member,
                e.place,
                -- A payload holds less than 8,000 bytes; a member, some 50 at most.
                sum(octet_length(e.member) + 1) OVER (ORDER BY e.place) / 7800 AS payload
            FROM (
                SELECT to_json(t.symbol)::text || ':' || t.tick_id AS member, t.place
                FROM unnest(symbols, tick_ids) WITH ORDINALITY AS t (symbol, tick_id, place)
            ) AS e
        ) AS m
        GROUP BY m.payload
        ORDER BY m.payload
    ) AS p;
END
$fn$;
COMMENT ON FUNCTION upc._notify_ticks IS
    'notifies upc_tick of ticks: of one as {"symbol", "tick_id"}, of several as {"ticks": {symbol: tick_id}}';


-- One tick of each of many symbols, in one statement, with one notification of upc_tick. A symbol that
-- fails harms no other.
--
-- symbols: each once, 10000 at most; 50 to 100 are ticked at the least cost. replay_from, elapsed, step,
-- since_last: arrays beside symbols of what tick has for one, with NULL for its default; or NULL for
-- all. with_documents: false leaves the documents out of the rows; they are kept all the same. The
-- others are as in tick.
-- A row or table that another session has locked is waited for 0.2 s, and 10 ms for each one after it.
-- Returns a row per symbol, in the order of symbols: the columns of tick; or sqlstate, message, detail
-- and hint of why it was not ticked.
-- Errors: 22023 for NULL or nothing in the place of symbols, for one that is there twice, and for an
-- array of another length; 54000 for too many; 22023 for a setting that makes no sense. All else
-- is in the rows: UP002 symbol, UP009 another process ticks, and the others of tick.
--
-- Example:
--   SELECT t.symbol, t.state, t.sqlstate FROM tick_all('{BTC,ETH}', 'simulated') AS t;
CREATE FUNCTION upc.tick_all(
    symbols text[],
    feed text DEFAULT 'replay',
    at timestamptz DEFAULT clock_timestamp(),
    holder text DEFAULT NULL,
    lease interval DEFAULT '5 seconds',
    replay_from timestamptz[] DEFAULT NULL,
    elapsed interval[] DEFAULT NULL,
    seed integer DEFAULT 1,
    step double precision[] DEFAULT NULL,
    levels integer DEFAULT 10,
    method text DEFAULT 'nearest',
    min_probability double precision DEFAULT NULL,
    min_differential double precision DEFAULT NULL,
    every interval DEFAULT '1 second',
    since_last interval[] DEFAULT NULL,
    model text DEFAULT 'momentum',
    settlement text DEFAULT 'close',
    with_documents boolean DEFAULT true
)
RETURNS TABLE (
    symbol text,
    tick_id bigint,
    state text,
    market_at timestamptz,
    price double precision,
    momentum double precision,
    ttc_seconds integer,
    fingerprint text,
    live_probabilities text,
    strike_table text,
    watchlist text,
    active_trades text,
    announced text,
    used_model text,
    used_settlement text,
    valid_until text,
    limits double precision[],
    asked_model text,
    asked_settlement text,
    contracts text,
    sqlstate text,
    message text,
    detail text,
    hint text
)
LANGUAGE plpgsql VOLATILE ROWS 100
SET lock_timeout = '200ms'
AS $fn$
DECLARE
    v_count integer := cardinality(symbols);
    v_asked upc._batch_asked := (
        symbols, replay_from, elapsed, step, since_last, with_documents, NULL, NULL
    );
    v_frame upc._tick_frame;
    v_order integer[];
    v_part upc._batch_done;
    v_ticked upc._ticked[];
    v_problems upc._tick_problem[];
BEGIN
    PERFORM upc._refuse_batch(v_asked);
    v_frame := upc._make_frame(
        feed, at, holder, lease, seed, levels, method, model, settlement, every,
        min_probability, min_differential
    );

    v_asked := upc._look_through_batch(v_asked, v_frame.holder);
    -- In one order everywhere, so that of two batches one waits for the other.
    SELECT array_agg(n.place ORDER BY n.symbol COLLATE "C") INTO v_order
    FROM unnest(symbols) WITH ORDINALITY AS n (symbol, place);
    v_ticked := array_fill(NULL::upc._ticked, ARRAY[v_count]);
    v_problems := array_fill(NULL::upc._tick_problem, ARRAY[v_count]);
    FOR v_from IN 1..v_count BY 100 LOOP
        v_part := upc._tick_part(v_frame, v_asked, v_order[v_from : v_from + 99]);
        FOR i IN 1..cardinality(v_part.ticked) LOOP
            v_ticked[v_order[v_from + i - 1]] := v_part.ticked[i];
            v_problems[v_order[v_from + i - 1]] := v_part.problems[i];
        END LOOP;
    END LOOP;

    PERFORM upc._notify_ticks(
        array_agg(n.symbol ORDER BY n.symbol), array_agg(n.tick_id ORDER BY n.symbol)
    )
    FROM (
        SELECT symbols[p] COLLATE "C" AS symbol, (v_ticked[p]).tick_id
        FROM generate_series(1, v_count) AS p
        WHERE (v_ticked[p]).tick_id IS NOT NULL
    ) AS n
    HAVING count(*) > 0;
    PERFORM set_config('upc.cached_rules', '', true);
    RETURN QUERY
    SELECT b.*
    FROM ROWS FROM (unnest(symbols), unnest(v_ticked), unnest(v_problems)) AS b;
END
$fn$;
COMMENT ON FUNCTION upc.tick_all IS
    'one tick of each of many symbols, in one statement with one notification; returns a row per symbol with its documents as JSON texts, or why it was not ticked';

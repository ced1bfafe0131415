-- The exchange: whether Kalshi trades at present, by its own word, each shard for itself; how much it is asked.

CREATE FUNCTION upc._instant_or_null(text text)
RETURNS timestamptz
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_at timestamptz;
BEGIN
    v_at := nullif(left(text, 100), '')::timestamptz;
    RETURN CASE WHEN isfinite(v_at) THEN v_at END;
EXCEPTION
    WHEN data_exception THEN
        RETURN NULL;
END
$fn$;
COMMENT ON FUNCTION upc._instant_or_null IS
    'an instant in ISO 8601; NULL for any other text';


-- A number of a shard as Kalshi's JSON has it.
CREATE FUNCTION upc._shard_number(text text)
RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN _shard_number.text ~ '^[0-9]{1,6}$' THEN _shard_number.text::integer END;
COMMENT ON FUNCTION upc._shard_number IS
    'the number of a shard of the exchange; NULL for any other text';


-- Shards in an answer of GET /exchange/status. The default one is there without a list, too.
CREATE FUNCTION upc._listed_shards(document jsonb)
RETURNS TABLE (
    exchange_index integer,
    description text,
    exchange_active boolean,
    trading_active boolean
)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 3
BEGIN ATOMIC
    SELECT DISTINCT ON (f.exchange_index)
        f.exchange_index, f.description, f.exchange_active, f.trading_active
    FROM (
        SELECT
            upc._shard_number(s.shard ->> 'exchange_index') AS exchange_index,
            left(s.shard ->> 'description', 100) AS description,
            CASE jsonb_typeof(s.shard -> 'exchange_active') WHEN 'boolean'
                THEN (s.shard -> 'exchange_active')::boolean
            END AS exchange_active,
            CASE jsonb_typeof(s.shard -> 'trading_active') WHEN 'boolean'
                THEN (s.shard -> 'trading_active')::boolean
            END AS trading_active,
            s.place
        FROM jsonb_array_elements(
            CASE jsonb_typeof(_listed_shards.document -> 'exchange_index_statuses') WHEN 'array'
                THEN _listed_shards.document -> 'exchange_index_statuses'
                ELSE '[]'
            END
        ) WITH ORDINALITY AS s (shard, place)
        WHERE s.place <= 1000

        UNION ALL

        SELECT
            0, NULL, (_listed_shards.document -> 'exchange_active')::boolean,
            (_listed_shards.document -> 'trading_active')::boolean, 1001
    ) AS f
    WHERE f.exchange_index IS NOT NULL
      AND f.exchange_active IS NOT NULL
      AND f.trading_active IS NOT NULL
    ORDER BY f.exchange_index, f.place;
END;
COMMENT ON FUNCTION upc._listed_shards IS
    'the shards of the exchange in Kalshi''s JSON that can be read, each once';


-- Take the status of the exchange from Kalshi's JSON, an answer of GET /exchange/status.
--
-- The fields at the top are those of the default shard, 0. Shards whose entry cannot be read are left out.
-- read_at: when it was received; an older reading than the one that is stored changes nothing.
-- Returns one row per shard: its number, the exchange's name for it, true while it does not trade, true where
-- that is news, and when the exchange expects to be back.
-- Errors: UP014 what is not as Kalshi writes it.
--
-- Example:
--   SELECT is_paused FROM load_exchange_status('{"exchange_active": true, "trading_active": false}');
CREATE FUNCTION upc.load_exchange_status(
    document jsonb,
    read_at timestamptz DEFAULT clock_timestamp()
)
RETURNS TABLE (
    exchange_index integer,
    description text,
    is_paused boolean,
    is_news boolean,
    resumes_at timestamptz
)
LANGUAGE plpgsql VOLATILE ROWS 3
AS $fn$
DECLARE
    v_resumes_at timestamptz := upc._instant_or_null(document ->> 'exchange_estimated_resume_time');
BEGIN
    IF jsonb_typeof(document -> 'exchange_active') IS DISTINCT FROM 'boolean'
        OR jsonb_typeof(document -> 'trading_active') IS DISTINCT FROM 'boolean'
        OR NOT coalesce(isfinite(read_at), false)
    THEN
        RAISE EXCEPTION 'not the status of an exchange'
            USING
                ERRCODE = 'UP014',
                DETAIL = 'It has to hold "exchange_active" and "trading_active", true or false.',
                HINT = 'Save what GET /exchange/status answers.';
    END IF;
    IF EXISTS (
        SELECT FROM upc_data.exchange_status AS s WHERE s.read_at > load_exchange_status.read_at
    ) THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH listed AS MATERIALIZED (
        SELECT l.* FROM upc._listed_shards(document) AS l
    ),
    gone AS (
        DELETE FROM upc_data.exchange_status AS s
        WHERE s.exchange_index NOT IN (SELECT l.exchange_index FROM listed AS l)
    ),
    before AS MATERIALIZED (
        SELECT s.exchange_index, s.is_exchange_active AND s.is_trading_active AS is_active
        FROM upc_data.exchange_status AS s
    ),
    stored AS (
        INSERT INTO upc_data.exchange_status AS s
        SELECT
            l.exchange_index, l.description, l.exchange_active, l.trading_active, v_resumes_at,
            load_exchange_status.read_at
        FROM listed AS l
        ORDER BY l.exchange_index
        ON CONFLICT ON CONSTRAINT exchange_status_exchange_index_pkey
            DO UPDATE SET
                description = excluded.description,
                is_exchange_active = excluded.is_exchange_active,
                is_trading_active = excluded.is_trading_active,
                resumes_at = excluded.resumes_at,
                read_at = excluded.read_at
    )
    SELECT
        l.exchange_index,
        l.description,
        NOT (l.exchange_active AND l.trading_active),
        (l.exchange_active AND l.trading_active) IS DISTINCT FROM coalesce(b.is_active, true),
        v_resumes_at
    FROM listed AS l
    LEFT JOIN before AS b ON b.exchange_index = l.exchange_index
    ORDER BY l.exchange_index;
END
$fn$;
COMMENT ON FUNCTION upc.load_exchange_status IS
    'takes the status of the exchange and of its shards from Kalshi''s own JSON';


-- True while trading is paused on a shard, as far as that is known.
--
-- exchange_index: NULL is the default shard, which also stands for one that is not listed. at: the clock. A
-- status that was not read within the limit of what is halted says nothing.
CREATE FUNCTION upc._is_exchange_paused(exchange_index integer, at timestamptz)
RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    -- Most of the time all shards trade: a look at a few rows says so.
    IF NOT EXISTS (
        SELECT FROM upc_data.exchange_status AS s
        WHERE NOT (s.is_exchange_active AND s.is_trading_active)
    ) THEN
        RETURN false;
    END IF;
    RETURN coalesce(
        (
            SELECT NOT (s.is_exchange_active AND s.is_trading_active)
                AND upc.freshness(greatest(at - s.read_at, s.read_at - at)) <> 'halted'
            FROM upc_data.exchange_status AS s
            WHERE s.exchange_index IN (coalesce(_is_exchange_paused.exchange_index, 0), 0)
            ORDER BY s.exchange_index DESC
            LIMIT 1
        ),
        false
    );
END
$fn$;
COMMENT ON FUNCTION upc._is_exchange_paused IS
    'true while trading is paused on a shard of the exchange, by what it said last; false where that is too long ago';


-- The exchange as the events of a symbol know it: those that are open, and those of the last day.
--
-- at: the clock. is_known: the exchange's status was read within the limit of what is halted. is_paused: trading
-- is paused on the shard of one of them.
CREATE FUNCTION upc._symbol_pause(
    symbol text,
    at timestamptz,
    OUT is_known boolean,
    OUT is_paused boolean,
    OUT resumes_at timestamptz
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_is_any_paused boolean;
BEGIN
    SELECT
        coalesce(
            bool_and(upc.freshness(greatest(at - s.read_at, s.read_at - at)) <> 'halted'), false
        ),
        bool_or(NOT (s.is_exchange_active AND s.is_trading_active)),
        max(s.resumes_at)
    INTO is_known, v_is_any_paused, resumes_at
    FROM upc_data.exchange_status AS s;
    is_paused := is_known AND v_is_any_paused AND coalesce(
        (
            SELECT bool_or(upc._is_exchange_paused(h.shard, at))
            FROM (
                SELECT DISTINCT e.exchange_index AS shard
                FROM upc_data.market_event AS e
                WHERE e.symbol = _symbol_pause.symbol AND e.closes_at > at - interval '1 day'
            ) AS h
        ),
        false
    );
END
$fn$;
COMMENT ON FUNCTION upc._symbol_pause IS
    'whether trading is paused for events of a symbol, whether that is known, and when the exchange expects to be back';


-- Status of an event's markets, paused where they are active and the exchange is not.
CREATE FUNCTION upc._event_status(status text, is_paused boolean)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN _event_status.status = 'active' AND _event_status.is_paused THEN 'paused'
    ELSE _event_status.status
END;
COMMENT ON FUNCTION upc._event_status IS
    'the status of an event as Kalshi words it, or paused while the exchange does not trade it';


-- Requests a second that are asked of Kalshi at most: the rule kalshi_rate, which a session's setting may
-- replace unchecked.
--
-- Returns a number from 0.2 to 1000.
-- Errors: 22P02 a setting that is no number.
--
-- Example:
--   SELECT kalshi_rate() = 10;
CREATE FUNCTION upc.kalshi_rate()
RETURNS double precision
LANGUAGE sql STABLE PARALLEL SAFE
RETURN greatest(0.2, least(1000, upc.setting('kalshi_rate')::double precision));
COMMENT ON FUNCTION upc.kalshi_rate IS
    'requests a second that are asked of Kalshi at most';

-- Announcements: news for people, kept until every subscriber has passed it on.

CREATE FUNCTION upc._lock_announcements(symbol text)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    INSERT INTO upc_data.id_counter AS c (symbol, kind, last_id)
    VALUES (
        _lock_announcements.symbol, 'announcement', upc._highest_id(symbol, 'announcement')
    )
    ON CONFLICT ON CONSTRAINT id_counter_symbol_kind_pkey DO UPDATE SET last_id = c.last_id;
END
$fn$;
COMMENT ON FUNCTION upc._lock_announcements IS
    'holds back all others that have to announce something of a symbol, to the end of the transaction';


CREATE FUNCTION upc._announce(
    symbol text,
    kind text,
    subject text,
    message text,
    document json,
    at timestamptz
)
RETURNS json
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    -- Ids of a symbol become visible in their order, so that a cursor passes none over.
    v_id bigint := upc._next_id(symbol, 'announcement');
BEGIN
    INSERT INTO upc_data.announcement AS a
        (symbol, announcement_id, announced_at, kind, subject, message, document)
    VALUES (
        _announce.symbol, v_id, _announce.at, _announce.kind, _announce.subject,
        _announce.message, _announce.document
    );
    PERFORM pg_notify(
        'upc_announcement',
        json_build_object('symbol', symbol, 'announcement_id', v_id, 'kind', kind)::text
    );
    RETURN json_build_object(
        'announcement_id', v_id,
        'symbol', symbol,
        'kind', kind,
        'subject', subject,
        'message', message,
        'document', document
    );
END
$fn$;
COMMENT ON FUNCTION upc._announce IS
    'puts an announcement into the outbox and notifies upc_announcement; returns it as JSON';


-- Add a subscriber, which passes the announcements on from its cursor, at least once each.
--
-- subscriber: its name. is_from_start: begin with the announcements that there are; else with the next
-- one. A subscriber that is known keeps its cursors; a symbol that has come since is read from its start.
-- Returns nothing.
-- Errors: none.
--
-- Example:
--   SELECT subscribe('mail');
--   SELECT count(*) = 0 FROM next_announcements('mail', '{stop}');
CREATE FUNCTION upc.subscribe(subscriber text, is_from_start boolean DEFAULT false)
RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    INSERT INTO upc_data.announcement_cursor AS c (symbol, subscriber, announcement_id, moved_at)
    SELECT
        s.symbol,
        subscribe.subscriber,
        CASE
            WHEN subscribe.is_from_start THEN 0
            -- A symbol that came later than the subscriber.
            WHEN EXISTS (
                SELECT FROM upc_data.announcement_cursor AS o
                WHERE o.subscriber = subscribe.subscriber
            ) THEN 0
            ELSE coalesce(
                (
                    SELECT max(a.announcement_id) FROM upc_data.announcement AS a
                    WHERE a.symbol = s.symbol
                ),
                0
            )
        END,
        clock_timestamp()
    FROM upc_data.symbol AS s
    ON CONFLICT ON CONSTRAINT announcement_cursor_symbol_subscriber_pkey DO NOTHING;
END;
COMMENT ON FUNCTION upc.subscribe IS
    'sets the cursors of a new subscriber, behind the announcements that there are or before them; leaves those of another as they are';


-- The announcements that a subscriber has still to pass on.
--
-- subscriber: as in subscribe. kinds: stop, settled, changed, stale, halted, paused, recovered. count: how
-- many at most.
-- Returns one row per announcement, oldest first, those of a symbol in the order of their ids; none for
-- a subscriber that is not known.
-- Errors: none.
--
-- Example:
--   SELECT subscribe('mail');
--   SELECT count(*) = 0 FROM next_announcements('mail', '{stop,settled}', 10);
CREATE FUNCTION upc.next_announcements(
    subscriber text,
    kinds text[],
    count integer DEFAULT 100
)
RETURNS TABLE (
    symbol text,
    announcement_id bigint,
    announced_at timestamptz,
    kind text,
    subject text,
    message text,
    document json
)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 10
BEGIN ATOMIC
    SELECT
        n.symbol, n.announcement_id, n.announced_at, n.kind, n.subject, n.message, n.document
    FROM (
        SELECT
            a.*,
            -- A clock that was put back makes no announcement overtake an earlier one of its symbol.
            max(a.announced_at) OVER (PARTITION BY a.symbol ORDER BY a.announcement_id) AS place
        FROM upc_data.announcement_cursor AS c
        JOIN upc_data.announcement AS a
            ON a.symbol = c.symbol AND a.announcement_id > c.announcement_id
        WHERE c.subscriber = next_announcements.subscriber
          AND a.kind = ANY (next_announcements.kinds)
    ) AS n
    ORDER BY n.place, n.announcement_id, n.symbol
    LIMIT next_announcements.count;
END;
COMMENT ON FUNCTION upc.next_announcements IS
    'the announcements that a subscriber has still to pass on, oldest first';


-- Move a subscriber's cursor behind an announcement that it has passed on.
--
-- subscriber: as in subscribe. symbol, announcement_id: of the announcement; a cursor never goes back.
-- Returns nothing.
-- Errors: none.
--
-- Example:
--   SELECT subscribe('mail');
--   SELECT acknowledge('mail', 'BTC', 17);
CREATE FUNCTION upc.acknowledge(subscriber text, symbol text, announcement_id bigint)
RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    UPDATE upc_data.announcement_cursor AS c
    SET announcement_id = acknowledge.announcement_id, moved_at = clock_timestamp()
    WHERE c.symbol = acknowledge.symbol
      AND c.subscriber = acknowledge.subscriber
      AND c.announcement_id < acknowledge.announcement_id;
END;
COMMENT ON FUNCTION upc.acknowledge IS
    'moves a subscriber''s cursor behind an announcement that has arrived';

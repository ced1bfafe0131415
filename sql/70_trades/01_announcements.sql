-- Announcements: what people are to be told, kept until every subscriber has passed it on.

CREATE FUNCTION upc._lock_announcements(symbol text)
RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT pg_advisory_xact_lock(
        hashtextextended('upc announcement ' || _lock_announcements.symbol, 0)
    );
END;
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
    v_id bigint;
BEGIN
    -- Numbers of a symbol become visible in their order, so that a cursor passes none over.
    PERFORM upc._lock_announcements(symbol);
    INSERT INTO upc_data.announcement AS a
        (symbol, announced_at, kind, subject, message, document)
    VALUES (
        _announce.symbol, _announce.at, _announce.kind, _announce.subject, _announce.message,
        _announce.document
    )
    RETURNING a.announcement_id INTO v_id;
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


-- State of a thing that ticks depend on: announced when it fails, gets worse, and is well again.

CREATE FUNCTION upc._note_condition(
    symbol text,
    subject text,
    state text,
    at timestamptz,
    age interval
)
RETURNS json
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_before upc_data.condition;
BEGIN
    SELECT c.*
    INTO v_before
    FROM upc_data.condition AS c
    WHERE c.symbol = _note_condition.symbol AND c.subject = _note_condition.subject;
    IF state IN ('fresh', 'warn') THEN
        IF v_before.state IS NULL THEN
            RETURN NULL;
        END IF;
        DELETE FROM upc_data.condition AS c
        WHERE c.symbol = _note_condition.symbol AND c.subject = _note_condition.subject;
        RETURN upc._announce(
            symbol,
            'recovered',
            subject,
            format(
                '%s: %s back after %s',
                symbol, CASE subject WHEN 'quotes' THEN 'quotes are' ELSE subject || ' is' END,
                upc._span_text(at - v_before.since_at)
            ),
            json_build_object('before', v_before.state, 'since', upc._iso_utc(v_before.since_at)),
            at
        );
    END IF;
    IF state IS NOT DISTINCT FROM v_before.state THEN
        RETURN NULL;
    END IF;

    INSERT INTO upc_data.condition AS c (symbol, subject, state, since_at)
    VALUES (_note_condition.symbol, _note_condition.subject, _note_condition.state, at)
    ON CONFLICT ON CONSTRAINT condition_symbol_subject_pkey
        DO UPDATE SET state = excluded.state;
    RETURN upc._announce(
        symbol,
        state,
        subject,
        format(
            '%s: %s %s, last seen %s ago',
            symbol, CASE subject WHEN 'quotes' THEN 'quotes are' ELSE subject || ' is' END,
            state, upc._span_text(age)
        ),
        json_build_object(
            'before', coalesce(v_before.state, 'fresh'),
            'age_seconds', round(extract(epoch FROM age), 3)
        ),
        at
    );
END
$fn$;
COMMENT ON FUNCTION upc._note_condition IS
    'announces that the price, the quotes or the ticks of a symbol have become stale or halted, or have recovered, if that is news; returns the announcement';


-- quote_state: NULL where no event is current; then the quotes that were read last in the past
-- hour count, so that a feed that has died is noticed although its event has closed.
CREATE FUNCTION upc._note_conditions(
    symbol text,
    at timestamptz,
    price_state text,
    price_age interval,
    quote_state text,
    quote_age interval
)
RETURNS json[]
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_quote_state text := quote_state;
    v_quote_age interval := quote_age;
BEGIN
    IF v_quote_state IS NULL THEN
        SELECT at - max(e.read_at)
        INTO v_quote_age
        FROM upc_data.market_event AS e
        WHERE e.symbol = _note_conditions.symbol AND e.closes_at > at - interval '1 hour';
        v_quote_state := CASE WHEN v_quote_age IS NOT NULL THEN upc.freshness(v_quote_age) END;
    END IF;
    IF price_state IN ('fresh', 'warn')
        AND coalesce(v_quote_state, 'fresh') IN ('fresh', 'warn')
        AND NOT EXISTS (
            SELECT FROM upc_data.condition AS c WHERE c.symbol = _note_conditions.symbol
        )
    THEN
        RETURN '{}'::json[];
    END IF;

    RETURN array_remove(
        ARRAY[
            upc._note_condition(symbol, 'tick', 'fresh', at, NULL),
            upc._note_condition(symbol, 'price', price_state, at, price_age),
            CASE WHEN v_quote_state IS NOT NULL THEN
                upc._note_condition(symbol, 'quotes', v_quote_state, at, v_quote_age)
            END
        ]::json[]::text[],
        NULL
    )::json[];
END
$fn$;
COMMENT ON FUNCTION upc._note_conditions IS
    'what a tick has to announce of its price and its quotes, and that it ticks again';


-- Subscribers: each passes the announcements on from its cursor, at least once.

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
        a.symbol, a.announcement_id, a.announced_at, a.kind, a.subject, a.message, a.document
    FROM upc_data.announcement_cursor AS c
    JOIN upc_data.announcement AS a
        ON a.symbol = c.symbol AND a.announcement_id > c.announcement_id
    WHERE c.subscriber = next_announcements.subscriber
      AND a.kind = ANY (next_announcements.kinds)
    ORDER BY a.announcement_id
    LIMIT next_announcements.count;
END;
COMMENT ON FUNCTION upc.next_announcements IS
    'what a subscriber has still to pass on, oldest first';


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

-- Conditions: price, quotes and ticks that fail, get worse, and recover, and an exchange that pauses, each
-- announced once.

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


-- Trades that are held while the exchange has paused trading: nothing of them can be sold.
CREATE FUNCTION upc._held_text(symbol text)
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_count bigint;
    v_names text;
BEGIN
    SELECT
        count(*),
        string_agg(h.trade_id::text, ', ' ORDER BY h.trade_id) FILTER (WHERE h.place <= 10)
    INTO v_count, v_names
    FROM (
        SELECT t.trade_id, row_number() OVER (ORDER BY t.trade_id) AS place
        FROM upc_data.trade AS t
        WHERE t.symbol = _held_text.symbol AND t.ended_at IS NULL
    ) AS h;
    RETURN CASE
        WHEN v_count = 1 THEN format('; trade %s is held and cannot be sold', v_names)
        WHEN v_count > 1 THEN format(
            '; trades %s%s are held and cannot be sold',
            v_names, CASE WHEN v_count > 10 THEN format(' and %s more', v_count - 10) END
        )
        ELSE ''
    END;
END
$fn$;
COMMENT ON FUNCTION upc._held_text IS
    'the trades of a symbol that are held, as the end of a sentence on a pause; empty without any';


-- The exchange of a symbol's events: announced when it pauses trading, and when it trades again. What is not
-- known is no news.
CREATE FUNCTION upc._note_pause(symbol text, at timestamptz)
RETURNS json
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_since timestamptz;
    v_pause record;
BEGIN
    SELECT c.since_at
    INTO v_since
    FROM upc_data.condition AS c
    WHERE c.symbol = _note_pause.symbol AND c.subject = 'exchange';
    v_pause := upc._symbol_pause(symbol, at);
    IF NOT v_pause.is_known OR v_pause.is_paused = (v_since IS NOT NULL) THEN
        RETURN NULL;
    END IF;
    IF v_pause.is_paused THEN
        INSERT INTO upc_data.condition (symbol, subject, state, since_at)
        VALUES (_note_pause.symbol, 'exchange', 'paused', at);
        RETURN upc._announce(
            symbol,
            'paused',
            'exchange',
            format(
                '%s: Kalshi has paused trading%s%s',
                symbol, ', until ' || to_char(
                    v_pause.resumes_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC or later"'
                ),
                upc._held_text(symbol)
            ),
            json_build_object('resumes_at', upc._iso_utc(v_pause.resumes_at)),
            at
        );
    END IF;
    DELETE FROM upc_data.condition AS c
    WHERE c.symbol = _note_pause.symbol AND c.subject = 'exchange';
    RETURN upc._announce(
        symbol,
        'recovered',
        'exchange',
        format('%s: Kalshi trades again after %s', symbol, upc._span_text(at - v_since)),
        json_build_object('before', 'paused', 'since', upc._iso_utc(v_since)),
        at
    );
END
$fn$;
COMMENT ON FUNCTION upc._note_pause IS
    'announces that the exchange has paused trading for events of a symbol, or trades again, if that is news; returns the announcement';


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
        AND NOT EXISTS (
            SELECT FROM upc_data.exchange_status AS x
            WHERE NOT (x.is_exchange_active AND x.is_trading_active)
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
            END,
            upc._note_pause(symbol, at)
        ]::json[]::text[],
        NULL
    )::json[];
END
$fn$;
COMMENT ON FUNCTION upc._note_conditions IS
    'what a tick has to announce of its price, its quotes and the exchange, and that it ticks again';

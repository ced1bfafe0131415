-- Conditions: price, quotes and ticks that fail, get worse, and recover, each announced once.

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

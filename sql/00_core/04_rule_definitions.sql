-- Rules: the limits and switches that people set, each defined here and nowhere else.

-- All rules. The list between the marks is JSON, since the command line reads it too, which has to
-- check a config.toml without a database.
--
-- Returns a row per rule. kind: interval, number or switch. The value lies from at_least to at_most;
-- is_above: at_least itself excluded. An interval whose at_most is infinity may be 'infinity', too.
--
-- Example:
--   SELECT d.fallback = '15 s' AS is_known FROM upc.rule_definitions() AS d WHERE d.name = 'fresh_for';
CREATE FUNCTION upc.rule_definitions()
RETURNS TABLE (
    place bigint,
    name text,
    kind text,
    fallback text,
    at_least text,
    at_most text,
    is_above boolean,
    unit text,
    meaning text
)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 30
AS $fn$
    SELECT
        e.place, d.name, d.kind, d.fallback, d.at_least, d.at_most, coalesce(d.is_above, false), d.unit,
        d.meaning
    FROM json_array_elements($rules$
[
{"name": "fresh_for", "kind": "interval", "fallback": "15 s", "at_least": "0 s", "is_above": true, "at_most": "1000 years", "meaning": "a price or quote is fresh up to this age"},
{"name": "warn_for", "kind": "interval", "fallback": "30 s", "at_least": "0 s", "is_above": true, "at_most": "1000 years", "meaning": "it is in warn, and may still be traded on, up to this age"},
{"name": "stale_for", "kind": "interval", "fallback": "60 s", "at_least": "0 s", "is_above": true, "at_most": "1000 years", "meaning": "it is stale up to this age and halted after it"},
{"name": "frozen_after", "kind": "interval", "fallback": "30 s", "at_least": "0 s", "is_above": true, "at_most": "1000 years", "meaning": "a price that stays the same for this long is stale"},
{"name": "min_probability", "kind": "number", "fallback": "95", "at_least": "0", "at_most": "100", "unit": "%", "meaning": "minimum of a probability for the watchlist"},
{"name": "min_differential", "kind": "number", "fallback": "0", "at_least": "-100", "at_most": "100", "unit": "points", "meaning": "minimum of probability minus ask for the watchlist"},
{"name": "stop_on_probability", "kind": "switch", "fallback": "on", "meaning": "a probability below the limit stops a trade"},
{"name": "stop_probability", "kind": "number", "fallback": "40", "at_least": "0", "at_most": "100", "unit": "%", "meaning": "the limit below which a probability stops a trade"},
{"name": "stop_ttc", "kind": "interval", "fallback": "60 s", "at_least": "0 s", "at_most": "1000 years", "meaning": "no probability stops a trade with less time than this to the close"},
{"name": "stop_verify", "kind": "switch", "fallback": "on", "meaning": "a probability stops a trade only if it stayed below for a while"},
{"name": "stop_verify_for", "kind": "interval", "fallback": "15 s", "at_least": "0 s", "at_most": "1000 years", "meaning": "how long it has to stay below the limit"},
{"name": "stop_on_momentum", "kind": "switch", "fallback": "on", "meaning": "momentum against it stops a trade"},
{"name": "stop_momentum", "kind": "number", "fallback": "35", "at_least": "1", "at_most": "10000", "unit": "bp", "meaning": "momentum that triggers the stop"},
{"name": "use_seconds", "kind": "switch", "fallback": "on", "meaning": "one-second prices correct the forecast of up to 15 minutes, where there are 30 days of them"},
{"name": "account_precision", "kind": "number", "fallback": "0.01", "at_least": "0.0001", "at_most": "0.01", "unit": "USD", "meaning": "what is paid is rounded up to a multiple of this: 0.0001 for direct members of Kalshi, 0.01 for others"},
{"name": "edge_contracts", "kind": "number", "fallback": "10", "at_least": "0", "is_above": true, "at_most": "1000000", "unit": "contracts", "meaning": "size of the order whose fee is taken off an edge"},
{"name": "use_basis", "kind": "switch", "fallback": "on", "meaning": "a price of the log is asked about less the basis that the last 12 settlements show"},
{"name": "suggest_bets", "kind": "switch", "fallback": "on", "meaning": "bets are suggested; off silences all of them"},
{"name": "bankroll", "kind": "number", "fallback": "0", "at_least": "0", "at_most": "1000000000", "unit": "USD", "meaning": "what sizes of bets are worked out from; 0 tells no size"},
{"name": "kelly_share", "kind": "number", "fallback": "0.25", "at_least": "0", "is_above": true, "at_most": "1", "meaning": "share of the size by Kelly that a bet gets"},
{"name": "event_exposure", "kind": "number", "fallback": "10", "at_least": "0", "at_most": "100", "unit": "%", "meaning": "share of the bankroll that may be at risk in one event"},
{"name": "day_exposure", "kind": "number", "fallback": "30", "at_least": "0", "at_most": "100", "unit": "%", "meaning": "share of the bankroll that may be at risk in all events that close on the same day in New York"},
{"name": "kalshi_rate", "kind": "number", "fallback": "10", "at_least": "0.2", "at_most": "1000", "unit": "requests/s", "meaning": "what the feed asks of Kalshi at most; 20 are documented for a basic account, nothing without one"},
{"name": "keep_prices", "kind": "interval", "fallback": "45 days", "at_least": "2 days", "at_most": "infinity", "meaning": "how long prices are kept"},
{"name": "keep_ticks", "kind": "interval", "fallback": "90 days", "at_least": "2 days", "at_most": "infinity", "meaning": "how long one tick a minute and announcements are kept"},
{"name": "keep_every_tick", "kind": "interval", "fallback": "2 days", "at_least": "1 day", "at_most": "infinity", "meaning": "how long every tick is kept; of older ones the first of each minute"},
{"name": "keep_contracts", "kind": "interval", "fallback": "30 days", "at_least": "1 day", "at_most": "infinity", "meaning": "how long the log of contracts is kept, with their events"},
{"name": "keep_events", "kind": "interval", "fallback": "30 days", "at_least": "2 days", "at_most": "infinity", "meaning": "how long closed events that were neither traded nor ticked are kept, with their quotes"}
]
    $rules$::json) WITH ORDINALITY AS e (rule, place)
    CROSS JOIN LATERAL json_to_record(e.rule) AS d (
        name text, kind text, fallback text, at_least text, at_most text, is_above boolean, unit text,
        meaning text
    )
    ORDER BY e.place
$fn$;
COMMENT ON FUNCTION upc.rule_definitions IS
    'all rules: kind, default, bounds, unit and meaning';


-- Default of a rule; NULL for an unknown name. A constant name is looked up while planning.
CREATE FUNCTION upc._rule_fallback(name text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
    SELECT d.fallback FROM upc.rule_definitions() AS d WHERE d.name = _rule_fallback.name
);
COMMENT ON FUNCTION upc._rule_fallback IS 'the default of a rule; NULL for an unknown name';


-- Value of a rule as it is stored: trimmed, numbers plain, switches on or off.
--
-- Errors: UP029 unknown rule; 22023 a value outside of its bounds.
--
-- Example:
--   SELECT upc._rule_text('stop_verify', 'yes') = 'on' AS is_switch;
CREATE FUNCTION upc._rule_text(name text, value text)
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_rule record;
    v_text text := regexp_replace(trim(value), '[[:space:]]+', ' ', 'g');
BEGIN
    SELECT d.* INTO v_rule FROM upc.rule_definitions() AS d WHERE d.name = _rule_text.name;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'unknown rule %', coalesce(quote_literal(name), 'NULL')
            USING
                ERRCODE = 'UP029',
                DETAIL = 'A rule is a limit or a switch that can be set.',
                HINT = 'There are: ' || (
                    SELECT string_agg(d.name, ', ' ORDER BY d.place)
                    FROM upc.rule_definitions() AS d
                ) || '.';
    END IF;

    CASE v_rule.kind
        WHEN 'switch' THEN
            IF lower(v_text) IN ('on', 'true', 'yes', '1') THEN
                RETURN 'on';
            ELSIF lower(v_text) IN ('off', 'false', 'no', '0') THEN
                RETURN 'off';
            END IF;
        WHEN 'number' THEN
            IF v_text ~ '^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]{1,3})?$'
                AND v_text::numeric BETWEEN v_rule.at_least::numeric AND v_rule.at_most::numeric
                AND NOT (v_rule.is_above AND v_text::numeric = v_rule.at_least::numeric)
            THEN
                RETURN trim_scale(v_text::numeric)::text;
            END IF;
        ELSE
            -- Before PostgreSQL 17 no interval is endless.
            IF lower(v_text) = 'infinity' AND v_rule.at_most = 'infinity' THEN
                RETURN 'infinity';
            END IF;
            BEGIN
                IF v_text ~* '^[0-9]+([.][0-9]+)? *[a-z]+( +[0-9]+([.][0-9]+)? *[a-z]+)*$'
                    AND v_text::interval >= v_rule.at_least::interval
                    AND v_text::interval <= replace(v_rule.at_most, 'infinity', '1000 years')::interval
                    AND NOT (v_rule.is_above AND v_text::interval = v_rule.at_least::interval)
                THEN
                    RETURN v_text;
                END IF;
            EXCEPTION
                WHEN data_exception THEN
                    NULL;
            END;
    END CASE;

    RAISE EXCEPTION 'rule % cannot be %', name, coalesce(quote_literal(value), 'NULL')
        USING
            ERRCODE = 'invalid_parameter_value',
            DETAIL = CASE v_rule.kind
                WHEN 'switch' THEN 'It is on or off.'
                ELSE format(
                    'It is %s %s %s, at most %s.',
                    CASE v_rule.kind WHEN 'number' THEN 'a number' ELSE 'an interval with its unit,' END,
                    CASE WHEN v_rule.is_above THEN 'above' ELSE 'from' END,
                    v_rule.at_least,
                    v_rule.at_most
                )
            END,
            HINT = format(
                'Its default is %L: upc.set_rule(%L, %L), or upc.unset_rule(%L).',
                v_rule.fallback, name, v_rule.fallback, name
            );
END
$fn$;
COMMENT ON FUNCTION upc._rule_text IS
    'the value of a rule as it is stored; raises UP029 for an unknown rule, 22023 for a value outside of its bounds';

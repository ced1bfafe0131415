-- Rules in force: a setting, else the table, else the default; how they are set, and their list.

-- Rule as upc_data.rule has it, or as a tick has cached it; NULL where it is not set.
-- Errors: 22023 a value that has been broken there by hand.
CREATE FUNCTION upc._stored_rule(name text)
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_cached text := current_setting('upc.cached_rules', true);
    v_value text;
BEGIN
    -- A tick has read and checked them.
    IF v_cached = '{}' THEN
        RETURN NULL;
    ELSIF v_cached <> '' THEN
        RETURN v_cached::json ->> name;
    END IF;

    SELECT r.value INTO v_value FROM upc_data.rule AS r WHERE r.name = _stored_rule.name;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    RETURN upc._rule_text(name, v_value);
END
$fn$;
COMMENT ON FUNCTION upc._stored_rule IS
    'a rule as upc_data.rule has it, NULL where it is not set; raises 22023 if it has been broken there';


-- Read all rules of the table at once and cache them to the end of the transaction, or until
-- upc.cached_rules is set to nothing. A tick asks for two dozen.
-- Errors: 22023 a value outside of its rule's bounds.
CREATE FUNCTION upc._cache_rules()
RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
AS $fn$
DECLARE
    v_rules text;
BEGIN
    IF NOT EXISTS (SELECT FROM upc_data.rule) THEN
        RETURN set_config('upc.cached_rules', '{}', true);
    END IF;

    -- Names of a newer pyupc are left alone.
    SELECT coalesce(json_object_agg(r.name, r.value ORDER BY r.name)::text, '{}')
    INTO v_rules
    FROM upc_data.rule AS r
    WHERE upc._rule_fallback(r.name) IS NOT NULL;
    -- Each state of the table is checked once a session.
    IF v_rules <> coalesce(current_setting('upc.checked_rules', true), '') THEN
        PERFORM upc._rule_text(e.key, e.value) FROM json_each_text(v_rules::json) AS e;
        PERFORM set_config('upc.checked_rules', v_rules, false);
    END IF;
    RETURN set_config('upc.cached_rules', v_rules, true);
END
$fn$;
COMMENT ON FUNCTION upc._cache_rules IS
    'reads the rules of the table once for the rest of the transaction; raises 22023 if one has been broken there';


-- Rule in force: the setting of the session, role or database (SET upc.name, ALTER DATABASE … SET
-- upc.name), else its value in upc_data.rule, else its default.
--
-- fallback: in place of the default.
-- Errors: 22023 a value that has been broken in upc_data.rule by hand.
--
-- Example:
--   SELECT upc.setting('fresh_for')::interval = '15 s';
CREATE FUNCTION upc.setting(name text, fallback text DEFAULT NULL)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(
    nullif(current_setting('upc.' || setting.name, true), ''),
    upc._stored_rule(setting.name),
    setting.fallback,
    upc._rule_fallback(setting.name)
);
COMMENT ON FUNCTION upc.setting IS
    'a rule in force: a setting of the session, role or database (SET upc.name, ALTER DATABASE … SET upc.name), else its value in upc_data.rule, else the fallback, else its default';


-- Set a rule for everybody, in upc_data.rule. A running tick takes it at its next tick. A setting of
-- the session, role or database of that name goes before it.
--
-- Returns the value as it is stored.
-- Errors: UP029 unknown rule; 22023 a value outside of its bounds; 42501 for all but the owner: a role
-- that ticks must not be able to loosen what stops.
--
-- Example:
--   SELECT upc.set_rule('fresh_for', '10 s') = '10 s' AS is_set;
CREATE FUNCTION upc.set_rule(name text, value text)
RETURNS text
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_text text := upc._rule_text(set_rule.name, set_rule.value);
BEGIN
    INSERT INTO upc_data.rule AS r (name, value, set_by, set_at)
    VALUES (set_rule.name, v_text, session_user, clock_timestamp())
    ON CONFLICT ON CONSTRAINT rule_name_pkey
        DO UPDATE SET
            value = excluded.value,
            set_by = excluded.set_by,
            set_at = excluded.set_at;
    RETURN v_text;
END
$fn$;
COMMENT ON FUNCTION upc.set_rule IS
    'sets a rule for everybody and notes who did and when; returns the value as it is stored';


-- Take a rule out of upc_data.rule again.
--
-- Returns false where it was not set.
-- Errors: UP029 unknown rule; 42501 for all but the owner.
--
-- Example:
--   SELECT NOT upc.unset_rule('warn_for') AS was_not_set;
CREATE FUNCTION upc.unset_rule(name text)
RETURNS boolean
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    DELETE FROM upc_data.rule AS r WHERE r.name = unset_rule.name;
    IF FOUND THEN
        RETURN true;
    END IF;
    -- A rule of another pyupc can be taken out, too; else the name has to be known.
    IF upc._rule_fallback(name) IS NULL THEN
        PERFORM upc._rule_text(name, NULL);
    END IF;
    RETURN false;
END
$fn$;
COMMENT ON FUNCTION upc.unset_rule IS
    'takes a rule out of upc_data.rule; returns false where it was not set';


-- All rules, each with the value in force and its source.
--
-- source: setting (of the session, role or database), table or default; set_by and set_at belong to
-- the table's. problem: the message about a value that was broken in the table by hand, else about the
-- setting's: no tick can go by it.
--
-- Example:
--   SELECT r.name, r.value, r.source FROM upc.rules() AS r;
CREATE FUNCTION upc.rules()
RETURNS TABLE (
    name text,
    value text,
    source text,
    set_by text,
    set_at timestamptz,
    fallback text,
    unit text,
    meaning text,
    problem text
)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE ROWS 20
AS $fn$
DECLARE
    v_rule record;
BEGIN
    FOR v_rule IN
        SELECT
            d.*,
            nullif(current_setting('upc.' || d.name, true), '') AS setting,
            r.value AS stored,
            r.set_by,
            r.set_at
        FROM upc.rule_definitions() AS d
        LEFT JOIN upc_data.rule AS r ON r.name = d.name
        ORDER BY d.place
    LOOP
        name := v_rule.name;
        value := coalesce(v_rule.setting, v_rule.stored, v_rule.fallback);
        source := CASE
            WHEN v_rule.setting IS NOT NULL THEN 'setting'
            WHEN v_rule.stored IS NOT NULL THEN 'table'
            ELSE 'default'
        END;
        set_by := v_rule.set_by;
        set_at := v_rule.set_at;
        fallback := v_rule.fallback;
        unit := v_rule.unit;
        meaning := v_rule.meaning;
        problem := NULL;
        IF v_rule.stored IS NOT NULL THEN
            BEGIN
                PERFORM upc._rule_text(v_rule.name, v_rule.stored);
            EXCEPTION
                WHEN invalid_parameter_value THEN
                    problem := SQLERRM;
            END;
        END IF;
        IF problem IS NULL AND v_rule.setting IS NOT NULL AND lower(v_rule.setting) <> 'infinity' THEN
            -- A setting may have any form that its type is read from.
            BEGIN
                PERFORM upc._rule_text(
                    v_rule.name,
                    CASE v_rule.kind
                        WHEN 'switch' THEN v_rule.setting::boolean::text
                        WHEN 'number' THEN v_rule.setting::numeric::text
                        ELSE round(extract(epoch FROM v_rule.setting::interval), 6)::text || ' s'
                    END
                );
            EXCEPTION
                WHEN data_exception THEN
                    problem := format('upc.%s cannot be %L', v_rule.name, v_rule.setting);
            END;
        END IF;
        RETURN NEXT;
    END LOOP;
END
$fn$;
COMMENT ON FUNCTION upc.rules IS
    'all rules, each with the value in force and its source; the table''s with the role that set it and the time';

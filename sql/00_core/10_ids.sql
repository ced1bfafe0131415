-- Ids of ticks and announcements: counted per symbol, in the order in which they become visible.

-- The highest id that a symbol has or had, as far as its rows tell.
CREATE FUNCTION upc._highest_id(symbol text, kind text)
RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    IF kind = 'tick' THEN
        RETURN greatest(
            (SELECT max(t.tick_id) FROM upc_data.tick AS t WHERE t.symbol = _highest_id.symbol),
            (SELECT d.tick_id FROM upc_data.document AS d WHERE d.symbol = _highest_id.symbol),
            0
        );
    END IF;
    RETURN greatest(
        (
            SELECT max(a.announcement_id) FROM upc_data.announcement AS a
            WHERE a.symbol = _highest_id.symbol
        ),
        (
            SELECT max(c.announcement_id) FROM upc_data.announcement_cursor AS c
            WHERE c.symbol = _highest_id.symbol
        ),
        0
    );
END
$fn$;
COMMENT ON FUNCTION upc._highest_id IS
    'the highest id of a symbol''s ticks or announcements that its rows show; 0 for none';


-- The next id of a symbol. Its counter stays locked to the end of the transaction: whoever asks next
-- waits until this id is visible or given up, so that ids become visible in their order.
CREATE FUNCTION upc._next_id(symbol text, kind text)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_id bigint;
BEGIN
    UPDATE upc_data.id_counter AS c
    SET last_id = c.last_id + 1
    WHERE c.symbol = _next_id.symbol AND c.kind = _next_id.kind
    RETURNING c.last_id INTO v_id;
    IF NOT FOUND THEN
        INSERT INTO upc_data.id_counter AS c (symbol, kind, last_id)
        VALUES (_next_id.symbol, _next_id.kind, upc._highest_id(symbol, kind) + 1)
        ON CONFLICT ON CONSTRAINT id_counter_symbol_kind_pkey
            DO UPDATE SET last_id = c.last_id + 1
        RETURNING c.last_id INTO v_id;
    END IF;
    RETURN v_id;
END
$fn$;
COMMENT ON FUNCTION upc._next_id IS
    'the next id of a symbol''s ticks or announcements; the next one is given when this transaction has ended';

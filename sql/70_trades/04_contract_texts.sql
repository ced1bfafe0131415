-- Contracts in words: the bounds that a trade is about.

-- Strike of a trade as the predecessor's consumers read it: with thousands separators, and cents only
-- if there are any.
CREATE FUNCTION upc._legacy_strike(strike numeric)
RETURNS text
-- STABLE like to_char, so that it is inlined.
LANGUAGE sql STABLE PARALLEL SAFE
RETURN '$' || to_char(trunc(_legacy_strike.strike), 'FM999,999,999,999,999,990') || CASE
    WHEN _legacy_strike.strike = trunc(_legacy_strike.strike) THEN ''
    WHEN scale(trim_scale(_legacy_strike.strike)) = 1
        THEN '.' || split_part(trim_scale(_legacy_strike.strike)::text, '.', 2) || '0'
    ELSE '.' || split_part(trim_scale(_legacy_strike.strike)::text, '.', 2)
END;
COMMENT ON FUNCTION upc._legacy_strike IS
    'a strike in USD as the predecessor writes that of a trade: $118,750, or $118,750.50';


-- Lower bound of a contract that has no other: what is called its strike.
CREATE FUNCTION upc._only_strike(lower numeric, upper numeric)
RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN _only_strike.upper IS NULL THEN _only_strike.lower END;
COMMENT ON FUNCTION upc._only_strike IS
    'the strike in USD of a contract: its lower bound where it has no upper one, else NULL';


-- Bounds of a contract as people read them. One with a lower bound alone is written as the predecessor
-- wrote it, unless it is the open end of ranges.
CREATE FUNCTION upc._bounds_text(kind text, lower numeric, upper numeric)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE
    WHEN _bounds_text.upper IS NULL THEN
        upc._legacy_strike(_bounds_text.lower)
        || CASE WHEN _bounds_text.kind = 'range' THEN ' or above' ELSE '' END
    WHEN _bounds_text.lower IS NULL THEN 'below ' || upc._legacy_strike(_bounds_text.upper)
    ELSE upc._legacy_strike(_bounds_text.lower) || ' to ' || upc._legacy_strike(_bounds_text.upper)
END;
COMMENT ON FUNCTION upc._bounds_text IS
    'the bounds of a contract as text: $118,750, $86,000 to $86,100, below $53,200 or $90,000 or above; NULL where they are not known';


-- The ticker of a contract above a strike has its strike; those of others do not.
CREATE FUNCTION upc._named_contract(trade upc_data.trade)
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_bounds text := upc._bounds_text(trade.kind, trade.lower, trade.upper);
BEGIN
    RETURN trade.ticker || CASE
        WHEN trade.kind = 'above' OR v_bounds IS NULL THEN ''
        ELSE format(' (%s)', v_bounds)
    END;
END
$fn$;
COMMENT ON FUNCTION upc._named_contract IS
    'the contract of a trade in a message: its ticker, with its bounds where that does not have them';

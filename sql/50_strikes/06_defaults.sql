-- Defaults of a question that leaves its model, its method or its settlement out. Left out of a call,
-- an argument has the predecessor's value; NULL asks for these.

-- settlement: by the rules of an event. A trimmed average is answered as the average until its minute begins,
-- and what is not clear as most are.
CREATE FUNCTION upc._answered_settlement(settlement text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE _answered_settlement.settlement WHEN 'close' THEN 'close' ELSE 'average' END;
COMMENT ON FUNCTION upc._answered_settlement IS
    'the settlement that answers for an event, average or close, by what its rules say';


CREATE FUNCTION upc._question_defaults(
    symbol text,
    INOUT model text,
    INOUT method text,
    INOUT settlement text
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    model := coalesce(model, 'volatility');
    method := coalesce(method, 'linear');
    IF settlement IS NULL THEN
        -- Kalshi settles by the average of the last minute, unless its rules say otherwise.
        SELECT upc._answered_settlement(s.settlement)
        INTO settlement
        FROM upc_data.series AS s
        WHERE s.symbol = _question_defaults.symbol
        ORDER BY s.kind, s.series
        LIMIT 1;
        settlement := coalesce(settlement, 'close');
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._question_defaults IS
    'model, method and settlement with what was left out filled in: volatility, linear, and average for a symbol that Kalshi settles, else close';


CREATE FUNCTION upc._has_volatility_curves(symbol text)
RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    RETURN EXISTS (
        SELECT FROM upc.volatility_curve AS c
        WHERE c.symbol = _has_volatility_curves.symbol AND c.bucket = upc._baseline() AND c.minutes = 1
    );
END
$fn$;
COMMENT ON FUNCTION upc._has_volatility_curves IS
    'true where a symbol has fingerprints of standardised moves';


-- A question with what it leaves out filled in, so that it can be answered.
--
-- Arguments as in compute_strikes. A NULL becomes volatility, linear, and average for a symbol that Kalshi
-- settles, else close. Arguments that were given stay; where a default cannot be answered, momentum
-- stands in for volatility, and the close for the average, as in a tick.
-- Returns the question, with the seconds to the close and what was seen of the last minute, and in
-- stand_in the replacement with its reason, NULL where there is none. It refuses nothing: compute_strikes does.
-- Errors: none.
--
-- Example:
--   SELECT used_model, used_method FROM complete_question('ETH', model => 'momentum');
CREATE FUNCTION upc.complete_question(
    symbol text,
    ttc_seconds integer DEFAULT NULL,
    method text DEFAULT NULL,
    model text DEFAULT NULL,
    settlement text DEFAULT NULL,
    volatility double precision DEFAULT NULL
)
RETURNS TABLE (
    used_ttc_seconds integer,
    used_method text,
    used_model text,
    used_settlement text,
    observed double precision,
    stand_in text
)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1
AS $fn$
BEGIN
    used_ttc_seconds := coalesce(ttc_seconds, upc._seconds_to_hour(statement_timestamp()));
    SELECT d.model, d.method, d.settlement
    INTO used_model, used_method, used_settlement
    FROM upc._question_defaults(symbol, model, method, settlement) AS d;
    IF model IS NULL AND (
        volatility IS NULL AND upc._known_variances(symbol) IS NULL
        OR NOT upc._has_volatility_curves(symbol)
    ) THEN
        used_model := 'momentum';
        stand_in := 'no volatility forecast; using model momentum';
    END IF;
    IF used_settlement = 'average' AND used_ttc_seconds < 60 THEN
        observed := upc._observed_average(
            symbol,
            statement_timestamp() + make_interval(secs => used_ttc_seconds - 60),
            statement_timestamp()
        );
        IF settlement IS NULL AND observed IS NULL THEN
            used_settlement := 'close';
            stand_in := concat_ws(
                '; ', stand_in, 'last minute not in the price log; using settlement close'
            );
        END IF;
    END IF;
    RETURN NEXT;
END
$fn$;
COMMENT ON FUNCTION upc.complete_question IS
    'a question with its model, method and settlement filled in where they were left out, and what stands in for a default that cannot be answered';

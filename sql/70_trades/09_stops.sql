-- Stops: when a trade is to be sold, by its probability or by momentum.

-- What a stop asks for: the rules that begin with stop_.
-- Errors: 22023 for a limit that is no number, or not above zero where it has to be.
CREATE FUNCTION upc._stop_rules(
    OUT on_probability boolean,
    OUT probability double precision,
    OUT ttc interval,
    OUT verify_for interval,
    OUT on_momentum boolean,
    OUT momentum double precision
)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
AS $fn$
BEGIN
    BEGIN
        on_probability := upc.setting('stop_on_probability')::boolean;
        probability := upc.setting('stop_probability')::double precision;
        ttc := upc.setting('stop_ttc')::interval;
        IF upc.setting('stop_verify')::boolean THEN
            verify_for := upc.setting('stop_verify_for')::interval;
        END IF;
        on_momentum := upc.setting('stop_on_momentum')::boolean;
        momentum := upc.setting('stop_momentum')::double precision;
    EXCEPTION
        WHEN data_exception THEN
            RAISE EXCEPTION 'a setting of the stops is none: %', SQLERRM
                USING
                    ERRCODE = 'invalid_parameter_value',
                    DETAIL = 'Limits are numbers, times are intervals, and the rest is on or off.',
                    HINT = 'The settings of the stops are those that begin with upc.stop_.';
    END;

    IF NOT (
        probability BETWEEN 0 AND 100
        AND momentum > 0 AND momentum < 'Infinity'
        AND ttc >= '0'
        AND coalesce(verify_for >= '0', true)
    ) THEN
        RAISE EXCEPTION 'a stop has a limit that makes no sense: probability %, momentum %, ttc %, verify_for %',
            probability, momentum, ttc, verify_for
            USING
                ERRCODE = 'invalid_parameter_value',
                DETAIL = 'Probabilities are from 0 to 100 percent, momentum is above zero, times are not negative.',
                HINT = 'They are the settings upc.stop_probability, upc.stop_momentum, upc.stop_ttc, upc.stop_verify_for.';
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._stop_rules IS
    'the settings of the stops; verify_for is NULL where a stop fires at once';


-- What a look at a trade has changed: since when its probability is below, and whether a stop has
-- fired, which is announced.
CREATE FUNCTION upc._change_trade(
    symbol text,
    trade_id bigint,
    below_since timestamptz,
    reason text,
    numbers json,
    at timestamptz
)
RETURNS json[]
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_trade upc_data.trade;
BEGIN
    UPDATE upc_data.trade AS t
    SET
        below_since = _change_trade.below_since,
        status = CASE WHEN reason IS NULL THEN t.status ELSE 'stopped' END,
        stopped_at = CASE WHEN reason IS NULL THEN t.stopped_at ELSE at END,
        stop_reason = coalesce(reason, t.stop_reason),
        stop_numbers = CASE WHEN reason IS NULL THEN t.stop_numbers ELSE numbers END
    WHERE t.symbol = _change_trade.symbol
      AND t.trade_id = (
          SELECT f.trade_id
          FROM upc_data.trade AS f
          WHERE f.symbol = _change_trade.symbol
            AND f.trade_id = _change_trade.trade_id
            AND f.ended_at IS NULL
            AND (reason IS NULL OR f.status = 'open')
          -- Whoever is closing it makes the stop pointless; else the next tick tries again.
          FOR UPDATE SKIP LOCKED
      )
    RETURNING t.* INTO v_trade;
    IF NOT FOUND OR reason IS NULL THEN
        RETURN '{}'::json[];
    END IF;
    RETURN ARRAY[upc._announce(
        symbol,
        'stop',
        'trade',
        format(
            '%s: stop of trade %s, %s %s %s: %s',
            symbol, trade_id, trim_scale(v_trade.position), v_trade.side, v_trade.ticker,
            CASE reason
                WHEN 'probability' THEN format(
                    'probability %s %% is below %s %%, %s s to the close',
                    upc._two_decimals((numbers ->> 'probability')::double precision),
                    numbers #>> '{limits,probability}',
                    numbers ->> 'ttc_seconds'
                )
                ELSE format(
                    'momentum is %s bp',
                    upc._two_decimals((numbers ->> 'momentum_bps')::double precision)
                )
            END
        ),
        numbers,
        at
    )];
END
$fn$;
COMMENT ON FUNCTION upc._change_trade IS
    'keeps since when the probability of a trade is below the stop''s, and marks it as stopped and announces it if there is a reason, once; returns the announcements';

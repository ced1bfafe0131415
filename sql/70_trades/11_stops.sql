-- Stops: when a trade is to be sold, by its probability or by momentum.

CREATE TYPE upc._stop_limits AS (
    on_probability boolean,
    probability double precision,
    ttc interval,
    verify_for interval,
    on_momentum boolean,
    momentum double precision
);
COMMENT ON TYPE upc._stop_limits IS
    'the rules that begin with stop_; verify_for is NULL where a stop fires at once';


-- Limits of the stops in force.
-- Errors: 22023 for a limit that is no number, or not above zero where it has to be.
CREATE FUNCTION upc._stop_rules()
RETURNS upc._stop_limits
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
AS $fn$
DECLARE
    v upc._stop_limits;
BEGIN
    BEGIN
        v.on_probability := upc.setting('stop_on_probability')::boolean;
        v.probability := upc.setting('stop_probability')::double precision;
        v.ttc := upc.setting('stop_ttc')::interval;
        IF upc.setting('stop_verify')::boolean THEN
            v.verify_for := upc.setting('stop_verify_for')::interval;
        END IF;
        v.on_momentum := upc.setting('stop_on_momentum')::boolean;
        v.momentum := upc.setting('stop_momentum')::double precision;
    EXCEPTION
        WHEN data_exception THEN
            RAISE EXCEPTION 'a setting of the stops is none: %', SQLERRM
                USING
                    ERRCODE = 'invalid_parameter_value',
                    DETAIL = 'Limits are numbers, times are intervals, and the rest is on or off.',
                    HINT = 'The settings of the stops are those that begin with upc.stop_.';
    END;

    IF NOT (
        v.probability BETWEEN 0 AND 100
        AND v.momentum > 0 AND v.momentum < 'Infinity'
        AND v.ttc >= '0'
        AND coalesce(v.verify_for >= '0', true)
    ) THEN
        RAISE EXCEPTION 'a stop has a limit that makes no sense: probability %, momentum %, ttc %, verify_for %',
            v.probability, v.momentum, v.ttc, v.verify_for
            USING
                ERRCODE = 'invalid_parameter_value',
                DETAIL = 'Probabilities are from 0 to 100 percent, momentum is above zero, times are not negative.',
                HINT = 'They are the settings upc.stop_probability, upc.stop_momentum, upc.stop_ttc, upc.stop_verify_for.';
    END IF;
    RETURN v;
END
$fn$;
COMMENT ON FUNCTION upc._stop_rules IS
    'the settings of the stops; verify_for is NULL where a stop fires at once';


-- Instant since which the probability of a trade has been below the stop's limit.
--
-- is_known: the price is fresh enough to go by. is_unbroken: no longer has passed since the look before
-- than a price stays fresh; else it counts from now.
CREATE FUNCTION upc._below_since(
    probability double precision,
    was_since timestamptz,
    at timestamptz,
    is_known boolean,
    is_unbroken boolean,
    limits upc._stop_limits
)
RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN NOT _below_since.is_known
        OR coalesce(_below_since.probability >= (_below_since.limits).probability, true)
    THEN NULL
    WHEN _below_since.is_unbroken AND _below_since.was_since <= _below_since.at
        THEN _below_since.was_since
    ELSE _below_since.at
END;
COMMENT ON FUNCTION upc._below_since IS
    'since when a probability has been below the stop''s limit without a break; NULL where it is not, or not known';


-- The reason to sell if a stop fires, probability or momentum; NULL to hold.
--
-- is_live: the trade is open, its market is traded, its bounds are known and the price is fresh enough to
-- go by. kind: a range has no direction that momentum could be against. is_unseen: the probability is of a
-- last minute that has not been seen. momentum: basis points.
CREATE FUNCTION upc._stop_reason(
    is_live boolean,
    kind text,
    side text,
    ttc_seconds integer,
    is_unseen boolean,
    below_for interval,
    momentum double precision,
    limits upc._stop_limits
)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE
    WHEN NOT _stop_reason.is_live THEN NULL
    WHEN (_stop_reason.limits).on_probability
        AND NOT _stop_reason.is_unseen
        AND make_interval(secs => _stop_reason.ttc_seconds) > (_stop_reason.limits).ttc
        AND _stop_reason.below_for >= coalesce((_stop_reason.limits).verify_for, '0')
    THEN 'probability'
    WHEN (_stop_reason.limits).on_momentum
        AND _stop_reason.kind <> 'range'
        -- Prices 35 basis points apart give 34.99999999999999.
        AND _stop_reason.momentum * CASE _stop_reason.side WHEN 'no' THEN 1 ELSE -1 END
            >= (_stop_reason.limits).momentum - 1e-9
    THEN 'momentum'
END;
COMMENT ON FUNCTION upc._stop_reason IS
    'why a trade is to be sold: its probability has been below the limit for long enough, or momentum is against it; NULL where no stop fires';


CREATE FUNCTION upc._stop_numbers(
    value upc._trade_value,
    question upc._question,
    reason text,
    below_since timestamptz,
    limits upc._stop_limits
)
RETURNS json
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_trade upc_data.trade := value.trade;
BEGIN
    RETURN json_build_object(
        'id', v_trade.trade_id,
        'ticker', v_trade.ticker,
        'side', v_trade.side,
        'strike', upc._only_strike(value.lower, value.upper),
        'lower', value.lower,
        'upper', value.upper,
        'kind', v_trade.kind,
        'position', trim_scale(v_trade.position),
        'reason', reason,
        'price', upc._shown_price(question),
        'probability', value.probability,
        'momentum_bps', question.momentum,
        'ttc_seconds', value.ttc_seconds,
        'buffer', value.buffer,
        'close_price', value.close_price,
        'pnl_after_fees', value.pnl_after_fees,
        'below_since', upc._iso_utc(below_since),
        'limits', CASE reason
            WHEN 'probability' THEN json_build_object(
                'probability', limits.probability,
                'ttc_seconds', extract(epoch FROM limits.ttc),
                'verify_for_seconds', extract(epoch FROM limits.verify_for)
            )
            ELSE json_build_object('momentum_bps', limits.momentum)
        END
    );
END
$fn$;
COMMENT ON FUNCTION upc._stop_numbers IS
    'the numbers by which a stop fired, as its announcement has them';


-- Take new bounds of a contract over, and announce it where it had others.
CREATE FUNCTION upc._move_bounds(
    symbol text,
    trade_id bigint,
    lower numeric,
    upper numeric,
    at timestamptz
)
RETURNS json[]
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_before upc_data.trade;
    v_trade upc_data.trade;
BEGIN
    SELECT t.* INTO v_before
    FROM upc_data.trade AS t
    WHERE t.symbol = _move_bounds.symbol
      AND t.trade_id = _move_bounds.trade_id
      AND t.ended_at IS NULL
      AND (t.lower, t.upper) IS DISTINCT FROM (_move_bounds.lower, _move_bounds.upper)
    FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN '{}'::json[];
    END IF;
    UPDATE upc_data.trade AS t
    SET lower = _move_bounds.lower, upper = _move_bounds.upper
    WHERE t.symbol = _move_bounds.symbol AND t.trade_id = _move_bounds.trade_id
    RETURNING t.* INTO v_trade;
    -- A strike that was awaited is no news.
    IF coalesce(v_before.lower, v_before.upper) IS NULL THEN
        RETURN '{}'::json[];
    END IF;
    RETURN ARRAY[upc._announce(
        symbol,
        'changed',
        'trade',
        format(
            '%s: trade %s, %s %s %s: it pays at %s now, before at %s',
            symbol, trade_id, trim_scale(v_trade.position), v_trade.side, v_trade.ticker,
            upc._bounds_text(v_trade.kind, lower, upper),
            upc._bounds_text(v_trade.kind, v_before.lower, v_before.upper)
        ),
        json_build_object(
            'id', trade_id,
            'ticker', v_trade.ticker,
            'side', v_trade.side,
            'kind', v_trade.kind,
            'lower', lower,
            'upper', upper,
            'lower_before', v_before.lower,
            'upper_before', v_before.upper
        ),
        at
    )];
END
$fn$;
COMMENT ON FUNCTION upc._move_bounds IS
    'takes the bounds in USD that a market has now over into a trade, and announces it where it had others before; returns the announcements';


-- Change of a trade that a look has found: since when its probability is below, and that a stop has
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
          -- A process that is closing it makes the stop pointless; else the next tick tries again.
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
            symbol, trade_id, trim_scale(v_trade.position), v_trade.side,
            upc._named_contract(v_trade),
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

-- Simulated books: what a market that is made up quotes at an instant, as Kalshi's JSON, the same for the
-- same seed.
--
-- The market has an opinion of what settles an event: the simulated price, with the forecast volatility. It
-- is a little wrong: waves of a minute to an hour, whose phases are hashes of names, move its centre, its
-- width and each contract. So mispricings come and go, and any instant can be read on its own.

-- An event of the simulated market. unit: the smallest step of a price, and step: between strikes, USD.
CREATE TYPE upc._simulated_event AS (
    symbol text,
    seed integer,
    series text,
    kind text,
    event_ticker text,
    title text,
    opens_at timestamptz,
    closes_at timestamptz,
    step numeric,
    unit numeric
);
COMMENT ON TYPE upc._simulated_event IS
    'an event of the simulated market, with its series and the grid of its strikes in USD';


-- series: one of the simulated series. closes_at: whole hours or quarters. At 5 pm New York the day ends, too:
-- such an event above strikes is open for 25 hours, so that there is always one beside that of the hour.
CREATE FUNCTION upc._simulated_event_of(
    series upc_data.series,
    closes_at timestamptz,
    seed integer
)
RETURNS upc._simulated_event
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v upc._simulated_event;
    v_local timestamp := closes_at AT TIME ZONE 'America/New_York';
    v_is_day boolean := series.kind = 'above' AND extract(hour FROM v_local) = 17;
BEGIN
    v.symbol := series.symbol;
    v.seed := seed;
    v.series := series.series;
    v.kind := series.kind;
    v.closes_at := closes_at;
    v.unit := ('1e-' || series.digits)::numeric;
    v.event_ticker := series.series || '-' || upper(
        to_char(v_local, CASE series.kind WHEN 'updown' THEN 'YYMONDDHH24MI' ELSE 'YYMONDDHH24' END)
    );
    v.title := format(
        'SIMULATED: %s %s',
        series.symbol,
        CASE series.kind
            WHEN 'updown' THEN 'price up in 15 minutes?'
            WHEN 'range' THEN 'price range at ' || to_char(v_local, 'FMHH12 AM') || ' in New York?'
            ELSE 'price at ' || to_char(v_local, 'FMHH12 AM') || ' in New York?'
        END
    );
    v.opens_at := closes_at - CASE
        WHEN series.kind = 'updown' THEN interval '15 minutes'
        WHEN v_is_day THEN interval '25 hours'
        ELSE interval '1 hour'
    END;
    SELECT CASE
        -- Two fifths of the usual step, so that an hour has strikes enough that are not decided.
        WHEN NOT v_is_day AND min_scale(0.4 * s.strike_step::numeric) <= series.digits
        THEN 0.4 * s.strike_step::numeric
        ELSE s.strike_step::numeric
    END
    INTO v.step
    FROM upc_data.symbol AS s
    WHERE s.symbol = series.symbol;
    RETURN v;
END
$fn$;
COMMENT ON FUNCTION upc._simulated_event_of IS
    'the event of a simulated series that closes at an instant';


-- A smooth wave from -1 to 1 with a period in seconds, whose phase is a hash. place: which of the name's waves.
CREATE FUNCTION upc._simulated_wave(
    name text,
    seed integer,
    place integer,
    period double precision,
    at timestamptz
)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN sin(
    2 * pi() * (
        date_part('epoch', _simulated_wave.at) / _simulated_wave.period
        + (hashtextextended(_simulated_wave.name, _simulated_wave.seed + _simulated_wave.place) & 65535)
            / 65536::double precision
    )
);
COMMENT ON FUNCTION upc._simulated_wave IS
    'a smooth wave from -1 to 1 whose phase depends on nothing but a name and a seed';


-- The average of the sixty simulated prices, a second apart, that end at an instant: what settles.
CREATE FUNCTION upc._simulated_average(
    symbol text,
    at timestamptz,
    seed integer,
    digits integer
)
RETURNS numeric
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    RETURN (
        SELECT round(avg(upc.simulated_price(_simulated_average.symbol, s, seed))::numeric, digits)
        FROM generate_series(at - interval '59 seconds', at, interval '1 second') AS s
    );
END
$fn$;
COMMENT ON FUNCTION upc._simulated_average IS
    'the average of the last sixty simulated prices, a second apart, that end at an instant, USD';


-- Variance of the logarithm of the simulated price over some seconds: the forecast's, and beyond an hour what
-- the simulation has in the long run; all of it where there is no forecast.
CREATE FUNCTION upc._simulated_variance(variances double precision[], seconds double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(
    upc.variance_until(_simulated_variance.variances, least(_simulated_variance.seconds, 3600)),
    3.6e-9::double precision * least(_simulated_variance.seconds, 3600)
) + 3.6e-9::double precision * greatest(_simulated_variance.seconds - 3600, 0);
COMMENT ON FUNCTION upc._simulated_variance IS
    'the variance of the logarithm of the simulated price over some seconds, by the forecast or in the long run';


-- What the market thinks settles an event: centre in USD, and the deviation of its logarithm.
CREATE FUNCTION upc._simulated_opinion(
    event upc._simulated_event,
    at timestamptz,
    OUT centre double precision,
    OUT deviation double precision
)
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_seconds double precision := extract(epoch FROM event.closes_at - at);
    v_variances double precision[] := upc._cached_forecast(event.symbol, at);
    v_name text := event.event_ticker;
BEGIN
    centre := upc.simulated_price(event.symbol, at, event.seed);
    -- The average of a minute moves like a third of the minute's variance.
    IF v_seconds >= 60 THEN
        deviation := sqrt(
            (
                2 * upc._simulated_variance(v_variances, v_seconds - 60)
                + upc._simulated_variance(v_variances, v_seconds)
            ) / 3
        );
    ELSE
        centre := (
            v_seconds * centre
            + (60 - v_seconds) * (
                SELECT avg(upc.simulated_price(event.symbol, s, event.seed))
                FROM generate_series(event.closes_at - interval '1 minute', at, interval '1 second') AS s
            )
        ) / 60;
        deviation := v_seconds / 60 * sqrt(upc._simulated_variance(v_variances, v_seconds) / 3);
    END IF;
    deviation := greatest(deviation, 1e-7) * exp(
        0.05 * upc._simulated_wave(v_name, event.seed, 1, 1900, at)
    );
    centre := centre * exp(
        deviation * (
            0.05 * upc._simulated_wave(v_name, event.seed, 2, 71, at)
            + 0.10 * upc._simulated_wave(v_name, event.seed, 3, 430, at)
            + 0.08 * upc._simulated_wave(v_name, event.seed, 4, 2300, at)
        )
    );
END
$fn$;
COMMENT ON FUNCTION upc._simulated_opinion IS
    'what the simulated market thinks an event settles at: the centre in USD, and the deviation of its logarithm';


-- Probability that what settles is at or above a bound, by an opinion: Student's law with 6 degrees of freedom,
-- since moves have long tails; its deviation is made that of the opinion. 1 for no bound.
CREATE FUNCTION upc._simulated_above(
    bound numeric,
    centre double precision,
    deviation double precision
)
RETURNS double precision
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_t double precision;
    v_c double precision;
BEGIN
    IF bound IS NULL THEN
        RETURN 1;
    END IF;
    v_t := sqrt(1.5) * ln(centre / bound::double precision) / deviation;
    v_c := 6 / (6 + v_t * v_t);
    RETURN 0.5 + 0.5 * sign(v_t) * sqrt(1 - v_c) * (1 + v_c / 2 + 3 * v_c * v_c / 8);
END
$fn$;
COMMENT ON FUNCTION upc._simulated_above IS
    'the probability, from 0 to 1, that what settles is at or above a bound, by the opinion of the simulated market';


-- A price or a strike in words: $99,500 or $1.2345.
CREATE FUNCTION upc._simulated_dollars(price numeric)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '$' || rtrim(
    to_char(
        _simulated_dollars.price,
        'FM999,999,999,999,990' || CASE
            WHEN min_scale(_simulated_dollars.price) > 0
            THEN '.' || repeat('0', greatest(2, min_scale(_simulated_dollars.price)))
            ELSE ''
        END
    ),
    '.'
);
COMMENT ON FUNCTION upc._simulated_dollars IS
    'an amount in USD as a sub title of a market has it';


-- Contracts of an event with their bounds: strikes around the price at its opening.
--
-- Of up or down the bound is the average of the minute before it opened; once it is stored it is read there.
-- weight: how much is traded of it, 1 where most is.
CREATE FUNCTION upc._simulated_contracts(event upc._simulated_event)
RETURNS TABLE (
    ticker text,
    lower numeric,
    upper numeric,
    sub_title text,
    weight double precision
)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 41
AS $fn$
DECLARE
    v_unit numeric := event.unit;
    v_base numeric;
BEGIN
    IF event.kind = 'updown' THEN
        ticker := event.event_ticker || '-' || to_char(event.closes_at, 'MI');
        SELECT q.lower
        INTO lower
        FROM upc_data.market_quote AS q
        WHERE q.symbol = event.symbol
          AND q.event_ticker = event.event_ticker
          AND q.ticker = _simulated_contracts.ticker;
        lower := coalesce(
            lower,
            upc._simulated_average(event.symbol, event.opens_at, event.seed, scale(v_unit))
        );
        weight := 1;
        sub_title := 'Target Price: ' || upc._simulated_dollars(lower);
        RETURN NEXT;
        RETURN;
    END IF;
    v_base := event.step * round(
        upc.simulated_price(event.symbol, event.opens_at, event.seed)::numeric / event.step
    );
    RETURN QUERY
    SELECT
        event.event_ticker || CASE
            WHEN b.lower IS NULL THEN '-T' || trim_scale(b.upper)
            WHEN b.upper IS NULL THEN '-T' || trim_scale(b.lower - v_unit)
            ELSE '-B' || trim_scale(b.lower + event.step / 2)
        END,
        b.lower,
        b.upper,
        CASE
            WHEN b.lower IS NULL THEN upc._simulated_dollars(b.upper - v_unit) || ' or below'
            WHEN b.upper IS NULL THEN upc._simulated_dollars(b.lower) || ' or above'
            ELSE upc._simulated_dollars(b.lower) || ' to '
                || substr(upc._simulated_dollars(b.upper - v_unit), 2)
        END,
        b.weight
    FROM (
        SELECT
            CASE WHEN i > -20 OR event.kind = 'above' THEN v_base + i * event.step END,
            CASE WHEN i < 20 AND event.kind = 'range' THEN v_base + (i + 1) * event.step END,
            exp(-i * i / 40::double precision)
        FROM generate_series(-20, 20) AS i
    ) AS b (lower, upper, weight)
    WHERE coalesce(b.lower, b.upper) > 0;
END
$fn$;
COMMENT ON FUNCTION upc._simulated_contracts IS
    'the contracts of an event of the simulated market with their bounds in USD';


-- The book of a contract: bids and asks in whole cents around what the market thinks it is worth, and sizes and
-- volume that change every eleven seconds.
--
-- worth: from 0 to 1. weight: as in _simulated_contracts.
-- Sizes are in contracts; nothing is bid below a cent, or offered above 99.
CREATE FUNCTION upc._simulated_book(
    ticker text,
    seed integer,
    at timestamptz,
    opens_at timestamptz,
    worth double precision,
    weight double precision,
    OUT yes_bid integer,
    OUT yes_ask integer,
    OUT bid_size integer,
    OUT ask_size integer,
    OUT volume integer
)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_key bigint := hashtextextended(ticker, seed);
    -- Each contract has moments of its own at which its sizes change.
    v_place bigint := floor(date_part('epoch', at) / 11 + (v_key & 255) / 256::double precision);
    v_half double precision := 0.4 + 1.2 * ((v_key >> 8) & 255) / 256::double precision;
    v_error double precision := 0.08 * upc._simulated_wave(ticker, seed, 5, 53, at)
        + 0.14 * upc._simulated_wave(ticker, seed, 6, 610, at);
    v_odds double precision;
    v_cents double precision;
BEGIN
    v_odds := greatest(worth, 1e-9) / greatest(1 - worth, 1e-9) * exp(v_error);
    v_cents := 100 * v_odds / (1 + v_odds);
    yes_bid := nullif(greatest(floor(v_cents - v_half), 0), 0);
    yes_ask := nullif(least(ceil(v_cents + v_half), 100), 100);
    bid_size := CASE
        WHEN yes_bid > 0 THEN ceil(60 * exp(1.1 * upc._hash_normal(v_key, 2 * v_place)))
    END;
    ask_size := CASE
        WHEN yes_ask > 0 THEN ceil(60 * exp(1.1 * upc._hash_normal(v_key, 2 * v_place + 1)))
    END;
    volume := floor(
        0.5 * weight * exp(0.5 * upc._hash_normal(v_key, 0))
        * greatest(11 * v_place - date_part('epoch', opens_at), 0)
    );
END
$fn$;
COMMENT ON FUNCTION upc._simulated_book IS
    'the best bid and ask of a simulated contract in cents, their sizes and the volume so far; NULL where nobody bids or offers';


-- The markets of an event at an instant as Kalshi's JSON: traded until the close, then closed, and five seconds
-- later settled by the average of the last minute.
CREATE FUNCTION upc._simulated_markets(event upc._simulated_event, at timestamptz)
RETURNS jsonb
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_is_open boolean := at < event.closes_at;
    v_value numeric;
    v_centre double precision;
    v_deviation double precision;
    v_status text := 'active';
    v_rules text := format(
        'SIMULATED, at no exchange: settled by the simple average of the sixty seconds of the simulated price of %s before the close.',
        event.symbol
    );
BEGIN
    IF v_is_open THEN
        SELECT o.centre, o.deviation INTO v_centre, v_deviation
        FROM upc._simulated_opinion(event, at) AS o;
    ELSIF at >= event.closes_at + interval '5 seconds' THEN
        v_status := 'finalized';
        v_value := upc._simulated_average(
            event.symbol, event.closes_at, event.seed, scale(event.unit)
        );
    ELSE
        v_status := 'closed';
    END IF;
    RETURN (
        SELECT jsonb_agg(
            jsonb_build_object(
                'ticker', c.ticker,
                'event_ticker', event.event_ticker,
                'open_time', upc._iso_utc(event.opens_at),
                'close_time', upc._iso_utc(event.closes_at),
                'status', v_status,
                'strike_type', CASE
                    WHEN event.kind = 'updown' THEN 'greater_or_equal'
                    WHEN c.lower IS NULL THEN 'less'
                    WHEN c.upper IS NULL THEN 'greater'
                    ELSE 'between'
                END,
                'floor_strike', CASE
                    WHEN event.kind <> 'updown' AND c.upper IS NULL THEN c.lower - event.unit
                    ELSE c.lower
                END,
                'cap_strike', CASE WHEN c.lower IS NULL THEN c.upper ELSE c.upper - event.unit END,
                'yes_sub_title', c.sub_title,
                'rules_primary', v_rules
            )
            || CASE WHEN v_is_open THEN jsonb_build_object(
                'yes_bid_dollars', to_char(coalesce(b.yes_bid, 0) * 0.01, 'FM0.0000'),
                'yes_ask_dollars', to_char(coalesce(b.yes_ask, 100) * 0.01, 'FM0.0000'),
                'no_bid_dollars', to_char(1 - coalesce(b.yes_ask, 100) * 0.01, 'FM0.0000'),
                'no_ask_dollars', to_char(1 - coalesce(b.yes_bid, 0) * 0.01, 'FM0.0000'),
                'yes_bid_size_fp', coalesce(b.bid_size, 0) || '.00',
                'yes_ask_size_fp', coalesce(b.ask_size, 0) || '.00',
                'volume_fp', b.volume || '.00'
            ) ELSE '{}' END
            || CASE WHEN v_value IS NULL THEN '{}' ELSE jsonb_build_object(
                'expiration_value', v_value::text,
                'result', CASE
                    WHEN v_value >= coalesce(c.lower, v_value)
                        AND (v_value < c.upper OR c.upper IS NULL)
                    THEN 'yes'
                    ELSE 'no'
                END
            ) END
        )
        FROM upc._simulated_contracts(event) AS c
        CROSS JOIN LATERAL (
            SELECT CASE WHEN v_is_open THEN
                upc._simulated_above(c.lower, v_centre, v_deviation)
                - CASE WHEN c.upper IS NULL THEN 0
                    ELSE upc._simulated_above(c.upper, v_centre, v_deviation)
                END
            END
        ) AS w (worth)
        CROSS JOIN LATERAL upc._simulated_book(
            c.ticker, event.seed, at, event.opens_at, w.worth, c.weight
        ) AS b
    );
END
$fn$;
COMMENT ON FUNCTION upc._simulated_markets IS
    'the markets of an event of the simulated market at an instant, as Kalshi writes them';

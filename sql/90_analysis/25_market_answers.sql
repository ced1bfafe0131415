-- Answers about recorded quotes: by the model as it would have been asked at their instant, trained on
-- earlier candles, and by the Gaussian.

-- Settlement values of a symbol's events, the latest first, each close once: of those that were known by an
-- instant, and of its last day. A value is there seconds after the close; here it is known a minute after it.
--
-- backtest_id: also of the files of a backtest; 0: of what is kept for all.
CREATE FUNCTION upc._settlements(symbol text, backtest_id bigint, at timestamptz, most integer)
RETURNS TABLE (closes_at timestamptz, value double precision)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 12
BEGIN ATOMIC
    SELECT s.closes_at, max(s.value)::double precision
    FROM (
        (
            SELECT e.closes_at, e.value
            FROM upc_data.observed_event AS e
            WHERE e.symbol = _settlements.symbol
              AND e.backtest_id = _settlements.backtest_id
              AND e.closes_at <= _settlements.at - interval '1 minute'
              AND e.closes_at > _settlements.at - interval '1 day'
              AND e.value IS NOT NULL
            ORDER BY e.closes_at DESC
            -- Several events close at once.
            LIMIT 4 * _settlements.most
        )
        UNION ALL
        (
            SELECT m.closes_at, m.expiration_value
            FROM upc_data.market_event AS m
            WHERE m.symbol = _settlements.symbol
              AND m.closes_at <= _settlements.at - interval '1 minute'
              AND m.closes_at > _settlements.at - interval '1 day'
              AND m.expiration_value > 0
            ORDER BY m.closes_at DESC
            LIMIT 4 * _settlements.most
        )
    ) AS s
    GROUP BY s.closes_at
    ORDER BY s.closes_at DESC
    LIMIT _settlements.most;
END;
COMMENT ON FUNCTION upc._settlements IS
    'the latest settlement values of a symbol that were known by an instant, a day old at most, USD, each close once';


-- The basis of a symbol's candles at an instant: by how much the average of their last minute lay above what
-- the last 12 events with such a minute settled on.
--
-- Returns the mean as a share of the value, by the rules of upc._known_basis; NULL below 12 of the last day.
CREATE FUNCTION upc._candle_basis(symbol text, backtest_id bigint, at timestamptz)
RETURNS double precision
LANGUAGE sql STABLE PARALLEL SAFE
RETURN (
    SELECT CASE WHEN count(*) = 12 THEN (upc._steady_mean(array_agg(l.share))).mean END
    FROM (
        SELECT upc._minute_average(c) / s.value - 1 AS share
        FROM upc._settlements(
            _candle_basis.symbol, _candle_basis.backtest_id, _candle_basis.at, 24
        ) AS s
        JOIN upc_data.candle AS c
            ON c.symbol = _candle_basis.symbol AND c.opened_at = s.closes_at - interval '1 minute'
        WHERE abs(upc._minute_average(c) / s.value - 1) <= 0.01
        ORDER BY s.closes_at DESC
        LIMIT 12
    ) AS l
);
COMMENT ON FUNCTION upc._candle_basis IS
    'the mean of the last 12 settlements'' basis of a symbol''s candles, as a share; NULL below 12';


CREATE TYPE upc._market_moment AS (
    observed_at timestamptz,
    closes_at timestamptz,
    ttc_seconds integer,
    price double precision,
    bucket integer,
    squared_move double precision,
    unit double precision,
    seconds double precision,
    minutes integer,
    share double precision
);
COMMENT ON TYPE upc._market_moment IS
    'an instant at which quotes of an event''s contracts are asked about: its time to the close; the price, USD; momentum bucket (99: none); EWMA of squared moves of a minute; the forecast deviation of the move until the average, percent; the seconds until then; and the curve: a share of the way from that of the minutes to the next one';


-- Recorded quotes that a backtest asks about: of every contract one a minute, the first of it.
CREATE FUNCTION upc._asked_quotes(
    symbol text,
    backtest_id bigint,
    since timestamptz,
    until timestamptz
)
RETURNS SETOF upc_data.market_observation
LANGUAGE sql STABLE PARALLEL SAFE ROWS 10000
BEGIN ATOMIC
    SELECT DISTINCT ON (
        o.closes_at, o.event_ticker, o.ticker, ceil(extract(epoch FROM o.closes_at - o.observed_at) / 60)
    )
        o.*
    FROM upc_data.market_observation AS o
    WHERE o.symbol = _asked_quotes.symbol
      AND o.backtest_id = _asked_quotes.backtest_id
      AND o.closes_at >= _asked_quotes.since
      AND o.closes_at < _asked_quotes.until
      AND o.observed_at BETWEEN o.closes_at - interval '1 hour' AND o.closes_at - interval '1 minute'
    ORDER BY
        o.closes_at, o.event_ticker, o.ticker,
        ceil(extract(epoch FROM o.closes_at - o.observed_at) / 60), o.observed_at;
END;
COMMENT ON FUNCTION upc._asked_quotes IS
    'recorded quotes of contracts that close in a span, one a contract and minute, from an hour to a minute before the close';


-- EWMA of squared moves of the minutes of a UTC day, element m being known at its m-th minute.
CREATE FUNCTION upc._day_moves(symbol text, day date)
RETURNS double precision[]
LANGUAGE sql STABLE PARALLEL SAFE
RETURN (
    SELECT array_agg(r.ewma ORDER BY m)
    FROM generate_series(1, 1440) AS m
    LEFT JOIN upc._recent_moves(_day_moves.symbol, _day_moves.day) AS r ON r.minute = m
);
COMMENT ON FUNCTION upc._day_moves IS
    'the exponentially weighted squared moves of upc._recent_moves as an array of the day''s minutes';


CREATE FUNCTION upc._price_of_moment(
    test upc_data.backtest,
    quotes_of bigint,
    at timestamptz,
    recorded double precision,
    close double precision
)
RETURNS double precision
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    RETURN CASE
        WHEN test.prices = 'candles' THEN close
        WHEN test.prices = 'recorded' AND recorded IS NOT NULL THEN recorded
        ELSE close / (1 + upc._candle_basis(test.symbol, quotes_of, at))
    END;
END
$fn$;
COMMENT ON FUNCTION upc._price_of_moment IS
    'the price that is asked about at an instant, USD: recorded, or of the last candle with or without its basis; NULL where less than 12 settlements are known';


-- Instants that a backtest asks about, of contracts that close in [since, until), with what was known then: nothing
-- of a candle that had not closed. Those without a price, a forecast or a candle of the last five minutes are
-- left out.
CREATE FUNCTION upc._market_moments(
    test upc_data.backtest,
    quotes_of bigint,
    since timestamptz,
    until timestamptz
)
RETURNS SETOF upc._market_moment
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1000
AS $fn$
DECLARE
    -- Arrays in a record are decompressed each time that they are read.
    v_factors smallint[] := test.factors;
    v_coefficients double precision[] := test.coefficients;
    v_asked record;
    v_known_at timestamptz;
    v_day date;
    v_cached_at timestamptz;
    v_cached_day date;
    v_variances double precision[];
    v_moves double precision[];
    v_close double precision;
    v_bucket integer;
    v_moment upc._market_moment;
BEGIN
    FOR v_asked IN
        SELECT o.observed_at, o.closes_at, max(o.price) AS price
        FROM upc._asked_quotes(test.symbol, quotes_of, since, until) AS o
        GROUP BY o.observed_at, o.closes_at
        ORDER BY o.observed_at, o.closes_at
    LOOP
        v_known_at := upc._newest_close(test.symbol, v_asked.observed_at);
        CONTINUE WHEN v_known_at IS NULL;
        IF v_known_at IS DISTINCT FROM v_cached_at THEN
            v_cached_at := v_known_at;
            v_variances := upc._fitted_variances(
                test.symbol, v_known_at, v_factors, v_coefficients
            );
            SELECT c.close INTO v_close FROM upc_data.candle AS c
            WHERE c.symbol = test.symbol AND c.opened_at = v_known_at - interval '1 minute';
            v_bucket := upc.momentum_bucket(
                (upc.momentum(test.symbol, v_known_at, v_close)).momentum
            );
            v_day := ((v_known_at - interval '1 minute') AT TIME ZONE 'UTC')::date;
            IF v_day IS DISTINCT FROM v_cached_day THEN
                v_cached_day := v_day;
                v_moves := upc._day_moves(test.symbol, v_day);
            END IF;
        END IF;
        v_moment.observed_at := v_asked.observed_at;
        v_moment.closes_at := v_asked.closes_at;
        v_moment.price := upc._price_of_moment(
            test, quotes_of, v_asked.observed_at, v_asked.price, v_close
        );
        v_moment.bucket := coalesce(v_bucket, upc._baseline());
        v_moment.squared_move := v_moves[
            extract(epoch FROM v_known_at - v_day::timestamp AT TIME ZONE 'UTC')::integer / 60
        ];
        v_moment.ttc_seconds := floor(
            extract(epoch FROM v_asked.closes_at - v_asked.observed_at)
        );
        v_moment.seconds := upc._seconds_to_average(v_moment.ttc_seconds);
        v_moment.unit := 100 * sqrt(upc.variance_until(v_variances, v_moment.seconds));
        v_moment.minutes := least(60, greatest(1, floor(v_moment.seconds / 60)));
        v_moment.share := CASE WHEN v_moment.minutes < 60
            THEN greatest(0, v_moment.seconds / 60 - v_moment.minutes) ELSE 0 END;
        CONTINUE WHEN v_moment.price IS NULL OR v_moment.unit IS NULL
            OR v_moment.squared_move IS NULL;
        RETURN NEXT v_moment;
    END LOOP;
END
$fn$;
COMMENT ON FUNCTION upc._market_moments IS
    'the instants that a backtest asks about contracts of a span, with what was known then';


-- The reading of a moment: its curve, as upc._volatility_reading and upc._bounds_reading make it.
CREATE FUNCTION upc._market_reading(
    moment upc._market_moment,
    positive double precision[],
    negative double precision[],
    next_positive double precision[],
    next_negative double precision[]
)
RETURNS upc._reading
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_reading upc._reading;
    v_middle double precision;
BEGIN
    v_reading.thresholds := upc.volatility_thresholds();
    v_reading.edges := upc._volatility_edges();
    IF moment.share > 0 THEN
        positive := upc._curve_between(positive, next_positive, moment.share);
        negative := upc._curve_between(negative, next_negative, moment.share);
    END IF;
    v_middle := (positive[1] + 100 - negative[1]) / 2;
    positive[1] := v_middle;
    negative[1] := 100 - v_middle;
    v_reading.positive := positive;
    v_reading.negative := negative;
    v_reading.unit := moment.unit;
    v_reading.slope := 1;
    v_reading.shift := 0;
    RETURN v_reading;
END
$fn$;
COMMENT ON FUNCTION upc._market_reading IS
    'the curve that the contracts of a moment are read off, between two minutes';


-- Answer about all contracts of a span, and keep the answers with their costs.
CREATE FUNCTION upc._answer_quotes(
    test upc_data.backtest,
    quotes_of bigint,
    since timestamptz,
    until timestamptz
)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET work_mem = '64MB'
SET jit = off
AS $fn$
BEGIN
    EXECUTE format(
        $sql$
        WITH %1$s,
        moment AS MATERIALIZED (
            SELECT m AS moment, m.* FROM upc._market_moments($3, $4, $5, $6) AS m
        ),
        contracts AS (
            SELECT
                q.observed_at,
                q.closes_at,
                array_agg(q ORDER BY q.event_ticker, q.ticker) AS quotes,
                array_agg(q.lower::double precision ORDER BY q.event_ticker, q.ticker) AS lowers,
                array_agg(q.upper::double precision ORDER BY q.event_ticker, q.ticker) AS uppers
            FROM upc._asked_quotes($1, $4, $5, $6) AS q
            GROUP BY q.observed_at, q.closes_at
        ),
        reading AS (
            SELECT
                m.*, c.quotes, c.lowers, c.uppers,
                upc._market_reading(
                    m.moment, a.positive, a.negative, b.positive, b.negative
                ) AS reading
            FROM moment AS m
            JOIN contracts AS c USING (observed_at, closes_at)
            JOIN model_curve AS a ON a.bucket = m.bucket AND a.minutes = m.minutes
            LEFT JOIN model_curve AS b ON b.bucket = m.bucket AND b.minutes = m.minutes + 1
            WHERE m.share = 0 OR b.bucket IS NOT NULL
            OFFSET 0
        ),
        answered AS (
            SELECT
                r.ttc_seconds, r.price AS asked_price, r.squared_move, r.seconds, r.quotes,
                ARRAY(
                    SELECT p.probability
                    FROM upc._pair_probabilities(
                        r.reading, true, r.price, r.lowers, r.uppers
                    ) AS p
                    ORDER BY p.place
                ) AS probabilities
            FROM reading AS r
            OFFSET 0
        ),
        terms AS MATERIALIZED (
            SELECT s.series, upc._symbol_order(s.symbol, s.series) AS terms
            FROM upc_data.series AS s
            WHERE s.symbol = $1
        )
        INSERT INTO upc_data.market_answer (
            symbol, backtest_id, closes_at, event_ticker, ticker, observed_at, ttc_seconds, lower,
            upper, price, volatility, gaussian, market, yes_cost, no_cost, later_yes_cost,
            later_no_cost, outcome
        )
        SELECT
            $1, $2, q.closes_at, q.event_ticker, q.ticker, q.observed_at, r.ttc_seconds, q.lower,
            q.upper, r.asked_price, q.probability / 100,
            upc._gaussian_probability(
                r.asked_price, q.lower::double precision, q.upper::double precision,
                sqrt(greatest(r.squared_move, 1e-14) * r.seconds / 60)
            ),
            ((q.yes_bid + q.yes_ask) / 2)::double precision,
            upc._quick_contract_cost(q.yes_ask, upc._whole_ask(q.yes_ask), t.terms),
            upc._quick_contract_cost(1 - q.yes_bid, upc._whole_ask(1 - q.yes_bid), t.terms),
            upc._quick_contract_cost(q.later_yes_ask, upc._whole_ask(q.later_yes_ask), t.terms),
            upc._quick_contract_cost(q.later_no_ask, upc._whole_ask(q.later_no_ask), t.terms),
            q.outcome
        FROM answered AS r
        CROSS JOIN LATERAL ROWS FROM (unnest(r.quotes), unnest(r.probabilities)) AS q (
            symbol, backtest_id, closes_at, event_ticker, ticker, observed_at, lower, upper,
            yes_bid, yes_ask, later_yes_ask, later_no_ask, price, outcome, probability
        )
        JOIN terms AS t ON t.series = split_part(q.event_ticker, '-', 1)
        $sql$,
        upc._backtest_curves()
    )
    USING test.symbol, test.backtest_id, test, quotes_of, since, until;
END
$fn$;
COMMENT ON FUNCTION upc._answer_quotes IS
    'answers of a backtest about the recorded quotes of a span, kept with the costs of buying at them';

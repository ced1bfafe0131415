-- Between: the probability of any contract, whatever its bounds.

CREATE FUNCTION upc._refuse_bounds(lower double precision, upper double precision)
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    IF lower IS NULL AND upper IS NULL THEN
        RAISE EXCEPTION 'both bounds are missing'
            USING
                ERRCODE = 'UP031',
                DETAIL = 'A contract pays iff lower <= value < upper; one of the bounds may be NULL.',
                HINT = 'Pass one, for example probability_between(97250, 97500, NULL).';
    ELSIF NOT coalesce(upc._is_positive(lower) AND upc._is_positive(upper), true)
        OR NOT coalesce(upc._is_positive(coalesce(lower, upper)), false)
    THEN
        RAISE EXCEPTION 'a bound must be a positive number, got % and %',
            coalesce(lower::text, 'NULL'), coalesce(upper::text, 'NULL')
            USING
                ERRCODE = 'UP031',
                DETAIL = 'A bound is a price in quote currency per unit, finite and above zero.',
                HINT = 'Pass NULL for a bound that is missing.';
    ELSIF lower >= upper THEN
        RAISE EXCEPTION 'lower must be below upper, got % and %', lower, upper
            USING
                ERRCODE = 'UP031',
                DETAIL = 'A contract pays iff lower <= value < upper: no value lies between these.',
                HINT = 'Pass the lower bound first.';
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._refuse_bounds IS
    'raises UP031 for bounds that are missing both, no positive numbers, or cross';


-- The probability that the value at the close lies between two bounds: of any contract.
--
-- Arguments:
--   price         USD, above zero
--   lower, upper  USD: the contract pays iff lower <= value < upper; NULL where there is none, but not both
--   the others    as in compute_strikes
--
-- Returns one row, probabilities in percent:
--   probability          above(lower) - above(upper), where above(K), that the value is at least K, never
--                        rises with K: what lies beside each other sums up, and all of it to 100
--   prob_low, prob_high  the 95 % interval of that probability, from the sizes of the curve; NULL where
--                        imported, both the probability where nothing is open any more
--   sample_size          starting minutes behind it; NULL for an imported fingerprint
--   fingerprint          name of the fingerprint that answered
--   deviation            the standard deviation that the moves are measured by, percent; NULL but for
--                        standardised moves
--   used_model           that answered: the one that was asked for, and from an hour to a day volatility
--                        alone. volatility_60m there, where nothing is counted beyond an hour: the
--                        standardised moves of 60 minutes by the forecast of the time left. NULL where
--                        nothing answers
--   reason               why nothing answers, and so all else is NULL: the other models have nothing
--                        beyond 60 minutes, and none has beyond a day
-- above(K) is the prob_above of compute_strikes, but for two things. Where the method is nearest and the
-- model not volatility, the two sides of the cell beside the price meet in the middle; and from the price
-- outward, numbers that were imported do not rise again.
-- Errors: UP031 bounds, and those of compute_strikes.
--
-- Example:
--   SELECT probability FROM probability_between(97250, 97000, 97250, 7, ttc_seconds => 900);
CREATE FUNCTION upc.probability_between(
    price double precision,
    lower double precision,
    upper double precision,
    momentum double precision DEFAULT NULL,
    symbol text DEFAULT 'BTC',
    ttc_seconds integer DEFAULT NULL,
    method text DEFAULT 'nearest',
    model text DEFAULT 'momentum',
    settlement text DEFAULT 'close',
    volatility double precision DEFAULT NULL,
    observed double precision DEFAULT NULL,
    variances double precision[] DEFAULT NULL,
    recalibrate boolean DEFAULT true,
    OUT probability double precision,
    OUT prob_low double precision,
    OUT prob_high double precision,
    OUT sample_size bigint,
    OUT fingerprint text,
    OUT deviation double precision,
    OUT used_model text,
    OUT reason text
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_ttc integer := coalesce(ttc_seconds, upc._seconds_to_hour(statement_timestamp()));
    v_reading upc._reading;
BEGIN
    PERFORM upc._refuse_bounds(lower, upper);
    v_reading := upc._bounds_reading(
        upc._make_question(
            price, momentum, symbol, v_ttc, method => method, model => model,
            settlement => settlement, volatility => volatility, observed => observed,
            variances => variances, recalibrate => recalibrate
        )
    );
    used_model := upc._model_of_bounds(model, v_ttc, v_reading.is_stretched);
    IF used_model IS NULL THEN
        reason := CASE
            WHEN v_ttc > 86400 THEN 'no model answers beyond a day'
            ELSE format('model %s ends at 60 minutes; volatility goes on to a day', model)
        END;
        RETURN;
    END IF;
    sample_size := v_reading.sample_size;
    fingerprint := v_reading.fingerprint;
    deviation := v_reading.deviation;
    SELECT b.probability, b.prob_low, b.prob_high
    INTO probability, prob_low, prob_high
    FROM upc._bounds_probabilities(
        v_reading, method = 'linear', price, ARRAY[lower], ARRAY[upper]
    ) AS b;
END
$fn$;
COMMENT ON FUNCTION upc.probability_between IS
    'the probability that the value at the close lies between two bounds, in percent, with its interval; a range is the difference of two aboves';

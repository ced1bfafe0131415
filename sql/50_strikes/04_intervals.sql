-- Intervals: how far a probability may be off, since it was counted from so many starting minutes.
--
-- Wilson's interval, 95 percent: every probability that is less than z = 1.96 standard deviations
-- from the counted one, the deviation being that of the probability itself. Indicators of windows
-- that overlap are correlated the less the rarer they are: the design effect, less one, goes about
-- with the sixth root of 4 p (1 - p). For p it is taken from the middle of the interval that the
-- effective size at 1/2 gives, which is neither 0 nor 1.
--
-- In PL/pgSQL, for many probabilities from one curve, with what does not change taken out:
--
--   a := 3.841458820694124 / weighted_size;
--   b := 3.841458820694124 / effective_size - a;
--   c := 0.02 / (1 + a + b);
--   …
--   u := a + b * (1 - (c * (p - 50)) * (c * (p - 50))) ^ (1.0::double precision / 6);
--   r := 50 * u + sqrt(u * (p * (100 - p) + 2500 * u));
--   low := p * p / (p + r);
--   high := 100 - (100 - p) * (100 - p) / (100 - p + r);
--
-- u is the spread: z^2 divided by the number of independent starting minutes. It says nothing about
-- whether the future is like the past, nor how much the volatility of the history happened to be.
-- A probability that is shrunk towards the baseline, l p + (1 - l) q, has the spread
-- l u(p) + (1 - l)^2 u(q) as far as 1 / kappa is known; it is too narrow where that was fitted as
-- zero by chance. The bucket's own u(p) around it is on the safe side.

CREATE FUNCTION upc._interval_spread(
    percent double precision,
    effective_size double precision,
    weighted_size double precision
)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 3.841458820694124::double precision / _interval_spread.weighted_size
    + (
        3.841458820694124::double precision / _interval_spread.effective_size
        - 3.841458820694124::double precision / _interval_spread.weighted_size
    ) * (
        1 - (
            (_interval_spread.percent - 50) * 0.02::double precision
            / (1 + 3.841458820694124::double precision / _interval_spread.effective_size)
        ) ^ 2
    ) ^ (1.0::double precision / 6);
COMMENT ON FUNCTION upc._interval_spread IS
    'how uncertain a probability in percent is that was read from a curve with these sizes: z squared divided by the number of independent starting minutes';


-- The lower end of the 95 percent interval of a probability, in percent.
--
-- percent: the probability; spread: what _interval_spread makes of it and the sizes of its curve.
-- The result is never above the probability; NULL where one of them is.
--
-- Example:
--   SELECT _interval_low(50, _interval_spread(50, 100, 100)) BETWEEN 40.38 AND 40.39;
CREATE FUNCTION upc._interval_low(percent double precision, spread double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN _interval_low.percent * _interval_low.percent / (
    _interval_low.percent
    + 50 * _interval_low.spread
    + sqrt(
        _interval_low.spread * (
            _interval_low.percent * (100 - _interval_low.percent) + 2500 * _interval_low.spread
        )
    )
);
COMMENT ON FUNCTION upc._interval_low IS
    'the lower end of the 95 percent interval of a probability, in percent';


-- The upper end of the 95 percent interval of a probability, in percent.
--
-- Arguments as in _interval_low. The result is never below the probability; NULL where one of them is.
--
-- Example:
--   SELECT _interval_high(50, _interval_spread(50, 100, 100)) BETWEEN 59.61 AND 59.62;
CREATE FUNCTION upc._interval_high(percent double precision, spread double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 100 - (100 - _interval_high.percent) * (100 - _interval_high.percent) / (
    100 - _interval_high.percent
    + 50 * _interval_high.spread
    + sqrt(
        _interval_high.spread * (
            _interval_high.percent * (100 - _interval_high.percent) + 2500 * _interval_high.spread
        )
    )
);
COMMENT ON FUNCTION upc._interval_high IS
    'the upper end of the 95 percent interval of a probability, in percent';

-- Reliability of a backtest where people trade: most questions are near 0 or 100 percent, and hide in a mean
-- over all what is wrong between.

-- Reliability of a backtest between 0.2 and 99.8 percent: a row per model and tenth of the log-odds in
-- between, with 95 % intervals.
--
-- prob_from, prob_to: the ends of the tenth, percent. probability: the mean of the predictions in it,
-- percent. observed: share that came true, percent. Whole weeks are drawn with replacement for the
-- intervals, since what is wrong for an hour may be wrong for days. resamples, seed: as in backtest_scores.
-- Tenths without a question are left out, and so are all of a backtest that was run before they were kept.
-- Errors: UP002 symbol, UP022 no such backtest, resamples or seed.
--
-- Example:
--   SELECT model, probability, observed, probability BETWEEN observed_low AND observed_high
--   FROM backtest_odds('BTC', 1);
CREATE FUNCTION upc.backtest_odds(
    symbol text,
    backtest_id bigint,
    resamples integer DEFAULT 1000,
    seed bigint DEFAULT 1
)
RETURNS TABLE (
    model text,
    bin smallint,
    prob_from double precision,
    prob_to double precision,
    questions bigint,
    probability double precision,
    observed double precision,
    observed_low double precision,
    observed_high double precision
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    PERFORM upc.require_backtest(symbol, backtest_id);
    PERFORM upc._require_resampling('all', resamples, seed);
    RETURN QUERY
    SELECT
        r.model,
        r.bin,
        upc._odds_edge(r.bin),
        upc._odds_edge(r.bin + 1),
        r.questions,
        r.probability,
        r.observed,
        r.observed_low,
        r.observed_high
    FROM upc._reliability(symbol, backtest_id, 'odds', 10, 'week', resamples, seed) AS r;
END
$fn$;
COMMENT ON FUNCTION upc.backtest_odds IS
    'the reliability of a backtest between 0.2 and 99.8 percent: a row per model and tenth of the log-odds, with 95 % intervals over weeks';

-- Calibration: the probabilities of live ticks, beside the frequencies of what they were for.

-- Wilson's interval, which stays between 0 and 100 and does not shrink to nothing at either end.
CREATE FUNCTION upc._share_interval(
    share double precision,
    questions double precision,
    OUT low double precision,
    OUT high double precision
)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT
        -- Exactly, where rounding would leave a trace.
        CASE WHEN a.p <= 0 THEN 0 ELSE 100 * (w.middle - w.half) END,
        CASE WHEN a.p >= 1 THEN 100 ELSE 100 * (w.middle + w.half) END
    FROM (
        SELECT upc._deviations_95() AS z, _share_interval.share / 100 AS p
    ) AS a
    CROSS JOIN LATERAL (
        SELECT
            (a.p + a.z ^ 2 / (2 * _share_interval.questions))
                / (1 + a.z ^ 2 / _share_interval.questions) AS middle,
            a.z / (1 + a.z ^ 2 / _share_interval.questions) * sqrt(
                greatest(0, a.p * (1 - a.p)) / _share_interval.questions
                + (a.z / (2 * _share_interval.questions)) ^ 2
            ) AS half
    ) AS w;
END;
COMMENT ON FUNCTION upc._share_interval IS
    '95 percent interval, in percent, of a share in percent that was observed in so many independent questions';


-- Sums over the judged strikes of a symbol's live ticks, by model, close, band of time to the close
-- and bin of probability. Probabilities are from 0 to 1.
--
-- In SQL and without settings, so that it becomes a part of the query that calls it.
CREATE FUNCTION upc._calibration_cells(
    symbol text,
    since timestamptz,
    until timestamptz,
    every_tick boolean,
    OUT model text,
    OUT method text,
    OUT settlement text,
    OUT closes_at timestamptz,
    OUT band integer,
    OUT bin integer,
    OUT questions bigint,
    OUT outcomes bigint,
    OUT p double precision,
    OUT squared_error double precision,
    OUT log_loss double precision
)
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    WITH question AS (
        SELECT
            j.model,
            j.method,
            j.settlement,
            j.closes_at,
            width_bucket(j.ttc_seconds, '{60, 120, 300, 600, 900, 1800}'::integer[]) AS band,
            least(19, floor(j.prob_above / 5))::integer AS bin,
            j.prob_above / 100 AS p,
            j.outcome::integer AS y
        FROM upc.judged_strikes(
            _calibration_cells.symbol, _calibration_cells.since, _calibration_cells.until
        ) AS j
        -- One a minute of days that have every tick, too: no day weighs more for being young.
        WHERE j.is_first OR _calibration_cells.every_tick
    )
    SELECT
        q.model,
        q.method,
        q.settlement,
        q.closes_at,
        q.band,
        q.bin,
        count(*) AS questions,
        sum(q.y) AS outcomes,
        sum(q.p) AS p,
        sum((q.p - q.y) * (q.p - q.y)) AS squared_error,
        sum(-ln(least(0.9999, greatest(0.0001, 1 - abs(q.y - q.p))))) AS log_loss
    FROM question AS q
    GROUP BY q.model, q.method, q.settlement, q.closes_at, q.band, q.bin;
END;
COMMENT ON FUNCTION upc._calibration_cells IS
    'sums over the judged strikes of a symbol''s live ticks, by model, close, band of time to the close and bin of probability';


-- Frequencies with which the questions of a symbol's live ticks of a span came true, beside their
-- probabilities.
--
-- Returns one row per model, method, settlement, band of time to the close and bin of probability.
-- Rows without minutes are of all bands together, rows without bin of all bins. Probabilities,
-- frequencies and calibration_error are in percent; brier_score and log_loss are of probabilities
-- from 0 to 1, those of the logarithm clipped to 0.0001 … 0.9999. Ticks of one event see the same
-- outcomes: events is the number of events behind the questions, and the 95 percent interval of the
-- frequency takes all questions of one event for a single observation.
--
-- every_tick: the log has every tick of the last days, and the first of each minute of those before.
-- Without it the first of each minute counts, throughout: no day weighs more than another, and nothing
-- changes when a day is thinned out. With it every tick counts that there is. counted says which: one a
-- minute, or every tick.
--
-- Errors: UP002 symbol.
--
-- Example:
--   SELECT count(*) = 0 FROM calibration('BTC', '2024-01-01 00:00+00', '2024-02-01 00:00+00');
CREATE FUNCTION upc.calibration(
    symbol text,
    since timestamptz DEFAULT '-infinity',
    until timestamptz DEFAULT 'infinity',
    every_tick boolean DEFAULT false
)
RETURNS TABLE (
    model text,
    method text,
    settlement text,
    minutes_from integer,
    minutes_to integer,
    bin integer,
    prob_from integer,
    prob_to integer,
    questions bigint,
    events bigint,
    mean_probability double precision,
    observed_frequency double precision,
    frequency_low double precision,
    frequency_high double precision,
    calibration_error double precision,
    brier_score double precision,
    log_loss double precision,
    counted text
)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 200
-- The planner takes cells for many, and would sort millions of rows to find the few that there are.
SET enable_sort = off
AS $fn$
BEGIN
    PERFORM upc.require_symbol(symbol);
    RETURN QUERY
    WITH cell AS MATERIALIZED (
        SELECT c.*
        FROM upc._calibration_cells(calibration.symbol, since, until, every_tick IS TRUE) AS c
    ),
    event AS (
        SELECT
            c.model, c.method, c.settlement, c.band, c.bin,
            sum(c.questions) AS questions,
            sum(c.outcomes) AS outcomes,
            sum(c.p) AS p,
            sum(c.squared_error) AS squared_error,
            sum(c.log_loss) AS log_loss
        FROM cell AS c
        GROUP BY
            c.model, c.method, c.settlement, c.closes_at,
            GROUPING SETS ((c.band, c.bin), (c.band), (c.bin), ())
    ),
    total AS (
        SELECT
            e.model,
            e.method,
            e.settlement,
            e.band,
            e.bin,
            sum(e.questions)::double precision AS questions,
            count(*) AS events,
            -- Worth of one that weighs as much as its share of the questions.
            (sum(e.questions) ^ 2 / sum(e.questions ^ 2))::double precision AS independent,
            sum(e.p) AS p,
            sum(e.outcomes)::double precision AS outcomes,
            sum(e.squared_error) AS squared_error,
            sum(e.log_loss) AS log_loss
        FROM event AS e
        GROUP BY e.model, e.method, e.settlement, e.band, e.bin
    )
    SELECT
        t.model,
        t.method,
        t.settlement,
        ('{0, 1, 2, 5, 10, 15, 30}'::integer[])[t.band + 1],
        ('{1, 2, 5, 10, 15, 30, 60}'::integer[])[t.band + 1],
        t.bin,
        5 * t.bin,
        5 * t.bin + 5,
        t.questions::bigint,
        t.events,
        100 * t.p / t.questions,
        s.share,
        i.low,
        i.high,
        CASE
            WHEN t.bin IS NOT NULL THEN 100 * abs(t.p - t.outcomes) / t.questions
            ELSE 100 / t.questions * sum(abs(t.p - t.outcomes)) FILTER (WHERE t.bin IS NOT NULL)
                OVER (PARTITION BY t.model, t.method, t.settlement, t.band)
        END,
        t.squared_error / t.questions,
        t.log_loss / t.questions,
        CASE WHEN every_tick THEN 'every tick' ELSE 'one a minute' END
    FROM total AS t
    CROSS JOIN LATERAL (SELECT 100 * t.outcomes / t.questions AS share) AS s
    CROSS JOIN LATERAL upc._share_interval(s.share, t.independent) AS i
    ORDER BY t.model, t.method, t.settlement, t.band NULLS FIRST, t.bin NULLS FIRST;
END
$fn$;
COMMENT ON FUNCTION upc.calibration IS
    'the frequencies with which the questions of a symbol''s live ticks of a span came true, by model, time to the close and bin of probability, and together';


CREATE VIEW analytics.calibration AS
SELECT
    s.symbol,
    c.model,
    c.method,
    c.settlement,
    c.minutes_from,
    c.minutes_to,
    c.bin,
    c.prob_from,
    c.prob_to,
    c.questions,
    c.events,
    c.mean_probability,
    c.observed_frequency,
    c.frequency_low,
    c.frequency_high,
    c.brier_score,
    c.log_loss,
    c.counted
FROM upc_data.symbol AS s
CROSS JOIN LATERAL upc.calibration(s.symbol) AS c
WHERE c.minutes_from IS NOT NULL AND c.bin IS NOT NULL;
COMMENT ON VIEW analytics.calibration IS
    'the frequencies with which the questions of live ticks came true, by probability; of a span of time: upc.calibration';
COMMENT ON COLUMN analytics.calibration.symbol IS 'symbol';
COMMENT ON COLUMN analytics.calibration.model IS 'the model that the probabilities came from';
COMMENT ON COLUMN analytics.calibration.method IS 'the method by which they were read off the grid';
COMMENT ON COLUMN analytics.calibration.settlement IS
    'the settlement that was assumed: close or average';
COMMENT ON COLUMN analytics.calibration.minutes_from IS
    'time to the close, minutes: from this on';
COMMENT ON COLUMN analytics.calibration.minutes_to IS
    'and less than this; a full hour is in the last band';
COMMENT ON COLUMN analytics.calibration.bin IS
    'bin of the probability: 0 is below 5 percent, 19 is 95 percent and more';
COMMENT ON COLUMN analytics.calibration.prob_from IS 'lower end of the bin, percent';
COMMENT ON COLUMN analytics.calibration.prob_to IS 'upper end of the bin, percent';
COMMENT ON COLUMN analytics.calibration.questions IS 'questions: one per strike of the first tick of each minute';
COMMENT ON COLUMN analytics.calibration.events IS
    'distinct closes that the questions are of; those of one are not independent';
COMMENT ON COLUMN analytics.calibration.mean_probability IS
    'mean of the probabilities to close at or above the strike, percent';
COMMENT ON COLUMN analytics.calibration.observed_frequency IS
    'share of the questions that closed at or above the strike, percent';
COMMENT ON COLUMN analytics.calibration.frequency_low IS
    'lower end of the 95 percent interval of observed_frequency, percent; an event counts as one observation';
COMMENT ON COLUMN analytics.calibration.frequency_high IS 'its upper end, percent';
COMMENT ON COLUMN analytics.calibration.brier_score IS
    'mean of (probability - outcome)², of probabilities from 0 to 1';
COMMENT ON COLUMN analytics.calibration.log_loss IS
    'mean of minus the natural logarithm of the probability of what happened, clipped to 0.0001 … 0.9999';
COMMENT ON COLUMN analytics.calibration.counted IS
    'ticks that are counted: one a minute, of days that have every tick, too';

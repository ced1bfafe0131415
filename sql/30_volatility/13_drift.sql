-- Drift: how far the model's probabilities move from one month to the next, whatever was sampled.
--
-- Of a threshold let p be the share of moves beyond it and s^2 the variance between the shares of months, N of
-- which are behind a curve. What the next m months will show lies around the curve with the variance
-- s^2 (1 / N + 1 / m) + 0.0009 p (1 - p). The last term is what the months of a year have in common, and the
-- year before had not: no number of months averages it out, and no two years tell how large it is.
-- m is 1 for the live model, and the months of its test for a backtest.
--
-- Divided by p (1 - p) and multiplied by z^2 it is a part of the spread that 04_intervals.sql has: z^2 divided by
-- a number of independent starting minutes. Drift is that of all minutes together; what few starting
-- minutes a momentum has is the other part.

CREATE FUNCTION upc._shared_drift()
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 0.0009::double precision;
COMMENT ON FUNCTION upc._shared_drift IS
    'the variance of a share p from one year to the next, divided by p (1 - p), beside that of its months';


CREATE FUNCTION upc._drift_spreads(
    means double precision[],
    squares double precision[],
    months double precision,
    ahead double precision
)
RETURNS double precision[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_scale double precision := (1 / months + 1 / ahead) * months / nullif(months - 1, 0);
    v_variance double precision;
    v_drift double precision := 0;
    v_spreads double precision[];
BEGIN
    IF v_scale IS NULL THEN
        RETURN NULL;
    END IF;
    FOR v_k IN 1..cardinality(means) LOOP
        v_variance := means[v_k] * (1 - means[v_k]);
        -- Where nothing was seen, nothing is known of drift: it goes on level.
        IF v_variance > 0 THEN
            v_drift := v_scale * greatest(0, squares[v_k] - means[v_k] * means[v_k]) / v_variance;
        END IF;
        v_spreads[v_k] := 3.841458820694124::double precision * (v_drift + upc._shared_drift());
    END LOOP;
    RETURN v_spreads;
END
$fn$;
COMMENT ON FUNCTION upc._drift_spreads IS
    'what drift adds to the spread of intervals at each threshold, from the weighted means of the shares of months and of their squares; months: as how many of equal weight they count; ahead: of how many the share will be; NULL where there is but one';


-- The query that makes drift from counts of months, as text.
--
-- counts: a query for symbol, month, minutes, pairs, positive, negative as in upc_data.volatility_month.
-- ahead: months that an interval is for, as an expression. Returns a query for the columns of
-- upc_data.volatility_drift. Years weigh as in the curves, and a month by its pairs.
CREATE FUNCTION upc._drift_query(counts text, ahead text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN format(
    $sql$
    SELECT
        d.symbol COLLATE "C" AS symbol,
        d.minutes,
        d.months,
        upc._drift_spreads(ARRAY[%1$s], ARRAY[%2$s], d.months, %3$s) AS positive,
        upc._drift_spreads(ARRAY[%4$s], ARRAY[%5$s], d.months, %3$s) AS negative
    FROM (
        SELECT
            w.symbol,
            w.minutes,
            sum(w.size) AS size,
            sum(w.size) * sum(w.size) / sum(w.size * w.size) AS months,
            %6$s
        FROM (
            SELECT
                y.symbol, y.minutes, y.pairs::double precision AS pairs, y.positive, y.negative,
                y.weight, y.weight * y.pairs AS size
            FROM (
                SELECT
                    c.*,
                    greatest(
                        1,
                        5 - max(extract(year FROM c.month)) OVER (PARTITION BY c.symbol)
                            + extract(year FROM c.month)
                    )::double precision AS weight
                FROM (%7$s) AS c
            ) AS y
            -- In one order sums are the same to the last bit.
            ORDER BY y.symbol, y.minutes, y.month
        ) AS w
        GROUP BY w.symbol, w.minutes
    ) AS d
    $sql$,
    upc._per_threshold('d.p%1$s / d.size'),
    upc._per_threshold('d.r%1$s / d.size'),
    _drift_query.ahead,
    upc._per_threshold('d.n%1$s / d.size'),
    upc._per_threshold('d.q%1$s / d.size'),
    upc._per_threshold(
        'sum(w.weight * w.positive[%1$s]) AS p%1$s, '
        'sum(w.weight * w.positive[%1$s] * w.positive[%1$s] / w.pairs) AS r%1$s, '
        'sum(w.weight * w.negative[%1$s]) AS n%1$s, '
        'sum(w.weight * w.negative[%1$s] * w.negative[%1$s] / w.pairs) AS q%1$s'
    ),
    _drift_query.counts
);
COMMENT ON FUNCTION upc._drift_query IS
    'the query, as text, that makes the drift of standardised moves from counts of months';


-- The query for the rows of upc_data.volatility_drift of the symbol $1, as text: for the next month.
CREATE FUNCTION upc._volatility_drift_query()
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN upc._drift_query(
    $sql$
    SELECT m.symbol, m.month, m.minutes, m.pairs, m.positive, m.negative
    FROM upc_data.volatility_month AS m
    WHERE m.symbol = $1
      AND m.generation = (
          SELECT f.used_generation FROM upc_data.volatility_fit AS f WHERE f.symbol = $1
      )
    $sql$,
    '1'
);
COMMENT ON FUNCTION upc._volatility_drift_query IS
    'the query, as text, for the drift of the standardised moves of the symbol $1 in the next month';


CREATE VIEW upc.volatility_drift AS
SELECT
    d.symbol,
    d.minutes,
    d.months,
    d.positive,
    d.negative
FROM upc_data.volatility_drift AS d;
COMMENT ON VIEW upc.volatility_drift IS
    'how far standardised moves of the next month may be from those counted: one row per symbol and distance in minutes';
COMMENT ON COLUMN upc.volatility_drift.symbol IS 'symbol';
COMMENT ON COLUMN upc.volatility_drift.minutes IS 'minutes from now to the later close';
COMMENT ON COLUMN upc.volatility_drift.months IS
    'number of months behind the row, as how many of equal weight they count; with less than 24 years are hardly told apart';
COMMENT ON COLUMN upc.volatility_drift.positive IS
    'element k: what drift adds to the spread of the interval of volatility_curve.positive; NULL where there is but one month';
COMMENT ON COLUMN upc.volatility_drift.negative IS 'of volatility_curve.negative, like positive';

-- The fit of a recalibration, to counts of answers by time to the close and log-odds.

-- Answers of a week at one time to the close, by tenths of log-odds from -6.3 on: how many there were, how
-- many came true, and the sum of their log-odds. Those outside of 0.2 to 99.8 percent are not counted.
CREATE TYPE upc._counted_odds AS (
    minutes integer,
    questions integer[],
    outcomes integer[],
    log_odds double precision[]
);
COMMENT ON TYPE upc._counted_odds IS
    'answers at one time to the close, by tenths of their log-odds: their number, how many came true, the sum of their log-odds';


CREATE FUNCTION upc._recalibration_weeks()
RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 26;
COMMENT ON FUNCTION upc._recalibration_weeks IS
    'the number of weeks of answers that a recalibration is fitted on';


CREATE FUNCTION upc._odds_place(log_odds double precision)
RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN abs(_odds_place.log_odds) <= ln(499::double precision)
    THEN floor(10 * _odds_place.log_odds)::integer + 64
END;
COMMENT ON FUNCTION upc._odds_place IS
    'the place from 1 to 126 of log-odds in the lists of upc._counted_odds; NULL outside of 0.2 to 99.8 percent';


-- Sums that a step of Newton's is made of: the gradient's nine, then the 81 of the weighted products.
DO $do$
DECLARE
    -- Constant, log-odds and their cube, each at the three knots.
    v_names text[] := ARRAY(
        SELECT format('s.h%s%s', k, p.power)
        FROM unnest('{"", " * s.x", " * s.x3"}'::text[]) WITH ORDINALITY AS p (power, i)
        CROSS JOIN generate_series(1, 3) AS k
        ORDER BY p.i, k
    );
BEGIN
    EXECUTE format(
        $sql$
        CREATE FUNCTION upc._recalibration_sums(
            shares_1 double precision[],
            shares_2 double precision[],
            shares_3 double precision[],
            log_odds double precision[],
            questions double precision[],
            outcomes double precision[],
            weights double precision[]
        )
        RETURNS double precision[]
        LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
        SET jit = off
        AS $fn$
        BEGIN
            RETURN (
                SELECT ARRAY[%1$s]
                FROM (
                    SELECT
                        r.*,
                        r.outcomes - r.questions * r.p AS rest,
                        r.questions * r.p * (1 - r.p) AS weight
                    FROM (
                        SELECT
                            o.*,
                            0.01::double precision * upc._recalibrated_odds(
                                o.x,
                                o.h1 * weights[1] + o.h2 * weights[2] + o.h3 * weights[3],
                                o.h1 * weights[4] + o.h2 * weights[5] + o.h3 * weights[6],
                                o.h1 * weights[7] + o.h2 * weights[8] + o.h3 * weights[9]
                            ) AS p
                        FROM (
                            SELECT u.*, 0.05::double precision * u.x * u.x * u.x AS x3
                            FROM unnest(shares_1, shares_2, shares_3, log_odds, questions, outcomes)
                                AS u (h1, h2, h3, x, questions, outcomes)
                        ) AS o
                        OFFSET 0
                    ) AS r
                    OFFSET 0
                ) AS s
            );
        END
        $fn$
        $sql$,
        (
            SELECT string_agg(format('sum(s.rest * %s)', n.name), ', ' ORDER BY n.i)
            FROM unnest(v_names) WITH ORDINALITY AS n (name, i)
        ) || ', ' || (
            SELECT string_agg(
                format('sum(s.weight * %s * %s)', a.name, b.name), ', ' ORDER BY a.i, b.i
            )
            FROM unnest(v_names) WITH ORDINALITY AS a (name, i)
            CROSS JOIN unnest(v_names) WITH ORDINALITY AS b (name, i)
        )
    );
END
$do$;
COMMENT ON FUNCTION upc._recalibration_sums IS
    'sums over counted answers that a step of the fit of a recalibration is made of: the gradient, and the products with their weights';


-- Fit a recalibration by logistic regression, with a ridge that pulls it towards no correction: 3,000 for a,
-- 300 for b and c, beside the sums of p (1 - p) over the answers. b stays within 0.5 and 2, c within 0 and
-- 0.5: a higher probability stays higher, and those near 0 and 100 go on to them.
--
-- counts: of the weeks that it is fitted on.
-- Returns a, b and c at the knots, rounded to four decimals.
CREATE FUNCTION upc._fit_recalibration(
    counts upc._counted_odds[],
    OUT lifts double precision[],
    OUT stretches double precision[],
    OUT bends double precision[]
)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_none double precision[] := '{0, 0, 0, 1, 1, 1, 0, 0, 0}'::double precision[];
    v_ridge double precision[] :=
        '{3000, 3000, 3000, 300, 300, 300, 300, 300, 300}'::double precision[];
    v_weights double precision[] := v_none;
    v_answers record;
    v_sums double precision[];
    v_products double precision[];
    v_step double precision[];
BEGIN
    SELECT
        array_agg((upc._knot_shares(a.minutes))[1]) AS shares_1,
        array_agg((upc._knot_shares(a.minutes))[2]) AS shares_2,
        array_agg((upc._knot_shares(a.minutes))[3]) AS shares_3,
        array_agg(a.log_odds / a.questions) AS log_odds,
        array_agg(a.questions) AS questions,
        array_agg(a.outcomes) AS outcomes
    INTO v_answers
    FROM (
        SELECT
            c.minutes,
            o.place,
            sum(o.questions)::double precision AS questions,
            sum(o.outcomes)::double precision AS outcomes,
            sum(o.log_odds ORDER BY o.log_odds) AS log_odds
        FROM unnest(counts) AS c
        CROSS JOIN LATERAL unnest(c.questions, c.outcomes, c.log_odds)
            WITH ORDINALITY AS o (questions, outcomes, log_odds, place)
        WHERE o.questions > 0
        GROUP BY c.minutes, o.place
        ORDER BY c.minutes, o.place
    ) AS a;
    FOR v_round IN 1..30 LOOP
        EXIT WHEN v_answers.questions IS NULL;
        v_sums := upc._recalibration_sums(
            v_answers.shares_1, v_answers.shares_2, v_answers.shares_3, v_answers.log_odds,
            v_answers.questions, v_answers.outcomes, v_weights
        );
        v_products := array_fill(0::double precision, '{9, 9}');
        FOR i IN 1..9 LOOP
            v_sums[i] := v_sums[i] - v_ridge[i] * (v_weights[i] - v_none[i]);
            FOR j IN 1..9 LOOP
                v_products[i][j] := v_sums[9 * i + j]
                    + CASE WHEN i = j THEN v_ridge[i] ELSE 0::double precision END;
            END LOOP;
        END LOOP;
        v_step := upc._newton_step(upc._inverse(v_products), v_sums[1:9]);
        FOR i IN 1..9 LOOP
            v_weights[i] := v_weights[i] + v_step[i];
        END LOOP;
        EXIT WHEN 1e-7 > ALL (ARRAY(SELECT abs(s) FROM unnest(v_step) AS s));
    END LOOP;
    SELECT
        array_agg(round(w.weight::numeric, 4)::double precision ORDER BY w.i)
            FILTER (WHERE w.i <= 3),
        array_agg(
            round(least(2, greatest(0.5, w.weight))::numeric, 4)::double precision ORDER BY w.i
        ) FILTER (WHERE w.i BETWEEN 4 AND 6),
        array_agg(
            round(least(0.5, greatest(0, w.weight))::numeric, 4)::double precision ORDER BY w.i
        ) FILTER (WHERE w.i >= 7)
    INTO lifts, stretches, bends
    FROM unnest(v_weights) WITH ORDINALITY AS w (weight, i);
END
$fn$;
COMMENT ON FUNCTION upc._fit_recalibration IS
    'fits a recalibration to counts of answers: a, b and c at the knots; no correction without answers';

-- The weekly correction of the live model.

CREATE FUNCTION upc._note_live_answers(symbol text, monday date)
RETURNS boolean
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_week record;
    v_year integer;
    v_curves upc._bucket_curve[];
    v_has_changed boolean;
BEGIN
    DELETE FROM upc_data.live_answer AS a
    WHERE a.symbol = _note_live_answers.symbol
      AND NOT EXISTS (
          SELECT
          FROM upc._answered_weeks(_note_live_answers.symbol, monday) AS w
          WHERE w.week = a.week AND w.generation = a.generation AND w.versions = a.versions
      );
    v_has_changed := FOUND;
    FOR v_week IN
        SELECT w.*
        FROM upc._answered_weeks(_note_live_answers.symbol, monday) AS w
        WHERE NOT EXISTS (
            SELECT FROM upc_data.live_answer AS a
            WHERE a.symbol = _note_live_answers.symbol AND a.week = w.week
        )
        ORDER BY w.week
    LOOP
        IF v_year IS DISTINCT FROM extract(year FROM v_week.week)::integer THEN
            v_year := extract(year FROM v_week.week);
            v_curves := upc._earlier_curves(symbol, v_year);
        END IF;
        CONTINUE WHEN v_curves IS NULL;
        INSERT INTO upc_data.live_answer (
            symbol, week, minutes, generation, versions, questions, outcomes, log_odds
        )
        SELECT
            _note_live_answers.symbol, v_week.week, c.minutes, v_week.generation,
            v_week.versions, c.questions, c.outcomes, c.log_odds
        FROM upc._count_live_answers(symbol, v_week.week, v_curves) AS c;
        v_has_changed := v_has_changed OR FOUND;
    END LOOP;
    RETURN v_has_changed;
END
$fn$;
COMMENT ON FUNCTION upc._note_live_answers IS
    'counts the answers of the weeks before a Monday that are missing, or stand on other counts; returns whether any changed';


-- Fit the correction of a symbol's volatility model if a week has gone by, or what it stands on has changed.
--
-- It is fitted on the last 26 whole weeks, by answers that know only the counts of the years before, and
-- answers from the next refresh_fingerprints on; whoever builds calls both.
-- Returns whether the correction has changed. There is none before the first whole week of a year that has
-- 60 days counted before it.
-- Errors: UP002 symbol.
--
-- Example:
--   SELECT NOT recalibrate('ETH');
CREATE FUNCTION upc.recalibrate(symbol text)
RETURNS boolean
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_monday date;
    v_is_new boolean;
BEGIN
    PERFORM upc.require_symbol(symbol);
    SELECT date_trunc('week', max(c.opened_at) AT TIME ZONE 'UTC')::date
    INTO v_monday
    FROM upc_data.candle AS c
    WHERE c.symbol = recalibrate.symbol;
    -- One at a time: both would count the same weeks.
    PERFORM FROM upc_data.volatility_fit AS f
    WHERE f.symbol = recalibrate.symbol
    FOR NO KEY UPDATE;
    v_is_new := upc._note_live_answers(symbol, v_monday);
    IF NOT v_is_new AND EXISTS (
        SELECT FROM upc_data.recalibration AS r
        WHERE r.symbol = recalibrate.symbol AND r.week = v_monday
    ) THEN
        RETURN false;
    END IF;

    -- Its answers may be gone; without any, the corrections of before stand on nothing either.
    DELETE FROM upc_data.recalibration AS r
    WHERE r.symbol = recalibrate.symbol
      AND (
          r.week >= v_monday
          OR NOT EXISTS (
              SELECT FROM upc_data.live_answer AS a WHERE a.symbol = recalibrate.symbol
          )
      );
    v_is_new := v_is_new OR FOUND;
    INSERT INTO upc_data.recalibration (symbol, week, lifts, stretches, bends, weeks, answers)
    SELECT recalibrate.symbol, v_monday, f.lifts, f.stretches, f.bends, a.weeks, a.answers
    FROM (
        SELECT
            array_agg(
                ROW(k.minutes, k.questions, k.outcomes, k.log_odds)::upc._counted_odds
                ORDER BY k.week, k.minutes
            ) AS counts,
            count(DISTINCT k.week)::integer AS weeks,
            sum((SELECT sum(q) FROM unnest(k.questions) AS q))::bigint AS answers
        FROM upc_data.live_answer AS k
        WHERE k.symbol = recalibrate.symbol
    ) AS a
    CROSS JOIN LATERAL upc._fit_recalibration(a.counts) AS f
    WHERE a.weeks > 0;
    RETURN v_is_new OR FOUND;
END
$fn$;
COMMENT ON FUNCTION upc.recalibrate IS
    'fits the correction of a symbol''s volatility model if a week has gone by or what it stands on has changed; returns whether it has changed';

-- Counting moves: from closes to pairs per momentum bucket, distance in time and size of the move.
--
-- A window is what the counts of one UTC day depend on: 1,530 closes in USD, one a minute, from
-- 30 minutes before the day (momentum looks back that far) to 60 minutes after it (pairs reach that
-- far); NaN where there is no candle. The day's starting minutes are its elements 31 to 1470.
-- Windows of several days are laid end to end in one array, so that every day stands for itself:
-- days can be counted, taken back and counted again in any order and in any company.

CREATE FUNCTION upc._candle_window(
    symbol text,
    day date,
    since timestamptz DEFAULT '-infinity',
    until timestamptz DEFAULT 'infinity'
)
RETURNS double precision[]
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_from timestamptz := _candle_window.day::timestamp AT TIME ZONE 'UTC' - interval '30 minutes';
    v_window double precision[];
BEGIN
    SELECT array_agg(c.close ORDER BY c.opened_at)
    INTO v_window
    FROM upc_data.candle AS c
    WHERE c.symbol = _candle_window.symbol
      AND c.opened_at >= greatest(v_from, since)
      AND c.opened_at < least(v_from + interval '1530 minutes', until);

    -- Most days have no gap; only the others pay for looking at every minute.
    IF cardinality(v_window) = 1530 THEN
        RETURN v_window;
    END IF;

    RETURN (
        SELECT array_agg(coalesce(c.close, 'NaN') ORDER BY m.opened_at)
        FROM generate_series(
            v_from, v_from + interval '1529 minutes', interval '1 minute'
        ) AS m (opened_at)
        LEFT JOIN (
            SELECT k.opened_at, k.close
            FROM upc_data.candle AS k
            WHERE k.symbol = _candle_window.symbol
              AND k.opened_at >= greatest(v_from, since)
              AND k.opened_at < least(v_from + interval '1530 minutes', until)
            -- A plan for all calls would read the whole history.
            OFFSET 0
        ) AS c USING (opened_at)
    );
END
$fn$;
COMMENT ON FUNCTION upc._candle_window IS
    'the window of closes of a UTC day as the candles opened in [since, until) are now: 1,530 elements, NaN for a missing candle';


CREATE FUNCTION upc._counted_windows(symbol text, days date[])
RETURNS double precision[]
LANGUAGE sql STABLE PARALLEL SAFE
RETURN ARRAY(
    SELECT unnest(
        array_agg(coalesce(c.closes, array_fill('NaN'::double precision, '{1530}')) ORDER BY d.i)
    )
    FROM unnest(_counted_windows.days) WITH ORDINALITY AS d (day, i)
    LEFT JOIN upc_data.counted_day AS c
        ON c.symbol = _counted_windows.symbol AND c.day = d.day
);
COMMENT ON FUNCTION upc._counted_windows IS
    'the windows of some UTC days as they were counted, laid end to end; NaN where nothing was counted';


CREATE FUNCTION upc._all_starts(days integer)
RETURNS integer[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY(
    SELECT d * 1530 + m
    FROM generate_series(0, _all_starts.days - 1) AS d
    CROSS JOIN generate_series(31, 1470) AS m
);
COMMENT ON FUNCTION upc._all_starts IS
    'the places of all starting minutes in the windows of so many days laid end to end';

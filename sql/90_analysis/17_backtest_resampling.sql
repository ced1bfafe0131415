-- Resampling: how much the scores of a backtest depend on which days there were.

-- Refuse a backtest that a symbol does not have, or that is not complete.
--
-- Errors: UP002 symbol, UP022 no such backtest, or not complete.
--
-- Example:
--   SELECT require_backtest('BTC', 1);
CREATE FUNCTION upc.require_backtest(symbol text, backtest_id bigint)
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_is_complete boolean;
BEGIN
    PERFORM upc.require_symbol(symbol);
    SELECT b.completed_at IS NOT NULL
    INTO v_is_complete
    FROM upc_data.backtest AS b
    WHERE b.symbol = require_backtest.symbol AND b.backtest_id = require_backtest.backtest_id;
    IF v_is_complete THEN
        RETURN;
    END IF;
    PERFORM upc._refuse_backtest(
        format(
            'backtest %s of %s %s',
            coalesce(require_backtest.backtest_id::text, 'NULL'),
            require_backtest.symbol,
            CASE WHEN v_is_complete IS NULL THEN 'does not exist' ELSE 'is not complete' END
        ),
        'Only backtests that were run to their end are reported.',
        'See which there are: pyupc backtest --list.'
    );
END
$fn$;
COMMENT ON FUNCTION upc.require_backtest IS
    'raises UP002 or UP022 unless the symbol has the backtest, and it is complete';


CREATE FUNCTION upc._require_resampling(dimension text, resamples integer, seed bigint)
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
BEGIN
    IF NOT coalesce(
        dimension IN ('all', 'minutes', 'distance', 'hour', 'regime'), false
    ) THEN
        PERFORM upc._refuse_backtest(
            format('unknown dimension %s', coalesce(quote_literal(dimension), 'NULL')),
            'Scores are kept by what the questions have in common.',
            'Known: all, minutes, distance, hour, regime.'
        );
    END IF;
    IF NOT coalesce(resamples BETWEEN 0 AND 10000, false) THEN
        PERFORM upc._refuse_backtest(
            format(
                'resamples must be between 0 and 10000, got %s',
                coalesce(resamples::text, 'NULL')
            ),
            'The days are drawn anew so many times.',
            'Leave it out for 1000; 0 is for scores without intervals.'
        );
    END IF;
    IF seed IS NULL THEN
        PERFORM upc._refuse_backtest(
            'seed must be a number, got NULL',
            'The same seed draws the same days.',
            'Leave it out for 1.'
        );
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._require_resampling IS
    'raises UP022 unless scores can be resampled in this way';


-- Draw as many days as there are, with replacement, and sum what they hold: the bootstrap.
--
-- daily: by day, by block, the sums of a block; NULL is nothing. Returns a row per resample and
-- block: the sums of the days that were drawn. The draws depend on nothing but the number of days
-- and the seed: tables of the same days are resampled in pairs, on every server. The hash is the
-- one that rows are distributed to partitions by.
--
-- PostgreSQL has no vectors to add. Here the sums of a day are digits of one number, eight each:
-- one addition adds them all. What that rounds off is 1e-5 of the spread that is looked for.
-- Workers are kept out, here and below: they would add in another order every time.
CREATE FUNCTION upc._resampled_sums(daily double precision[], resamples integer, seed bigint)
RETURNS TABLE (resample integer, block integer, sums double precision[])
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET work_mem = '64MB'
SET max_parallel_workers_per_gather = 0
AS $fn$
DECLARE
    v_days integer := array_length(daily, 1);
    v_blocks integer := array_length(daily, 2);
    v_width integer := array_length(daily, 3);
    -- A numeric holds 131,072 digits, and a few thousand stay in the processor's cache.
    v_at_once integer := greatest(1, 1000 / array_length(daily, 3));
    v_first integer;
    v_last integer;
    v_columns integer;
    v_part double precision[];
    v_packed numeric[];
    v_lowest double precision[];
    v_scale double precision[];
BEGIN
    IF resamples = 0 THEN
        RETURN;
    END IF;
    FOR v_first IN SELECT g.first FROM generate_series(1, v_blocks, v_at_once) AS g(first) LOOP
        v_last := least(v_first + v_at_once - 1, v_blocks);
        v_part := daily[:][v_first:v_last][:];
        v_columns := v_width * (v_last - v_first + 1);

        SELECT
            array_agg(s.lowest ORDER BY s.place),
            array_agg(
                coalesce(9e7 / nullif(v_days * (s.highest - s.lowest), 0), 1) ORDER BY s.place
            )
        INTO v_lowest, v_scale
        FROM (
            SELECT
                (u.place - 1) % v_columns AS place,
                min(coalesce(u.value, 0)) AS lowest,
                max(coalesce(u.value, 0)) AS highest
            FROM unnest(v_part) WITH ORDINALITY AS u(value, place)
            GROUP BY (u.place - 1) % v_columns
        ) AS s;

        SELECT array_agg(d.digits ORDER BY d.day)
        INTO v_packed
        FROM (
            SELECT
                (u.place - 1) / v_columns AS day,
                string_agg(
                    lpad(
                        round(
                            (coalesce(u.value, 0) - v_lowest[1 + (u.place - 1) % v_columns])
                                * v_scale[1 + (u.place - 1) % v_columns]
                        )::bigint::text,
                        8,
                        '0'
                    ),
                    ''
                    ORDER BY u.place
                )::numeric AS digits
            FROM unnest(v_part) WITH ORDINALITY AS u(value, place)
            GROUP BY (u.place - 1) / v_columns
        ) AS d;

        RETURN QUERY
        WITH drawn AS MATERIALIZED (
            SELECT
                r.resample,
                lpad(
                    (
                        SELECT sum(v_packed[
                            1 + (
                                hashint8extended(
                                    (r.resample - 1)::bigint * v_days + d.draw, seed
                                ) & 9223372036854775807
                            ) % v_days
                        ])
                        FROM generate_series(1, v_days) AS d(draw)
                    )::text,
                    8 * v_columns,
                    '0'
                )::bytea AS digits
            FROM generate_series(1, resamples) AS r(resample)
        )
        SELECT
            d.resample,
            v_first + b.number,
            ARRAY(
                SELECT
                    encode(substr(d.digits, 8 * p.place - 7, 8), 'escape')::double precision
                        / v_scale[p.place] + v_days * v_lowest[p.place]
                FROM generate_series(b.number * v_width + 1, (b.number + 1) * v_width) AS p(place)
            )
        FROM drawn AS d
        CROSS JOIN generate_series(0, v_last - v_first) AS b(number);
    END LOOP;
END
$fn$;
COMMENT ON FUNCTION upc._resampled_sums IS
    'sums over as many days as there are, drawn with replacement: the bootstrap';


-- Sums of a dimension's scores, by day and by block, as upc._resampled_sums takes them: a block is a
-- part and one of the models, in the order of both.
--
-- width: how many of a block's sums: questions, squared error and log loss, then the excess of
-- probability over outcomes in each of the 20 bins.
CREATE FUNCTION upc._daily_scores(
    symbol text,
    backtest_id bigint,
    dimension text,
    models text[],
    parts smallint[],
    width integer
)
RETURNS double precision[]
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $fn$
DECLARE
    v_daily double precision[];
BEGIN
    WITH score AS (
        SELECT
            s.day,
            s.model,
            s.part,
            s.bin,
            s.questions,
            s.squared_error,
            s.log_loss,
            s.probability - s.outcomes AS excess
        FROM upc_data.backtest_score AS s
        WHERE s.symbol = _daily_scores.symbol
          AND s.backtest_id = _daily_scores.backtest_id
          AND s.dimension = _daily_scores.dimension
    ),
    total AS (
        SELECT
            s.day,
            s.model,
            s.part,
            ARRAY[
                sum(s.questions), sum(s.squared_error), sum(s.log_loss),
                sum(s.excess) FILTER (WHERE s.bin = 0), sum(s.excess) FILTER (WHERE s.bin = 1),
                sum(s.excess) FILTER (WHERE s.bin = 2), sum(s.excess) FILTER (WHERE s.bin = 3),
                sum(s.excess) FILTER (WHERE s.bin = 4), sum(s.excess) FILTER (WHERE s.bin = 5),
                sum(s.excess) FILTER (WHERE s.bin = 6), sum(s.excess) FILTER (WHERE s.bin = 7),
                sum(s.excess) FILTER (WHERE s.bin = 8), sum(s.excess) FILTER (WHERE s.bin = 9),
                sum(s.excess) FILTER (WHERE s.bin = 10), sum(s.excess) FILTER (WHERE s.bin = 11),
                sum(s.excess) FILTER (WHERE s.bin = 12), sum(s.excess) FILTER (WHERE s.bin = 13),
                sum(s.excess) FILTER (WHERE s.bin = 14), sum(s.excess) FILTER (WHERE s.bin = 15),
                sum(s.excess) FILTER (WHERE s.bin = 16), sum(s.excess) FILTER (WHERE s.bin = 17),
                sum(s.excess) FILTER (WHERE s.bin = 18), sum(s.excess) FILTER (WHERE s.bin = 19)
            ] AS sums
        FROM score AS s
        GROUP BY s.day, s.model, s.part
    ),
    day AS (
        -- Of all dimensions the same: a day without a question of a part is drawn as well.
        SELECT DISTINCT s.day
        FROM upc_data.backtest_score AS s
        WHERE s.symbol = _daily_scores.symbol
          AND s.backtest_id = _daily_scores.backtest_id
          AND s.dimension = 'all'
    ),
    row_of_day AS (
        SELECT
            d.day,
            array_agg(
                coalesce(t.sums[:width], array_fill(0::double precision, ARRAY[width]))
                ORDER BY p.place, m.place
            ) AS sums
        FROM day AS d
        CROSS JOIN unnest(parts) WITH ORDINALITY AS p(part, place)
        CROSS JOIN unnest(models) WITH ORDINALITY AS m(model, place)
        LEFT JOIN total AS t ON t.day = d.day AND t.part = p.part AND t.model = m.model
        GROUP BY d.day
    )
    SELECT array_agg(r.sums ORDER BY r.day)
    INTO v_daily
    FROM row_of_day AS r;
    RETURN v_daily;
END
$fn$;
COMMENT ON FUNCTION upc._daily_scores IS
    'sums of a dimension''s scores by day, part and model, as upc._resampled_sums takes them';


-- Scores of each resample of the days, for every model and part of a dimension.
--
-- has_bins: true for calibration errors, too, which take most of the time.
CREATE FUNCTION upc._backtest_resampled(
    symbol text,
    backtest_id bigint,
    dimension text,
    resamples integer,
    seed bigint,
    has_bins boolean
)
RETURNS TABLE (
    resample integer,
    model text,
    part smallint,
    brier double precision,
    log_loss double precision,
    calibration_error double precision
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET work_mem = '64MB'
SET max_parallel_workers_per_gather = 0
AS $fn$
DECLARE
    v_models text[];
    v_parts smallint[];
    v_daily double precision[];
BEGIN
    IF resamples = 0 THEN
        RETURN;
    END IF;
    SELECT b.models
    INTO v_models
    FROM upc_data.backtest AS b
    WHERE b.symbol = _backtest_resampled.symbol
      AND b.backtest_id = _backtest_resampled.backtest_id;
    SELECT array_agg(DISTINCT s.part ORDER BY s.part)
    INTO v_parts
    FROM upc_data.backtest_score AS s
    WHERE s.symbol = _backtest_resampled.symbol
      AND s.backtest_id = _backtest_resampled.backtest_id
      AND s.dimension = _backtest_resampled.dimension;

    v_daily := upc._daily_scores(
        symbol, backtest_id, dimension, v_models, v_parts, CASE WHEN has_bins THEN 23 ELSE 3 END
    );
    RETURN QUERY
    SELECT
        r.resample,
        v_models[1 + (r.block - 1) % cardinality(v_models)],
        v_parts[1 + (r.block - 1) / cardinality(v_models)],
        r.sums[2] / q.questions,
        r.sums[3] / q.questions,
        100 * (SELECT sum(abs(u.excess)) FROM unnest(r.sums[4:]) AS u(excess)) / q.questions
    FROM upc._resampled_sums(v_daily, resamples, seed) AS r
    -- No day with a question may have been drawn; of zero the digits are rounded.
    CROSS JOIN LATERAL (SELECT nullif(round(r.sums[1]), 0) AS questions) AS q;
END
$fn$;
COMMENT ON FUNCTION upc._backtest_resampled IS
    'scores of each resample of the days of a backtest, for every model and part of a dimension';

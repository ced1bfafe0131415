-- List of the backtests; deleting one.

CREATE VIEW upc.backtest_list AS
SELECT
    b.symbol,
    b.backtest_id,
    b.train_from,
    b.train_to,
    b.test_from,
    b.test_to,
    b.models,
    b.minutes,
    b.step,
    b.levels,
    b.settlement,
    b.close_minute,
    b.version,
    b.started_at,
    b.completed_at,
    s.days,
    s.questions,
    s.model AS best_model,
    s.log_loss AS best_log_loss,
    b.kind,
    b.prices,
    b.is_recalibrated
FROM upc_data.backtest AS b
LEFT JOIN LATERAL (
    SELECT
        c.model,
        count(DISTINCT c.day) AS days,
        sum(c.questions)::bigint AS questions,
        sum(c.log_loss) / sum(c.questions) AS log_loss
    FROM upc_data.backtest_score AS c
    WHERE c.symbol = b.symbol
      AND c.backtest_id = b.backtest_id
      AND c.model = ANY (b.models)
      AND c.dimension = 'all'
      AND b.completed_at IS NOT NULL
    GROUP BY c.model
    ORDER BY sum(c.log_loss) / sum(c.questions), array_position(b.models, c.model)
    LIMIT 1
) AS s ON true;
COMMENT ON VIEW upc.backtest_list IS 'backtests, and the model with the lowest log loss of each';
COMMENT ON COLUMN upc.backtest_list.symbol IS 'symbol';
COMMENT ON COLUMN upc.backtest_list.backtest_id IS 'ascending number';
COMMENT ON COLUMN upc.backtest_list.train_from IS 'the first opening time that is trained on';
COMMENT ON COLUMN upc.backtest_list.train_to IS
    'candles that opened at it or later are not trained on';
COMMENT ON COLUMN upc.backtest_list.test_from IS 'contracts that close before it are not tested';
COMMENT ON COLUMN upc.backtest_list.test_to IS
    'contracts that close at it or later are not tested';
COMMENT ON COLUMN upc.backtest_list.models IS 'models that were tested: model:method, or gaussian';
COMMENT ON COLUMN upc.backtest_list.minutes IS
    'times to the close at which was asked, minutes';
COMMENT ON COLUMN upc.backtest_list.step IS 'USD between two strikes';
COMMENT ON COLUMN upc.backtest_list.levels IS
    'strikes below and above the one nearest to the price';
COMMENT ON COLUMN upc.backtest_list.settlement IS
    'settlement: close, the last price; average, the mean of the last minute';
COMMENT ON COLUMN upc.backtest_list.close_minute IS
    'minute of the hour at which contracts close';
COMMENT ON COLUMN upc.backtest_list.version IS 'version of pyupc that computed it';
COMMENT ON COLUMN upc.backtest_list.started_at IS 'time of its beginning';
COMMENT ON COLUMN upc.backtest_list.completed_at IS
    'time of its last score; NULL while it is not complete';
COMMENT ON COLUMN upc.backtest_list.days IS 'UTC days with a question; NULL until it is complete';
COMMENT ON COLUMN upc.backtest_list.questions IS
    'questions that each model answered; NULL until it is complete';
COMMENT ON COLUMN upc.backtest_list.best_model IS
    'the model with the lowest log loss of all questions';
COMMENT ON COLUMN upc.backtest_list.best_log_loss IS 'its log loss';
COMMENT ON COLUMN upc.backtest_list.kind IS
    'kind of its contracts: above, range or updown; market: those that quotes were recorded of';
COMMENT ON COLUMN upc.backtest_list.prices IS
    'of kind market the prices that were asked about: recorded, basis or candles';
COMMENT ON COLUMN upc.backtest_list.is_recalibrated IS
    'true where the volatility model was corrected each week by its answers before';


-- Delete a backtest with its counts and scores, complete or not.
--
-- Errors: UP002 symbol, UP022 no such backtest.
--
-- Example:
--   SELECT delete_backtest('BTC', 1);
CREATE FUNCTION upc.delete_backtest(symbol text, backtest_id bigint)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    DELETE FROM upc_data.backtest AS b
    WHERE b.symbol = delete_backtest.symbol AND b.backtest_id = delete_backtest.backtest_id;
    IF NOT FOUND THEN
        PERFORM upc.require_backtest(symbol, backtest_id);
    END IF;
    -- Quotes that were stored for it alone: those of 0 are for all.
    DELETE FROM upc_data.market_observation AS o
    WHERE o.symbol = delete_backtest.symbol
      AND o.backtest_id = delete_backtest.backtest_id AND o.backtest_id > 0;
    DELETE FROM upc_data.observed_event AS e
    WHERE e.symbol = delete_backtest.symbol
      AND e.backtest_id = delete_backtest.backtest_id AND e.backtest_id > 0;
END
$fn$;
COMMENT ON FUNCTION upc.delete_backtest IS
    'deletes a backtest with its counts and scores';

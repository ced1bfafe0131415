"""A backtest whose computation is played: every question is known before it is asked.

The functions of the same names are replaced in the database of the test. What they are called with,
by which connection and when, is in `stub_call`; a row in `stub_order` makes them sleep or fail.
"""

from __future__ import annotations

from tests.support.backtesting import Questions, store
from tests.support.engine import Connection

STUB = """
CREATE TABLE public.stub_call (
    call text NOT NULL,
    symbol text NOT NULL,
    step integer,
    stage text,
    pid integer NOT NULL DEFAULT pg_backend_pid(),
    arguments jsonb,
    began_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz
);
CREATE TABLE public.stub_order (stage text NOT NULL, what text NOT NULL);
-- Goes on counting where a transaction is thrown out.
CREATE SEQUENCE public.stub_attempt;
CREATE TABLE public.stub_score AS SELECT * FROM upc_data.backtest_score;
CREATE TABLE public.stub_backtest AS SELECT * FROM upc_data.backtest;
DELETE FROM upc_data.backtest;
DROP FUNCTION upc.begin_backtest, upc.backtest_steps, upc.run_backtest_step;

CREATE FUNCTION upc.begin_backtest(
    symbol text, train_from timestamptz, train_to timestamptz, test_from timestamptz,
    test_to timestamptz, models text[], minutes integer[], step double precision,
    levels integer, settlement text, close_minute integer, version text, kind text,
    recalibrate boolean
)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_id bigint;
BEGIN
    INSERT INTO public.stub_call (call, symbol, arguments)
    VALUES ('begin', begin_backtest.symbol, jsonb_build_object(
        'train_from', train_from, 'train_to', train_to, 'test_from', test_from,
        'test_to', test_to, 'models', models, 'minutes', minutes, 'step', step,
        'levels', levels, 'settlement', settlement, 'close_minute', close_minute,
        'version', version, 'kind', kind, 'recalibrate', recalibrate
    ));
    IF EXISTS (SELECT FROM public.stub_order AS o WHERE o.stage = 'begin ' || symbol) THEN
        RAISE EXCEPTION 'there is nothing to train on'
            USING ERRCODE = 'UP039', DETAIL = 'It was asked to.', HINT = 'Load candles.';
    END IF;
    INSERT INTO upc_data.backtest AS b (
        symbol, train_from, train_to, test_from, test_to, models, minutes, step, levels,
        settlement, close_minute, version, started_at
    )
    SELECT
        begin_backtest.symbol, s.train_from, s.train_to, s.test_from, s.test_to, s.models,
        s.minutes, s.step, s.levels, begin_backtest.settlement, begin_backtest.close_minute,
        begin_backtest.version, clock_timestamp()
    FROM public.stub_backtest AS s
    RETURNING b.backtest_id INTO v_id;
    RETURN v_id;
END
$fn$;

CREATE FUNCTION upc.backtest_steps(symbol text, backtest_id bigint)
RETURNS TABLE (step integer, stage text, days integer)
LANGUAGE sql STABLE
BEGIN ATOMIC
    VALUES
        (1, 'fit', 5), (2, 'train', 10), (3, 'train', 10), (4, 'train', 10),
        (5, 'test', 2), (6, 'test', 2), (7, 'test', 2), (8, 'complete', 0);
END;

CREATE FUNCTION upc.run_backtest_step(symbol text, backtest_id bigint, step integer)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_stage text := (
        SELECT s.stage
        FROM upc.backtest_steps(symbol, backtest_id) AS s
        WHERE s.step = run_backtest_step.step
    );
    v_began_at timestamptz := clock_timestamp();
    v_order text := (
        SELECT o.what FROM public.stub_order AS o WHERE o.stage = v_stage LIMIT 1
    );
BEGIN
    IF v_order = 'fail' THEN
        RAISE EXCEPTION 'the disk is full' USING ERRCODE = '53100';
    ELSIF v_order = 'deadlock' AND nextval('public.stub_attempt') % 2 = 1 THEN
        RAISE EXCEPTION 'deadlock detected' USING ERRCODE = '40P01';
    ELSIF v_order = 'sleep' THEN
        PERFORM pg_sleep(60);
    ELSIF v_stage IN ('train', 'test') THEN
        PERFORM pg_sleep(0.3);
    END IF;
    IF v_stage = 'test' THEN
        INSERT INTO upc_data.backtest_score
        SELECT
            run_backtest_step.symbol, run_backtest_step.backtest_id, s.model, s.dimension,
            s.part, s.day, s.bin, s.questions, s.outcomes, s.probability,
            s.squared_probability, s.squared_error, s.log_loss
        FROM public.stub_score AS s
        WHERE extract(day FROM s.day)::integer % 3 = step - 5;
    ELSIF v_stage = 'complete' THEN
        UPDATE upc_data.backtest AS b
        SET completed_at = clock_timestamp()
        WHERE b.symbol = run_backtest_step.symbol
          AND b.backtest_id = run_backtest_step.backtest_id;
    END IF;
    INSERT INTO public.stub_call (call, symbol, step, stage, began_at, ended_at)
    VALUES (
        'step', run_backtest_step.symbol, run_backtest_step.step, v_stage, v_began_at,
        clock_timestamp()
    );
END
$fn$;
"""


def install(conn: Connection, asked: Questions) -> None:
    """Let every further backtest of the database find these questions."""
    store(conn, asked)
    conn.execute(STUB.encode())


def order(conn: Connection, stage: str, what: str) -> None:
    """Steps of the stage `fail`, `sleep`, or `deadlock` every other time; `begin BTC` fails."""
    conn.execute("INSERT INTO public.stub_order VALUES (%s, %s)", (stage, what))

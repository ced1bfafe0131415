-- The past of the simulated market, with what was bought in it on paper.

-- Live through a span of the simulated market that is over: at each step the books are read, a trade is opened
-- where the hour has none, a tick is logged, and what it suggests is bought on paper, so that there are events, trades
-- and probabilities to judge.
--
-- symbol: as in upc_data.symbol. since, until: instants from the one up to and including the other. seed: that of
-- the simulated prices. every: the step, above 0.
-- Returns how many ticks were logged.
-- Errors: UP002 symbol; UP009 another process ticks; UP033 in a database that is not the demo's.
--
-- Example:
--   SELECT CASE WHEN current_database() = 'pyupc_demo'
--       THEN simulate_span('BTC', now() - interval '1 hour', now()) END;
CREATE FUNCTION upc.simulate_span(
    symbol text,
    since timestamptz,
    until timestamptz,
    seed integer DEFAULT 1,
    every interval DEFAULT '5 minutes'
)
RETURNS integer
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_at timestamptz;
    v_count integer := 0;
BEGIN
    FOR v_at IN SELECT generate_series(since, until, every) LOOP
        PERFORM upc.simulate_market(symbol, v_at, seed);
        PERFORM upc.simulate_trade(symbol, v_at);
        PERFORM FROM upc.tick(
            symbol, 'simulated', v_at, seed => simulate_span.seed, method => NULL, model => NULL,
            settlement => NULL, every => simulate_span.every
        );
        PERFORM FROM upc.buy_paper(symbol, v_at);
        PERFORM FROM upc.settle_paper(symbol, v_at);
        v_count := v_count + 1;
    END LOOP;
    RETURN v_count;
END
$fn$;
COMMENT ON FUNCTION upc.simulate_span IS
    'lives through a span of the simulated market, with a tick logged at each step, in the demo''s database alone';

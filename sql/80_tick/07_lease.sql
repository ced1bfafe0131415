-- The lease: the right to tick a symbol.

-- length: how long a standby that does not trust the server's clock waits for the next renewal; NULL
-- for an interval and a little.
CREATE FUNCTION upc._renew_lease(
    symbol text,
    holder text,
    lease interval,
    feed text DEFAULT NULL,
    every interval DEFAULT NULL,
    length interval DEFAULT NULL
)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_held upc_data.tick_lease;
BEGIN
    INSERT INTO upc_data.tick_lease AS l (symbol, holder, taken_at, expires_at, lease, feed, every)
    VALUES (
        _renew_lease.symbol, _renew_lease.holder, v_now, v_now + _renew_lease.lease,
        _renew_lease.length, _renew_lease.feed, _renew_lease.every
    )
    ON CONFLICT ON CONSTRAINT tick_lease_symbol_pkey
        DO UPDATE SET
            holder = excluded.holder,
            taken_at = CASE
                WHEN l.holder = excluded.holder THEN l.taken_at ELSE excluded.taken_at
            END,
            expires_at = excluded.expires_at,
            lease = excluded.lease,
            feed = excluded.feed,
            every = excluded.every,
            problem = CASE WHEN l.holder = excluded.holder THEN l.problem END
        WHERE l.holder = excluded.holder OR l.expires_at <= v_now;
    IF FOUND THEN
        RETURN;
    END IF;

    SELECT l.* INTO v_held FROM upc_data.tick_lease AS l WHERE l.symbol = _renew_lease.symbol;
    RAISE EXCEPTION '% is ticked by %', symbol, v_held.holder
        USING
            ERRCODE = 'UP009',
            DETAIL = format('It has been ticking since %s.', upc._iso_utc(v_held.taken_at)),
            HINT = 'Stop it first; the right to tick ends a few seconds after its last tick.';
END
$fn$;
COMMENT ON FUNCTION upc._renew_lease IS
    'takes or renews the right to tick a symbol; raises UP009 while another holder has it';


-- Right of a tick to go on: taken or renewed for its holder; without one it only makes sure that no
-- other has it.
CREATE FUNCTION upc._hold_lease(
    symbol text,
    holder text,
    lease interval,
    feed text,
    every interval
)
RETURNS void
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    IF holder IS NOT NULL THEN
        PERFORM upc._renew_lease(symbol, holder, lease, feed, every, lease);
    ELSIF EXISTS (
        SELECT FROM upc_data.tick_lease AS l
        WHERE l.symbol = _hold_lease.symbol AND l.expires_at > clock_timestamp()
    ) THEN
        PERFORM upc._renew_lease(
            symbol, format('session %s', pg_backend_pid()), lease, feed, every
        );
    END IF;
END
$fn$;
COMMENT ON FUNCTION upc._hold_lease IS
    'takes or renews the right to tick a symbol for a holder; raises UP009 while another holder has it';


-- Give the right to tick a symbol back.
--
-- symbol: its symbol. holder: as in tick; the right of another holder stays.
-- Returns nothing.
-- Errors: none.
--
-- Example:
--   SELECT tick('BTC', 'simulated', holder => 'example');
--   SELECT release_lease('BTC', 'example');
CREATE FUNCTION upc.release_lease(symbol text, holder text)
RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    DELETE FROM upc_data.tick_lease AS l
    WHERE l.symbol = release_lease.symbol AND l.holder = release_lease.holder;
END;
COMMENT ON FUNCTION upc.release_lease IS
    'gives the right to tick a symbol back, if the holder has it';


-- End a lease that has not been renewed since it was looked at. It is for a process that has seen it
-- unchanged for its whole length, whatever the server's clock shows.
--
-- symbol, holder, expires_at: of the lease as it was seen.
-- Returns true where it has ended, false where it was renewed or is gone.
-- Errors: none.
--
-- Example:
--   SELECT NOT break_lease('BTC', 'example', '2026-01-01 00:00+00') AS is_gone;
CREATE FUNCTION upc.break_lease(symbol text, holder text, expires_at timestamptz)
RETURNS boolean
LANGUAGE plpgsql VOLATILE
AS $fn$
BEGIN
    DELETE FROM upc_data.tick_lease AS l
    WHERE l.symbol = break_lease.symbol
      AND l.holder = break_lease.holder
      AND l.expires_at = break_lease.expires_at;
    RETURN FOUND;
END
$fn$;
COMMENT ON FUNCTION upc.break_lease IS
    'ends a lease that has not been renewed since it was looked at; returns true where it did';


-- Report what fails beside the database, so that the status shows it.
--
-- symbol, holder: of the lease; another holder's problem stays. problem: one line; NULL where nothing
-- fails any more.
-- Returns nothing.
-- Errors: none.
--
-- Example:
--   SELECT tick('BTC', 'simulated', holder => 'example');
--   SELECT report_problem('BTC', 'example', 'the disk is full');
CREATE FUNCTION upc.report_problem(symbol text, holder text, problem text)
RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    UPDATE upc_data.tick_lease AS l
    SET problem = report_problem.problem
    WHERE l.symbol = report_problem.symbol
      AND l.holder = report_problem.holder
      AND l.problem IS DISTINCT FROM report_problem.problem;
END;
COMMENT ON FUNCTION upc.report_problem IS
    'keeps what fails beside the database, as the holder of the lease reports it; NULL where nothing does';

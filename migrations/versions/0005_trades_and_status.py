"""Tables of supervised trades, announcements and the status."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TRADE = """
CREATE TABLE upc_data.trade (
    symbol text COLLATE "C" NOT NULL,
    trade_id bigint GENERATED ALWAYS AS IDENTITY,
    event_ticker text COLLATE "C" NOT NULL,
    ticker text COLLATE "C" NOT NULL,
    side text NOT NULL,
    strike numeric NOT NULL,
    closes_at timestamptz NOT NULL,
    buy_price numeric NOT NULL,
    position numeric NOT NULL,
    buy_fee numeric NOT NULL,
    opened_at timestamptz NOT NULL,
    status text NOT NULL DEFAULT 'open',
    below_since timestamptz,
    stopped_at timestamptz,
    stop_reason text,
    stop_numbers json,
    ended_at timestamptz,
    end_price numeric,
    end_fee numeric,
    result text,
    CONSTRAINT trade_symbol_trade_id_pkey PRIMARY KEY (symbol, trade_id),
    CONSTRAINT trade_side_check CHECK (side IN ('yes', 'no')),
    CONSTRAINT trade_buy_price_check CHECK (buy_price > 0 AND buy_price < 1),
    CONSTRAINT trade_position_check CHECK (position > 0 AND position < 'Infinity'),
    CONSTRAINT trade_end_price_check CHECK (end_price >= 0 AND end_price <= 1),
    CONSTRAINT trade_status_check CHECK (status IN ('open', 'stopped', 'closed', 'settled')),
    CONSTRAINT trade_stop_reason_check CHECK (stop_reason IN ('probability', 'momentum')),
    CONSTRAINT trade_stopped_at_check CHECK (
        (stopped_at IS NULL) = (stop_reason IS NULL)
        AND (stopped_at IS NULL) = (stop_numbers IS NULL)
        AND (status <> 'stopped' OR stopped_at IS NOT NULL)
        AND (status <> 'open' OR stopped_at IS NULL)
    ),
    CONSTRAINT trade_ended_at_check CHECK (
        (ended_at IS NOT NULL) = (status IN ('closed', 'settled'))
        AND (ended_at IS NULL) = (end_price IS NULL)
        AND (ended_at IS NULL) = (end_fee IS NULL)
        AND (result IS NULL) = (status <> 'settled')
        AND (result IS NULL OR result IN ('yes', 'no'))
    )
);
COMMENT ON TABLE upc_data.trade IS 'trades that are watched over; pyupc places no orders';
COMMENT ON COLUMN upc_data.trade.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.trade.trade_id IS 'ascending number, unique over all symbols';
COMMENT ON COLUMN upc_data.trade.event_ticker IS 'event of the market';
COMMENT ON COLUMN upc_data.trade.ticker IS 'market, e.g. KXBTCD-25JUL2615-T117999.99';
COMMENT ON COLUMN upc_data.trade.side IS 'what was bought: yes or no';
COMMENT ON COLUMN upc_data.trade.strike IS
    'yes pays if the price ends at or above it, USD; as the market said when the trade was opened';
COMMENT ON COLUMN upc_data.trade.closes_at IS
    'when trading ends; as the event said when the trade was opened';
COMMENT ON COLUMN upc_data.trade.buy_price IS 'USD per contract';
COMMENT ON COLUMN upc_data.trade.position IS 'contracts';
COMMENT ON COLUMN upc_data.trade.buy_fee IS 'taker fee of the whole purchase, USD';
COMMENT ON COLUMN upc_data.trade.opened_at IS 'when it was bought';
COMMENT ON COLUMN upc_data.trade.status IS
    'open; stopped: a stop has fired and it is still held; closed: sold; settled: by the result';
COMMENT ON COLUMN upc_data.trade.below_since IS
    'since when its probability has been below the stop''s without a break; NULL where it is not';
COMMENT ON COLUMN upc_data.trade.stopped_at IS 'when a stop fired';
COMMENT ON COLUMN upc_data.trade.stop_reason IS 'which stop fired: probability or momentum';
COMMENT ON COLUMN upc_data.trade.stop_numbers IS 'what the stop saw, and its limits';
COMMENT ON COLUMN upc_data.trade.ended_at IS 'when it was sold or settled';
COMMENT ON COLUMN upc_data.trade.end_price IS 'what a contract brought, USD';
COMMENT ON COLUMN upc_data.trade.end_fee IS
    'taker fee of the whole sale, USD; a settlement has none';
COMMENT ON COLUMN upc_data.trade.result IS 'yes or no, of the market; NULL unless settled';
COMMENT ON CONSTRAINT trade_symbol_trade_id_pkey ON upc_data.trade IS 'a trade by its number';
COMMENT ON CONSTRAINT trade_position_check ON upc_data.trade IS
    'NaN sorts above infinity, so that it is refused too';
CREATE INDEX trade_symbol_active_idx ON upc_data.trade (symbol) WHERE ended_at IS NULL;
COMMENT ON INDEX upc_data.trade_symbol_active_idx IS 'the trades that a tick watches over';
"""

ANNOUNCEMENT = """
CREATE TABLE upc_data.announcement (
    symbol text COLLATE "C" NOT NULL,
    announcement_id bigint GENERATED ALWAYS AS IDENTITY,
    announced_at timestamptz NOT NULL,
    kind text NOT NULL,
    subject text NOT NULL,
    message text NOT NULL,
    document json NOT NULL,
    CONSTRAINT announcement_symbol_announcement_id_pkey PRIMARY KEY (symbol, announcement_id),
    CONSTRAINT announcement_kind_check
        CHECK (kind IN ('stop', 'settled', 'stale', 'halted', 'recovered')),
    CONSTRAINT announcement_subject_check CHECK (subject IN ('trade', 'price', 'quotes', 'tick'))
);
COMMENT ON TABLE upc_data.announcement IS
    'the outbox: what people are to be told, in the transaction in which it became true';
COMMENT ON COLUMN upc_data.announcement.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.announcement.announcement_id IS
    'ascending number, also in the notification upc_announcement';
COMMENT ON COLUMN upc_data.announcement.announced_at IS 'when it became true';
COMMENT ON COLUMN upc_data.announcement.kind IS
    'stop or settled, of a trade; stale, halted or recovered, of what a tick depends on';
COMMENT ON COLUMN upc_data.announcement.subject IS 'trade, price, quotes or tick';
COMMENT ON COLUMN upc_data.announcement.message IS 'one line for people';
COMMENT ON COLUMN upc_data.announcement.document IS 'the numbers behind it';
COMMENT ON CONSTRAINT announcement_symbol_announcement_id_pkey ON upc_data.announcement IS
    'what comes after a subscriber''s cursor';
CREATE INDEX announcement_symbol_announced_at_idx
    ON upc_data.announcement (symbol, announced_at);
COMMENT ON INDEX upc_data.announcement_symbol_announced_at_idx IS 'what is old enough to delete';
"""

ANNOUNCEMENT_CURSOR = """
CREATE TABLE upc_data.announcement_cursor (
    symbol text COLLATE "C" NOT NULL,
    subscriber text COLLATE "C" NOT NULL,
    announcement_id bigint NOT NULL,
    moved_at timestamptz NOT NULL,
    CONSTRAINT announcement_cursor_symbol_subscriber_pkey PRIMARY KEY (symbol, subscriber)
) WITH (fillfactor = 50);
COMMENT ON TABLE upc_data.announcement_cursor IS
    'how far each subscriber has passed the announcements on';
COMMENT ON COLUMN upc_data.announcement_cursor.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.announcement_cursor.subscriber IS 'who passes them on';
COMMENT ON COLUMN upc_data.announcement_cursor.announcement_id IS
    'the last one that has arrived, or was there before the subscriber';
COMMENT ON COLUMN upc_data.announcement_cursor.moved_at IS 'when it arrived';
"""

CONDITION = """
CREATE TABLE upc_data.condition (
    symbol text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    state text NOT NULL,
    since_at timestamptz NOT NULL,
    CONSTRAINT condition_symbol_subject_pkey PRIMARY KEY (symbol, subject),
    CONSTRAINT condition_subject_check CHECK (subject IN ('price', 'quotes', 'tick')),
    CONSTRAINT condition_state_check CHECK (state IN ('stale', 'halted'))
) WITH (fillfactor = 50);
COMMENT ON TABLE upc_data.condition IS
    'what a tick depends on and was announced to fail, so that it is said once';
COMMENT ON COLUMN upc_data.condition.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.condition.subject IS 'price, quotes or tick';
COMMENT ON COLUMN upc_data.condition.state IS 'stale or halted';
COMMENT ON COLUMN upc_data.condition.since_at IS 'since when';
"""

TICK_COUNT = """
CREATE TABLE upc_data.tick_count (
    symbol text COLLATE "C" NOT NULL,
    done bigint NOT NULL,
    missed bigint NOT NULL,
    answered bigint NOT NULL,
    every interval NOT NULL,
    last_at timestamptz NOT NULL,
    previous_at timestamptz,
    CONSTRAINT tick_count_symbol_pkey PRIMARY KEY (symbol),
    CONSTRAINT tick_count_every_check CHECK (every > interval '0')
) WITH (fillfactor = 50);
COMMENT ON TABLE upc_data.tick_count IS
    'ticks of live feeds since the beginning, counted by each tick in its own transaction';
COMMENT ON COLUMN upc_data.tick_count.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.tick_count.done IS 'ticks';
COMMENT ON COLUMN upc_data.tick_count.missed IS
    'ticks that were due between two others and did not come';
COMMENT ON COLUMN upc_data.tick_count.answered IS 'ticks that had probabilities';
COMMENT ON COLUMN upc_data.tick_count.every IS 'how far apart ticks are due';
COMMENT ON COLUMN upc_data.tick_count.last_at IS 'the last tick';
COMMENT ON COLUMN upc_data.tick_count.previous_at IS 'the tick before it; NULL for the first';
"""

TICK = """
ALTER TABLE upc_data.tick
    ADD COLUMN done_count bigint,
    ADD COLUMN missed_count bigint,
    ADD COLUMN answered_count bigint;
COMMENT ON COLUMN upc_data.tick.done_count IS
    'upc_data.tick_count.done after the tick; NULL for replayed and simulated prices';
COMMENT ON COLUMN upc_data.tick.missed_count IS
    'upc_data.tick_count.missed after the tick; NULL for replayed and simulated prices';
COMMENT ON COLUMN upc_data.tick.answered_count IS
    'upc_data.tick_count.answered after the tick; NULL for replayed and simulated prices';
CREATE INDEX tick_symbol_ticked_at_live_idx ON upc_data.tick (symbol, ticked_at)
    WHERE done_count IS NOT NULL;
COMMENT ON INDEX upc_data.tick_symbol_ticked_at_live_idx IS
    'the counts at either end of a window, for the availability, among ticks that have none';
"""

TICK_LEASE = """
ALTER TABLE upc_data.tick_lease
    ADD COLUMN feed text,
    ADD COLUMN every interval,
    ADD COLUMN problem text;
COMMENT ON COLUMN upc_data.tick_lease.feed IS 'where the holder takes prices from';
COMMENT ON COLUMN upc_data.tick_lease.every IS 'how far apart the holder''s ticks are due';
COMMENT ON COLUMN upc_data.tick_lease.problem IS
    'what fails beside the database, in the holder''s words; NULL where nothing does';
"""

DOCUMENT = """
ALTER TABLE upc_data.document ADD COLUMN active_trades json;
ALTER TABLE upc_data.document ALTER COLUMN active_trades SET STORAGE EXTERNAL;
COMMENT ON COLUMN upc_data.document.active_trades IS 'content of <symbol>_active_trades.json';
"""

WRITE_PROBE = """
CREATE TABLE upc_data.write_probe (
    is_only boolean NOT NULL DEFAULT true,
    written_at timestamptz NOT NULL,
    filler bytea NOT NULL,
    CONSTRAINT write_probe_is_only_pkey PRIMARY KEY (is_only),
    CONSTRAINT write_probe_is_only_check CHECK (is_only)
);
ALTER TABLE upc_data.write_probe ALTER COLUMN filler SET STORAGE EXTERNAL;
COMMENT ON TABLE upc_data.write_probe IS
    'written by whoever asks after the health of the server, to see that it can be';
COMMENT ON COLUMN upc_data.write_probe.is_only IS 'there is one row';
COMMENT ON COLUMN upc_data.write_probe.written_at IS 'when it was written last';
COMMENT ON COLUMN upc_data.write_probe.filler IS 'some pages that mean nothing';
"""

MARKET_EVENT = """
ALTER TABLE upc_data.market_event
    ADD COLUMN status text,
    ADD COLUMN strike_step double precision;
COMMENT ON COLUMN upc_data.market_event.status IS 'the status that most of its markets have';
COMMENT ON COLUMN upc_data.market_event.strike_step IS
    'the distance between most neighbouring strikes, USD';
UPDATE upc_data.market_event AS e
SET status = m.status, strike_step = m.step
FROM (
    SELECT
        g.symbol,
        g.event_ticker,
        mode() WITHIN GROUP (ORDER BY g.status) AS status,
        mode() WITHIN GROUP (ORDER BY g.gap) AS step
    FROM (
        SELECT
            q.symbol, q.event_ticker, q.status,
            (q.strike - lag(q.strike) OVER (PARTITION BY q.symbol, q.event_ticker ORDER BY q.strike)
            )::double precision AS gap
        FROM upc_data.market_quote AS q
    ) AS g
    GROUP BY g.symbol, g.event_ticker
) AS m
WHERE m.symbol = e.symbol AND m.event_ticker = e.event_ticker;
"""


def upgrade() -> None:
    for statements in (
        TRADE,
        ANNOUNCEMENT,
        ANNOUNCEMENT_CURSOR,
        CONDITION,
        TICK_COUNT,
        TICK,
        TICK_LEASE,
        DOCUMENT,
        WRITE_PROBE,
        MARKET_EVENT,
    ):
        run_sql(statements)


def downgrade() -> None:
    run_sql("""
    ALTER TABLE upc_data.market_event DROP COLUMN strike_step, DROP COLUMN status;
    DROP TABLE upc_data.write_probe;
    ALTER TABLE upc_data.document DROP COLUMN active_trades;
    ALTER TABLE upc_data.tick_lease
        DROP COLUMN problem, DROP COLUMN every, DROP COLUMN feed;
    DROP INDEX upc_data.tick_symbol_ticked_at_live_idx;
    ALTER TABLE upc_data.tick
        DROP COLUMN answered_count, DROP COLUMN missed_count, DROP COLUMN done_count;
    DROP TABLE upc_data.tick_count;
    DROP TABLE upc_data.condition;
    DROP TABLE upc_data.announcement_cursor;
    DROP TABLE upc_data.announcement;
    DROP TABLE upc_data.trade;
    """)

"""Paper trades: what the suggestions would have earned, in a ledger of their own."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(
        """
        CREATE TABLE upc_data.paper_trade (
            symbol text COLLATE "C" NOT NULL,
            event_ticker text NOT NULL,
            side text NOT NULL,
            series text NOT NULL,
            kind text NOT NULL,
            ticker text NOT NULL,
            contract text NOT NULL,
            closes_at timestamptz NOT NULL,
            bought_at timestamptz NOT NULL,
            probability numeric NOT NULL,
            prob_low numeric NOT NULL,
            prob_high numeric NOT NULL,
            ask numeric NOT NULL,
            count numeric NOT NULL,
            fee numeric NOT NULL,
            edge numeric NOT NULL,
            edge_low numeric NOT NULL,
            result text,
            payout numeric,
            is_final boolean,
            settled_at timestamptz,
            CONSTRAINT paper_trade_pkey PRIMARY KEY (symbol, event_ticker, side),
            CONSTRAINT paper_trade_side_check CHECK (side IN ('yes', 'no')),
            CONSTRAINT paper_trade_count_check CHECK (count > 0),
            CONSTRAINT paper_trade_settled_check CHECK (
                num_nulls(result, payout, is_final, settled_at) IN (0, 4)
            )
        );
        CREATE INDEX paper_trade_open_idx ON upc_data.paper_trade (symbol, closes_at)
        WHERE is_final IS NOT TRUE;
        COMMENT ON TABLE upc_data.paper_trade IS
            'contracts that were suggested and bought on paper alone: one per event and side';
        COMMENT ON INDEX upc_data.paper_trade_open_idx IS
            'finds what has no final result yet';
        COMMENT ON COLUMN upc_data.paper_trade.symbol IS 'symbol';
        COMMENT ON COLUMN upc_data.paper_trade.event_ticker IS 'the event';
        COMMENT ON COLUMN upc_data.paper_trade.side IS 'yes or no';
        COMMENT ON COLUMN upc_data.paper_trade.series IS 'its series';
        COMMENT ON COLUMN upc_data.paper_trade.kind IS 'above, range or updown';
        COMMENT ON COLUMN upc_data.paper_trade.ticker IS 'the market';
        COMMENT ON COLUMN upc_data.paper_trade.contract IS 'when yes pays, in words';
        COMMENT ON COLUMN upc_data.paper_trade.closes_at IS 'when the event closes';
        COMMENT ON COLUMN upc_data.paper_trade.bought_at IS 'when it was bought';
        COMMENT ON COLUMN upc_data.paper_trade.probability IS
            'that the side pays, percent, when it was bought';
        COMMENT ON COLUMN upc_data.paper_trade.prob_low IS 'lower end of its 95 % interval';
        COMMENT ON COLUMN upc_data.paper_trade.prob_high IS 'its upper end';
        COMMENT ON COLUMN upc_data.paper_trade.ask IS 'paid for a contract, USD';
        COMMENT ON COLUMN upc_data.paper_trade.count IS 'contracts';
        COMMENT ON COLUMN upc_data.paper_trade.fee IS 'taker fee of all of them, USD';
        COMMENT ON COLUMN upc_data.paper_trade.edge IS
            'cents per contract that were expected, after the fee';
        COMMENT ON COLUMN upc_data.paper_trade.edge_low IS 'the same by prob_low';
        COMMENT ON COLUMN upc_data.paper_trade.result IS
            'of the market: yes, no, scalar or void; NULL until it is known';
        COMMENT ON COLUMN upc_data.paper_trade.payout IS 'paid for a contract of the side, USD';
        COMMENT ON COLUMN upc_data.paper_trade.is_final IS
            'false as long as the result can be amended';
        COMMENT ON COLUMN upc_data.paper_trade.settled_at IS 'when its first result was seen';
        """
    )


def downgrade() -> None:
    run_sql("DROP TABLE upc_data.paper_trade")

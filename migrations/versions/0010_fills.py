"""Fills of a trade: purchases and sales, each with its fee."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TRADE = """
ALTER TABLE upc_data.trade
    ADD COLUMN sold_count numeric NOT NULL DEFAULT 0,
    ADD COLUMN realised_pnl numeric NOT NULL DEFAULT 0,
    ADD COLUMN realised_fee numeric NOT NULL DEFAULT 0,
    ADD CONSTRAINT trade_sold_count_check
        CHECK (sold_count >= 0 AND sold_count < 'Infinity');
COMMENT ON COLUMN upc_data.trade.position IS
    'contracts that are held, or that were held until the end; sold_count more were bought';
COMMENT ON COLUMN upc_data.trade.buy_fee IS 'fee of the whole purchase, USD';
COMMENT ON COLUMN upc_data.trade.end_fee IS
    'fee of the sale that ended it, USD; a settlement has none';
COMMENT ON COLUMN upc_data.trade.end_price IS
    'what a contract brought in the end, USD; earlier sales are fills';
COMMENT ON COLUMN upc_data.trade.sold_count IS 'contracts that were sold before the end';
COMMENT ON COLUMN upc_data.trade.realised_pnl IS
    'what these brought less what they had cost, before fees, USD';
COMMENT ON COLUMN upc_data.trade.realised_fee IS 'fees of these sales, USD';
COMMENT ON CONSTRAINT trade_sold_count_check ON upc_data.trade IS
    'NaN sorts above infinity, so that it is refused too';
"""

FILL = """
CREATE TABLE upc_data.fill (
    symbol text COLLATE "C" NOT NULL,
    trade_id bigint NOT NULL,
    fill integer NOT NULL,
    kind text NOT NULL,
    price numeric NOT NULL,
    count numeric NOT NULL,
    is_maker boolean NOT NULL DEFAULT false,
    fee numeric NOT NULL,
    is_fee_charged boolean NOT NULL DEFAULT false,
    filled_at timestamptz NOT NULL,
    CONSTRAINT fill_symbol_trade_id_fill_pkey PRIMARY KEY (symbol, trade_id, fill),
    CONSTRAINT fill_symbol_trade_id_fkey FOREIGN KEY (symbol, trade_id)
        REFERENCES upc_data.trade (symbol, trade_id) ON DELETE CASCADE,
    CONSTRAINT fill_fill_check CHECK (fill > 0 AND (fill = 1) = (kind = 'buy')),
    CONSTRAINT fill_kind_check CHECK (kind IN ('buy', 'sale', 'settlement')),
    CONSTRAINT fill_price_check CHECK (price >= 0 AND price <= 1),
    CONSTRAINT fill_count_check CHECK (count > 0 AND count < 'Infinity'),
    CONSTRAINT fill_fee_check CHECK (fee >= 0 AND fee < 'Infinity')
);
COMMENT ON TABLE upc_data.fill IS
    'ledger: what was bought and sold of a trade, and what was settled';
COMMENT ON COLUMN upc_data.fill.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.fill.trade_id IS 'trade';
COMMENT ON COLUMN upc_data.fill.fill IS 'ascending number within the trade; 1 is the purchase';
COMMENT ON COLUMN upc_data.fill.kind IS 'buy, sale or settlement';
COMMENT ON COLUMN upc_data.fill.price IS 'USD per contract';
COMMENT ON COLUMN upc_data.fill.count IS 'contracts';
COMMENT ON COLUMN upc_data.fill.is_maker IS 'the order rested in the book';
COMMENT ON COLUMN upc_data.fill.fee IS
    'USD, of all contracts of the fill; a settlement has none';
COMMENT ON COLUMN upc_data.fill.is_fee_charged IS
    'the fee is what was charged, as it was passed; else it was computed';
COMMENT ON COLUMN upc_data.fill.filled_at IS 'when it was filled';
COMMENT ON CONSTRAINT fill_symbol_trade_id_fill_pkey ON upc_data.fill IS
    'the fills of a trade, in their order';
COMMENT ON CONSTRAINT fill_symbol_trade_id_fkey ON upc_data.fill IS
    'within a symbol, so that both tables are distributed by it';
COMMENT ON CONSTRAINT fill_fill_check ON upc_data.fill IS 'a trade begins with its purchase';
COMMENT ON CONSTRAINT fill_count_check ON upc_data.fill IS
    'NaN sorts above infinity, so that it is refused too';

INSERT INTO upc_data.fill (symbol, trade_id, fill, kind, price, count, fee, filled_at)
SELECT t.symbol, t.trade_id, 1, 'buy', t.buy_price, t.position, t.buy_fee, t.opened_at
FROM upc_data.trade AS t
UNION ALL
SELECT
    t.symbol, t.trade_id, 2,
    CASE t.status WHEN 'settled' THEN 'settlement' ELSE 'sale' END,
    t.end_price, t.position, t.end_fee, t.ended_at
FROM upc_data.trade AS t
WHERE t.ended_at IS NOT NULL;
"""

# Without fills a sale of a part is a trade of its own, so that nothing is missing from the sums;
# the fee of the purchase stays with the trade that it was charged for.
PARTS = """
INSERT INTO upc_data.trade (
    symbol, event_ticker, ticker, side, strike, closes_at, buy_price, position, buy_fee, opened_at,
    status, ended_at, end_price, end_fee
)
SELECT
    t.symbol, t.event_ticker, t.ticker, t.side, t.strike, t.closes_at, t.buy_price, f.count, 0,
    t.opened_at, 'closed', f.filled_at, f.price, f.fee
FROM upc_data.trade AS t
JOIN upc_data.fill AS f ON f.symbol = t.symbol AND f.trade_id = t.trade_id
WHERE t.sold_count > 0
  AND f.kind = 'sale'
  AND NOT (
      t.status = 'closed'
      AND f.fill = (
          SELECT max(g.fill)
          FROM upc_data.fill AS g
          WHERE g.symbol = f.symbol AND g.trade_id = f.trade_id
      )
  )
ORDER BY t.trade_id, f.fill;
"""


def upgrade() -> None:
    run_sql(TRADE)
    run_sql(FILL)


def downgrade() -> None:
    run_sql(PARTS)
    run_sql("""
    DROP TABLE upc_data.fill;
    ALTER TABLE upc_data.trade
        DROP COLUMN realised_fee, DROP COLUMN realised_pnl, DROP COLUMN sold_count;
    COMMENT ON COLUMN upc_data.trade.position IS 'contracts';
    COMMENT ON COLUMN upc_data.trade.buy_fee IS 'taker fee of the whole purchase, USD';
    COMMENT ON COLUMN upc_data.trade.end_price IS 'what a contract brought, USD';
    COMMENT ON COLUMN upc_data.trade.end_fee IS
        'taker fee of the whole sale, USD; a settlement has none';
    """)

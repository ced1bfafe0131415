"""Series of every kind, and contracts with two bounds."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

SERIES = """
CREATE TABLE upc_data.series (
    symbol text COLLATE "C" NOT NULL,
    series text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    fee_type text NOT NULL,
    fee_multiplier numeric NOT NULL,
    settlement text COLLATE "C",
    digits smallint NOT NULL,
    is_followed boolean NOT NULL,
    CONSTRAINT series_symbol_series_pkey PRIMARY KEY (symbol, series),
    CONSTRAINT series_symbol_fkey FOREIGN KEY (symbol)
        REFERENCES upc_data.symbol (symbol) ON DELETE CASCADE,
    CONSTRAINT series_series_check CHECK (series <> ''),
    CONSTRAINT series_kind_check CHECK (kind IN ('above', 'range', 'updown')),
    CONSTRAINT series_fee_multiplier_check CHECK (fee_multiplier BETWEEN 0 AND 100),
    CONSTRAINT series_settlement_check CHECK (settlement IN ('average', 'trimmed', 'close')),
    CONSTRAINT series_digits_check CHECK (digits BETWEEN 0 AND 12)
);
COMMENT ON TABLE upc_data.series IS
    'Kalshi''s series: kinds of events of a symbol. An event belongs to the one symbol that has '
    'its series';
COMMENT ON COLUMN upc_data.series.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.series.series IS 'ticker of the series, e.g. KXBTCD';
COMMENT ON COLUMN upc_data.series.kind IS
    'what its contracts ask: above a strike, a range, or updown: at least the average at the '
    'opening';
COMMENT ON COLUMN upc_data.series.fee_type IS
    'formula of the fees as Kalshi words it: quadratic, quadratic_with_maker_fees, flat or another';
COMMENT ON COLUMN upc_data.series.fee_multiplier IS 'multiplier of the fees';
COMMENT ON COLUMN upc_data.series.settlement IS
    'what settles its events by their rules: the average of the last minute, its trimmed average, '
    'or the close; NULL where the rules do not say clearly';
COMMENT ON COLUMN upc_data.series.digits IS
    'decimals that bounds have at least: two bounds next to each other are 10^-digits USD apart';
COMMENT ON COLUMN upc_data.series.is_followed IS 'true if its events are read by the feed';
COMMENT ON CONSTRAINT series_symbol_series_pkey ON upc_data.series IS
    'kind and fees of the series of an event';
COMMENT ON CONSTRAINT series_fee_multiplier_check ON upc_data.series IS
    'NaN sorts above every number, so that it is refused too';
"""

# Symbols without series have no markets, and keep it so. Further series are in upc._known_series.
ROWS = """
INSERT INTO upc_data.series
    (symbol, series, kind, fee_type, fee_multiplier, settlement, digits, is_followed)
SELECT
    s.symbol, r.series,
    coalesce(
        k.kind,
        CASE WHEN r.series LIKE '%15M' THEN 'updown' WHEN r.series LIKE '%D' THEN 'above' END,
        'range'
    ),
    'quadratic_with_maker_fees', s.fee_multiplier, CASE WHEN k.kind IS NOT NULL THEN 'average' END,
    coalesce(k.digits, 2), true
FROM upc_data.symbol AS s
CROSS JOIN LATERAL (
    SELECT unnest(s.kalshi_series) AS series
    UNION
    SELECT k.series
    FROM (VALUES
        ('BTC', 'KXBTCD'), ('BTC', 'KXBTC'), ('BTC', 'KXBTC15M'),
        ('ETH', 'KXETHD'), ('ETH', 'KXETH'), ('ETH', 'KXETH15M'),
        ('SOL', 'KXSOLD'), ('SOL', 'KXSOLE'), ('SOL', 'KXSOL15M'),
        ('XRP', 'KXXRPD'), ('XRP', 'KXXRP'), ('XRP', 'KXXRP15M'),
        ('DOGE', 'KXDOGED'), ('DOGE', 'KXDOGE'), ('DOGE', 'KXDOGE15M')
    ) AS k (symbol, series)
    WHERE k.symbol = s.symbol
      AND NOT EXISTS (
          SELECT FROM upc_data.symbol AS o
          WHERE o.symbol <> s.symbol AND k.series = ANY (o.kalshi_series)
      )
) AS r
LEFT JOIN (VALUES
    ('KXBTCD', 'above', 2), ('KXBTC', 'range', 2), ('KXBTC15M', 'updown', 2),
    ('KXETHD', 'above', 2), ('KXETH', 'range', 2), ('KXETH15M', 'updown', 2),
    ('KXSOLD', 'above', 4), ('KXSOLE', 'range', 4), ('KXSOL15M', 'updown', 4),
    ('KXXRPD', 'above', 4), ('KXXRP', 'range', 4), ('KXXRP15M', 'updown', 4),
    ('KXDOGED', 'above', 5), ('KXDOGE', 'range', 5), ('KXDOGE15M', 'updown', 5)
) AS k (series, kind, digits) ON k.series = r.series
WHERE s.kalshi_series IS NOT NULL;
ALTER TABLE upc_data.symbol DROP COLUMN kalshi_series, DROP COLUMN fee_multiplier;
"""

# A contract above a strike has that strike as its lower bound: a name more is no new
# column, and no row is written.
MARKET_QUOTE = """
ALTER TABLE upc_data.market_quote RENAME COLUMN strike TO lower;
ALTER TABLE upc_data.market_quote
    ALTER COLUMN lower DROP NOT NULL,
    ADD COLUMN upper numeric,
    ADD COLUMN yes_bid_size numeric,
    ADD COLUMN yes_ask_size numeric,
    ADD COLUMN no_bid_size numeric,
    ADD COLUMN no_ask_size numeric,
    ADD COLUMN settlement_value numeric;
ALTER TABLE upc_data.market_quote
    ADD CONSTRAINT market_quote_lower_upper_check CHECK (lower < upper),
    ADD CONSTRAINT market_quote_size_check CHECK (
        yes_bid_size >= 0 AND yes_bid_size < 'Infinity'
        AND yes_ask_size >= 0 AND yes_ask_size < 'Infinity'
        AND no_bid_size >= 0 AND no_bid_size < 'Infinity'
        AND no_ask_size >= 0 AND no_ask_size < 'Infinity'
    ),
    ADD CONSTRAINT market_quote_settlement_value_check
        CHECK (settlement_value BETWEEN 0 AND 1);
COMMENT ON COLUMN upc_data.market_quote.lower IS
    'yes pays if the value that settles it is at or above it, USD; NULL where it is open '
    'downwards, and with upper while the strike is awaited';
COMMENT ON COLUMN upc_data.market_quote.upper IS
    'yes pays if the value that settles it is below it, USD; NULL where it is open upwards';
COMMENT ON COLUMN upc_data.market_quote.yes_bid_size IS
    'contracts wanted at the best bid for yes; fractions occur';
COMMENT ON COLUMN upc_data.market_quote.yes_ask_size IS
    'contracts offered at the best ask for yes; fractions occur';
COMMENT ON COLUMN upc_data.market_quote.no_bid_size IS
    'contracts wanted at the best bid for no; fractions occur';
COMMENT ON COLUMN upc_data.market_quote.no_ask_size IS
    'contracts offered at the best ask for no; fractions occur';
COMMENT ON COLUMN upc_data.market_quote.settlement_value IS
    'what a contract of yes pays once it is determined, USD; one of no pays the rest';
COMMENT ON COLUMN upc_data.market_quote.status IS
    'as Kalshi words it: initialized, active, inactive, closed, determined, disputed, amended, '
    'finalized or another; active while it is traded';
COMMENT ON COLUMN upc_data.market_quote.result IS
    'yes, no, scalar or void once it is determined; it may be amended until it is finalized';
COMMENT ON CONSTRAINT market_quote_lower_upper_check ON upc_data.market_quote IS
    'Nothing pays where the bounds meet or cross';
COMMENT ON CONSTRAINT market_quote_settlement_value_check ON upc_data.market_quote IS
    'a contract pays one dollar at most';
COMMENT ON TABLE upc_data.market_event IS 'Kalshi events: all contracts of a series at one close';
ALTER TABLE upc_data.market_event ADD COLUMN expiration_value numeric;
COMMENT ON COLUMN upc_data.market_event.expiration_value IS
    'the value that settled it, USD; NULL until Kalshi says it';
COMMENT ON COLUMN upc_data.market_event.strike_step IS
    'the distance between most neighbouring lower bounds, USD';
"""

# Without a lower bound it is not above a strike: the revision before does not know it.
DOWNGRADE = """
DELETE FROM upc_data.market_event AS e
USING upc_data.series AS s
WHERE s.symbol = e.symbol AND s.series = e.series_ticker AND s.kind <> 'above';
DELETE FROM upc_data.market_quote WHERE lower IS NULL OR upper IS NOT NULL;
ALTER TABLE upc_data.market_event DROP COLUMN expiration_value;
COMMENT ON COLUMN upc_data.market_event.strike_step IS
    'the distance between most neighbouring strikes, USD';
COMMENT ON TABLE upc_data.market_event IS 'Kalshi events: all strikes of a symbol at one close';
ALTER TABLE upc_data.market_quote
    DROP COLUMN settlement_value,
    DROP COLUMN no_ask_size,
    DROP COLUMN no_bid_size,
    DROP COLUMN yes_ask_size,
    DROP COLUMN yes_bid_size,
    DROP COLUMN upper,
    ALTER COLUMN lower SET NOT NULL;
ALTER TABLE upc_data.market_quote RENAME COLUMN lower TO strike;
COMMENT ON COLUMN upc_data.market_quote.strike IS
    'the market pays if the price ends at or above it, USD: mostly floor_strike + 0.01';
COMMENT ON COLUMN upc_data.market_quote.status IS 'as Kalshi words it; active while it is traded';
COMMENT ON COLUMN upc_data.market_quote.result IS 'yes or no once it is settled';
ALTER TABLE upc_data.symbol
    ADD COLUMN fee_multiplier numeric NOT NULL DEFAULT 1,
    ADD COLUMN kalshi_series text[],
    ADD CONSTRAINT symbol_fee_multiplier_check
        CHECK (fee_multiplier >= 0 AND fee_multiplier <= 100),
    ADD CONSTRAINT symbol_kalshi_series_check CHECK (
        cardinality(kalshi_series) > 0
        AND array_position(kalshi_series, NULL) IS NULL
        AND array_position(kalshi_series, '') IS NULL
    );
UPDATE upc_data.symbol AS s
SET kalshi_series = k.series, fee_multiplier = k.fee_multiplier
FROM (
    SELECT
        r.symbol,
        array_agg(r.series ORDER BY r.series) AS series,
        (array_agg(r.fee_multiplier ORDER BY r.series))[1] AS fee_multiplier
    FROM upc_data.series AS r
    WHERE r.kind = 'above'
    GROUP BY r.symbol
) AS k
WHERE k.symbol = s.symbol;
COMMENT ON COLUMN upc_data.symbol.fee_multiplier IS
    'What the taker fee of the Kalshi series is multiplied by';
COMMENT ON CONSTRAINT symbol_fee_multiplier_check ON upc_data.symbol IS
    'NaN sorts above every number, so that it is refused too';
COMMENT ON COLUMN upc_data.symbol.kalshi_series IS
    'Kalshi series of its events, e.g. {KXBTCD}; NULL without markets';
COMMENT ON CONSTRAINT symbol_kalshi_series_check ON upc_data.symbol IS
    'What has no series is NULL: there is one way to say it';
DROP TABLE upc_data.series;
"""


def upgrade() -> None:
    run_sql(SERIES)
    run_sql(ROWS)
    run_sql(MARKET_QUOTE)


def downgrade() -> None:
    run_sql(DOWNGRADE)

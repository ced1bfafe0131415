"""Tables of imported fingerprints: one set per symbol, every number as written."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

FINGERPRINT_IMPORT = """
CREATE TABLE upc_data.fingerprint_import (
    symbol text COLLATE "C" NOT NULL,
    thresholds numeric[] NOT NULL,
    source text NOT NULL,
    imported_at timestamptz NOT NULL,
    is_preferred boolean NOT NULL DEFAULT false,
    CONSTRAINT fingerprint_import_symbol_pkey PRIMARY KEY (symbol),
    CONSTRAINT fingerprint_import_symbol_fkey
        FOREIGN KEY (symbol) REFERENCES upc_data.symbol (symbol),
    CONSTRAINT fingerprint_import_thresholds_check CHECK (
        cardinality(thresholds) > 0
        AND array_position(thresholds, NULL) IS NULL
        AND 0 <= ALL (thresholds) AND 100 >= ALL (thresholds)
    )
);
COMMENT ON TABLE upc_data.fingerprint_import IS
    'the imported set of fingerprints of each symbol that has one';
COMMENT ON COLUMN upc_data.fingerprint_import.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.fingerprint_import.thresholds IS
    'sizes of a move in percent, ascending, the same for all fingerprints of the set';
COMMENT ON COLUMN upc_data.fingerprint_import.source IS
    'the folder or the server and schema that it came from';
COMMENT ON COLUMN upc_data.fingerprint_import.imported_at IS
    'when its numbers last changed; importing the same ones again changes nothing';
COMMENT ON COLUMN upc_data.fingerprint_import.is_preferred IS
    'whether it answers although the symbol has fingerprints built from candles too';
COMMENT ON CONSTRAINT fingerprint_import_thresholds_check ON upc_data.fingerprint_import IS
    'NaN sorts above every number, so that it is refused too';
"""

IMPORTED_FINGERPRINT = """
CREATE TABLE upc_data.imported_fingerprint (
    symbol text COLLATE "C" NOT NULL,
    bucket smallint NOT NULL,
    header text[] NOT NULL,
    minutes smallint[] NOT NULL,
    CONSTRAINT imported_fingerprint_symbol_bucket_pkey PRIMARY KEY (symbol, bucket),
    CONSTRAINT imported_fingerprint_symbol_fkey
        FOREIGN KEY (symbol) REFERENCES upc_data.fingerprint_import (symbol) ON DELETE CASCADE,
    CONSTRAINT imported_fingerprint_bucket_check CHECK (bucket BETWEEN -98 AND 98 OR bucket = 99)
);
COMMENT ON TABLE upc_data.imported_fingerprint IS
    'the fingerprints of the imported sets, each with the layout of its file';
COMMENT ON COLUMN upc_data.imported_fingerprint.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.imported_fingerprint.bucket IS
    'momentum bucket, basis points; 99 is the baseline';
COMMENT ON COLUMN upc_data.imported_fingerprint.header IS
    'the names of the columns, in the order of the file';
COMMENT ON COLUMN upc_data.imported_fingerprint.minutes IS
    'the minutes of the rows, in the order of the file';
"""

IMPORTED_CURVE = """
CREATE TABLE upc_data.imported_curve (
    symbol text COLLATE "C" NOT NULL,
    bucket smallint NOT NULL,
    minutes smallint NOT NULL,
    positive numeric[] NOT NULL,
    negative numeric[] NOT NULL,
    CONSTRAINT imported_curve_symbol_bucket_minutes_pkey PRIMARY KEY (symbol, bucket, minutes),
    CONSTRAINT imported_curve_symbol_bucket_fkey
        FOREIGN KEY (symbol, bucket)
        REFERENCES upc_data.imported_fingerprint (symbol, bucket) ON DELETE CASCADE,
    CONSTRAINT imported_curve_minutes_check CHECK (minutes BETWEEN 0 AND 1440),
    CONSTRAINT imported_curve_cardinality_check CHECK (
        cardinality(positive) > 0 AND cardinality(positive) = cardinality(negative)
    ),
    CONSTRAINT imported_curve_positive_check CHECK (
        array_position(positive, NULL) IS NULL AND 0 <= ALL (positive) AND 100 >= ALL (positive)
    ),
    CONSTRAINT imported_curve_negative_check CHECK (
        array_position(negative, NULL) IS NULL AND 0 <= ALL (negative) AND 100 >= ALL (negative)
    )
);
COMMENT ON TABLE upc_data.imported_curve IS
    'the rows of imported fingerprints: probabilities in percent, with all digits of the source';
COMMENT ON COLUMN upc_data.imported_curve.symbol IS 'symbol';
COMMENT ON COLUMN upc_data.imported_curve.bucket IS
    'momentum bucket, basis points; 99 is the baseline';
COMMENT ON COLUMN upc_data.imported_curve.minutes IS 'minutes from now to the close';
COMMENT ON COLUMN upc_data.imported_curve.positive IS
    'element k: probability of a move of at least the k-th threshold of the set';
COMMENT ON COLUMN upc_data.imported_curve.negative IS
    'element k: probability of a move of at most minus the k-th threshold of the set';
COMMENT ON CONSTRAINT imported_curve_positive_check ON upc_data.imported_curve IS
    'NaN sorts above every number, so that it is refused too';
COMMENT ON CONSTRAINT imported_curve_negative_check ON upc_data.imported_curve IS
    'NaN sorts above every number, so that it is refused too';
"""


def upgrade() -> None:
    run_sql(FINGERPRINT_IMPORT)
    run_sql(IMPORTED_FINGERPRINT)
    run_sql(IMPORTED_CURVE)


def downgrade() -> None:
    run_sql("""
    DROP TABLE upc_data.imported_curve;
    DROP TABLE upc_data.imported_fingerprint;
    DROP TABLE upc_data.fingerprint_import;
    """)

"""Scheduled news: hours that whoever bets has listed."""

from __future__ import annotations

from pyupc.database.ddl import run_sql

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(
        """
        CREATE TABLE upc_data.scheduled_news (
            starts_at timestamptz NOT NULL,
            ends_at timestamptz NOT NULL,
            title text NOT NULL,
            CONSTRAINT scheduled_news_pkey PRIMARY KEY (starts_at, title),
            CONSTRAINT scheduled_news_ends_at_check CHECK (ends_at > starts_at),
            CONSTRAINT scheduled_news_title_check CHECK (title <> '')
        );
        COMMENT ON TABLE upc_data.scheduled_news IS
            'hours of scheduled news, filled by hand: bets on contracts that live through one are '
            'marked';
        COMMENT ON COLUMN upc_data.scheduled_news.starts_at IS 'from then on prices may jump';
        COMMENT ON COLUMN upc_data.scheduled_news.ends_at IS 'and until then';
        COMMENT ON COLUMN upc_data.scheduled_news.title IS 'what is announced';
        COMMENT ON CONSTRAINT scheduled_news_ends_at_check ON upc_data.scheduled_news IS
            'it takes some time';
        COMMENT ON CONSTRAINT scheduled_news_title_check ON upc_data.scheduled_news IS
            'a bet is marked by it';
        """
    )


def downgrade() -> None:
    run_sql("DROP TABLE upc_data.scheduled_news;")

"""The main job on made-up candles and an embedded PostgreSQL."""

"""SQL text of migrations, run unchanged: SQLAlchemy would interpret `:name` and `%`."""

from __future__ import annotations

from alembic import op


def run_sql(text: str) -> None:
    """Run one or more statements, or print them in offline mode (`--sql`)."""
    context = op.get_context()
    if context.as_sql:
        # The next statement follows in the same script.
        context.impl.static_output(text.strip().removesuffix(";") + ";")
        return
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    driver.execute(text)

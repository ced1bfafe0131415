"""Runs the migrations, and rebuilds functions and views from sql/, in one transaction.

`pyupc db upgrade` and `alembic -c migrations/alembic.ini upgrade head` both come through here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from logging.config import fileConfig
from typing import Any

import psycopg
from alembic import context
from alembic.runtime.migration import MigrationContext, RevisionStep
from sqlalchemy import NullPool, create_engine
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from pyupc.cli.common.report import show
from pyupc.database import (
    data_loss,
    foreign_objects,
    offline_sql,
    rebuild,
    rights,
    schema,
    search_path,
    symbol_views,
)
from pyupc.database.connect import connect, resolve_dsn
from pyupc.database.lock_retries import Patience, persist
from pyupc.errors import PyupcError, SchemaOutOfDate
from pyupc.sql_errors import translate

config = context.config
options = config.attributes
is_called_by_pyupc = "dsn" in options


class Plan:
    """Steps of Alembic, known before the first one runs."""

    def __init__(self, migration: MigrationContext) -> None:
        self.find_steps = steps_of_command(migration)
        self.steps: list[RevisionStep] = []

    def prepare(self, drop_code: Any, heads: tuple[str, ...], migration: Any) -> Iterable[Any]:
        """Return the steps to Alembic, after dropping functions and views that read the tables.

        A migration that needs what is about to be dropped has a function `prepare`.
        """
        steps = list(self.find_steps(heads, migration))
        self.steps = [step for step in steps if isinstance(step, RevisionStep)]
        if self.steps:
            for step in self.steps:
                if step.is_upgrade and hasattr(step.revision.module, "prepare"):
                    step.revision.module.prepare()
            drop_code()
        return steps


def is_change() -> bool:
    """True for upgrades and downgrades, which have a destination; `current` and `history` read."""
    return "destination_rev" in context.get_context().opts


def steps_of_command(migration: MigrationContext) -> Any:
    """Return the function with which Alembic's command finds the steps.

    An attempt puts its plan in its place, and the next one finds that.
    """
    found: Any = migration.opts["fn"]
    while isinstance(found, partial):
        prepare: Any = found.func
        found = prepare.__self__.find_steps
    return found


def is_downgrade() -> bool:
    """True for `downgrade`, by the name of the function that finds its steps."""
    return str(steps_of_command(context.get_context()).__name__) == "downgrade"


def configure(**arguments: Any) -> None:
    context.configure(version_table_schema=schema.DATA_SCHEMA, **arguments)


def run_offline() -> None:
    """Print the SQL of `--sql`."""
    configure(url="postgresql+psycopg://", literal_binds=True)
    migration = context.get_context()
    write = migration.impl.static_output
    is_fresh = not migration.get_current_heads()
    plan = Plan(migration)
    configure(
        url="postgresql+psycopg://",
        literal_binds=True,
        fn=partial(plan.prepare, partial(offline_sql.drop_code, write, is_fresh=is_fresh)),
    )
    with context.begin_transaction():
        offline_sql.begin(write, create_data_schema=is_fresh)
        context.run_migrations()
        if plan.steps and plan.steps[-1].to_revisions == (schema.HEAD,):
            offline_sql.build_code(write)
        if plan.steps and not plan.steps[-1].to_revisions:
            offline_sql.drop_data_schema(write)


def run_online() -> None:
    dsn = options.get("dsn") or context.get_x_argument(as_dictionary=True).get("dsn")
    open_connection = partial(connect, dsn or resolve_dsn(), application_name="pyupc db")
    engine = create_engine(
        "postgresql+psycopg://",
        creator=partial(open_connection, autocommit=False),
        poolclass=NullPool,
    )
    patience = options.get("patience", Patience())

    def attempt() -> None:
        with driver_errors(), engine.connect() as connection, connection.begin():
            configure(connection=connection)
            if is_change():
                symbol_views.drop(
                    open_connection, patience.lock_timeout, is_downgrade=is_downgrade()
                )
                change(connection, patience)
            else:
                context.run_migrations()

    try:
        persist(attempt, patience, open_connection)
        if is_change():
            restore = partial(symbol_views.restore, open_connection, patience.lock_timeout)
            persist(restore, patience, open_connection)
    except psycopg.Error as error:
        raise translate(error) from error


@contextmanager
def driver_errors() -> Iterator[None]:
    """Raise the driver's errors without SQLAlchemy's wrapping: one kind of error to handle."""
    try:
        yield
    except DBAPIError as error:
        if isinstance(error.orig, psycopg.Error):
            raise error.orig from error
        raise


def change(connection: Connection, patience: Patience) -> None:
    """Run all steps of one transaction, from the locks to the search_path."""
    conn = driver_connection(connection)
    rebuild.begin(conn, patience.lock_timeout)
    refuse_newer()
    rebuild.ensure_data_schema(conn)
    data = data_loss.columns_with_data(conn) if options.get("keep_data") else set()

    plan = Plan(context.get_context())
    drop_code = partial(rebuild.drop_code, conn, patience.lock_timeout)
    configure(connection=connection, fn=partial(plan.prepare, partial(drop_code, has_steps=True)))
    with foreign_objects.dependents_named():
        context.run_migrations()

    heads = context.get_context().get_current_heads()
    if heads == (schema.HEAD,):
        if not rebuild.is_current(conn):
            drop_code()
            rebuild.build_code(conn)
        search_path.add(conn)
        rights.set_up(conn)
    if plan.steps and not heads:
        rebuild.drop_data_schema(conn)
    data_loss.refuse_loss(conn, data)


def refuse_newer() -> None:
    """Refuse a revision without a script here: a later pyupc made it."""
    known = {script.revision for script in context.script.walk_revisions()}
    for head in context.get_context().get_current_heads():
        if head not in known:
            raise SchemaOutOfDate(
                f"the database's schema is at revision {head}, which this pyupc does not know",
                schema.UPDATE_HINT,
            )


def driver_connection(connection: Connection) -> psycopg.Connection[Any]:
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    return driver


def run() -> None:
    if context.is_offline_mode():
        run_offline()
    else:
        run_online()


if is_called_by_pyupc:
    run()
else:
    if config.config_file_name:
        fileConfig(config.config_file_name, disable_existing_loggers=False)
    try:
        run()
    except PyupcError as error:
        show(error)
        raise SystemExit(error.exit_code) from error

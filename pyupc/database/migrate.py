"""Upgrades and downgrades of a database, through Alembic."""

from __future__ import annotations

from collections.abc import Callable

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError

from pyupc.database import logs, schema
from pyupc.database.connect import connect
from pyupc.database.lock_retries import Patience
from pyupc.errors import UsageProblem


def upgrade(dsn: str, revision: str = "head", *, patience: Patience | None = None) -> None:
    """Upgrade the tables to a revision, and rebuild functions and views if that is the head.

    Raises PyupcError, and changes nothing, if objects of others are in the way.
    """
    logs.prepare_key(dsn)
    _run(command.upgrade, _config(dsn, patience), revision)
    logs.settle(dsn)


def downgrade(
    dsn: str, revision: str, *, keep_data: bool = False, patience: Patience | None = None
) -> None:
    """Take the database back to a revision: `base`, `0001`, `-1`.

    With `keep_data` it is refused if it would drop a table or column with a user's data.
    """
    config = _config(dsn, patience)
    config.attributes["keep_data"] = keep_data
    _run(command.downgrade, config, revision)


def current(dsn: str) -> str | None:
    """Revision of the database; None before the first upgrade."""
    with connect(dsn, application_name="pyupc db") as conn:
        return schema.revision(conn)


def _config(dsn: str, patience: Patience | None) -> Config:
    config = Config(schema.migrations_folder() / "alembic.ini")
    config.attributes["dsn"] = dsn
    config.attributes["patience"] = patience or Patience()
    return config


def _run(action: Callable[[Config, str], None], config: Config, revision: str) -> None:
    try:
        action(config, revision)
    except CommandError as error:
        raise UsageProblem(
            str(error), f"revisions are base and 0001 to {schema.HEAD}, the head"
        ) from error

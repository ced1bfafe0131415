"""`pyupc db`: the schema, and the embedded server."""

from __future__ import annotations

import json
import os
import shutil

import click

from pyupc.cli.common.options import NegativeNumbers, examples, json_output, yes
from pyupc.cli.db.prune import prune
from pyupc.errors import PyupcError

BASE = "base"


@click.group(epilog=examples("pyupc db upgrade", "pyupc db current", "pyupc db uri"))
def command() -> None:
    """Create, upgrade and reach the database."""


@command.command(epilog=examples("pyupc db upgrade"))
def upgrade() -> None:
    """Bring tables, functions and views to this version of pyupc.

    Runs in one transaction: all or nothing. Objects of your own are never dropped; if one is in the
    way, the upgrade stops and names it. An up-to-date database is left alone.
    """
    from pyupc.database import migrate
    from pyupc.database.connect import resolve_dsn

    dsn = resolve_dsn()
    before = migrate.current(dsn)
    migrate.upgrade(dsn)
    _print_change(before, migrate.current(dsn))


@command.command(
    cls=NegativeNumbers,
    epilog=examples(
        "pyupc db downgrade 0001",
        "pyupc db downgrade -1 --yes",
        "pyupc db downgrade base --yes   # removes everything that pyupc has created",
    ),
)
@click.argument("revision")
@yes
def downgrade(revision: str, yes: bool) -> None:
    """Take the tables back to REVISION: 0001, -1, base.

    Functions and views are removed; the next upgrade builds them again.
    """
    from pyupc.database import migrate
    from pyupc.database.connect import resolve_dsn

    dsn = resolve_dsn()
    before = migrate.current(dsn)
    migrate.downgrade(dsn, revision, keep_data=not yes)
    _print_change(before, migrate.current(dsn))


@command.command(epilog=examples("pyupc db current", "pyupc db current --json"))
@json_output
def current(as_json: bool) -> None:
    """Print the database's revision, and if pyupc supports it."""
    from pyupc.database import schema
    from pyupc.database.connect import connect
    from pyupc.errors import SchemaOutOfDate

    with connect() as conn:
        revision = schema.revision(conn)
        try:
            schema.check(conn)
        except SchemaOutOfDate as error:
            problem: str | None = error.message
        else:
            problem = None
    if as_json:
        document = {"revision": revision, "head": schema.HEAD, "is_current": problem is None}
        click.echo(json.dumps(document))
    else:
        click.echo(f"{revision or BASE} ({problem or 'current'})")


@command.command(epilog=examples("pyupc db uri", 'psql "$(pyupc db uri)"'))
def uri() -> None:
    """Print the connection string of the database.

    The embedded server is started if needed.
    """
    click.echo(_uri())


@command.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog=examples("pyupc db psql -c 'SELECT * FROM upc_data.symbol'"),
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def psql(arguments: tuple[str, ...]) -> None:
    """Open psql on the database; ARGUMENTS are passed to psql."""
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    program = _psql()
    parameters = conninfo_to_dict(_uri())
    # All users of the machine can read the arguments of a process, not its environment.
    password = parameters.pop("password", None)
    secret = {} if password is None else {"PGPASSWORD": str(password)}
    os.execve(
        program, [program, make_conninfo("", **parameters), *arguments], {**os.environ, **secret}
    )


@command.command(epilog=examples("pyupc db start"))
def start() -> None:
    """Start the embedded server and print its connection string."""
    from pyupc import embedded
    from pyupc.database.connect import with_search_path

    _refuse_foreign_server()
    click.echo(with_search_path(embedded.ensure_running()))


@command.command(epilog=examples("pyupc db stop"))
def stop() -> None:
    """Stop the embedded server."""
    from pyupc import embedded

    _refuse_foreign_server()
    click.echo("stopped" if embedded.stop() else "the embedded server was not running")


command.add_command(prune)


def _print_change(before: str | None, after: str | None) -> None:
    click.echo(f"{before or BASE} -> {after or BASE}")


def _uri() -> str:
    from pyupc.database.connect import resolve_dsn, with_search_path

    return with_search_path(resolve_dsn())


def _psql() -> str:
    """Path of the psql in PATH, else of the wheel's."""
    found = shutil.which("psql")
    if found is None:
        from pyupc import embedded

        found = shutil.which(embedded.program("psql"))
    if found is None:
        raise PyupcError("psql not found", "install PostgreSQL's client or pyupc[embedded]")
    return found


def _refuse_foreign_server() -> None:
    if os.environ.get("PYUPC_DSN", "").strip():
        raise PyupcError(
            "a dsn is set, and pyupc starts and stops only the embedded server",
            "see where it is set: pyupc config show dsn",
        )

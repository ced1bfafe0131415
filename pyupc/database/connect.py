"""The one place that opens connections to the database."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import quote, unquote

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pyupc.database import session
from pyupc.errors import DatabaseUnreachable, UsageProblem
from pyupc.settings.rules import connection_options
from pyupc.sql_errors import translate

SEARCH_PATH = '"$user",public,upc,analytics'
CONNECT_TIMEOUT_SECONDS = 10

_SEARCH_PATH_OPTION = f"-c search_path={SEARCH_PATH}"
_URI_SCHEMES = ("postgresql://", "postgres://")


def resolve_dsn(database: str | None = None) -> str:
    """The server to use: `PYUPC_DSN` if it is set, else the embedded one, started if need be.

    `database` names another database on that server. On the embedded server it is created when it
    is missing; on a server of the user's own nothing is ever created.
    """
    dsn = os.environ.get("PYUPC_DSN", "").strip()
    if dsn:
        parameters = _parse(dsn)
        if database is None or parameters.get("dbname") == database:
            return dsn
        return make_conninfo(dsn, dbname=database)

    # Loaded late: a program with a server of its own needs none of it.
    from pyupc import embedded

    if database is None:
        return embedded.ensure_running()
    return embedded.database_uri(database, create=True)


def running_dsn() -> str:
    """The server to look at: nothing is started and nothing is created."""
    if os.environ.get("PYUPC_DSN", "").strip():
        return resolve_dsn()
    from pyupc import embedded
    from pyupc.embedded.cluster import Cluster
    from pyupc.embedded.home import Home

    if not embedded.is_running():
        raise DatabaseUnreachable("the embedded PostgreSQL does not run", "pyupc db start")
    return Cluster(Home.at(embedded.default_home())).uri(embedded.DATABASE)


def connect(
    dsn: str | None = None,
    *,
    autocommit: bool = True,
    application_name: str = "pyupc",
) -> psycopg.Connection[tuple[Any, ...]]:
    """A new connection; any failure is a `PyupcError`, mostly `DatabaseUnreachable`.

    What the connection string or libpq's environment says about options, application name and
    timeout is kept; pyupc only fills in what they leave open. The rules that PYUPC_RULES_* set are
    settings of the session, and so is what pyupc depends on (`session.SETTINGS`), whatever others
    prefer.
    """
    if dsn is None:
        dsn = resolve_dsn()
    parameters = _parse(dsn)
    defaults: dict[str, Any] = {"options": _options(parameters.get("options"))}
    if not _is_given(parameters, "application_name", "PGAPPNAME"):
        defaults["application_name"] = application_name
    if not _is_given(parameters, "connect_timeout", "PGCONNECT_TIMEOUT"):
        defaults["connect_timeout"] = CONNECT_TIMEOUT_SECONDS
    try:
        # Whatever the environment prefers: names of folders may hold any character.
        conn = psycopg.connect(dsn, autocommit=True, client_encoding="UTF8", **defaults)
        try:
            # Outside of a transaction, whose rollback would take it back.
            conn.execute(session.ESTABLISH)
            conn.autocommit = autocommit
        except BaseException:
            conn.close()
            raise
    except psycopg.Error as error:
        raise translate(error) from error
    return conn


def with_search_path(dsn: str) -> str:
    """The connection string with pyupc's settings and rules in it; a URI stays a URI."""
    options = _options(_parse(dsn).get("options"), *session.OPTIONS)
    if not dsn.startswith(_URI_SCHEMES):
        return make_conninfo(dsn, options=options)
    address, query = _split_uri(dsn)
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    # libpq decodes %XX in a query and nothing else: a plus sign there is a plus sign.
    kept = [f"{key}={value}" for key, _, value in pairs if unquote(key) != "options"]
    return f"{address}?" + "&".join([*kept, f"options={quote(options, safe='')}"])


def _split_uri(uri: str) -> tuple[str, str]:
    """The URI before and after its question mark, which a password may hold too."""
    start = uri.index("://") + 3
    credentials = uri[start:].partition("/")[0].rpartition("@")[0]
    mark = uri.find("?", start + len(credentials))
    return (uri, "") if mark < 0 else (uri[:mark], uri[mark + 1 :])


def _parse(dsn: str) -> dict[str, Any]:
    try:
        return conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        # libpq quotes the part that it stumbled over, which may be a password.
        raise UsageProblem(
            "the connection string is neither a libpq conninfo nor a URI",
            "write it as 'host=… dbname=… user=…' or postgresql://user@host/dbname",
        ) from None


def _options(given: str | None, *more: str) -> str:
    """Ours first: the last setting of a name wins, so the user's own is kept."""
    ours = [_SEARCH_PATH_OPTION, *more, *connection_options(os.environ)]
    return " ".join([*ours, given or os.environ.get("PGOPTIONS", "")]).strip()


def _is_given(parameters: dict[str, Any], key: str, variable: str) -> bool:
    return parameters.get(key) is not None or variable in os.environ

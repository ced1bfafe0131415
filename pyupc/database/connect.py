"""Connections to the database; no other module opens any for a command."""

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
    """Connection string of `PYUPC_DSN`, else of the embedded server, which is started if needed.

    `database` names another database on that server. On the embedded server it is created if
    missing; on a user's own server nothing is ever created.
    """
    dsn = os.environ.get("PYUPC_DSN", "").strip()
    if dsn:
        parameters = _parse(dsn)
        if database is None or parameters.get("dbname") == database:
            return dsn
        return make_conninfo(dsn, dbname=database)

    # Imported late: not needed with PYUPC_DSN.
    from pyupc import embedded

    if database is None:
        return embedded.ensure_running()
    return embedded.database_uri(database, create=True)


def running_dsn() -> str:
    """Connection string of a server that runs already; nothing is started or created."""
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
    """Open a connection; any failure is a `PyupcError`, mostly `DatabaseUnreachable`.

    Options, application name and timeout of the connection string and of libpq's environment are
    kept; pyupc only fills in defaults. Rules in PYUPC_RULES_* become settings of the session;
    `session.SETTINGS` override any others.
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
        # UTF-8 whatever PGCLIENTENCODING is: names of folders may hold any character.
        conn = psycopg.connect(dsn, autocommit=True, client_encoding="UTF8", **defaults)
        try:
            # Outside a transaction, whose rollback would undo it.
            conn.execute(session.ESTABLISH)
            conn.autocommit = autocommit
        except BaseException:
            conn.close()
            raise
    except psycopg.Error as error:
        raise translate(error) from error
    return conn


def with_search_path(dsn: str) -> str:
    """Add pyupc's settings and rules to a connection string; a URI stays a URI."""
    options = _options(_parse(dsn).get("options"), *session.OPTIONS)
    if not dsn.startswith(_URI_SCHEMES):
        return make_conninfo(dsn, options=options)
    address, query = _split_uri(dsn)
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    # libpq decodes only %XX in a query: a plus sign stays a plus sign.
    kept = [f"{key}={value}" for key, _, value in pairs if unquote(key) != "options"]
    return f"{address}?" + "&".join([*kept, f"options={quote(options, safe='')}"])


def _split_uri(uri: str) -> tuple[str, str]:
    """Split a URI at the question mark of its query; a password may hold one, too."""
    start = uri.index("://") + 3
    credentials = uri[start:].partition("/")[0].rpartition("@")[0]
    mark = uri.find("?", start + len(credentials))
    return (uri, "") if mark < 0 else (uri[:mark], uri[mark + 1 :])


def _parse(dsn: str) -> dict[str, Any]:
    try:
        return conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        # libpq's message quotes the invalid part, which may be a password.
        raise UsageProblem(
            "the connection string is neither a libpq conninfo nor a URI",
            "write it as 'host=… dbname=… user=…' or postgresql://user@host/dbname",
        ) from None


def _options(given: str | None, *more: str) -> str:
    """Join the options, ours first: the last setting of a name wins, so the user's is kept."""
    ours = [_SEARCH_PATH_OPTION, *more, *connection_options(os.environ)]
    return " ".join([*ours, given or os.environ.get("PGOPTIONS", "")]).strip()


def _is_given(parameters: dict[str, Any], key: str, variable: str) -> bool:
    return parameters.get(key) is not None or variable in os.environ

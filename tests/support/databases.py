"""The databases of a run of the tests: templates that are made once, and clones of them.

A template is made by the first process of the run that needs it, also under xdist; the others wait
for it and take the same one. Nothing may change it afterwards: tests get clones.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pyupc.database.connect import connect

# Reports as an error what PL/pgSQL otherwise lets pass: shadowed names, SELECT INTO of many rows.
STRICT = "-c plpgsql.extra_errors=all"

_CREATE = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
_DROP = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
_RENAME = sql.SQL("ALTER DATABASE {} RENAME TO {}")


@dataclass(frozen=True)
class Recipe:
    """A template: which one it is made of, and what is added to it, given its DSN."""

    parent: str | None
    fill: Callable[[str], None]


def _empty(dsn: str) -> None:
    from pyupc.database.migrate import upgrade

    upgrade(make_conninfo(dsn, options=STRICT))


def _market(*symbols: str) -> Callable[[str], None]:
    def fill(dsn: str) -> None:
        from tests.support import market

        market.fill(dsn, symbols)

    return fill


def _prepared(module: str, function: str) -> Callable[[str], None]:
    """A recipe that calls a function of a module of tests.support with a connection."""

    def fill(dsn: str) -> None:
        import importlib

        with connect(make_conninfo(dsn, options=STRICT)) as conn:
            getattr(importlib.import_module(f"tests.support.{module}"), function)(conn)

    return fill


RECIPES = {
    # The newest schema, made as `pyupc db upgrade` makes it.
    "empty": Recipe(None, _empty),
    # Four days of made-up candles, and their fingerprints: of BTC alone, or of both symbols.
    "market_btc": Recipe("empty", _market("BTC")),
    "market": Recipe("empty", _market("BTC", "ETH")),
    # Probabilities that are known by heart and nine strikes of both symbols, for trades.
    "trading": Recipe("empty", _prepared("trading", "prepare")),
    # All that a green symbol depends on, but for current prices, quotes and ticks.
    "healthy": Recipe("empty", _prepared("healthy_symbol", "prepare")),
}


@contextmanager
def clone(server_dsn: str, template: str, name: str) -> Iterator[str]:
    """A copy of a database of that server, as its DSN; dropped at the end."""
    with connect(server_dsn) as server:
        server.execute(_CREATE.format(sql.Identifier(name), sql.Identifier(template)))
    try:
        yield make_conninfo(server_dsn, dbname=name)
    finally:
        with connect(server_dsn) as server:
            server.execute(_DROP.format(sql.Identifier(name)))


@dataclass(frozen=True)
class Databases:
    """The databases of one run on its server, all of whose names begin with the run's prefix."""

    server_dsn: str
    prefix: str

    def template(self, kind: str) -> str:
        """The name of a template; made if this is the first call of the run."""
        name = f"{self.prefix}_{kind}"
        with connect(self.server_dsn) as server:
            # Also held while it is made; ends with the connection if this process is killed.
            server.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (name,))
            if not _exists(server, name):
                self._make(server, name, RECIPES[kind])
        return name

    def _make(self, server: psycopg.Connection[Any], name: str, recipe: Recipe) -> None:
        parent = "template0" if recipe.parent is None else self.template(recipe.parent)
        # It gets its name when it is complete.
        new, wanted = sql.Identifier(f"{name}_unfinished"), sql.Identifier(name)
        server.execute(_DROP.format(new))
        server.execute(_CREATE.format(new, sql.Identifier(parent)))
        recipe.fill(make_conninfo(self.server_dsn, dbname=f"{name}_unfinished"))
        server.execute(_RENAME.format(new, wanted))

    @contextmanager
    def clone(self, kind: str) -> Iterator[str]:
        """A copy of a template, as its DSN."""
        name = f"{self.prefix}_{secrets.token_hex(4)}"
        with clone(self.server_dsn, self.template(kind), name) as dsn:
            yield dsn

    @contextmanager
    def clone_of(self, dsn: str) -> Iterator[str]:
        """A copy of another database of this server, to which nothing is connected."""
        original = str(conninfo_to_dict(dsn)["dbname"])
        name = f"{self.prefix}_{secrets.token_hex(4)}"
        with clone(self.server_dsn, original, name) as dsn:
            yield dsn

    @contextmanager
    def new(self) -> Iterator[str]:
        """A database without anything, as its DSN."""
        with clone(self.server_dsn, "template0", f"{self.prefix}_{secrets.token_hex(4)}") as dsn:
            yield dsn

    def drop_templates(self) -> None:
        """Drop the templates of a server that goes on after the run."""
        with connect(self.server_dsn) as server:
            for kind in RECIPES:
                server.execute(_DROP.format(sql.Identifier(f"{self.prefix}_{kind}")))


def _exists(server: psycopg.Connection[Any], name: str) -> bool:
    query = "SELECT FROM pg_database WHERE datname = %s"
    return server.execute(query, (name,)).fetchone() is not None

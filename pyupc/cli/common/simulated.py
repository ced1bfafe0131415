"""A word on stderr where a market is made up: in the demo's database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import psycopg


def say_if_simulated(conn: psycopg.Connection[Any]) -> None:
    """Before a table of what is made up."""
    if conn.execute("SELECT upc.has_simulated_market()").fetchone() == (True,):
        click.echo("SIMULATED: prices and market of this database are made up", err=True)

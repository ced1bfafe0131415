"""Commands that show a market say on stderr where it is made up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from pyupc.cli import main
from pyupc.database.connect import connect
from tests.support.databases import Databases
from tests.support.simulated import mark

COMMANDS = [
    ["calibration"],
    ["bets"],
    ["trades", "list"],
    ["market", "show"],
    ["contracts", "BTC", "--price", "97000"],
]


@pytest.fixture(scope="module")
def simulated(databases: Databases) -> Iterator[str]:
    with databases.clone("empty") as dsn:
        with connect(dsn) as conn:
            mark(conn)
            conn.execute("SELECT upc.simulate_market('BTC'), upc.simulate_trade('BTC')")
        yield dsn


def run(dsn: str, command: list[str]) -> Result:
    return CliRunner().invoke(main, command, env={"PYUPC_DSN": dsn})


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_it_is_said(simulated: str, shared_database: str, command: list[str]) -> None:
    assert run(simulated, command).stderr.startswith("SIMULATED: ")
    assert "SIMULATED" not in run(shared_database, command).output

"""Every listing of a real database: the same rows in JSON, line by line, in CSV and in a table."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pyupc.cli import main
from pyupc.database.connect import connect
from tests.cli.test_output import LISTINGS
from tests.support import backtesting, kalshi_server, legacy_files
from tests.support.logged_ticks import log_tick
from tests.support.market import on_terminal
from tests.support.times_of_day import next_hour
from tests.support.warm_process import REPOSITORY

Rows = list[dict[str, Any]]

# Document around the rows of --json.
WRAPPED = ("rows", "files", "results", "fingerprints")

# Their rows are read back where an exchange is played, and where a short run is.
ELSEWHERE = {
    "pyupc bets",
    "pyupc candles backfill",
    "pyupc bench",
    "pyupc bench scale",
    "pyupc db prune",
    "pyupc doctor",
    "pyupc market history",
    "pyupc paper report",
    "pyupc paper trades",
    "pyupc status",
    "pyupc symbols add",
    "pyupc symbols retire",
}

BASELINE = "btc_fingerprint_directional_baseline"
TITLE = "Bitcoin, “at noon”?\n\x1b[31m€"


@dataclass(frozen=True)
class Place:
    dsn: str
    folder: Path

    def read_again(self) -> None:
        """Quotes of this moment, so that they do not grow old from one call to the next."""
        with connect(self.dsn) as conn:
            conn.execute("UPDATE upc_data.market_event SET read_at = clock_timestamp()")

    def printed(self, arguments: list[str], **environment: str) -> str:
        filled = [each.format(folder=self.folder) for each in arguments]
        env = {"PYUPC_DSN": self.dsn, **environment}
        result = CliRunner().invoke(main, filled, env=env)
        assert result.exit_code == 0, result.stderr
        return result.stdout_bytes.decode()


@pytest.fixture(scope="module")
def place(module_btc_market: str, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Candles with gaps, built and imported fingerprints, an event under way."""
    folder = tmp_path_factory.mktemp("listings")
    legacy_files.write(folder / "fingerprints")
    closes_at = next_hour()
    event = "KXBTCD-SOON"
    markets = [kalshi_server.market(event, strike, closes_at) for strike in (97_500, 97_750)]
    listed = kalshi_server.Listed(event, closes_at, closes_at, markets)
    document = {"event": {**listed.document(), "title": TITLE, "markets": markets}}
    (folder / "event, 1.json").write_text(json.dumps(document))
    (folder / "candles.csv").write_text(
        "timestamp,open,high,low,close,volume\n2026-03-07T00:00:00Z,1,1,1,1,1\n"
    )
    with connect(module_btc_market) as conn:
        conn.execute("DELETE FROM upc_data.candle WHERE opened_at = '2026-03-03 04:05Z'")
        conn.execute("DELETE FROM upc_data.candle WHERE opened_at = '2026-03-04 04:05Z'")
        conn.execute(
            """
            INSERT INTO upc_data.candle_hole (symbol, exchange, opened_from, opened_until)
            SELECT 'BTC', e.name, '2026-03-03 04:05Z', '2026-03-03 04:06Z'
            FROM unnest(ARRAY['coinbase', 'kraken']) AS e(name)
            """
        )
        log_tick(
            conn,
            closes_at=datetime(2026, 3, 4, 15, tzinfo=UTC),
            yes_ask=[Decimal("0.5625")],
            no_ask=[Decimal("0.4")],
        )
    place = Place(module_btc_market, folder)
    place.printed(["candles", "load", "{folder}/candles.csv", "--symbol", "BTC"])
    place.printed(["fingerprints", "build"])
    place.printed(["fingerprints", "import", "{folder}/fingerprints"])
    place.printed(["market", "load", "{folder}/event, 1.json"])
    bought = ["--ticker", markets[0]["ticker"], "--side", "no", "--price", "0.375"]
    for count in ("10", "2.5"):
        place.printed(["trades", "open", *bought, "--count", count])
    place.printed(["trades", "close", "2", "--price", "0.5"])
    with connect(module_btc_market) as conn:
        backtesting.store(conn, backtesting.questions(1, 2, hours=2))
    return place


COMMANDS = [
    ["symbols", "list"],
    ["candles", "load", "{folder}/candles.csv", "--symbol", "BTC"],
    ["candles", "gaps"],
    ["candles", "gaps", "--symbol", "ETH"],
    ["fingerprints", "build"],
    ["fingerprints", "list"],
    ["fingerprints", "show", BASELINE],
    ["fingerprints", "show", BASELINE, "--ttc", "7"],
    ["fingerprints", "validate", "{folder}/fingerprints"],
    ["fingerprints", "validate", "{folder}/fingerprints", "--against", "built"],
    ["market", "load", "{folder}/event, 1.json"],
    ["market", "show"],
    ["contracts", "BTC", "--price", "97250", "--min-edge", "-50"],
    ["trades", "list"],
    ["trades", "list", "--all"],
    ["trades", "list", "--all", "--symbol", "ETH"],
    ["trades", "fills"],
    ["trades", "fills", "2"],
    ["backtest", "--list"],
    ["strikes", "97250.3", "-7", "--ttc", "900"],
    ["strikes", "--symbol", "BTC", "--ttc", "900"],
    ["strikes", "1", "--levels", "0", "--ttc", "900"],
    ["calibration"],
    ["calibration", "--symbol", "ETH"],
    ["calibration", "--edges"],
    ["config", "show"],
]


def in_json(place: Place, arguments: list[str]) -> Rows:
    document = json.loads(place.printed([*arguments, "--json"]))
    rows: Rows = document
    if isinstance(document, dict):
        [rows] = [document[name] for name in WRAPPED if isinstance(document.get(name), list)]
    return rows


# They follow from the time left to the close of a contract.
OF_TIME_LEFT = {
    *("ttc_seconds", "probability", "prob_low", "prob_high"),
    *("yes_edge", "no_edge", "yes_edge_low", "no_edge_low"),
}


def settled(row: dict[str, Any]) -> dict[str, Any]:
    """Row without values that differ between calls; instants parsed, in any spelling."""
    moving = {"age_seconds", *(OF_TIME_LEFT if "series" in row else ())}
    return {
        name: datetime.fromisoformat(value) if _is_instant(value) else value
        for name, value in row.items()
        if name not in moving
    }


def _is_instant(value: Any) -> bool:
    return isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\dT", value) is not None


def as_in_json(text: str, value: Any) -> Any:
    """The text of a cell, converted to the type of JSON's value."""
    match value:
        case None:
            return None if text == "" else text
        case str():
            return text
        case float():
            return float(text)
        case _:
            return json.loads(text)


def test_every_listing_is_read_back() -> None:
    read = {
        path
        for path in LISTINGS
        for each in COMMANDS
        if path.split()[1:] == each[: len(path.split()) - 1]
    }
    assert read | ELSEWHERE == set(LISTINGS)


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_every_format_has_the_same_rows(place: Place, arguments: list[str]) -> None:
    place.read_again()
    expected = in_json(place, arguments)
    assert (len(expected) > 0) == (arguments[-1] != "ETH" and "0" not in arguments)

    lines = place.printed([*arguments, "--nl"]).splitlines()
    assert [settled(json.loads(line)) for line in lines] == [settled(row) for row in expected]

    reader = csv.reader(io.StringIO(place.printed([*arguments, "--csv"]), newline=""))
    head, *cells = reader
    assert all(head == list(row) for row in expected)
    assert len(head) > 3
    found = [
        {name: as_in_json(text, row[name]) for name, text in zip(head, line, strict=True)}
        for line, row in zip(cells, expected, strict=True)
    ]
    assert [settled(row) for row in found] == [settled(row) for row in expected]

    titles, *table = place.printed([*arguments, "-t"]).splitlines()
    assert titles.split() == head
    assert len(table) == len(expected)


def test_a_gap_says_which_exchanges_were_asked(place: Place) -> None:
    lines = place.printed(["candles", "gaps", "--csv", "--until", "2026-03-06"]).splitlines()
    assert lines == [
        "symbol,from,until,minutes,exchanges",
        'BTC,2026-03-03T04:05:00Z,2026-03-03T04:06:00Z,1,"[""coinbase"", ""kraken""]"',
        "BTC,2026-03-04T04:05:00Z,2026-03-04T04:06:00Z,1,[]",
    ]


def test_a_fingerprint_in_csv_is_its_view(place: Place) -> None:
    """The bytes that psql would copy."""
    with connect(place.dsn) as conn:
        query = (
            f"COPY (SELECT * FROM analytics.{BASELINE} ORDER BY 2) TO STDOUT (FORMAT csv, HEADER)"
        )
        with conn.cursor().copy(query.encode()) as copy:
            expected = b"".join(bytes(part) for part in copy)
    assert place.printed(["fingerprints", "show", BASELINE, "--csv"]) == expected.decode()


def test_instants_are_utc_wherever_the_session_is(place: Place) -> None:
    query = ["fingerprints", "list", "--symbol", "BTC"]
    here = place.printed([*query, "--csv"])
    assert re.search(r",2\d{3}-\d\d-\d\dT[\d:.]+Z", here)
    assert place.printed([*query, "--csv"], PGTZ="America/New_York") == here
    assert place.printed([*query, "--nl"], PGTZ="Asia/Kolkata") == place.printed([*query, "--nl"])


def test_only_a_terminal_is_spared_what_steers_it(place: Place) -> None:
    [row] = csv.DictReader(
        io.StringIO(place.printed(["market", "show", "--symbol", "BTC", "--csv"]), newline="")
    )
    assert row["title"] == TITLE
    for option in ("--csv", "-t"):
        code, shown = on_terminal(place.dsn, 300, 50, "market", "show", "--symbol", "BTC", option)
        assert code == 0
        assert "�[31m€" in shown
        assert "\x1b" not in shown


def _process(place: Place, command: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [
            "bash",
            "-o",
            "pipefail",
            "-c",
            f'pyupc() {{ "{sys.executable}" -m pyupc "$@"; }}; {command}',
        ],
        env={**os.environ, "PYUPC_DSN": place.dsn, "PYTHONPATH": str(REPOSITORY), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
    )


@pytest.mark.parametrize("option", ["--nl", "--csv", "-t"])
def test_a_reader_that_goes_is_no_error(place: Place, option: str) -> None:
    # More than a pipe holds.
    done = _process(
        place, f"for i in 1 2 3 4; do pyupc fingerprints show {BASELINE} {option}; done | head -1"
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(done.stdout.splitlines()) == 1


def test_csv_is_utf_8_in_every_locale(place: Place) -> None:
    command = "pyupc market show --symbol BTC"
    narrow = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    done = _process(place, f"{command} --csv", **narrow)
    assert (done.returncode, done.stderr) == (0, b"")
    assert "“at noon”".encode() in done.stdout
    done = _process(place, f"{command} -t", **narrow)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"?at noon?" in done.stdout

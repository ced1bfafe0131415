"""`pyupc strikes` by model, method and settlement, and all models side by side."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from psycopg.rows import dict_row

from pyupc.database.connect import connect
from tests.support.databases import Databases
from tests.support.market import on_terminal, pyupc

MODELS = ("momentum", "baseline", "volatility")
NAMES = [f"prob_{model}" for model in MODELS]
COLUMNS = ["strike", "buffer", "move_percent", "direction", *NAMES]
QUESTION = ("97250", "-7", "--ttc", "900", "--levels", "2")

Row = dict[str, Any]


@pytest.fixture(scope="module")
def market(module_btc_market: str) -> str:
    return module_btc_market


@pytest.fixture(scope="module")
def blind(databases: Databases) -> Iterator[str]:
    """The same without the candles of the last minutes: there is no forecast."""
    with databases.clone("market_btc") as dsn:
        with connect(dsn) as conn:
            conn.execute(
                "DELETE FROM upc_data.candle WHERE opened_at < (SELECT max(opened_at) "
                "FROM upc_data.candle) AND opened_at > (SELECT max(opened_at) "
                "FROM upc_data.candle) - interval '30 minutes'"
            )
            conn.execute("DELETE FROM upc_data.volatility_state")
        yield dsn


def computed(dsn: str, **given: object) -> list[Row]:
    """Rows with the command's defaults, except the model."""
    arguments = {"method": "linear", "settlement": "average", **given}
    named = ", ".join(f"{name} => %({name})s" for name in arguments)
    query = (
        "SELECT * FROM upc.compute_strikes(97250, -7, ttc_seconds => 900, levels => 2"
        f"{named and ', '}{named})"
    )
    with connect(dsn) as conn, conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query.encode(), arguments).fetchall()


def side_by_side(dsn: str, models: tuple[str, ...] = MODELS, **arguments: object) -> list[Row]:
    by_model = {model: computed(dsn, model=model, **arguments) for model in models}
    return [
        {name: row[name] for name in COLUMNS[:4]}
        | {f"prob_{model}": by_model[model][place]["prob_above"] for model in models}
        for place, row in enumerate(by_model[models[0]])
    ]


@pytest.mark.parametrize(("model", "method"), list(product(MODELS, ("nearest", "linear"))))
def test_the_options_reach_the_function(market: str, model: str, method: str) -> None:
    for settlement in ("close", "average"):
        result = pyupc(
            market,
            "strikes",
            *QUESTION,
            "--json",
            "--model",
            model,
            "--method",
            method,
            "--settlement",
            settlement,
        )
        assert result.returncode == 0
        expected = computed(market, model=model, method=method, settlement=settlement)
        assert json.loads(result.stdout) == expected


def test_the_models_differ(market: str) -> None:
    """The models differ; otherwise the test above would prove nothing."""
    middle = side_by_side(market, method="linear")[2]
    assert len({middle[name] for name in NAMES}) == len(NAMES)


@pytest.mark.parametrize("method", ["nearest", "linear"])
def test_side_by_side_as_json(market: str, method: str) -> None:
    result = pyupc(market, "strikes", *QUESTION, "--all-models", "--json", "--method", method)
    assert (result.returncode, result.stderr) == (0, "")
    found = json.loads(result.stdout)
    assert found == side_by_side(market, method=method)
    assert list(found[0]) == COLUMNS


def test_side_by_side_as_csv(market: str) -> None:
    result = pyupc(market, "strikes", *QUESTION, "--all-models", "--csv")
    assert (result.returncode, result.stderr) == (0, "")
    heading, *lines = csv.reader(result.stdout.splitlines())
    assert heading == COLUMNS
    expected = side_by_side(market)
    assert [[float(line[0]), *map(float, line[4:])] for line in lines] == [
        [row["strike"], *(row[name] for name in NAMES)] for row in expected
    ]


def test_side_by_side_as_text(market: str) -> None:
    result = pyupc(market, "strikes", *QUESTION, "--all-models")
    assert (result.returncode, result.stderr) == (0, "")
    heading, *lines = result.stdout.splitlines()
    assert heading.split() == COLUMNS
    for line, row in zip(lines, side_by_side(market), strict=True):
        assert line.split()[4:] == [f"{row[name]:.2f}" for name in NAMES]
    assert len({len(line) for line in (heading, *lines)}) == 1


def test_side_by_side_on_a_terminal(market: str) -> None:
    code, output = on_terminal(market, 90, 24, "strikes", *QUESTION, "--all-models")
    assert code == 0
    lines = [line.split() for line in re.sub(r"\x1b\[[0-9;]*m", "", output).splitlines()]
    found = [line for line in lines if line and line[0].isdigit()]
    assert [line[4:] for line in found] == [
        [f"{row[name]:.2f}" for name in NAMES] for row in side_by_side(market)
    ]


def test_without_a_price_every_row_says_what_it_is_of(market: str) -> None:
    result = pyupc(market, "strikes", "--all-models", "--json", "--ttc", "900")
    assert result.returncode == 0
    assert list(json.loads(result.stdout)[0]) == [
        "symbol",
        "price",
        "momentum",
        "priced_at",
        *COLUMNS,
    ]


# Without a volatility forecast


@pytest.mark.parametrize("form", ["--json", "--csv", None])
def test_the_other_models_answer_all_the_same(blind: str, form: str | None) -> None:
    result = pyupc(blind, "strikes", *QUESTION, "--all-models", *([form] if form else []))
    assert result.returncode == 0
    [line] = result.stderr.splitlines()
    assert line.startswith("volatility: ")
    expected = side_by_side(blind, MODELS[:2])
    if form == "--json":
        assert json.loads(result.stdout) == [{**row, "prob_volatility": None} for row in expected]
    else:
        _, *lines = result.stdout.splitlines()
        assert len(lines) == 5
        ends = "," if form else " -"
        assert all(line.endswith(ends) for line in lines)


def test_alone_it_is_an_error(blind: str) -> None:
    result = pyupc(blind, "strikes", *QUESTION, "--model", "volatility")
    assert (result.returncode, result.stdout) == (1, "")
    assert len(result.stderr.splitlines()) == 2


def test_momentum_stands_in_for_the_default(blind: str) -> None:
    result = pyupc(blind, "strikes", *QUESTION, "--json")
    assert result.returncode == 0
    [line] = result.stderr.splitlines()
    assert line.startswith("BTC: no volatility forecast; using model momentum")
    assert json.loads(result.stdout) == computed(blind, model="momentum")


def test_the_close_stands_in_for_the_default(market: str) -> None:
    """Nobody has seen the last minute."""
    question = ("strikes", "97250", "-7", "--ttc", "30", "--levels", "2", "--json")
    result = pyupc(market, *question)
    assert result.returncode == 0
    [line] = result.stderr.splitlines()
    assert line.startswith("BTC: last minute not in the price log; using settlement close")
    assert json.loads(result.stdout) == json.loads(
        pyupc(market, *question, "--settlement", "close").stdout
    )
    done = pyupc(market, *question, "--settlement", "average")
    assert (done.returncode, done.stdout) == (1, "")


# Answers of the predecessor

LEGACY = {"model": "momentum", "method": "nearest", "settlement": "close"}


@pytest.mark.parametrize(
    ("options", "environment", "model"),
    [
        (["--legacy"], {}, "momentum"),
        (["--legacy", "--model", "momentum", "--settlement", "close"], {}, "momentum"),
        ([], {"LEGACY": "1"}, "momentum"),
        # A flag is stronger than a variable, and a variable than the file.
        (["--legacy"], {"MODEL": "baseline"}, "momentum"),
        (["--model", "baseline"], {"LEGACY": "1"}, "baseline"),
        ([], {"file": 'legacy = true\nmodel = "momentum"'}, "momentum"),
        ([], {"file": "legacy = true", "MODEL": "baseline"}, "baseline"),
    ],
)
def test_legacy(
    market: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    environment: dict[str, str],
    model: str,
) -> None:
    if table := environment.get("file"):
        file = tmp_path / "config.toml"
        file.write_text(f"[strikes]\n{table}\n")
        monkeypatch.setenv("PYUPC_CONFIG", str(file))
    for name in environment.keys() - {"file"}:
        monkeypatch.setenv(f"PYUPC_STRIKES_{name}", environment[name])
    result = pyupc(market, "strikes", *QUESTION, "--json", *options)
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout) == computed(market, **{**LEGACY, "model": model})


@pytest.mark.parametrize("command", [("strikes", "97250"), ("tick", "--once")])
@pytest.mark.parametrize(
    "other", [("--model", "baseline"), ("--method", "linear"), ("--settlement", "average")]
)
def test_legacy_and_another_one_exclude_each_other(
    market: str, command: tuple[str, ...], other: tuple[str, str]
) -> None:
    result = pyupc(market, *command, "--legacy", *other)
    assert (result.returncode, result.stdout) == (2, "")


@pytest.mark.parametrize("price", ["-5", "nan"])
def test_a_question_that_makes_no_sense_is_an_error(market: str, price: str) -> None:
    result = pyupc(market, "strikes", price, "--all-models")
    assert (result.returncode, result.stdout) == (1, "")
    assert 1 <= len(result.stderr.splitlines()) <= 2


def test_a_model_that_is_retired(
    market: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the command line and in a file of settings that was written when it answered."""
    given = pyupc(market, "strikes", "97250", "--model", "shrunk")
    file = tmp_path / "config.toml"
    file.write_text('[strikes]\nmodel = "shrunk"\n')
    monkeypatch.setenv("PYUPC_CONFIG", str(file))
    for result in (given, pyupc(market, "strikes", "97250")):
        assert (result.returncode, result.stdout) == (2, "")
        assert "momentum or volatility" in result.stderr

"""Answers match the OpenAPI document: thousands of requests, sensible and not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel, ValidationError

from pyupc.database.connect import connect
from pyupc.settings.models import METHODS, MODELS, SETTLEMENTS
from pyupc.web import schemas
from pyupc.web.openapi import examples
from tests.support.market import going, pyupc, until
from tests.web.serving import Served

# Without end, which a tester of answers waits for. /ready is left out by those who call: where a
# loaded machine has missed ticks its 503 is no mistake.
_ENDLESS = "/api/stream/{symbol}"


def shapes() -> dict[str, type[BaseModel]]:
    return {
        name: shape
        for name, shape in vars(schemas).items()
        if isinstance(shape, type) and issubclass(shape, BaseModel) and name in examples()
    }


def questions(served: Served, examples_each: int, tmp_path: Path, *left_out: str) -> str:
    """The report of schemathesis, which has found nothing."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{served.address}/openapi.json"),
            *(part for path in (_ENDLESS, *left_out) for part in ("--exclude-path", path)),
            *("--max-examples", str(examples_each)),
            *("--workers", "2", "--seed", "1", "--no-color"),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "HYPOTHESIS_STORAGE_DIRECTORY": str(tmp_path)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    print(f"{generated(done.stdout):,} questions")
    return done.stdout


def generated(report: str) -> int:
    [line] = [line for line in report.splitlines() if " generated" in line]
    return int(line.split()[0].replace(",", ""))


def test_every_operation_is_described(served: Served) -> None:
    document = served.document("/openapi.json")
    assert len(document["paths"]) == 32
    for path, operations in document["paths"].items():
        operation = operations["get"]
        assert operation["summary"], path
        for each in operation.get("parameters", []):
            assert {"examples", "enum"} & each["schema"].keys(), (path, each["name"])
        for status, response in operation["responses"].items():
            assert response["description"], (path, status)
            if status == "304" or path == "/metrics":
                continue
            [content, *_] = response["content"].values()
            assert "schema" in content, (path, status)
            assert "example" in content or (path, status) == ("/ready", "503"), (path, status)
    _follow(document, document)


def test_operations_have_names_of_their_own(served: Served) -> None:
    """Clients that are generated call them by these."""
    paths = served.document("/openapi.json")["paths"]
    names = [operations["get"]["operationId"] for operations in paths.values()]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch("[a-z]+(_[a-z]+)*", name) for name in names)
    assert paths["/api/strike_table/{symbol}"]["get"]["operationId"] == "strike_table"
    assert paths["/api/strike_table"]["get"]["operationId"] == "legacy_strike_table"


def test_the_choices_are_those_of_the_command_line(served: Served) -> None:
    operation = served.document("/openapi.json")["paths"]["/api/strikes"]["get"]
    choices = {
        each["name"]: each["schema"].get("anyOf", [{}])[0].get("enum")
        for each in operation["parameters"]
    }
    assert choices["method"] == list(METHODS)
    assert choices["model"] == list(MODELS)
    assert choices["settlement"] == list(SETTLEMENTS)


def _follow(document: dict[str, Any], part: Any) -> None:
    """Every reference leads somewhere."""
    if isinstance(part, dict):
        if reference := part.get("$ref"):
            target: Any = document
            for name in reference.removeprefix("#/").split("/"):
                target = target[name]
        for each in part.values():
            _follow(document, each)
    elif isinstance(part, list):
        for each in part:
            _follow(document, each)


def test_every_example_has_its_shape() -> None:
    found = shapes()
    assert found.keys() == examples().keys()
    for name, shape in found.items():
        example = examples()[name]
        dumped = shape.model_validate(example).model_dump(mode="json")
        assert dumped.keys() >= example.keys(), name


SHAPES_OF_DOCUMENTS: dict[str, type[BaseModel]] = {
    "live_probabilities": schemas.LiveProbabilities,
    "strike_table": schemas.StrikeTable,
    "watchlist": schemas.StrikeTable,
    "contracts": schemas.Contracts,
    "bets": schemas.Bets,
    "price": schemas.Price,
    "ttc": schemas.TimeToClose,
    "momentum": schemas.MomentumNow,
    "market_snapshot": schemas.MarketSnapshot,
}


def paths(shape: Any, prefix: str = "") -> set[str]:
    """Paths of all keys of a shape, in the register's notation."""
    if isinstance(shape, type) and issubclass(shape, BaseModel):
        found = set()
        for name, field in shape.model_fields.items():
            found |= {prefix + name} | paths(field.annotation, f"{prefix}{name}.")
        return found
    inner = f"{prefix[:-1]}[]." if get_origin(shape) is list else prefix
    return {path for part in get_args(shape) for path in paths(part, inner)}


def test_the_shapes_have_the_keys_that_are_registered(market_dsn: str) -> None:
    with connect(market_dsn) as conn:
        rows = conn.execute("SELECT document, path, kind FROM upc.document_keys()").fetchall()
    for name, shape in SHAPES_OF_DOCUMENTS.items():
        registered = {path for document, path, _ in rows if document == name}
        # Objects that are never null stand in the register by their parts.
        whole = {path.rsplit(".", 1)[0] for path in registered if "." in path}
        optional = {"problem"} - shape.model_fields.keys()
        assert paths(shape) - whole == registered - whole - optional, name
    trade = {
        path.removeprefix("active_trades[].")
        for document, path, _ in rows
        if document == "active_trades" and path.startswith("active_trades[].")
    }
    assert paths(schemas.ActiveTrade) == trade


def test_a_shape_refuses_what_it_does_not_know() -> None:
    for name, shape in shapes().items():
        with pytest.raises(ValidationError):
            shape.model_validate({**examples()[name], "new": 1})
        assert "additionalProperties" not in shape.model_json_schema(), name


def test_the_documents_have_their_shapes(served: Served, market_dsn: str, tmp_path: Path) -> None:
    done = pyupc(market_dsn, "tick", "--feed", "replay", "--once", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    for name, shape in SHAPES_OF_DOCUMENTS.items():
        path = "/kalshi_market_snapshot" if name == "market_snapshot" else f"/api/{name}/BTC"
        shape.model_validate(served.document(path))
    schemas.ActiveTrades.model_validate(served.document("/api/active_trades"))
    schemas.Symbols.model_validate(served.document("/api/symbols"))


def test_answers_match_openapi(served: Served, tmp_path: Path, market_dsn: str) -> None:
    with going(market_dsn, "tick", "--feed", "simulated", "--out", tmp_path / "live"):
        until(lambda: served.get("/ready").status_code == 200)
        report = questions(served, 5, tmp_path, "/ready")
    assert generated(report) > 300


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_thousand_questions(served: Served, tmp_path: Path, market_dsn: str) -> None:
    with going(market_dsn, "tick", "--feed", "simulated", "--out", tmp_path / "live"):
        until(lambda: served.get("/ready").status_code == 200)
        report = questions(served, 100, tmp_path, "/ready")
    assert generated(report) >= 2000


@pytest.mark.slow
def test_without_ticks_it_is_so_too(served: Served, tmp_path: Path, market_dsn: str) -> None:
    """Documents that are old, and a server that is not ready."""
    until(lambda: served.get("/ready").status_code == 503)
    questions(served, 3, tmp_path, "/ready")

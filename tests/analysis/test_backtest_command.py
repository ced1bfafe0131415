"""`pyupc backtest`: what it asks the database for, what it leaves behind, what it prints."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import re
import signal
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result
from psycopg.rows import dict_row

from pyupc import __version__
from pyupc.cli import main
from pyupc.cli.backtest.options import MINUTES, MODELS
from pyupc.database.connect import connect
from tests.analysis import backtest_stub
from tests.support.backtesting import questions
from tests.support.market import ended, going, on_terminal, until

Connection = psycopg.Connection[tuple[Any, ...]]

ASKED = questions(1, 12, models=("baseline:nearest", "gaussian", "baseline:linear"), hours=6)
FILES = {
    *("report.html", "reliability.png", "reliability.svg"),
    *("comparison.png", "comparison.svg"),
}


@pytest.fixture
def conn(fresh_db: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """A database in which backtests are played, and PYUPC_DSN set to it."""
    monkeypatch.setenv("PYUPC_DSN", fresh_db)
    with connect(fresh_db) as conn:
        backtest_stub.install(conn, ASKED)
        yield conn


def pyupc(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["backtest", *map(str, arguments)])


def succeed(*arguments: str | Path) -> str:
    result = pyupc(*arguments)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def rows(conn: Connection, query: str, *parameters: Any) -> list[dict[str, Any]]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query.encode(), parameters).fetchall()


def count(conn: Connection, table: str) -> int:
    [row] = rows(conn, f"SELECT count(*) AS n FROM {table}")
    return int(row["n"])


# Arguments


def test_omitted_options_are_left_to_the_database(conn: Connection) -> None:
    succeed("--symbol", "btc")
    [call] = rows(conn, "SELECT * FROM stub_call WHERE call = 'begin'")
    assert call["symbol"] == "BTC"
    assert call["arguments"] == {
        **dict.fromkeys(("train_from", "train_to", "test_from", "test_to", "step")),
        "models": list(MODELS),
        "minutes": list(MINUTES),
        "levels": 10,
        "settlement": "close",
        "close_minute": 0,
        "version": __version__,
        "kind": "above",
        "recalibrate": True,
    }


def test_given_options_are_handed_on(conn: Connection) -> None:
    succeed(
        *("--symbol", "BTC", "--train-from", "2022-01-01", "--train-to", "2023-07-01T12:00+02:00"),
        *("--test-from", "2023-08-01", "--test-to", "2023-09-01T00:00Z"),
        *("--ttc", "60", "--ttc", "5", "--ttc", "60"),
        *("--model", "Gaussian", "--model", "baseline", "--model", "volatility:linear"),
        *("--model", "baseline:nearest", "--step", "500", "--levels", "3"),
        *("--settlement", "average", "--close-minute", "15"),
    )
    [call] = rows(conn, "SELECT * FROM stub_call WHERE call = 'begin'")
    assert call["arguments"] == {
        "train_from": "2022-01-01T00:00:00+00:00",
        "train_to": "2023-07-01T10:00:00+00:00",
        "test_from": "2023-08-01T00:00:00+00:00",
        "test_to": "2023-09-01T00:00:00+00:00",
        "models": ["gaussian", "baseline:nearest", "volatility:linear"],
        "minutes": [5, 60],
        "step": 500,
        "levels": 3,
        "settlement": "average",
        "close_minute": 15,
        "version": __version__,
        "kind": "above",
        "recalibrate": True,
    }


def test_models_that_answer_so_far_from_the_close(conn: Connection) -> None:
    """Of those that are tested anyhow; what is named is the database's to refuse."""
    succeed("--symbol", "BTC", "--ttc", "120", "--ttc", "60")
    named = ("--model", "gaussian", "--model", "momentum")
    succeed("--symbol", "BTC", *named, "--ttc", "1440")
    calls = rows(conn, "SELECT arguments FROM stub_call WHERE call = 'begin' ORDER BY began_at")
    assert [(call["arguments"]["models"], call["arguments"]["minutes"]) for call in calls] == [
        (["gaussian", "volatility:linear"], [60, 120]),
        (["gaussian", "momentum:nearest"], [1440]),
    ]


def test_contracts_that_are_open_for_a_quarter_of_an_hour(conn: Connection) -> None:
    succeed("--symbol", "BTC", "--kind", "updown")
    [call] = rows(conn, "SELECT * FROM stub_call WHERE call = 'begin'")
    assert (call["arguments"]["kind"], call["arguments"]["minutes"]) == ("updown", [2, 5, 10, 15])


def test_stages_follow_each_other_on_two_connections(conn: Connection) -> None:
    succeed("--symbol", "BTC", "--symbol", "ETH")
    calls = rows(conn, "SELECT * FROM stub_call WHERE call = 'step' ORDER BY began_at")
    for symbol in ("BTC", "ETH"):
        steps = [call for call in calls if call["symbol"] == symbol]
        assert sorted(call["step"] for call in steps) == list(range(1, 9))
        stages = ["fit", "train", "test", "complete"]
        for stage, following in pairwise(stages):
            ended_at = max(call["ended_at"] for call in steps if call["stage"] == stage)
            assert all(c["began_at"] > ended_at for c in steps if c["stage"] == following)
        for stage, number in zip(stages, (1, 2, 2, 1), strict=True):
            assert len({call["pid"] for call in steps if call["stage"] == stage}) == number
        # At the same time: the second began before the first was done.
        first, second, *_ = (call for call in steps if call["stage"] == "train")
        assert second["began_at"] < first["ended_at"]
    assert max(c["ended_at"] for c in calls if c["symbol"] == "BTC") < min(
        c["began_at"] for c in calls if c["symbol"] == "ETH"
    )


def test_without_a_symbol_all_that_have_candles(conn: Connection) -> None:
    result = pyupc()
    assert (result.exit_code, result.stdout) == (1, "")
    assert "candles" in result.stderr
    conn.execute("INSERT INTO upc_data.candle VALUES ('ETH', '2024-01-01Z', 1, 1, 1, 1, 1)")
    succeed()
    assert [row["symbol"] for row in rows(conn, "SELECT symbol FROM upc_data.backtest")] == ["ETH"]


def test_a_deadlock_is_tried_again(conn: Connection) -> None:
    backtest_stub.order(conn, "train", "deadlock")
    succeed("--symbol", "BTC")
    [attempts] = rows(conn, "SELECT last_value FROM stub_attempt")
    assert attempts["last_value"] > 3
    assert len(rows(conn, "SELECT FROM stub_call WHERE stage = 'train'")) == 3


# Leftovers


@pytest.mark.parametrize("stage", ["fit", "test", "complete"])
def test_a_failure_leaves_nothing_behind(conn: Connection, stage: str) -> None:
    backtest_stub.order(conn, stage, "fail")
    result = pyupc("--symbol", "BTC", "--symbol", "ETH")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("pyupc: 53100 the disk is full\nhint: ")
    assert count(conn, "upc_data.backtest") == count(conn, "upc_data.backtest_score") == 0


def test_all_are_begun_before_the_first_is_computed(conn: Connection) -> None:
    backtest_stub.order(conn, "begin ETH", "fail")
    result = pyupc("--symbol", "BTC", "--symbol", "ETH")
    assert result.exit_code == 1
    assert result.stderr == (
        "pyupc: there is nothing to train on (It was asked to)\nhint: Load candles.\n"
    )
    assert count(conn, "upc_data.backtest") == 0
    assert rows(conn, "SELECT FROM stub_call WHERE call = 'step'") == []


def test_an_interrupt_deletes_what_is_not_complete(conn: Connection, fresh_db: str) -> None:
    succeed("--symbol", "BTC")
    complete = rows(conn, "SELECT backtest_id FROM upc_data.backtest")
    scores = count(conn, "upc_data.backtest_score")
    backtest_stub.order(conn, "test", "sleep")
    sleeping = """
        SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event = 'PgSleep'
    """
    with going(fresh_db, "backtest", "--symbol", "BTC") as process:
        until(lambda: len(rows(conn, sleeping)) == 2)
        until(lambda: count(conn, "upc_data.backtest") == 2)
        process.send_signal(signal.SIGINT)
        code, log = ended(process)
    assert code == 130
    assert log == "unfinished backtests are deleted\npyupc: interrupted\n"
    assert rows(conn, sleeping) == []
    assert rows(conn, "SELECT backtest_id FROM upc_data.backtest") == complete
    assert count(conn, "upc_data.backtest_score") == scores


def test_an_unknown_symbol(conn: Connection) -> None:
    result = pyupc("--list", "--symbol", "DOGE")
    assert result.exit_code == 1
    assert "DOGE" in result.stderr


# Output


def test_json_has_everything(conn: Connection) -> None:
    [found] = json.loads(succeed("--symbol", "BTC", "--json"))["backtests"]
    backtest = found["backtest_id"]
    [stored] = rows(conn, "SELECT * FROM upc.backtest_list")
    for name in ("symbol", "models", "minutes", "step", "levels", "settlement", "version"):
        assert found[name] == stored[name]
    assert found["started_at"].endswith("Z")
    assert found["questions"] == len(ASKED)
    assert set(found["scores"]) == set(ASKED.parts)
    for dimension, scores in found["scores"].items():
        resamples = 200 if dimension in ("distance", "hour") else 1000
        query = "SELECT * FROM upc.backtest_scores('BTC', %s, %s, %s)"
        assert scores == rows(conn, query, backtest, dimension, resamples)
    query = "SELECT * FROM upc.backtest_reliability('BTC', %s)"
    assert found["reliability"] == rows(conn, query, backtest)
    assert found["verdict"] == rows(conn, "SELECT * FROM upc.backtest_verdict('BTC', %s)", backtest)
    assert found["verdict"][0]["model"] in found["headline"]


@pytest.mark.parametrize(
    ("by", "dimension"), [(None, "all"), ("ttc", "minutes"), ("regime", "regime")]
)
def test_rows_are_the_scores(conn: Connection, by: str | None, dimension: str) -> None:
    succeed("--symbol", "BTC")
    [stored] = rows(conn, "SELECT backtest_id FROM upc_data.backtest")
    backtest = stored["backtest_id"]
    arguments = ["--show", str(backtest), *(["--by", by] if by else [])]
    expected = rows(conn, "SELECT * FROM upc.backtest_scores('BTC', %s, %s)", backtest, dimension)
    expected = [{"symbol": "BTC", "backtest_id": backtest, **row} for row in expected]
    lines = succeed(*arguments, "--nl").splitlines()
    assert [json.loads(line) for line in lines] == expected
    reader = csv.DictReader(io.StringIO(succeed(*arguments, "--csv")))
    assert [row["log_loss_low"] for row in reader] == [str(row["log_loss_low"]) for row in expected]


def test_people_see_a_table_a_table_by_time_and_the_verdict(conn: Connection) -> None:
    text = succeed("--symbol", "BTC")
    verdict = rows(
        conn,
        "SELECT v.* FROM upc_data.backtest AS b, upc.backtest_verdict('BTC', b.backtest_id) AS v",
    )
    scores = rows(
        conn,
        "SELECT s.* FROM upc_data.backtest AS b, "
        "upc.backtest_scores('BTC', b.backtest_id, 'minutes', 0) AS s",
    )
    first, overall, by_time, tenths, last = text.strip().split("\n\n")
    assert re.search(rf"\b{len(ASKED):,} questions on 12 days, 2024-01-01 to 2024-01-12;", first)
    head, *lines = overall.splitlines()
    assert re.split(" {2,}", head)[0] == "model"
    best = verdict[0]["model"]
    assert [line.split()[0] for line in lines] == [
        best,
        *(row["opponent"] for row in verdict if row["minutes"] is None),
    ]
    head, *lines = by_time.splitlines()
    assert re.split(" {2,}", head) == ["log loss", "2 min", "15 min", "60 min"]
    assert [line.split() for line in lines] == [
        [model, *(f"{row['log_loss']:.5f}" for row in scores if row["model"] == model)]
        for model in ASKED.models
    ]
    odds = rows(
        conn,
        "SELECT o.* FROM upc_data.backtest AS b, upc.backtest_odds('BTC', b.backtest_id) AS o "
        "WHERE o.model = %s",
        best,
    )
    said, head, *lines = tenths.splitlines()
    inside = sum(row["observed_low"] <= row["probability"] <= row["observed_high"] for row in odds)
    assert said.endswith(f" in {inside} of {len(odds)}:")
    assert re.split(" {2,}", head) == [
        *("percent", "questions", "said", "came true", "95 %", "inside")
    ]
    assert [re.split(" {2,}", line)[2:4] for line in lines] == [
        [f"{row['probability']:.2f}", f"{row['observed']:.2f}"] for row in odds
    ]
    assert last.startswith(f"BTC: {best} ")
    assert len(last.splitlines()) == 1
    assert f"{verdict[0]['log_loss']:.5f}" in last


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("hour", [f"{hour:02d}:00" for hour in range(6)]),
        ("distance", ["nearest", "250 away", "500 away", "750 away"]),
    ],
)
def test_many_parts_are_rows(conn: Connection, by: str, names: list[str]) -> None:
    succeed("--symbol", "BTC")
    [stored] = rows(conn, "SELECT backtest_id FROM upc_data.backtest")
    text = succeed("--show", str(stored["backtest_id"]), "--by", by)
    head, *lines = text.strip().split("\n\n")[2].splitlines()
    assert re.split(" {2,}", head) == ["log loss", *ASKED.models]
    assert [re.split(" {2,}", line)[0] for line in lines] == names


def test_a_bar_on_a_terminal(conn: Connection, fresh_db: str) -> None:
    code, text = on_terminal(fresh_db, 120, 40, "backtest", "--symbol", "BTC")
    assert code == 0
    assert "training BTC" in text
    assert "testing BTC" in text
    assert "/41" in text


# Stored backtests


def test_list_show_and_delete(conn: Connection) -> None:
    assert succeed("--list") == "there are no backtests\n"
    assert json.loads(succeed("--list", "--json")) == []
    succeed("--symbol", "BTC", "--symbol", "ETH")
    found = json.loads(succeed("--list", "--json"))
    assert [row["symbol"] for row in found] == ["ETH", "BTC"]
    assert [
        row["symbol"] for row in json.loads(succeed("--list", "--symbol", "ETH", "--json"))
    ] == ["ETH"]
    assert len(succeed("--list").splitlines()) == 3
    eth, btc = (str(row["backtest_id"]) for row in found)
    assert succeed("--show", eth).startswith(f"ETH, above, backtest {eth}: ")
    assert succeed("--delete", btc) == f"backtest {btc} of BTC deleted\n"
    assert pyupc("--show", btc).exit_code == pyupc("--delete", btc).exit_code == 1
    assert [row["backtest_id"] for row in rows(conn, "SELECT * FROM upc_data.backtest")] == [
        int(eth)
    ]
    assert json.loads(succeed("--delete", eth, "--json")) == [
        {"symbol": "ETH", "backtest_id": int(eth)}
    ]
    assert count(conn, "upc_data.backtest_score") == 0


def test_one_that_is_not_complete_is_listed_and_deleted(conn: Connection) -> None:
    conn.execute(
        "SELECT upc.begin_backtest('BTC', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'close', "
        "0, '0', 'above', true)"
    )
    [row] = json.loads(succeed("--list", "--json"))
    assert (row["completed_at"], row["questions"], row["best_model"]) == (None, None, None)
    assert "not complete" in succeed("--list")
    shown = pyupc("--show", str(row["backtest_id"]))
    assert (shown.exit_code, shown.stdout) == (1, "")
    succeed("--delete", str(row["backtest_id"]))
    assert count(conn, "upc_data.backtest") == 0


def test_two_are_compared(conn: Connection) -> None:
    succeed("--symbol", "BTC")
    succeed("--symbol", "BTC")
    one, other = (row["backtest_id"] for row in rows(conn, "SELECT * FROM upc.backtest_list"))
    asked = ("--compare", str(one), str(other), "--model", "gaussian")
    expected = rows(
        conn,
        "SELECT c.* FROM upc.backtest_comparison('BTC', %s, %s) AS c WHERE model = 'gaussian'",
        one,
        other,
    )
    head = {"symbol": "BTC", "backtest_id": one, "other_id": other}
    assert json.loads(succeed(*asked, "--json")) == [{**head, **row} for row in expected]
    lines = succeed(*asked).splitlines()
    assert lines[0].startswith(f"BTC: backtest {one} less backtest {other}, ")
    assert [line.split()[:2] for line in lines[3:]] == [
        ["gaussian", "all" if row["minutes"] is None else str(row["minutes"])] for row in expected
    ]
    refused = pyupc(*asked, "--model", "volatility:linear")
    assert (refused.exit_code, refused.stdout) == (1, "")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--list", "--show", "1"),
        ("--show", "1", "--delete", "1"),
        ("--list", "--ttc", "5"),
        ("--compare", "1"),
        ("--since", "2024-01-01"),
        ("--replay-ticks", "--list"),
        ("--replay-ticks", "--ttc", "5"),
        ("--compare", "1", "2", "--list"),
        ("--compare", "1", "2", "--ttc", "5"),
        ("--list", "--out", "x"),
        ("--list", "--by", "ttc"),
        ("--show", "1", "--model", "gaussian"),
        ("--show", "1", "--symbol", "BTC"),
        ("--delete", "1", "--symbol", "BTC"),
        ("--delete", "1", "--by", "ttc"),
        ("--ttc", "0"),
        ("--ttc", "1441"),
        ("--step", "0"),
        ("--levels", "501"),
        ("--close-minute", "60"),
        ("--settlement", "mean"),
        ("--by", "week"),
        ("--train-from", "yesterday"),
    ],
)
def test_misuse(arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYUPC_DSN", "host=/nowhere")
    result = pyupc(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 2


# Files


@pytest.mark.slow
def test_out_writes_the_report(conn: Connection, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "a" / "b"
    succeed("--symbol", "BTC", "--out", out)
    assert {path.name for path in out.iterdir()} == FILES
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    [stored] = rows(conn, "SELECT backtest_id FROM upc_data.backtest")
    succeed("--show", str(stored["backtest_id"]), "--out", out, "--json")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.slow
def test_out_of_several_symbols(conn: Connection, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    succeed("--symbol", "BTC", "--symbol", "ETH", "--out", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"btc", "eth"}
    for symbol in ("btc", "eth"):
        assert {path.name for path in (tmp_path / symbol).iterdir()} == FILES
        assert f"{symbol.upper()}, backtest" in (tmp_path / symbol / "report.html").read_text()


def test_a_missing_matplotlib_is_reported_at_once(
    conn: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec

    def without(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == "matplotlib" else find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    result = pyupc("--symbol", "BTC", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "'pyupc[plots]'" in result.stderr
    assert not (tmp_path / "out").exists()
    assert count(conn, "stub_call") == 0
    # Nothing else needs it.
    succeed("--symbol", "BTC")


def test_an_impossible_folder_is_reported_at_once(conn: Connection, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "file").write_text("")
    result = pyupc("--symbol", "BTC", "--out", tmp_path / "file" / "out")
    assert result.exit_code == 1
    assert "--out" in result.stderr
    assert count(conn, "stub_call") == 0

"""--json, --nl, --csv and -t: who has them, what they do with odd values, which of them wins."""

from __future__ import annotations

import itertools
import json
import math
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from pyupc.cli import main
from pyupc.cli.common.output import Output, output_options, print_rows

WHOLE_SET = {"--json", "--nl", "--csv", "-t", "--table", "--no-headers"}

# Output of commands without rows.
WITHOUT_ROWS = {
    "pyupc db upgrade": "nothing",
    "pyupc db downgrade": "nothing",
    "pyupc db current": "one object",
    "pyupc db uri": "one line",
    "pyupc db psql": "what psql prints",
    "pyupc db start": "one line",
    "pyupc db stop": "one line",
    "pyupc fingerprints import": "one object",
    "pyupc fingerprints export": "one object",
    "pyupc fingerprints use": "one object",
    "pyupc trades open": "one object",
    "pyupc trades close": "one object",
    "pyupc notify": "nothing",
    "pyupc paper run": "nothing",
    "pyupc compare": "one object: the differences and the times are unlike each other",
    "pyupc demo": "a live table",
    "pyupc feed": "nothing",
    "pyupc serve": "one line",
    "pyupc tick": "the documents that it writes to files",
    "pyupc config path": "one line",
    "pyupc config set": "one object",
    "pyupc config unset": "one object",
    "pyupc completion": "a script",
}


def _leaves(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group) or command.invoke_without_command:
        yield path, command
    if not isinstance(command, click.Group):
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        child = command.get_command(context, name)
        assert child is not None
        yield from _leaves(child, f"{path} {name}")


COMMANDS = dict(_leaves(main, "pyupc"))
LISTINGS = [path for path in COMMANDS if path not in WITHOUT_ROWS]
FORMATS = ("--json", "--nl", "--csv", "-t")


# Commands that have them


@pytest.mark.parametrize("path", COMMANDS)
def test_a_command_that_prints_rows_has_the_whole_set(path: str) -> None:
    has = {each for parameter in COMMANDS[path].params for each in parameter.opts} & WHOLE_SET
    assert has == WHOLE_SET if path in LISTINGS else has <= {"--json"}


def test_no_exception_is_out_of_date() -> None:
    assert set(WITHOUT_ROWS) <= set(COMMANDS)


@pytest.mark.parametrize("path", LISTINGS)
def test_two_formats_exclude_each_other(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Destination that is never used: the command is refused first.
    monkeypatch.setenv("PYUPC_DSN", "host=/nowhere")
    required = ["x" for p in COMMANDS[path].params if isinstance(p, click.Argument) and p.required]
    for options in (
        *itertools.combinations(FORMATS, 2),
        ["--no-headers"],
        ["--nl", "--no-headers"],
    ):
        result = CliRunner().invoke(main, [*path.split()[1:], *required, *options])
        assert (result.exit_code, result.stdout) == (2, ""), options
        assert [line.partition(":")[0] for line in result.stderr.splitlines()] == ["pyupc", "hint"]


# Their output

EAST = timezone(timedelta(hours=5, minutes=30))
ODD: list[dict[str, Any]] = [
    {
        "text": 'a,b "c"',
        "price": Decimal("97250.50"),
        "count": 7,
        "at": datetime(2024, 5, 1, 2, 0, 30, tzinfo=EAST),
        "is_ok": True,
        "share": 1 / 3,
        "names": ["é", 1],
    },
    {
        "text": "two\nlines\r and\ttabs",
        "price": Decimal("1E-7"),
        "count": 1_234_567,
        "at": datetime(2024, 5, 1, 2, 0, 30, 250_000, tzinfo=UTC),
        "is_ok": False,
        "share": 1e-12,
        "names": {"k": None},
    },
    {
        "text": "Zürich ≥ 5 €",
        "price": None,
        "count": -1,
        "at": datetime(2024, 5, 1),
        "is_ok": None,
        "share": math.inf,
        "names": [],
    },
    {
        "text": "\x1b[31mred\x07\x9b",
        "price": Decimal("NaN"),
        "count": None,
        "at": date(2024, 5, 1),
        "is_ok": None,
        "share": math.nan,
        "names": None,
    },
    {"text": "", "price": Decimal("5")},
]
PLAIN: list[dict[str, Any]] = [
    {
        "text": 'a,b "c"',
        "price": 97250.5,
        "count": 7,
        "at": "2024-04-30T20:30:30Z",
        "is_ok": True,
        "share": 1 / 3,
        "names": ["é", 1],
    },
    {
        "text": "two\nlines\r and\ttabs",
        "price": 1e-7,
        "count": 1_234_567,
        "at": "2024-05-01T02:00:30.250000Z",
        "is_ok": False,
        "share": 1e-12,
        "names": {"k": None},
    },
    {
        "text": "Zürich ≥ 5 €",
        "price": None,
        "count": -1,
        "at": "2024-05-01T00:00:00Z",
        "is_ok": None,
        "share": None,
        "names": [],
    },
    {
        "text": "\x1b[31mred\x07\x9b",
        "price": None,
        "count": None,
        "at": "2024-05-01",
        "is_ok": None,
        "share": None,
        "names": None,
    },
    {"text": "", "price": 5},
]
CSV = (
    "text,price,count,at,is_ok,share,names\n"
    '"a,b ""c""",97250.50,7,2024-04-30T20:30:30Z,true,0.3333333333333333,"[""é"", 1]"\n'
    '"two\nlines\r and\ttabs",0.0000001,1234567,2024-05-01T02:00:30.250000Z,false,1e-12,'
    '"{""k"": null}"\n'
    "Zürich ≥ 5 €,,-1,2024-05-01T00:00:00Z,,,[]\n"
    "\x1b[31mred\x07\x9b,,,2024-05-01,,,\n"
    ",5,,,,,\n"
)
TABLE = """\
text                     price    count  at                           is_ok         share  names
a,b "c"               97250.50        7  2024-04-30T20:30:30Z         true   0.3333333333  ["é", 1]
two�lines� and�tabs  0.0000001  1234567  2024-05-01T02:00:30.250000Z  false         1e-12  {"k": null}
Zürich ≥ 5 €                         -1  2024-05-01T00:00:00Z                              []
�[31mred��                               2024-05-01
                             5
"""  # noqa: E501


def listing(
    rows: list[dict[str, Any]], columns: list[str] | None = None, human: str | None = None
) -> click.Command:
    @click.command()
    @output_options
    def command(output: Output) -> None:
        called = None if human is None else lambda: click.echo(human)
        print_rows(rows, output, human=called, columns=columns)

    return command


def printed(command: click.Command, *options: str, **extra: Any) -> str:
    result = CliRunner().invoke(command, options, **extra)
    assert result.exit_code == 0, result.stderr
    # Not .stdout, which mends line ends.
    return result.stdout_bytes.decode()


def test_odd_values_in_json() -> None:
    assert json.loads(printed(listing(ODD), "--json")) == PLAIN
    lines = printed(listing(ODD), "--nl").split("\n")
    assert lines.pop() == ""
    assert [json.loads(line) for line in lines] == PLAIN


@pytest.fixture
def far_away(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose own time is not UTC."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "JST-9")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("far_away")
def test_odd_values_in_csv() -> None:
    assert printed(listing(ODD), "--csv") == CSV
    assert printed(listing(ODD), "--csv", "--no-headers") == CSV.partition("\n")[2]


@pytest.mark.parametrize("options", [[], ["-t"], ["--table"]])
def test_odd_values_in_a_table(options: list[str]) -> None:
    assert printed(listing(ODD), *options) == TABLE


def test_a_table_without_headers() -> None:
    rows = [{"a_long_name": 1, "b": "x"}, {"a_long_name": 22, "b": "y"}]
    assert printed(listing(rows), "-t", "--no-headers") == " 1  x\n22  y\n"


def test_half_a_character_is_no_error() -> None:
    rows = [{"file": "caf\udce9.csv"}]
    assert printed(listing(rows), "--csv") == "file\ncaf?.csv\n"
    assert printed(listing(rows), "-t") == "file\ncaf?.csv\n"
    assert json.loads(printed(listing(rows), "--nl")) == rows[0]


def test_what_no_format_can_hold_is_an_error() -> None:
    for option in FORMATS:
        result = CliRunner().invoke(listing([{"what": object()}]), [option])
        assert isinstance(result.exception, TypeError)


def test_no_rows() -> None:
    empty = listing([], ["a", "b"])
    found = [printed(empty, option) for option in ("--json", "--nl", "--csv", "-t")]
    assert found == ["[]\n", "", "a,b\n", "a  b\n"]
    assert [printed(listing([]), option) for option in ("--csv", "-t")] == ["", ""]
    assert printed(empty, "--csv", "--no-headers") == ""


def test_the_columns_named_come_first_and_none_is_left_out() -> None:
    command = listing([{"a": 1, "b": 2}, {"c": 3, "b": 4}], ["b"])
    assert printed(command, "--csv") == "b,a,c\n2,1,\n4,,3\n"


def test_people_get_what_is_made_for_them() -> None:
    command = listing([{"a": 1}], human="one row")
    assert printed(command) == "one row\n"
    assert printed(command, "-t") == "a\n1\n"


# Settings for all runs


def set_for_all(*options: str, env: dict[str, str], **defaults: bool) -> Result:
    return CliRunner().invoke(
        listing([{"a": 1}], human="one row"),
        options,
        env=env,
        auto_envvar_prefix="UPCTEST",
        default_map=defaults,
    )


@pytest.mark.parametrize(
    ("options", "env", "defaults", "expected"),
    [
        ([], {}, {"csv": True}, "a\n1\n"),
        ([], {"UPCTEST_NL": "1"}, {"csv": True}, '{"a": 1}\n'),
        (["--json"], {"UPCTEST_NL": "1"}, {"csv": True}, '[{"a": 1}]\n'),
        (["--json"], {"UPCTEST_NO_HEADERS": "1"}, {}, '[{"a": 1}]\n'),
        ([], {"UPCTEST_NO_HEADERS": "1"}, {}, "one row\n"),
        ([], {"UPCTEST_NO_HEADERS": "1"}, {"csv": True}, "1\n"),
        (["--no-headers"], {}, {"table": True}, "1\n"),
        ([], {"UPCTEST_CSV": "0"}, {}, "one row\n"),
    ],
)
def test_what_is_typed_wins(
    options: list[str], env: dict[str, str], defaults: dict[str, bool], expected: str
) -> None:
    result = set_for_all(*options, env=env, **defaults)
    assert (result.exit_code, result.stdout_bytes.decode()) == (0, expected)


def test_two_formats_that_are_set_exclude_each_other_too() -> None:
    assert set_for_all(env={"UPCTEST_NL": "1", "UPCTEST_CSV": "1"}).exit_code == 2
    assert set_for_all(env={}, nl=True, csv=True).exit_code == 2
    assert set_for_all("-t", env={}, nl=True, csv=True).exit_code == 0

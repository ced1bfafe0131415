"""The options --json --nl --csv -t, one set for every command that prints rows."""

from __future__ import annotations

import csv
import functools
import io
import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal, get_args

import click
from click.core import ParameterSource

from pyupc.cli.common.columns import aligned
from pyupc.runtime.printable import printable

Row = Mapping[str, Any]
Format = Literal["json", "nl", "csv", "table"]

_OPTIONS = (
    (("--json", "json"), "Print JSON."),
    (("--nl", "nl"), "Print JSON, one object per line."),
    (("--csv", "csv"), "Print CSV."),
    (("-t", "--table", "table"), "Print a plain table of all columns."),
    (("--no-headers", "no_headers"), "Omit the column names of --csv and -t."),
)

# Sources of a flag, the strongest first.
_STRONGEST_FIRST = (
    ParameterSource.COMMANDLINE,
    ParameterSource.ENVIRONMENT,
    ParameterSource.DEFAULT_MAP,
)


@dataclass(frozen=True)
class Output:
    """Chosen format; without one the command prints text for people."""

    format: Format | None = None
    has_headers: bool = True

    @property
    def is_json(self) -> bool:
        """--json, which may print a document around the rows; --nl is rows only."""
        return self.format == "json"


def output_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --json, --nl, --csv, -t and --no-headers as one argument, `output`."""

    @functools.wraps(function)
    def command(*args: Any, **kwargs: Any) -> Any:
        given = {name: kwargs.pop(name, False) for name in (*get_args(Format), "no_headers")}
        return function(*args, output=_chosen(click.get_current_context(), given), **kwargs)

    for declarations, help in reversed(_OPTIONS):
        command = click.option(*declarations, is_flag=True, help=help)(command)
    return command


def print_rows(
    rows: Sequence[Row],
    output: Output,
    *,
    human: Callable[[], None] | None = None,
    columns: Sequence[str] | None = None,
) -> None:
    """Print rows in the chosen format; without one call `human`, or else print a table.

    Values are str, int, float, Decimal, bool, None, date, datetime, or lists and dicts of them,
    which CSV and the table show as JSON. A number that is not finite is unknown: null in JSON.
    `columns` are those of CSV and the table, in order, for when there may be no row.
    """
    if output.format is None and human is not None:
        human()
        return
    match output.format:
        case "json":
            _write(json.dumps([plain(row) for row in rows]) + "\n")
        case "nl":
            _write("".join(json.dumps(plain(row)) + "\n" for row in rows))
        case "csv":
            _write(_as_csv(_names(rows, columns), rows, output.has_headers))
        case _:
            lines = _as_table(_names(rows, columns), rows, output.has_headers)
            _write("".join(f"{line}\n" for line in lines), sys.stdout.encoding)


def print_as_they_come(
    rows: Iterable[Row], output: Output, *, human: Callable[[Row], None], columns: Sequence[str]
) -> None:
    """Print each row as it arrives; `columns` are those of all rows. A table waits for the end.

    If `rows` raises an error, the output so far is still valid JSON or CSV.
    """
    match output.format:
        case None:
            for row in rows:
                human(row)
        case "json":
            before = "["
            try:
                for row in rows:
                    _write(before + json.dumps(plain(row)))
                    before = ",\n "
            finally:
                _write("[]\n" if before == "[" else "]\n")
        case "csv":
            has_headers = output.has_headers
            for row in rows:
                _write(_as_csv(columns, [row], has_headers))
                has_headers = False
        case "nl":
            for row in rows:
                print_rows([row], output)
        case _:
            print_rows(list(rows), output, columns=columns)


def _chosen(ctx: click.Context, given: Mapping[str, bool]) -> Output:
    format = _format(ctx, given)
    has_headers = not given["no_headers"]
    if not has_headers and format not in ("csv", "table") and _is_typed(ctx, "no_headers"):
        raise click.UsageError("--no-headers is for --csv and --table", ctx)
    return Output(format, has_headers)


def _format(ctx: click.Context, given: Mapping[str, bool]) -> Format | None:
    for source in _STRONGEST_FIRST:
        formats: list[Format] = [
            name
            for name in get_args(Format)
            if given[name] and ctx.get_parameter_source(name) == source
        ]
        if len(formats) > 1:
            raise click.UsageError(f"--{formats[0]} and --{formats[1]} exclude each other", ctx)
        if formats:
            return formats[0]
    return None


def _is_typed(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) == ParameterSource.COMMANDLINE


def _names(rows: Sequence[Row], columns: Sequence[str] | None) -> list[str]:
    """Names of all columns: `columns` first, then any others that a row has."""
    return list(dict.fromkeys([*(columns or ()), *(name for row in rows for name in row)]))


def _as_csv(names: Sequence[str], rows: Sequence[Row], has_headers: bool) -> str:
    """CSV as in RFC 4180, but with line ends of Unix."""
    clean = printable if sys.stdout.isatty() else str
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if names and has_headers:
        writer.writerow(names)
    writer.writerows([clean(_text(row.get(name))) for name in names] for row in rows)
    return text.getvalue()


def _as_table(names: Sequence[str], rows: Sequence[Row], has_headers: bool) -> list[str]:
    cells = [[_cell(row.get(name)) for name in names] for row in rows]
    is_left = [not _is_numeric(row.get(name) for row in rows) for name in names]
    return aligned([names, *cells] if names and has_headers else cells, is_left)


def _is_numeric(values: Any) -> bool:
    kinds = {type(value) for value in values} - {type(None)}
    return bool(kinds) and all(
        issubclass(kind, (int, float, Decimal)) and kind is not bool for kind in kinds
    )


def plain(value: Any) -> Any:
    """Convert to types that JSON has. Instants become ISO 8601 in UTC."""
    match value:
        case None | bool() | int() | str():
            return value
        case float() | Decimal():
            return float(value) if math.isfinite(value) else None
        case datetime():
            aware = value if value.tzinfo else value.replace(tzinfo=UTC)
            return aware.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case Mapping():
            return {name: plain(each) for name, each in value.items()}
        case list() | tuple():
            return [plain(each) for each in value]
        case _:
            raise TypeError(f"no row holds a {type(value).__name__}")


def _text(value: Any) -> str:
    """Text as in JSON, but with every digit of a Decimal, empty for null, strings unquoted."""
    if isinstance(value, Decimal) and value.is_finite():
        return f"{value:f}"
    simple = plain(value)
    if simple is None:
        return ""
    return simple if isinstance(simple, str) else json.dumps(simple, ensure_ascii=False)


def _cell(value: Any) -> str:
    """Text for people: floats to ten digits, no control characters."""
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.10g}"
    return printable(_text(value))


def _write(text: str, encoding: str = "utf-8") -> None:
    """Write bytes: programs get UTF-8 everywhere, and no character is an error."""
    click.echo(text.encode(encoding, "replace"), nl=False)

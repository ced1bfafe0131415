"""`pyupc symbols retire`: remove everything of a symbol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from pyupc.cli.common.columns import print_columns
from pyupc.cli.common.options import examples, yes
from pyupc.cli.common.output import Output, output_options, print_rows
from pyupc.errors import PyupcError
from pyupc.runtime.text import count_of

if TYPE_CHECKING:
    from pyupc.symbols.retire import Connection

COLUMNS = ("symbol", "table", "rows")


@click.command(
    epilog=examples(
        "# pyupc symbols retire SOL   # shows what it would remove",
        "# pyupc symbols retire SOL --yes",
    )
)
@click.argument("names", nargs=-1, required=True, metavar="NAME…")
@click.option(
    "--batch",
    type=click.IntRange(1, 1_000_000),
    default=20_000,
    show_default=True,
    metavar="N",
    help="Rows removed at a time, at most.",
)
@yes
@output_options
def retire(names: tuple[str, ...], batch: int, yes: bool, output: Output) -> None:
    """Remove symbols, and all that is stored of them.

    Candles, prices, ticks, fingerprints, trades: every table, and the named views. Without --yes it
    prints the number of rows of each table, removes nothing and exits with 1.

    From the first moment the symbol is unknown to everybody. A process that ticks or feeds it drops
    it, and goes on with its others; its files stay where they are. Interrupted, the command is
    repeated and ends the job; until then nobody can add the symbol again.
    """
    from pyupc.database import schema
    from pyupc.database.connect import connect
    from pyupc.runtime.progress import progress
    from pyupc.symbols.retire import retire as remove
    from pyupc.symbols.retire import rows

    wanted = tuple(dict.fromkeys(names))
    with connect(application_name="pyupc symbols") as conn:
        schema.check(conn)
        stored = {name: rows(conn, name) for name in wanted}
        if not yes:
            _print(stored, output)
            _refuse(conn, stored)
        removed = {}
        for name in wanted:
            with progress(f"removing {name}", "rows") as shown:
                shown.start(sum(stored[name].values()))
                removed[name] = remove(conn, name, batch=batch, on_batch=shown.advance)
    _print(removed, output)


def _refuse(conn: Connection, stored: Mapping[str, Mapping[str, int]]) -> None:
    from pyupc.symbols.listing import symbols

    used = [
        f"{each.symbol} is {word} {by}"
        for each in symbols(conn, list(stored))
        for word, by in (("ticked by", each.ticked_by), ("fed from", each.fed_from))
        if by is not None
    ]
    total = sum(sum(each.values()) for each in stored.values())
    more = f"; {', '.join(used)}" if used else ""
    raise PyupcError(
        f"this removes {count_of(total, 'row')} of {', '.join(stored)}{more}",
        "to remove them: repeat the command with --yes",
    )


def _print(counts: Mapping[str, Mapping[str, int]], output: Output) -> None:
    found = [
        {"symbol": name, "table": table, "rows": rows}
        for name, each in counts.items()
        for table, rows in each.items()
    ]
    print_rows(found, output, human=lambda: _print_counts(found), columns=COLUMNS)


def _print_counts(found: Sequence[Mapping[str, object]]) -> None:
    rows = [(str(each["symbol"]), str(each["table"]), f"{each['rows']:,}") for each in found]
    print_columns(COLUMNS, rows, left=2)

"""`pyupc notify`: send announcements to people, wherever they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pyupc.cli.common.logs import log_what_it_does
from pyupc.cli.common.options import examples, log_format
from pyupc.errors import PyupcError, UsageProblem

if TYPE_CHECKING:
    from pyupc.notify.target import Target

DEFAULT_KINDS = "stop,stale,halted,recovered"


def _kinds(ctx: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
    from pyupc.notify.message import KINDS

    names = [name.strip().lower() for name in value.split(",") if name.strip()]
    for name in names:
        if name not in KINDS:
            raise click.BadParameter(f"{name!r} is none of {', '.join(KINDS)}", ctx, parameter)
    if not names:
        raise click.BadParameter(f"name some of {', '.join(KINDS)}", ctx, parameter)
    return tuple(dict.fromkeys(names))


@click.command(
    epilog=examples(
        "pyupc notify --help",
        "# pyupc notify --to 'tgram://TOKEN/CHAT' --test",
        "# pyupc notify --to 'tgram://TOKEN/CHAT' --to 'mailto://user:password@example.com'",
        "# pyupc notify --to 'ntfy://topic' --name phone --on stop,settled",
    )
)
@click.option(
    "--to",
    "urls",
    multiple=True,
    required=True,
    envvar="PYUPC_NOTIFY_TO",
    metavar="URL",
    help="Receiver, as a URL of apprise; repeatable. PYUPC_NOTIFY_TO holds them, with blanks"
    " between, where others may not see them.",
)
@click.option(
    "--on",
    "kinds",
    callback=_kinds,
    default=DEFAULT_KINDS,
    show_default=True,
    metavar="KIND,…",
    help="Of what: stop, settled, stale, halted, recovered.",
)
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="NAME",
    help="Under which the database keeps how far a receiver is; repeatable, one for each --to."
    " Default: made from the URL.",
)
@click.option("--from-start", is_flag=True, help="A new receiver begins with the oldest stored.")
@click.option("--once", is_flag=True, help="Send what is waiting, and end.")
@click.option("--test", "is_test", is_flag=True, help="Send a test message to each URL, and end.")
@log_format
def command(
    urls: tuple[str, ...],
    kinds: tuple[str, ...],
    names: tuple[str, ...],
    from_start: bool,
    once: bool,
    is_test: bool,
) -> None:
    """Send announcements to phones, chats and mailboxes: stops of trades, and what fails.

    Each receiver gets each announcement at least once and in order, whatever is restarted, and
    has a cursor of its own: one that cannot be reached is tried again, and delays no other.
    A new receiver begins at now.

    It also reports what a tick cannot: that it is dead, and that the database has not answered for
    10 seconds. One process sends to a name. SIGTERM and Ctrl-C end it.

    It needs the extra `notify`, which is apprise: github.com/caronc/apprise lists its services.
    """
    from pyupc.notify.run import Job, run, test

    if is_test and once:
        raise UsageProblem("--test and --once exclude each other")
    targets = _targets(urls, names)
    if is_test:
        failed = test(targets)
        if failed:
            raise PyupcError("; ".join(failed), "see whether the URL is right")
        return

    from pyupc.database.connect import resolve_dsn

    log_what_it_does("pyupc.notify")
    job = Job(resolve_dsn(), targets, kinds, from_start=from_start, is_once=once)
    raise SystemExit(run(job))


def _targets(urls: tuple[str, ...], names: tuple[str, ...]) -> list[Target]:
    from pyupc.notify.target import target

    if names and len(names) != len(urls):
        raise UsageProblem(
            f"{len(urls)} --to and {len(names)} --name", "give each --to one, or none of them"
        )
    if "" in names:
        raise UsageProblem("a name is not empty")
    found = [
        target(url, name) for url, name in zip(urls, names or (None,) * len(urls), strict=True)
    ]
    if len({each.subscriber for each in found}) < len(found):
        raise UsageProblem("two receivers are the same", "name each --to, and each --name, once")
    return found

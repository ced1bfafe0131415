"""`pyupc notify`: send announcements to phones, chats and mailboxes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pyupc.cli.common.logs import log_activity
from pyupc.cli.common.options import examples, log_format
from pyupc.errors import PyupcError, UsageProblem

if TYPE_CHECKING:
    from pyupc.notify.receiver import Target

DEFAULT_KINDS = "stop,changed,stale,halted,paused,recovered"


def _kinds(ctx: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
    from pyupc.notify.message import KINDS

    names = [name.strip().lower() for name in value.split(",") if name.strip()]
    for name in names:
        if name not in KINDS:
            raise click.BadParameter(f"{name!r} is not one of {', '.join(KINDS)}", ctx, parameter)
    if not names:
        raise click.BadParameter(f"name one or more of {', '.join(KINDS)}", ctx, parameter)
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
    help="Receiver, as an apprise URL; repeatable. PYUPC_NOTIFY_TO holds several, separated by"
    " spaces, and hides them from other users.",
)
@click.option(
    "--on",
    "kinds",
    callback=_kinds,
    default=DEFAULT_KINDS,
    show_default=True,
    metavar="KIND,…",
    help="Kinds of announcements: stop, settled, changed, stale, halted, paused, recovered.",
)
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="NAME",
    help="Name under which the database stores a receiver's position; repeatable, one per --to."
    " Default: made from the URL.",
)
@click.option("--from-start", is_flag=True, help="Start new receivers at the oldest announcement.")
@click.option("--once", is_flag=True, help="Send waiting announcements, and exit.")
@click.option("--test", "is_test", is_flag=True, help="Send a test message to each URL, and exit.")
@log_format
def command(
    urls: tuple[str, ...],
    kinds: tuple[str, ...],
    names: tuple[str, ...],
    from_start: bool,
    once: bool,
    is_test: bool,
) -> None:
    """Send announcements of stops, results and failures to people.

    Each receiver gets each announcement at least once and in order, across restarts. Each has a
    position of its own: one that cannot be reached is tried again, and delays no other. A new
    receiver starts with the next announcement.

    It also reports failures that a tick cannot: a dead tick, and a database that has not answered
    for 10 seconds. Only one process sends to a name. SIGTERM and Ctrl-C end it.

    Needs the extra `notify`: apprise. Its services are listed at github.com/caronc/apprise.
    """
    from pyupc.notify.run import Job, run, test

    if is_test and once:
        raise UsageProblem("--test and --once exclude each other")
    targets = _targets(urls, names)
    if is_test:
        failed = test(targets)
        if failed:
            raise PyupcError("; ".join(failed), "check the URL")
        return

    from pyupc.database.connect import resolve_dsn

    log_activity("pyupc.notify")
    job = Job(resolve_dsn(), targets, kinds, from_start=from_start, is_once=once)
    raise SystemExit(run(job))


def _targets(urls: tuple[str, ...], names: tuple[str, ...]) -> list[Target]:
    from pyupc.notify.receiver import target

    if names and len(names) != len(urls):
        raise UsageProblem(
            f"{len(urls)} --to, but {len(names)} --name", "give a --name for each --to, or none"
        )
    if "" in names:
        raise UsageProblem("an empty --name", "give it a name, or leave --name out")
    found = [
        target(url, name) for url, name in zip(urls, names or (None,) * len(urls), strict=True)
    ]
    if len({each.subscriber for each in found}) < len(found):
        raise UsageProblem("two receivers are the same", "give each --to and each --name once")
    return found

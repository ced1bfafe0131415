"""`pyupc serve`: the page and the API."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path

import click

from pyupc.cli.common.logs import log_activity
from pyupc.cli.common.options import examples, legacy, log_format
from pyupc.errors import PyupcError, UsageProblem
from pyupc.web.settings import HOST, PORT, RATE, READERS, Settings, is_loopback

SHORTEST_TOKEN = 16


def _names(
    ctx: click.Context, parameter: click.Parameter, names: tuple[str, ...]
) -> tuple[str, ...]:
    for name in names:
        if not re.fullmatch(r"[\w.-]+", name, re.ASCII):
            raise click.BadParameter(f"{name!r} is not the name of a host", ctx, parameter)
    return names


def _address(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not an address", ctx, parameter) from None


@click.command(
    epilog=examples(
        "pyupc serve --help",
        "# pyupc serve",
        "# pyupc serve --port 0 --rate 1000",
        "# (umask 077; head -c 24 /dev/urandom | base64 > token)",
        "# pyupc serve --host 0.0.0.0 --token-file token",
        '# curl -H "Authorization: Bearer $(cat token)" http://desk:8765/api/price/BTC',
    )
)
@click.option(
    "--host",
    default=HOST,
    show_default=True,
    metavar="ADDRESS",
    help="Address to listen on. Beyond this machine only with --token-file.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT,
    show_default=True,
    metavar="N",
    help="Port to listen on; 0 takes a free one, and prints it.",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="File with the token that grants access: as a bearer token, or entered on the page once.",
)
@click.option(
    "--name",
    "names",
    multiple=True,
    callback=_names,
    metavar="NAME",
    help="Additional host name under which it is reached, such as a proxy's; repeatable.",
)
@click.option(
    "--rate",
    type=click.IntRange(1, 100_000),
    default=RATE,
    show_default=True,
    metavar="N",
    help="Requests per second and client, averaged over ten seconds.",
)
@click.option(
    "--max-readers",
    "readers",
    type=click.IntRange(1, 100_000),
    default=READERS,
    show_default=True,
    metavar="N",
    help="Streams open at a time, at most.",
)
@click.option(
    "--behind-proxy",
    "proxy",
    callback=_address,
    metavar="ADDRESS",
    help="Proxy whose X-Forwarded-For and X-Forwarded-Proto are trusted. Default: none.",
)
@legacy
@click.option("--attached", is_flag=True, hidden=True, help="End when standard input ends.")
@log_format
def command(
    host: str,
    port: int,
    token_file: Path | None,
    names: tuple[str, ...],
    rate: int,
    readers: int,
    proxy: str | None,
    legacy: bool,
    attached: bool,
) -> None:
    """Serve the page for browsers, and the API for programs.

    Prints its address when it listens. It reads the database as the role upc_reader, computes
    nothing, and passes each tick on to all readers of the page and of /api/stream. Needs a running
    `pyupc tick`, and the extra `web`.

    /openapi.json describes the API; /live, /ready and /metrics are for operators. If the database
    is lost it waits and reconnects. It speaks HTTP: for TLS put a proxy in front of it.
    """
    from pyupc.runtime.packages import require
    from pyupc.web.settings import PACKAGES

    require(PACKAGES, "web", "the page")
    if token_file is None and not is_loopback(host):
        raise UsageProblem(
            f"other machines can reach {host}, so a token is needed",
            "add --token-file FILE, or leave --host out",
        )
    token = None if token_file is None else _read(token_file)

    from pyupc.database.connect import resolve_dsn
    from pyupc.web.server import run

    log_activity("pyupc.serve")
    settings = Settings(resolve_dsn(), host, port, token, names, rate, readers, proxy, legacy)
    raise SystemExit(run(settings, _show, is_attached=attached))


def _show(address: str) -> None:
    click.echo(f"serving {address}")


def _read(file: Path) -> str:
    try:
        token = file.read_text("utf-8").strip()
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise PyupcError(f"{file} cannot be read: {reason}", "name a file with a token") from error
    if len(token) < SHORTEST_TOKEN or len(token.split()) != 1 or not token.isascii():
        raise PyupcError(
            f"{file} holds no token: {SHORTEST_TOKEN} or more ASCII characters without spaces",
            f"make one: (umask 077; head -c 24 /dev/urandom | base64 > {file})",
        )
    return token

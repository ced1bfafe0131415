"""Times: parsing, and the span --since to --until."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import click

from pyupc.errors import UsageProblem


def bounds(since: str, until: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add --since and --until, with these descriptions of their defaults."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for name, help in (
            ("--until", f"End of the span, exclusive. Default: {until}."),
            ("--since", f"Start of the span, UTC unless it has an offset. Default: {since}."),
        ):
            command = click.option(name, callback=_past_instant, metavar="TIME", help=help)(command)
        return command

    return decorate


def refuse_reversed(since: datetime | None, until: datetime | None) -> None:
    if since is not None and until is not None and since >= until:
        raise UsageProblem("--since is not before --until", "swap the two")


def parse_instant(
    ctx: click.Context, parameter: click.Parameter, value: str | None
) -> datetime | None:
    """Parse ISO 8601, UTC without an offset."""
    if value is None:
        return None
    try:
        instant = datetime.fromisoformat(value)
        return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{value!r} is neither a date such as 2024-01-01 nor a time such as 2024-01-01T12:00Z",
            ctx,
            parameter,
        ) from None


def _past_instant(
    ctx: click.Context, parameter: click.Parameter, value: str | None
) -> datetime | None:
    """Refuse times before 1970 or in the future."""
    instant = parse_instant(ctx, parameter, value)
    if instant is None:
        return None
    if instant.year < 1970:
        raise click.BadParameter(f"{value} is before 1970", ctx, parameter)
    if instant > datetime.now(UTC):
        raise click.BadParameter(f"{value} is in the future", ctx, parameter)
    return instant

"""An exchange on this machine, which no proxy hides."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.feed_servers import Exchange, serving


@pytest.fixture
def server() -> Iterator[Exchange]:
    with serving(Exchange(interval=0.02)) as exchange:
        yield exchange


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
